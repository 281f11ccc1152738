//! The objects of a cluster without a stack, and of one with a stack in namespace `alice`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use base64::Engine as _;
use http::Method;
use serde_json::{Value, json};

use super::elasticsearch::{Elasticsearch, Indices};
use super::helm::Helm;
use super::kubernetes::Kubernetes;
use super::lrs::Lrs;
use super::machine::Machine;
use super::moodle::{self, Moodle};
use super::server::{Reply, Request, Server};
use super::superset::{self, Superset};

pub const NAMESPACE: &str = "alice";
pub const DATA_LAKE: &str =
    "/apis/elasticsearch.k8s.elastic.co/v1/namespaces/alice/elasticsearches/data-lake";

/// The CronJob that measures the size of the data lake.
pub const SIZE: &str = "/apis/batch/v1/namespaces/alice/cronjobs/data-lake-size";

/// A cluster that can hold a stack: a node with free capacity, a default storage class, an empty namespace.
pub fn empty_cluster() -> Vec<Value> {
    vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}),
        node("8", "16Gi"),
        json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": "lab",
               "metadata": {"name": "standard", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}}),
    ]
}

pub fn node(cpu: &str, memory: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}, "status": {"allocatable": {"cpu": cpu, "memory": memory}}})
}

/// The objects of the chart of the ECK operator.
pub fn operator() -> Vec<Value> {
    let labels =
        json!({"app.kubernetes.io/name": "elastic-operator", "app.kubernetes.io/version": "3.5.0"});
    vec![
        json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
               "metadata": {"name": "elasticsearches.elasticsearch.k8s.elastic.co"}}),
        json!({"apiVersion": "apps/v1", "kind": "StatefulSet",
               "metadata": {"name": "elastic-operator", "namespace": "elastic-system", "labels": labels},
               "spec": {"replicas": 1, "serviceName": "", "selector": {"matchLabels": labels}, "template": {}},
               "status": {"replicas": 1, "readyReplicas": 1, "observedGeneration": 1}}),
    ]
}

/// A ready pod.
pub fn pod(name: &str, labels: Value, port: (&str, u16)) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
           "spec": {"containers": [{"name": "main", "ports": [{"name": port.0, "containerPort": port.1}]}]},
           "status": {"conditions": [{"type": "Ready", "status": "True"}]}})
}

/// An object that helm created for a release.
pub fn of_helm(release: &str, mut object: Value) -> Value {
    object["metadata"]["labels"]["app.kubernetes.io/managed-by"] = json!("Helm");
    object["metadata"]["annotations"] =
        json!({"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": NAMESPACE});
    object
}

/// A pod that a Deployment created through a ReplicaSet.
fn of_deployment(name: &str, mut pod: Value) -> Value {
    let set = format!("{name}-5d9c");
    pod["metadata"]["labels"]["pod-template-hash"] = json!("5d9c");
    pod["metadata"]["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": set,
                                                 "uid": format!("uid-of-{set}"), "controller": true}]);
    pod
}

/// A pod that a StatefulSet created.
fn of_stateful_set(name: &str, mut pod: Value) -> Value {
    pod["metadata"]["labels"]["statefulset.kubernetes.io/pod-name"] =
        pod["metadata"]["name"].clone();
    pod["metadata"]["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": name,
                                                 "uid": format!("uid-of-{name}"), "controller": true}]);
    pod
}

/// A pod that is not ready, with the state of its container.
pub fn stuck_pod(
    name: &str,
    namespace: &str,
    labels: Value,
    image: &str,
    waiting: Value,
    restarts: u32,
) -> Value {
    let container = json!({"name": "main", "image": image, "imageID": "", "ready": false, "restartCount": restarts, "state": {"waiting": waiting}});
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace, "labels": labels},
           "spec": {"containers": [{"name": "main"}]}, "status": {"containerStatuses": [container]}})
}

fn service(name: &str, labels: &Value, port: u16, target: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
           "spec": {"selector": labels, "ports": [{"port": port, "targetPort": target}]}})
}

pub fn data_lake_labels() -> Value {
    json!({"elasticsearch.k8s.elastic.co/cluster-name": "data-lake", "app.kubernetes.io/part-of": "lastack"})
}

pub fn lrs_labels() -> Value {
    json!({"app.kubernetes.io/name": "ralph", "app.kubernetes.io/instance": "lrs", "app.kubernetes.io/part-of": "lastack"})
}

/// A ready Deployment with the labels of a chart.
fn deployment(name: &str, labels: &Value, chart: &str, version: &str) -> Value {
    let mut of_chart = labels.clone();
    of_chart["helm.sh/chart"] = json!(chart);
    of_chart["app.kubernetes.io/version"] = json!(version);
    json!({"apiVersion": "apps/v1", "kind": "Deployment",
           "metadata": {"name": name, "namespace": NAMESPACE, "generation": 1, "labels": of_chart},
           "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": {}},
           "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1}})
}

/// The objects of the chart of Ralph.
pub fn lrs_objects() -> Vec<Value> {
    let labels = lrs_labels();
    vec![
        of_helm("lrs", deployment("lrs-ralph", &labels, "ralph-0.1.0", "5.0.1")),
        of_helm("lrs", service("lrs-ralph", &labels, 80, "http")),
        of_deployment("lrs-ralph", pod("lrs-ralph-0", labels, ("http", 8080))),
    ]
}

pub fn dataviz_database_labels() -> Value {
    json!({"app.kubernetes.io/name": "postgresql", "app.kubernetes.io/instance": "dataviz", "app.kubernetes.io/component": "database",
           "app.kubernetes.io/part-of": "lastack"})
}

/// The objects of the chart of Superset.
pub fn dataviz_objects() -> Vec<Value> {
    let labels = json!({"app.kubernetes.io/name": "superset", "app.kubernetes.io/instance": "dataviz", "app.kubernetes.io/component": "web",
                        "app.kubernetes.io/part-of": "lastack"});
    let job = json!({"app.kubernetes.io/instance": "dataviz", "app.kubernetes.io/component": "init", "app.kubernetes.io/part-of": "lastack"});
    vec![
        of_helm("dataviz", deployment("dataviz-superset", &labels, "superset-0.1.0", "6.1.0")),
        of_helm(
            "dataviz",
            json!({"apiVersion": "batch/v1", "kind": "Job",
               "metadata": {"name": "dataviz-superset-init-1", "namespace": NAMESPACE, "labels": job},
               "status": {"conditions": [{"type": "Complete", "status": "True"}]}}),
        ),
        of_helm("dataviz", database("dataviz-postgresql", &dataviz_database_labels())),
        of_stateful_set(
            "dataviz-postgresql",
            pod("dataviz-postgresql-0", dataviz_database_labels(), ("postgresql", 5432)),
        ),
        of_helm("dataviz", service("dataviz-superset", &labels, 80, "http")),
        of_deployment("dataviz-superset", pod("dataviz-superset-0", labels, ("http", 8088))),
    ]
}

/// The ready PostgreSQL of a component.
fn database(name: &str, labels: &Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": name, "namespace": NAMESPACE, "uid": format!("uid-of-{name}"), "generation": 1, "labels": labels},
           "spec": {"replicas": 1, "serviceName": "", "selector": {"matchLabels": labels}, "template": {}},
           "status": {"observedGeneration": 1, "replicas": 1, "readyReplicas": 1, "updatedReplicas": 1, "updateRevision": format!("{name}-1")}})
}

/// The objects of the chart of Moodle.
pub fn lms_objects() -> Vec<Value> {
    let labels = json!({"app.kubernetes.io/name": "moodle", "app.kubernetes.io/instance": "lms", "app.kubernetes.io/component": "web",
                        "app.kubernetes.io/part-of": "lastack"});
    let mut web = pod("lms-moodle-0", labels.clone(), ("http", 8080));
    web["status"]["phase"] = json!("Running");
    vec![
        of_helm("lms", deployment("lms-moodle", &labels, "moodle-0.1.0", "4.5.12")),
        of_helm(
            "lms",
            database(
                "lms-postgresql",
                &json!({"app.kubernetes.io/name": "postgresql", "app.kubernetes.io/instance": "lms", "app.kubernetes.io/part-of": "lastack"}),
            ),
        ),
        of_helm("lms", service("lms-moodle", &labels, 80, "http")),
        of_deployment("lms-moodle", web),
    ]
}

pub const MOODLE: &str = "/apis/apps/v1/namespaces/alice/deployments/lms-moodle";

/// A stack of stand-ins, and a machine that is configured for them. The tests on a real cluster use `Cluster`.
pub struct MockedStack {
    pub machine: Machine,
    pub kubernetes: Kubernetes,
    pub helm: Helm,
    pub lrs: Lrs,
    pub elasticsearch: Elasticsearch,
    pub superset: Superset,
    pub moodle: Moodle,
}

impl MockedStack {
    /// A cluster without a stack, in which the objects of the operator and the charts are ready at once.
    pub fn empty() -> Self {
        let lrs = Lrs::open();
        let elasticsearch = Elasticsearch::start(NAMESPACE, lrs.store());
        let kubernetes = Kubernetes::with(empty_cluster());
        let machine = Machine::with_cluster(&kubernetes.url());
        let helm = Helm::on(&machine);
        let superset = Superset::start();
        let moodle = Moodle::start();
        let plugin = machine.path("plugin.zip");
        std::fs::write(&plugin, moodle::plugin("5.0.1", "[403, 501]")).expect("the plugin");
        let machine = machine.env("LASTACK_PLUGIN", plugin);
        kubernetes
            .put_after_file(helm.state_file("elastic-operator"), operator())
            .put_after_file(helm.state_file("lrs"), lrs_objects())
            .put_after_file(helm.state_file("dataviz"), dataviz_objects())
            .put_after_file(helm.state_file("lms"), lms_objects())
            .executes("lms-moodle-0", moodle.scripts())
            .forwards("lms-moodle-0", moodle.server.address())
            .forwards("dataviz-superset-0", superset.server.address())
            .forwards("data-lake-es-default-0", elasticsearch.server.address())
            .forwards("lrs-ralph-0", lrs.server.address());
        let authority = base64::engine::general_purpose::STANDARD.encode(&elasticsearch.authority);
        kubernetes.then(Method::PATCH, DATA_LAKE, move |world| {
            let mut data_lake = world.object(DATA_LAKE).expect("the applied object");
            data_lake["status"] = json!({
                "phase": "Ready", "health": "green", "availableNodes": 1, "version": "8.19.21",
                "observedGeneration": data_lake["metadata"]["generation"],
            });
            world.put(data_lake);
            objects_of_the_operator(&authority).into_iter().for_each(|object| world.put(object));
        });
        // the chart mounts the plugin of its values
        let charts = helm.clone();
        kubernetes.reacts(Method::GET, MOODLE, move |world, _| {
            let mut moodle = world.object(MOODLE)?;
            let values = charts.current_values("lms")?;
            moodle["spec"]["template"]["spec"] = json!({"containers": [], "volumes": [
                {"name": "archive", "configMap": {"name": values["plugin"]["configMap"]}},
            ]});
            world.put(moodle);
            None
        });
        // a Job of the CronJob completes at once
        kubernetes.reacts(
            Method::POST,
            "/apis/batch/v1/namespaces/alice/jobs",
            |world, request| {
                let mut job = request.json();
                let prefix = job["metadata"]["generateName"].as_str();
                if !prefix.is_some_and(|prefix| prefix.starts_with("data-lake-size")) {
                    return None;
                }
                job["metadata"]["name"] = json!("data-lake-size-now");
                job["metadata"]["creationTimestamp"] = json!("2026-11-27T12:00:00Z");
                job["status"] = json!({"conditions": [{"type": "Complete", "status": "True"}]});
                let mut cron = world.object(SIZE).expect("the CronJob of the Job");
                cron["status"] = json!({"lastSuccessfulTime": "2026-11-27T12:00:01Z"});
                for object in [&mut job, &mut cron] {
                    object["metadata"]["namespace"] = json!(NAMESPACE);
                    world.put(object.clone());
                }
                Some(Reply::Json(201, job))
            },
        );
        // the operator deletes the pods with the resource
        kubernetes.reacts(Method::DELETE, DATA_LAKE, |world, _| {
            world.remove("/api/v1/namespaces/alice/pods/data-lake-es-default-0");
            None
        });
        Self { machine, kubernetes, helm, lrs, elasticsearch, superset, moodle }
    }

    /// A cluster after `install`, which runs once for all tests of a program.
    pub fn installed() -> Self {
        static INSTALLED: LazyLock<Memory> = LazyLock::new(|| Memory::of(&MockedStack::install()));
        let stack = Self::empty();
        INSTALLED.restore(&stack);
        stack
    }

    fn install() -> Self {
        let stack = Self::empty();
        stack.machine.run("install").exits(0);
        stack.helm.lists(json!([
            {"name": "lrs", "status": "deployed", "chart": "ralph-0.1.0", "app_version": "5.0.1"},
            {"name": "lms", "status": "deployed", "chart": "moodle-0.1.0", "app_version": "4.5.12"},
            {"name": "dataviz", "status": "deployed", "chart": "superset-0.1.0", "app_version": "6.1.0"},
        ]));
        stack
    }

    fn servers(&self) -> [&Server; 5] {
        [
            &self.kubernetes.server,
            &self.lrs.server,
            &self.elasticsearch.server,
            &self.superset.server,
            &self.moodle.server,
        ]
    }

    /// Denies the user access to pods, and returns the message of the API server.
    pub fn hides_pods(&self) -> &'static str {
        let sentence = "pods is forbidden: User \"alice\" cannot list resource \"pods\" in API group \"\" in the namespace \"alice\"";
        self.kubernetes.forbids(Method::GET, "/api/v1/namespaces/alice/pods", sentence);
        sentence
    }
}

/// The state of all stand-ins.
struct Memory {
    objects: Vec<Value>,
    helm: BTreeMap<String, Vec<u8>>,
    indices: Indices,
    superset: superset::World,
    moodle: moodle::World,
    requests: [Vec<Request>; 5],
}

impl Memory {
    fn of(stack: &MockedStack) -> Self {
        Self {
            objects: stack.kubernetes.objects(),
            helm: stack.helm.memory(),
            indices: stack.elasticsearch.indices().clone(),
            superset: stack.superset.world().clone(),
            moodle: stack.moodle.world().clone(),
            requests: stack.servers().map(Server::requests),
        }
    }

    fn restore(&self, stack: &MockedStack) {
        stack.kubernetes.restore(self.objects.clone());
        stack.helm.restore(&self.helm);
        stack.elasticsearch.has_indices(self.indices.clone());
        *stack.superset.world() = self.superset.clone();
        *stack.moodle.world() = self.moodle.clone();
        stack
            .servers()
            .into_iter()
            .zip(&self.requests)
            .for_each(|(server, requests)| server.set_requests(requests.clone()));
    }
}

/// The objects that the ECK operator creates for the Elasticsearch resource.
fn objects_of_the_operator(authority: &str) -> Vec<Value> {
    let labels = data_lake_labels();
    let secret = |name: &str, data: Value| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": NAMESPACE}, "data": data});
    vec![
        secret("data-lake-es-http-certs-public", json!({"ca.crt": authority})),
        secret(
            "data-lake-es-elastic-user",
            json!({"elastic": base64::engine::general_purpose::STANDARD.encode("password-of-elastic")}),
        ),
        service("data-lake-es-http", &labels, 9200, "https"),
        pod("data-lake-es-default-0", labels, ("https", 9200)),
    ]
}
