use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;

use crate::error::Failure;
use crate::output::printer;

use super::Outcome;
use super::script::{self, Found};

/// Install shell completion for `kubectl lastack`
///
/// Writes the program `kubectl_complete-lastack` to the directory of this program, or, when krew manages that directory,
/// to the first other directory on PATH in your home directory. Running it again is safe.
#[derive(Debug, Args)]
#[command(after_long_help = after_help!(offline "  kubectl lastack completion install
  kubectl lastack completion install --dir ~/.local/bin"))]
pub struct InstallArgs {
    /// Directory on PATH to write to
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub fn run(args: &InstallArgs) -> Result<Outcome> {
    script::check_system()?;
    let directory = match &args.dir {
        Some(directory) => directory.clone(),
        None => default_directory()?,
    };
    let file = directory.join(script::NAME);
    let done = match script::find(&file)? {
        Found::Current => "unchanged",
        Found::Absent | Found::Outdated => "written",
        Found::Foreign => {
            return Err(Failure::failed(format!(
                "{} was not written by this tool",
                file.display()
            ))
            .hint("delete the file, or choose another directory on PATH with `--dir`")
            .into());
        }
    };
    script::write(&file).map_err(|error| {
        Failure::failed(format!("cannot write {}: {error}", file.display()))
            .hint("choose a directory on PATH that you can write to with `--dir`")
    })?;
    printer::note(&format!("{} {done}", file.display()));
    if !is_on_path(&directory) {
        printer::warning(&format!(
            "{} is not on PATH, so kubectl cannot find the program",
            directory.display()
        ));
    }
    printer::note(
        "Completion works in every shell that completes kubectl; in bash, run: source <(kubectl completion bash)",
    );
    Ok(Outcome::Good)
}

/// The directory of this program. krew's own directory must contain only what krew knows: it would leave the script there
/// when it uninstalls the plugin, and then fail.
fn default_directory() -> Result<PathBuf> {
    let program = which::which("kubectl-lastack").map_err(|_| {
        Failure::failed("kubectl-lastack is not on PATH, so kubectl does not find it")
            .hint("add it to PATH, or choose a directory with `--dir`")
    })?;
    let beside = program.parent().unwrap_or(Path::new("."));
    if !is_of_krew(beside) {
        return Ok(beside.to_path_buf());
    }
    let home = env::home_dir().unwrap_or_default();
    let path = env::var_os("PATH").unwrap_or_default();
    let mut own = env::split_paths(&path)
        .filter(|entry| entry.starts_with(&home) && entry.is_dir() && !is_of_krew(entry));
    own.next().ok_or_else(|| {
        Failure::failed(format!(
            "krew manages {}, and PATH has no other directory in your home directory",
            beside.display()
        ))
        .hint("choose another directory on PATH with `--dir`")
        .into()
    })
}

/// Whether it is the `bin` of krew's root directory.
fn is_of_krew(directory: &Path) -> bool {
    directory.parent().is_some_and(|root| root.join("receipts").is_dir())
}

fn is_on_path(directory: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(path).ok();
    env::var_os("PATH").is_some_and(|path| {
        env::split_paths(&path)
            .any(|entry| real(&entry).is_some_and(|entry| Some(entry) == real(directory)))
    })
}
