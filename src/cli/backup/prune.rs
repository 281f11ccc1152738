use anyhow::Result;
use clap::Args;

use crate::backup;
use crate::backup::location::Location;
use crate::cli::{Outcome, confirm};
use crate::output::printer;
use crate::output::units::counted;

/// Delete old backups
///
/// Keeps the newest complete backups of each namespace. Also deletes incomplete backups that are older than a complete one.
#[derive(Debug, Args)]
#[command(after_long_help = after_help!(offline "  kubectl lastack backup prune backups/ --keep 7 --dry-run
  kubectl lastack backup prune s3://la-backups/moodle --keep 7 --yes"))]
pub struct PruneArgs {
    /// Directory, or s3://BUCKET/PREFIX
    #[arg(value_name = "LOCATION")]
    location: Location,
    /// Number of complete backups to keep of each namespace
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    keep: u32,
    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,
    /// Show the backups and delete nothing
    #[arg(long)]
    dry_run: bool,
}

pub async fn run(args: PruneArgs) -> Result<Outcome> {
    let store = args.location.open(false)?;
    let found = backup::list(&store).await?;
    let surplus = backup::surplus(&found, args.keep as usize);
    if surplus.is_empty() {
        printer::note("No backups to delete");
        return Ok(Outcome::Good);
    }
    let names = surplus.join("\n");
    if args.dry_run {
        printer::data(&format!("{names}\n"))?;
        return Ok(Outcome::Good);
    }
    printer::important(&format!("To be deleted from {}:\n{names}", args.location));
    let hint = "pass `--yes`, or `--dry-run` to show the backups only";
    confirm(args.yes, "Delete these backups?", "nothing was deleted", hint).await?;
    for name in &surplus {
        backup::delete(&store, name).await?;
    }
    printer::note(&format!("Deleted {}", counted(surplus.len() as u64, "backup")));
    Ok(Outcome::Good)
}
