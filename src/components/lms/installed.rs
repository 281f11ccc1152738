//! The plugin inside Moodle, which installs at its start what it then finds, and only then.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use async_trait::async_trait;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams};

use crate::cluster::wait::State;
use crate::engine::{Id, Observation, Progress, Reconciled, Resource};
use crate::error::{Failure, one_line};
use crate::stack::Stack;

use super::package::LOGSTORE;
use super::{NAME, PODS, client, moodle};

pub struct Installed;

/// Why Moodle does not have it.
async fn missing(stack: &Stack) -> Result<Option<&'static str>> {
    let state = client(stack).await?.state().await?;
    Ok(match state.has_plugin_files {
        _ if state.queue.is_some() => None,
        false => Some("its files are not there"),
        true if state.upgrade_pending => Some("Moodle waits for an upgrade"),
        true => Some("it is not installed"),
    })
}

#[async_trait]
impl Resource<Stack> for Installed {
    fn id(&self) -> Id {
        Id("lms.installed")
    }

    fn needs(&self) -> &'static [Id] {
        &[Id("lms.release")]
    }

    async fn observe(&self, stack: &Stack) -> Result<Observation> {
        let reason = match missing(stack).await {
            Ok(None) => return Ok(Observation::Equal(format!("{LOGSTORE} in Moodle"))),
            Ok(Some(reason)) => reason.to_string(),
            // Moodle's own sentence, or that there is no Moodle; what the user may not ask is another matter
            Err(error) if error.is::<Failure>() => one_line(&error),
            Err(error) => return Err(error),
        };
        Ok(Observation::drifted("the plugin in Moodle", reason, "installed"))
    }

    async fn reconcile(&self, stack: &Stack, progress: &Progress<'_>) -> Result<Reconciled> {
        let restarted = AtomicBool::new(false);
        stack
            .until(&format!("deployment {NAME}"), progress, || async {
                let missing = missing(stack).await;
                if matches!(missing, Ok(Some(_))) && !restarted.swap(true, Ordering::Relaxed) {
                    let (pods, selection) =
                        (stack.api::<Pod>(), ListParams::default().labels(PODS));
                    pods.delete_collection(&DeleteParams::default(), &selection)
                        .await
                        .context("the pods of Moodle")?;
                    return Ok(State::Waiting(
                        "restarting Moodle, which then installs the plugin".into(),
                    ));
                }
                Ok(match moodle::rollout(stack).await? {
                    State::Ready(detail) => match missing {
                        Ok(None) => State::Ready(detail),
                        // the pod that was deleted may answer once more
                        Ok(Some(reason)) => {
                            State::Waiting(format!("the plugin in Moodle: {reason}"))
                        }
                        // a Service leads to a database a moment after its pod is ready
                        Err(error) => State::Waiting(one_line(&error)),
                    },
                    other => other,
                })
            })
            .await
    }
}
