mod change;
pub mod list;
pub mod show;

use std::time::Duration;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::cluster::access::Rules;
use crate::cluster::flags::KubeFlags;
use crate::components::lrs::sources::{SourceKind, valid_name};
use crate::output::units::duration;

use super::{Outcome, install};

/// Connect other programs that send statements, such as a Moodle that is not part of the stack
///
/// Each source has a separate account, which stores statements and reads only these. A changed account restarts the LRS.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true, subcommand_required = true)]
pub struct SourcesArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    List(list::ListArgs),
    Add(AddArgs),
    Show(show::ShowArgs),
    Rotate(RotateArgs),
    Enable(EnableArgs),
    Disable(DisableArgs),
    Remove(RemoveArgs),
}

/// Create an account of the LRS for a source, and show its settings
///
/// For a source outside the cluster, expose the LRS with TLS: `install --expose ingress`.
#[derive(Debug, Args)]
#[command(after_long_help = after_help!("  kubectl lastack sources add campus --kind moodle
  kubectl lastack sources add videos --kind generic -n alice", timeout))]
struct AddArgs {
    /// Name of the source and of its account
    #[arg(value_parser = valid_name)]
    name: String,
    /// What sends the statements
    #[arg(long, value_enum, default_value = "generic")]
    kind: SourceKind,
    #[command(flatten)]
    limit: Limit,
}

/// Replace the account of a source, without the loss of a statement
///
/// The source gets another user name and password. The earlier ones remain valid until `--finish`.
#[derive(Debug, Args)]
#[command(after_long_help = after_help!("  kubectl lastack sources rotate campus
  kubectl lastack sources rotate campus --finish", timeout))]
struct RotateArgs {
    /// Name of the source
    name: String,
    /// Reject the earlier user name and password from now on
    #[arg(long)]
    finish: bool,
    #[command(flatten)]
    limit: Limit,
}

/// Accept the account of a source again
#[derive(Debug, Args)]
#[command(after_long_help = after_help!("  kubectl lastack sources enable campus", timeout))]
struct EnableArgs {
    /// Name of the source
    name: String,
    #[command(flatten)]
    limit: Limit,
}

/// Reject the account of a source until `sources enable`
#[derive(Debug, Args)]
#[command(after_long_help = after_help!("  kubectl lastack sources disable campus", timeout))]
struct DisableArgs {
    /// Name of the source
    name: String,
    #[command(flatten)]
    limit: Limit,
}

/// Delete the account of a source and keep its statements
#[derive(Debug, Args)]
#[command(after_long_help = after_help!("  kubectl lastack sources remove campus --yes", timeout))]
struct RemoveArgs {
    /// Name of the source
    name: String,
    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    limit: Limit,
}

#[derive(Debug, Clone, Copy, Args)]
struct Limit {
    /// Time limit for the restart of the LRS
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration)]
    timeout: Duration,
}

/// What the verbs that change a source need: they reconcile the LRS as `install` does.
pub fn needs() -> Vec<Rules> {
    install::needs()
}

pub async fn run(flags: &KubeFlags, args: SourcesArgs) -> Result<Outcome> {
    match args.action {
        Action::List(args) => list::run(flags, &args).await,
        Action::Show(args) => show::run(flags, &args).await,
        Action::Add(args) => change::add(flags, &args).await,
        Action::Rotate(args) => change::rotate(flags, &args).await,
        Action::Enable(args) => change::enable(flags, &args.name, args.limit).await,
        Action::Disable(args) => change::disable(flags, &args.name, args.limit).await,
        Action::Remove(args) => change::remove(flags, &args).await,
    }
}
