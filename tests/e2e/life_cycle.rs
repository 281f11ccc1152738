//! From nothing to nothing with helm 3, in a namespace of its own; data that outlives its stack; keys that hurt.

use std::sync::LazyLock;

use crate::lab::{Lab, repository};

static SECOND: LazyLock<Lab> = LazyLock::new(|| {
    // the first stack brings the operator, which the second one must share
    crate::stack();
    let lab = Lab::new("e2e-helm3", "3");
    lab.lastack("install").good().says("there    operator.release").says("ok       namespace");
    lab
});

/// Steps of one life, in order: each needs the one before.
#[test]
fn a_stack_made_with_helm_3_lives_loses_nothing_and_goes() {
    let lab = &*SECOND;
    let version = lab.run("helm", &["version", "--template", "{{.Version}}"], "").good();
    assert!(version.stdout.starts_with("v3."), "this life is lived with helm 3, not {}", version.stdout);
    lab.lastack("install").good().says("nothing to change");

    hostile_statements_are_stored(lab);

    lab.lastack("seed --count 2000").good().says("2,000 of 2,000 statements stored");
    lab.lastack("status").good();

    lab.lastack("uninstall --keep-data --yes").good().says("kept");
    assert_eq!(lab.kubectl("get pods -o name"), "", "pods are left");
    lab.lastack("install").good();
    let again = lab.lastack("seed --count 2000 -o json").good().json();
    assert_eq!(again["alreadyThere"], 2000, "statements did not survive `uninstall --keep-data`: {again}");

    lab.lastack("uninstall").exits(2).says("--yes");
    lab.lastack("uninstall --keep-data --yes").good();
    lab.lastack("uninstall --yes").good().says("the volumes that an earlier uninstall kept").says("Gone in");
    lab.run("kubectl", &["get", "namespace", lab.namespace], "").exits(1).says("NotFound");
    lab.lastack("status").exits(3).says("There is no stack");
    lab.lastack("uninstall --yes").good().says("nothing of ours");
    crate::stack().lastack("status").good();
}

/// Every statement that the LRS takes is stored, whatever its keys and types.
fn hostile_statements_are_stored(lab: &Lab) {
    let file = repository().join("tests/fixtures/hostile-statements.ndjson");
    let lines = std::fs::read_to_string(&file).expect("the fixture").lines().filter(|line| !line.trim().is_empty()).count();
    let report = lab.lastack(&format!("seed {} -o json", file.display())).good().json();
    assert_eq!(report["accepted"], lines, "{report}");
    assert_eq!(report["found"], lines, "{report}");
}
