//! The plugin's log store, enabled beside those that are.

use anyhow::Result;
use async_trait::async_trait;

use crate::clients::moodle::State;
use crate::output::progress::Progress;
use crate::stack::Stack;
use crate::stack::step::{Converged, Drift, Observed, Step, StepId};

use super::client;
use super::package::COMPONENT;

/// Moodle's own store. It must come first: the plugin finds the number of each event there.
const STANDARD: &str = "logstore_standard";

pub struct Store;

pub fn drift(state: &State) -> Option<Drift> {
    let at = |name: &str| state.stores.iter().position(|store| store == name);
    let is_good = matches!((at(STANDARD), at(COMPONENT)), (Some(standard), Some(plugin)) if standard < plugin);
    let drift = || Drift {
        what: "tool_log/enabled_stores".into(),
        from: if state.stores.is_empty() { "empty".into() } else { state.stores.join(",") },
        to: format!("{STANDARD} first, and {COMPONENT}"),
    };
    (!is_good).then(drift)
}

#[async_trait]
impl Step for Store {
    fn id(&self) -> StepId {
        "lms.store"
    }

    fn needs(&self) -> &'static [StepId] {
        // what is sent must have somewhere to go to, and what the course's generator does is nobody's learning
        &["lms.settings", "lms.course"]
    }

    fn configures(&self) -> bool {
        true
    }

    async fn observe(&self, stack: &Stack) -> Result<Observed> {
        let state = client(stack).await?.state().await?;
        Ok(drift(&state).map_or_else(|| Observed::Ok(state.stores.join(", ")), Observed::Drifted))
    }

    async fn converge(&self, stack: &Stack, _: &Progress) -> Result<Converged> {
        let moodle = client(stack).await?;
        moodle.enable_store().await?;
        Ok(Converged::Done(moodle.state().await?.stores.join(", ")))
    }

    fn explain(&self, stack: &Stack) -> Vec<String> {
        vec![format!(
            "kubectl exec -n {} deploy/{} -- php admin/cli/cfg.php --component=tool_log --name=enabled_stores --set={STANDARD},{COMPONENT}",
            stack.namespace(),
            super::NAME
        )]
    }
}
