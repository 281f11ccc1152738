use std::fmt;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use indicatif::ProgressBar;
use jiff::Timestamp;
use serde::Serialize;

use crate::cluster::access::Rules;
use crate::cluster::flags::KubeFlags;
use crate::cluster::tunnel;
use crate::components::datalake::client::moodle_events::Stored;
use crate::components::lms::client::Moodle;
use crate::components::lms::history::{Period, States};
use crate::components::{datalake, lms, lrs};
use crate::error::Failure;
use crate::output::document::Content;
use crate::output::pace::Pace;
use crate::output::printer;
use crate::output::table::table;
use crate::output::units::{count, counted, took};
use crate::stack::Stack;

use super::{Outcome, TextOrJson, confirm, open, seed, statements};

/// Send events of Moodle's log that were never sent to the LRS, such as those from before the stack
///
/// Moodle keeps a log of all events. This command counts its events by what became of them, asks for confirmation, and sends
/// those that were never sent. Moodle's new events are sent meanwhile. At the end, the log is compared with the data lake.
/// Repeat an interrupted backfill to continue it: no event is stored twice. Events of the last five minutes are left to Moodle.
#[derive(Debug, Args)]
#[command(after_long_help = after_help!("  kubectl lastack backfill --dry-run
  kubectl lastack backfill --since 2025-09-01T00:00:00Z --yes
  kubectl lastack backfill --course PHYS101", fault: "some events could not be sent", json: "Backfill"))]
pub struct BackfillArgs {
    /// Only events after this time, such as 2025-09-01T00:00:00Z, or 720h for 720 hours ago [default: all]
    #[arg(long, value_name = "TIME", value_parser = statements::time)]
    since: Option<Timestamp>,
    /// Only events before this time [default: now]
    #[arg(long, value_name = "TIME", value_parser = statements::time)]
    until: Option<Timestamp>,
    /// Only events of the course with this short name
    #[arg(long, value_name = "COURSE")]
    course: Option<String>,
    /// Count the events and send nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,
    /// Output format
    #[arg(short, long, value_enum, default_value = "text")]
    output: TextOrJson,
}

pub const NEEDS: &[Rules] = &[lms::CLIENT, tunnel::RULES, datalake::CLIENT];

/// The events of Moodle's log before and after a backfill
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Backfill {
    before: States,
    /// null with `--dry-run`, and when there was nothing to send
    sent: Option<Totals>,
    /// null when nothing was sent
    after: Option<States>,
}

impl Content for Backfill {
    const KIND: &'static str = "Backfill";
}

/// The sent events
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Totals {
    /// New to the LRS
    sent: u64,
    /// The LRS had stored them
    already: u64,
    /// Rejected by the LRS even when sent alone
    rejected: u64,
    /// They cannot be converted to statements
    never: u64,
    /// Statements of the period that the data lake has in addition
    stored: u64,
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} sent", counted(self.sent, "event"))?;
        for (events, what) in [
            (self.already, "already stored"),
            (self.rejected, "rejected by the LRS"),
            (self.never, "not convertible to statements"),
        ] {
            if events > 0 {
                write!(f, ", {} {what}", count(events))?;
            }
        }
        Ok(())
    }
}

pub async fn run(flags: &KubeFlags, args: BackfillArgs) -> Result<Outcome> {
    let stack = open(flags).await?;
    let until = args.until.unwrap_or_else(Timestamp::now).as_second();
    let since = args.since.map_or(0, Timestamp::as_second);
    let period = Period { since, until, course: args.course };
    if !stack.settings.has(lms::COMPONENT) {
        printer::data(&period.by_hand())?;
        printer::note("The stack has no Moodle: execute this in the database of yours");
        return Ok(Outcome::Good);
    }
    let moodle = lms::client(&stack).await?;
    let before = counted_states(&moodle, &period).await?;
    if args.output == TextOrJson::Text && before.all() > 0 {
        printer::data(&shown(&before))?;
    }
    let mut report = Backfill { before, sent: None, after: None };
    if before.missing == 0 || args.dry_run {
        printer::note(&match before.missing {
            0 => "No events to send".to_string(),
            events => format!("{} would be sent", counted(events, "event")),
        });
        return conclude(&report, args.output, Outcome::Good);
    }
    let question = format!("Send {} of Moodle's log?", counted(before.missing, "event"));
    let hint = "pass `--yes`, or `--dry-run` to count the events only";
    confirm(args.yes, &question, "nothing was sent", hint).await?;
    let begun = Instant::now();
    let (totals, after) = send(&stack, &moodle, &period, before.missing).await?;
    (report.sent, report.after) = (Some(totals), Some(after));
    printer::note(&format!("{totals}; took {}", took(begun.elapsed())));
    let outcome = verified(&totals, &after);
    conclude(&report, args.output, outcome)
}

fn conclude(report: &Backfill, output: TextOrJson, outcome: Outcome) -> Result<Outcome> {
    if output == TextOrJson::Json {
        printer::json(report)?;
    }
    Ok(outcome)
}

/// The events of a period by what became of them.
///
/// # Errors
/// When Moodle's log cannot be read.
pub async fn counted_states(moodle: &Moodle, period: &Period) -> Result<States> {
    let mut all = States::default();
    for group in moodle.count_log(period, false).await? {
        all += group.states;
    }
    Ok(all)
}

/// Sends the missing events of a period, and counts again.
///
/// # Errors
/// When an event cannot be sent. The events before it are sent, and the same call continues.
pub async fn send(
    stack: &Stack,
    moodle: &Moodle,
    period: &Period,
    missing: u64,
) -> Result<(Totals, States)> {
    let elasticsearch = datalake::client(stack).await?;
    let stored =
        Stored { authority: lrs::mailbox(lrs::MOODLE), since: period.since, until: period.until };
    elasticsearch.refresh(datalake::INDEX).await?;
    let stored_before = elasticsearch.count_stored(&stored).await?;
    let mut totals = Totals::default();
    let mut progress = Progress::new(missing);
    let mut left = period.clone();
    loop {
        let sent = moodle.send_missing(&left).await?;
        totals.sent += sent.sent;
        totals.already += sent.already;
        totals.rejected += sent.rejected;
        totals.never += sent.never;
        progress.report(totals.sent + totals.already + totals.rejected + totals.never);
        if let Some(why) = sent.stopped {
            progress.bar.abandon();
            let done = counted(totals.sent, "event");
            return Err(Failure::failed(format!("the backfill stopped after {done}: {why}"))
                .hint("check the LRS with `kubectl lastack status`, then repeat the command to continue")
                .into());
        }
        match sent.next {
            Some(next) => left.since = next,
            None => break,
        }
    }
    progress.bar.finish_and_clear();
    elasticsearch.refresh(datalake::INDEX).await?;
    totals.stored = elasticsearch.count_stored(&stored).await?.saturating_sub(stored_before);
    Ok((totals, counted_states(moodle, period).await?))
}

/// The progress: a bar on a terminal, a line now and then in a log.
struct Progress {
    bar: ProgressBar,
    begun: Instant,
    pace: Pace,
    total: u64,
}

impl Progress {
    fn new(total: u64) -> Self {
        let bar = seed::bar(Some(total), None);
        Self { bar, begun: Instant::now(), pace: Pace::begun(), total }
    }

    fn report(&mut self, done: u64) {
        self.bar.set_position(done);
        if printer::is_live() || !self.pace.is_due() {
            return;
        }
        let left = self.total.saturating_sub(done);
        let mut line = format!("{} of {} events", count(done), count(self.total));
        if done > 0 {
            let each = self.begun.elapsed().as_secs_f64() / done as f64;
            let left = Duration::from_secs_f64(each * left as f64);
            line.push_str(&format!(", about {} left", took(left)));
        }
        printer::note(&line);
    }
}

/// Warns of each difference between Moodle's log and the data lake.
fn verified(totals: &Totals, after: &States) -> Outcome {
    let left = after.missing + after.failed + after.waiting;
    let lost = totals.sent.saturating_sub(totals.stored);
    if left == 0 && lost == 0 {
        printer::note("Verified: the data lake has a statement for each sent event");
        return Outcome::Good;
    }
    if left > 0 {
        printer::warning(&format!(
            "{} of the period are not delivered; `kubectl lastack replay` shows why",
            counted(left, "event")
        ));
    }
    if lost > 0 {
        printer::warning(&format!(
            "the data lake has {} fewer than events were sent; `kubectl lastack reconcile` shows where",
            counted(lost, "statement")
        ));
    }
    Outcome::Fault
}

fn shown(states: &States) -> String {
    let named = states.named().into_iter().filter(|(_, events)| *events > 0);
    table(["EVENTS", "STATE"], named.map(|(state, events)| [count(events), state.into()]))
        .to_string()
}
