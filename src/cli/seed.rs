use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Once;

use anyhow::{Context, Result};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use uuid::Uuid;

use crate::cluster::access::Rules;
use crate::cluster::flags::KubeFlags;
use crate::cluster::http::{Account, HttpClient};
use crate::cluster::tunnel;
use crate::components::lrs::client::Ralph;
use crate::components::{datalake, lrs};
use crate::error::{self, Failure, Kind, one_line};
use crate::output::document::Content;
use crate::output::printer;
use crate::output::units::{count, took};
use crate::seeding::{self, Plan, Report, RetryPolicy, Verification};
use crate::simulator::{Generated, TERM_STATEMENTS, dataset};
use crate::xapi::batch::{Batch, Source};
use crate::xapi::reader::{Input, Inputs, Limits, ReadError, Reader, Skipped};

use super::{Outcome, TextOrJson, open};

/// Send statements to the LRS and verify that each is stored
///
/// Without files, `seed` sends the example data set of 22,000 statements. A file contains JSON arrays or one statement per
/// line, and may be compressed with gzip. Directories include their subdirectories, and `-` is standard input. `seed` names
/// each statement that the LRS rejects and sends the others. Running it again is safe: it sends every statement, and the
/// LRS stores each id only once.
#[derive(Debug, Args)]
#[command(after_long_help = after_help!("  kubectl lastack seed
  kubectl lastack seed my-statements/ more-statements.ndjson.gz
  kubectl lastack seed --count 3000 --seed 7 --write /tmp/generated", json: "SeedReport"))]
pub struct SeedArgs {
    /// Files or directories with statements, or `-` for standard input
    files: Vec<PathBuf>,
    /// Number of statements to generate [default: 22000]
    #[arg(long, value_name = "N", conflicts_with = "files")]
    count: Option<u64>,
    /// Seed of the generated statements; the same seed gives the same statements [default: 1]
    #[arg(long, value_name = "S", conflicts_with = "files")]
    seed: Option<u64>,
    /// Write the generated statements and their expected results to a directory; send nothing
    #[arg(long, value_name = "DIR", conflicts_with_all = ["files", "endpoint"])]
    write: Option<PathBuf>,
    /// Statements per request
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    batch: u32,
    /// Number of concurrent requests
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=32))]
    concurrency: u32,
    /// xAPI endpoint of another LRS, which `seed` cannot verify
    #[arg(long, value_name = "URL", requires = "credentials", value_parser = endpoint)]
    endpoint: Option<String>,
    /// File with `user:password` for `--endpoint`
    #[arg(long, value_name = "FILE", requires = "endpoint")]
    credentials: Option<PathBuf>,
    /// Output format
    #[arg(short, long, value_enum, default_value = "text")]
    output: TextOrJson,
}

fn endpoint(text: &str) -> Result<String, String> {
    match text.parse::<http::Uri>() {
        Ok(uri) if uri.host().is_some() && matches!(uri.scheme_str(), Some("http" | "https")) => {
            Ok(text.into())
        }
        _ => Err("expected a URL such as https://lrs.example.org/xAPI".into()),
    }
}

/// Statements from files or from the generator.
enum Statements {
    Files(Box<Reader>),
    Generated(Box<Generated>),
}

impl Source for Statements {
    type Error = ReadError;

    fn fill(&mut self, batch: &mut Batch) -> Result<bool, ReadError> {
        match self {
            Self::Files(reader) => reader.fill(batch),
            Self::Generated(generated) => {
                let Ok(is_filled) = generated.fill(batch);
                Ok(is_filled)
            }
        }
    }
}

impl SeedArgs {
    fn seed(&self) -> u64 {
        self.seed.unwrap_or(dataset::DEFAULT_SEED)
    }

    fn count(&self) -> u64 {
        self.count.unwrap_or(TERM_STATEMENTS)
    }

    /// The number of statements. None for files, which are not read in advance.
    fn total(&self) -> Option<u64> {
        self.files.is_empty().then(|| self.count())
    }

    fn statements(&self) -> Result<Statements> {
        if self.files.is_empty() {
            return Ok(Statements::Generated(Box::new(Generated::new(
                self.seed(),
                self.count(),
                self.batch as usize,
            ))));
        }
        let mut all = Inputs::default();
        for file in &self.files {
            let found =
                Input::from_path(file).map_err(|fault| Failure::usage(fault.to_string()))?;
            all.inputs.extend(found.inputs);
            all.skipped.extend(found.skipped);
        }
        note_skipped(&all.skipped);
        let limits = Limits { statements: self.batch as usize, ..Limits::default() };
        Ok(Statements::Files(Box::new(Reader::new(all.inputs, limits, jiff::Timestamp::now()))))
    }
}

/// The number of skipped files to list. The others are only counted.
const LISTED: usize = 20;

fn note_skipped(skipped: &[Skipped]) {
    for Skipped { path, reason } in skipped.iter().take(LISTED) {
        printer::note(&format!("skipped: {}: {reason}", path.display()));
    }
    if skipped.len() > LISTED {
        printer::note(&format!(
            "and {} more skipped files",
            count((skipped.len() - LISTED) as u64)
        ));
    }
}

pub const NEEDS: &[Rules] =
    &[tunnel::RULES, lrs::CLIENT, datalake::CLIENT, datalake::ACCOUNT_OF_DASHBOARDS];

pub async fn run(flags: &KubeFlags, args: SeedArgs) -> Result<Outcome> {
    if let Some(dir) = &args.write {
        return write(dir, &args);
    }
    if args.files.iter().any(|file| file.as_os_str() == "-") && std::io::stdin().is_terminal() {
        printer::note("Reading statements from the terminal; end with Ctrl-D");
    }
    let statements = args.statements()?;
    let (ralph, stack) = match (&args.endpoint, &args.credentials) {
        (Some(endpoint), Some(credentials)) => {
            (Ralph::at(HttpClient::direct(endpoint)?, &account(credentials)?)?, None)
        }
        _ => {
            let stack = open(flags).await?;
            (lrs::client(&stack).await?, Some(stack))
        }
    };
    let elasticsearch = match &stack {
        Some(stack) => Some(datalake::client(stack).await?),
        None => None,
    };
    let bar = bar(args.total());
    let plan = Plan {
        concurrency: args.concurrency as usize,
        retry_policy: RetryPolicy::default(),
        progress: {
            let bar = bar.clone();
            Box::new(move |settled| bar.set_position(settled))
        },
        retrying: {
            let (bar, warned) = (bar.clone(), Once::new());
            Box::new(move |reason| {
                warned
                    .call_once(|| bar.suspend(|| printer::warning(&format!("{reason}; retrying"))))
            })
        },
    };
    let report = seeding::run(statements, ralph, elasticsearch, plan).await;
    bar.finish_and_clear();
    // Ralph responds with 500 and no reason when it cannot store; the data lake may give the reason
    if let (Err(_), Some(stack)) = (&report, &stack)
        && let Ok(Some(diagnosis)) = datalake::why_nothing_is_stored(stack).await
    {
        printer::warning(&diagnosis.sentence());
    }
    conclude(&report?, args.output)
}

fn write(dir: &Path, args: &SeedArgs) -> Result<Outcome> {
    dataset::write(dir, args.seed(), args.count())
        .with_context(|| format!("cannot write the data set to {}", dir.display()))?;
    printer::note(&format!(
        "Wrote {} statements of seed {} and their expected results to {}",
        count(args.count()),
        args.seed(),
        dir.display()
    ));
    Ok(Outcome::Good)
}

/// Reads `user:password` from the first line of a file. Other users can read arguments and environment variables.
fn account(file: &Path) -> Result<Account> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::usage(format!("cannot read {}: {error}", file.display())))?;
    let (user, password) =
        text.lines().next().and_then(|line| line.split_once(':')).ok_or_else(|| {
            Failure::usage(format!("the first line of {} is not `user:password`", file.display()))
        })?;
    Ok(Account { user: user.to_string(), password: password.to_string().into() })
}

/// A progress bar of sent statements or events. Hidden where nothing can be redrawn.
pub fn bar(total: Option<u64>) -> ProgressBar {
    if !printer::is_live() {
        return ProgressBar::hidden();
    }
    let template = match total {
        Some(_) => "  sending  {bar:30} {human_pos} of {human_len}  {per_sec:0}  {elapsed}",
        None => "  sending  {spinner} {human_pos}  {per_sec:0}  {elapsed}",
    };
    let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    bar.with_style(
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
    )
}

fn conclude(report: &Report, output: TextOrJson) -> Result<Outcome> {
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
