use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::backup::location::Location;
use crate::backup::secrets::{PublicKey, recipient};
use crate::cluster::access::{Rule, Rules};
use crate::cluster::flags::KubeFlags;
use crate::components::namespace::StoredData;
use crate::components::{conditions, namespace};
use crate::engine::Summary;
use crate::error::{Failure, Kind};
use crate::output::document::Content;
use crate::output::printer;
use crate::output::table::table;
use crate::output::units::{duration, took};
use crate::stack::record::BackupReference;
use crate::stack::{Stack, mark};
use crate::upgrade::plan::{self, Part, Step};
use crate::upgrade::{self, Upgrade};

use super::journal::Journal;
use super::{
    Outcome, TextOrJson, backup, confirm, confirmation, install, lock, next_steps, require_newest,
    require_running, verification,
};

const VERB: &str = "upgrade";
const UNCHANGED: &str = "nothing was changed";

/// Upgrade the components to the versions of this program
///
/// `install` keeps the versions of a stack; this command changes them. It requires a healthy stack, and makes a backup with
/// `--backup`. It upgrades one component after the other, and waits until each is healthy. A component that fails returns to its
/// earlier version, unless the new one has changed its data. At the end, all checks run, and an event is followed from Moodle to a
/// chart. Repeat an interrupted upgrade to continue it.
#[derive(Debug, Args)]
#[command(after_long_help = after_help!("  kubectl lastack upgrade --dry-run
  kubectl lastack upgrade --backup backups/ --recipient age1...
  kubectl lastack upgrade -n alice --no-backup --yes", fault: "with `--dry-run`, there are newer versions; else the stack is upgraded, and a check fails", timeout, json: "Event" "Summary" "UpgradePlan"))]
pub struct UpgradeArgs {
    /// Show the changes, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Directory, or s3://BUCKET/PREFIX, for a backup before the upgrade
    #[arg(long, value_name = "LOCATION", conflicts_with = "no_backup")]
    backup: Option<Location>,
    /// Make no backup
    #[arg(long)]
    no_backup: bool,
    /// Public key of an age identity that can decrypt the passwords and keys in the backup (repeatable)
    #[arg(long, value_name = "AGE-KEY", value_parser = recipient, requires = "backup")]
    recipient: Vec<PublicKey>,
    /// Copy external databases too in the backup
    #[arg(long, requires = "backup")]
    external: bool,
    /// Do not ask for confirmation; requires `--namespace` or `--context`
    #[arg(short, long)]
    yes: bool,
    /// Time limit for the upgrade, without the backup
    #[arg(long, value_name = "DURATION", default_value = "60m", value_parser = duration)]
    timeout: Duration,
    /// Output format of the progress, and of the changes of `--dry-run`
    #[arg(short, long, value_enum, default_value = "text")]
    output: TextOrJson,
}

pub fn needs() -> Vec<Rules> {
    const MARK: Rules =
        &[Rule::new("", "configmaps", &["create", "delete", "get"], "the upgrade in progress")];
    [install::needs(), backup::NEEDS.to_vec(), verification::needs(), vec![MARK]].concat()
}

/// What an upgrade would change
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct UpgradePlan<'a> {
    /// Context of the kubeconfig
    context: &'a str,
    /// Namespace of the stack
    namespace: &'a str,
    /// The components to upgrade, in the order of the upgrade
    steps: Vec<PlannedStep<'a>>,
    /// Why the ECK operator of the cluster is not upgraded; null when it is, or has the newest version
    operator_left: Option<&'a str>,
    /// Why the upgrade is not possible; null when it is
    refused: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct PlannedStep<'a> {
    /// Name of the component
    component: &'static str,
    /// The programs that change
    parts: &'a [Part],
    /// The data that older versions cannot read afterwards; null when the component can be rolled back
    migrates: Option<&'a str>,
}

impl Content for UpgradePlan<'_> {
    const KIND: &'static str = "UpgradePlan";
}

impl<'a> UpgradePlan<'a> {
    fn of(stack: &'a Stack, found: &'a Upgrade) -> Self {
        let planned = |step: &'a Step| PlannedStep {
            component: step.component.as_str(),
            parts: &step.parts,
            migrates: step.migrates(),
        };
        let refusal = plan::refusal(&found.steps);
        Self {
            context: &stack.cluster.context,
            namespace: stack.namespace(),
            steps: found.steps.iter().map(planned).collect(),
            operator_left: found.operator_left.as_deref(),
            refused: refusal.map(|failure| failure.to_string()),
        }
    }
}

/// The changes as a table.
fn shown(steps: &[Step]) -> String {
    let rows = steps.iter().flat_map(|step| {
        let component = step.component.to_string();
        step.parts.iter().enumerate().map(move |(i, part)| {
            let rollback = match step.migrates() {
                Some(data) if i == 0 => format!("only from a backup: changes {data}"),
                _ => "possible".into(),
            };
            [component.clone(), part.name.clone(), part.from.clone(), part.to.clone(), rollback]
        })
    });
    table(["COMPONENT", "PROGRAM", "FROM", "TO", "ROLLBACK"], rows).to_string()
}

pub async fn run(flags: &KubeFlags, args: UpgradeArgs) -> Result<Outcome> {
    if args.dry_run {
        return dry_run(flags, args.output).await;
    }
    let journal = Journal::new(VERB, args.output);
    let ended = upgrade(flags, &args, &journal).await;
    journal.conclude_verified(ended)
}

async fn dry_run(flags: &KubeFlags, output: TextOrJson) -> Result<Outcome> {
    let stack = open(flags, None).await?;
    let found = Upgrade::of(&stack).await?;
    let plan = UpgradePlan::of(&stack, &found);
    match output {
        TextOrJson::Json => printer::json(&plan)?,
        TextOrJson::Text if found.steps.is_empty() => conclude_unchanged(&found),
        TextOrJson::Text => {
            printer::data(&shown(&found.steps))?;
            note_operator(&found);
            match &plan.refused {
                Some(refused) => printer::error(refused),
                None => printer::note("Nothing was changed"),
            }
        }
    }
    Ok(if found.steps.is_empty() { Outcome::Good } else { Outcome::Fault })
}

async fn open(flags: &KubeFlags, wait: Option<Duration>) -> Result<Stack> {
    let stack = Stack::open(flags.resolve().await?, Default::default(), wait).await?;
    if stack.is_new {
        return Err(Failure::failed(format!("namespace {} has no stack", stack.namespace()))
            .hint("name the namespace of the stack with `-n`, or install one: kubectl lastack install")
            .into());
    }
    require_newest(&stack)?;
    Ok(stack)
}

fn note_operator(found: &Upgrade) {
    if let Some(why) = &found.operator_left {
        printer::note(&format!("The ECK operator keeps its version: {why}"));
    }
}

fn conclude_unchanged(found: &Upgrade) {
    printer::note("All components have the versions of this program");
    note_operator(found);
}

/// The second value is whether no check failed.
async fn upgrade(
    flags: &KubeFlags,
    args: &UpgradeArgs,
    journal: &Journal,
) -> Result<(Summary, bool)> {
    if args.yes {
        confirmation::require_named_stack(flags, VERB, UNCHANGED)?;
    }
    let mut stack = open(flags, Some(args.timeout)).await?;
    journal.names(&stack);
    let stored = namespace::stored(&stack).await?;
    let is_continued = mark::read(&stack, mark::UPGRADE).await?.is_some();
    if is_continued {
        require_running(&stack).await?;
    } else if let Some(unusual) = conditions::unusual(&stack).await? {
        return Err(unusual.into_failure(Kind::Failed).into());
    }
    let found = Upgrade::of(&stack).await?;
    if found.steps.is_empty() && !is_continued {
        conclude_unchanged(&found);
        return Ok((Summary::default(), true));
    }
    printer::note(shown(&found.steps).trim_end());
    note_operator(&found);
    if let Some(refusal) = plan::refusal(&found.steps) {
        return Err(refusal.into());
    }
    if is_continued {
        printer::note("Continuing the upgrade that was interrupted");
    } else {
        begin(&mut stack, args, journal).await?;
    }
    // without the backup and the time in which the user confirmed
    stack.wait_for(args.timeout);
    let begun = Instant::now();
    let lock = lock::take(&stack.cluster, VERB, stack.deadline).await?;
    require_unchanged(&stack, stored).await?;
    let report = journal.report(upgrade::ids(&stack)?.into_iter());
    let upgraded = async {
        // first, because the next attempt does not record the state before the upgrade
        namespace::store_settings(&stack).await?;
        mark::set(&stack, mark::UPGRADE, &[]).await?;
        let summary = upgrade::upgrade(&mut stack, &found.steps, &*report).await?;
        mark::clear(&stack, mark::UPGRADE).await?;
        anyhow::Ok(summary)
    };
    let summary = lock.during(upgraded).await?;
    drop(report);
    printer::note(&format!("Upgraded in {}", took(begun.elapsed())));
    let is_whole = verification::run(&stack, journal).await?;
    if !is_whole {
        let flags = &stack.cluster.flags;
        next_steps(&[(format!("rollback{flags}"), "return to the versions before, if possible")]);
    }
    Ok((summary, is_whole))
}

/// Fails when another command changed the settings or versions since this one read them, because they would be overwritten.
pub async fn require_unchanged(stack: &Stack, stored: Option<StoredData>) -> Result<()> {
    if namespace::stored(stack).await? == stored {
        return Ok(());
    }
    Err(Failure::failed("another command has changed the stack meanwhile")
        .hint("repeat the command")
        .into())
}

/// Asks the user, copies the data, and records the state before the upgrade.
async fn begin(stack: &mut Stack, args: &UpgradeArgs, journal: &Journal) -> Result<()> {
    if args.backup.is_none() && !args.no_backup {
        return Err(Failure::usage(format!(
            "an upgrade cannot be undone without a backup; {UNCHANGED}"
        ))
        .hint("name a place for one with `--backup LOCATION`, or pass `--no-backup`")
        .into());
    }
    upgrade::require_healthy(stack).await?;
    let question = format!("Upgrade the stack in namespace {}?", stack.namespace());
    confirm(args.yes, &question, UNCHANGED, "pass `--yes` and `--namespace`").await?;
    let backup = match &args.backup {
        None => None,
        Some(location) => {
            let request =
                backup::Request { recipients: &args.recipient, with_external: args.external };
            let manifest = backup::copy(stack, location, &request, journal).await?;
            backup::summarize(&manifest);
            Some(BackupReference { location: location.to_string(), name: manifest.name })
        }
    };
    stack.previous = Some(upgrade::before(stack, backup).await);
    Ok(())
}
