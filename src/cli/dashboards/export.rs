use std::io::Cursor;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use crate::cli::{Outcome, open};
use crate::cluster::access::Rules;
use crate::cluster::flags::KubeFlags;
use crate::cluster::tunnel;
use crate::components::dataviz;
use crate::components::dataviz::client::Kind;
use crate::components::dataviz::dashboards::bundle::Bundle;
use crate::components::dataviz::dashboards::record;
use crate::components::dataviz::dashboards::sync_state::{SyncState, compare};
use crate::dashboards::export::export;
use crate::error::Failure;
use crate::output::printer;

/// Export dashboards from Superset to files for version control
///
/// Exports each dashboard with its charts and datasets. The files contain no passwords, no numeric ids and no database
/// addresses. Use `dashboards apply` to import them elsewhere.
#[derive(Debug, Args)]
#[command(after_long_help = after_help!("  kubectl lastack dashboards export
  kubectl lastack dashboards export is-the-course-alive --to my-dashboards"))]
pub struct ExportArgs {
    /// Names or titles of dashboards [default: all]
    dashboards: Vec<String>,
    /// Directory to write to
    #[arg(long, value_name = "DIR", default_value = "dashboards")]
    to: PathBuf,
}

pub const NEEDS: &[Rules] = &[tunnel::RULES, dataviz::CLIENT, record::READ];

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
            Failure::failed(format!("dashboard `{name}`: not in Superset")).hint(format!(
                "run `kubectl lastack dashboards list{}` to list the dashboards",
                stack.cluster.flags
            ))
        })?);
    }
    if args.dashboards.is_empty() {
        ids = listed.iter().map(|dashboard| dashboard.id).collect();
    }
    if ids.is_empty() {
        return Err(Failure::failed("Superset has no dashboards")
            .hint(format!(
                "run `kubectl lastack dashboards apply{}` to import those of this program",
                stack.cluster.flags
            ))
            .into());
    }
    let exported =
        Bundle::from_zip(Cursor::new(superset.export(&ids).await?), "Superset's export")?;
    let states = compare(&stack, &superset, &ours).await?;
    let exported = export(exported, &ours, |own| {
        states.iter().any(|(asset, state)| asset.uuid == own.uuid && *state == SyncState::Same)
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
        printer::note(&format!("skipped: {left}"));
    }
    Ok(Outcome::Good)
}
