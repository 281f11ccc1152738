//! The kinds of the API server, and its discovery responses.

use serde_json::{Value, json};

use super::resource_path::ResourcePath;

struct Kind {
    api_version: &'static str,
    name: &'static str,
    resource: &'static str,
    namespaced: bool,
}

const fn kind(
    api_version: &'static str,
    name: &'static str,
    resource: &'static str,
    namespaced: bool,
) -> Kind {
    Kind { api_version, name, resource, namespaced }
}

const KINDS: &[Kind] = &[
    kind("v1", "Namespace", "namespaces", false),
    kind("v1", "Node", "nodes", false),
    kind("v1", "Pod", "pods", true),
    kind("v1", "Secret", "secrets", true),
    kind("v1", "ConfigMap", "configmaps", true),
    kind("v1", "Service", "services", true),
    kind("v1", "ServiceAccount", "serviceaccounts", true),
    kind("v1", "Event", "events", true),
    kind("v1", "ResourceQuota", "resourcequotas", true),
    kind("v1", "LimitRange", "limitranges", true),
    kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims", true),
    kind("apps/v1", "Deployment", "deployments", true),
    kind("apps/v1", "StatefulSet", "statefulsets", true),
    kind("apps/v1", "DaemonSet", "daemonsets", true),
    kind("batch/v1", "Job", "jobs", true),
    kind("batch/v1", "CronJob", "cronjobs", true),
    kind("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", true),
    kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", true),
    kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", true),
    kind("networking.k8s.io/v1", "Ingress", "ingresses", true),
    kind("networking.k8s.io/v1", "IngressClass", "ingressclasses", false),
    kind("coordination.k8s.io/v1", "Lease", "leases", true),
    kind("storage.k8s.io/v1", "StorageClass", "storageclasses", false),
    kind("authentication.k8s.io/v1", "SelfSubjectReview", "selfsubjectreviews", false),
    kind("authorization.k8s.io/v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", false),
    kind("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions", false),
    kind("elasticsearch.k8s.elastic.co/v1", "Elasticsearch", "elasticsearches", true),
    kind("kibana.k8s.elastic.co/v1", "Kibana", "kibanas", true),
];

/// Groups that need a custom resource definition.
const CUSTOM: &str = ".k8s.elastic.co/v1";

/// Whether objects of this API version are custom resources.
pub fn is_custom(api_version: &str) -> bool {
    api_version.ends_with(CUSTOM)
}

fn served(objects: &[Value]) -> impl Iterator<Item = &'static Kind> {
    let defined = objects.iter().any(|object| object["kind"] == "CustomResourceDefinition");
    KINDS.iter().filter(move |kind| !is_custom(kind.api_version) || defined)
}

pub fn is_served(target: &ResourcePath, objects: &[Value]) -> bool {
    served(objects)
        .any(|kind| kind.api_version == target.api_version && kind.resource == target.resource)
}

/// `apiVersion` and `kind` of the objects at a path.
pub fn of(target: &ResourcePath) -> (&'static str, &'static str) {
    let kind = KINDS
        .iter()
        .find(|kind| kind.api_version == target.api_version && kind.resource == target.resource);
    kind.map(|kind| (kind.api_version, kind.name)).expect("a kind of the stand-in")
}

pub fn path_of(object: &Value) -> ResourcePath {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let known = KINDS
        .iter()
        .find(|kind| object["apiVersion"] == kind.api_version && object["kind"] == kind.name);
    let kind = known.unwrap_or_else(|| panic!("the stand-in should know the kind of {object}"));
    ResourcePath {
        api_version: kind.api_version.into(),
        namespace: if kind.namespaced { text(&object["metadata"]["namespace"]) } else { None },
        resource: kind.resource.into(),
        name: text(&object["metadata"]["name"]),
        subresource: None,
    }
}

/// The groups at `/apis`, or the resources of a group's version.
pub fn discovery(path: &str, objects: &[Value]) -> Option<Value> {
    let api_version = path.strip_prefix("/api/").or_else(|| path.strip_prefix("/apis/"));
    if path == "/apis" {
        let mut versions: Vec<&str> = served(objects)
            .map(|kind| kind.api_version)
            .filter(|version| version.contains('/'))
            .collect();
        versions.dedup();
        let groups = versions
            .into_iter()
            .filter_map(|group_version| group_version.split_once('/'))
            .map(|(group, version)| {
                let version =
                    json!({"groupVersion": format!("{group}/{version}"), "version": version});
                json!({"name": group, "versions": [version], "preferredVersion": version})
            });
        return Some(
            json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups.collect::<Vec<_>>()}),
        );
    }
    let resources: Vec<Value> = served(objects)
        .filter(|kind| Some(kind.api_version) == api_version)
        .map(|kind| json!({"name": kind.resource, "singularName": "", "namespaced": kind.namespaced, "kind": kind.name, "verbs": ["get"]}))
        .collect();
    if resources.is_empty() {
        return None;
    }
    Some(
        json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version, "resources": resources}),
    )
}
