use std::time::Duration;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::cluster::access::Rules;
use crate::cluster::flags::KubeFlags;
use crate::components::lms;
use crate::components::lms::client::{Failed, Replayed};
use crate::error::Failure;
use crate::output::document::Content;
use crate::output::printer;
use crate::output::table::table;
use crate::output::text;
use crate::output::units::{age, count};

use super::{Outcome, TableOrJson, confirm, open};

/// Resend events that Moodle failed to deliver to the LRS
///
/// Lists the failed events by cause and asks for confirmation. The stack also resends them every few minutes. The LRS
/// does not store a statement twice.
#[derive(Debug, Args)]
#[command(after_long_help = after_help!("  kubectl lastack replay --dry-run
  kubectl lastack replay --yes
  kubectl lastack replay --yes --rejected", fault: "some events could not be sent, or the LRS rejected them", json: "Replay"))]
pub struct ReplayArgs {
    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,
    /// Show the events and send nothing
    #[arg(long)]
    dry_run: bool,
    /// Also resend events that the LRS rejected when they were sent alone
    #[arg(long)]
    rejected: bool,
    /// Output format
    #[arg(short, long, value_enum, default_value = "table")]
    output: TableOrJson,
}

pub const NEEDS: &[Rules] = &[lms::CLIENT];

pub async fn run(flags: &KubeFlags, args: ReplayArgs) -> Result<Outcome> {
    let stack = open(flags).await?;
    let moodle = lms::client(&stack).await?;
    let state = moodle.state().await?;
    let Some(queue) = state.queue else {
        return Err(Failure::failed(format!(
            "Moodle {}: the plugin logstore_xapi is not installed",
            state.release
        ))
        .hint(format!("run `kubectl lastack install{}` to install it", stack.cluster.flags))
        .into());
    };
    let is_wanted = |failed: &Failed| failed.is_due() || (args.rejected && failed.alone);
    let due: u64 =
        queue.failed.iter().filter(|failed| is_wanted(failed)).map(|failed| failed.events).sum();
    let replayed = if due == 0 || args.dry_run {
        None
    } else {
        if args.output == TableOrJson::Table {
            printer::data(&render(&queue.failed, state.now, args.rejected))?;
        }
        let question = format!("Resend {} events?", count(due));
        let hint = "pass `--yes`, or `--dry-run` to show the events only";
        confirm(args.yes, &question, "nothing was sent", hint).await?;
        Some(moodle.replay(args.rejected).await?)
    };
    match args.output {
        TableOrJson::Json => printer::json(&Replay {
            failed: queue.failed.iter().map(FailedEvents::of).collect(),
            replayed: replayed.as_ref(),
        })?,
        TableOrJson::Table if replayed.is_none() && !queue.failed.is_empty() => {
            printer::data(&render(&queue.failed, state.now, args.rejected))?
        }
        TableOrJson::Table => {}
    }
    let Some(replayed) = replayed else {
        printer::note(&if due == 0 {
            "No events to resend".to_string()
        } else {
            format!("{} events would be resent", count(due))
        });
        return Ok(Outcome::Good);
    };
    printer::note(&summary(due, &replayed));
    Ok(if replayed.stopped.is_some() || replayed.rejected > 0 {
        Outcome::Fault
    } else {
        Outcome::Good
    })
}

/// Whether `replay` sends the events of this cause.
fn fate(failed: &Failed, rejected_too: bool) -> &'static str {
    match failed {
        failed if failed.is_not_convertible() => "never",
        failed if failed.alone && !rejected_too => "with --rejected",
        _ => "yes",
    }
}

fn render(failed: &[Failed], now: i64, rejected_too: bool) -> String {
    let rows = failed.iter().map(|one| {
        let oldest = Duration::from_secs(u64::try_from(now - one.oldest).unwrap_or_default());
        [
            count(one.events),
            age(oldest),
            fate(one, rejected_too).to_string(),
            one.cause(),
            text::excerpt(&one.rejection.response, 80),
        ]
    });
    table(["EVENTS", "OLDEST", "RESENT", "CAUSE", "LRS RESPONSE"], rows).to_string()
}

/// The events that Moodle failed to deliver, and the result of sending them again
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Replay<'a> {
    /// The failed events before the replay, by cause
    failed: Vec<FailedEvents<'a>>,
    /// null with `--dry-run`, and when there was nothing to resend
    replayed: Option<&'a Replayed>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct FailedEvents<'a> {
    /// Number of events
    events: u64,
    /// HTTP status of the response; 0: no response
    code: u32,
    /// Text
    cause: String,
    /// When the oldest happened, in seconds since 1970
    oldest: i64,
    /// Whether `replay` sends them: `yes`, `with --rejected` or `never`
    sent: &'static str,
    /// Body of the response
    response: &'a str,
}

impl Content for Replay<'_> {
    const KIND: &'static str = "Replay";
}

impl<'a> FailedEvents<'a> {
    fn of(failed: &'a Failed) -> Self {
        Self {
            events: failed.events,
            code: failed.rejection.errortype,
            cause: failed.cause(),
            oldest: failed.oldest,
            sent: fate(failed, false),
            response: &failed.rejection.response,
        }
    }
}

fn summary(due: u64, replayed: &Replayed) -> String {
    let mut text = format!(
        "{} of {} events resent, {} already stored",
        count(replayed.sent),
        count(due),
        count(replayed.already)
    );
    for (events, what) in [
        (replayed.rejected, "rejected by the LRS even when sent alone"),
        (replayed.never, "cannot be converted to statements"),
    ] {
        if events > 0 {
            text.push_str(&format!(", {} {what}", count(events)));
        }
    }
    match &replayed.stopped {
        Some(why) => format!("{text}; stopped early: {why}"),
        None => text,
    }
}
