//! The dataset, the charts and the dashboards of `dashboards/`.

use anyhow::Result;
use async_trait::async_trait;

use crate::engine::{Difference, Id, Observation, Progress, Reconciled, Resource, Scope};
use crate::stack::Stack;

use super::client;
use super::client::Kind;
use super::dashboards::asset::Asset;
use super::dashboards::bundle::Bundle;
use super::dashboards::standing::{Standing, compare};
use super::dashboards::sync;

pub struct Assets;

/// All but the connection, which is a resource of its own.
fn bundle() -> Result<Bundle> {
    Ok(Bundle::ours()?.only(|asset| asset.kind != Kind::Database))
}

fn summary(standings: &[(&Asset, Standing)]) -> String {
    let there = |kind| {
        standings
            .iter()
            .filter(|(asset, standing)| asset.kind == kind && standing.is_there())
            .count()
    };
    let theirs = standings.iter().filter(|(_, standing)| standing.is_a_persons()).count();
    let kept =
        if theirs > 0 { format!(", {theirs} left as people made them") } else { String::new() };
    let mut held = standings.iter().filter_map(|(asset, standing)| match standing {
        Standing::Held { why, .. } => {
            Some(format!("; held back: {} `{}` {why}", asset.kind.word(), asset.title()))
        }
        _ => None,
    });
    let mut first = held.next().unwrap_or_default();
    match held.count() {
        0 => {}
        more => first.push_str(&format!(", and {more} more")),
    }
    format!("{} dashboards, {} charts{kept}{first}", there(Kind::Dashboard), there(Kind::Chart))
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
        let standings = compare(stack, &client(stack).await?, &bundle).await?;
        let old = |(_, standing): &&(&Asset, Standing)| *standing == Standing::Outdated;
        let differs = |(asset, _): &(&Asset, Standing)| {
            Difference::new(asset.path(), "of another version", "as in this program")
        };
        let differences: Vec<Difference> = standings.iter().filter(old).map(differs).collect();
        let missing =
            standings.iter().filter(|(_, standing)| *standing == Standing::Missing).count();
        Ok(match missing {
            1.. if differences.is_empty() => {
                Observation::Missing(format!("{missing} of {} assets", standings.len()))
            }
            _ => Observation::compared(differences, || summary(&standings)),
        })
    }

    async fn reconcile(&self, stack: &Stack, _: &Progress<'_>) -> Result<Reconciled> {
        let (superset, bundle) = (client(stack).await?, bundle()?);
        sync::apply(stack, &superset, &bundle, false).await?;
        let standings = compare(stack, &superset, &bundle).await?;
        Ok(Reconciled::Done(summary(&standings)))
    }
}
