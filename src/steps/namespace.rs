//! The namespace, and in it the memory of what was asked for.

use anyhow::{Context, Result};
use async_trait::async_trait;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{
    ConfigMap, Namespace, PersistentVolumeClaim, Pod, Secret, Service,
};
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::json;

use crate::clients::apply::{self, FIELD_MANAGER};
use crate::clients::wait;
use crate::output::progress::Progress;
use crate::stack::step::{Converged, Observed, Retracted, Retraction, Step, StepId};
use crate::stack::{SETTINGS, Stack};

use super::{datalake, preflight};

const PART_OF: &str = "app.kubernetes.io/part-of";
/// ConfigMaps that Kubernetes, OpenShift and Istio put into every namespace, and put back.
const OF_THE_CLUSTER: [&str; 3] =
    ["kube-root-ca.crt", "openshift-service-ca.crt", "istio-ca-root-cert"];

pub fn steps() -> Vec<Box<dyn Step>> {
    vec![Box::new(OfTheStack), Box::new(Remembered)]
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
                Observed::blocked(
                    format!("namespace {name} is being deleted"),
                    "wait until it is gone, or choose another with `-n`",
                )
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
        Self::api(stack)
            .patch(name, &params, &Patch::Apply(&namespace))
            .await
            .with_context(|| format!("namespace {name}"))?;
        Ok(Converged::Done(format!("{name}, new")))
    }

    async fn retractable(&self, stack: &Stack, how: Retraction) -> Result<Retracted> {
        let name = stack.namespace();
        let Some(namespace) = Self::api(stack).get_opt(name).await? else {
            return Ok(Retracted::Nothing);
        };
        if !apply::is_ours(&namespace.metadata) {
            return Ok(Retracted::Nothing);
        }
        if how.keep_data {
            return Ok(Retracted::Kept(format!("namespace {name}: it holds the data")));
        }
        Ok(match foreign_object(stack).await? {
            Some(object) => {
                Retracted::Kept(format!("namespace {name}: it holds {object}, which is not ours"))
            }
            None => Retracted::Removed(format!("namespace {name}")),
        })
    }

    async fn retract(&self, stack: &Stack, _: Retraction, progress: &Progress) -> Result<()> {
        let name = stack.namespace();
        Self::api(stack)
            .delete(name, &DeleteParams::default())
            .await
            .with_context(|| format!("namespace {name}"))?;
        wait::until_gone(stack, &format!("the end of namespace {name}"), progress, || async {
            Ok(Self::api(stack)
                .get_opt(name)
                .await?
                .map(|_| format!("namespace {name} is being deleted")))
        })
        .await
    }

    fn explain(&self, stack: &Stack) -> Vec<String> {
        vec![format!("kubectl create namespace {}", stack.namespace())]
    }
}

/// Something in the namespace that neither this tool nor the cluster itself put there.
async fn foreign_object(stack: &Stack) -> Result<Option<String>> {
    async fn find<K>(stack: &Stack, kind: &str) -> Result<Option<String>>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned,
    {
        let objects = stack.api::<K>().list_metadata(&ListParams::default()).await?;
        Ok(objects.items.iter().find_map(|object| stranger(kind, &object.metadata)))
    }
    let found = tokio::try_join!(
        find::<Deployment>(stack, "deployment"),
        find::<StatefulSet>(stack, "statefulset"),
        find::<DaemonSet>(stack, "daemonset"),
        find::<CronJob>(stack, "cronjob"),
        find::<Job>(stack, "job"),
        find::<Pod>(stack, "pod"),
        find::<PersistentVolumeClaim>(stack, "volume claim"),
        find::<Service>(stack, "service"),
        find::<Ingress>(stack, "ingress"),
        find::<Secret>(stack, "secret"),
        find::<ConfigMap>(stack, "configmap"),
    )?;
    let (deployment, stateful, daemon, cron, job, pod, claim, service, ingress, secret, config) =
        found;
    let all =
        [deployment, stateful, daemon, cron, job, pod, claim, service, ingress, secret, config];
    Ok(all.into_iter().flatten().next())
}

/// What an object tells of somebody else: its own name, or that of the custom resource it was made for.
fn stranger(kind: &str, metadata: &ObjectMeta) -> Option<String> {
    let label =
        |key: &str| metadata.labels.as_ref().and_then(|labels| labels.get(key)).map(String::as_str);
    let name = metadata.name.as_deref().unwrap_or_default();
    // what the operator makes of our Elasticsearch resource goes with it
    let is_ours = label(PART_OF) == Some("lastack")
        || label("elasticsearch.k8s.elastic.co/cluster-name") == Some(datalake::NAME);
    if is_ours || OF_THE_CLUSTER.contains(&name) {
        return None;
    }
    // helm puts the labels of a release on what it remembers of it
    if name.starts_with("sh.helm.release.") {
        return Some(format!("release {}", label("name").unwrap_or(name)));
    }
    match metadata.owner_references.as_deref().and_then(<[_]>::first) {
        None => Some(format!("{kind} {name}")),
        // a ReplicaSet, a Job and the like, whose own owner is looked at, too
        Some(owner) if !owner.api_version.contains('.') => None,
        Some(owner) => Some(format!("{} {}", owner.kind, owner.name)),
    }
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
            Observed::drifted(
                format!("configmap {SETTINGS}"),
                "what was asked before",
                "what was asked now",
            )
        })
    }

    async fn converge(&self, stack: &Stack, _: &Progress) -> Result<Converged> {
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": SETTINGS, "labels": stack.labels("settings", "lastack")},
            "data": stack.settings.to_data()?,
        });
        let params = PatchParams::apply(FIELD_MANAGER).force();
        stack
            .api::<ConfigMap>()
            .patch(SETTINGS, &params, &Patch::Apply(&map))
            .await
            .with_context(|| format!("configmap {SETTINGS}"))?;
        Ok(Converged::Done(format!("profile {}", stack.settings.profile().name())))
    }

    async fn retractable(&self, stack: &Stack, how: Retraction) -> Result<Retracted> {
        Ok(match apply::is_there(&stack.api::<ConfigMap>(), SETTINGS).await? {
            false => Retracted::Nothing,
            true if how.keep_data => Retracted::Kept(
                "the settings: the next install needs them for the same data".into(),
            ),
            true => Retracted::Removed(format!("configmap {SETTINGS}")),
        })
    }

    async fn retract(&self, stack: &Stack, _: Retraction, _: &Progress) -> Result<()> {
        apply::delete_ours(&stack.api::<ConfigMap>(), SETTINGS).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_in_the_namespace_is_told_from_what_is_made_for_the_stack() {
        let found = |metadata: serde_json::Value| {
            stranger("secret", &serde_json::from_value(metadata).unwrap())
        };
        let cluster = |name: &str| json!({"elasticsearch.k8s.elastic.co/cluster-name": name, "common.k8s.elastic.co/type": "elasticsearch"});
        let owner = |version: &str, kind: &str, name: &str| json!([{"apiVersion": version, "kind": kind, "name": name, "uid": "u"}]);
        for ours in [
            json!({"name": "lrs-ralph", "labels": {"app.kubernetes.io/part-of": "lastack"}}),
            json!({"name": "data-lake-es-elastic-user", "labels": cluster("data-lake")}),
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
        let search = json!({"name": "search-es-default", "labels": cluster("search"),
            "ownerReferences": owner("elasticsearch.k8s.elastic.co/v1", "Elasticsearch", "search")});
        assert_eq!(found(search), Some("Elasticsearch search".into()));
        assert_eq!(
            found(json!({"name": "search-es-elastic-user", "labels": cluster("search")})),
            Some("secret search-es-elastic-user".into())
        );
    }
}
