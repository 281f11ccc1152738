use std::time::Duration;

use anyhow::Result;
use clap::Args;

use crate::cluster::flags::KubeFlags;
use crate::cluster::object::{self, ObjectRef};
use crate::components;
use crate::engine::graph::Graph;
use crate::engine::{DeleteOptions, Deletion, Id};
use crate::error::Failure;
use crate::output::printer;
use crate::output::units::{duration, took};
use crate::stack::Stack;

use super::progress::Rows;
use super::{Outcome, open};

/// Take the stack away again, and prove that nothing of it is left
///
/// Removes only what this tool made.
#[derive(Debug, Args)]
pub struct UninstallArgs {
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Keep statements, courses, dashboards, passwords and settings, for a later install
    #[arg(long)]
    keep_data: bool,
    /// Remove the ECK operator, too, when nothing else in the cluster needs it
    #[arg(long)]
    operator: bool,
    /// Show what would be removed, change nothing
    #[arg(long)]
    dry_run: bool,
    /// How long to wait for everything together
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration)]
    timeout: Duration,
}

pub async fn run(flags: &KubeFlags, args: UninstallArgs) -> Result<Outcome> {
    let mut stack = open(flags).await?;
    let options = DeleteOptions { keep_data: args.keep_data, shared: args.operator };
    let graph = components::graph()?.without(|node| node.is_check());
    let place = format!("namespace {} of context {}", stack.namespace(), stack.cluster.context);
    let plan = graph.plan_deletion(&stack, options).await?;
    if plan.iter().all(|(_, deletion)| deletion.delete.is_empty()) {
        nothing_remains(&stack, &plan)?;
        printer::note(&format!("There is nothing of ours to remove in {place}"));
        return Ok(Outcome::Good);
    }
    printer::note(&format!("From {place}, this will be removed:{}", deleted(&plan)));
    let kept = kept(&plan);
    if !kept.is_empty() {
        printer::note(&format!("This stays:{kept}"));
    }
    if args.dry_run {
        return Ok(Outcome::Good);
    }
    let question = if args.keep_data { "Remove it?".to_string() } else { all_of_it() };
    let confirmed = match args.yes {
        true => true,
        false => printer::confirm(&question).await.ok_or_else(|| {
            Failure::usage("stdin is not a terminal; nothing was removed").hint("pass `--yes`")
        })?,
    };
    if !confirmed {
        return Err(Failure::failed("not confirmed, nothing was removed").into());
    }
    // the time it took to answer is not waited for the cluster
    stack.wait_for(args.timeout);
    let rows = Rows::new(graph.ids());
    let summary = graph.delete(&stack, options, &rows).await?;
    verify(&graph, &stack, options).await?;
    printer::note(&format!("Gone in {}", took(summary.took)));
    Ok(Outcome::Good)
}

/// Names what is lost with the volumes of the components.
fn all_of_it() -> String {
    let stores = components::all().iter().copied().filter_map(|one| one.declaration().stores);
    format!("Remove it, with {}?", stores.collect::<Vec<_>>().join(", "))
}

type Plan = [(Id, Deletion<ObjectRef>)];

/// Every object that goes by its name, a line each, dependents first.
fn deleted(plan: &Plan) -> String {
    let lines = plan.iter().flat_map(|(id, deletion)| {
        deletion.delete.iter().map(move |object| format!("\n  {id:<20} {object}"))
    });
    lines.collect()
}

/// Every object that stays, with the reason.
fn kept(plan: &Plan) -> String {
    let lines = plan.iter().flat_map(|(id, deletion)| {
        let line =
            move |(object, why): &(ObjectRef, String)| format!("\n  {id:<20} {object}: {why}");
        deletion.keep.iter().map(line)
    });
    lines.collect()
}

/// Looks once more: an object that is still there is an error.
async fn verify(graph: &Graph<Stack>, stack: &Stack, options: DeleteOptions) -> Result<()> {
    let plan = graph.plan_deletion(stack, options).await?;
    for (id, deletion) in &plan {
        if !deletion.delete.is_empty() {
            let names = object::names(&deletion.delete, ", ");
            return Err(Failure::failed(format!("{id}: {names} is still there")).into());
        }
    }
    nothing_remains(stack, &plan)
}

/// By the labels that everything of ours has, so that it does not depend on what the resources know.
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
        "left of the stack in namespace {namespace}, and known to no resource: {}",
        object::names(&unclaimed, ", ")
    ))
    .hint(format!(
        "look whether you need it, else: kubectl delete -n {namespace} {}",
        object::names(&unclaimed, " ")
    ))
    .into())
}
