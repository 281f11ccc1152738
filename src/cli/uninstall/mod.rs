mod confirmation;

use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;

use crate::cluster::access::Rules;
use crate::cluster::flags::KubeFlags;
use crate::cluster::object::{self, ObjectRef};
use crate::cluster::{lease, tunnel};
use crate::components::{self, access, datalake};
use crate::engine::graph::Graph;
use crate::engine::{DeleteOptions, Deletion, Id};
use crate::error::Failure;
use crate::output::printer;
use crate::output::units::{duration, took};
use crate::stack::Stack;

use super::progress::Rows;
use super::{Outcome, as_installed, left_until, lock};

use confirmation::Statements;

/// The name of this verb in the lock.
const VERB: &str = "uninstall";

/// Delete the stack and verify that nothing remains
///
/// Deletes only objects that this tool created, as their owners or helm's annotations show, and lists every other object with
/// the labels of the stack. With statements of real learners, you confirm by typing the namespace.
#[derive(Debug, Args)]
#[command(after_long_help = after_help!("  kubectl lastack uninstall --dry-run
  kubectl lastack uninstall --keep-data
  kubectl lastack uninstall --yes --operator -n alice", timeout))]
pub struct UninstallArgs {
    /// Do not ask for confirmation; requires `--namespace` or `--context`
    #[arg(short, long)]
    yes: bool,
    /// Keep statements, courses, dashboards, passwords and settings for a later install
    #[arg(long)]
    keep_data: bool,
    /// Also delete the ECK operator, unless another stack in the cluster uses it
    #[arg(long)]
    operator: bool,
    /// Show the plan and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Time limit for the whole command
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration)]
    timeout: Duration,
}

pub const NEEDS: &[Rules] =
    &[lease::RULES, tunnel::RULES, datalake::CLIENT, access::UNINSTALL, datalake::UNINSTALL];

pub async fn run(flags: &KubeFlags, args: UninstallArgs) -> Result<Outcome> {
    if args.yes && !args.dry_run {
        confirmation::require_named_stack(flags)?;
    }
    let options = DeleteOptions { keep_data: args.keep_data, shared: args.operator };
    let graph = components::graph()?.without(|node| node.is_check());
    let cluster = flags.resolve().await?;
    let deadline = Instant::now() + args.timeout;
    // a question may stay open for hours, and other commands need not wait for it
    let early = match args.yes && !args.dry_run {
        true => Some(lock::take(&cluster, VERB, Some(deadline)).await?),
        false => None,
    };
    let mut stack = as_installed(cluster, None).await?;
    let place = format!("namespace {} of context {}", stack.namespace(), stack.cluster.context);
    let plan = graph.plan_deletion(&stack, options).await?;
    if plan.iter().all(|(_, deletion)| deletion.delete.is_empty()) {
        show_left(&plan);
        nothing_remains(&stack, &plan)?;
        printer::note(&format!("Nothing to delete in {place}"));
        return Ok(Outcome::Good);
    }
    printer::note(&format!("To be deleted from {place}:{}", deleted(&plan)));
    show_left(&plan);
    let statements =
        if args.keep_data { Statements::Retained } else { Statements::count(&stack, &plan).await };
    if let Some(shown) = statements.shown() {
        printer::note(&shown);
    }
    if args.dry_run {
        return Ok(Outcome::Good);
    }
    if !args.yes {
        confirmation::confirm(&stack, statements).await?;
    }
    let lock = match early {
        Some(lock) => lock,
        None => {
            let deadline = Instant::now() + args.timeout;
            lock::take(&stack.cluster, VERB, Some(deadline)).await?
        }
    };
    // the time limit excludes the time the user took to confirm
    stack.wait_for(if args.yes { left_until(deadline) } else { args.timeout });
    if lock.has_waited && !args.yes && graph.plan_deletion(&stack, options).await? != plan {
        return Err(Failure::failed(
            "another command changed the stack after your confirmation; nothing was deleted",
        )
        .hint("repeat the command to see the objects that it deletes now")
        .into());
    }
    let rows = Rows::new(graph.ids());
    let summary = lock.during(graph.delete(&stack, options, &rows)).await?;
    verify(&graph, &stack, options).await?;
    printer::note(&format!("Deleted in {}", took(summary.took)));
    Ok(Outcome::Good)
}

type Plan = [(Id, Deletion<ObjectRef>)];

/// The objects to delete, one per line, dependents first.
fn deleted(plan: &Plan) -> String {
    let lines = plan.iter().flat_map(|(id, deletion)| {
        deletion.delete.iter().map(move |object| format!("\n  {id:<20} {object}"))
    });
    lines.collect()
}

fn show_left(plan: &Plan) {
    let retained = retained(plan);
    if !retained.is_empty() {
        printer::note(&format!("Left in place:{retained}"));
    }
}

/// The objects to leave in place, one per line, with the reason.
fn retained(plan: &Plan) -> String {
    let lines = plan.iter().flat_map(|(id, deletion)| {
        let line =
            move |(object, why): &(ObjectRef, String)| format!("\n  {id:<20} {object}: {why}");
        deletion.keep.iter().map(line)
    });
    lines.collect()
}

/// Verifies that every deleted object is gone.
async fn verify(graph: &Graph<Stack>, stack: &Stack, options: DeleteOptions) -> Result<()> {
    let plan = graph.plan_deletion(stack, options).await?;
    for (id, deletion) in &plan {
        if !deletion.delete.is_empty() {
            let names = object::names(&deletion.delete, ", ");
            return Err(Failure::failed(format!("{id}: not deleted: {names}")).into());
        }
    }
    nothing_remains(stack, &plan)
}

/// Verifies by the stack's labels, independently of what each resource lists.
fn nothing_remains(stack: &Stack, plan: &Plan) -> Result<()> {
    if let Some(sentence) = plan.iter().find_map(|(_, deletion)| deletion.unknown.as_ref()) {
        printer::warning(&format!("cannot verify that nothing remains: {sentence}"));
    }
    let unclaimed = plan.iter().flat_map(|(_, deletion)| deletion.unclaimed.clone());
    let unclaimed: Vec<ObjectRef> = unclaimed.collect();
    if unclaimed.is_empty() {
        return Ok(());
    }
    let namespace = stack.namespace();
    Err(Failure::failed(format!(
        "namespace {namespace}: objects with the stack's labels remain: {}",
        object::names(&unclaimed, ", ")
    ))
    .hint(format!(
        "if you do not need them, run: kubectl delete -n {namespace} {}",
        object::names(&unclaimed, " ")
    ))
    .into())
}
