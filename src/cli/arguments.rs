//! The command line as typed. `cluster` resolves the cluster and the namespace; `stack::settings` resolves the stack.

use clap::{Parser, Subcommand};

use crate::cluster::flags::KubeFlags;

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
    #[command(subcommand)]
    pub command: Option<Command>,
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
    Statements(super::statements::StatementsArgs),
    Trace(super::trace::TraceArgs),
    Replay(super::replay::ReplayArgs),
    Configure(super::configure::ConfigureArgs),
    Dashboards(super::dashboards::DashboardsArgs),
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
