//! The check that Moodle's cron, which sends the events, runs.

use std::time::Duration;

use anyhow::Result;
use async_trait::async_trait;

use crate::engine::{Check, Id, Observation, Scope};
use crate::error::Diagnosis;
use crate::output::units;
use crate::stack::Stack;

use super::client::State;

/// The allowed delay in seconds. The task that sends events is due every minute, and a busy cron delays it.
const LATE: u64 = 300;

pub struct Cron;

/// The time since the last run of the task that sends events. None: it never ran.
fn since(state: &State) -> Option<Duration> {
    let ran = state.emit.as_ref().map(|task| task.last_run).filter(|ran| *ran > 0)?;
    Some(Duration::from_secs(u64::try_from(state.now - ran).unwrap_or_default()))
}

/// Why the cron does not send events. None when it does.
pub fn problem(state: &State) -> Option<String> {
    let emit = state.emit.as_ref()?;
    if emit.disabled {
        return Some("Moodle's task that sends events is disabled".into());
    }
    match since(state) {
        None if state.last_cron == 0 => Some("Moodle's cron has never run".into()),
        None => Some("Moodle's cron has not sent anything yet".into()),
        Some(since) if since.as_secs() > LATE => Some(format!(
            "Moodle's cron last sent events {} ago, and is due every minute",
            units::age(since)
        )),
        Some(_) => None,
    }
}

#[async_trait]
impl Check<Stack> for Cron {
    fn id(&self) -> Id {
        Id("lms.cron")
    }

    fn needs(&self) -> &'static [Id] {
        &[Id("lms.store")]
    }

    /// `configure` waits for it, because cron sends with the settings only after its next start.
    fn scope(&self) -> Scope {
        Scope::Setting
    }

    fn subject(&self) -> &'static str {
        "Moodle's cron"
    }

    async fn observe(&self, stack: &Stack) -> Result<Observation> {
        let state = super::state(stack).await?;
        let is_disabled = state.emit.as_ref().is_some_and(|emit| emit.disabled);
        Ok(match (problem(&state), since(&state)) {
            (Some(why), _) if is_disabled => Observation::Blocked(Diagnosis::new(
                why,
                "enable it in Site administration > Server > Scheduled tasks",
            )),
            (None, Some(since)) => Observation::Equal(format!("ran {} ago", units::age(since))),
            (fault, _) => Observation::Unready(fault.unwrap_or_default()),
        })
    }
}
