//! `uninstall` deletes an object only when its owner is known. Labels are not sufficient, because users copy them.

use http::Method;
use serde_json::{Value, json};

use crate::support::server::Reply;
use crate::support::stack::{DATA_LAKE, MockedStack, NAMESPACE, data_lake_labels, of_helm};

const CLAIMS: &str = "/api/v1/namespaces/alice/persistentvolumeclaims";
/// The name that the operator gives to the first volume.
const FIRST_VOLUME: &str = "elasticsearch-data-data-lake-es-default-0";
const LABELS_ONLY: &str =
    "it has the stack's labels, but neither this tool nor helm for this tool created it";

fn labels_of(release: &str) -> Value {
    json!({"app.kubernetes.io/part-of": "lastack", "app.kubernetes.io/instance": release, "app.kubernetes.io/managed-by": "Helm"})
}

fn object(version: &str, kind: &str, name: &str, labels: Value) -> Value {
    json!({"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels}})
}

fn claim(name: &str, labels: Value) -> Value {
    object("v1", "PersistentVolumeClaim", name, labels)
}

fn settings() -> Value {
    let ours = json!({"app.kubernetes.io/managed-by": "kubectl-lastack"});
    object("v1", "ConfigMap", "lastack-settings", ours)
}

#[test]
fn uninstall_names_and_leaves_foreign_objects_with_its_labels() {
    let stack = MockedStack::installed();
    let mut pod = object("v1", "Pod", "theirs-0", labels_of("lrs"));
    pod["metadata"]["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "theirs-5d9c",
                                                 "uid": "theirs", "controller": true}]);
    let theirs = [
        claim("theirs", labels_of("lms")),
        object("apps/v1", "Deployment", "theirs", labels_of("lrs")),
        claim("elasticsearch-data-data-lake-es-old-0", data_lake_labels()),
    ];
    stack.kubernetes.put(theirs).put([pod]);
    let paths = [
        format!("{CLAIMS}/theirs"),
        "/apis/apps/v1/namespaces/alice/deployments/theirs".into(),
        format!("{CLAIMS}/elasticsearch-data-data-lake-es-old-0"),
        "/api/v1/namespaces/alice/pods/theirs-0".into(),
    ];
    for line in ["uninstall --dry-run", "uninstall --yes -n alice", "uninstall --yes -n alice"] {
        stack
            .machine
            .run(line)
            .exits(0)
            .shows("Left in place:")
            .shows(&format!("persistentvolumeclaim/theirs: {LABELS_ONLY}"))
            .shows(&format!("deployment/theirs: {LABELS_ONLY}"))
            .shows("persistentvolumeclaim/elasticsearch-data-data-lake-es-old-0: no Elasticsearch of this tool owns it");
        for path in &paths {
            assert!(stack.kubernetes.object(path).is_some(), "{path} should stay");
        }
    }
}

#[test]
fn uninstall_keeps_the_volume_of_an_earlier_elasticsearch() {
    let stack = MockedStack::empty();
    let labels = json!({"elasticsearch.k8s.elastic.co/cluster-name": "data-lake"});
    stack.kubernetes.put([settings(), claim(FIRST_VOLUME, labels)]);
    for line in ["uninstall --yes -n alice", "uninstall --yes --keep-data -n alice"] {
        stack
            .machine
            .run(line)
            .exits(0)
            .says(&format!("persistentvolumeclaim/{FIRST_VOLUME}: no Elasticsearch of this tool"));
    }
    assert!(stack.kubernetes.object(&format!("{CLAIMS}/{FIRST_VOLUME}")).is_some());
}

#[test]
fn uninstall_deletes_volumes_that_an_earlier_uninstall_kept() {
    let stack = MockedStack::installed();
    let uid = stack.kubernetes.object(DATA_LAKE).expect("the resource")["metadata"]["uid"].clone();
    let labels = json!({"elasticsearch.k8s.elastic.co/cluster-name": "data-lake"});
    let mut volume = claim(FIRST_VOLUME, labels);
    let path = format!("{CLAIMS}/{FIRST_VOLUME}");
    volume["metadata"]["ownerReferences"] = json!([{"apiVersion": "elasticsearch.k8s.elastic.co/v1", "kind": "Elasticsearch",
                                                    "name": "data-lake", "uid": uid}]);
    stack.kubernetes.put([volume]);
    // the operator gives up its ownership
    let owned = path.clone();
    stack.kubernetes.reacts(Method::PATCH, DATA_LAKE, move |world, _| {
        let mut volume = world.object(&owned).expect("the volume claim");
        volume["metadata"].as_object_mut().expect("metadata").remove("ownerReferences");
        world.put(volume);
        None
    });
    let reason = format!("persistentvolumeclaim/{FIRST_VOLUME}: it contains the statements");
    stack.machine.run("uninstall --yes --keep-data -n alice").exits(0).says(&reason);
    assert!(stack.kubernetes.object(&path).is_some(), "the volume should stay");
    stack
        .machine
        .run("uninstall --yes -n alice")
        .exits(0)
        .says(&format!("datalake.resource    persistentvolumeclaim/{FIRST_VOLUME}"));
    assert_eq!(stack.kubernetes.object(&path), None, "the volume should be deleted");
}

#[test]
fn uninstall_keeps_the_volume_of_a_foreign_database() {
    let stack = MockedStack::empty();
    let database = object("apps/v1", "StatefulSet", "lms-postgresql", labels_of("lms"));
    let volume = claim("data-lms-postgresql-0", labels_of("lms"));
    stack.kubernetes.put([settings(), database, volume]);
    stack
        .machine
        .run("uninstall --yes -n alice")
        .exits(0)
        .says("data-lms-postgresql-0: statefulset/lms-postgresql uses it, which this tool did not create")
        .says(&format!("statefulset/lms-postgresql: {LABELS_ONLY}"));
    for path in [
        "/apis/apps/v1/namespaces/alice/statefulsets/lms-postgresql".to_string(),
        format!("{CLAIMS}/data-lms-postgresql-0"),
    ] {
        assert!(stack.kubernetes.object(&path).is_some(), "{path} should stay");
    }
}

#[test]
fn uninstall_keeps_its_namespace_for_a_foreign_object_with_its_labels() {
    const NAME: &str = "/api/v1/namespaces/alice";
    let stack = MockedStack::empty();
    let mut namespace = stack.kubernetes.object(NAME).expect("the namespace");
    namespace["metadata"]["labels"] = json!({"app.kubernetes.io/managed-by": "kubectl-lastack"});
    let theirs = object("apps/v1", "Deployment", "theirs", labels_of("lrs"));
    stack.kubernetes.put([namespace, theirs, settings()]);
    stack
        .machine
        .run("uninstall --yes -n alice")
        .exits(0)
        .says("namespace/alice: it contains deployment theirs, which this tool did not create");
    assert!(stack.kubernetes.object(NAME).is_some());
    stack.kubernetes.remove("/apis/apps/v1/namespaces/alice/deployments/theirs");
    stack.machine.run("uninstall --yes -n alice").exits(0);
    assert_eq!(stack.kubernetes.object(NAME), None, "the namespace should be deleted");
}

#[test]
fn uninstall_does_not_delete_a_newer_object_with_the_same_name() {
    let path = "/apis/networking.k8s.io/v1/namespaces/alice/networkpolicies/lrs-ralph";
    let stack = MockedStack::installed();
    stack.helm.forgets("lrs");
    let ours = || {
        let labels = labels_of("lrs");
        of_helm("lrs", object("networking.k8s.io/v1", "NetworkPolicy", "lrs-ralph", labels))
    };
    stack.kubernetes.put([ours()]);
    // a user replaces the object between the list and the deletion
    stack.kubernetes.reacts(Method::DELETE, path, move |world, _| {
        world.remove(path);
        let labels = json!({"app.kubernetes.io/name": "theirs"});
        world.put(object("networking.k8s.io/v1", "NetworkPolicy", "lrs-ralph", labels));
        None
    });
    stack.machine.run("uninstall --yes -n alice").exits(0);
    let left = stack.kubernetes.object(path).expect("the newer object");
    assert_eq!(left["metadata"]["labels"]["app.kubernetes.io/name"], "theirs");
}

#[test]
fn uninstall_with_yes_requires_a_named_namespace_or_context() {
    let stack = MockedStack::installed();
    let requests = stack.kubernetes.server.requests().len();
    stack
        .machine
        .run("uninstall --yes")
        .exits(2)
        .says("error: `--yes` requires `--namespace` or `--context`; nothing was deleted")
        .says("hint: name the stack, such as: kubectl lastack uninstall --yes -n NAMESPACE");
    assert_eq!(stack.kubernetes.server.requests().len(), requests);
    stack.machine.run("uninstall --yes --context lab").exits(0).says("Deleted in ");
}

/// A statement of Moodle, from the learner with this number.
pub fn statement_of(number: u32, home_page: &str) -> Value {
    json!({"id": format!("00000000-0000-4000-8000-{number:012}"), "actor": {"account": {"homePage": home_page, "name": number.to_string()}},
           "verb": {"id": "http://id.tincanapi.com/verb/viewed"}, "object": {"id": "https://lms.example.com/1"}})
}

#[test]
fn uninstall_shows_how_many_statements_it_deletes() {
    let stack = MockedStack::installed();
    let shows = |text: &str| {
        stack.machine.run("uninstall --dry-run").exits(0).shows(text);
    };
    shows("Statements: 0, none from real learners");
    stack.lrs.has(&[statement_of(1, "https://moodle.example.org")]);
    shows("Statements: 1, none from real learners");
    // a planted case of the example data
    let mut by_mail = statement_of(4, "");
    by_mail["actor"] = json!({"mbox": "mailto:amara.costa@students.example.org"});
    stack.lrs.has(&[by_mail]);
    shows("Statements: 2, none from real learners");
    stack.lrs.has(&[
        statement_of(2, "https://lms.example.com"),
        statement_of(3, "https://lms.example.com"),
    ]);
    shows("Statements: 4, of which 2 from real learners (2)");
    stack.elasticsearch.next("/statements/_search", [Reply::text(503, "unavailable")]);
    shows("Statements: unknown number: ");
    stack.machine.run("uninstall --dry-run --keep-data").exits(0).never_shows("Statements:");
}
