//! `dashboards`: one file per verb.

pub mod apply;
pub mod check;
pub mod explain;
pub mod export;
pub mod list;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::cluster::flags::KubeFlags;

use super::Outcome;

/// Apply, export and check dashboards
#[derive(Debug, Args)]
#[command(after_long_help = after_help!("  kubectl lastack dashboards list
  kubectl lastack dashboards apply
  kubectl lastack dashboards check", fault: "a chart fails its check, or `explain` finds a broken link"))]
pub struct DashboardsArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    List(list::ListArgs),
    Apply(apply::ApplyArgs),
    Export(export::ExportArgs),
    Check(check::CheckArgs),
    Explain(explain::ExplainArgs),
}

pub async fn run(flags: &KubeFlags, args: DashboardsArgs) -> Result<Outcome> {
    match args.verb {
        Verb::List(args) => list::run(flags, args).await,
        Verb::Apply(args) => apply::run(flags, args).await,
        Verb::Export(args) => export::run(flags, args).await,
        Verb::Check(args) => check::run(flags, args).await,
        Verb::Explain(args) => explain::run(flags, args).await,
    }
}
