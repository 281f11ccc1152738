use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Once;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use uuid::Uuid;

use crate::cluster::flags::KubeFlags;
use crate::cluster::http::{Account, HttpClient};
use crate::components::lrs::client::Ralph;
use crate::components::{datalake, lrs};
use crate::error::{self, Failure, Kind, one_line};
use crate::output::units::{count, took};
use crate::output::{printer, text};
use crate::seeding::{self, Patience, Plan, Proof, Report};
use crate::simulator::{Generated, TERM_STATEMENTS, dataset};
use crate::xapi::batch::{Batch, Source};
use crate::xapi::reader::{Input, Inputs, Limits, ReadError, Reader, Skipped};

use super::{Outcome, open};

/// Send statements to the LRS and verify that each is stored
///
/// Without files, this sends the example data set of 22,000 statements. Files may contain arrays or one statement per
/// line, plain or gzip. Directories are read with their subdirectories, and `-` is standard input. A statement that the LRS
/// rejects is named and does not stop the others. Ids are fixed, so a second run sends only what is missing.
#[derive(Debug, Args)]
pub struct SeedArgs {
    /// Files or directories of statements, or `-`
    files: Vec<PathBuf>,
    /// How many statements to generate
    #[arg(long, value_name = "N", conflicts_with = "files")]
    count: Option<u64>,
    /// What to generate from: the same seed gives the same statements
    #[arg(long, value_name = "S", conflicts_with = "files")]
    seed: Option<u64>,
    /// Write the generated statements and the figures that follow from them into a directory, and send nothing
    #[arg(long, value_name = "DIR", conflicts_with_all = ["files", "endpoint"])]
    write: Option<PathBuf>,
    /// Statements per request
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    batch: u32,
    /// Requests at the same time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=32))]
    concurrency: u32,
    /// xAPI endpoint of another LRS; what it stores cannot be verified
    #[arg(long, value_name = "URL", requires = "credentials", value_parser = endpoint)]
    endpoint: Option<String>,
    /// File with `user:password` for `--endpoint`
    #[arg(long, value_name = "FILE", requires = "endpoint")]
    credentials: Option<PathBuf>,
    /// Output format
    #[arg(short, long, value_enum, default_value = "text")]
    output: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

fn endpoint(text: &str) -> Result<String, String> {
    match text.parse::<http::Uri>() {
        Ok(uri) if uri.host().is_some() && matches!(uri.scheme_str(), Some("http" | "https")) => {
            Ok(text.into())
        }
        _ => Err("expected an address such as https://lrs.example.org/xAPI".into()),
    }
}

/// Statements from files or from the generator.
enum Statements {
    Read(Box<Reader>),
    Made(Box<Generated>),
}

impl Source for Statements {
    type Error = ReadError;

    fn fill(&mut self, batch: &mut Batch) -> Result<bool, ReadError> {
        match self {
            Self::Read(reader) => reader.fill(batch),
            Self::Made(generated) => {
                let Ok(made) = generated.fill(batch);
                Ok(made)
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

    /// How many statements will come, when that is known before.
    fn total(&self) -> Option<u64> {
        self.files.is_empty().then(|| self.count())
    }

    fn statements(&self) -> Result<Statements> {
        if self.files.is_empty() {
            return Ok(Statements::Made(Box::new(Generated::new(
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
        name_skipped(&all.skipped);
        let limits = Limits { statements: self.batch as usize, ..Limits::default() };
        Ok(Statements::Read(Box::new(Reader::new(all.inputs, limits, jiff::Timestamp::now()))))
    }
}

/// More skipped files than this are counted and not named.
const NAMED: usize = 20;

fn name_skipped(skipped: &[Skipped]) {
    for Skipped { path, reason } in skipped.iter().take(NAMED) {
        printer::note(&format!("skipped: {}: {reason}", path.display()));
    }
    if skipped.len() > NAMED {
        printer::note(&format!("and {} more skipped files", count((skipped.len() - NAMED) as u64)));
    }
}

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
        patience: Patience::default(),
        progress: {
            let bar = bar.clone();
            Box::new(move |settled| bar.set_position(settled))
        },
        retrying: {
            let (bar, said) = (bar.clone(), Once::new());
            Box::new(move |reason| {
                said.call_once(|| {
                    bar.suspend(|| printer::warning(&format!("{reason}; trying again")))
                })
            })
        },
    };
    let report = seeding::run(statements, ralph, elasticsearch, plan).await;
    bar.finish_and_clear();
    // an LRS that cannot store says 500 and no more; the data lake behind it may say why
    if let (Err(_), Some(stack)) = (&report, &stack)
        && let Ok(Some(diagnosis)) = datalake::why_nothing_is_stored(stack).await
    {
        printer::warning(&diagnosis.sentence());
    }
    conclude(&report?, args.output)
}

fn write(dir: &Path, args: &SeedArgs) -> Result<Outcome> {
    dataset::write(dir, args.seed(), args.count())
        .with_context(|| format!("the data set could not be written to {}", dir.display()))?;
    printer::note(&format!(
        "{} statements of seed {} and their figures written to {}",
        count(args.count()),
        args.seed(),
        dir.display()
    ));
    Ok(Outcome::Good)
}

/// `user:password` on the first line of a file: argv and the environment are no place for it.
fn account(file: &Path) -> Result<Account> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::usage(format!("cannot read {}: {error}", file.display())))?;
    let (user, password) =
        text.lines().next().and_then(|line| line.split_once(':')).ok_or_else(|| {
            Failure::usage(format!("the first line of {} is not `user:password`", file.display()))
        })?;
    Ok(Account { user: user.to_string(), password: password.to_string().into() })
}

fn bar(total: Option<u64>) -> ProgressBar {
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

fn conclude(report: &Report, output: Format) -> Result<Outcome> {
    for fault in &report.faults {
        printer::warning(&format!("not read: {fault}"));
    }
    say_more(report.unreadable, report.faults.len(), "faults of the input");
    for rejection in &report.rejections {
        printer::warning(&format!(
            "rejected: {} (id {}): {} {}",
            rejection.place, rejection.id, rejection.status, rejection.reason
        ));
    }
    say_more(report.rejected, report.rejections.len(), "rejected statements");
    let proof = report.proof.as_ref().and_then(|proof| proof.as_ref().ok());
    match output {
        Format::Text => printer::data(&format!("{}\n", sentence(report)))?,
        Format::Json => printer::json(&json!({
            "apiVersion": "lastack/v1",
            "kind": "SeedReport",
            "sent": report.sent,
            "accepted": report.accepted,
            "alreadyThere": report.already_there,
            "rejected": report.rejected,
            "unreadable": report.unreadable,
            "found": proof.map(|proof| proof.found),
            "missing": proof.map(|proof| proof.expected - proof.found),
            "differing": proof.map(|proof| proof.differing),
            "complete": report.is_complete(),
            "seconds": (report.took.as_secs_f64() * 1000.0).round() / 1000.0,
        }))?,
    }
    if report.is_complete() { Ok(Outcome::Good) } else { Err(incomplete(report)) }
}

fn say_more(all: u64, shown: usize, what: &str) {
    if all > shown as u64 {
        printer::warning(&format!("and {} more {what}", count(all - shown as u64)));
    }
}

/// One line that says what became of everything.
fn sentence(report: &Report) -> String {
    let mut counts = format!(
        "{} sent, {} already there, {} rejected",
        count(report.sent),
        count(report.already_there),
        count(report.rejected)
    );
    if report.unreadable > 0 {
        counts.push_str(&format!(", {} could not be read", count(report.unreadable)));
    }
    let all = count(report.sent + report.unreadable);
    let why_not_verified = match &report.proof {
        Some(Ok(proof)) => {
            let missing = proof.expected - proof.found;
            // an id that came twice is one stored statement, and both are there
            let stored = report.sent - report.rejected - missing - proof.differing;
            return format!(
                "{} of {all} statements stored: {counts}, {}   {}",
                count(stored),
                verified(proof),
                took(report.took)
            );
        }
        Some(Err(_)) => "the data lake could not be asked",
        None => "another LRS cannot be looked into",
    };
    let accepted = count(report.sent - report.rejected);
    format!(
        "{accepted} of {all} statements accepted: {counts}; not verified, {why_not_verified}   {}",
        took(report.took)
    )
}

fn verified(proof: &Proof) -> String {
    if proof.is_complete() {
        let what = if proof.by_content { "with its content" } else { "by its id" };
        return format!("each found in Elasticsearch {what}");
    }
    let faults = [
        (proof.expected - proof.found, "not found in Elasticsearch"),
        (proof.differing, "with other content in Elasticsearch"),
    ];
    let faults = faults.into_iter().filter(|(number, _)| *number > 0);
    faults.map(|(number, what)| format!("{} {what}", count(number))).collect::<Vec<_>>().join(", ")
}

fn incomplete(report: &Report) -> anyhow::Error {
    if let Some(Err(error)) = &report.proof {
        return Failure::new(
            error::kind(error),
            format!("cannot verify the statements: {}", one_line(error)),
        )
        .hint("repeat the command to verify them; stored statements are not stored twice")
        .into();
    }
    if let Some(Ok(proof)) = &report.proof
        && proof.found < proof.expected
    {
        let message = format!(
            "{} statements that the LRS accepted are not in Elasticsearch, among them {}",
            count(proof.expected - proof.found),
            join(&proof.missing)
        );
        return Failure::new(Kind::Failed, message)
            .hint("repeat the command to send them again")
            .into();
    }
    if let Some(Ok(proof)) = &report.proof
        && proof.differing > 0
    {
        let message = format!(
            "{} statements have other content in Elasticsearch than was sent, among them {}",
            count(proof.differing),
            join(&proof.other_content)
        );
        return Failure::new(Kind::Failed, message)
            .hint("look for other statements with these ids in the input and in other sources")
            .into();
    }
    let message = format!(
        "not everything is stored: {} rejected, {} could not be read",
        count(report.rejected),
        count(report.unreadable)
    );
    Failure::failed(message)
        .hint("correct the statements named above, then repeat the command to send the rest")
        .into()
}

fn join(ids: &[Uuid]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
