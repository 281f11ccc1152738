use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;

use crate::cluster::access::Rules;
use crate::cluster::flags::{KubeFlags, quoted};
use crate::diagnosis::report;
use crate::error::Failure;
use crate::output::printer;
use crate::output::units::bytes;

use super::{Outcome, check, open};

/// Write a report for support: checks, health, objects, events and logs
///
/// The archive begins with README.txt, which names the failed checks and what was left out. Passwords and
/// personal data are replaced. Works on a broken stack and without any single permission.
#[derive(Debug, Args)]
#[command(after_long_help = after_help!("  kubectl lastack report report.zip"))]
pub struct ReportArgs {
    /// Zip archive to write
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub fn needs() -> Vec<Rules> {
    [check::needs(), vec![report::NEEDS]].concat()
}

pub async fn run(flags: &KubeFlags, args: &ReportArgs) -> Result<Outcome> {
    // before the work, and never over another file
    let shown = args.file.display();
    let mut file =
        OpenOptions::new().write(true).create_new(true).open(&args.file).map_err(|error| {
            match error.kind() {
                ErrorKind::AlreadyExists => {
                    Failure::usage(format!("{shown}: exists already")).hint("choose another name")
                }
                _ => Failure::usage(format!("{shown}: cannot be written: {error}")),
            }
        })?;
    let written = async {
        let stack = open(flags).await?.observing();
        let command =
            format!("kubectl lastack report {}{}", quoted(&shown.to_string()), stack.cluster.flags);
        let report = report::collect(&stack, &command).await?;
        file.write_all(&report.archive).with_context(|| format!("{shown}: cannot be written"))?;
        anyhow::Ok(report)
    };
    let report = match written.await {
        Ok(report) => report,
        Err(error) => {
            // half a report looks like a whole one
            let _ = std::fs::remove_file(&args.file);
            return Err(error);
        }
    };
    for left_out in &report.left_out {
        printer::warning(&format!("left out: {left_out}"));
    }
    printer::note(&format!(
        "Wrote {} files, {}, to {shown}; it begins with README.txt",
        report.files,
        bytes(report.archive.len() as u64)
    ));
    Ok(Outcome::Good)
}
