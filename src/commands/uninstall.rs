use std::time::Duration;

use anyhow::{Result, anyhow};
use clap::Args;

use crate::cli::{KubeFlags, duration};
use crate::error::{self, Failure};
use crate::output::age::took;
use crate::output::printer;
use crate::output::progress::Rows;
use crate::stack::Stack;
use crate::stack::graph::{self, Graph};
use crate::stack::step::{Retracted, Retraction};
use crate::steps::{self, objects};

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
    let how = Retraction { keep_data: args.keep_data, operator: args.operator };
    // what install checks first is nothing to take away
    let graph = steps::graph()?.without(|id| id.starts_with("preflight."));
    let place = format!("namespace {} of context {}", stack.namespace(), stack.target.context);
    let mut removals = Vec::new();
    for step in graph.steps().rev() {
        match graph::retractable(step, &stack, how).await? {
            Retracted::Removed(what) => removals.push(format!("  {:<20} {what}", step.id())),
            Retracted::Kept(_) | Retracted::Nothing => {}
        }
    }
    if removals.is_empty() {
        nothing_is_left(&stack, how).await?;
        printer::note(&format!("There is nothing of ours to remove in {place}"));
        return Ok(Outcome::Good);
    }
    printer::note(&format!("From {place}, this will be removed:\n{}", removals.join("\n")));
    if args.dry_run {
        return Ok(Outcome::Good);
    }
    let question = if args.keep_data {
        "Remove it?"
    } else {
        "Remove it, all statements, courses and dashboards included?"
    };
    match args.yes
        || printer::confirm(question)
            .await
            .ok_or_else(|| Failure::usage("nobody is there to confirm this").hint("say `--yes`"))?
    {
        true => {}
        false => return Err(Failure::failed("not confirmed, nothing was removed").into()),
    }
    // the time it took to answer is not waited for the cluster
    stack.wait_for(args.timeout);
    let rows = Rows::new(graph.steps().map(|step| step.id()));
    let summary = graph.retract(&stack, how, &rows).await?;
    prove(&graph, &stack, how).await?;
    printer::note(&format!("Gone in {}", took(summary.took)));
    Ok(Outcome::Good)
}

/// Looks once more: a thing that is still there is an error.
async fn prove(graph: &Graph, stack: &Stack, how: Retraction) -> Result<()> {
    for step in graph.steps() {
        if let Retracted::Removed(what) = graph::retractable(step, stack, how).await? {
            return Err(anyhow!("{}: {what} is still there", step.id()));
        }
    }
    nothing_is_left(stack, how).await
}

/// By the labels that everything of ours has, so that it does not depend on what the steps know.
async fn nothing_is_left(stack: &Stack, how: Retraction) -> Result<()> {
    let left = match objects::left(stack, how).await {
        Ok(left) => left,
        Err(error) => {
            let Some(sentence) = error::forbidden(&error) else { return Err(error) };
            printer::warning(&format!("whether anything else is left cannot be seen: {sentence}"));
            return Ok(());
        }
    };
    if left.is_empty() {
        return Ok(());
    }
    let namespace = stack.namespace();
    Err(Failure::failed(format!(
        "left of the stack in namespace {namespace}, and known to no step: {}",
        objects::names(&left, ", ")
    ))
    .hint(format!(
        "look whether you need it, else: kubectl delete -n {namespace} {}",
        objects::names(&left, " ")
    ))
    .into())
}
