//! The resource for objects that must outlive a component's release: the Secrets whose names the release receives
//! of, and the volume claims and ConfigMaps that it leaves behind.

use anyhow::Result;
use async_trait::async_trait;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Secret};
use kube::api::{DeleteParams, ListParams};

use crate::cluster::object::{self, ObjectRef};
use crate::cluster::steps::Step;
use crate::engine::{DeleteOptions, Deletion, Id, Observation, Progress, Reconciled, Resource};
use crate::stack::Stack;

use super::secrets::{Keep, observe_all, reconcile_all};

pub struct Accounts {
    pub id: Id,
    pub kept: fn(&Stack) -> Kept,
}

pub struct Kept {
    pub secrets: Vec<Keep>,
    /// Whose accounts the Secrets open, as the resource shows it.
    pub users: &'static str,
    /// ConfigMaps that are about what is in the volumes.
    pub configmaps: &'static [&'static str],
    /// The release whose volume claims stay when it goes. None: it has none.
    pub release: Option<&'static str>,
    /// Why all this is kept together with the data.
    pub reason: &'static str,
}

impl Kept {
    /// The volume claims of the release, unless another tool made it from the same chart.
    async fn claims(&self, stack: &Stack) -> Result<Vec<String>> {
        let Some(release) = self.release else { return Ok(Vec::new()) };
        let selection = ListParams::default().labels(&object::of_release(release));
        let claims = stack.api::<PersistentVolumeClaim>().list_metadata(&selection).await?;
        let names: Vec<String> =
            claims.items.into_iter().filter_map(|claim| claim.metadata.name).collect();
        let is_others =
            !names.is_empty() && stack.helm.is_others(release, stack.namespace()).await?;
        Ok(if is_others { Vec::new() } else { names })
    }
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
        let kept = (self.kept)(stack);
        observe_all(stack, &kept.secrets, kept.users).await
    }

    async fn reconcile(&self, stack: &Stack, _: &Progress<'_>) -> Result<Reconciled> {
        let kept = (self.kept)(stack);
        reconcile_all(stack, &kept.secrets, kept.users).await
    }

    async fn plan_deletion(
        &self,
        stack: &Stack,
        options: DeleteOptions,
    ) -> Result<Deletion<ObjectRef>> {
        let kept = (self.kept)(stack);
        let mut objects = Vec::new();
        for secret in &kept.secrets {
            objects.extend(object::ours::<Secret>(&stack.cluster, secret.name).await?);
        }
        for name in kept.configmaps {
            objects.extend(object::ours::<ConfigMap>(&stack.cluster, name).await?);
        }
        let claims = kept.claims(stack).await?;
        objects.extend(claims.into_iter().map(ObjectRef::of::<PersistentVolumeClaim>));
        Ok(match options.keep_data {
            true => Deletion::keeping(objects, kept.reason),
            false => Deletion::of(objects),
        })
    }

    async fn delete(&self, stack: &Stack, _: DeleteOptions, progress: &Progress<'_>) -> Result<()> {
        let kept = (self.kept)(stack);
        for secret in &kept.secrets {
            object::delete_ours(&stack.api::<Secret>(), secret.name).await?;
        }
        for name in kept.configmaps {
            object::delete_ours(&stack.api::<ConfigMap>(), name).await?;
        }
        let claims = stack.api::<PersistentVolumeClaim>();
        for claim in kept.claims(stack).await? {
            object::delete(&claims, &claim, &DeleteParams::default()).await?;
        }
        // a claim stays while a pod holds it, and an install would take it for the one it needs
        stack
            .until_gone("the end of the volume claims", progress, || async {
                let held = kept.claims(stack).await?.join(", ");
                Ok((!held.is_empty()).then(|| format!("volume claim {held} is being deleted")))
            })
            .await
    }

    async fn explain(&self, stack: &Stack) -> Result<Vec<Step>> {
        (self.kept)(stack).secrets.iter().map(|secret| secret.step(stack)).collect()
    }
}
