//! The conditions that `install` rejects, and the foreign resources that it leaves in place.

use http::Method;
use serde_json::json;

use crate::support::kubernetes::failure;
use crate::support::server::Reply;
use crate::support::stack::{MockedStack, NAMESPACE, data_lake_labels, node, operator};

#[track_caller]
fn is_rejected(stack: &MockedStack, line: &str, sentences: &[&str]) {
    is_rejected_with(1, stack, line, sentences);
}

/// The command exits with this code, prints these sentences and changes nothing.
#[track_caller]
fn is_rejected_with(code: i32, stack: &MockedStack, line: &str, sentences: &[&str]) {
    let ended = stack.machine.run(line);
    ended.exits(code).prints_nothing();
    for sentence in sentences {
        ended.says(sentence);
    }
    let changes = stack.kubernetes.changes();
    assert!(
        changes.is_empty(),
        "a rejected install should change nothing, but sent {changes:?}\n{ended}"
    );
    assert_eq!(
        stack.helm.calls_of("upgrade").len(),
        0,
        "a rejected install should not run helm\n{ended}"
    );
}

#[test]
fn install_in_a_cluster_that_is_too_old_fails_before_any_change() {
    let stack = MockedStack::empty();
    stack.kubernetes.runs("v1.29.3");
    is_rejected(
        &stack,
        "install",
        &[
            "error: preflight.cluster: the cluster runs Kubernetes v1.29.3; the stack requires 1.32 or newer",
            "hint: upgrade the cluster",
        ],
    );
}

#[test]
fn cluster_version_with_a_vendor_suffix_is_accepted() {
    let stack = MockedStack::empty();
    stack.kubernetes.runs("v1.34.1-eks-3cfe0ce");
    stack.machine.run("install --dry-run").exits(3).prints("Kubernetes 1.34.1-eks-3cfe0ce");
}

#[test]
fn install_without_a_default_storage_class_fails_before_any_change() {
    let stack = MockedStack::empty();
    stack.kubernetes.put([json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": "lab", "metadata": {"name": "standard"}})]);
    is_rejected(
        &stack,
        "install",
        &[
            "error: preflight.storage: the cluster has no default storage class",
            "the default: kubectl patch storageclass standard",
        ],
    );
}

#[test]
fn install_with_all_volumes_bound_needs_no_default_storage_class() {
    let stack = MockedStack::installed();
    stack.kubernetes.remove("/apis/storage.k8s.io/v1/storageclasses/standard");
    let of = |release: &str| json!({"app.kubernetes.io/part-of": "lastack", "app.kubernetes.io/instance": release});
    let claims = [
        ("elasticsearch-data-data-lake-es-default-0", data_lake_labels()),
        ("lms-moodle", of("lms")),
        ("data-lms-postgresql-0", of("lms")),
        ("data-dataviz-postgresql-0", of("dataviz")),
    ];
    for (name, labels) in &claims {
        stack.machine.run("install --dry-run").exits(3).prints("blocked   preflight.storage");
        stack.kubernetes.put([json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "status": {"phase": "Bound"},
                                   "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels}})]);
    }
    stack.machine.run("install").exits(0).says("no default storage class; all volumes exist");
}

#[test]
fn install_without_a_matching_ingress_class_fails_before_any_change() {
    let stack = MockedStack::empty();
    let install = "install --expose ingress --domain la.example.org";
    is_rejected(
        &stack,
        install,
        &[
            "error: preflight.exposure: the cluster has no default IngressClass",
            "install an Ingress controller, or choose another `--expose`",
        ],
    );

    stack.kubernetes.put([json!({"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": "nginx"}})]);
    is_rejected(
        &stack,
        install,
        &["the cluster has no default IngressClass", "choose one of nginx with `--ingress-class`"],
    );
    is_rejected(
        &stack,
        &format!("{install} --ingress-class ngnix"),
        &["the cluster has no IngressClass `ngnix`", "choose one of nginx"],
    );

    let good = format!("{install} --ingress-class nginx --tls-secret wild --dry-run");
    stack
        .machine
        .run(&good)
        .exits(3)
        .prints("by Ingresses of class nginx under la.example.org; secret wild does not exist yet");
}

#[test]
fn install_with_a_value_unknown_to_the_chart_fails_before_any_change() {
    let stack = MockedStack::empty();
    stack.machine.write("values.yaml", "replica: 2\n");
    stack.helm.fails("template", "Error: values don't meet the specifications of the schema(s): additional properties 'replica' not allowed\n");
    is_rejected(
        &stack,
        "install --values lrs=values.yaml",
        &[
            "error: preflight.values: the values for lrs are not valid for charts/ralph",
            "additional properties 'replica' not allowed",
            "hint: correct the values and pass them again: --values lrs=FILE",
        ],
    );
}

#[test]
fn install_without_enough_node_capacity_fails_before_any_change() {
    let stack = MockedStack::empty();
    stack.kubernetes.put([node("500m", "16Gi")]);
    is_rejected(
        &stack,
        "install",
        &[
            "error: preflight.room: profile laptop needs 0.9 cores and 3.6 Gi; the cluster has 0.5 cores and 16.0 Gi left",
            "--skip preflight.room",
        ],
    );
    stack.machine.run("install --only operator").exits(0);
    stack.machine.run("install --skip preflight.room").exits(0);
}

#[test]
fn install_without_required_permissions_names_them_and_fails() {
    let stack = MockedStack::empty();
    stack
        .kubernetes
        .denies("create secrets")
        .denies("get pods/portforward")
        .denies("create poddisruptionbudgets");
    is_rejected_with(
        4,
        &stack,
        "install",
        &[
            "error: preflight.permissions: you may not create secrets, get pods/portforward in namespace alice",
            "hint: ask your cluster administrator",
        ],
    );
    is_rejected_with(
        4,
        &stack,
        "install --profile classroom",
        &["get pods/portforward, create poddisruptionbudgets.policy in namespace alice"],
    );
}

#[test]
fn install_without_either_verb_for_pod_connections_fails() {
    for half in
        ["get pods/exec", "create pods/exec", "get pods/portforward", "create pods/portforward"]
    {
        let stack = MockedStack::empty();
        stack.kubernetes.denies(half);
        is_rejected_with(
            4,
            &stack,
            "install",
            &[&format!("you may not {half} in namespace alice")],
        );
    }
}

#[test]
fn install_with_a_forbidden_port_forward_fails_without_waiting() {
    for (pod, step) in [
        ("lrs-ralph-0", "lrs.responds"),
        ("lms-moodle-0", "lms.responds"),
        ("dataviz-superset-0", "dataviz.responds"),
    ] {
        let sentence = format!(
            "pods \"{pod}\" is forbidden: User \"alice\" cannot get resource \"pods/portforward\" in API group \"\""
        );
        let forward = format!("/api/v1/namespaces/alice/pods/{pod}/portforward");
        let stack = MockedStack::installed();
        stack.kubernetes.forbids(Method::GET, &forward, &sentence);
        stack
            .machine
            .run("install --dry-run")
            .prints(&format!("unknown   {step:<22}  "))
            .prints(&sentence);
        stack.machine.run("install").exits(4).says(&format!("error: {step}: ")).says(&sentence);

        // the permission disappears between the check and the wait
        let stack = MockedStack::installed();
        let mut asked = 0;
        let status = failure(503, "ServiceUnavailable", "try again later");
        let rejection = failure(403, "Forbidden", &sentence);
        stack.kubernetes.reacts(Method::GET, &forward, move |_, _| {
            asked += 1;
            Some(if asked < 4 { status.clone() } else { rejection.clone() })
        });
        stack.machine.run("install --only lrs,lms,dataviz --timeout 60s").exits(4).says(&sentence);
    }
}

#[test]
fn install_without_permission_for_the_operator_prints_the_helm_command() {
    let stack = MockedStack::empty();
    stack.kubernetes.denies("create customresourcedefinitions");
    let ended = stack.machine.run("install");
    ended
        .exits(4)
        .says("operator.release: the ECK operator is not installed in this cluster, and you lack a permission to install it")
        .says("helm upgrade --install elastic-operator eck-operator --repo https://helm.elastic.co --version 3.5.0");
    let of_what_needs_it = |line: String| {
        ["elastic-operator", " lrs ", " dataviz "].iter().any(|release| line.contains(release))
    };
    assert!(stack.helm.calls_of("upgrade").iter().all(|call| !of_what_needs_it(call.line())));
}

#[test]
fn install_leaves_a_foreign_operator_release_that_is_down_in_place() {
    for status in ["deployed", "pending-install", "uninstalling"] {
        let stack = MockedStack::empty();
        stack.helm.has_release("elastic-operator", status, "Install complete");
        // the API server serves the kinds of the operator, and no pod of it runs
        stack.kubernetes.replies(
            Method::GET,
            "/apis/apps/v1/statefulsets",
            Reply::ok(json!({"metadata": {}, "items": []})),
        );
        let ended = stack.machine.run("install");
        ended
            .exits(1)
            .says("operator.release: release elastic-operator in namespace elastic-system was not created by this tool")
            .says("hint: ask the owner of the release to repair it: helm status elastic-operator -n elastic-system");
        let changes = |verb| {
            stack.helm.calls_of(verb).iter().filter(|call| call.is("elastic-operator")).count()
        };
        assert_eq!(
            (changes("upgrade"), changes("uninstall")),
            (0, 0),
            "a release that is {status} should stay unchanged\n{ended}"
        );
    }
}

#[test]
fn install_into_a_terminating_namespace_fails_before_any_change() {
    let stack = MockedStack::empty();
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "deletionTimestamp": "2026-03-02T08:00:00Z"}});
    stack.kubernetes.put(operator()).put([namespace]);
    is_rejected(
        &stack,
        "install",
        &["error: namespace: namespace alice is being deleted", "hint: wait for its deletion"],
    );
}

#[test]
fn install_leaves_a_foreign_elasticsearch_in_place() {
    let stack = MockedStack::empty();
    let theirs = json!({"apiVersion": "elasticsearch.k8s.elastic.co/v1", "kind": "Elasticsearch",
                        "metadata": {"name": "data-lake", "namespace": NAMESPACE}, "spec": {"version": "7.17.0"}});
    stack.kubernetes.put(operator()).put([theirs]);
    let theirs =
        stack.kubernetes.object(crate::support::stack::DATA_LAKE).expect("the foreign object");
    let ended = stack.machine.run("install");
    ended
        .exits(1)
        .says("datalake.resource: namespace alice: Elasticsearch data-lake was not created by this tool")
        .says("app.kubernetes.io/managed-by=kubectl-lastack");
    assert_eq!(
        stack.kubernetes.object(crate::support::stack::DATA_LAKE),
        Some(theirs),
        "the Elasticsearch should stay unchanged"
    );
}

#[test]
fn install_leaves_a_foreign_release_in_place() {
    let stack = MockedStack::empty();
    stack.helm.has_release("lrs", "deployed", "Install complete");
    let ended = stack.machine.run("install");
    ended
        .exits(1)
        .says("lrs.release: release lrs in namespace alice was not created by this tool")
        .says("hint: use another namespace with `-n`");
    assert!(
        stack
            .helm
            .calls()
            .iter()
            .all(|call| !(call.is("lrs") && (call.is("upgrade") || call.is("uninstall")))),
        "the release should stay unchanged"
    );
}

#[test]
fn install_with_an_incomplete_foreign_secret_fails_and_keeps_it() {
    let stack = MockedStack::empty();
    let theirs = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "lrs-ralph", "namespace": NAMESPACE}, "data": {"password": "dGhlaXJz"}});
    stack.kubernetes.put([theirs]);
    let path = "/api/v1/namespaces/alice/secrets/lrs-ralph";
    let theirs = stack.kubernetes.object(path).expect("the foreign object");
    let ended = stack.machine.run("install");
    ended
        .exits(1)
        .says("secret lrs-ralph in namespace alice was not created by this tool and lacks valid keys: auth.json, moodle-password, username")
        .says("kubectl label secret lrs-ralph -n alice app.kubernetes.io/managed-by=kubectl-lastack");
    stack.machine.run("uninstall --yes -n alice").exits(0).never_shows("secret/lrs-ralph");
    assert_eq!(stack.kubernetes.object(path), Some(theirs), "the Secret should stay unchanged");
}

#[test]
fn install_uses_a_complete_foreign_secret_and_uninstall_keeps_it() {
    let stack = MockedStack::empty();
    let theirs = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "lms-postgresql", "namespace": NAMESPACE},
                        "data": {"password": "dGhlaXJz"}});
    stack.kubernetes.put([theirs]);
    let path = "/api/v1/namespaces/alice/secrets/lms-postgresql";
    let theirs = stack.kubernetes.object(path).expect("the foreign object");
    stack.machine.run("install").exits(0);
    stack.machine.run("uninstall --yes -n alice").exits(0).never_shows("secret/lms-postgresql");
    assert_eq!(stack.kubernetes.object(path), Some(theirs));
}

#[test]
fn install_with_a_check_that_is_forbidden_reports_it_and_continues() {
    let stack = MockedStack::empty();
    let sentence = "nodes is forbidden: User \"alice\" cannot list resource \"nodes\" in API group \"\" at the cluster scope";
    stack.kubernetes.forbids(Method::GET, "/api/v1/nodes", sentence);
    stack.machine.run("install").exits(0).says("unknown").says(sentence);
}
