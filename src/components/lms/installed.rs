//! The installation of the plugin in Moodle. Moodle installs plugins only at its start.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use async_trait::async_trait;

use crate::cluster::wait::State;
use crate::engine::{Id, Observation, Progress, Reconciled, Resource};
use crate::error::{Failure, one_line};
use crate::stack::Stack;

use super::package::LOGSTORE;
use super::{NAME, maintenance, moodle};

pub struct Installed;

/// Why the plugin is not installed. None when it is.
async fn why_missing(stack: &Stack) -> Result<Option<&'static str>> {
    let state = super::state(stack).await?;
    Ok(match state.has_plugin_files {
        _ if state.queue.is_some() => None,
        false => Some("not in the files of Moodle"),
        true if state.upgrade_pending => Some("waiting for an upgrade of Moodle"),
        true => Some("not installed"),
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
        let reason = match why_missing(stack).await {
            Ok(None) => return Ok(Observation::Equal(format!("{LOGSTORE} in Moodle"))),
            Ok(Some(reason)) => reason.to_string(),
            // a failure of Moodle is drift; a missing permission is an error
            Err(error) if error.is::<Failure>() => one_line(&error),
            Err(error) => return Err(error),
        };
        Ok(Observation::drifted("the plugin in Moodle", reason, "installed"))
    }

    async fn reconcile(&self, stack: &Stack, progress: &Progress<'_>) -> Result<Reconciled> {
        let restarted = AtomicBool::new(false);
        stack
            .until(&format!("deployment {NAME}"), progress, || async {
                let missing = why_missing(stack).await;
                if matches!(missing, Ok(Some(_))) && !restarted.swap(true, Ordering::Relaxed) {
                    maintenance::restart(stack).await?;
                    return Ok(State::Waiting(
                        "restarting Moodle, which then installs the plugin".into(),
                    ));
                }
                Ok(match moodle::rollout(stack).await? {
                    State::Ready(detail) => match missing {
                        Ok(None) => State::Ready(detail),
                        // the script may still run in the deleted Pod
                        Ok(Some(reason)) => {
                            State::Waiting(format!("the plugin in Moodle: {reason}"))
                        }
                        // the Service of a database follows its Pod with a delay
                        Err(error) => State::Waiting(one_line(&error)),
                    },
                    other => other,
                })
            })
            .await
    }
}
