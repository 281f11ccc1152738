use std::time::Duration;

use anyhow::Result;
use clap::Args;

use crate::cluster::access::Rules;
use crate::cluster::flags::KubeFlags;
use crate::components;
use crate::components::paused::{self, Direction};
use crate::engine::Summary;
use crate::output::printer;
use crate::output::units::{duration, took};
use crate::stack::mark;

use super::journal::Journal;
use super::{Outcome, TextOrJson, install, lock, open, require_newest};

const VERB: &str = "resume";

/// Start a paused stack and verify that every component responds
///
/// Also reconciles drift, as `install` does.
#[derive(Debug, Args)]
#[command(after_long_help = after_help!("  kubectl lastack resume
  kubectl lastack resume --timeout 30m -o json", timeout, json: "Event" "Summary"))]
pub struct ResumeArgs {
    /// Time limit for the whole command
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = duration)]
    timeout: Duration,
    /// Output format of the progress
    #[arg(short, long, value_enum, default_value = "text")]
    output: TextOrJson,
}

pub fn needs() -> Vec<Rules> {
    [install::needs(), vec![paused::RULES]].concat()
}

pub async fn run(flags: &KubeFlags, args: ResumeArgs) -> Result<Outcome> {
    let journal = Journal::new(VERB, args.output);
    let ended = resume(flags, &args, &journal).await;
    journal.conclude(ended)
}

async fn resume(flags: &KubeFlags, args: &ResumeArgs, journal: &Journal) -> Result<Summary> {
    let mut stack = open(flags).await?;
    journal.names(&stack);
    stack.wait_for(args.timeout);
    if mark::read(&stack, mark::PAUSED).await?.is_none() {
        printer::note(&format!("The stack in namespace {} is not paused", stack.namespace()));
        return Ok(Summary::default());
    }
    require_newest(&stack)?;
    let lock = lock::take(&stack.cluster, VERB, stack.deadline).await?;
    let started = async {
        let report = journal.report(paused::ORDER.into_iter());
        paused::scale(&stack, Direction::Resume, &*report).await?;
        drop(report);
        let graph = components::of_stack(components::graph()?, &stack);
        let report = journal.report(graph.ids());
        let summary = graph.reconcile(&stack, &*report).await?;
        drop(report);
        mark::clear(&stack, mark::PAUSED).await?;
        anyhow::Ok(summary)
    };
    let summary = lock.during(started).await?;
    printer::note(&format!("Ready in {}", took(summary.took)));
    Ok(summary)
}
