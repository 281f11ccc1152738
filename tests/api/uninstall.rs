//! `uninstall` deletes all resources of the stack, and no others.

use http::Method;
use serde_json::{Value, json};

use crate::support::kubernetes::World;
use crate::support::server::Answer;
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

fn secret(lab: &MockedStack, name: &str) -> Option<Value> {
    lab.kubernetes.object(&format!("/api/v1/namespaces/alice/secrets/{name}"))
}

#[test]
fn uninstall_deletes_every_resource_of_the_stack() {
    let lab = MockedStack::installed();
    let ended = lab.machine.run("uninstall --yes");
    ended
        .exits(0)
        .prints_nothing()
        .says("To be deleted from namespace alice of context lab:")
        .says("Deleted in ");
    assert!(
        lab.helm
            .calls_of("uninstall")
            .iter()
            .any(|call| call.is("lrs") && call.line().contains("-n alice"))
    );
    for name in SECRETS {
        assert_eq!(secret(&lab, name), None, "Secret {name} should be deleted\n{ended}");
    }
    assert_eq!((lab.kubernetes.object(DATA_LAKE), lab.kubernetes.object(SIZE)), (None, None));
    assert!(
        lab.kubernetes.object("/api/v1/namespaces/alice").is_some(),
        "a namespace that existed before the stack should stay"
    );
    lab.machine
        .run("uninstall --yes")
        .exits(0)
        .says("Nothing to delete in namespace alice of context lab");
}

#[test]
fn uninstall_keeps_mounted_configmaps_until_the_pod_is_gone() {
    let lab = MockedStack::installed();
    // the node is slow to stop the pod
    lab.kubernetes.reacts(Method::DELETE, LRS, |world, _| {
        world.remove(LRS);
        Some(Answer::ok(json!({})))
    });
    let ended = lab.machine.run("uninstall --keep-data --yes --timeout 2s");
    ended
        .exits(124)
        .says("the deletion of the pods of release lrs is not ready")
        .says("1 pods are being deleted");
    assert!(
        lab.helm.calls_of("uninstall").iter().all(|call| !call.is("lrs")),
        "the ConfigMaps of the release should stay"
    );
    lab.kubernetes.remove("/api/v1/namespaces/alice/pods/lrs-ralph-0");
    lab.machine.run("uninstall --keep-data --yes").exits(0);
    assert!(lab.helm.calls_of("uninstall").iter().any(|call| call.is("lrs")));
}

#[test]
fn uninstall_shortens_the_grace_period_unless_data_is_kept() {
    let pods_deleted = |line: &str| {
        let lab = MockedStack::installed();
        lab.machine.run(line).exits(0);
        let requests = lab
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
    assert_eq!(pods_deleted("uninstall --keep-data --yes"), Vec::<Value>::new());
    let seconds = pods_deleted("uninstall --yes");
    assert!(!seconds.is_empty() && seconds.iter().all(|seconds| *seconds == 5), "{seconds:?}");
}

#[test]
fn uninstall_deletes_the_operator_only_on_request_and_when_unused() {
    let lab = MockedStack::installed();
    lab.machine.run("uninstall --yes").exits(0);
    assert!(lab.helm.calls_of("uninstall").iter().all(|call| !call.is("elastic-operator")));
    let others = json!({"apiVersion": "elasticsearch.k8s.elastic.co/v1", "kind": "Elasticsearch", "metadata": {"name": "theirs", "namespace": "bob"}});
    lab.kubernetes.put([others]);
    lab.machine.run("uninstall --yes --operator").exits(0);
    assert!(
        lab.helm.calls_of("uninstall").iter().all(|call| !call.is("elastic-operator")),
        "the operator manages another Elasticsearch"
    );
    lab.kubernetes.reacts(
        Method::GET,
        "/apis/elasticsearch.k8s.elastic.co/v1/elasticsearches",
        |world: &mut World, _| {
            world.remove(
                "/apis/elasticsearch.k8s.elastic.co/v1/namespaces/bob/elasticsearches/theirs",
            );
            None
        },
    );
    lab.machine.run("uninstall --yes --operator").exits(0).says("release/elastic-operator");
    assert!(lab.helm.calls_of("uninstall").iter().any(|call| call.is("elastic-operator")));
}

#[test]
fn uninstall_keeps_a_namespace_that_holds_foreign_objects() {
    const NAME: &str = "/api/v1/namespaces/alice";
    let lab = MockedStack::empty();
    let mut namespace = lab.kubernetes.object(NAME).expect("the namespace");
    namespace["metadata"]["labels"] = json!({"app.kubernetes.io/managed-by": "kubectl-lastack"});
    let settings = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "lastack-settings", "namespace": "alice",
                          "labels": {"app.kubernetes.io/managed-by": "kubectl-lastack"}}});
    lab.kubernetes.put([namespace]);
    let kinds = [
        ("apps/v1", "DaemonSet", "daemonsets"),
        ("batch/v1", "CronJob", "cronjobs"),
        ("v1", "Service", "services"),
        ("networking.k8s.io/v1", "Ingress", "ingresses"),
        ("v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
    ];
    for (version, kind, plural) in kinds {
        lab.kubernetes.put([settings.clone(), json!({"apiVersion": version, "kind": kind, "metadata": {"name": "theirs", "namespace": "alice"}})]);
        lab.machine
            .run("uninstall --yes")
            .exits(0)
            .says("it contains")
            .says("theirs, which this tool did not create");
        let group = if version == "v1" { "/api/v1".into() } else { format!("/apis/{version}") };
        let path = format!("{group}/namespaces/alice/{plural}/theirs");
        assert!(lab.kubernetes.object(&path).is_some(), "{kind} theirs should stay");
        assert!(
            lab.kubernetes.object(NAME).is_some(),
            "the namespace should stay for {kind} theirs"
        );
        lab.kubernetes.remove(&path);
    }
    lab.machine.run("uninstall --yes").exits(0);
    assert_eq!(
        lab.kubernetes.object(NAME),
        None,
        "the namespace should be deleted once it is empty"
    );
}

#[test]
fn uninstall_with_keep_data_keeps_the_account_secrets() {
    let lab = MockedStack::installed();
    lab.machine
        .run("uninstall --yes --keep-data")
        .exits(0)
        .says("secret/data-lake-roles: they give access to the data");
    for name in SECRETS {
        assert!(secret(&lab, name).is_some(), "Secret {name} should be kept");
    }
    let policy = lab
        .kubernetes
        .server
        .requests()
        .into_iter()
        .rfind(|request| request.method == Method::PATCH && request.path == DATA_LAKE);
    assert_eq!(policy.unwrap().json()["spec"]["volumeClaimDeletePolicy"], "DeleteOnScaledownOnly");
}

#[test]
fn uninstall_with_a_remaining_resource_fails() {
    let lab = MockedStack::installed();
    // another controller, such as GitOps, creates the Secret again
    lab.kubernetes.answers(
        Method::DELETE,
        "/api/v1/namespaces/alice/secrets/lrs-ralph",
        Answer::ok(json!({"kind": "Status", "metadata": {}})),
    );
    lab.machine
        .run("uninstall --yes")
        .exits(1)
        .says("lrs.credentials: not deleted: secret/lrs-ralph")
        .never_shows("Deleted in");
}

#[test]
fn uninstall_deletes_objects_of_a_lost_release_by_label() {
    for line in ["uninstall --yes", "uninstall --yes --keep-data"] {
        let lab = MockedStack::installed();
        lab.helm.forgets("lrs");
        let labels = json!({"app.kubernetes.io/part-of": "lastack", "app.kubernetes.io/instance": "lrs", "app.kubernetes.io/managed-by": "Helm"});
        let mut deployment = lab.kubernetes.object(LRS).expect("the deployment");
        deployment["metadata"]["labels"] = labels.clone();
        let kinds = [
            ("v1", "Service"),
            ("v1", "ServiceAccount"),
            ("networking.k8s.io/v1", "NetworkPolicy"),
        ];
        lab.kubernetes.put([deployment]).put(kinds.map(
            |(version, kind)| json!({"apiVersion": version, "kind": kind, "metadata": {"name": "lrs-ralph", "namespace": "alice", "labels": labels}}),
        ));
        let ended = lab.machine.run(&format!("{line} --timeout 60s"));
        ended.exits(0);
        for kind in ["deployment", "service", "serviceaccount", "networkpolicy"] {
            ended.says(&format!("{kind}/lrs-ralph"));
        }
        let left: Vec<Value> = lab
            .kubernetes
            .objects()
            .into_iter()
            .filter(|object| object["metadata"]["labels"] == labels)
            .collect();
        assert_eq!(left, Vec::<Value>::new(), "{ended}");
        assert!(
            lab.helm.calls_of("uninstall").iter().all(|call| !call.is("lrs")),
            "helm should not uninstall a release that it lost\n{ended}"
        );
    }
}

#[test]
fn uninstall_names_unknown_labelled_objects_and_the_delete_command() {
    let lab = MockedStack::installed();
    let labels = json!({"app.kubernetes.io/part-of": "lastack", "app.kubernetes.io/managed-by": "kubectl-lastack"});
    let of_another_version = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "old", "namespace": "alice", "labels": labels}});
    lab.kubernetes.put([of_another_version]);
    lab.machine.run("uninstall --yes --keep-data").exits(0);
    for _ in 0..2 {
        lab.machine
            .run("uninstall --yes")
            .exits(1)
            .says("namespace alice: objects with the stack's labels remain: configmap/old")
            .says("run: kubectl delete -n alice configmap/old")
            .never_shows("Deleted in")
            .never_shows("Nothing to delete");
    }
}

#[test]
fn uninstall_without_a_terminal_needs_yes() {
    let lab = MockedStack::installed();
    let changes = lab.kubernetes.changes();
    lab.machine
        .run("uninstall")
        .exits(2)
        .says("error: stdin is not a terminal; nothing was deleted")
        .says("hint: pass `--yes`");
    assert_eq!(lab.kubernetes.changes(), changes);
}

#[test]
fn uninstall_without_access_to_namespaces_deletes_the_stack() {
    let lab = MockedStack::installed();
    let sentence = "namespaces \"alice\" is forbidden: User \"alice\" cannot get resource \"namespaces\" in API group \"\"";
    lab.kubernetes.forbids(Method::GET, "/api/v1/namespaces/alice", sentence);
    lab.machine
        .run("uninstall --yes")
        .exits(0)
        .says("cannot get resource \"namespaces\"")
        .says("Deleted in ");
    assert_eq!(lab.kubernetes.object(DATA_LAKE), None);
}

#[test]
fn uninstall_keeps_the_operator_for_another_elasticsearch_in_the_namespace() {
    let lab = MockedStack::installed();
    let theirs = json!({"apiVersion": "elasticsearch.k8s.elastic.co/v1", "kind": "Elasticsearch", "metadata": {"name": "search", "namespace": "alice"}});
    lab.kubernetes.put([theirs]);
    lab.machine
        .run("uninstall --yes --operator")
        .exits(0)
        .says("it manages Elasticsearch search in namespace alice");
    assert!(lab.helm.calls_of("uninstall").iter().all(|call| !call.is("elastic-operator")));
}

#[test]
fn uninstall_keeps_the_operator_for_foreign_resources() {
    let objects = [
        ("elasticsearch.k8s.elastic.co/v1", "Elasticsearch", "data-lake", "alice"),
        ("kibana.k8s.elastic.co/v1", "Kibana", "board", "bob"),
    ];
    for (version, kind, name, namespace) in objects {
        let lab = MockedStack::empty();
        lab.helm.has_release_of_ours("elastic-operator", "deployed", "Install complete");
        let theirs = json!({"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": namespace}});
        lab.kubernetes.put(crate::support::stack::operator()).put([theirs]);
        lab.machine.run("uninstall --yes --operator").exits(0).says("Nothing to delete");
        assert_eq!(
            lab.helm.calls_of("uninstall").len(),
            0,
            "{kind} {name} in namespace {namespace} needs the operator"
        );
    }
}

#[test]
fn uninstall_leaves_foreign_resources_in_place() {
    let lab = MockedStack::empty();
    let theirs = json!({"apiVersion": "elasticsearch.k8s.elastic.co/v1", "kind": "Elasticsearch", "metadata": {"name": "data-lake", "namespace": "alice"}});
    lab.kubernetes.put(crate::support::stack::operator()).put([theirs]);
    lab.helm.has_release("lrs", "deployed", "Install complete");
    lab.machine.run("uninstall --yes").exits(0).says("Nothing to delete");
    assert_eq!(lab.kubernetes.changes(), Vec::<String>::new());
    assert_eq!(lab.helm.calls_of("uninstall").len(), 0);
}

#[test]
fn uninstall_keeps_a_foreign_release_of_the_moodle_chart_and_its_data() {
    let lab = MockedStack::empty();
    lab.helm.has_release("lms", "deployed", "Install complete");
    lab.machine.run("install --only lrs").exits(0);
    let labels =
        json!({"app.kubernetes.io/part-of": "lastack", "app.kubernetes.io/instance": "lms"});
    let claim = "/api/v1/namespaces/alice/persistentvolumeclaims/lms-moodle";
    lab.kubernetes.put([
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "lms-moodle", "namespace": "alice", "labels": labels}}),
    ]);
    lab.machine
        .run("uninstall --yes --timeout 5s")
        .exits(0)
        .says("release/lms: not created by this tool")
        .says("Deleted in ");
    assert!(
        lab.kubernetes.object(claim).is_some(),
        "the volume of the foreign release should stay"
    );
}

#[test]
fn unknown_settings_stop_install_and_warn_in_other_verbs() {
    let lab = MockedStack::installed();
    let mut map = lab
        .kubernetes
        .object("/api/v1/namespaces/alice/configmaps/lastack-settings")
        .expect("the settings");
    map["data"]["lastack.yaml"] = json!("profile: laptop\ncolour: sky\n");
    lab.kubernetes.put([map]);
    let warning = "warning: ConfigMap lastack-settings in namespace alice: unknown settings, ignored by this version of kubectl-lastack: colour\n";
    lab.machine.run("status").exits(0).says(warning).prints("heartbeat ok");
    lab.machine.run("creds lrs").exits(0).says(warning);
    for verb in ["install", "configure --send-names"] {
        let ended = lab.machine.run(verb);
        ended
            .exits(1)
            .says("ConfigMap lastack-settings: not settings of this version of kubectl-lastack")
            .says("colour");
        ended.says("kubectl edit configmap lastack-settings -n alice");
    }
    lab.machine.run("uninstall --yes").exits(0).says(warning).says("Deleted in");
}
