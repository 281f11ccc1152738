use anyhow::Result;
use clap::Args;

use crate::backup;
use crate::backup::location::Location;
use crate::cli::Outcome;
use crate::cli::progress::Rows;
use crate::output::printer;
use crate::output::units::{bytes, counted};

/// Compare the files of a backup with the checksums in its manifest
///
/// Reads every file and needs no cluster.
#[derive(Debug, Args)]
#[command(after_long_help = after_help!(offline "  kubectl lastack backup verify backups/
  kubectl lastack backup verify backups/ --backup alice-20261130T093000Z"))]
pub struct VerifyArgs {
    /// Directory, or s3://BUCKET/PREFIX
    #[arg(value_name = "LOCATION")]
    location: Location,
    /// Name of the backup [default: the newest]
    #[arg(long, value_name = "NAME")]
    backup: Option<String>,
}

pub async fn run(args: VerifyArgs) -> Result<Outcome> {
    let (store, manifest) = backup::select(&args.location, args.backup.as_deref()).await?;
    let rows = Rows::new(backup::ids(&manifest));
    backup::verify(&store, &manifest, &rows).await?;
    drop(rows);
    let files = manifest.parts.iter().map(|part| part.files.len() as u64).sum();
    printer::data(&format!(
        "{}: {}, {}, as in the manifest\n",
        manifest.name,
        counted(files, "file"),
        bytes(manifest.bytes())
    ))?;
    Ok(Outcome::Good)
}
