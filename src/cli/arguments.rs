//! The command line as typed. `cluster` resolves the cluster and the namespace; `stack::settings` resolves the stack.

use std::ffi::OsString;

use clap::{ArgAction, Args, ColorChoice, Parser, Subcommand, ValueEnum as _};

use crate::cluster::flags::KubeFlags;
use crate::output::printer::{self, Detail};
use crate::output::traces::{self, Extent};

#[derive(Debug, Parser)]
#[command(
    name = "kubectl-lastack",
    bin_name = "kubectl lastack",
    version,
    about = "Install and operate a learning-analytics stack on Kubernetes",
    long_about = "Install and operate a learning-analytics stack on Kubernetes: Moodle (LMS), Ralph (LRS), Elasticsearch (data lake) and Superset (dashboards)",
    after_long_help = after_help!("  kubectl lastack install
  kubectl lastack seed
  kubectl lastack status
  kubectl lastack open dataviz", fault: "the stack is unhealthy", timeout),
    disable_help_subcommand = true,
    max_term_width = 120
)]
pub struct Cli {
    #[command(flatten)]
    pub kube: KubeFlags,
    #[command(flatten)]
    pub output: OutputFlags,
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// How every verb prints.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output flags")]
pub struct OutputFlags {
    /// When to use colour
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "WHEN",
        default_value = "auto",
        hide_short_help = true
    )]
    pub color: ColorChoice,
    /// Print warnings and errors only, beside the data
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Print what the program runs, and with `-vv` also each request
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "quiet")]
    verbose: u8,
}

impl OutputFlags {
    /// Completes the flags from the environment that helm gives a plugin: `helm --debug`.
    pub fn with_helm_environment(mut self, var: impl Fn(&str) -> Option<String>) -> Self {
        let is_debugging = var("HELM_DEBUG").is_some_and(|value| value == "true");
        if var("HELM_PLUGIN_NAME").is_some() && is_debugging && !self.quiet {
            self.verbose = self.verbose.max(1);
        }
        self
    }

    pub fn is_verbose(&self) -> bool {
        self.verbose > 0
    }

    pub fn apply(&self) {
        set_colour(self.color);
        match (self.quiet, self.verbose) {
            (true, _) => printer::set_detail(Detail::Quiet),
            (false, 0) => {}
            (false, verbose) => {
                printer::set_detail(Detail::Traced);
                traces::show(if verbose == 1 { Extent::Programs } else { Extent::All });
            }
        }
    }
}

/// Applies `--color` of a command line that clap could not parse, for clap's own error.
pub fn set_typed_colour(arguments: &[OsString]) {
    let words: Vec<_> = arguments.iter().map(|word| word.to_string_lossy()).collect();
    let typed =
        words.iter().enumerate().find_map(|(at, word)| match word.strip_prefix("--color")? {
            "" => words.get(at + 1).map(AsRef::as_ref),
            value => value.strip_prefix('='),
        });
    if let Some(choice) = typed.and_then(|typed: &str| ColorChoice::from_str(typed, false).ok()) {
        set_colour(choice);
    }
}

fn set_colour(choice: ColorChoice) {
    printer::set_colour(match choice {
        ColorChoice::Auto => anstream::ColorChoice::Auto,
        ColorChoice::Always => anstream::ColorChoice::Always,
        ColorChoice::Never => anstream::ColorChoice::Never,
    });
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Install(super::install::InstallArgs),
    Status(super::status::StatusArgs),
    Check(super::check::CheckArgs),
    Diff(super::diff::DiffArgs),
    Logs(super::logs::LogsArgs),
    Report(super::report::ReportArgs),
    Creds(super::creds::CredsArgs),
    Open(super::open::OpenArgs),
    Seed(super::seed::SeedArgs),
    Sources(super::sources::SourcesArgs),
    Statements(super::statements::StatementsArgs),
    Trace(super::trace::TraceArgs),
    Replay(super::replay::ReplayArgs),
    Backfill(super::backfill::BackfillArgs),
    Reconcile(super::reconcile::ReconcileArgs),
    Coverage(super::coverage::CoverageArgs),
    Configure(super::configure::ConfigureArgs),
    Dashboards(super::dashboards::DashboardsArgs),
    Pause(super::pause::PauseArgs),
    Resume(super::resume::ResumeArgs),
    Backup(super::backup::BackupArgs),
    Restore(super::restore::RestoreArgs),
    Upgrade(super::upgrade::UpgradeArgs),
    Rollback(super::rollback::RollbackArgs),
    Uninstall(super::uninstall::UninstallArgs),
    Rbac(super::rbac::RbacArgs),
    Version(super::version::VersionArgs),
    Completion(super::completion::CompletionArgs),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn command_tree_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn kubectl_flags_are_accepted_before_and_after_the_verb() {
        for line in [
            "lastack -n a --context c status",
            "lastack status --context c -n a",
            "lastack --context c status -n a",
        ] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            assert_eq!(cli.kube.namespace.as_deref(), Some("a"), "{line}");
            assert_eq!(cli.kube.context.as_deref(), Some("c"), "{line}");
        }
    }
}
