use std::io::Cursor;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use crate::cli::{Outcome, open};
use crate::cluster::flags::KubeFlags;
use crate::components::dataviz;
use crate::components::dataviz::client::Kind;
use crate::components::dataviz::dashboards::bundle::Bundle;
use crate::components::dataviz::dashboards::standing::{Standing, compare};
use crate::dashboards::export::export;
use crate::error::Failure;
use crate::output::printer;

/// Write dashboards from Superset to files that can be committed and applied elsewhere
///
/// The files hold no passwords, no ids and no addresses of databases. A dashboard brings its charts and data sets along.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Dashboards by name or title; all when none is named
    dashboards: Vec<String>,
    /// Folder to write to
    #[arg(long, value_name = "DIR", default_value = "dashboards")]
    to: PathBuf,
}

pub async fn run(flags: &KubeFlags, args: ExportArgs) -> Result<Outcome> {
    let stack = open(flags).await?;
    let superset = dataviz::client(&stack).await?;
    let ours = Bundle::ours()?;
    let listed = superset.list(Kind::Dashboard).await?;
    let mut ids = Vec::new();
    for name in &args.dashboards {
        let file = ours.find(Kind::Dashboard, |asset| asset.name == *name).map(|asset| asset.uuid);
        let found = listed.iter().find(|dashboard| {
            Some(dashboard.uuid) == file
                || dashboard.slug.as_deref() == Some(name)
                || dashboard.title.eq_ignore_ascii_case(name)
                || dashboard.uuid.to_string() == *name
        });
        ids.push(found.map(|dashboard| dashboard.id).ok_or_else(|| {
            Failure::failed(format!("there is no dashboard `{name}` in Superset"))
                .hint("`kubectl lastack dashboards list` names them")
        })?);
    }
    if args.dashboards.is_empty() {
        ids = listed.iter().map(|dashboard| dashboard.id).collect();
    }
    if ids.is_empty() {
        return Err(Failure::failed("there is no dashboard in Superset")
            .hint("`kubectl lastack dashboards apply` brings ours")
            .into());
    }
    let exported =
        Bundle::from_zip(Cursor::new(superset.export(&ids).await?), "Superset's export")?;
    let standings = compare(&stack, &superset, &ours).await?;
    let exported = export(exported, &ours, |own| {
        standings
            .iter()
            .any(|(asset, standing)| asset.uuid == own.uuid && *standing == Standing::Same)
    })?;
    for (path, text) in &exported.files {
        let file = args.to.join(path);
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("folder {}", folder.display()))?;
        }
        std::fs::write(&file, text).with_context(|| format!("file {}", file.display()))?;
        printer::data(&format!("{}\n", file.display()))?;
    }
    for left in &exported.left_out {
        printer::note(&format!("left out: {left}"));
    }
    Ok(Outcome::Good)
}
