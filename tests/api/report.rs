//! `report`: its first page, its parts, and what it never contains.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::json;

use crate::support::stack::{MockedStack, lrs_labels};

use super::install::passwords;

/// The texts of all files of a report, each after its name.
fn unzipped(file: &Path) -> Vec<(String, String)> {
    let mut archive =
        zip::ZipArchive::new(File::open(file).expect("a report")).expect("a zip archive");
    let mut files = Vec::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).expect("a file");
        let mut text = String::new();
        entry.read_to_string(&mut text).expect("a text");
        files.push((entry.name().expect("a name").into_owned(), text));
    }
    files
}

#[test]
fn report_of_a_broken_stack_names_the_fault_on_its_first_page() {
    let stack = MockedStack::installed();
    stack.moodle.world().free_bytes = 1 << 20;
    stack.machine.run("report out.zip").exits(0).prints_nothing().says("to out.zip");
    let files = unzipped(&stack.machine.path("out.zip"));
    let (name, first) = &files[0];
    assert_eq!(name, "README.txt");
    assert!(first.contains("error    lms.healthy: data: "), "{first}");
    assert!(first.contains("the volume with Moodle's files is full"), "{first}");
    assert!(first.contains("LEFT OUT\n  nothing"), "{first}");
    let listed = |name: &&str| first.contains(&format!("  {name}\n"));
    let others: Vec<&str> = files[1..].iter().map(|(name, _)| name.as_str()).collect();
    assert!(others.iter().all(listed), "{first}\n{others:?}");
    stack.machine.run("report out.zip").exits(2).says("out.zip: exists already");
}

#[test]
fn report_contains_no_password_and_no_person_wherever_they_are() {
    let stack = MockedStack::installed();
    let passwords = passwords(&stack);
    let canary = passwords
        .iter()
        .flat_map(|one| [one.clone(), STANDARD.encode(one)])
        .collect::<Vec<_>>()
        .join(" ");
    let person =
        r#"{"actor": {"name": "Ada Lovelace", "mbox": "mailto:ada@example.org"}} from 203.0.113.7"#;
    let text = format!("{canary} {person}");
    let status = json!([{"name": "main", "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": {"running": {}}}]);
    stack.kubernetes.put([
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "leaky", "namespace": "alice", "labels": lrs_labels(), "annotations": {"note": text}},
               "spec": {"containers": [{"name": "main", "env": [{"name": "OPEN", "value": "from-the-environment"}], "args": [text]}]},
               "status": {"containerStatuses": status}}),
        json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "leaky", "namespace": "alice"}, "message": text,
               "involvedObject": {"kind": "Pod", "name": "leaky"}, "lastTimestamp": "2026-11-29T12:00:00Z"}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "leaky", "namespace": "alice", "annotations": {"note": text}}, "spec": {"ports": []}}),
    ]);
    stack.kubernetes.logs("leaky", &format!("2026-11-29T12:00:00Z {text}\n"));
    stack.machine.run("report out.zip").exits(0);
    let files = unzipped(&stack.machine.path("out.zip"));
    let log = files.iter().find(|(name, _)| name == "logs/leaky-main.log").expect("the log");
    assert!(log.1.contains("[secret]") && log.1.contains("[person]"), "{}", log.1);
    let people = ["Ada Lovelace", "ada@example.org", "203.0.113.7", "from-the-environment"]
        .map(String::from);
    for (name, text) in &files {
        for canary in passwords.iter().chain(&people) {
            assert!(!text.contains(canary.as_str()), "{name} should not contain {canary}");
        }
    }
}

#[test]
fn report_without_some_permissions_says_what_it_left_out() {
    let stack = MockedStack::installed();
    let forbidden =
        |what: &str| format!("{what} is forbidden: User \"alice\" cannot list resource \"{what}\"");
    for what in ["events", "secrets"] {
        let path = format!("/api/v1/namespaces/alice/{what}");
        stack.kubernetes.forbids(Method::GET, &path, &forbidden(what));
    }
    stack
        .machine
        .run("report out.zip")
        .exits(0)
        .says(&format!("left out: events.txt: {}", forbidden("events")))
        .says("so only patterns hide passwords");
    let files = unzipped(&stack.machine.path("out.zip"));
    assert!(files[0].1.contains(&format!("events.txt: {}", forbidden("events"))), "{}", files[0].1);
    assert!(files.iter().any(|(name, _)| name == "objects/pods.yaml"), "{files:?}");
}

#[test]
fn report_that_cannot_reach_the_cluster_leaves_no_file() {
    let stack = MockedStack::installed();
    let machine = stack.machine;
    machine.run("report out.zip --server https://127.0.0.1:1").exits(4);
    assert!(!machine.path("out.zip").exists());
}
