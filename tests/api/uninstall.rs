//! `uninstall` deletes all resources of the stack, and no others.

use http::Method;
use serde_json::{Value, json};

use crate::support::kubernetes::World;
use crate::support::server::Reply;
use crate::support::stack::{DATA_LAKE, MockedStack, SIZE};

pub const LRS: &str = "/apis/apps/v1/namespaces/alice/deployments/lrs-ralph";

const SECRETS: [&str; 6] = [
    "lrs-ralph",
    "data-lake-user-lrs",
    "data-lake-user-dashboards",
    "data-lake-user-size",
    "data-lake-user-lastack",
    "data-lake-roles",
];

fn secret(stack: &MockedStack, name: &str) -> Option<Value> {
    stack.kubernetes.object(&format!("/api/v1/namespaces/alice/secrets/{name}"))
}

#[test]
fn uninstall_deletes_every_resource_of_the_stack() {
    let stack = MockedStack::installed();
    let ended = stack.machine.run("uninstall --yes -n alice");
    ended
        .exits(0)
        .prints_nothing()
        .says("To be deleted from namespace alice of context lab:")
        .says("Deleted in ");
    assert!(
        stack
            .helm
            .calls_of("uninstall")
            .iter()
            .any(|call| call.is("lrs") && call.line().contains("-n alice"))
    );
    for name in SECRETS {
        assert_eq!(secret(&stack, name), None, "Secret {name} should be deleted\n{ended}");
    }
    assert_eq!((stack.kubernetes.object(DATA_LAKE), stack.kubernetes.object(SIZE)), (None, None));
    assert!(
        stack.kubernetes.object("/api/v1/namespaces/alice").is_some(),
        "a namespace that existed before the stack should stay"
    );
    stack
        .machine
        .run("uninstall --yes -n alice")
        .exits(0)
        .says("Nothing to delete in namespace alice of context lab");
}

#[test]
fn uninstall_keeps_mounted_configmaps_until_the_pod_is_gone() {
    let stack = MockedStack::installed();
    // the node is slow to stop the pod
    stack.kubernetes.reacts(Method::DELETE, LRS, |world, _| {
        world.remove(LRS);
        Some(Reply::ok(json!({})))
    });
    let ended = stack.machine.run("uninstall --keep-data --yes --timeout 2s -n alice");
    ended
        .exits(124)
        .says("the deletion of the pods of release lrs is not ready")
        .says("1 pods are being deleted");
    assert!(
        stack.helm.calls_of("uninstall").iter().all(|call| !call.is("lrs")),
        "the ConfigMaps of the release should stay"
    );
    stack.kubernetes.remove("/api/v1/namespaces/alice/pods/lrs-ralph-0");
    stack.machine.run("uninstall --keep-data --yes -n alice").exits(0);
    assert!(stack.helm.calls_of("uninstall").iter().any(|call| call.is("lrs")));
}

#[test]
fn uninstall_shortens_the_grace_period_unless_data_is_kept() {
    let pods_deleted = |line: &str| {
        let stack = MockedStack::installed();
        stack.machine.run(line).exits(0);
        let requests = stack
            .kubernetes
            .server
            .requests()
            .into_iter()
            .filter(|request| request.method == Method::DELETE);
        let seconds = requests
            .filter(|request| request.path.contains("/pods/"))
            .map(|request| request.json()["gracePeriodSeconds"].clone());
        seconds.collect::<Vec<_>>()
    };
    assert_eq!(pods_deleted("uninstall --keep-data --yes -n alice"), Vec::<Value>::new());
    let seconds = pods_deleted("uninstall --yes -n alice");
    assert!(!seconds.is_empty() && seconds.iter().all(|seconds| *seconds == 5), "{seconds:?}");
}

#[test]
fn uninstall_deletes_the_operator_only_on_request_and_when_unused() {
    let stack = MockedStack::installed();
    stack.machine.run("uninstall --yes -n alice").exits(0);
    assert!(stack.helm.calls_of("uninstall").iter().all(|call| !call.is("elastic-operator")));
    let others = json!({"apiVersion": "elasticsearch.k8s.elastic.co/v1", "kind": "Elasticsearch", "metadata": {"name": "theirs", "namespace": "bob"}});
    stack.kubernetes.put([others]);
    stack.machine.run("uninstall --yes --operator -n alice").exits(0);
    assert!(
        stack.helm.calls_of("uninstall").iter().all(|call| !call.is("elastic-operator")),
        "the operator manages another Elasticsearch"
    );
    stack.kubernetes.reacts(
        Method::GET,
        "/apis/elasticsearch.k8s.elastic.co/v1/elasticsearches",
        |world: &mut World, _| {
            world.remove(
                "/apis/elasticsearch.k8s.elastic.co/v1/namespaces/bob/elasticsearches/theirs",
            );
            None
        },
    );
    stack
        .machine
        .run("uninstall --yes --operator -n alice")
        .exits(0)
        .says("release/elastic-operator");
    assert!(stack.helm.calls_of("uninstall").iter().any(|call| call.is("elastic-operator")));
}

#[test]
fn uninstall_keeps_a_namespace_that_holds_foreign_objects() {
    const NAME: &str = "/api/v1/namespaces/alice";
    let stack = MockedStack::empty();
    let mut namespace = stack.kubernetes.object(NAME).expect("the namespace");
    namespace["metadata"]["labels"] = json!({"app.kubernetes.io/managed-by": "kubectl-lastack"});
    let settings = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "lastack-settings", "namespace": "alice",
                          "labels": {"app.kubernetes.io/managed-by": "kubectl-lastack"}}});
    stack.kubernetes.put([namespace]);
    let kinds = [
        ("apps/v1", "DaemonSet", "daemonsets"),
        ("batch/v1", "CronJob", "cronjobs"),
        ("v1", "Service", "services"),
        ("networking.k8s.io/v1", "Ingress", "ingresses"),
        ("v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
    ];
    for (version, kind, plural) in kinds {
        stack.kubernetes.put([settings.clone(), json!({"apiVersion": version, "kind": kind, "metadata": {"name": "theirs", "namespace": "alice"}})]);
        stack
            .machine
            .run("uninstall --yes -n alice")
            .exits(0)
            .says("it contains")
            .says("theirs, which this tool did not create");
        let group = if version == "v1" { "/api/v1".into() } else { format!("/apis/{version}") };
        let path = format!("{group}/namespaces/alice/{plural}/theirs");
        assert!(stack.kubernetes.object(&path).is_some(), "{kind} theirs should stay");
        assert!(
            stack.kubernetes.object(NAME).is_some(),
            "the namespace should stay for {kind} theirs"
        );
        stack.kubernetes.remove(&path);
    }
    stack.machine.run("uninstall --yes -n alice").exits(0);
    assert_eq!(
        stack.kubernetes.object(NAME),
        None,
        "the namespace should be deleted once it is empty"
    );
}

#[test]
fn uninstall_with_keep_data_keeps_the_account_secrets() {
    let stack = MockedStack::installed();
    stack
        .machine
        .run("uninstall --yes --keep-data -n alice")
        .exits(0)
        .says("secret/data-lake-roles: they give access to the data");
    for name in SECRETS {
        assert!(secret(&stack, name).is_some(), "Secret {name} should stay");
    }
    let policy = stack
        .kubernetes
        .server
        .requests()
        .into_iter()
        .rfind(|request| request.method == Method::PATCH && request.path == DATA_LAKE);
    assert_eq!(policy.unwrap().json()["spec"]["volumeClaimDeletePolicy"], "DeleteOnScaledownOnly");
}

#[test]
fn uninstall_with_a_remaining_resource_fails() {
    let stack = MockedStack::installed();
    // another controller, such as GitOps, creates the Secret again
    stack.kubernetes.replies(
        Method::DELETE,
        "/api/v1/namespaces/alice/secrets/lrs-ralph",
        Reply::ok(json!({"kind": "Status", "metadata": {}})),
    );
    stack
        .machine
        .run("uninstall --yes -n alice")
        .exits(1)
        .says("lrs.credentials: not deleted: secret/lrs-ralph")
        .never_shows("Deleted in");
}

#[test]
fn uninstall_deletes_objects_of_a_lost_release_by_label() {
    for line in ["uninstall --yes -n alice", "uninstall --yes --keep-data -n alice"] {
        let stack = MockedStack::installed();
        stack.helm.forgets("lrs");
        let labels = json!({"app.kubernetes.io/part-of": "lastack", "app.kubernetes.io/instance": "lrs", "app.kubernetes.io/managed-by": "Helm"});
        let mut deployment = stack.kubernetes.object(LRS).expect("the deployment");
        deployment["metadata"]["labels"] = labels.clone();
        let annotations = deployment["metadata"]["annotations"].clone();
        let kinds = [
            ("v1", "Service"),
            ("v1", "ServiceAccount"),
            ("networking.k8s.io/v1", "NetworkPolicy"),
        ];
        stack.kubernetes.put([deployment]).put(kinds.map(
            |(version, kind)| json!({"apiVersion": version, "kind": kind, "metadata": {"name": "lrs-ralph", "namespace": "alice", "labels": labels, "annotations": annotations}}),
        ));
        let ended = stack.machine.run(&format!("{line} --timeout 60s"));
        ended.exits(0);
        for kind in ["deployment", "service", "serviceaccount", "networkpolicy"] {
            ended.says(&format!("{kind}/lrs-ralph"));
        }
        let left: Vec<Value> = stack
            .kubernetes
            .objects()
            .into_iter()
            .filter(|object| object["metadata"]["labels"] == labels)
            .collect();
        assert_eq!(left, Vec::<Value>::new(), "{ended}");
        assert!(
            stack.helm.calls_of("uninstall").iter().all(|call| !call.is("lrs")),
            "helm should not uninstall a release that it lost\n{ended}"
        );
    }
}

#[test]
fn uninstall_names_unknown_labelled_objects_and_the_delete_command() {
    let stack = MockedStack::installed();
    let labels = json!({"app.kubernetes.io/part-of": "lastack", "app.kubernetes.io/managed-by": "kubectl-lastack"});
    let of_another_version = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "old", "namespace": "alice", "labels": labels}});
    stack.kubernetes.put([of_another_version]);
    stack.machine.run("uninstall --yes --keep-data -n alice").exits(0);
    for _ in 0..2 {
        stack
            .machine
            .run("uninstall --yes -n alice")
            .exits(1)
            .says("namespace alice: objects with the stack's labels remain: configmap/old")
            .says("run: kubectl delete -n alice configmap/old")
            .never_shows("Deleted in")
            .never_shows("Nothing to delete");
    }
}

#[test]
fn uninstall_without_a_terminal_needs_yes() {
    let stack = MockedStack::installed();
    let changes = stack.kubernetes.changes();
    stack
        .machine
        .run("uninstall")
        .exits(2)
        .says("error: stdin is not a terminal; nothing was deleted")
        .says("hint: pass `--yes`");
    assert_eq!(stack.kubernetes.changes(), changes);
}

#[test]
fn uninstall_without_access_to_namespaces_deletes_the_stack() {
    let stack = MockedStack::installed();
    let sentence = "namespaces \"alice\" is forbidden: User \"alice\" cannot get resource \"namespaces\" in API group \"\"";
    stack.kubernetes.forbids(Method::GET, "/api/v1/namespaces/alice", sentence);
    stack
        .machine
        .run("uninstall --yes -n alice")
        .exits(0)
        .says("cannot get resource \"namespaces\"")
        .says("Deleted in ");
    assert_eq!(stack.kubernetes.object(DATA_LAKE), None);
}

#[test]
fn uninstall_keeps_the_operator_for_another_elasticsearch_in_the_namespace() {
    let stack = MockedStack::installed();
    let theirs = json!({"apiVersion": "elasticsearch.k8s.elastic.co/v1", "kind": "Elasticsearch", "metadata": {"name": "search", "namespace": "alice"}});
    stack.kubernetes.put([theirs]);
    stack
        .machine
        .run("uninstall --yes --operator -n alice")
        .exits(0)
        .says("it manages Elasticsearch search in namespace alice");
    assert!(stack.helm.calls_of("uninstall").iter().all(|call| !call.is("elastic-operator")));
}

#[test]
fn uninstall_keeps_the_operator_for_foreign_resources() {
    let objects = [
        ("elasticsearch.k8s.elastic.co/v1", "Elasticsearch", "data-lake", "alice"),
        ("kibana.k8s.elastic.co/v1", "Kibana", "board", "bob"),
    ];
    for (version, kind, name, namespace) in objects {
        let stack = MockedStack::empty();
        stack.helm.has_release_of_ours("elastic-operator", "deployed", "Install complete");
        let theirs = json!({"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": namespace}});
        stack.kubernetes.put(crate::support::stack::operator()).put([theirs]);
        stack.machine.run("uninstall --yes --operator -n alice").exits(0).says("Nothing to delete");
        assert_eq!(
            stack.helm.calls_of("uninstall").len(),
            0,
            "{kind} {name} in namespace {namespace} needs the operator"
        );
    }
}

#[test]
fn uninstall_leaves_foreign_resources_in_place() {
    let stack = MockedStack::empty();
    let theirs = json!({"apiVersion": "elasticsearch.k8s.elastic.co/v1", "kind": "Elasticsearch", "metadata": {"name": "data-lake", "namespace": "alice"}});
    stack.kubernetes.put(crate::support::stack::operator()).put([theirs]);
    stack.helm.has_release("lrs", "deployed", "Install complete");
    stack.machine.run("uninstall --yes -n alice").exits(0).says("Nothing to delete");
    assert_eq!(stack.kubernetes.changes(), Vec::<String>::new());
    assert_eq!(stack.helm.calls_of("uninstall").len(), 0);
}

#[test]
fn uninstall_keeps_a_foreign_release_of_the_moodle_chart_and_its_data() {
    let stack = MockedStack::empty();
    stack.helm.has_release("lms", "deployed", "Install complete");
    stack.machine.run("install --only lrs").exits(0);
    let labels =
        json!({"app.kubernetes.io/part-of": "lastack", "app.kubernetes.io/instance": "lms"});
    let claim = "/api/v1/namespaces/alice/persistentvolumeclaims/lms-moodle";
    stack.kubernetes.put([
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "lms-moodle", "namespace": "alice", "labels": labels}}),
    ]);
    stack
        .machine
        .run("uninstall --yes --timeout 5s -n alice")
        .exits(0)
        .says("release/lms: not created by this tool")
        .says("Deleted in ");
    assert!(
        stack.kubernetes.object(claim).is_some(),
        "the volume of the foreign release should stay"
    );
}

#[test]
fn unknown_settings_stop_install_and_warn_in_other_verbs() {
    let stack = MockedStack::installed();
    let mut map = stack
        .kubernetes
        .object("/api/v1/namespaces/alice/configmaps/lastack-settings")
        .expect("the settings");
    map["data"]["lastack.yaml"] = json!("profile: laptop\ncolour: sky\n");
    stack.kubernetes.put([map]);
    let warning = "warning: ConfigMap lastack-settings in namespace alice: unknown settings, ignored by this version of kubectl-lastack: colour\n";
    stack.machine.run("status").exits(0).says(warning).prints("heartbeat ok");
    stack.machine.run("creds lrs").exits(0).says(warning);
    for verb in ["install", "configure --send-names"] {
        let ended = stack.machine.run(verb);
        ended
            .exits(1)
            .says("ConfigMap lastack-settings: not settings of this version of kubectl-lastack")
            .says("colour");
        ended.says("kubectl edit configmap lastack-settings -n alice");
    }
    stack.machine.run("uninstall --yes -n alice").exits(0).says(warning).says("Deleted in");
}
