use std::env;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;

use crate::error::Failure;
use crate::output::printer;

use super::Outcome;

/// The program that kubectl runs with the words that were typed after `kubectl lastack`.
const NAME: &str =
    if cfg!(windows) { "kubectl_complete-lastack.cmd" } else { "kubectl_complete-lastack" };
const SCRIPT: &str = if cfg!(windows) {
    "@rem written by kubectl lastack completion install\r\n@kubectl-lastack __complete %*\r\n"
} else {
    "#!/bin/sh\n# written by kubectl lastack completion install\nexec kubectl-lastack __complete \"$@\"\n"
};
/// What every version of the script has.
const MARK: &str = "written by kubectl lastack completion install";

/// Write the small program that kubectl asks how to complete `kubectl lastack`
///
/// It stands beside this program, on PATH. Safe to repeat.
#[derive(Debug, Args)]
pub struct InstallArgs {
    /// Another directory of PATH to write it into
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
        Ok(there) if there == SCRIPT.as_bytes() => "is there already",
        Ok(there) if !String::from_utf8_lossy(&there).contains(MARK) => {
            return Err(Failure::failed(format!(
                "{} was not written by this tool",
                file.display()
            ))
            .hint("remove it, or name another directory of PATH with `--dir`")
            .into());
        }
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot read {}", file.display()));
        }
        Ok(_) | Err(_) => "written",
    };
    write(&file).map_err(|error| {
        Failure::failed(format!("cannot write {}: {error}", file.display()))
            .hint("name a directory of PATH that is yours with `--dir`")
    })?;
    printer::note(&format!("{} {done}", file.display()));
    if !is_on_path(&directory) {
        printer::warning(&format!(
            "{} is not on PATH, where kubectl looks for it",
            directory.display()
        ));
    }
    printer::note(
        "`kubectl lastack <TAB>` works wherever kubectl itself is completed, in bash after: source <(kubectl completion bash)",
    );
    Ok(Outcome::Good)
}

/// Where kubectl finds this program: what krew puts on PATH is a link to it.
fn beside_this_program() -> Result<PathBuf> {
    let program = which::which("kubectl-lastack").map_err(|_| {
        Failure::failed("kubectl-lastack is not on PATH, so kubectl does not find it")
            .hint("put it there, or name a directory with `--dir`")
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
            .any(|place| real(&place).is_some_and(|place| Some(place) == real(directory)))
    })
}
