//! Server-side apply, and its dry run as the one way to tell whether an object is as it should be.

use anyhow::{Context, Result, bail};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::discovery::{Scope, pinned_kind};
use kube::{Api, Client};
use serde_json::Value;

use crate::stack::step::Drift;

pub const FIELD_MANAGER: &str = "kubectl-lastack";
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// Whether this program made the object, which is what its label says.
pub fn is_ours(metadata: &ObjectMeta) -> bool {
    metadata
        .labels
        .as_ref()
        .and_then(|labels| labels.get(MANAGED_BY))
        .is_some_and(|manager| manager == FIELD_MANAGER)
}

/// What to do about an object of others that bears the name of one of ours.
pub fn others_hint(kind: &str, name: &str, namespace: &str) -> String {
    format!(
        "use another namespace with `-n`, or give it to this tool: kubectl label {kind} {name} -n {namespace} {MANAGED_BY}={FIELD_MANAGER} --overwrite"
    )
}

/// Whether there is such an object, and this program made it.
pub async fn is_there<K>(api: &Api<K>, name: &str) -> Result<bool>
where
    K: Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let found = api.get_metadata_opt(name).await.with_context(|| name.to_string())?;
    Ok(found.is_some_and(|object| is_ours(&object.metadata)))
}

/// Deletes an object that this program made. One of others stays.
pub async fn delete_ours<K>(api: &Api<K>, name: &str) -> Result<()>
where
    K: Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    if is_there(api, name).await? {
        delete(api, name, &DeleteParams::default()).await
    } else {
        Ok(())
    }
}

/// How a live object compares to what it should be.
#[derive(Debug, PartialEq, Eq)]
pub enum Comparison {
    Missing,
    Same,
    Differs(Drift),
}

/// An object as it should be, and where it lives.
pub struct Desired {
    api: Api<DynamicObject>,
    kind: String,
    name: String,
    body: Value,
}

impl Desired {
    /// For a manifest with `apiVersion`, `kind` and `metadata.name`; a namespaced kind without a namespace goes
    /// into the given one. Asks the API server what the kind's resource is called.
    pub async fn discover(client: &Client, namespace: &str, body: Value) -> Result<Self> {
        let text = |path: &str| {
            body.pointer(path)
                .and_then(Value::as_str)
                .with_context(|| format!("a manifest without {path}"))
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

    /// For a namespaced kind whose resource is known.
    pub fn known(
        client: &Client,
        namespace: &str,
        resource: &ApiResource,
        body: Value,
    ) -> Result<Self> {
        let Some(name) = body.pointer("/metadata/name").and_then(Value::as_str).map(str::to_string)
        else {
            bail!("a manifest without a name")
        };
        let api = Api::namespaced_with(client.clone(), namespace, resource);
        Ok(Self { api, kind: resource.kind.clone(), name, body })
    }

    /// `Secret/lrs-ralph`, as kubectl takes it.
    pub fn label(&self) -> String {
        format!("{}/{}", self.kind.to_lowercase(), self.name)
    }

    pub async fn compare(&self) -> Result<Comparison> {
        let Some(live) = self.api.get_opt(&self.name).await.with_context(|| self.label())? else {
            return Ok(Comparison::Missing);
        };
        let wanted = self.patch(true).await?;
        let (live, wanted) = (essence(&live)?, essence(&wanted)?);
        Ok(match first_difference("", &live, &wanted) {
            None => Comparison::Same,
            Some((path, from, to)) => {
                let hidden = self.kind == "Secret"
                    && (path.starts_with(".data") || path.starts_with(".stringData"));
                let show = |value: Option<&Value>| match value {
                    None => "absent".to_string(),
                    Some(_) if hidden => "(hidden)".to_string(),
                    Some(Value::String(text)) => text.clone(),
                    Some(other) => other.to_string(),
                };
                Comparison::Differs(Drift {
                    what: format!("{} {path}", self.label()),
                    from: show(from),
                    to: show(to),
                })
            }
        })
    }

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

/// Deletes an object; one that is gone already is gone.
pub async fn delete<K>(api: &Api<K>, name: &str, params: &DeleteParams) -> Result<()>
where
    K: Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    match api.delete(name, params).await {
        Ok(_) => Ok(()),
        Err(error) if is_not_found(&error) => Ok(()),
        Err(error) => Err(error).with_context(|| name.to_string()),
    }
}

/// One by one, which needs no other permission than to delete one.
pub async fn delete_all<K>(api: &Api<K>, labels: &str, params: &DeleteParams) -> Result<()>
where
    K: Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    for object in api.list_metadata(&ListParams::default().labels(labels)).await?.items {
        delete(api, &object.metadata.name.unwrap_or_default(), params).await?;
    }
    Ok(())
}

pub fn is_not_found(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

/// What a person wrote of an object, without what the server keeps in it.
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

type Difference<'a> = (String, Option<&'a Value>, Option<&'a Value>);

fn first_difference<'a>(path: &str, live: &'a Value, wanted: &'a Value) -> Option<Difference<'a>> {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => {
            let keys = live.keys().chain(wanted.keys().filter(|key| !live.contains_key(*key)));
            keys.filter_map(|key| {
                let path = format!("{path}.{key}");
                match (live.get(key), wanted.get(key)) {
                    (Some(live), Some(wanted)) => first_difference(&path, live, wanted),
                    (live, wanted) => Some((path, live, wanted)),
                }
            })
            .next()
        }
        (Value::Array(live), Value::Array(wanted)) if live.len() == wanted.len() => {
            live.iter().zip(wanted).enumerate().find_map(|(i, (live, wanted))| {
                first_difference(&format!("{path}[{i}]"), live, wanted)
            })
        }
        (live, wanted) if live == wanted => None,
        (live, wanted) => Some((path.to_string(), Some(live), Some(wanted))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_first_field_that_differs_is_named_by_its_path() {
        let live = json!({"spec": {"replicas": 1, "ports": [{"port": 80}]}});
        let wanted = json!({"spec": {"replicas": 1, "ports": [{"port": 8080}]}});
        let (path, from, to) = first_difference("", &live, &wanted).unwrap();
        assert_eq!(
            (path.as_str(), from, to),
            (".spec.ports[0].port", Some(&json!(80)), Some(&json!(8080)))
        );
        assert!(first_difference("", &live, &live.clone()).is_none());
    }

    #[test]
    fn a_field_on_one_side_only_is_a_difference() {
        let (path, from, to) = first_difference("", &json!({"a": 1}), &json!({}))
            .map(|(p, f, t)| (p, f.cloned(), t.cloned()))
            .unwrap();
        assert_eq!((path.as_str(), from, to), (".a", Some(json!(1)), None));
    }
}
