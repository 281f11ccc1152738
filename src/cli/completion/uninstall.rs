use std::env;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use crate::output::printer;

use super::Outcome;
use super::script::{self, Found};

/// Delete the program that `completion install` wrote
///
/// Run it before you uninstall this program, because no package manager knows the file. Files of others are left in place.
#[derive(Debug, Args)]
#[command(after_long_help = after_help!(offline "  kubectl lastack completion uninstall
  kubectl lastack completion uninstall --dir ~/.local/bin"))]
pub struct UninstallArgs {
    /// Directory to search, instead of the directories on PATH
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub fn run(args: &UninstallArgs) -> Result<Outcome> {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories = match &args.dir {
        Some(directory) => vec![directory.clone()],
        None => env::split_paths(&path).collect(),
    };
    let mut is_deleted = false;
    for file in directories.iter().map(|directory| directory.join(script::NAME)) {
        match script::find(&file)? {
            Found::Current | Found::Outdated => {
                fs::remove_file(&file)
                    .with_context(|| format!("cannot delete {}", file.display()))?;
                printer::note(&format!("{} deleted", file.display()));
                is_deleted = true;
            }
            Found::Foreign => printer::note(&format!(
                "{} left in place: it was not written by this tool",
                file.display()
            )),
            Found::Absent => {}
        }
    }
    if !is_deleted {
        printer::note(&format!("There is no {} of this tool to delete", script::NAME));
    }
    Ok(Outcome::Good)
}
