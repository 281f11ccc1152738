//! `uninstall`: only what is ours goes, and nothing of it is left.

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
fn everything_of_ours_goes() {
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
        assert_eq!(secret(&lab, name), None, "secret {name} should be gone\n{ended}");
    }
    assert_eq!((lab.kubernetes.object(DATA_LAKE), lab.kubernetes.object(SIZE)), (None, None));
    assert!(
        lab.kubernetes.object("/api/v1/namespaces/alice").is_some(),
        "a namespace that was there before stays"
    );
    lab.machine
        .run("uninstall --yes")
        .exits(0)
        .says("Nothing to delete in namespace alice of context lab");
}

#[test]
fn what_a_pod_has_mounted_stays_until_the_pod_is_gone() {
    let lab = MockedStack::installed();
    // the node takes its time to stop it
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
        "ConfigMaps of the release stay"
    );
    lab.kubernetes.remove("/api/v1/namespaces/alice/pods/lrs-ralph-0");
    lab.machine.run("uninstall --keep-data --yes").exits(0);
    assert!(lab.helm.calls_of("uninstall").iter().any(|call| call.is("lrs")));
}

#[test]
fn pods_get_their_time_to_end_only_when_their_data_is_kept() {
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
fn the_operator_stays_unless_it_is_asked_for_and_alone() {
    let lab = MockedStack::installed();
    lab.machine.run("uninstall --yes").exits(0);
    assert!(lab.helm.calls_of("uninstall").iter().all(|call| !call.is("elastic-operator")));
    let others = json!({"apiVersion": "elasticsearch.k8s.elastic.co/v1", "kind": "Elasticsearch", "metadata": {"name": "theirs", "namespace": "bob"}});
    lab.kubernetes.put([others]);
    lab.machine.run("uninstall --yes --operator").exits(0);
    assert!(
        lab.helm.calls_of("uninstall").iter().all(|call| !call.is("elastic-operator")),
        "it runs somebody's Elasticsearch"
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
fn a_namespace_of_ours_stays_for_whatever_somebody_else_has_in_it() {
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
    assert_eq!(lab.kubernetes.object(NAME), None, "nothing holds the namespace any more");
}

#[test]
fn kept_data_keeps_the_accounts_that_open_it() {
    let lab = MockedStack::installed();
    lab.machine
        .run("uninstall --yes --keep-data")
        .exits(0)
        .says("secret/data-lake-roles: they give access to the data");
    for name in SECRETS {
        assert!(secret(&lab, name).is_some(), "secret {name} should be kept");
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
fn what_is_still_there_in_the_end_is_an_error() {
    let lab = MockedStack::installed();
    // something that makes it again, as GitOps does
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
fn a_release_that_helm_has_forgotten_is_taken_away_by_its_labels() {
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
            "helm knows no such release\n{ended}"
        );
    }
}

#[test]
fn what_no_step_knows_is_named_with_the_command_that_removes_it() {
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
fn nobody_to_ask_is_no_yes() {
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
fn somebody_who_may_not_look_beyond_the_namespace_can_take_the_stack_away() {
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
fn the_operator_stays_for_another_data_lake_in_the_same_namespace() {
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
fn the_operator_stays_for_whatever_it_looks_after_and_we_did_not_make() {
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
            "{kind} {name} in namespace {namespace} would go with the operator"
        );
    }
}

#[test]
fn things_of_others_are_left_alone() {
    let lab = MockedStack::empty();
    let theirs = json!({"apiVersion": "elasticsearch.k8s.elastic.co/v1", "kind": "Elasticsearch", "metadata": {"name": "data-lake", "namespace": "alice"}});
    lab.kubernetes.put(crate::support::stack::operator()).put([theirs]);
    lab.helm.has_release("lrs", "deployed", "Install complete");
    lab.machine.run("uninstall --yes").exits(0).says("Nothing to delete");
    assert_eq!(lab.kubernetes.changes(), Vec::<String>::new());
    assert_eq!(lab.helm.calls_of("uninstall").len(), 0);
}

#[test]
fn a_moodle_that_others_made_of_the_same_chart_keeps_its_data_and_its_namespace() {
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
    assert!(lab.kubernetes.object(claim).is_some(), "its courses are not ours to delete");
}

#[test]
fn settings_of_a_newer_program_are_named_and_lock_nobody_out_but_install() {
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
