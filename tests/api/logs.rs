//! `logs` merges the logs of all containers.

use http::Method;
use serde_json::{Value, json};

use crate::support::stack::{MockedStack, lrs_labels};

/// A Pod with a container that runs and one that waits.
fn pod(name: &str, labels: Value) -> Value {
    let status = |container: &str, state: Value| json!({"name": container, "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": state});
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "alice", "labels": labels},
           "spec": {"containers": [{"name": "main"}, {"name": "later"}]},
           "status": {"containerStatuses": [status("main", json!({"running": {}})), status("later", json!({"waiting": {}}))]}})
}

fn stack() -> MockedStack {
    let stack = MockedStack::installed();
    let lms = json!({"app.kubernetes.io/instance": "lms", "app.kubernetes.io/part-of": "lastack"});
    let foreign = json!({"app.kubernetes.io/instance": "lms"});
    stack.kubernetes.put([pod("ralph", lrs_labels()), pod("moodle", lms), pod("other", foreign)]);
    stack
        .kubernetes
        .logs(
            "ralph",
            "2026-11-29T12:00:01Z second\n2026-11-29T12:00:03Z \u{1b}[32mfourth\u{1b}[0m \u{7}\n",
        )
        .logs("moodle", "2026-11-29T12:00:00Z first\n2026-11-29T12:00:02Z third\n")
        .logs("other", "2026-11-29T12:00:00Z foreign\n");
    stack
}

#[test]
fn logs_of_all_components_are_in_the_order_of_their_times() {
    let ended = stack().machine.run("logs");
    ended.exits(0).says_nothing();
    assert_eq!(
        ended.stdout,
        "lms moodle main  first\nlrs ralph main  second\nlms moodle main  third\nlrs ralph main  fourth \\u{7}\n"
    );
}

#[test]
fn logs_of_one_component_as_json_have_a_document_per_line() {
    let ended = stack().machine.run("logs lrs -o json --since 10m");
    ended.exits(0);
    let lines: Vec<Value> = ended.json_lines();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert_eq!(
        lines[0],
        json!({"apiVersion": "lastack/v1", "kind": "LogLine", "time": "2026-11-29T12:00:01Z", "component": "lrs",
               "pod": "ralph", "container": "main", "message": "second"})
    );
}

#[test]
fn logs_without_a_container_that_has_started_name_the_next_command() {
    let stack = MockedStack::empty();
    stack.machine.run("logs").exits(1).says("no container of the stack has started").says("status");
}

#[test]
fn logs_without_the_permission_for_logs_fail() {
    let stack = stack();
    let sentence = "pods \"moodle\" is forbidden: User \"alice\" cannot get resource \"pods/log\"";
    stack.kubernetes.forbids(Method::GET, "/api/v1/namespaces/alice/pods/moodle/log", sentence);
    stack.machine.run("logs").exits(4).says(sentence);
}
