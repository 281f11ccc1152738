//! The plugin's log store, enabled in addition to the other stores.

use anyhow::Result;
use async_trait::async_trait;

use crate::engine::{Difference, Id, Observation, Progress, Reconciled, Resource, Scope};
use crate::stack::Stack;

use super::client;
use super::client::State;
use super::package::LOGSTORE;

/// Moodle's own store. It must come first, because the plugin reads the id of each event from it.
const STANDARD: &str = "logstore_standard";

pub struct Store;

/// The difference of the enabled stores from the desired ones. None when they are equal.
pub fn difference(state: &State) -> Option<Difference> {
    let at = |name: &str| state.stores.iter().position(|store| store == name);
    let is_equal = matches!(
        (at(STANDARD), at(LOGSTORE)),
        (Some(standard), Some(plugin)) if standard < plugin
    );
    let enabled = if state.stores.is_empty() { "empty".into() } else { state.stores.join(",") };
    (!is_equal).then(|| {
        Difference::new("tool_log/enabled_stores", enabled, format!("{STANDARD}, then {LOGSTORE}"))
    })
}

#[async_trait]
impl Resource<Stack> for Store {
    fn id(&self) -> Id {
        Id("lms.store")
    }

    fn needs(&self) -> &'static [Id] {
        // events need a configured LRS; the events of the course generator must not be sent
        &[Id("lms.settings"), Id("lms.course")]
    }

    fn scope(&self) -> Scope {
        Scope::Setting
    }

    async fn observe(&self, stack: &Stack) -> Result<Observation> {
        let state = super::state(stack).await?;
        let differences = difference(&state).into_iter().collect();
        Ok(Observation::compared(differences, || state.stores.join(", ")))
    }

    async fn reconcile(&self, stack: &Stack, _: &Progress<'_>) -> Result<Reconciled> {
        let moodle = client(stack).await?;
        moodle.enable_store().await?;
        Ok(Reconciled::Done(moodle.state().await?.stores.join(", ")))
    }
}
