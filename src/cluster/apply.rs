//! Server-side apply. Its dry run detects drift.

use anyhow::{Context, Result, bail};
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::discovery::{Scope, pinned_kind};
use kube::{Api, Client};
use serde_json::Value;

use super::object::FIELD_MANAGER;

/// The comparison of a live object with its desired state.
#[derive(Debug, PartialEq, Eq)]
pub enum Comparison {
    Missing,
    Same,
    /// All fields that differ.
    Differs(Vec<FieldDifference>),
}

/// A field that differs from its desired value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldDifference {
    /// The object and the path of the field, such as `deployment/lrs-ralph .spec.replicas`.
    pub field: String,
    pub observed: String,
    pub desired: String,
}

/// The desired state of an object.
pub struct Desired {
    api: Api<DynamicObject>,
    kind: String,
    name: String,
    body: Value,
}

impl Desired {
    /// From a manifest with `apiVersion`, `kind` and `metadata.name`. The given namespace applies to a namespaced kind
    /// without one. Requests the name of the kind's resource from the API server.
    ///
    /// # Errors
    /// When a field is missing, or the API server does not know the kind.
    pub async fn discover(client: &Client, namespace: &str, body: Value) -> Result<Self> {
        let text = |path: &str| {
            body.pointer(path)
                .and_then(Value::as_str)
                .with_context(|| format!("the manifest has no {path}"))
        };
        let (api_version, kind, name) = (
            text("/apiVersion")?.to_string(),
            text("/kind")?.to_string(),
            text("/metadata/name")?.to_string(),
        );
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", &api_version));
        let (resource, capabilities) =
            pinned_kind(client, &GroupVersionKind::gvk(group, version, &kind)).await?;
        let api = match capabilities.scope {
            Scope::Cluster => Api::all_with(client.clone(), &resource),
            Scope::Namespaced => {
                let namespace = body
                    .pointer("/metadata/namespace")
                    .and_then(Value::as_str)
                    .unwrap_or(namespace);
                Api::namespaced_with(client.clone(), namespace, &resource)
            }
        };
        Ok(Self { api, kind, name, body })
    }

    /// From a manifest of a namespaced kind whose resource is known.
    ///
    /// # Errors
    /// When the manifest has no name.
    pub fn known(
        client: &Client,
        namespace: &str,
        resource: &ApiResource,
        body: Value,
    ) -> Result<Self> {
        let Some(name) = body.pointer("/metadata/name").and_then(Value::as_str).map(str::to_string)
        else {
            bail!("the manifest has no name")
        };
        let api = Api::namespaced_with(client.clone(), namespace, resource);
        Ok(Self { api, kind: resource.kind.clone(), name, body })
    }

    /// The kind and name in the form of kubectl, such as `secret/lrs-ralph`.
    pub fn label(&self) -> String {
        format!("{}/{}", self.kind.to_lowercase(), self.name)
    }

    /// Compares the live object with the result of a dry run.
    ///
    /// # Errors
    /// When the object cannot be read or patched.
    pub async fn compare(&self) -> Result<Comparison> {
        let Some(live) = self.api.get_opt(&self.name).await.with_context(|| self.label())? else {
            return Ok(Comparison::Missing);
        };
        let wanted = self.patch(true).await?;
        let (live, wanted) = (essence(&live)?, essence(&wanted)?);
        let found = differences(&live, &wanted);
        if found.is_empty() {
            return Ok(Comparison::Same);
        }
        let differs = found.into_iter().map(|(path, observed, desired)| {
            let hidden = self.kind == "Secret"
                && (path.starts_with(".data") || path.starts_with(".stringData"));
            FieldDifference {
                field: format!("{} {path}", self.label()),
                observed: shown(observed, hidden),
                desired: shown(desired, hidden),
            }
        });
        Ok(Comparison::Differs(differs.collect()))
    }

    /// Applies the object and takes ownership of its fields.
    ///
    /// # Errors
    /// When the API server rejects the object.
    pub async fn apply(&self) -> Result<()> {
        self.patch(false).await.map(drop)
    }

    async fn patch(&self, dry_run: bool) -> Result<DynamicObject> {
        let params = PatchParams { dry_run, ..PatchParams::apply(FIELD_MANAGER).force() };
        self.api
            .patch(&self.name, &params, &Patch::Apply(&self.body))
            .await
            .with_context(|| self.label())
    }
}

/// An object without the fields that the API server manages.
fn essence(object: &DynamicObject) -> Result<Value> {
    let mut value = serde_json::to_value(object)?;
    if let Some(fields) = value.as_object_mut() {
        fields.remove("status");
        if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
            for key in ["managedFields", "resourceVersion", "generation"] {
                metadata.remove(key);
            }
        }
    }
    Ok(value)
}

fn shown(value: Option<&Value>, hidden: bool) -> String {
    match value {
        None => "absent".to_string(),
        Some(_) if hidden => "(hidden)".to_string(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// The path of a value, the observed value and the desired value.
type Difference<'a> = (String, Option<&'a Value>, Option<&'a Value>);

fn differences<'a>(live: &'a Value, wanted: &'a Value) -> Vec<Difference<'a>> {
    let mut found = Vec::new();
    compare("", live, wanted, &mut found);
    found
}

fn compare<'a>(path: &str, live: &'a Value, wanted: &'a Value, found: &mut Vec<Difference<'a>>) {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => {
            let only_wanted = wanted.keys().filter(|key| !live.contains_key(*key));
            for key in live.keys().chain(only_wanted) {
                let path = format!("{path}.{key}");
                match (live.get(key), wanted.get(key)) {
                    (Some(live), Some(wanted)) => compare(&path, live, wanted, found),
                    (live, wanted) => found.push((path, live, wanted)),
                }
            }
        }
        (Value::Array(live), Value::Array(wanted)) if live.len() == wanted.len() => {
            for (i, (live, wanted)) in live.iter().zip(wanted).enumerate() {
                compare(&format!("{path}[{i}]"), live, wanted, found);
            }
        }
        (live, wanted) if live == wanted => {}
        (live, wanted) => found.push((path.to_string(), Some(live), Some(wanted))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn comparison_names_every_field_that_differs_by_its_path() {
        let live = json!({"spec": {"replicas": 1, "ports": [{"port": 80}]}, "gone": true});
        let wanted = json!({"spec": {"replicas": 2, "ports": [{"port": 8080}]}, "new": 1});
        assert_eq!(
            differences(&live, &wanted),
            [
                (".gone".to_string(), Some(&json!(true)), None),
                (".spec.ports[0].port".to_string(), Some(&json!(80)), Some(&json!(8080))),
                (".spec.replicas".to_string(), Some(&json!(1)), Some(&json!(2))),
                (".new".to_string(), None, Some(&json!(1))),
            ]
        );
        assert!(differences(&live, &live.clone()).is_empty());
    }
}
