use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;

use crate::cluster::access::Rules;
use crate::cluster::flags::KubeFlags;
use crate::components::namespace;
use crate::engine::{Id, Summary};
use crate::error::Failure;
use crate::output::printer;
use crate::output::table::table;
use crate::output::units::{duration, took};
use crate::stack::record::Previous;
use crate::stack::{Stack, mark};
use crate::upgrade::plan::Part;
use crate::upgrade::{self, Rollback};

use super::journal::Journal;
use super::{
    Outcome, TextOrJson, confirm, confirmation, lock, next_steps, require_newest, require_running,
    verification,
};

const VERB: &str = "rollback";
const UNCHANGED: &str = "nothing was changed";

/// Return to the versions before the last upgrade
///
/// Possible while no component has changed its data for the new version. Otherwise, the command names the backup to restore. The
/// ECK operator keeps its version, because it serves the whole cluster and runs older versions of Elasticsearch.
#[derive(Debug, Args)]
#[command(after_long_help = after_help!("  kubectl lastack rollback
  kubectl lastack rollback -n alice --yes", fault: "the stack has its earlier versions, and a check fails", timeout, json: "Event" "Summary"))]
pub struct RollbackArgs {
    /// Do not ask for confirmation; requires `--namespace` or `--context`
    #[arg(short, long)]
    yes: bool,
    /// Time limit for the whole command
    #[arg(long, value_name = "DURATION", default_value = "30m", value_parser = duration)]
    timeout: Duration,
    /// Output format of the progress
    #[arg(short, long, value_enum, default_value = "text")]
    output: TextOrJson,
}

pub fn needs() -> Vec<Rules> {
    super::upgrade::needs()
}

pub async fn run(flags: &KubeFlags, args: RollbackArgs) -> Result<Outcome> {
    let journal = Journal::new(VERB, args.output);
    let ended = roll_back(flags, &args, &journal).await;
    journal.conclude_verified(ended)
}

/// The second value is whether no check failed.
async fn roll_back(
    flags: &KubeFlags,
    args: &RollbackArgs,
    journal: &Journal,
) -> Result<(Summary, bool)> {
    if args.yes {
        confirmation::require_named_stack(flags, VERB, UNCHANGED)?;
    }
    let cluster = flags.resolve().await?;
    let mut stack = Stack::open(cluster, Default::default(), Some(args.timeout)).await?;
    journal.names(&stack);
    let stored = namespace::stored(&stack).await?;
    require_running(&stack).await?;
    require_newest(&stack)?;
    let Some(previous) = stack.previous.clone() else {
        let message = format!("no upgrade of namespace {} can be rolled back", stack.namespace());
        return Err(Failure::failed(message)
            .hint("`kubectl lastack upgrade` records the versions before it")
            .into());
    };
    let Rollback { steps, migrated } = Rollback::of(&stack, &previous).await;
    if !migrated.is_empty() {
        return Err(refused(&stack, &previous, &migrated).into());
    }
    if steps.is_empty() {
        printer::note("All components have the versions from before the upgrade");
        printer::note("A rollback never changes the ECK operator, which serves the whole cluster");
        return Ok((Summary::default(), true));
    }
    let rows = steps.iter().flat_map(|step| {
        let row = |part: &Part| {
            [step.component.to_string(), part.name.clone(), part.from.clone(), part.to.clone()]
        };
        step.parts.iter().map(row)
    });
    let steps_shown = table(["COMPONENT", "PROGRAM", "FROM", "TO"], rows).to_string();
    printer::note(steps_shown.trim_end());
    let question = format!("Return namespace {} to these versions?", stack.namespace());
    confirm(args.yes, &question, UNCHANGED, "pass `--yes` and `--namespace`").await?;
    stack.wait_for(args.timeout);
    let begun = Instant::now();
    let lock = lock::take(&stack.cluster, VERB, stack.deadline).await?;
    super::upgrade::require_unchanged(&stack, stored).await?;
    let components: Vec<&str> = steps.iter().map(|step| step.component.as_str()).collect();
    let ids = upgrade::ids(&stack)?;
    let ids: Vec<Id> = ids.into_iter().filter(|id| components.contains(&id.group())).collect();
    let report = journal.report(ids.iter().copied());
    let returned = async {
        // a rollback that is interrupted is continued by the next, or undone by an upgrade
        mark::set(&stack, mark::UPGRADE, &[]).await?;
        upgrade::roll_back(&mut stack, &steps, &*report).await?;
        mark::clear(&stack, mark::UPGRADE).await
    };
    lock.during(returned).await?;
    drop(report);
    printer::note(&format!("Returned to the versions before in {}", took(begun.elapsed())));
    let is_whole = verification::run(&stack, journal).await?;
    if !is_whole {
        next_steps(&[(
            format!("status{}", stack.cluster.flags),
            "show the health of each component",
        )]);
    }
    Ok((Summary { changed: ids, took: begun.elapsed(), ..Summary::default() }, is_whole))
}

/// The error of a rollback for which it is too late.
fn refused(stack: &Stack, previous: &Previous, migrated: &[String]) -> Failure {
    let has = if migrated.len() == 1 { "has changed its data" } else { "have changed their data" };
    let message = format!(
        "{} {has} for the new version, or the data cannot be examined; {UNCHANGED}",
        migrated.join(" and ")
    );
    let flags = &stack.cluster.flags;
    Failure::failed(message).hint(match &previous.backup {
        Some(backup) => format!(
            "restore the backup before the upgrade, which loses what was stored since: kubectl lastack uninstall{flags}, and then kubectl lastack restore {} --backup {}{flags}",
            backup.location, backup.name
        ),
        None => "there is no backup of the time before the upgrade; correct the cause, and run `kubectl lastack upgrade` again".into(),
    })
}
