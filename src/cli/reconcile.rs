use anyhow::Result;
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use crate::cluster::access::Rules;
use crate::cluster::flags::KubeFlags;
use crate::cluster::tunnel;
use crate::components::lms::client::Moodle;
use crate::components::lms::history::{Period, States};
use crate::components::{datalake, lms};
use crate::diagnosis::reconcile::{self, Row};
use crate::error::Failure;
use crate::output::document::Content;
use crate::output::printer;
use crate::output::table::table;
use crate::output::units::{count, counted};
use crate::stack::Stack;

use super::{Outcome, TableOrJson, backfill, next_steps, open, statements};

/// The rows of a table; `-o json` has all.
const SHOWN: usize = 40;
const HOUR: i64 = 3600;

/// Compare Moodle's log with the data lake, by hour and kind of event
///
/// Shows the events that have no statement in the data lake: never sent, not accepted by the LRS, or lost after they were sent.
/// With `--fix`, sends them again. The LRS is asked for each event that it may have, so nothing is stored twice. Events of the last
/// five minutes are not compared.
#[derive(Debug, Args)]
#[command(after_long_help = after_help!("  kubectl lastack reconcile
  kubectl lastack reconcile --since 30d --fix", fault: "the data lake lacks statements", json: "Reconciliation"))]
pub struct ReconcileArgs {
    /// Beginning of the period: a time such as 2026-03-01T08:00:00Z, or 12h for 12 hours ago
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = statements::time)]
    since: Timestamp,
    /// End of the period [default: now]
    #[arg(long, value_name = "TIME", value_parser = statements::time)]
    until: Option<Timestamp>,
    /// Send the events without a statement again
    #[arg(long)]
    fix: bool,
    /// Output format
    #[arg(short, long, value_enum, default_value = "table")]
    output: TableOrJson,
}

pub const NEEDS: &[Rules] = &[lms::CLIENT, tunnel::RULES, datalake::CLIENT];

/// Moodle's log, compared with the data lake
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Reconciliation {
    /// Beginning of the period
    #[cfg_attr(test, schemars(with = "String"))]
    since: Timestamp,
    /// End of the period
    #[cfg_attr(test, schemars(with = "String"))]
    until: Timestamp,
    /// The hours and kinds of events of the log, after the repair with `--fix`
    rows: Vec<Hour>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Hour {
    /// Beginning of the hour
    #[cfg_attr(test, schemars(with = "String"))]
    hour: Timestamp,
    /// Kind of event, such as `\core\event\course_viewed`
    event: String,
    /// Numbers of events
    states: States,
    /// Number of statements in the data lake
    stored: u64,
    /// Number of events that were sent and have no statement
    lost: u64,
}

impl Content for Reconciliation {
    const KIND: &'static str = "Reconciliation";
}

impl Hour {
    fn of(row: &Row) -> Self {
        Self {
            hour: time(row.hour),
            event: row.event.clone(),
            states: row.states,
            stored: row.stored,
            lost: row.lost(),
        }
    }
}

/// A time in the log of Moodle.
fn time(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or_default()
}

/// A client for the Moodle of the stack.
///
/// # Errors
/// When the stack has no Moodle, or no Pod of it runs.
pub async fn moodle(stack: &Stack) -> Result<Moodle> {
    if stack.settings.has(lms::COMPONENT) {
        return lms::client(stack).await;
    }
    let what = format!("the stack in namespace {} has no Moodle", stack.namespace());
    Err(Failure::usage(what).hint("compare in the Moodle that sends the events").into())
}

pub async fn run(flags: &KubeFlags, args: ReconcileArgs) -> Result<Outcome> {
    let stack = open(flags).await?;
    let moodle = moodle(&stack).await?;
    let until = args.until.unwrap_or_else(Timestamp::now).as_second();
    // only whole hours can be compared
    let since = args.since.as_second().div_euclid(HOUR) * HOUR;
    let period = Period { since, until, course: None };
    let mut rows = reconcile::compare(&stack, &moodle, &period).await?;
    if args.fix && rows.iter().any(Row::is_fault) {
        fix(&stack, &moodle, &period, &rows).await?;
        rows = reconcile::compare(&stack, &moodle, &period).await?;
    }
    let is_whole = !rows.iter().any(Row::is_fault);
    match args.output {
        TableOrJson::Json => printer::json(&Reconciliation {
            since: time(since),
            until: time(until),
            rows: rows.iter().map(Hour::of).collect(),
        })?,
        TableOrJson::Table => {
            if let Some(shown) = shown(&rows) {
                printer::data(&shown)?;
            }
            conclude(&rows);
        }
    }
    if !is_whole && !args.fix {
        let line = format!("reconcile --since {} --fix{}", time(since), stack.cluster.flags);
        next_steps(&[(line, "send them again")]);
    }
    Ok(if is_whole { Outcome::Good } else { Outcome::Fault })
}

/// Sends what has no statement. Each way compares with the LRS first where it may have a statement.
async fn fix(stack: &Stack, moodle: &Moodle, period: &Period, rows: &[Row]) -> Result<()> {
    let failed: u64 = rows.iter().map(|row| row.states.failed).sum();
    if failed > 0 {
        let replayed = moodle.replay(false).await?;
        printer::note(&format!(
            "{} of {} not delivered resent",
            count(replayed.sent),
            counted(failed, "event")
        ));
    }
    let missing: u64 = rows.iter().map(|row| row.states.missing).sum();
    if missing > 0 {
        let (totals, _) = backfill::send(stack, moodle, period, missing).await?;
        printer::note(&format!("Of {} never sent: {totals}", counted(missing, "event")));
    }
    for row in rows.iter().filter(|row| row.lost() > 0) {
        let until = (row.hour + HOUR).min(period.until);
        let mut left = Period { since: row.hour, until, course: None };
        let mut resent = 0;
        loop {
            let sent = moodle.send_lost(&left, &row.event).await?;
            if let Some(why) = sent.stopped {
                return Err(Failure::failed(format!("sending lost events stopped: {why}"))
                    .hint("check the LRS with `kubectl lastack status`, then repeat the command")
                    .into());
            }
            resent += sent.sent;
            match sent.next {
                Some(next) => left.since = next,
                None => break,
            }
        }
        let lost = counted(row.lost(), "event");
        let hour = time(row.hour).strftime("%Y-%m-%d %H:%M");
        printer::note(&format!(
            "{} of {lost} {} lost from {hour} resent",
            count(resent),
            row.event
        ));
    }
    Ok(())
}

/// The hours with faults. None: there are none.
fn shown(rows: &[Row]) -> Option<String> {
    let faults: Vec<&Row> = rows.iter().filter(|row| row.is_fault()).collect();
    let cells = faults.iter().take(SHOWN).map(|row| {
        let number = |events: u64| if events == 0 { String::new() } else { count(events) };
        [
            time(row.hour).strftime("%Y-%m-%d %H:%M").to_string(),
            row.event.clone(),
            count(row.states.all()),
            number(row.states.missing),
            number(row.states.failed),
            number(row.lost()),
        ]
    });
    let header = ["HOUR (UTC)", "EVENT", "LOGGED", "NEVER SENT", "NOT DELIVERED", "LOST"];
    let mut shown = table(header, cells).to_string();
    if faults.len() > SHOWN {
        shown.push_str(&format!("\nand {} more; `-o json` has all", faults.len() - SHOWN));
    }
    (!faults.is_empty()).then_some(shown)
}

fn conclude(rows: &[Row]) {
    let mut all = States::default();
    rows.iter().for_each(|row| all += row.states);
    let lost: u64 = rows.iter().map(Row::lost).sum();
    let mut parts = vec![format!("{} sent and stored", count(all.sent - lost))];
    let others = all.named().into_iter().skip(1).chain([("lost after they were sent", lost)]);
    parts.extend(
        others.filter(|(_, events)| *events > 0).map(|(state, n)| format!("{} {state}", count(n))),
    );
    printer::note(&format!("{}: {}", counted(all.all(), "event"), parts.join(", ")));
}
