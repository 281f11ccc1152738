//! `completion`: scripts for shells, and the program that kubectl and helm run for candidates.

pub mod candidates;
mod install;
mod script;
mod uninstall;

use anyhow::Result;
use clap::{Args, Subcommand};
use clap_complete::Shell;

use crate::output::printer;

use super::Outcome;

/// Print a completion script for a shell, or install completion for `kubectl lastack`
///
/// The script completes `kubectl-lastack`. Use `completion install` for `kubectl lastack`. Never contacts a cluster.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_long_help = after_help!(offline "  kubectl lastack completion install
  kubectl lastack completion zsh > ~/.zfunc/_kubectl-lastack")
)]
pub struct CompletionArgs {
    /// Shell of the script
    #[arg(value_enum, required = true)]
    shell: Option<Shell>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Install(install::InstallArgs),
    Uninstall(uninstall::UninstallArgs),
}

/// Prints a completion script for `program`, or installs completion for kubectl.
pub fn run(args: &CompletionArgs, program: clap::Command) -> Result<Outcome> {
    match &args.command {
        Some(Command::Install(args)) => return install::run(args),
        Some(Command::Uninstall(args)) => return uninstall::run(args),
        None => {}
    }
    if let Some(shell) = args.shell {
        let mut script = Vec::new();
        clap_complete::generate(
            shell,
            &mut program.bin_name("kubectl-lastack"),
            "kubectl-lastack",
            &mut script,
        );
        printer::data(&String::from_utf8_lossy(&script))?;
    }
    Ok(Outcome::Good)
}
