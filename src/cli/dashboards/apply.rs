use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::cli::{Outcome, open};
use crate::cluster::flags::KubeFlags;
use crate::components::dataviz;
use crate::components::dataviz::client::Kind;
use crate::components::dataviz::dashboards::bundle::Bundle;
use crate::components::dataviz::dashboards::sync;
use crate::error::Failure;
use crate::output::printer;

/// Bring dashboards, charts and data sets from files into Superset
///
/// Without a path: the dashboards of this program. Assets are known by their uuid, so the same file can be applied again
/// and again. What a person changed or deleted in Superset stays as it is unless `--overwrite` says otherwise. All of
/// it arrives, or nothing.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// A folder, a zip archive that Superset exported, or one YAML file
    path: Option<PathBuf>,
    /// Also what a person changed or deleted since it was last applied
    #[arg(long)]
    overwrite: bool,
}

pub async fn run(flags: &KubeFlags, args: ApplyArgs) -> Result<Outcome> {
    let bundle = match &args.path {
        Some(path) => Bundle::read(path)?,
        None => Bundle::ours()?,
    };
    let stack = open(flags).await?;
    let superset = dataviz::client(&stack).await?;
    let databases = superset.list(Kind::Database).await?;
    // a connection has a password, which no file holds: those that are there stay, others are to be made in Superset
    if let Some(new) = bundle
        .find(Kind::Database, |asset| !databases.iter().any(|listed| listed.uuid == asset.uuid))
    {
        return Err(Failure::failed(format!("{} is a connection that Superset does not have, and its password is in no file", new.path()))
            .hint("make it in Superset under Settings, Database Connections; or point the data set's database_uuid to the stack's own")
            .into());
    }
    let bundle = bundle.only(|asset| asset.kind != Kind::Database);
    let datasets = superset.list(Kind::Dataset).await?;
    for asset in &bundle.assets {
        let Some((kind, parent)) = asset.parent()? else { continue };
        let there = databases.iter().chain(&datasets).any(|listed| listed.uuid == parent)
            || bundle.find(kind, |other| other.uuid == parent).is_some();
        if !there {
            let why = format!(
                "{} is made on {} {parent}, which is neither among the files nor in Superset",
                asset.path(),
                kind.word()
            );
            return Err(Failure::usage(why).into());
        }
    }
    for left_out in &bundle.left_out {
        printer::note(&format!("left out: {left_out}"));
    }
    let applied = sync::apply(&stack, &superset, &bundle, args.overwrite).await?;
    for path in &applied.brought {
        printer::data(&format!("{path} applied\n"))?;
    }
    for left in &applied.left {
        printer::note(&format!("left alone: {left}"));
    }
    for held in &applied.held {
        printer::note(&format!("held back: {held}"));
    }
    applied.cut.iter().for_each(|cut| printer::note(cut));
    let left = applied.left.len() + applied.held.len();
    let unchanged = bundle.assets.len() - applied.brought.len() - left;
    printer::note(&format!(
        "{} applied, {unchanged} unchanged, {left} left alone",
        applied.brought.len()
    ));
    if !applied.left.is_empty() {
        printer::note("  --overwrite   brings them back to what the files say");
    }
    Ok(Outcome::Good)
}
