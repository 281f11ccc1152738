use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::cluster::access::{Rule, Rules};
use crate::cluster::flags::KubeFlags;
use crate::cluster::{check_namespace, role};
use crate::output::printer;

use super::dashboards::{self, apply, explain, export, list};
use super::{
    Outcome, configure, creds, install, open, replay, seed, statements, status, trace, uninstall,
};

/// Print a Role with the permissions that verbs need in the namespace of the stack
///
/// The Role is named after the verbs. It contains no permissions outside the namespace. Never contacts a cluster.
#[derive(Debug, Args)]
#[command(after_long_help = after_help!(offline "  kubectl lastack rbac status
  kubectl lastack rbac seed statements | kubectl apply -n alice -f -
  kubectl lastack rbac status creds --name lastack-observer"))]
pub struct RbacArgs {
    /// Verbs that the Role allows
    #[arg(value_enum, required = true)]
    verbs: Vec<Verb>,
    /// Name of the Role [default: lastack and the verbs, such as lastack-status]
    #[arg(long, value_name = "NAME", value_parser = role_name)]
    name: Option<String>,
}

/// The verbs that contact the cluster. A verb of a group has a hyphen: `dashboards-list`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Verb {
    Install,
    Status,
    Check,
    Diff,
    Logs,
    Report,
    Creds,
    CredsRotate,
    Open,
    Seed,
    SourcesList,
    SourcesAdd,
    SourcesShow,
    SourcesRotate,
    SourcesEnable,
    SourcesDisable,
    SourcesRemove,
    Statements,
    StatementsDelete,
    Trace,
    Replay,
    Backfill,
    Reconcile,
    Coverage,
    Configure,
    DashboardsList,
    DashboardsApply,
    DashboardsExport,
    DashboardsCheck,
    DashboardsExplain,
    Pause,
    Resume,
    Backup,
    Restore,
    Upgrade,
    Rollback,
    Uninstall,
}

impl Verb {
    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_string()).unwrap_or_default()
    }

    /// What the verb needs, as its own file declares it.
    fn needs(self) -> Vec<Rules> {
        let own = match self {
            Self::Install => install::needs(),
            Self::Status => status::needs(),
            Self::Check | Self::Diff => super::check::needs(),
            Self::Logs => super::logs::NEEDS.to_vec(),
            Self::Report => super::report::needs(),
            Self::Creds => creds::needs(),
            Self::CredsRotate => creds::rotate::needs(),
            Self::Open => open::needs(),
            Self::Seed => seed::NEEDS.to_vec(),
            Self::SourcesList => super::sources::list::NEEDS.to_vec(),
            Self::SourcesShow => super::sources::show::NEEDS.to_vec(),
            Self::SourcesAdd
            | Self::SourcesRotate
            | Self::SourcesEnable
            | Self::SourcesDisable
            | Self::SourcesRemove => super::sources::needs(),
            Self::Statements => statements::NEEDS.to_vec(),
            Self::StatementsDelete => statements::DELETE_NEEDS.to_vec(),
            Self::Trace => trace::NEEDS.to_vec(),
            Self::Replay => replay::NEEDS.to_vec(),
            Self::Backfill => super::backfill::NEEDS.to_vec(),
            Self::Reconcile => super::reconcile::NEEDS.to_vec(),
            Self::Coverage => super::coverage::NEEDS.to_vec(),
            Self::Configure => configure::needs(),
            Self::DashboardsList => list::NEEDS.to_vec(),
            Self::DashboardsApply => apply::NEEDS.to_vec(),
            Self::DashboardsExport => export::NEEDS.to_vec(),
            Self::DashboardsCheck => dashboards::check::NEEDS.to_vec(),
            Self::DashboardsExplain => explain::NEEDS.to_vec(),
            Self::Pause => super::pause::NEEDS.to_vec(),
            Self::Resume => super::resume::needs(),
            Self::Backup => super::backup::NEEDS.to_vec(),
            Self::Restore => super::restore::needs(),
            Self::Upgrade => super::upgrade::needs(),
            Self::Rollback => super::rollback::needs(),
            Self::Uninstall => uninstall::NEEDS.to_vec(),
        };
        [vec![super::READ_SETTINGS], own].concat()
    }
}

fn role_name(text: &str) -> Result<String, String> {
    let is_valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    match text.chars().all(is_valid) && !text.is_empty() {
        true => Ok(text.into()),
        false => Err("expected lower case letters, digits, `-` and `.`".into()),
    }
}

pub fn run(flags: &KubeFlags, args: &RbacArgs) -> Result<Outcome> {
    flags.namespace.as_deref().map(check_namespace).transpose()?;
    let mut verbs = args.verbs.clone();
    verbs.sort();
    verbs.dedup();
    let names: Vec<String> = verbs.iter().map(|verb| verb.name()).collect();
    let role = args.name.clone().unwrap_or_else(|| format!("lastack-{}", names.join("-")));
    let option = args.name.as_ref().map(|name| format!(" --name {name}")).unwrap_or_default();
    let rules: Vec<Rule> =
        verbs.into_iter().flat_map(Verb::needs).flat_map(|rules| rules.iter().copied()).collect();
    printer::data(&format!(
        "# Written by: kubectl lastack rbac {}{option}\n{}",
        names.join(" "),
        role::manifest(&role, flags.namespace.as_deref(), &rules)
    ))?;
    Ok(Outcome::Good)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::{Command, CommandFactory};

    use crate::cli::arguments::Cli;
    use crate::cluster::access::Permission;

    use super::*;

    /// The verbs that contact no cluster.
    const OFFLINE: [&str; 8] = [
        "backup-list",
        "backup-prune",
        "backup-verify",
        "completion",
        "completion-install",
        "completion-uninstall",
        "rbac",
        "version",
    ];

    fn verbs_of(command: &Command, name: &str) -> Vec<String> {
        let below = command.get_subcommands().flat_map(|below| {
            let joined =
                format!("{name}{}{}", if name.is_empty() { "" } else { "-" }, below.get_name());
            verbs_of(below, &joined)
        });
        // a group is no verb itself, unless it works without one of its verbs
        let is_verb = !command.has_subcommands() || command.get_arguments().next().is_some();
        let own = (is_verb && !name.is_empty()).then(|| name.to_string());
        own.into_iter().chain(below).collect()
    }

    fn permissions(verb: Verb) -> BTreeSet<Permission> {
        verb.needs().into_iter().flatten().flat_map(|rule| rule.permissions()).collect()
    }

    #[test]
    fn every_verb_that_contacts_the_cluster_has_a_role() {
        let mut verbs = verbs_of(&Cli::command(), "");
        verbs.retain(|verb| !OFFLINE.contains(&verb.as_str()));
        let with_role = Verb::value_variants().iter().map(|verb| verb.name());
        assert_eq!(
            BTreeSet::from_iter(verbs),
            with_role.collect(),
            "add a new verb to the enum Verb of this module"
        );
    }

    #[test]
    fn only_the_verbs_that_run_scripts_may_run_commands_in_pods() {
        let may_exec = |verb: &&Verb| {
            permissions(**verb).iter().any(|permission| permission.resource == "pods/exec")
        };
        let verbs: Vec<Verb> = Verb::value_variants().iter().filter(may_exec).copied().collect();
        assert_eq!(
            verbs,
            [
                Verb::Install,
                Verb::Check,
                Verb::Diff,
                Verb::Report,
                Verb::CredsRotate,
                Verb::SourcesAdd,
                Verb::SourcesRotate,
                Verb::SourcesEnable,
                Verb::SourcesDisable,
                Verb::SourcesRemove,
                Verb::Trace,
                Verb::Replay,
                Verb::Backfill,
                Verb::Reconcile,
                Verb::Coverage,
                Verb::Configure,
                Verb::Resume,
                Verb::Backup,
                Verb::Restore,
                Verb::Upgrade,
                Verb::Rollback
            ],
            "`pods/exec` reaches everything that Moodle can read"
        );
    }

    #[test]
    fn only_verbs_that_run_helm_or_copy_secrets_read_those_without_a_name() {
        let reads_all = |verb: &&Verb| {
            let is_any = |one: &Permission| one.resource == "secrets" && one.name.is_none();
            permissions(**verb).iter().any(is_any)
        };
        let verbs: Vec<Verb> = Verb::value_variants().iter().filter(reads_all).copied().collect();
        assert_eq!(
            verbs,
            [
                Verb::Install,
                Verb::Check,
                Verb::Diff,
                Verb::Report,
                Verb::CredsRotate,
                Verb::SourcesAdd,
                Verb::SourcesRotate,
                Verb::SourcesEnable,
                Verb::SourcesDisable,
                Verb::SourcesRemove,
                Verb::Resume,
                Verb::Backup,
                Verb::Restore,
                Verb::Upgrade,
                Verb::Rollback,
                Verb::Uninstall
            ]
        );
    }

    /// `manifests/rbac/install.yaml` consists of these verbs.
    #[test]
    fn role_of_the_changing_verbs_is_sufficient_for_every_verb() {
        let changing = [
            Verb::Install,
            Verb::Status,
            Verb::Check,
            Verb::CredsRotate,
            Verb::Configure,
            Verb::DashboardsApply,
            Verb::Uninstall,
        ];
        let allowed: BTreeSet<Permission> = changing.into_iter().flat_map(permissions).collect();
        for verb in Verb::value_variants() {
            let lacks = |one: &Permission| {
                !allowed.contains(one) && !allowed.contains(&Permission { name: None, ..*one })
            };
            let lacking: Vec<Permission> = permissions(*verb).into_iter().filter(lacks).collect();
            assert!(lacking.is_empty(), "{verb:?}: {lacking:?}");
        }
    }

    #[test]
    fn only_creds_names_the_password_of_elasticsearch_administrator() {
        let names = |verb: &&Verb| {
            let is_it = |one: &Permission| one.name == Some("data-lake-es-elastic-user");
            permissions(**verb).iter().any(is_it)
        };
        let verbs: Vec<Verb> = Verb::value_variants().iter().filter(names).copied().collect();
        assert_eq!(verbs, [Verb::Creds]);
    }
}
