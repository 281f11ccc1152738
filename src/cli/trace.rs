use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::progress::Rows;
use crate::cluster::access::Rules;
use crate::cluster::flags::KubeFlags;
use crate::cluster::tunnel;
use crate::components::lrs::sources;
use crate::components::{datalake, dataviz, lms, lrs};
use crate::diagnosis::trace::{self, Hop, Outcome as Passing, Subject, Trace};
use crate::error::{Failure, Kind};
use crate::output::document::Content;
use crate::output::junit::{self, Case, Status};
use crate::output::printer::{self, BAD, labelled};
use crate::output::table::table;
use crate::output::units::{self, duration, took};

use super::{Outcome, TableOrJson, open_to_wait};

/// Follow one real event from Moodle to a chart
///
/// A learner of the test course views the course. Moodle sends events once per minute, so a trace takes about a minute.
/// The event and its statement are deleted afterwards, also after Ctrl-C.
#[derive(Debug, Args)]
#[command(after_long_help = after_help!("  kubectl lastack trace
  kubectl lastack trace --course biology-101 --timeout 10m
  kubectl lastack trace --source campus
  kubectl lastack trace --keep -o json", fault: "the event did not arrive", json: "Trace"))]
pub struct TraceArgs {
    /// Short name of the course, instead of the test course
    #[arg(long, value_name = "NAME")]
    course: Option<String>,
    /// Wait for the next statement of this source, and follow it
    #[arg(long, value_name = "NAME", conflicts_with_all = ["course", "keep"])]
    source: Option<String>,
    /// Keep the event and the statement
    #[arg(long)]
    keep: bool,
    /// Also write a JUnit report
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Output format
    #[arg(short, long, value_enum, default_value = "table")]
    output: TableOrJson,
    /// Time limit for the arrival of the event
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration)]
    timeout: Duration,
}

pub const NEEDS: &[Rules] = &[
    tunnel::RULES,
    lms::CLIENT,
    lms::WHY_NOTHING_IS_SENT,
    lrs::CLIENT,
    datalake::CLIENT,
    dataviz::CLIENT,
];

pub async fn run(flags: &KubeFlags, args: TraceArgs) -> Result<Outcome> {
    let stack = open_to_wait(flags, Some(args.timeout)).await?;
    let source = match &args.source {
        Some(name) => Some(sources::find(&stack, name).await?),
        None => None,
    };
    let course = args.course.or_else(|| lms::shortname(&stack));
    let subject = match (&source, &course) {
        (Some(source), _) => Subject::Source(source),
        (None, Some(course)) => Subject::Course(course),
        (None, None) => {
            return Err(Failure::usage("this stack has no test course")
                .hint(format!(
                    "name a course with `--course`, or run `kubectl lastack configure lms --course S{}` to create one",
                    stack.cluster.flags
                ))
                .into());
        }
    };
    let rows = Rows::new(trace::hops(&stack, subject));
    let trace = trace::run(&stack, subject, args.keep || source.is_some(), &rows).await?;
    drop(rows);
    if trace.interrupted {
        return Err(interrupted(&trace, args.keep));
    }
    if let Some(file) = &args.junit {
        write_junit(file, &trace)?;
    }
    match args.output {
        TableOrJson::Table => printer::data(&render(&trace))?,
        TableOrJson::Json => printer::json(&TraceReport::of(&trace))?,
    }
    warn_of_what_is_left(&trace);
    Ok(if trace.arrived() { Outcome::Good } else { Outcome::Fault })
}

fn interrupted(trace: &Trace, keep: bool) -> anyhow::Error {
    warn_of_what_is_left(trace);
    let failure = Failure::new(Kind::Interrupted, "interrupted");
    match trace.left.is_empty() {
        _ if keep => failure.hint("the event and the statement were not deleted"),
        true => failure.hint("the event was deleted"),
        false => failure,
    }
    .into()
}

fn warn_of_what_is_left(trace: &Trace) {
    for left in &trace.left {
        printer::warning(&format!("not deleted: {left}"));
    }
}

/// A hop's outcome as one word, its duration, and its detail.
fn words(hop: &Hop) -> (&'static str, Option<Duration>, &str) {
    match &hop.outcome {
        Passing::Passed { took, detail } => ("passed", Some(*took), detail),
        Passing::Stopped { took, why } => ("stopped", Some(*took), why),
        Passing::NotReached => ("-", None, ""),
    }
}

fn render(trace: &Trace) -> String {
    let mut notes = String::new();
    let rows = trace.hops.iter().map(|hop| {
        let (word, duration, text) = words(hop);
        let detail = if word == "stopped" {
            notes.push_str(&labelled(BAD, "stopped", &format!("{}: {text}\n", hop.id)));
            ""
        } else {
            text
        };
        [
            hop.id.to_string(),
            word.to_string(),
            duration.map(took).unwrap_or_default(),
            detail.to_string(),
        ]
    });
    let rows: Vec<_> = rows.collect();
    table(["HOP", "RESULT", "TIME", "DETAIL"], rows).to_string() + &notes
}

/// The way of one event from Moodle to a chart
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TraceReport<'a> {
    /// Whether the event passed every hop
    arrived: bool,
    hops: Vec<HopReport<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct HopReport<'a> {
    /// `moodle.event`, `moodle.queue`, `moodle.sent`, `lrs.statement`, `datalake.document`
    /// or `dataviz.chart`
    hop: &'static str,
    /// `passed`, `stopped` or `notReached`
    result: &'static str,
    /// Duration; null when it was not reached
    milliseconds: Option<u64>,
    /// Text
    detail: &'a str,
}

impl Content for TraceReport<'_> {
    const KIND: &'static str = "Trace";
}

impl<'a> TraceReport<'a> {
    fn of(trace: &'a Trace) -> Self {
        let hop = |hop: &'a Hop| {
            let (word, duration, detail) = words(hop);
            HopReport {
                hop: hop.id.as_str(),
                result: if word == "-" { "notReached" } else { word },
                milliseconds: duration.map(units::milliseconds),
                detail,
            }
        };
        Self { arrived: trace.arrived(), hops: trace.hops.iter().map(hop).collect() }
    }
}

fn write_junit(file: &Path, trace: &Trace) -> Result<()> {
    let case = |hop: &Hop| {
        let (_, duration, text) = words(hop);
        let status = match &hop.outcome {
            Passing::Passed { .. } => Status::Success,
            Passing::Stopped { .. } => Status::Failure,
            Passing::NotReached => Status::Skipped,
        };
        let message = (status != Status::Success).then(|| text.to_string());
        Case { name: hop.id.as_str().into(), status, message, took: duration.unwrap_or_default() }
    };
    let cases: Vec<Case> = trace.hops.iter().map(case).collect();
    junit::write(file, "kubectl lastack trace", "trace", &cases)
}
