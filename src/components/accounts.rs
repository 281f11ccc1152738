//! The resource for objects that outlive a component's release: Secrets, whose names the release receives, and the volume
//! claims and ConfigMaps that helm leaves in place.

use anyhow::Result;
use async_trait::async_trait;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Secret};
use kube::api::{DeleteParams, ListParams};

use crate::cluster::object::{self, ObjectRef};
use crate::cluster::steps::Step;
use crate::engine::{DeleteOptions, Deletion, Id, Observation, Progress, Reconciled, Resource};
use crate::stack::Stack;

use super::secrets::{SecretSpec, observe_all, reconcile_all};

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
    /// The release whose volume claims outlive it. None: it has none.
    pub release: Option<&'static str>,
    /// Why these objects stay when data is kept, such as `they give access to the data`.
    pub reason: &'static str,
}

impl RetainedObjects {
    /// The volume claims of the release, unless another tool installed the same chart.
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
        let claims = retained.claims(stack).await?;
        objects.extend(claims.into_iter().map(ObjectRef::of::<PersistentVolumeClaim>));
        Ok(match options.keep_data {
            true => Deletion::keeping(objects, retained.reason),
            false => Deletion::of(objects),
        })
    }

    async fn delete(&self, stack: &Stack, _: DeleteOptions, progress: &Progress<'_>) -> Result<()> {
        let retained = (self.retained)(stack);
        for secret in &retained.secrets {
            object::delete_ours(&stack.api::<Secret>(), secret.name).await?;
        }
        for name in retained.configmaps {
            object::delete_ours(&stack.api::<ConfigMap>(), name).await?;
        }
        let claims = stack.api::<PersistentVolumeClaim>();
        for claim in retained.claims(stack).await? {
            object::delete(&claims, &claim, &DeleteParams::default()).await?;
        }
        // a claim remains while a Pod mounts it, and an install would use it
        stack
            .until_gone("the deletion of the volume claims", progress, || async {
                let remaining = retained.claims(stack).await?.join(", ");
                Ok((!remaining.is_empty())
                    .then(|| format!("volume claim {remaining} is being deleted")))
            })
            .await
    }

    async fn explain(&self, stack: &Stack) -> Result<Vec<Step>> {
        (self.retained)(stack).secrets.iter().map(|secret| secret.step(stack)).collect()
    }
}
