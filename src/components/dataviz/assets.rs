//! The datasets, charts and dashboards of `dashboards/`, reconciled in Superset.

use anyhow::Result;
use async_trait::async_trait;

use crate::engine::{Difference, Id, Observation, Progress, Reconciled, Resource, Scope};
use crate::stack::Stack;

use super::client;
use super::client::Kind;
use super::dashboards::asset::Asset;
use super::dashboards::bundle::Bundle;
use super::dashboards::sync;
use super::dashboards::sync_state::{SyncState, compare};

pub struct Assets;

/// All assets except the connection, which is a separate resource.
fn bundle() -> Result<Bundle> {
    Ok(Bundle::ours()?.only(|asset| asset.kind != Kind::Database))
}

fn summary(states: &[(&Asset, SyncState)]) -> String {
    let live =
        |kind| states.iter().filter(|(asset, state)| asset.kind == kind && state.is_live()).count();
    let users = states.iter().filter(|(_, state)| state.is_users()).count();
    let own = if users > 0 {
        format!(", {users} left in place because users changed them")
    } else {
        String::new()
    };
    let mut held = states.iter().filter_map(|(asset, state)| match state {
        SyncState::Blocked { why, .. } => {
            Some(format!("; blocked: {} `{}` {why}", asset.kind.word(), asset.title()))
        }
        _ => None,
    });
    let mut first = held.next().unwrap_or_default();
    match held.count() {
        0 => {}
        more => first.push_str(&format!(", and {more} more")),
    }
    format!("{} dashboards, {} charts{own}{first}", live(Kind::Dashboard), live(Kind::Chart))
}

#[async_trait]
impl Resource<Stack> for Assets {
    fn id(&self) -> Id {
        Id("dataviz.dashboards")
    }

    fn needs(&self) -> &'static [Id] {
        &[Id("dataviz.database")]
    }

    fn scope(&self) -> Scope {
        Scope::Setting
    }

    async fn observe(&self, stack: &Stack) -> Result<Observation> {
        let bundle = bundle()?;
        let superset = client(stack).await?;
        let states = compare(stack, &superset, &bundle).await?;
        let old = |(_, state): &&(&Asset, SyncState)| *state == SyncState::Outdated;
        let differs = |(asset, _): &(&Asset, SyncState)| {
            Difference::new(asset.path(), "another version", "the version of this program")
        };
        let differences: Vec<Difference> = states.iter().filter(old).map(differs).collect();
        let missing = states.iter().filter(|(_, state)| *state == SyncState::Missing).count();
        Ok(match missing {
            1.. if differences.is_empty() => {
                Observation::Missing(format!("{missing} of {} assets", states.len()))
            }
            _ => Observation::compared(differences, || summary(&states)),
        })
    }

    async fn reconcile(&self, stack: &Stack, _: &Progress<'_>) -> Result<Reconciled> {
        let (superset, bundle) = (client(stack).await?, bundle()?);
        sync::apply(stack, &superset, &bundle, false).await?;
        let states = compare(stack, &superset, &bundle).await?;
        Ok(Reconciled::Done(summary(&states)))
    }
}
