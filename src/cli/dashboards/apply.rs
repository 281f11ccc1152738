use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;

use crate::cli::{Outcome, as_installed, lock, require_newest};
use crate::cluster::access::Rules;
use crate::cluster::flags::KubeFlags;
use crate::cluster::{lease, tunnel};
use crate::components::dataviz;
use crate::components::dataviz::client::Kind;
use crate::components::dataviz::dashboards::bundle::Bundle;
use crate::components::dataviz::dashboards::record;
use crate::components::dataviz::dashboards::sync;
use crate::error::Failure;
use crate::output::printer;
use crate::stack::Stack;

/// The maximum time to wait for another command that changes the stack.
const WAIT: Duration = Duration::from_secs(300);

/// Apply dashboards, charts and datasets from files to Superset
///
/// Without a path, applies the dashboards of this program. Assets are identified by UUID, so applying a file again is
/// safe. Changes and deletions that users made in Superset stay unless you pass `--overwrite`. The import is one
/// transaction.
#[derive(Debug, Args)]
#[command(after_long_help = after_help!("  kubectl lastack dashboards apply
  kubectl lastack dashboards apply dashboards/
  kubectl lastack dashboards apply export.zip --overwrite"))]
pub struct ApplyArgs {
    /// Directory, zip archive exported by Superset, or YAML file
    path: Option<PathBuf>,
    /// Replace assets that users changed, and restore those that users deleted
    #[arg(long)]
    overwrite: bool,
}

pub const NEEDS: &[Rules] =
    &[lease::RULES, tunnel::RULES, dataviz::CLIENT, record::READ, record::WRITE];

pub async fn run(flags: &KubeFlags, args: ApplyArgs) -> Result<Outcome> {
    let bundle = match &args.path {
        Some(path) => Bundle::read(path)?,
        None => Bundle::ours()?,
    };
    let cluster = flags.resolve().await?;
    let lock = lock::take(&cluster, "dashboards apply", Some(Instant::now() + WAIT)).await?;
    let stack = as_installed(cluster, None).await?;
    require_newest(&stack)?;
    lock.during(apply(&stack, bundle, args.overwrite)).await
}

async fn apply(stack: &Stack, bundle: Bundle, overwrite: bool) -> Result<Outcome> {
    let superset = dataviz::client(stack).await?;
    let databases = superset.list(Kind::Database).await?;
    // files never contain the password of a connection, so an import cannot create one
    if let Some(new) = bundle
        .find(Kind::Database, |asset| !databases.iter().any(|listed| listed.uuid == asset.uuid))
    {
        return Err(Failure::failed(format!("{}: Superset has no such database connection, and files contain no passwords", new.path()))
            .hint("create it in Superset under Settings, Database Connections, or set the dataset's database_uuid to the stack's own")
            .into());
    }
    let bundle = bundle.only(|asset| asset.kind != Kind::Database);
    let datasets = superset.list(Kind::Dataset).await?;
    for asset in &bundle.assets {
        let Some((kind, parent)) = asset.parent()? else { continue };
        let exists = databases.iter().chain(&datasets).any(|listed| listed.uuid == parent)
            || bundle.find(kind, |other| other.uuid == parent).is_some();
        if !exists {
            let why = format!(
                "{}: refers to {} {parent}, which is neither in the files nor in Superset",
                asset.path(),
                kind.word()
            );
            return Err(Failure::usage(why).into());
        }
    }
    for left_out in &bundle.left_out {
        printer::note(&format!("skipped: {left_out}"));
    }
    let applied = sync::apply(stack, &superset, &bundle, overwrite).await?;
    for path in &applied.imported {
        printer::data(&format!("{path} applied\n"))?;
    }
    for left in &applied.left {
        printer::note(&format!("left in place: {left}"));
    }
    for held in &applied.held {
        printer::note(&format!("blocked: {held}"));
    }
    applied.cut.iter().for_each(|cut| printer::note(cut));
    let left = applied.left.len() + applied.held.len();
    let unchanged = bundle.assets.len() - applied.imported.len() - left;
    printer::note(&format!(
        "{} applied, {unchanged} unchanged, {left} left in place or blocked",
        applied.imported.len()
    ));
    if !applied.left.is_empty() {
        printer::note("Pass `--overwrite` to replace them with the files");
    }
    Ok(Outcome::Good)
}
