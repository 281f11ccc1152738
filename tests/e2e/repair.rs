//! What breaks is named, and install mends it.

use std::io::{BufRead, BufReader};

use serde_json::Value;

use crate::lab::Ended;
use crate::stack;

#[test]
fn a_deleted_service_and_a_scaled_deployment_show_in_status_and_are_mended() {
    stack().kubectl("delete service lrs-ralph");
    stack().kubectl("scale deployment lrs-ralph --replicas=0");
    stack().lastack("status").exits(3).says("ralph answers");
    stack().lastack("install").good();
    stack().lastack("status").good();
}

#[test]
fn a_password_changed_in_its_secret_is_the_password_after_the_next_install() {
    stack().kubectl(r#"patch secret lrs-ralph -p {"stringData":{"password":"chosen-by-a-person"}}"#);
    stack().lastack("install").good();
    stack().lastack("status").good();
    let shown = stack().lastack("creds lrs -o json").good().json();
    assert_eq!(shown["items"][0]["password"], "chosen-by-a-person", "a person's password is kept");
}

#[test]
fn an_image_that_cannot_be_pulled_ends_the_install_and_leaves_the_old_revision_running() {
    let values = stack().file("bad.yaml", "image: {tag: 9.9.9}\n");
    let none = stack().file("none.yaml", "{}\n");
    let install = |file: &std::path::Path| stack().lastack(&format!("install --values lrs={}", file.display()));
    install(&values).exits(1).says("cannot pull fundocker/ralph:9.9.9: not found in the registry").says("release lrs is back at what revision");
    stack().lastack("status").good();
    install(&none).good();
    stack().lastack("install").good().says("nothing to change");
}

/// A helm that is killed, and the program that called it with it, once the release is marked as being worked on. It
/// stands still while that is looked up, so that it cannot get away.
const DYING_HELM: &str = r#"#!/bin/bash
case " $* " in *" upgrade "*) ;; *) exec REAL "$@" ;; esac
REAL "$@" &
helm=$!
while sleep 0.02 && kill -STOP $helm 2>/dev/null; do
  if kubectl get secret -n e2e -l owner=helm,name=lrs,status=pending-upgrade -o name | grep -q .; then kill -9 $PPID $helm; exit 137; fi
  kill -CONT $helm
done
wait $helm
"#;

#[test]
fn an_install_that_was_killed_in_helm_is_finished_by_the_next() {
    let real = stack().shell("command -v helm").good().stdout.trim().to_string();
    let directory = tempfile::tempdir().expect("a directory");
    let helm = directory.path().join("helm");
    std::fs::write(&helm, DYING_HELM.replace("REAL", &real)).expect("a script");
    stack().run("chmod", &["+x", &helm.to_string_lossy()], "").good();
    let values = stack().file("annotated.yaml", "podAnnotations: {lastack/test: killed}\n");
    let none = stack().file("none.yaml", "{}\n");
    let path = stack().shell("printf %s \"$PATH\"").good().stdout;
    stack().lastack(&format!("install --values lrs={}", none.display())).good();
    let mut install = stack().command("kubectl-lastack", &["install", "--values", &format!("lrs={}", values.display())]);
    install.env("PATH", format!("{}:{path}", directory.path().display()));
    Ended::of("install that is killed with its helm".into(), install.spawn().expect("the program starts")).exits(-1);
    stack().run("helm", &["status", "lrs", "-n", "e2e"], "").good().says("pending-upgrade");
    stack().lastack("install").good();
    stack().run("helm", &["status", "lrs", "-n", "e2e"], "").good().says("deployed");
    let annotation = stack().kubectl("get deployment lrs-ralph -o jsonpath={.spec.template.metadata.annotations.lastack/test}");
    assert_eq!(annotation, "killed", "the install that was killed is the one that was finished");
    stack().lastack(&format!("install --values lrs={}", none.display())).good();
}

/// How many statements there are.
fn stored() -> Value {
    let status = stack().lastack("status -o json").json();
    let datalake = status["parts"].as_array().expect("parts").iter().find(|part| part["part"] == "datalake").expect("a data lake");
    datalake["figures"]["statements"].clone()
}

#[test]
fn an_lrs_that_dies_while_it_is_fed_loses_nothing_and_stores_nothing_twice() {
    let before = stored();
    // statements that no earlier run of this test has stored
    let new = std::process::id();
    let mut seed = stack().start(&format!("seed --count 20000 --seed {new} --concurrency 2 -o json"));
    while stored() == before {
        assert!(seed.try_wait().expect("the seed can be asked").is_none(), "the seed ended before its LRS could die");
    }
    stack().kubectl("delete pod -l app.kubernetes.io/instance=lrs --force --grace-period=0");
    let report = Ended::of("seed while the LRS dies".into(), seed).good().json();
    assert_eq!((&report["sent"], &report["found"], &report["refused"]), (&20_000.into(), &20_000.into(), &0.into()), "{report}");
}

#[test]
fn a_profile_and_a_value_that_do_not_fit_are_refused_before_anything_is_changed() {
    let before = stack().versions();
    stack().lastack("install --profile production").exits(1).says("preflight.room").says("choose a smaller `--profile`");
    let values = stack().file("unknown.yaml", "replica: 2\n");
    let refused = stack().lastack(&format!("install --values lms={}", values.display())).exits(1);
    refused.says("preflight.values").says("the values for lms do not fit charts/moodle").says("replica");
    assert_eq!(stack().versions(), before, "a refused install changes nothing, and remembers nothing of it");
}

#[test]
fn an_interrupted_install_says_so_and_the_next_one_works() {
    let mut install = stack().start("install");
    let mut said = BufReader::new(install.stderr.take().expect("a pipe")).lines();
    assert!(said.next().is_some_and(|line| line.is_ok_and(|line| line.starts_with("Installing"))));
    stack().run("kill", &["-INT", &install.id().to_string()], "").good();
    let said: Vec<String> = said.map_while(Result::ok).collect();
    assert_eq!(install.wait().expect("it ends").code(), Some(130));
    assert!(said.iter().any(|line| line.contains("interrupted")), "{said:?}");
    stack().lastack("install").good();
}
