use anyhow::Result;
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::cli::{Outcome, TableArgs, open};
use crate::cluster::access::Rules;
use crate::cluster::flags::KubeFlags;
use crate::cluster::tunnel;
use crate::components::dataviz;
use crate::components::dataviz::client::Kind;
use crate::components::dataviz::dashboards::bundle::Bundle;
use crate::components::dataviz::dashboards::record;
use crate::components::dataviz::dashboards::sync_state::{SyncState, compare};
use crate::output::document::Content;
use crate::output::{printer, table::table, text};

/// List the dashboards in Superset and how they differ from this program's
#[derive(Debug, Args)]
#[command(after_long_help = after_help!("  kubectl lastack dashboards list
  kubectl lastack dashboards list -o json", json: "DashboardList"))]
pub struct ListArgs {
    /// Output format
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
    #[command(flatten)]
    table: TableArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Table,
    /// Names of the dashboards
    Name,
    Json,
}

/// The dashboards in Superset, and how they differ from those of this program
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DashboardList {
    items: Vec<Row>,
}

impl Content for DashboardList {
    const KIND: &'static str = "DashboardList";
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Row {
    /// Name in the URL
    name: String,
    title: String,
    /// Text
    state: String,
    /// Who last changed it in Superset
    changed_by: String,
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
            changed_by: listed.map(|listed| listed.changed_by.clone()).unwrap_or_default(),
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
            changed_by: listed.changed_by.clone(),
        });
    }
    match args.output {
        Format::Name => {
            let names: String = rows.iter().map(|row| text::clean(&row.name) + "\n").collect();
            printer::data(&names)?
        }
        Format::Json => printer::json(&DashboardList { items: rows })?,
        Format::Table => printer::data(
            &args
                .table
                .of(table(
                    ["NAME", "TITLE", "STATE", "CHANGED BY"],
                    rows.into_iter().map(|row| [row.name, row.title, row.state, row.changed_by]),
                ))
                .to_string(),
        )?,
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
