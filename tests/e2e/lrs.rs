//! A stack with the LRS only, beside the shared one: its faults, and their repair by `install`.

use std::io::{BufRead, BufReader};
use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::beside;
use crate::cluster::{Cluster, Ended};
use crate::support::program;
use crate::turns::Turn;

const NAMESPACE: &str = "e2e-lrs";
static LRS: LazyLock<Cluster> = LazyLock::new(|| Cluster::new(NAMESPACE, "4"));

/// An LRS and its data lake for the exclusive use of this test. `install` repairs the state of an earlier test.
pub fn lrs() -> &'static Cluster {
    if beside(NAMESPACE) == Turn::Began {
        LRS.lastack("install --only lrs --timeout 5m").good();
    }
    &LRS
}

#[test]
fn seed_of_stdin_stores_valid_statements_and_rejects_an_invalid_one() {
    let good = |n: u32| {
        json!({
            "id": format!("00000000-0000-4000-8000-00000000000{n}"), "timestamp": "2026-03-01T10:00:00Z",
            "actor": {"account": {"homePage": "https://example.org", "name": "1"}},
            "verb": {"id": "http://id.tincanapi.com/verb/viewed"}, "object": {"id": "https://example.org/1"},
        })
        .to_string()
    };
    let bad = good(9).replace(r#""homePage":"https://example.org","#, "");
    let lines = format!("{}\n{bad}\n{}\n", good(1), good(2));
    let ended = lrs().run("kubectl-lastack", &["seed", "-"], &lines);
    ended.exits(1).shows("2 of 3 statements stored").shows("rejected: standard input: statement 2");
}

#[test]
fn install_restores_a_deleted_service_and_a_scaled_deployment() {
    lrs().kubectl("delete service lrs-ralph");
    lrs().kubectl("scale deployment lrs-ralph --replicas=0");
    lrs().lastack("status").exits(3).shows("lrs response");
    lrs().lastack("install").good();
    lrs().lastack("status").good();
}

#[test]
fn password_changed_in_its_secret_is_used_after_the_next_install() {
    lrs().kubectl(r#"patch secret lrs-ralph -p {"stringData":{"password":"chosen-by-a-user"}}"#);
    lrs().lastack("install").good();
    lrs().lastack("status").good();
    let shown = lrs().lastack("creds lrs -o json").good().json();
    assert_eq!(
        shown["items"][0]["password"], "chosen-by-a-user",
        "install should keep the changed password"
    );
}

#[test]
fn install_rolls_back_when_image_cannot_be_pulled() {
    let values = lrs().file("bad.yaml", "image: {tag: 9.9.9}\n");
    let none = lrs().file("none.yaml", "{}\n");
    let install =
        |file: &std::path::Path| lrs().lastack(&format!("install --values lrs={}", file.display()));
    install(&values)
        .exits(1)
        .shows("ralph:9.9.9: not found in the registry")
        .shows("release lrs was rolled back to revision");
    lrs().lastack("status").good();
    install(&none).good();
    lrs().lastack("install").good().shows("nothing to change");
}

/// A helm that is killed together with the calling program once the release is `pending-upgrade`. The script stops helm
/// during each check, so that helm cannot finish first.
const DYING_HELM: &str = r#"#!/bin/bash
case " $* " in *" upgrade "*) ;; *) exec REAL "$@" ;; esac
REAL "$@" &
helm=$!
while sleep 0.02 && kill -STOP $helm 2>/dev/null; do
  if kubectl get secret -n e2e-lrs -l owner=helm,name=lrs,status=pending-upgrade -o name | grep -q .; then kill -9 $PPID $helm; exit 137; fi
  kill -CONT $helm
done
wait $helm
"#;

#[test]
fn install_killed_during_helm_is_completed_by_the_next_install() {
    let real = lrs().shell("command -v helm").good().stdout.trim().to_string();
    let directory = tempfile::tempdir().expect("a directory");
    let helm = directory.path().join("helm");
    program::write(&helm, &DYING_HELM.replace("REAL", &real));
    let values = lrs().file("annotated.yaml", "podAnnotations: {lastack/test: killed}\n");
    let none = lrs().file("none.yaml", "{}\n");
    let path = lrs().shell("printf %s \"$PATH\"").good().stdout;
    lrs().lastack(&format!("install --values lrs={}", none.display())).good();
    let mut install = lrs()
        .command("kubectl-lastack", &["install", "--values", &format!("lrs={}", values.display())]);
    install.env("PATH", format!("{}:{path}", directory.path().display()));
    Ended::of("install that is killed with its helm", install.spawn().expect("the program starts"))
        .is_killed();
    lrs()
        .run("helm", &["status", "lrs", "-n", lrs().namespace], "")
        .good()
        .shows("pending-upgrade");
    lrs().lastack("install").good();
    lrs().run("helm", &["status", "lrs", "-n", lrs().namespace], "").good().shows("deployed");
    let annotation = lrs().kubectl(
        "get deployment lrs-ralph -o jsonpath={.spec.template.metadata.annotations.lastack/test}",
    );
    assert_eq!(
        annotation, "killed",
        "the next install should complete the values of the killed one"
    );
    lrs().lastack(&format!("install --values lrs={}", none.display())).good();
}

/// The number of stored statements.
pub fn stored() -> Value {
    let status = lrs().lastack("status -o json").json();
    let datalake = status["components"]
        .as_array()
        .expect("components")
        .iter()
        .find(|part| part["component"] == "datalake")
        .expect("a data lake");
    datalake["figures"]["statements"].clone()
}

#[test]
fn seed_stores_every_statement_once_when_the_lrs_pod_is_deleted() {
    let before = stored();
    // statements that no earlier run of this test has stored
    let new = std::process::id();
    let mut seed = lrs().start(&format!("seed --count 8000 --seed {new} --concurrency 2 -o json"));
    while stored() == before {
        assert!(
            seed.try_wait().expect("the seed process").is_none(),
            "the seed should run until the LRS pod is deleted"
        );
    }
    lrs().kubectl("delete pod -l app.kubernetes.io/instance=lrs --force --grace-period=0");
    let report = Ended::of("seed while the LRS dies", seed).good().json();
    assert_eq!(
        (&report["sent"], &report["found"], &report["rejected"]),
        (&8_000.into(), &8_000.into(), &0.into()),
        "{report}"
    );
}

#[test]
fn interrupted_install_reports_it_and_the_next_install_succeeds() {
    let mut install = lrs().start("install");
    let mut said = BufReader::new(install.stderr.take().expect("a pipe")).lines();
    assert!(said.next().is_some_and(|line| line.is_ok_and(|line| line.starts_with("Installing"))));
    lrs().run("kill", &["-INT", &install.id().to_string()], "").good();
    let said: Vec<String> = said.map_while(Result::ok).collect();
    assert_eq!(install.wait().expect("the install ends").code(), Some(130));
    assert!(said.iter().any(|line| line.contains("interrupted")), "{said:?}");
    lrs().lastack("install").good();
}

#[test]
fn uninstall_deletes_a_partial_stack_and_its_namespace() {
    lrs().lastack("uninstall --yes").good().shows("Deleted in");
    lrs().run("kubectl", &["get", "namespace", lrs().namespace], "").exits(1).shows("NotFound");
}
