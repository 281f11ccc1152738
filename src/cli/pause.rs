use std::time::Duration;

use anyhow::Result;
use clap::Args;

use crate::cluster::access::Rules;
use crate::cluster::flags::KubeFlags;
use crate::cluster::lease;
use crate::components::paused::{self, Direction};
use crate::engine::Summary;
use crate::error::Failure;
use crate::output::printer;
use crate::output::units::duration;
use crate::stack::mark;

use super::journal::Journal;
use super::{Outcome, TextOrJson, lock, next_steps, open, require_newest};

const VERB: &str = "pause";

/// Stop all Pods of the stack and keep its data
///
/// For laptops, and between courses. Moodle sends nothing meanwhile. `resume` starts the stack again.
#[derive(Debug, Args)]
#[command(after_long_help = after_help!("  kubectl lastack pause
  kubectl lastack resume", timeout, json: "Event" "Summary"))]
pub struct PauseArgs {
    /// Time limit for the whole command
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration)]
    timeout: Duration,
    /// Output format of the progress
    #[arg(short, long, value_enum, default_value = "text")]
    output: TextOrJson,
}

pub const NEEDS: &[Rules] = &[lease::RULES, paused::RULES];

pub async fn run(flags: &KubeFlags, args: PauseArgs) -> Result<Outcome> {
    let journal = Journal::new(VERB, args.output);
    let ended = pause(flags, &args, &journal).await;
    journal.conclude(ended)
}

async fn pause(flags: &KubeFlags, args: &PauseArgs, journal: &Journal) -> Result<Summary> {
    let mut stack = open(flags).await?;
    journal.names(&stack);
    stack.wait_for(args.timeout);
    if stack.is_new {
        return Err(Failure::failed(format!("namespace {} has no stack", stack.namespace()))
            .hint("name the namespace of the stack with `-n`")
            .into());
    }
    require_newest(&stack)?;
    let lock = lock::take(&stack.cluster, VERB, stack.deadline).await?;
    let report = journal.report(paused::ORDER.into_iter());
    let scaled = async {
        let since = jiff::Timestamp::now().to_string();
        // first, so that an interrupted pause is reported and can be resumed
        mark::set(&stack, mark::PAUSED, &[("since", since)]).await?;
        paused::scale(&stack, Direction::Pause, &*report).await
    };
    lock.during(scaled).await?;
    drop(report);
    printer::note("Paused; all data is kept");
    next_steps(&[(format!("resume{}", stack.cluster.flags), "start the stack again")]);
    Ok(Summary { changed: paused::ORDER.to_vec(), ..Summary::default() })
}
