//! `check`, `diff` and `report` on a real stack: everything passes, a real fault fails its check, and its Role suffices.

use serde_json::Value;

use crate::cluster::{Cluster, Ended, Own};
use crate::permissions::{account_for, assert_denied};
use crate::{beside, stack};

/// The ids of the checks with this result.
fn of(report: &Value, result: &str) -> Vec<String> {
    let checks = report["checks"].as_array().expect("the checks");
    let with_result = checks.iter().filter(|check| check["result"] == result);
    with_result.map(|check| check["id"].as_str().expect("an id").to_owned()).collect()
}

fn failed(ended: &Ended) -> Vec<String> {
    of(&ended.json(), "failed")
}

#[test]
fn check_of_the_stack_passes_and_a_fault_fails_its_check_alone() {
    let report = stack().lastack("check -o json").good().json();
    let passed = of(&report, "passed").len();
    assert_eq!(passed, report["checks"].as_array().unwrap().len(), "{report:#}");
    stack().lastack("check").good().prints("checks in");

    stack().kubectl("delete networkpolicy data-lake");
    assert_eq!(failed(&stack().lastack("check -o json").exits(3)), ["datalake.network"]);
    stack().lastack("check").exits(3).prints("error    datalake.network");
    stack().lastack("install").good();

    stack().kubectl("label deployment lrs-ralph app.kubernetes.io/version=changed --overwrite");
    assert_eq!(failed(&stack().lastack("check -o json").exits(3)), ["lrs.release"]);
    stack()
        .lastack("diff")
        .exits(3)
        .prints("--- deployment/lrs-ralph (cluster)")
        .prints("@@ .metadata.labels.app.kubernetes.io/version @@\n-changed\n+");
    stack().lastack("install").good();
    stack().lastack("check").good();
    stack().lastack("diff").good().shows("No differences");
}

#[test]
fn check_pulls_every_image_and_leaves_nothing() {
    stack().lastack("check --pull -v").good().prints("ok       preflight.images");
    let jobs = stack().kubectl_json("get jobs");
    let is_left = |job: &Value| {
        let prefix = job["metadata"]["generateName"].as_str();
        prefix == Some("lastack-check-") && job["metadata"]["deletionTimestamp"].is_null()
    };
    assert!(!jobs["items"].as_array().unwrap().iter().any(is_left), "{jobs:#}");
}

/// A webhook whose service is down rejects every Pod, also those that restart later.
#[test]
fn check_names_a_webhook_that_rejects_every_pod() {
    const NAMESPACE: &str = "e2e-rejects";
    let webhook = format!(
        "apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {{ name: {NAMESPACE} }}
webhooks:
  - name: pods.example.org
    admissionReviewVersions: [v1]
    sideEffects: None
    namespaceSelector: {{ matchLabels: {{ kubernetes.io/metadata.name: {NAMESPACE} }} }}
    rules: [{{ apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods] }}]
    clientConfig: {{ service: {{ name: absent, namespace: {NAMESPACE} }} }}
"
    );
    beside(NAMESPACE);
    let rejects = Own(Cluster::new(NAMESPACE, "4"));
    let file = rejects.file("webhook.yaml", &webhook);
    rejects.kubectl(&format!("create namespace {NAMESPACE}"));
    rejects.kubectl(&format!("apply -f {}", file.display()));
    let ended = rejects.lastack("check --pre");
    rejects.kubectl(&format!("delete -f {}", file.display()));
    rejects.kubectl(&format!("delete namespace {NAMESPACE}"));
    ended
        .exits(3)
        .prints("error    preflight.admission")
        .prints("failed calling webhook \"pods.example.org\"")
        .prints("1 failed");
}

#[test]
fn check_role_allows_every_check_and_no_change() {
    let user = account_for("check", stack());
    let report = stack().lastack(&format!("check -o json {user}")).good().json();
    let beyond_the_namespace = [
        "preflight.storage",
        "preflight.room",
        "preflight.architecture",
        "preflight.binding",
        "preflight.node-clocks",
        "namespace",
    ];
    assert_eq!(of(&report, "unknown"), beyond_the_namespace, "{report:#}");
    let folder = tempfile::tempdir().expect("a folder");
    let report = folder.path().join("report.zip");
    let other = account_for("report", stack());
    let written = stack().lastack(&format!("report {} {other}", report.display())).good();
    assert!(!written.stderr.contains("left out"), "{written}");
    stack().lastack(&format!("diff {user}")).good().shows("No differences");
    assert_denied(
        &user,
        &[
            "delete deployment lrs-ralph",
            "create configmap beyond",
            "scale deployment lrs-ralph --replicas=0",
        ],
    );
}
