//! The dataset, the charts and the dashboards of `dashboards/`.

use anyhow::Result;
use async_trait::async_trait;

use crate::clients::superset::Kind;
use crate::dashboards::asset::Asset;
use crate::dashboards::bundle::Bundle;
use crate::dashboards::standing::{Standing, compare};
use crate::dashboards::sync;
use crate::output::progress::Progress;
use crate::stack::Stack;
use crate::stack::step::{Converged, Observed, Step, StepId};

use super::client;

pub struct Assets;

/// All but the connection, which has a step of its own.
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
impl Step for Assets {
    fn id(&self) -> StepId {
        "dataviz.dashboards"
    }

    fn needs(&self) -> &'static [StepId] {
        &["dataviz.database"]
    }

    fn configures(&self) -> bool {
        true
    }

    async fn observe(&self, stack: &Stack) -> Result<Observed> {
        let bundle = bundle()?;
        let standings = compare(stack, &client(stack).await?, &bundle).await?;
        let old: Vec<String> = standings
            .iter()
            .filter(|(_, standing)| *standing == Standing::Outdated)
            .map(|(asset, _)| asset.path())
            .collect();
        let missing =
            standings.iter().filter(|(_, standing)| *standing == Standing::Missing).count();
        Ok(match (old.first(), missing) {
            (Some(first), _) if old.len() == 1 => {
                Observed::drifted(first, "of another version", "as in this program")
            }
            (Some(first), _) => Observed::drifted(
                format!("{first} and {} more", old.len() - 1),
                "of another version",
                "as in this program",
            ),
            (None, 1..) => Observed::Missing(format!("{missing} of {} assets", standings.len())),
            (None, 0) => Observed::Ok(summary(&standings)),
        })
    }

    async fn converge(&self, stack: &Stack, _: &Progress) -> Result<Converged> {
        let (superset, bundle) = (client(stack).await?, bundle()?);
        sync::apply(stack, &superset, &bundle, false).await?;
        let standings = compare(stack, &superset, &bundle).await?;
        Ok(Converged::Done(summary(&standings)))
    }

    fn explain(&self, _: &Stack) -> Vec<String> {
        vec!["kubectl lastack dashboards apply dashboards/".into()]
    }
}
