//! Finds the objects of a stack by their labels: those of a release without a helm record, those that no other resource
//! deletes, and those that this tool did not create.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use futures::future::try_join_all;
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Secret};
use kube::Resource;
use kube::core::ApiResource;

use crate::cluster::object::{self, INSTANCE, LiveObject, ObjectRef};
use crate::engine::{DeleteOptions, Deletion};
use crate::error;
use crate::stack::Stack;

use super::model::{Components, Declaration};
use super::ownership;

/// Why a release or an object of a release is left in place.
pub const FOREIGN: &str = "not created by this tool";
/// Why an object with the labels of the stack is left in place.
const LABELS_ONLY: &str =
    "it has the stack's labels, but neither this tool nor helm for this tool created it";

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

/// The objects that helm created for the release of a component, without its volume claims. A user without permission to
/// list a kind has created no object of it.
///
/// # Errors
/// When a kind cannot be listed for another reason than a missing permission.
pub async fn of_release(stack: &Stack, component: &Declaration) -> Result<Vec<LiveObject>> {
    let Some(release) = component.release else { return Ok(Vec::new()) };
    let labels = object::of_release(release);
    let look = async |kind| match object::find(&stack.cluster, &kind, &labels).await {
        Err(error) if error::forbidden(&error).is_some() => Ok(Vec::new()),
        found => found,
    };
    let found = try_join_all(component.kinds.iter().map(|kind| look(kind()))).await?;
    let is_ours = |object: &LiveObject| ownership::is_of_release(component, &object.metadata);
    Ok(found.into_iter().flatten().filter(is_ours).collect())
}

/// All objects with the labels of the stack, except those that Kubernetes deletes with their owner: those of this tool,
/// as unclaimed, and the others, which are left in place.
///
/// # Errors
/// When a kind cannot be listed.
pub async fn of_stack(
    stack: &Stack,
    components: Components,
    options: DeleteOptions,
) -> Result<Deletion<ObjectRef>> {
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
    let is_on_its_own =
        |object: &LiveObject| !object.has_owner() && !object::is_helm_record(&object.metadata);
    let found: Vec<LiveObject> = found.into_iter().flatten().filter(is_on_its_own).collect();
    let others = releases_of_others(stack, &found).await?;
    let mut deletion = Deletion::default();
    for object in found {
        match release_of(&object).filter(|release| others.contains(*release)) {
            Some(release) => deletion.keep.push((ObjectRef::release(release), FOREIGN.into())),
            None if ownership::is_of_stack(components, &object) => {
                deletion.unclaimed.push(object.reference());
            }
            None => deletion.keep.push((object.reference(), LABELS_ONLY.into())),
        }
    }
    Ok(deletion)
}

/// The release of an object, according to helm or to its label. None for an object that this program applied itself.
fn release_of(object: &LiveObject) -> Option<&str> {
    let metadata = &object.metadata;
    let release = || object::helm_release(metadata).or(object::label(metadata, INSTANCE));
    if object::is_ours(metadata) { None } else { release() }
}

/// The releases of these objects that another tool or user installed, such as from one of our charts.
async fn releases_of_others(stack: &Stack, objects: &[LiveObject]) -> Result<BTreeSet<String>> {
    let releases: BTreeSet<&str> = objects.iter().filter_map(release_of).collect();
    let look = async |release: &str| {
        let is_others = stack.helm.is_others(release, stack.namespace()).await?;
        Ok::<_, anyhow::Error>(is_others.then(|| release.to_string()))
    };
    let found = try_join_all(releases.into_iter().map(look)).await?;
    Ok(found.into_iter().flatten().collect())
}
