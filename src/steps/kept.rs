//! What outlives a release: the Secrets it is told the names of, and the volumes it leaves behind.

use anyhow::Result;
use async_trait::async_trait;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Secret};
use kube::api::{DeleteParams, ListParams};

use crate::clients::apply;
use crate::clients::secrets::{Keep, converge_all, observe_all};
use crate::clients::wait;
use crate::output::progress::Progress;
use crate::stack::Stack;
use crate::stack::step::{Converged, Observed, Retracted, Retraction, Step, StepId};
use crate::steps::release;

pub struct Kept {
    pub secrets: Vec<Keep>,
    /// Whose accounts the Secrets open, as the step says it.
    pub users: &'static str,
    /// ConfigMaps that are about what is in the volumes.
    pub configmaps: &'static [&'static str],
    /// The release whose volume claims stay when it goes.
    pub release: &'static str,
    /// What would be lost with them.
    pub holds: &'static str,
}

/// The step that makes the Secrets before the release, and takes all away after it.
pub struct Accounts {
    pub id: StepId,
    pub kept: fn(&Stack) -> Kept,
}

impl Kept {
    /// The volume claims of the release, unless somebody else made it from the same chart.
    async fn claims(&self, stack: &Stack) -> Result<Vec<String>> {
        let labels = release::objects_of(self.release);
        let claims = stack
            .api::<PersistentVolumeClaim>()
            .list_metadata(&ListParams::default().labels(&labels))
            .await?;
        let names: Vec<String> =
            claims.items.into_iter().filter_map(|claim| claim.metadata.name).collect();
        let is_others =
            !names.is_empty() && stack.helm.is_others(self.release, stack.namespace()).await?;
        Ok(if is_others { Vec::new() } else { names })
    }
}

#[async_trait]
impl Step for Accounts {
    fn id(&self) -> StepId {
        self.id
    }

    fn needs(&self) -> &'static [StepId] {
        &["namespace"]
    }

    async fn observe(&self, stack: &Stack) -> Result<Observed> {
        let kept = (self.kept)(stack);
        observe_all(stack, &kept.secrets, kept.users).await
    }

    async fn converge(&self, stack: &Stack, _: &Progress) -> Result<Converged> {
        let kept = (self.kept)(stack);
        converge_all(stack, &kept.secrets, kept.users).await
    }

    async fn retractable(&self, stack: &Stack, how: Retraction) -> Result<Retracted> {
        let kept = (self.kept)(stack);
        let mut there = Vec::new();
        for secret in &kept.secrets {
            if apply::is_there(&stack.api::<Secret>(), secret.name).await? {
                there.push(format!("secret {}", secret.name));
            }
        }
        for name in kept.configmaps {
            if apply::is_there(&stack.api::<ConfigMap>(), name).await? {
                there.push(format!("configmap {name}"));
            }
        }
        there.extend(
            kept.claims(stack).await?.into_iter().map(|name| format!("volume claim {name}")),
        );
        Ok(if there.is_empty() {
            Retracted::Nothing
        } else if how.keep_data {
            Retracted::Kept(format!("{}: {}", there.join(", "), kept.holds))
        } else {
            Retracted::Removed(there.join(", "))
        })
    }

    async fn retract(&self, stack: &Stack, _: Retraction, progress: &Progress) -> Result<()> {
        let kept = (self.kept)(stack);
        for secret in &kept.secrets {
            apply::delete_ours(&stack.api::<Secret>(), secret.name).await?;
        }
        for name in kept.configmaps {
            apply::delete_ours(&stack.api::<ConfigMap>(), name).await?;
        }
        for claim in kept.claims(stack).await? {
            apply::delete(&stack.api::<PersistentVolumeClaim>(), &claim, &DeleteParams::default())
                .await?;
        }
        // a claim stays while a pod holds it, and an install would take it for the one it needs
        wait::until_gone(stack, "the end of the volume claims", progress, || async {
            let held = kept.claims(stack).await?;
            Ok((!held.is_empty())
                .then(|| format!("volume claim {} is being removed", held.join(", "))))
        })
        .await
    }

    fn explain(&self, stack: &Stack) -> Vec<String> {
        let file = |(key, _): &(&str, _)| format!("--from-file={key}=FILE");
        let command = |secret: &Keep| {
            let keys: Vec<String> = secret.keys.iter().map(file).collect();
            format!(
                "kubectl create secret generic {} -n {} {}",
                secret.name,
                stack.namespace(),
                keys.join(" ")
            )
        };
        (self.kept)(stack).secrets.iter().map(command).collect()
    }
}
