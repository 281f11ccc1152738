//! Moodle's cron, which sends the events: whether it really ran.

use std::time::Duration;

use anyhow::Result;
use async_trait::async_trait;

use crate::clients::moodle::State;
use crate::clients::wait::{self, State as Wait};
use crate::output::age;
use crate::output::progress::Progress;
use crate::stack::Stack;
use crate::stack::step::{Converged, Observed, Step, StepId};

use super::client;

/// The task that sends is due every minute; a busy cron comes a few minutes late.
const LATE: u64 = 300;

pub struct Cron;

/// How long ago the task that sends ran. None: never.
fn since(state: &State) -> Option<Duration> {
    let ran = state.emit.as_ref().map(|task| task.last_run).filter(|ran| *ran > 0)?;
    Some(Duration::from_secs(u64::try_from(state.now - ran).unwrap_or_default()))
}

pub fn fault(state: &State) -> Option<String> {
    let emit = state.emit.as_ref()?;
    if emit.disabled {
        return Some("Moodle's task that sends events is disabled".into());
    }
    match since(state) {
        None if state.last_cron == 0 => Some("Moodle's cron has never run".into()),
        None => Some("Moodle's cron has not sent anything yet".into()),
        Some(since) if since.as_secs() > LATE => Some(format!(
            "Moodle's cron sent last {} ago, and is due every minute",
            age::age(since)
        )),
        Some(_) => None,
    }
}

#[async_trait]
impl Step for Cron {
    fn id(&self) -> StepId {
        "lms.cron"
    }

    fn needs(&self) -> &'static [StepId] {
        &["lms.store"]
    }

    async fn observe(&self, stack: &Stack) -> Result<Observed> {
        let state = client(stack).await?.state().await?;
        Ok(match (fault(&state), since(&state)) {
            (None, Some(since)) => Observed::Ok(format!("ran {} ago", age::age(since))),
            (fault, _) => Observed::drifted("cron", fault.unwrap_or_default(), "running"),
        })
    }

    async fn converge(&self, stack: &Stack, progress: &Progress) -> Result<Converged> {
        wait::until(stack, "Moodle's cron", progress, || async {
            let state = client(stack).await?.state().await?;
            Ok(match fault(&state) {
                None => Wait::Ready("sends every minute".into()),
                Some(why) if state.emit.as_ref().is_some_and(|emit| emit.disabled) => Wait::Fatal {
                    why,
                    hint: "enable it in Site administration, Server, Scheduled tasks".into(),
                },
                Some(why) => Wait::Waiting(why),
            })
        })
        .await
    }

    fn explain(&self, stack: &Stack) -> Vec<String> {
        vec![format!(
            "kubectl exec -n {} deploy/{} -- php admin/cli/scheduled_task.php --list",
            stack.namespace(),
            super::NAME
        )]
    }
}
