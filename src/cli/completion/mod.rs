pub mod candidates;
mod install;

use anyhow::Result;
use clap::{Args, Subcommand};
use clap_complete::Shell;

use crate::output::printer;

use super::Outcome;

/// Complete what is typed: `install` for `kubectl lastack`, else a script for `kubectl-lastack`; never contacts a cluster
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct CompletionArgs {
    /// Shell to print a script for
    #[arg(value_enum, required = true)]
    shell: Option<Shell>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Install(install::InstallArgs),
}

/// Prints what a shell needs to complete `program`, or writes it for kubectl.
pub fn run(args: &CompletionArgs, program: clap::Command) -> Result<Outcome> {
    if let Some(Command::Install(args)) = &args.command {
        return install::run(args);
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
