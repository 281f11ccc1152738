//! The objects of a stack by their labels, whoever knows of them: what is there of a release that helm has forgotten, and
//! the proof that nothing is left.

use std::fmt;

use anyhow::{Context, Result};
use futures::future::try_join_all;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{
    ConfigMap, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount,
};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, DynamicObject, ListParams};
use kube::core::ApiResource;
use kube::{Api, Resource};

use crate::clients::apply;
use crate::error;
use crate::stack::Stack;
use crate::stack::step::Retraction;

const OF_A_STACK: &str = "app.kubernetes.io/part-of=lastack";
const INSTANCE: &str = "app.kubernetes.io/instance";
/// What our charts give for who manages an object: a release. This tool names itself.
const HELM: &str = "Helm";

fn kind<K: Resource<DynamicType = ()>>() -> ApiResource {
    ApiResource::erase::<K>(&())
}

/// What our charts make and helm takes away with the release.
fn of_charts() -> Vec<ApiResource> {
    vec![
        kind::<Deployment>(),
        kind::<StatefulSet>(),
        kind::<Job>(),
        kind::<Pod>(),
        kind::<Service>(),
        kind::<ServiceAccount>(),
        kind::<ConfigMap>(),
        kind::<NetworkPolicy>(),
        kind::<Ingress>(),
        kind::<HorizontalPodAutoscaler>(),
        kind::<PodDisruptionBudget>(),
    ]
}

/// An object that is there.
pub struct Found {
    kind: ApiResource,
    metadata: ObjectMeta,
}

/// `deployment/lrs-ralph`, as kubectl takes it.
impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.kind.to_lowercase(), self.name())
    }
}

impl Found {
    fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    fn label(&self, key: &str) -> Option<&str> {
        self.metadata.labels.as_ref()?.get(key).map(String::as_str)
    }

    fn has_owner(&self) -> bool {
        self.metadata.owner_references.as_ref().is_some_and(|owners| !owners.is_empty())
    }

    pub async fn delete(&self, stack: &Stack) -> Result<()> {
        apply::delete(&api(stack, &self.kind), self.name(), &DeleteParams::background())
            .await
            .with_context(|| self.to_string())
    }
}

/// The names as one reads them, or gives them to kubectl.
pub fn names(found: &[Found], separator: &str) -> String {
    found.iter().map(Found::to_string).collect::<Vec<_>>().join(separator)
}

fn api(stack: &Stack, kind: &ApiResource) -> Api<DynamicObject> {
    Api::namespaced_with(stack.target.client.clone(), stack.namespace(), kind)
}

async fn find(stack: &Stack, kind: ApiResource, labels: &str) -> Result<Vec<Found>> {
    let objects = api(stack, &kind)
        .list_metadata(&ListParams::default().labels(labels))
        .await
        .with_context(|| kind.plural.clone())?;
    Ok(objects
        .items
        .into_iter()
        .map(|object| Found { kind: kind.clone(), metadata: object.metadata })
        .collect())
}

/// What helm made for a release of the stack, without its volume claims. Who may not see a kind has made none of it.
pub async fn of_release(stack: &Stack, release: &str) -> Result<Vec<Found>> {
    let labels = format!("{OF_A_STACK},{INSTANCE}={release},{}={HELM}", apply::MANAGED_BY);
    let look = async |kind| match find(stack, kind, &labels).await {
        Err(error) if error::forbidden(&error).is_some() => Ok(Vec::new()),
        found => found,
    };
    Ok(try_join_all(of_charts().into_iter().map(look)).await?.into_iter().flatten().collect())
}

/// What is left of the stack that should not be, whichever step has overlooked it.
pub async fn left(stack: &Stack, how: Retraction) -> Result<Vec<Found>> {
    let mut kinds = of_charts();
    if how.keep_data {
        kinds.retain(|kind| kind.kind != "ConfigMap");
    } else {
        kinds.extend([kind::<Secret>(), kind::<PersistentVolumeClaim>()]);
    }
    kinds.push(kind::<CronJob>());
    let found = try_join_all(kinds.into_iter().map(|kind| find(stack, kind, OF_A_STACK))).await?;
    let mut left = Vec::new();
    for object in found.into_iter().flatten() {
        // what has an owner goes with it
        let is_made_by_us =
            apply::is_ours(&object.metadata) || object.label(apply::MANAGED_BY) == Some(HELM);
        if is_made_by_us && !object.has_owner() && !is_of_others(stack, &object).await? {
            left.push(object);
        }
    }
    Ok(left)
}

/// Others may have made a release from one of our charts.
async fn is_of_others(stack: &Stack, object: &Found) -> Result<bool> {
    match object.label(INSTANCE) {
        Some(release) => stack.helm.is_others(release, stack.namespace()).await,
        None => Ok(false),
    }
}
