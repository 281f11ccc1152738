//! The metadata that the API server maintains.

use serde_json::{Map, Value, json};

use super::kinds;

/// The creation time of objects that a test adds.
pub const LONG_AGO: &str = "2026-01-01T00:00:00Z";

/// The counters of a server.
#[derive(Debug, Default, Clone)]
pub struct Numbers {
    last: u64,
}

impl Numbers {
    /// Continues after the numbers of these objects.
    pub fn after(objects: &[Value]) -> Self {
        let version = |object: &Value| object["metadata"]["resourceVersion"].as_str()?.parse().ok();
        Self { last: objects.iter().filter_map(version).max().unwrap_or_default() }
    }

    fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// The version of a list, which is that of the newest change.
    pub fn newest(&self) -> String {
        self.last.to_string()
    }

    /// Sets a new version, and a missing `uid` and `creationTimestamp`.
    pub fn stamp(&mut self, object: &mut Value, created: &str) {
        let number = self.next();
        object["metadata"]["resourceVersion"] = json!(number.to_string());
        if object["metadata"]["uid"].is_null() {
            object["metadata"]["uid"] = json!(format!("00000000-0000-4000-8000-{number:012}"));
        }
        if object["metadata"]["creationTimestamp"].is_null() {
            object["metadata"]["creationTimestamp"] = json!(created);
        }
    }

    /// `run-` becomes `run-00a1b`: five characters, as the API server adds them.
    pub fn name(&mut self, prefix: &str) -> String {
        format!("{prefix}{:05x}", self.next())
    }
}

pub fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Metadata that an object keeps for its lifetime.
const FOR_LIFE: [&str; 2] = ["uid", "creationTimestamp"];

/// Copies the metadata that no client can change.
pub fn keep_identity(object: &mut Value, before: &Value) {
    for key in FOR_LIFE {
        if !before["metadata"][key].is_null() {
            object["metadata"][key] = before["metadata"][key].clone();
        }
    }
}

/// Kinds whose `metadata.generation` the API server counts.
fn has_generation(object: &Value) -> bool {
    const WITHOUT: [&str; 11] = [
        "Namespace",
        "Node",
        "Secret",
        "ConfigMap",
        "Service",
        "ServiceAccount",
        "Event",
        "PersistentVolumeClaim",
        "HorizontalPodAutoscaler",
        "StorageClass",
        "SelfSubjectAccessReview",
    ];
    object["kind"].as_str().is_some_and(|kind| !WITHOUT.contains(&kind))
}

/// Increments the generation after a change outside metadata and status.
pub fn count_generation(object: &mut Value, before: Option<&Value>) {
    if !has_generation(object) {
        return;
    }
    let wanted = |object: &Value| {
        let mut wanted = object.as_object().cloned().unwrap_or_default();
        wanted.remove("metadata");
        wanted.remove("status");
        wanted
    };
    let generation = match before {
        None => 1,
        Some(before) => {
            let last = before["metadata"]["generation"].as_u64().unwrap_or(1);
            last + u64::from(wanted(before) != wanted(object))
        }
    };
    object["metadata"]["generation"] = json!(generation);
}

/// The same for an object that a test adds, which may have its own generation.
pub fn first_generation(object: &mut Value) {
    if has_generation(object) && object["metadata"]["generation"].is_null() {
        object["metadata"]["generation"] = json!(1);
    }
}

/// The response for a client that requests metadata only.
pub fn partial(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
        "metadata": object["metadata"],
    })
}

/// The object as an item of a list. Items of built-in kinds do not repeat their kind.
pub fn item(object: &Value) -> Value {
    let is_own = !object["apiVersion"].as_str().is_some_and(kinds::is_custom);
    let mut item: Map<String, Value> = object.as_object().cloned().unwrap_or_default();
    if is_own {
        item.remove("kind");
        item.remove("apiVersion");
    }
    Value::Object(item)
}
