//! The namespace, and the stored settings of the stack in it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use async_trait::async_trait;
use futures::future::try_join_all;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{
    ConfigMap, Namespace, PersistentVolumeClaim, Pod, Secret, Service,
};
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::core::ApiResource;
use serde_json::{Value, json};

use crate::cluster::object::{self, FIELD_MANAGER, LiveObject, ObjectRef, PART_OF, label};
use crate::cluster::steps::{Step, with_input, yaml};
use crate::engine::{
    ABSENT, DeleteOptions, Deletion, Difference, Id, Node, Observation, Progress, Reconciled,
    Resource, Scope,
};
use crate::error::forbidden;
use crate::stack::settings::{self, Settings};
use crate::stack::{SETTINGS, Stack};

use super::model::{Components, PREFLIGHT};
use super::remains::kind;
use super::{datalake, ownership, remains};

/// The resource that creates the namespace of the stack.
pub const NAMESPACE: Id = Id("namespace");
/// The resource with the stored settings.
pub const STORED_SETTINGS: Id = Id("settings");

/// ConfigMaps that Kubernetes, OpenShift and Istio create in every namespace.
const OF_THE_CLUSTER: [&str; 3] =
    ["kube-root-ca.crt", "openshift-service-ca.crt", "istio-ca-root-cert"];

pub fn nodes(components: Components) -> Vec<Node<Stack>> {
    vec![Node::resource(OwnNamespace(components)), Node::resource(StoredSettings)]
}

/// The label with the Pod Security level that Kubernetes enforces. All Pods of the stack fulfil it. A namespace that exists
/// already keeps its level, because other Pods may run there.
const POD_SECURITY: (&str, &str) = ("pod-security.kubernetes.io/enforce", "restricted");

struct OwnNamespace(Components);

impl OwnNamespace {
    /// The manifest of a new namespace.
    fn manifest(stack: &Stack) -> Value {
        let name = stack.namespace();
        let mut labels = stack.labels("namespace", name);
        labels[POD_SECURITY.0] = json!(POD_SECURITY.1);
        json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "labels": labels},
        })
    }

    fn api(stack: &Stack) -> Api<Namespace> {
        stack.cluster.api_all()
    }
}

#[async_trait]
impl Resource<Stack> for OwnNamespace {
    fn id(&self) -> Id {
        NAMESPACE
    }

    fn needs(&self) -> &'static [Id] {
        PREFLIGHT
    }

    fn scope(&self) -> Scope {
        Scope::Shared
    }

    async fn observe(&self, stack: &Stack) -> Result<Observation> {
        let name = stack.namespace();
        Ok(match Self::api(stack).get_opt(name).await? {
            None => Observation::Missing(format!("namespace {name}")),
            Some(namespace) if namespace.metadata.deletion_timestamp.is_some() => {
                Observation::blocked(
                    format!("namespace {name} is being deleted"),
                    "wait for its deletion, or choose another namespace with `-n`",
                )
            }
            Some(_) => Observation::Equal(name.to_string()),
        })
    }

    async fn reconcile(&self, stack: &Stack, _: &Progress<'_>) -> Result<Reconciled> {
        let name = stack.namespace();
        let params = PatchParams::apply(FIELD_MANAGER).force();
        Self::api(stack)
            .patch(name, &params, &Patch::Apply(&Self::manifest(stack)))
            .await
            .with_context(|| format!("namespace {name}"))?;
        Ok(Reconciled::Done(format!("{name}, new")))
    }

    async fn plan_deletion(
        &self,
        stack: &Stack,
        options: DeleteOptions,
    ) -> Result<Deletion<ObjectRef>> {
        let mut deletion = match remains::of_stack(stack, self.0, options).await {
            Ok(found) => found,
            Err(error) => match forbidden(&error) {
                Some(sentence) => {
                    Deletion { unknown: Some(sentence.into()), ..Deletion::default() }
                }
                None => return Err(error),
            },
        };
        let name = stack.namespace();
        let namespace = ObjectRef::of::<Namespace>(name);
        let found = Self::api(stack).get_opt(name).await?;
        if !found.is_some_and(|found| object::is_ours(&found.metadata)) {
            return Ok(deletion);
        }
        if options.keep_data {
            deletion.keep.push((namespace, "it contains the data".into()));
        } else if let Some(other) = foreign_object(stack, self.0).await? {
            deletion
                .keep
                .push((namespace, format!("it contains {other}, which this tool did not create")));
        } else {
            deletion.delete.push(namespace);
        }
        Ok(deletion)
    }

    async fn delete(&self, stack: &Stack, _: DeleteOptions, progress: &Progress<'_>) -> Result<()> {
        let name = stack.namespace();
        Self::api(stack)
            .delete(name, &DeleteParams::default())
            .await
            .with_context(|| format!("namespace {name}"))?;
        stack
            .until_gone(&format!("the deletion of namespace {name}"), progress, || async {
                let found = Self::api(stack).get_opt(name).await?;
                Ok(found.map(|_| format!("namespace {name} is being deleted")))
            })
            .await
    }

    async fn explain(&self, stack: &Stack) -> Result<Vec<Step>> {
        let name = stack.namespace();
        Ok(vec![Step::Command(with_input(
            &format!("kubectl get namespace {name} >/dev/null 2>&1 || kubectl create -f -"),
            &yaml(&Self::manifest(stack))?,
        ))])
    }
}

/// The name of an object in the namespace that neither this tool nor the cluster created.
async fn foreign_object(stack: &Stack, components: Components) -> Result<Option<String>> {
    let data_lake = datalake::Ownership::find(stack).await?;
    let find = async |kind: ApiResource, name: &str| {
        let objects = object::find(&stack.cluster, &kind, "").await?;
        let is_ours = |object: &LiveObject| {
            let is_claim = object.is::<PersistentVolumeClaim>();
            ownership::is_of_stack(components, object) || data_lake.owns(&object.metadata, is_claim)
        };
        let foreign = objects.iter().filter(|object| !is_ours(object));
        let named = foreign.filter_map(|object| foreign_name(name, &object.metadata)).next();
        Ok::<_, anyhow::Error>(named)
    };
    let found = try_join_all([
        find(kind::<Deployment>(), "deployment"),
        find(kind::<StatefulSet>(), "statefulset"),
        find(kind::<DaemonSet>(), "daemonset"),
        find(kind::<CronJob>(), "cronjob"),
        find(kind::<Job>(), "job"),
        find(kind::<Pod>(), "pod"),
        find(kind::<PersistentVolumeClaim>(), "volume claim"),
        find(kind::<Service>(), "service"),
        find(kind::<Ingress>(), "ingress"),
        find(kind::<Secret>(), "secret"),
        find(kind::<ConfigMap>(), "configmap"),
    ]);
    Ok(found.await?.into_iter().flatten().next())
}

/// The name of an object that is not ours, or of the custom resource that owns it. None: the cluster or helm created it.
fn foreign_name(kind: &str, metadata: &ObjectMeta) -> Option<String> {
    let name = metadata.name.as_deref().unwrap_or_default();
    if OF_THE_CLUSTER.contains(&name) {
        return None;
    }
    if object::is_helm_record(metadata) {
        let is_ours = label(metadata, PART_OF.0) == Some(PART_OF.1);
        return (!is_ours).then(|| format!("release {}", label(metadata, "name").unwrap_or(name)));
    }
    match metadata.owner_references.as_deref().and_then(<[_]>::first) {
        None => Some(format!("{kind} {name}")),
        // the owner is a ReplicaSet, a Job or the like, which is examined itself
        Some(owner) if !owner.api_version.contains('.') => None,
        Some(owner) => Some(format!("{} {}", owner.kind, owner.name)),
    }
}

/// The settings and versions. Because they are stored, an install without flags does not change the stack.
struct StoredSettings;

fn manifest(stack: &Stack) -> Result<Value> {
    Ok(json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": SETTINGS, "labels": stack.labels("settings", "lastack")},
        "data": stack.stored_data()?,
    }))
}

/// The data of the ConfigMap with the settings and versions.
pub type StoredData = BTreeMap<String, String>;

/// The stored settings and versions. None: there are none.
///
/// # Errors
/// When the ConfigMap cannot be read.
pub async fn stored(stack: &Stack) -> Result<Option<StoredData>> {
    let map = stack.api::<ConfigMap>().get_opt(SETTINGS).await;
    Ok(map.with_context(|| format!("configmap {SETTINGS}"))?.and_then(|map| map.data))
}

/// Stores the settings and versions of the stack.
///
/// # Errors
/// When the ConfigMap cannot be written.
pub async fn store_settings(stack: &Stack) -> Result<()> {
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let map = Patch::Apply(manifest(stack)?);
    let stored = stack.api::<ConfigMap>().patch(SETTINGS, &params, &map).await;
    stored.map(drop).with_context(|| format!("configmap {SETTINGS}"))
}

#[async_trait]
impl Resource<Stack> for StoredSettings {
    fn id(&self) -> Id {
        STORED_SETTINGS
    }

    fn needs(&self) -> &'static [Id] {
        &[Id("namespace")]
    }

    fn scope(&self) -> Scope {
        Scope::Shared
    }

    async fn observe(&self, stack: &Stack) -> Result<Observation> {
        let profile = stack.settings.profile().name();
        let Some(map) = stack.api::<ConfigMap>().get_opt(SETTINGS).await? else {
            return Ok(Observation::Missing(format!("configmap {SETTINGS}, profile {profile}")));
        };
        Ok(if map.data == Some(stack.stored_data()?) {
            Observation::Equal(format!("profile {profile}"))
        } else {
            Observation::drifted(
                format!("configmap {SETTINGS}"),
                "the previous settings",
                "the requested settings",
            )
        })
    }

    async fn differences(&self, stack: &Stack) -> Result<Option<Vec<Difference>>> {
        let Some(map) = stack.api::<ConfigMap>().get_opt(SETTINGS).await? else { return Ok(None) };
        let live = serde_json::to_value(Settings::from_config_map(&map)?)?;
        let wanted = serde_json::to_value(&stack.settings)?;
        let names =
            |settings: &Value| settings.as_object().cloned().unwrap_or_default().into_iter();
        let names: BTreeSet<String> =
            names(&live).chain(names(&wanted)).map(|(name, _)| name).collect();
        let of = |settings: &Value, name: &str| match &settings[name] {
            Value::Null => Ok(ABSENT.into()),
            value => serde_saphyr::to_string(value),
        };
        let found = names.iter().filter(|name| live[*name] != wanted[*name]).map(|name| {
            let what = format!("configmap/{SETTINGS} .{name}");
            Ok(Difference::new(what, of(&live, name)?, of(&wanted, name)?))
        });
        let mut found: Vec<Difference> = found.collect::<Result<_>>()?;
        // the versions as a whole: `upgrade` shows them one by one
        let (live, wanted) = (map.data.unwrap_or_default(), stack.stored_data()?);
        let text = |data: &BTreeMap<String, String>, key| data.get(key).cloned();
        let keys: BTreeSet<&String> = live.keys().chain(wanted.keys()).collect();
        for key in keys.into_iter().filter(|key| *key != settings::KEY) {
            let (live, wanted) = (text(&live, key), text(&wanted, key));
            if live != wanted {
                let shown = |text: Option<String>| text.unwrap_or_else(|| ABSENT.into());
                let what = format!("configmap/{SETTINGS} {key}");
                found.push(Difference::new(what, shown(live), shown(wanted)));
            }
        }
        Ok(Some(found))
    }

    async fn reconcile(&self, stack: &Stack, _: &Progress<'_>) -> Result<Reconciled> {
        store_settings(stack).await?;
        Ok(Reconciled::Done(format!("profile {}", stack.settings.profile().name())))
    }

    async fn plan_deletion(
        &self,
        stack: &Stack,
        options: DeleteOptions,
    ) -> Result<Deletion<ObjectRef>> {
        let settings = object::ours::<ConfigMap>(&stack.cluster, SETTINGS).await?;
        Ok(match options.keep_data {
            true => Deletion::keeping(settings, "the next install needs it for the same data"),
            false => Deletion::of(settings),
        })
    }

    async fn delete(&self, stack: &Stack, _: DeleteOptions, _: &Progress<'_>) -> Result<()> {
        object::delete_ours(&stack.api::<ConfigMap>(), SETTINGS).await
    }

    async fn explain(&self, stack: &Stack) -> Result<Vec<Step>> {
        Ok(vec![Step::Apply { file: SETTINGS, manifest: manifest(stack)? }])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_object_is_named_and_objects_of_helm_and_cluster_are_not() {
        let found = |metadata: serde_json::Value| {
            foreign_name("secret", &serde_json::from_value(metadata).unwrap())
        };
        let owner = |version: &str, kind: &str, name: &str| json!([{"apiVersion": version, "kind": kind, "name": name, "uid": "u"}]);
        for ours in [
            json!({"name": "sh.helm.release.v1.lrs.v1", "labels": {"name": "lrs", "app.kubernetes.io/part-of": "lastack"}}),
            json!({"name": "kube-root-ca.crt"}),
            json!({"name": "openshift-service-ca.crt"}),
            json!({"name": "istio-ca-root-cert"}),
            json!({"name": "web-5d9c", "ownerReferences": owner("apps/v1", "ReplicaSet", "web")}),
        ] {
            assert_eq!(found(ours.clone()), None, "{ours}");
        }
        assert_eq!(found(json!({"name": "theirs"})), Some("secret theirs".into()));
        assert_eq!(
            found(json!({"name": "sh.helm.release.v1.lms.v1", "labels": {"name": "lms"}})),
            Some("release lms".into())
        );
        let search = json!({"name": "search-es-default",
            "ownerReferences": owner("elasticsearch.k8s.elastic.co/v1", "Elasticsearch", "search")});
        assert_eq!(found(search), Some("Elasticsearch search".into()));
    }
}
