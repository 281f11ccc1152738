//! The report of a run: what was sent, what is stored, and why something is not.

use anyhow::Result;
use serde::Serialize;
use uuid::Uuid;

use crate::cli::{Outcome, TextOrJson};
use crate::error::{self, Failure, Kind, one_line};
use crate::output::document::Content;
use crate::output::printer;
use crate::output::units::{count, took};
use crate::seeding::{Report, Verification};

pub(super) fn conclude(report: &Report, output: TextOrJson) -> Result<Outcome> {
    for fault in &report.faults {
        printer::warning(&format!("not read: {fault}"));
    }
    warn_of_more(report.unreadable, report.faults.len(), "faults of the input");
    for rejection in &report.rejections {
        printer::warning(&format!(
            "rejected: {} (id {}): {} {}",
            rejection.origin, rejection.id, rejection.status, rejection.reason
        ));
    }
    warn_of_more(report.rejected, report.rejections.len(), "rejected statements");
    let verification = report.verification.as_ref().and_then(|result| result.as_ref().ok());
    match output {
        TextOrJson::Text => printer::data(&format!("{}\n", summary(report)))?,
        TextOrJson::Json => printer::json(&SeedReport {
            sent: report.sent,
            accepted: report.accepted,
            already_there: report.already_stored,
            rejected: report.rejected,
            unreadable: report.unreadable,
            found: verification.map(|result| result.found),
            missing: verification.map(|result| result.expected - result.found),
            differing: verification.map(|result| result.differing),
            complete: report.is_complete(),
            seconds: (report.took.as_secs_f64() * 1000.0).round() / 1000.0,
        })?,
    }
    if report.is_complete() { Ok(Outcome::Good) } else { Err(incomplete(report)) }
}

/// The number of sent statements, and how many of them are stored
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SeedReport {
    /// Statements sent
    sent: u64,
    /// New to the LRS
    accepted: u64,
    /// The LRS had stored them with the same content
    already_there: u64,
    /// Rejected by the LRS, or with the id of an earlier statement of the run and different content
    rejected: u64,
    /// Faults of the input: a statement, or a part of a file, that could not be read
    unreadable: u64,
    /// Ids that Elasticsearch holds; null when it was not queried
    found: Option<u64>,
    /// Ids that Elasticsearch lacks; null when it was not queried
    missing: Option<u64>,
    /// Statements of files whose content in Elasticsearch differs from the sent content; null when it was not queried
    differing: Option<u64>,
    /// Whether every statement of the input is stored, as far as it was verified
    complete: bool,
    /// Duration
    seconds: f64,
}

impl Content for SeedReport {
    const KIND: &'static str = "SeedReport";
}

fn warn_of_more(all: u64, shown: usize, what: &str) {
    if all > shown as u64 {
        printer::warning(&format!("and {} more {what}", count(all - shown as u64)));
    }
}

/// The result in one line.
fn summary(report: &Report) -> String {
    let mut counts = format!(
        "{} sent, {} already stored, {} rejected",
        count(report.sent),
        count(report.already_stored),
        count(report.rejected)
    );
    if report.unreadable > 0 {
        counts.push_str(&format!(", {} could not be read", count(report.unreadable)));
    }
    let all = count(report.sent + report.unreadable);
    let why_not_verified = match &report.verification {
        Some(Ok(verification)) => {
            let missing = verification.expected - verification.found;
            // statements with a repeated id all count as stored
            let stored = report.sent - report.rejected - missing - verification.differing;
            return format!(
                "{} of {all} statements stored: {counts}, {}   {}",
                count(stored),
                verified(verification),
                took(report.took)
            );
        }
        Some(Err(_)) => "cannot query the data lake",
        None => "cannot query another LRS",
    };
    let accepted = count(report.sent - report.rejected);
    format!(
        "{accepted} of {all} statements accepted: {counts}; not verified: {why_not_verified}   {}",
        took(report.took)
    )
}

fn verified(verification: &Verification) -> String {
    if verification.is_complete() {
        let by = if verification.by_content { "with its content" } else { "by its id" };
        return format!("each found in Elasticsearch {by}");
    }
    let faults = [
        (verification.expected - verification.found, "not found in Elasticsearch"),
        (verification.differing, "with different content in Elasticsearch"),
    ];
    let faults = faults.into_iter().filter(|(number, _)| *number > 0);
    faults.map(|(number, what)| format!("{} {what}", count(number))).collect::<Vec<_>>().join(", ")
}

fn incomplete(report: &Report) -> anyhow::Error {
    if let Some(Err(error)) = &report.verification {
        return Failure::new(
            error::kind(error),
            format!("cannot verify the statements: {}", one_line(error)),
        )
        .hint("repeat the command to verify them; the LRS stores each statement only once")
        .into();
    }
    if let Some(Ok(verification)) = &report.verification
        && verification.found < verification.expected
    {
        let message = format!(
            "{} statements that the LRS accepted are not in Elasticsearch, among them {}",
            count(verification.expected - verification.found),
            join(&verification.missing)
        );
        return Failure::new(Kind::Failed, message)
            .hint("repeat the command to send them again")
            .into();
    }
    if let Some(Ok(verification)) = &report.verification
        && verification.differing > 0
    {
        let message = format!(
            "the content of {} statements in Elasticsearch differs from the sent content, among them {}",
            count(verification.differing),
            join(&verification.differing_ids)
        );
        return Failure::new(Kind::Failed, message)
            .hint("search the input and other sources for statements with the same ids")
            .into();
    }
    let message = format!(
        "not all statements are stored: {} rejected, {} could not be read",
        count(report.rejected),
        count(report.unreadable)
    );
    Failure::failed(message)
        .hint("correct the statements named above, then repeat the command")
        .into()
}

fn join(ids: &[Uuid]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
