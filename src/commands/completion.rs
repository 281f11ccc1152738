use anyhow::Result;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::output::printer;

use super::Outcome;

/// Print a completion script for a shell; never contacts a cluster
#[derive(Debug, Args)]
pub struct CompletionArgs {
    shell: Shell,
}

pub fn run(args: &CompletionArgs) -> Result<Outcome> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command().bin_name("kubectl-lastack"), "kubectl-lastack", &mut script);
    printer::data(&String::from_utf8_lossy(&script))?;
    Ok(Outcome::Good)
}
