//! From nothing to nothing with helm 3, in a namespace of its own; data that outlives its stack; keys that hurt.

use std::sync::LazyLock;

use crate::lab::{Lab, eventually, repository};
use crate::parts::superset_as_admin;

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

    lab.lastack("seed --count 2000").good().says("2,000 of 2,000 statements stored");
    lab.lastack("status").good();

    lab.lastack("uninstall --keep-data --yes").good().says("kept");
    eventually("no pods are left", || lab.kubectl("get pods -o name").is_empty());
    background_workers_do_their_part(lab);
    let again = lab.lastack("seed --count 2000 -o json").good().json();
    assert_eq!(again["alreadyThere"], 2000, "statements did not survive `uninstall --keep-data`: {again}");
    // after the charts were compared: these belong to no answer
    hostile_statements_are_stored(lab);

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

/// As many kinds of pods as the production profile has, asking for so little that they fit beside another stack on two cores.
const WITH_WORKERS: &str = "replicas: 2\nresources: {requests: {cpu: 20m}}\ncache: {enabled: true}\nbeat: {enabled: true}\n\
                            worker: {replicas: 1, concurrency: 1, resources: {requests: {cpu: 20m}}}\n";

/// Installs Superset so, and sees charts come from the cache that all its pods share, and tasks go from beat to the worker.
fn background_workers_do_their_part(lab: &Lab) {
    let values = lab.file("workers.yaml", WITH_WORKERS);
    lab.lastack(&format!("install --expose loadbalancer --values dataviz={}", values.display())).good();
    lab.lastack("status").good().says("2/2").says("login ok");
    let ready = lab.kubectl("get deployments -l app.kubernetes.io/instance=dataviz -o jsonpath={.items[*].status.readyReplicas}");
    assert_eq!(ready, "2 1 1 1", "web, beat, worker and Valkey run when install says ready");

    lab.lastack("seed").good();
    lab.lastack("dashboards check --answers data/answers.json --fail-on-error").good().says("29 of 29 charts are good");
    // in turns by either pod of the web server, each of which has processes of its own
    let script = r#"dataset=$(get dataset/ | pick "['result'][0]['id']")
        query='{"datasource":{"id":'$dataset',"type":"table"},"queries":[{"columns":[],"metrics":["learners"]}]}'
        for _ in 1 2 3 4 5 6; do send POST chart/data "$query" | pick "['result'][0]['is_cached']"; done"#;
    let asked = superset_as_admin(lab, script).good();
    let cached: Vec<&str> = asked.stdout.split_whitespace().collect();
    assert_eq!(cached[1..], ["True"; 5], "only the first of the same questions is new: {cached:?}");

    eventually("the worker has done a task that beat sent", || {
        let log = lab.kubectl("logs deployment/dataviz-superset-worker -c worker");
        log.lines().any(|line| line.contains("reports.scheduler") && line.contains("succeeded"))
    });
}
