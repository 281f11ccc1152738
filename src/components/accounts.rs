//! The resource for objects that outlive a component's release: Secrets, whose names the release receives, and the volume
//! claims and ConfigMaps that helm leaves in place.

use anyhow::{Context, Result};
use async_trait::async_trait;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Secret};
use kube::api::DeleteParams;

use crate::cluster::object::{self, LiveObject, ObjectRef};
use crate::cluster::steps::Step;
use crate::engine::{DeleteOptions, Deletion, Id, Observation, Progress, Reconciled, Resource};
use crate::stack::Stack;

use super::model::Declaration;
use super::secrets::{SecretSpec, observe_all, reconcile_all};
use super::{ownership, remains};

pub struct Accounts {
    pub id: Id,
    pub retained: fn(&Stack) -> RetainedObjects,
}

pub struct RetainedObjects {
    pub secrets: Vec<SecretSpec>,
    /// The users of the accounts in the Secrets, for display.
    pub users: &'static str,
    /// ConfigMaps that describe the data in the volumes.
    pub configmaps: &'static [&'static str],
    /// The component whose volume claims outlive its release. None: it has none.
    pub volumes_of: Option<&'static Declaration>,
    /// Why these objects are left in place with the data, such as `they give access to the data`.
    pub reason: &'static str,
}

/// The volume claims with the labels of a release.
#[derive(Default)]
struct Claims {
    ours: Vec<LiveObject>,
    /// Those that another StatefulSet uses, with the reason to keep them.
    left: Vec<(ObjectRef, String)>,
}

impl RetainedObjects {
    /// The volume claims of the release, unless another tool installed the same chart.
    async fn claims(&self, stack: &Stack) -> Result<Claims> {
        let mut claims = Claims::default();
        let Some(component) = self.volumes_of else { return Ok(claims) };
        let release = component.release.unwrap_or_default();
        let kind = remains::kind::<PersistentVolumeClaim>();
        let found = object::find(&stack.cluster, &kind, &object::of_release(release)).await?;
        if found.is_empty() || stack.helm.is_others(release, stack.namespace()).await? {
            return Ok(claims);
        }
        let foreign = foreign_sets(stack, component).await?;
        for claim in found {
            match ownership::volume_of(component, &claim.metadata) {
                Some(set) if foreign.contains(&set) => claims.left.push((
                    claim.reference(),
                    format!("statefulset/{set} uses it, which this tool did not create"),
                )),
                Some(_) => claims.ours.push(claim),
                None if ownership::is_of_release(component, &claim.metadata) => {
                    claims.ours.push(claim)
                }
                // the plan of the namespace names it
                None => {}
            }
        }
        Ok(claims)
    }
}

/// The StatefulSets with the names of the component's that helm did not create for it.
async fn foreign_sets(stack: &Stack, component: &Declaration) -> Result<Vec<&'static str>> {
    let mut foreign = Vec::new();
    for name in component.stateful_sets.iter().copied() {
        let set = stack.api::<StatefulSet>().get_metadata_opt(name).await;
        let set = set.with_context(|| format!("statefulset {name}"))?;
        if set.is_some_and(|set| !ownership::is_of_release(component, &set.metadata)) {
            foreign.push(name);
        }
    }
    Ok(foreign)
}

#[async_trait]
impl Resource<Stack> for Accounts {
    fn id(&self) -> Id {
        self.id
    }

    fn needs(&self) -> &'static [Id] {
        &[Id("namespace")]
    }

    async fn observe(&self, stack: &Stack) -> Result<Observation> {
        let retained = (self.retained)(stack);
        observe_all(stack, &retained.secrets, retained.users).await
    }

    async fn reconcile(&self, stack: &Stack, _: &Progress<'_>) -> Result<Reconciled> {
        let retained = (self.retained)(stack);
        reconcile_all(stack, &retained.secrets, retained.users).await
    }

    async fn plan_deletion(
        &self,
        stack: &Stack,
        options: DeleteOptions,
    ) -> Result<Deletion<ObjectRef>> {
        let retained = (self.retained)(stack);
        let mut objects = Vec::new();
        for secret in &retained.secrets {
            objects.extend(object::ours::<Secret>(&stack.cluster, secret.name).await?);
        }
        for name in retained.configmaps {
            objects.extend(object::ours::<ConfigMap>(&stack.cluster, name).await?);
        }
        let Claims { ours, left } = retained.claims(stack).await?;
        objects.extend(ours.iter().map(LiveObject::reference));
        let mut deletion = match options.keep_data {
            true => Deletion::keeping(objects, retained.reason),
            false => Deletion::of(objects),
        };
        deletion.keep.extend(left);
        Ok(deletion)
    }

    async fn delete(&self, stack: &Stack, _: DeleteOptions, progress: &Progress<'_>) -> Result<()> {
        let retained = (self.retained)(stack);
        for secret in &retained.secrets {
            object::delete_ours(&stack.api::<Secret>(), secret.name).await?;
        }
        for name in retained.configmaps {
            object::delete_ours(&stack.api::<ConfigMap>(), name).await?;
        }
        for claim in retained.claims(stack).await?.ours {
            claim.delete(&stack.cluster, DeleteParams::default()).await?;
        }
        // a claim remains while a Pod mounts it, and an install would use it
        stack
            .until_gone("the deletion of the volume claims", progress, || async {
                let remaining = retained.claims(stack).await?.ours;
                let remaining: Vec<_> = remaining.iter().map(LiveObject::reference).collect();
                let are_deleted =
                    || format!("{} is being deleted", object::names(&remaining, ", "));
                Ok((!remaining.is_empty()).then(are_deleted))
            })
            .await
    }

    async fn explain(&self, stack: &Stack) -> Result<Vec<Step>> {
        (self.retained)(stack).secrets.iter().map(|secret| secret.step(stack)).collect()
    }
}
