use std::env;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;

use crate::error::Failure;
use crate::output::printer;

use super::Outcome;

/// The program that kubectl runs with the words typed after `kubectl lastack`.
const NAME: &str =
    if cfg!(windows) { "kubectl_complete-lastack.cmd" } else { "kubectl_complete-lastack" };
const SCRIPT: &str = if cfg!(windows) {
    "@rem written by kubectl lastack completion install\r\n@kubectl-lastack __complete %*\r\n"
} else {
    "#!/bin/sh\n# written by kubectl lastack completion install\nexec kubectl-lastack __complete \"$@\"\n"
};
/// A line that every version of the script contains.
const MARK: &str = "written by kubectl lastack completion install";

/// Install shell completion for `kubectl lastack`
///
/// Writes the program `kubectl_complete-lastack` to the directory of this program. Running it again is safe.
#[derive(Debug, Args)]
#[command(after_long_help = after_help!(offline "  kubectl lastack completion install
  kubectl lastack completion install --dir ~/.local/bin"))]
pub struct InstallArgs {
    /// Directory on PATH to write to, instead of the directory of this program
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub fn run(args: &InstallArgs) -> Result<Outcome> {
    let directory = match &args.dir {
        Some(directory) => directory.clone(),
        None => beside_this_program()?,
    };
    let file = directory.join(NAME);
    let done = match fs::read(&file) {
        Ok(live) if live == SCRIPT.as_bytes() => "unchanged",
        Ok(live) if !String::from_utf8_lossy(&live).contains(MARK) => {
            return Err(Failure::failed(format!(
                "{} was not written by this tool",
                file.display()
            ))
            .hint("delete the file, or choose another directory on PATH with `--dir`")
            .into());
        }
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot read {}", file.display()));
        }
        Ok(_) | Err(_) => "written",
    };
    write(&file).map_err(|error| {
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

/// The directory on PATH in which kubectl finds this program. krew puts a symbolic link there.
fn beside_this_program() -> Result<PathBuf> {
    let program = which::which("kubectl-lastack").map_err(|_| {
        Failure::failed("kubectl-lastack is not on PATH, so kubectl does not find it")
            .hint("add it to PATH, or choose a directory with `--dir`")
    })?;
    Ok(program.parent().unwrap_or(Path::new(".")).to_path_buf())
}

fn write(file: &Path) -> std::io::Result<()> {
    fs::write(file, SCRIPT)?;
    #[cfg(unix)]
    fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    Ok(())
}

fn is_on_path(directory: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(path).ok();
    env::var_os("PATH").is_some_and(|path| {
        env::split_paths(&path)
            .any(|entry| real(&entry).is_some_and(|entry| Some(entry) == real(directory)))
    })
}
