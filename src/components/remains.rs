//! Finds the objects of a stack by their labels: those of a release without a helm record, and those that no other
//! resource deletes.

use std::collections::BTreeMap;

use anyhow::Result;
use futures::future::try_join_all;
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Secret};
use kube::Resource;
use kube::core::ApiResource;

use crate::cluster::object::{self, HELM, INSTANCE, LiveObject, MANAGED_BY};
use crate::engine::DeleteOptions;
use crate::error;
use crate::stack::Stack;

use super::model::Components;

pub fn kind<K: Resource<DynamicType = ()>>() -> ApiResource {
    ApiResource::erase::<K>(&())
}

/// The kinds of objects in a component's release.
pub type Kinds = &'static [fn() -> ApiResource];

/// The kinds that the components declare, each once.
fn of_charts(components: Components) -> Vec<ApiResource> {
    let declared = components.iter().flat_map(|component| component.declaration().kinds);
    let by_name: BTreeMap<String, ApiResource> =
        declared.map(|kind| kind()).map(|kind| (kind.plural.clone(), kind)).collect();
    by_name.into_values().collect()
}

/// The objects that helm created for a release of the stack, without its volume claims. A user without permission to list
/// a kind has created no object of it.
///
/// # Errors
/// When a kind cannot be listed for another reason than a missing permission.
pub async fn of_release(stack: &Stack, release: &str, kinds: Kinds) -> Result<Vec<LiveObject>> {
    let labels = format!("{},{MANAGED_BY}={HELM}", object::of_release(release));
    let look = async |kind| match object::find(&stack.cluster, &kind, &labels).await {
        Err(error) if error::forbidden(&error).is_some() => Ok(Vec::new()),
        found => found,
    };
    let found = try_join_all(kinds.iter().map(|kind| look(kind()))).await?;
    Ok(found.into_iter().flatten().collect())
}

/// All objects of the stack, except those that Kubernetes deletes with their owner.
///
/// # Errors
/// When a kind cannot be listed.
pub async fn of_stack(
    stack: &Stack,
    components: Components,
    options: DeleteOptions,
) -> Result<Vec<LiveObject>> {
    let mut kinds = of_charts(components);
    if options.keep_data {
        kinds.retain(|kind| kind.kind != ConfigMap::kind(&()));
    } else {
        kinds.extend([kind::<Secret>(), kind::<PersistentVolumeClaim>()]);
    }
    kinds.push(kind::<CronJob>());
    let labels = object::of_a_stack();
    let look = |kind: ApiResource| {
        let labels = &labels;
        async move { object::find(&stack.cluster, &kind, labels).await }
    };
    let found = try_join_all(kinds.into_iter().map(look)).await?;
    let mut remaining = Vec::new();
    for object in found.into_iter().flatten() {
        let is_made_by_us = object::is_ours(&object.metadata)
            || object::label(&object.metadata, MANAGED_BY) == Some(HELM);
        if is_made_by_us && !object.has_owner() && !is_of_others(stack, &object).await? {
            remaining.push(object);
        }
    }
    Ok(remaining)
}

/// Whether another tool or user installed the release of the object from one of our charts.
async fn is_of_others(stack: &Stack, object: &LiveObject) -> Result<bool> {
    match object::label(&object.metadata, INSTANCE) {
        Some(release) => stack.helm.is_others(release, stack.namespace()).await,
        None => Ok(false),
    }
}
