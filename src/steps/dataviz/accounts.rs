//! The passwords of Superset's accounts and of its metadata database, and what else outlives its release.

use anyhow::Result;
use async_trait::async_trait;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret};
use kube::api::{DeleteParams, ListParams};

use crate::clients::apply;
use crate::clients::secrets::{Keep, Key, converge_all, observe_all};
use crate::dashboards::record::Record;
use crate::output::progress::Progress;
use crate::stack::Stack;
use crate::stack::step::{Converged, Observed, Retracted, Retraction, Step, StepId};

use super::{NAME, OF_RELEASE};

/// The metadata database: its StatefulSet, its Service and the Secret with its password.
pub const DATABASE: &str = "dataviz-postgresql";
/// The Secret with the password of the cache, where a profile has one.
pub const CACHE: &str = "dataviz-valkey";
const USERS: &str = "admin, teacher";

fn secrets(stack: &Stack) -> [Keep; 3] {
    let keep = |name, app, keys| Keep { name, kind: "Opaque", labels: stack.labels(app, super::RELEASE), keys };
    [
        keep(
            NAME,
            "superset",
            vec![
                ("admin-password", Key::Password),
                ("teacher-password", Key::Password),
                ("lastack-password", Key::Password),
                ("secret-key", Key::Password),
            ],
        ),
        keep(DATABASE, "postgresql", vec![("password", Key::Password)]),
        keep(CACHE, "valkey", vec![("password", Key::Password)]),
    ]
}

pub struct Accounts;

#[async_trait]
impl Step for Accounts {
    fn id(&self) -> StepId {
        "dataviz.accounts"
    }

    fn needs(&self) -> &'static [StepId] {
        &["namespace"]
    }

    async fn observe(&self, stack: &Stack) -> Result<Observed> {
        observe_all(stack, &secrets(stack), USERS).await
    }

    async fn converge(&self, stack: &Stack, _: &Progress) -> Result<Converged> {
        converge_all(stack, &secrets(stack), USERS).await
    }

    async fn retractable(&self, stack: &Stack, how: Retraction) -> Result<Retracted> {
        let mut there = Vec::new();
        for secret in secrets(stack) {
            if stack.api::<Secret>().get_metadata_opt(secret.name).await?.is_some() {
                there.push(format!("secret {}", secret.name));
            }
        }
        there.extend(volumes(stack).await?.into_iter().map(|name| format!("volume claim {name}")));
        Ok(if there.is_empty() {
            Retracted::Nothing
        } else if how.keep_data {
            Retracted::Kept(format!("{}: what people made in Superset", there.join(", ")))
        } else {
            Retracted::Removed(there.join(", "))
        })
    }

    async fn retract(&self, stack: &Stack, _: Retraction, _: &Progress) -> Result<()> {
        for secret in secrets(stack) {
            apply::delete(&stack.api::<Secret>(), secret.name, &DeleteParams::default()).await?;
        }
        for name in volumes(stack).await? {
            apply::delete(&stack.api::<PersistentVolumeClaim>(), &name, &DeleteParams::default()).await?;
        }
        Record::forget(stack).await
    }

    fn explain(&self, stack: &Stack) -> Vec<String> {
        let namespace = stack.namespace();
        let file = |key: &str| format!("--from-file={key}=FILE");
        secrets(stack)
            .iter()
            .map(|secret| {
                let keys: Vec<String> = secret.keys.iter().map(|(key, _)| file(key)).collect();
                format!("kubectl create secret generic {} -n {namespace} {}", secret.name, keys.join(" "))
            })
            .collect()
    }
}

async fn volumes(stack: &Stack) -> Result<Vec<String>> {
    let claims = stack.api::<PersistentVolumeClaim>().list_metadata(&ListParams::default().labels(OF_RELEASE)).await?;
    let there = claims.items.into_iter().filter(|claim| claim.metadata.deletion_timestamp.is_none());
    Ok(there.filter_map(|claim| claim.metadata.name).collect())
}
