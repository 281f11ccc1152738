//! The datasets, charts and dashboards of `dashboards/`, reconciled in Superset.

use std::io::Cursor;

use anyhow::Result;
use async_trait::async_trait;

use crate::engine::{ABSENT, Difference, Id, Observation, Progress, Reconciled, Resource, Scope};
use crate::stack::Stack;

use super::client;
use super::client::Kind;
use super::dashboards::asset::Asset;
use super::dashboards::bundle::Bundle;
use super::dashboards::difference::differences;
use super::dashboards::sync;
use super::dashboards::sync_state::{SyncState, compare};

pub struct Assets;

/// All assets except the connection, which is a separate resource.
fn bundle() -> Result<Bundle> {
    Ok(Bundle::ours()?.only(|asset| asset.kind != Kind::Database))
}

fn another_version(asset: &Asset) -> Difference {
    Difference::new(asset.path(), "another version", "the version of this program")
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
        let differs = |(asset, _): &(&Asset, SyncState)| another_version(asset);
        let differences: Vec<Difference> = states.iter().filter(old).map(differs).collect();
        let missing = states.iter().filter(|(_, state)| *state == SyncState::Missing).count();
        Ok(match missing {
            1.. if differences.is_empty() => {
                Observation::Missing(format!("{missing} of {} assets", states.len()))
            }
            _ => Observation::compared(differences, || summary(&states)),
        })
    }

    /// Names each field of the assets whose files changed. An asset on no dashboard is not part of an export.
    async fn differences(&self, stack: &Stack) -> Result<Option<Vec<Difference>>> {
        let (superset, bundle) = (client(stack).await?, bundle()?);
        let dashboards = superset.list(Kind::Dashboard).await?;
        let ids: Vec<u64> = dashboards.iter().map(|dashboard| dashboard.id).collect();
        let live = match ids.is_empty() {
            true => None,
            false => {
                let export = Cursor::new(superset.export(&ids).await?);
                Some(Bundle::from_zip(export, "Superset's export")?)
            }
        };
        let live =
            |asset: &Asset| live.as_ref()?.find(asset.kind, |other| other.uuid == asset.uuid);
        let mut found = Vec::new();
        for (asset, state) in compare(stack, &superset, &bundle).await? {
            match (state, live(asset)) {
                (SyncState::Missing, _) => {
                    let text = serde_saphyr::to_string(&asset.content)?;
                    found.push(Difference::new(asset.path(), ABSENT, text));
                }
                (SyncState::Outdated, Some(live)) => found.extend(differences(asset, live)),
                (SyncState::Outdated, None) => found.push(another_version(asset)),
                _ => {}
            }
        }
        Ok(Some(found))
    }

    async fn reconcile(&self, stack: &Stack, _: &Progress<'_>) -> Result<Reconciled> {
        let (superset, bundle) = (client(stack).await?, bundle()?);
        sync::apply(stack, &superset, &bundle, false).await?;
        let states = compare(stack, &superset, &bundle).await?;
        Ok(Reconciled::Done(summary(&states)))
    }
}
