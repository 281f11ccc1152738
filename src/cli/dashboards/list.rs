use anyhow::Result;
use clap::Args;
use serde_json::json;

use crate::cli::{Outcome, TableOrJson, open};
use crate::cluster::access::Rules;
use crate::cluster::flags::KubeFlags;
use crate::cluster::tunnel;
use crate::components::dataviz;
use crate::components::dataviz::client::Kind;
use crate::components::dataviz::dashboards::bundle::Bundle;
use crate::components::dataviz::dashboards::record;
use crate::components::dataviz::dashboards::sync_state::{SyncState, compare};
use crate::output::{printer, table::table};

/// List the dashboards in Superset and how they differ from this program's
#[derive(Debug, Args)]
#[command(after_long_help = after_help!("  kubectl lastack dashboards list
  kubectl lastack dashboards list -o json"))]
pub struct ListArgs {
    /// Output format
    #[arg(short, long, value_enum, default_value = "table")]
    output: TableOrJson,
}

struct Row {
    name: String,
    title: String,
    state: String,
    by: String,
}

pub const NEEDS: &[Rules] = &[tunnel::RULES, dataviz::CLIENT, record::READ];

pub async fn run(flags: &KubeFlags, args: ListArgs) -> Result<Outcome> {
    let stack = open(flags).await?;
    let superset = dataviz::client(&stack).await?;
    let ours = Bundle::ours()?;
    let live = superset.list(Kind::Dashboard).await?;
    let mut rows = Vec::new();
    for (asset, state) in compare(&stack, &superset, &ours)
        .await?
        .into_iter()
        .filter(|(asset, _)| asset.kind == Kind::Dashboard)
    {
        let listed = live.iter().find(|listed| listed.uuid == asset.uuid);
        rows.push(Row {
            name: asset.name.clone(),
            title: listed.map_or(asset.title(), |listed| &listed.title).to_string(),
            state: word(&state).into(),
            by: listed.map(|listed| listed.changed_by.clone()).unwrap_or_default(),
        });
    }
    for listed in
        live.iter().filter(|listed| !ours.assets.iter().any(|asset| asset.uuid == listed.uuid))
    {
        let name = listed.slug.clone().unwrap_or_else(|| listed.uuid.to_string());
        rows.push(Row {
            name,
            title: listed.title.clone(),
            state: "created in Superset".into(),
            by: listed.changed_by.clone(),
        });
    }
    match args.output {
        TableOrJson::Json => {
            let items: Vec<_> =
                rows.iter().map(|row| json!({"name": row.name, "title": row.title, "state": row.state, "changedBy": row.by})).collect();
            printer::json(
                &json!({"apiVersion": "lastack/v1", "kind": "DashboardList", "items": items}),
            )?;
        }
        TableOrJson::Table => printer::data(&table(
            ["NAME", "TITLE", "STATE", "CHANGED BY"],
            rows.into_iter().map(|row| [row.name, row.title, row.state, row.by]),
        ))?,
    }
    Ok(Outcome::Good)
}

fn word(state: &SyncState) -> &'static str {
    match state {
        SyncState::Same => "up to date",
        SyncState::Missing => "not applied",
        SyncState::Outdated => "outdated",
        SyncState::Changed { .. } => "changed in Superset",
        SyncState::FromFile => "applied from a file",
        SyncState::Deleted => "deleted in Superset",
        SyncState::Blocked { .. } => "blocked",
    }
}
