pub mod report;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Once;

use anyhow::{Context, Result};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use crate::cluster::access::Rules;
use crate::cluster::flags::KubeFlags;
use crate::cluster::http::{Account, HttpClient};
use crate::cluster::tunnel;
use crate::components::lrs::client::Ralph;
use crate::components::{datalake, lrs};
use crate::error::Failure;
use crate::output::printer;
use crate::output::units::count;
use crate::seeding::{self, Plan, Rate, RetryPolicy};
use crate::simulator::dataset::{self, Cases, DataSet};
use crate::simulator::{Generated, Shift, TERM_STATEMENTS};
use crate::xapi::batch::{Batch, Source};
use crate::xapi::reader::{Input, Inputs, Limits, ReadError, Reader, Skipped};

use super::{Outcome, TextOrJson, open};

use report::conclude;

/// Send statements to the LRS and verify that each is stored
///
/// Without files, `seed` sends the example data set of 22,000 statements. A file contains JSON arrays or one statement per
/// line, and may be compressed with gzip. Directories include their subdirectories, and `-` is standard input. `seed` names
/// each statement that the LRS rejects and sends the others. Running it again is safe: it sends every statement, and the
/// LRS stores each id only once. Statements with another seed or another period have other ids.
#[derive(Debug, Args)]
#[command(after_long_help = after_help!("  kubectl lastack seed
  kubectl lastack seed --until now --cases
  kubectl lastack seed my-statements/ more-statements.ndjson.gz --rate 20
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
    /// Latest time of the generated statements: `now`, a date, or a time; moves the term by whole weeks [default: 2026-06-05]
    #[arg(long, value_name = "WHEN", conflicts_with = "files", value_parser = until)]
    until: Option<Shift>,
    /// Also generate planted cases with known results: dropouts, a spike, duplicates, late arrivals, and actors by mail
    #[arg(long, conflicts_with = "files")]
    cases: bool,
    /// Write the generated statements and their expected results to a directory; send nothing
    #[arg(long, value_name = "DIR", conflicts_with_all = ["files", "endpoint"])]
    write: Option<PathBuf>,
    /// Statements per second, spread evenly [default: as fast as the LRS accepts them]
    #[arg(long, value_name = "N", conflicts_with = "write", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: Option<u32>,
    /// Statements per request; fewer with `--rate`
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

fn until(text: &str) -> Result<Shift, String> {
    let end = Shift::moment(text, jiff::Timestamp::now()).ok_or(
        "expected `now`, a date such as 2026-11-30, or a time such as 2026-11-30T14:00:00Z",
    )?;
    Shift::until(end).map_err(|error| error.to_string())
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
    fn rate(&self) -> Option<Rate> {
        self.rate.and_then(Rate::per_second)
    }

    /// The number of statements in each batch.
    fn batch_size(&self) -> usize {
        self.rate().map_or(self.batch, |rate| rate.batch_size().min(self.batch)) as usize
    }

    /// The statements to generate. None for files.
    fn data_set(&self) -> Option<DataSet> {
        self.files.is_empty().then(|| DataSet {
            seed: self.seed.unwrap_or(dataset::DEFAULT_SEED),
            count: self.count.unwrap_or(TERM_STATEMENTS),
            shift: self.until.unwrap_or_default(),
            cases: if self.cases { Cases::Included } else { Cases::Omitted },
        })
    }

    fn statements(&self) -> Result<Statements> {
        if let Some(data_set) = self.data_set() {
            let generated = Generated::new(data_set, self.batch_size());
            return Ok(Statements::Generated(Box::new(generated)));
        }
        let mut all = Inputs::default();
        for file in &self.files {
            let found =
                Input::from_path(file).map_err(|fault| Failure::usage(fault.to_string()))?;
            all.inputs.extend(found.inputs);
            all.skipped.extend(found.skipped);
        }
        note_skipped(&all.skipped);
        let limits = Limits { statements: self.batch_size(), ..Limits::default() };
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
    if let Some(shift) = args.until {
        let (first, last) = shift.term();
        printer::note(&format!("The term lasts from {first} to {last}"));
    }
    if let (Some(dir), Some(data_set)) = (&args.write, args.data_set()) {
        return write(dir, data_set);
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
    let total = args.data_set().map(|data_set| data_set.statements());
    let bar = bar(total, args.rate);
    let plan = Plan {
        concurrency: args.concurrency as usize,
        rate: args.rate(),
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

fn write(dir: &Path, data_set: DataSet) -> Result<Outcome> {
    dataset::write(dir, data_set)
        .with_context(|| format!("cannot write the data set to {}", dir.display()))?;
    printer::note(&format!(
        "Wrote {} statements of seed {} and their expected results to {}",
        count(data_set.statements()),
        data_set.seed,
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
pub fn bar(total: Option<u64>, rate: Option<u32>) -> ProgressBar {
    if !printer::is_live() {
        return ProgressBar::hidden();
    }
    let position = match total {
        Some(_) => "{bar:30} {human_pos} of {human_len}",
        None => "{spinner} {human_pos}",
    };
    let limit = rate.map_or(String::new(), |rate| format!(" of {}/s", count(rate.into())));
    let template = format!("  sending  {position}  {{per_sec:0}}{limit}  {{elapsed}}");
    let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    bar.with_style(
        ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar()),
    )
}
