//! `status` of a healthy, incomplete or partly hidden stack.

use std::io::{BufRead, BufReader};
use std::process::Child;

use http::Method;
use serde_json::json;

use crate::support::machine::TOKEN;
use crate::support::server::Reply;
use crate::support::stack::{DATA_LAKE, MockedStack, lrs_labels, stuck_pod};

/// A `status` that keeps running, and the lines that it prints.
fn watch(stack: &MockedStack, line: &str) -> (Child, impl Iterator<Item = String>) {
    let mut child = stack
        .machine
        .command(&line.split(' ').collect::<Vec<_>>())
        .spawn()
        .expect("the program runs");
    let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    (child, stdout.lines().map(|line| line.expect("text")))
}

#[test]
fn status_of_a_healthy_stack_prints_a_table_and_exits_with_0() {
    let stack = MockedStack::installed();
    let ended = stack.machine.run("status");
    ended.exits(0).says_nothing().never_shows(TOKEN);
    let header = ["COMPONENT", "RUNS", "PODS", "RESPONSE", "DATA", "NEWEST", "URL"];
    assert_eq!(ended.stdout.lines().next().unwrap().split_whitespace().collect::<Vec<_>>(), header);
    ended
        .prints("lrs")
        .prints("5.0.1, chart 0.1.0")
        .prints("heartbeat ok")
        .prints("8.19.21")
        .prints("0 statements, 31 MB")
        .prints("3 dashboards, 31 charts")
        .never_shows("outdated")
        .prints("ECK 3.5.0");
}

#[test]
fn program_without_arguments_prints_help_and_the_status() {
    let stack = MockedStack::installed();
    stack
        .machine
        .run("")
        .exits(0)
        .prints("kubectl lastack install")
        .prints("\nIn namespace alice of context lab:\nCOMPONENT")
        .prints("heartbeat ok");
}

#[test]
fn status_as_json_has_stable_fields() {
    let document = MockedStack::installed().machine.run("status -o json").exits(0).json();
    assert_eq!(document["apiVersion"], "lastack/v1");
    assert_eq!(document["kind"], "Status");
    assert_eq!((&document["context"], &document["namespace"]), (&"lab".into(), &"alice".into()));
    assert_eq!((&document["installed"], &document["healthy"]), (&true.into(), &true.into()));
    let parts: Vec<&str> = document["components"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| part["component"].as_str().unwrap())
        .collect();
    assert_eq!(parts, ["lms", "lrs", "datalake", "dataviz", "operator"]);
    assert_eq!(document["components"][0]["response"]["state"], "good");
    assert_eq!(document["components"][0]["figures"]["waiting"], 0, "{document:#}");
    assert_eq!(document["components"][2]["figures"]["statements"], 0);
}

#[test]
fn status_as_yaml_equals_json_and_wide_adds_internal_addresses() {
    let stack = MockedStack::installed();
    let yaml = stack.machine.run("status -o yaml");
    let document: serde_json::Value = serde_saphyr::from_str(&yaml.exits(0).stdout).expect("YAML");
    assert_eq!((&document["kind"], &document["healthy"]), (&"Status".into(), &true.into()));
    stack.lrs.has(&[
        json!({"id": "00000000-0000-4000-8000-000000000001", "timestamp": "2026-11-29T08:00:00Z", "stored": "2026-11-29T08:00:31Z"}),
        json!({"id": "00000000-0000-4000-8000-000000000002", "timestamp": "2026-11-29T08:00:00Z", "stored": "2026-11-29T08:00:58Z"}),
    ]);
    let wide = stack.machine.run("status -o wide");
    wide.exits(0)
        .prints("SENT")
        .prints("LAST HOUR")
        .prints("31s, 95%: 58s")
        .prints("http://lrs-ralph.alice.svc/xAPI")
        .prints("https://data-lake-es-http.alice.svc:9200");
    stack.machine.run("status").never_shows("INSIDE");
}

#[test]
fn watch_without_a_terminal_prints_json_per_check_and_a_table_per_change() {
    let stack = MockedStack::installed();
    let (mut documents_child, mut documents) = watch(&stack, "status -w -o json");
    let (mut tables_child, mut tables) = watch(&stack, "status -w");
    let healthy = |line: &str| {
        serde_json::from_str::<serde_json::Value>(line).expect("a document a line")["healthy"]
            .clone()
    };
    for _ in 0..3 {
        assert_eq!(healthy(&documents.next().expect("a look")), true);
    }
    stack.lrs.always(Reply::Json(500, serde_json::json!({"database": "error"})));
    assert!(
        documents.by_ref().take(20).any(|line| healthy(&line) == false),
        "the watch should report the fault"
    );
    let seen: Vec<String> =
        tables.by_ref().take_while(|line| !line.starts_with("fault: lrs response")).collect();
    assert_eq!(
        seen.iter().filter(|line| line.starts_with("COMPONENT")).count(),
        2,
        "the watch should print one table first and one for the change:\n{}",
        seen.join("\n")
    );
    for child in [&mut documents_child, &mut tables_child] {
        child.kill().and_then(|()| child.wait()).expect("the program runs until the test ends it");
    }
}

#[test]
fn watch_detects_a_release_that_disappears() {
    let stack = MockedStack::installed();
    let (mut child, mut documents) = watch(&stack, "status -w -o json");
    let mut looks = documents.by_ref().map(|line| {
        let document: serde_json::Value = serde_json::from_str(&line).expect("a document a line");
        let parts = document["components"].as_array().expect("components").clone();
        parts.into_iter().find(|part| part["component"] == "lrs").expect("the row of Ralph")["runs"]
            ["state"]
            .clone()
    });
    assert_eq!(looks.next(), Some("good".into()));
    stack.helm.lists(serde_json::json!([]));
    assert!(looks.take(5).any(|state| state == "bad"), "each check should query helm again");
    child.kill().and_then(|()| child.wait()).expect("the program runs until the test ends it");
}

#[test]
fn watch_continues_after_a_failed_check() {
    let stack = MockedStack::installed();
    let mut looks = 0;
    stack.kubernetes.reacts(Method::GET, "/version", move |_, _| {
        looks += 1;
        (2..=3).contains(&looks).then(|| Reply::text(503, "the server restarts"))
    });
    let (mut child, documents) = watch(&stack, "status -w -o json");
    assert_eq!(
        documents.take(2).count(),
        2,
        "the watch should print a document before and after the failure"
    );
    child.kill().expect("the program runs until the test ends it");
    let ended = stack
        .machine
        .ended("status -w -o json", child.wait_with_output().expect("the program ends"));
    ended.says("warning: the API server responded with 503: the server restarts; retrying\n");
    assert_eq!(
        ended.stderr.lines().count(),
        1,
        "the watch should report the same error once:\n{ended}"
    );
}

#[test]
fn status_without_a_stack_fails() {
    let stack = MockedStack::empty();
    stack
        .machine
        .run("status")
        .exits(3)
        .prints_nothing()
        .says("No stack in namespace alice of context lab")
        .says("kubectl lastack install");
    let document = stack.machine.run("status -o json").exits(3).json();
    assert_eq!((&document["installed"], &document["healthy"]), (&false.into(), &false.into()));
}

#[test]
fn status_without_one_permission_reports_one_unknown_cell() {
    let stack = MockedStack::installed();
    let sentence = stack.hides_pods();
    let ended = stack.machine.run("status");
    ended.prints("unknown").prints(sentence).prints("5.0.1, chart 0.1.0").prints("ECK 3.5.0");
}

#[test]
fn status_of_a_forbidden_resource_is_unknown_and_no_fault() {
    let stack = MockedStack::installed();
    let sentence = "elasticsearches.elasticsearch.k8s.elastic.co \"data-lake\" is forbidden: User \"alice\" cannot get resource";
    stack.kubernetes.forbids(Method::GET, DATA_LAKE, sentence);
    stack.machine.run("status").exits(0).prints("unknown").prints(sentence);
}

#[test]
fn status_with_a_failed_lrs_backend_quotes_the_lrs() {
    let stack = MockedStack::installed();
    stack.lrs.always(Reply::Json(500, serde_json::json!({"database": "error"})));
    stack.machine.run("status").exits(3).prints("fault: lrs response").prints("responded with 500");
}

#[test]
fn status_with_a_read_only_index_fails_although_components_are_healthy() {
    let stack = MockedStack::installed();
    let mut index = stack.elasticsearch.index().expect("the index");
    let mut block = |name: &str, set: &str| {
        index["settings"][name] = set.into();
        stack.elasticsearch.has_index(index.clone());
    };
    block("index.blocks.read_only_allow_delete", "true");
    stack.machine
        .run("status")
        .exits(3)
        .prints("heartbeat ok")
        .prints("cannot store statements")
        .never_shows("accepts statements")
        .prints("fault: datalake data: 0 statements, 31 MB: index statements accepts no statements, because a disk of the data lake is full")
        .prints("Elasticsearch removes the block");
    stack.machine
        .run("install")
        .exits(1)
        .says("datalake.index: index statements accepts no statements, because a disk of the data lake is full")
        .says("hint: free disk space");
    block("index.blocks.read_only_allow_delete", "false");
    stack.machine.run("status").exits(0).prints("accepts statements");
    block("index.blocks.write", "true");
    stack.machine
        .run("status")
        .exits(3)
        .prints("because index.blocks.write")
        .prints("-X PUT https://localhost:9200/statements/_settings -H 'Content-Type: application/json' -d '{\"index.blocks.write\":null}'");
}

#[test]
fn status_with_a_hanging_moodle_reports_one_failed_cell() {
    let stack = MockedStack::installed();
    stack.kubernetes.replies(
        Method::GET,
        "/api/v1/namespaces/alice/pods/lms-moodle-0/exec",
        Reply::Hang,
    );
    stack
        .machine
        .run("status --request-timeout 5s")
        .exits(3)
        .prints("fault: lms data: script state.php of Moodle did not end within 5")
        .prints("heartbeat ok");
}

#[test]
fn status_of_a_component_without_a_ready_pod_fails() {
    let stack = MockedStack::installed();
    stack.kubernetes.replies(
        Method::GET,
        "/api/v1/namespaces/alice/pods",
        Reply::ok(serde_json::json!({"metadata": {}, "items": []})),
    );
    stack.machine.run("status").exits(3).prints("0/1").prints("service lrs-ralph has no ready pod");
}

#[test]
fn status_counts_data_lake_nodes_without_a_pod() {
    let stack = MockedStack::installed();
    let mut lake = stack.kubernetes.object(DATA_LAKE).expect("the data lake");
    lake["spec"]["nodeSets"][0]["count"] = serde_json::json!(3);
    stack.kubernetes.put([lake]);
    let status = stack.machine.run("status -o json").exits(3).json();
    assert_eq!(
        status["components"][2]["pods"],
        serde_json::json!({"state": "bad", "detail": "1/3"}),
        "{status:#}"
    );
}

#[test]
fn status_prints_why_a_pod_is_not_ready() {
    let stack = MockedStack::installed();
    let waiting =
        serde_json::json!({"reason": "ImagePullBackOff", "message": "ralph:5.0.1: not found"});
    let pod = stuck_pod("lrs-ralph-1", "alice", lrs_labels(), "fundocker/ralph:5.0.1", waiting, 0);
    stack.kubernetes.replies(
        Method::GET,
        "/api/v1/namespaces/alice/pods",
        Reply::ok(serde_json::json!({"metadata": {}, "items": [pod]})),
    );
    stack.machine.run("status").exits(3).prints("fault: lrs pods: 0/1: pod lrs-ralph-1 cannot pull fundocker/ralph:5.0.1: not found in the registry");
}

#[test]
fn status_without_helm_prints_the_other_cells() {
    let stack = MockedStack::installed();
    std::fs::remove_file(stack.machine.path("bin/helm")).unwrap();
    stack
        .machine
        .run("status")
        .exits(3)
        .prints("`helm` is not on PATH")
        .prints("8.19.21")
        .prints("heartbeat ok");
}

#[test]
fn status_fails_when_the_newest_statement_is_older_than_the_limit() {
    let stack = MockedStack::installed();
    stack.machine.run("status --fail-if-older 10m").exits(3).says("the data lake has no statement");
    let newest = |minutes: i64| {
        let at = jiff::Timestamp::now() - jiff::SignedDuration::from_mins(minutes);
        let found = serde_json::json!({"hits": {"total": {"value": 1}}, "aggregations": {"newest": {"value": at.as_millisecond()}}});
        // for the newest statement, and for those of the last hour
        let replies = [Reply::ok(found.clone()), Reply::ok(found)];
        stack.elasticsearch.next("/statements/_search", replies);
    };
    newest(20);
    stack
        .machine
        .run("status --fail-if-older 10m")
        .exits(3)
        .says("the newest statement was stored 20m ago; the limit is 10m");
    newest(20);
    stack.machine.run("status --fail-if-older 30m").exits(0);
}
