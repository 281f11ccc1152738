//! Every verb with an account that has only the Role which `rbac` prints for it.

use serde_json::{Value, json};

use crate::support::moodle;
use crate::support::stack::MockedStack;

/// A healthy stack, and a user who has only the Role for these verbs.
fn restricted_to(verbs: &str) -> MockedStack {
    let stack = MockedStack::installed();
    let role = stack.machine.run(&format!("rbac {verbs}"));
    let role: Value = serde_saphyr::from_str(&role.exits(0).stdout).expect("a Role");
    stack.kubernetes.restricts_to(role);
    stack
}

#[test]
fn role_of_a_verb_allows_every_request_of_the_verb() {
    for (verb, line) in [
        ("creds", "creds"),
        ("seed", "seed --count 10"),
        ("sources-list", "sources list"),
        ("statements", "statements --limit 1"),
        ("trace", "trace"),
        ("statements-delete", "statements delete --yes 00000000-0000-4000-8000-0000000000a1"),
        ("replay", "replay --yes"),
        ("backfill", "backfill --yes"),
        ("reconcile", "reconcile"),
        ("coverage", "coverage"),
        ("configure", "configure --course none"),
        ("dashboards-list", "dashboards list"),
        ("dashboards-apply", "dashboards apply"),
        ("dashboards-export", "dashboards export --to exported"),
        ("dashboards-check", "dashboards check events"),
    ] {
        let stack = restricted_to(verb);
        // the event that `trace` creates
        stack.lrs.has(&[moodle::statement_of_the_event()]);
        stack.superset.gives_rows(json!({"data": [{"events": 1}]}));
        stack.machine.run(line).exits(0);
        let none: [String; 0] = [];
        assert_eq!(stack.kubernetes.rejections(), none, "kubectl lastack {line}");
    }
}

#[test]
fn role_for_explaining_a_chart_does_not_blame_moodle() {
    let stack = restricted_to("dashboards-explain");
    stack.machine.run("dashboards explain events").exits(3).never_shows("Moodle does not respond");
    for rejection in stack.kubernetes.rejections() {
        assert!(rejection.contains("pods/exec"), "{rejection}");
    }
}

#[test]
fn role_for_open_allows_finding_the_page_of_a_component() {
    let stack = restricted_to("open");
    let path = "/api/v1/namespaces/alice/services/dataviz-superset";
    let mut service = stack.kubernetes.object(path).expect("the Service of Superset");
    service["status"] = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}});
    stack.kubernetes.put([service]);
    stack.machine.run("open dataviz --print").exits(0).prints("http://192.0.2.7/superset/");
    let none: [String; 0] = [];
    assert_eq!(stack.kubernetes.rejections(), none);
}

#[test]
fn role_for_status_shows_all_but_the_events_of_moodle_and_the_operator() {
    let stack = restricted_to("status");
    let ended = stack.machine.run("status -o json");
    let status = ended.exits(0).json();
    let aspect = |component: usize, name: &str| {
        let seen = &status["components"][component][name];
        (seen["state"].clone(), seen["detail"].as_str().unwrap_or_default().to_string())
    };
    let (state, detail) = aspect(0, "data");
    assert_eq!(state, "unknown", "{status:#}");
    assert!(detail.contains("pods/exec"), "the row should name the permission: {detail}");
    // the labels of the Deployment give the version, because helm stores its releases in Secrets
    assert_eq!(aspect(1, "runs"), ("good".into(), "5.0.1, chart 0.1.0".into()));
    assert!(stack.helm.calls_of("list").is_empty(), "helm cannot list releases without Secrets");
    for component in [1, 2, 3] {
        for name in ["runs", "pods", "response", "data"] {
            assert_eq!(aspect(component, name).0, "good", "{name} of {status:#}");
        }
    }
    let (operator, exec): (Vec<String>, Vec<String>) =
        stack.kubernetes.rejections().into_iter().partition(|one| one.contains("statefulsets"));
    assert_eq!(operator.len(), 1, "only the cluster shows the operator: {operator:?}");
    assert!(exec.iter().all(|one| one.contains("pods/exec")) && exec.len() == 1, "{exec:?}");
}

#[test]
fn role_for_status_and_replay_also_shows_the_events_of_moodle() {
    let stack = restricted_to("status replay");
    let status = stack.machine.run("status -o json").exits(0).json();
    assert_eq!(status["components"][0]["data"]["state"], "good", "{status:#}");
}

#[test]
fn role_for_status_without_a_deployment_reports_a_missing_component() {
    let stack = restricted_to("status");
    stack.kubernetes.remove("/apis/apps/v1/namespaces/alice/deployments/lrs-ralph");
    stack.machine.run("status").exits(3).prints("not installed");
}

#[test]
fn role_for_install_allows_a_repair_and_leaves_the_cluster_unknown() {
    let stack = restricted_to("install");
    stack.kubernetes.remove("/api/v1/namespaces/alice/configmaps/lastack-settings");
    stack.machine.run("install").exits(0);
    for rejection in stack.kubernetes.rejections() {
        assert!(rejection.contains("at the cluster scope"), "{rejection}");
    }
    stack.machine.run("install --dry-run").exits(0).prints("unknown   preflight.storage");
}

#[test]
fn role_for_uninstall_allows_the_deletion_and_keeps_the_namespace() {
    let stack = restricted_to("uninstall");
    // a volume that `uninstall` must mark before it deletes the data lake
    stack.kubernetes.put([json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": "elasticsearch-data-data-lake-es-default-0", "namespace": "alice",
                     "labels": {"elasticsearch.k8s.elastic.co/cluster-name": "data-lake"}},
    })]);
    stack.machine.run("uninstall --yes -n alice").exits(0).says("Deleted in");
    for rejection in stack.kubernetes.rejections() {
        assert!(rejection.contains("at the cluster scope"), "{rejection}");
    }
}
