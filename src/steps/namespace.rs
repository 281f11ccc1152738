//! The namespace, and in it the memory of what was asked for.

use anyhow::{Context, Result};
use async_trait::async_trait;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, PersistentVolumeClaim, Pod, Secret};
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::json;

use crate::clients::apply::FIELD_MANAGER;
use crate::clients::wait::{self, State};
use crate::output::progress::Progress;
use crate::stack::step::{Converged, Observed, Retracted, Retraction, Step, StepId};
use crate::stack::{SETTINGS, Stack};

use super::preflight;

const PART_OF: &str = "app.kubernetes.io/part-of";

pub fn steps() -> Vec<Box<dyn Step>> {
    vec![Box::new(OfTheStack), Box::new(Remembered)]
}

fn is_managed(labels: Option<&std::collections::BTreeMap<String, String>>) -> bool {
    labels.and_then(|labels| labels.get("app.kubernetes.io/managed-by")).is_some_and(|value| value == FIELD_MANAGER)
}

struct OfTheStack;

impl OfTheStack {
    fn api(stack: &Stack) -> Api<Namespace> {
        Api::all(stack.target.client.clone())
    }
}

#[async_trait]
impl Step for OfTheStack {
    fn id(&self) -> StepId {
        "namespace"
    }

    fn needs(&self) -> &'static [StepId] {
        preflight::ALL
    }

    async fn observe(&self, stack: &Stack) -> Result<Observed> {
        let name = stack.namespace();
        Ok(match Self::api(stack).get_opt(name).await? {
            None => Observed::Missing(format!("namespace {name}")),
            Some(namespace) if namespace.metadata.deletion_timestamp.is_some() => {
                Observed::blocked(format!("namespace {name} is being deleted"), "wait until it is gone, or choose another with `-n`")
            }
            Some(_) => Observed::Ok(name.to_string()),
        })
    }

    async fn converge(&self, stack: &Stack, _: &Progress) -> Result<Converged> {
        let name = stack.namespace();
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "labels": stack.labels("namespace", name)},
        });
        let params = PatchParams::apply(FIELD_MANAGER).force();
        Self::api(stack).patch(name, &params, &Patch::Apply(&namespace)).await.with_context(|| format!("namespace {name}"))?;
        Ok(Converged::Done(format!("{name}, new")))
    }

    async fn retractable(&self, stack: &Stack, how: Retraction) -> Result<Retracted> {
        let name = stack.namespace();
        let Some(namespace) = Self::api(stack).get_opt(name).await? else { return Ok(Retracted::Nothing) };
        if !is_managed(namespace.metadata.labels.as_ref()) {
            return Ok(Retracted::Nothing);
        }
        if how.keep_data {
            return Ok(Retracted::Kept(format!("namespace {name}: it holds the data")));
        }
        Ok(match foreign_object(stack).await? {
            Some(object) => Retracted::Kept(format!("namespace {name}: it holds {object}, which is not ours")),
            None => Retracted::Removed(format!("namespace {name}")),
        })
    }

    async fn retract(&self, stack: &Stack, _: Retraction, progress: &Progress) -> Result<()> {
        let name = stack.namespace();
        Self::api(stack).delete(name, &DeleteParams::default()).await.with_context(|| format!("namespace {name}"))?;
        wait::until(stack, &format!("the end of namespace {name}"), progress, || async {
            Ok(match Self::api(stack).get_opt(name).await? {
                None => State::Ready(String::new()),
                Some(_) => State::Waiting(format!("namespace {name} is being deleted")),
            })
        })
        .await
        .map(drop)
    }

    fn explain(&self, stack: &Stack) -> Vec<String> {
        vec![format!("kubectl create namespace {}", stack.namespace())]
    }
}

/// Something in the namespace that neither this tool nor the cluster itself put there.
async fn foreign_object(stack: &Stack) -> Result<Option<String>> {
    async fn find<K>(stack: &Stack, kind: &str) -> Result<Option<String>>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
    {
        let objects = stack.api::<K>().list_metadata(&ListParams::default()).await?;
        let foreign = objects.items.into_iter().find(|object| {
            let ours = object.metadata.labels.as_ref().and_then(|labels| labels.get(PART_OF)).is_some_and(|value| value == "lastack");
            let name = object.metadata.name.as_deref().unwrap_or_default();
            // what the operator makes of our Elasticsearch resource goes with it
            let of_eck = object
                .metadata
                .labels
                .iter()
                .flatten()
                .any(|(key, _)| key.ends_with("k8s.elastic.co/cluster-name") || key.ends_with("k8s.elastic.co/type"));
            !ours && !of_eck && object.metadata.owner_references.is_none() && name != "kube-root-ca.crt" && !name.starts_with("sh.helm.release.")
        });
        Ok(foreign.and_then(|object| object.metadata.name).map(|name| format!("{kind} {name}")))
    }
    let found = tokio::try_join!(
        find::<Pod>(stack, "pod"),
        find::<Deployment>(stack, "deployment"),
        find::<StatefulSet>(stack, "statefulset"),
        find::<PersistentVolumeClaim>(stack, "volume claim"),
        find::<Secret>(stack, "secret"),
        find::<ConfigMap>(stack, "configmap"),
    )?;
    Ok(found.0.or(found.1).or(found.2).or(found.3).or(found.4).or(found.5))
}

/// The settings, so that an install without flags repairs this stack and does not make it another one.
struct Remembered;

#[async_trait]
impl Step for Remembered {
    fn id(&self) -> StepId {
        super::SETTINGS
    }

    fn needs(&self) -> &'static [StepId] {
        &["namespace"]
    }

    async fn observe(&self, stack: &Stack) -> Result<Observed> {
        let profile = stack.settings.profile().name();
        let Some(map) = stack.api::<ConfigMap>().get_opt(SETTINGS).await? else {
            return Ok(Observed::Missing(format!("configmap {SETTINGS}, profile {profile}")));
        };
        Ok(if map.data == Some(stack.settings.to_data()?) {
            Observed::Ok(format!("profile {profile}"))
        } else {
            Observed::drifted(format!("configmap {SETTINGS}"), "what was asked before", "what was asked now")
        })
    }

    async fn converge(&self, stack: &Stack, _: &Progress) -> Result<Converged> {
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": SETTINGS, "labels": stack.labels("settings", "lastack")},
            "data": stack.settings.to_data()?,
        });
        let params = PatchParams::apply(FIELD_MANAGER).force();
        stack.api::<ConfigMap>().patch(SETTINGS, &params, &Patch::Apply(&map)).await.with_context(|| format!("configmap {SETTINGS}"))?;
        Ok(Converged::Done(format!("profile {}", stack.settings.profile().name())))
    }

    async fn retractable(&self, stack: &Stack, how: Retraction) -> Result<Retracted> {
        Ok(match stack.api::<ConfigMap>().get_opt(SETTINGS).await? {
            None => Retracted::Nothing,
            Some(_) if how.keep_data => Retracted::Kept("the settings: the next install needs them for the same data".into()),
            Some(_) => Retracted::Removed(format!("configmap {SETTINGS}")),
        })
    }

    async fn retract(&self, stack: &Stack, _: Retraction, _: &Progress) -> Result<()> {
        stack.api::<ConfigMap>().delete(SETTINGS, &DeleteParams::default()).await.map(drop).with_context(|| format!("configmap {SETTINGS}"))
    }
}
