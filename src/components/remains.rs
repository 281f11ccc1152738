//! The objects of a stack by their labels: what is there of a release that helm has forgotten, and what no other resource
//! lists when the stack is deleted.

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

/// The kinds that a component's release consists of.
pub type Kinds = &'static [fn() -> ApiResource];

/// The kinds that the components declare, each once.
fn of_charts(components: Components) -> Vec<ApiResource> {
    let declared = components.iter().flat_map(|component| component.declaration().kinds);
    let by_name: BTreeMap<String, ApiResource> =
        declared.map(|kind| kind()).map(|kind| (kind.plural.clone(), kind)).collect();
    by_name.into_values().collect()
}

/// What helm made for a release of the stack, without its volume claims. Who may not see a kind has made none of it.
///
/// # Errors
/// When a kind cannot be listed for another reason.
pub async fn of_release(stack: &Stack, release: &str, kinds: Kinds) -> Result<Vec<LiveObject>> {
    let labels = format!("{},{MANAGED_BY}={HELM}", object::of_release(release));
    let look = async |kind| match object::find(&stack.cluster, &kind, &labels).await {
        Err(error) if error::forbidden(&error).is_some() => Ok(Vec::new()),
        found => found,
    };
    let found = try_join_all(kinds.iter().map(|kind| look(kind()))).await?;
    Ok(found.into_iter().flatten().collect())
}

/// What there is of the stack, whichever resource knows it. What has an owner goes with it and is left out.
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

/// Others may have made a release from one of our charts.
async fn is_of_others(stack: &Stack, object: &LiveObject) -> Result<bool> {
    match object::label(&object.metadata, INSTANCE) {
        Some(release) => stack.helm.is_others(release, stack.namespace()).await,
        None => Ok(false),
    }
}
