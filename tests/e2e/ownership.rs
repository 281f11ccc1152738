//! Only objects of the stack are deleted, and commands that change it take turns.

use crate::cluster::{Cluster, Own};
use crate::support::ended::Ended;
use crate::{beside, remove};

const NAMESPACE: &str = "e2e-own";
/// Objects with the labels of the stack that a user created: a volume claim, a Deployment, and a claim that an earlier
/// Elasticsearch left.
const FOREIGN: &str = "
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: theirs
  labels:
    app.kubernetes.io/part-of: lastack
    app.kubernetes.io/instance: lms
    app.kubernetes.io/managed-by: Helm
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: theirs
  labels:
    app.kubernetes.io/part-of: lastack
    app.kubernetes.io/instance: lms
    app.kubernetes.io/managed-by: Helm
spec:
  replicas: 0
  selector: {matchLabels: {app: theirs}}
  template:
    metadata: {labels: {app: theirs}}
    spec: {containers: [{name: theirs, image: theirs}]}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: elasticsearch-data-data-lake-es-default-0
  labels: {elasticsearch.k8s.elastic.co/cluster-name: data-lake}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
";

fn own() -> Own {
    beside(NAMESPACE);
    remove(NAMESPACE);
    Own(Cluster::new(NAMESPACE, "4"))
}

#[test]
fn uninstall_names_and_leaves_foreign_objects_with_its_labels() {
    let cluster = own();
    cluster.lastack("install --only lms --no-wait").good();
    cluster.run("kubectl", &["apply", "-n", NAMESPACE, "-f", "-"], FOREIGN).good();
    let theirs = [
        "deployment.apps/theirs",
        "persistentvolumeclaim/elasticsearch-data-data-lake-es-default-0",
        "persistentvolumeclaim/theirs",
    ];
    for line in ["uninstall --dry-run", "uninstall --yes"] {
        let ended = cluster.lastack(line).good();
        for object in theirs {
            ended.shows(&format!("{}: ", object.replace(".apps", "")));
        }
        ended.shows("namespace/e2e-own: it contains deployment theirs");
    }
    let left = cluster.kubectl("get deployments,statefulsets,pods,persistentvolumeclaims -o name");
    assert_eq!(left.lines().collect::<Vec<_>>(), theirs, "only the foreign objects should stay");
    cluster.kubectl("delete deployments,persistentvolumeclaims --all");
    cluster.lastack("uninstall --yes").good();
    cluster.run("kubectl", &["get", "namespace", NAMESPACE], "").exits(1).shows("NotFound");
}

#[test]
fn two_concurrent_installs_end_with_one_ready_stack() {
    let cluster = own();
    let install = "install --only lrs --skip preflight.room";
    let both = [cluster.start(install), cluster.start(install)];
    let ended = both.map(|run| Ended::of("install, two concurrent runs", run));
    for run in &ended {
        run.exits(0).shows("Ready");
    }
    let waited = ended.iter().filter(|run| run.stderr.contains("Waiting: `install` of"));
    assert_eq!(waited.count(), 1, "one of the commands should wait for the other");
    cluster.lastack("status").good();
    let history =
        cluster.run("helm", &["history", "lrs", "-n", NAMESPACE, "-o", "json"], "").good();
    assert_eq!(history.json().as_array().map(Vec::len), Some(1), "{}", history.stdout);
    cluster
        .run("kubectl", &["get", "lease", "lastack", "-n", NAMESPACE], "")
        .exits(1)
        .shows("NotFound");
    cluster.lastack("uninstall --yes").good().shows("Deleted in");
}
