use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::cli::{Outcome, TableArgs, TableOrJson, open};
use crate::cluster::access::Rules;
use crate::cluster::flags::KubeFlags;
use crate::cluster::tunnel;
use crate::components::dataviz;
use crate::dashboards::check::{self, Checked, Verdict};
use crate::dashboards::expected::ExpectedResults;
use crate::dashboards::live;
use crate::error::Failure;
use crate::output::document::Content;
use crate::output::junit::{self, Case, Status};
use crate::output::printer::{self, BAD, WARN, labelled};
use crate::output::table::table;
use crate::output::units::{self, took};

/// Run the query of every chart and report rows, time and errors
///
/// With `--expected`, compares each chart with its expected results. `data/expected-results.json` has the expected
/// results for the 22,000 statements that `seed` sends. They are valid only while the data lake contains nothing else.
#[derive(Debug, Args)]
#[command(after_long_help = after_help!("  kubectl lastack dashboards check
  kubectl lastack dashboards check --slow 2000 --fail-on-error
  kubectl lastack dashboards check --expected data/expected-results.json --junit report.xml", fault: "with `--fail-on-error`, a chart has an error, a wrong result, or is slow", json: "ChartCheck"))]
pub struct CheckArgs {
    /// Names or titles of charts [default: all]
    charts: Vec<String>,
    /// File with the expected results of each chart
    #[arg(long, value_name = "FILE")]
    expected: Option<PathBuf>,
    /// Exit with code 3 when a chart has an error, a wrong result, or is slow
    #[arg(long)]
    fail_on_error: bool,
    /// Time in milliseconds above which a chart is slow
    #[arg(long, value_name = "MS")]
    slow: Option<u64>,
    /// Also write a JUnit report
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Output format
    #[arg(short, long, value_enum, default_value = "table")]
    output: TableOrJson,
    #[command(flatten)]
    table: TableArgs,
}

pub const NEEDS: &[Rules] = &[tunnel::RULES, dataviz::CLIENT];

pub async fn run(flags: &KubeFlags, args: CheckArgs) -> Result<Outcome> {
    let expected = args.expected.as_deref().map(ExpectedResults::read).transpose()?;
    let stack = open(flags).await?;
    let superset = dataviz::client(&stack).await?;
    let charts = live::charts(&superset, &args.charts).await?;
    if let Some(name) =
        args.charts.iter().find(|name| !charts.iter().any(|chart| chart.is_called(name)))
    {
        return Err(Failure::failed(format!("chart `{name}`: not in Superset"))
            .hint(format!(
                "for a chart of this program, run `kubectl lastack dashboards explain '{name}'{}`",
                stack.cluster.flags
            ))
            .into());
    }
    let expected = expected.map(|expected| expected.about(&args.charts, &charts));
    let checked =
        check::run(&superset, &charts, expected.as_ref(), args.slow.map(Duration::from_millis))
            .await;
    if let Some(file) = &args.junit {
        write_junit(file, &checked)?;
    }
    match args.output {
        TableOrJson::Table => printer::data(&render(&checked, args.table))?,
        TableOrJson::Json => printer::json(&ChartCheck::of(&checked))?,
    }
    let faults = checked.iter().filter(|chart| chart.verdict.is_fault()).count();
    let good = checked.iter().filter(|chart| chart.verdict == Verdict::Good).count();
    let unknown = match checked.len() - faults - good {
        0 => String::new(),
        unknown => format!(", {unknown} cannot be checked"),
    };
    printer::note(&format!("{good} of {} charts passed{unknown}", checked.len()));
    Ok(if args.fail_on_error && faults > 0 { Outcome::Fault } else { Outcome::Good })
}

fn render(checked: &[Checked], args: TableArgs) -> String {
    let mut notes = String::new();
    let rows = checked.iter().map(|chart| {
        let (word, detail) = (word(&chart.verdict), chart.verdict.why());
        if let Some(detail) = detail {
            let colour = if chart.verdict.is_fault() { BAD } else { WARN };
            notes.push_str(&labelled(colour, word, &format!("{} {detail}\n", chart.name)));
        }
        [
            chart.name.clone(),
            chart.title.clone(),
            chart.rows.to_string(),
            took(chart.took),
            word.to_string(),
        ]
    });
    let rows: Vec<_> = rows.collect();
    args.of(table(["CHART", "TITLE", "ROWS", "TIME", "RESULT"], rows)).to_string() + &notes
}

fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Good => "good",
        Verdict::Slow => "slow",
        Verdict::Wrong(_) => "wrong",
        Verdict::Error(_) => "error",
        Verdict::Unknown(_) => "unknown",
    }
}

/// The result of each chart's query
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ChartCheck<'a> {
    items: Vec<ChartResult<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct ChartResult<'a> {
    /// Name of the chart
    name: &'a str,
    title: &'a str,
    /// Rows of the result
    rows: usize,
    /// Duration of the query
    milliseconds: u64,
    /// `good`, `slow`, `wrong`, `error` or `unknown`
    result: &'static str,
    /// Text: why it is not good
    detail: Option<&'a str>,
}

impl Content for ChartCheck<'_> {
    const KIND: &'static str = "ChartCheck";
}

impl<'a> ChartCheck<'a> {
    fn of(checked: &'a [Checked]) -> Self {
        let items = checked.iter().map(|chart| ChartResult {
            name: &chart.name,
            title: &chart.title,
            rows: chart.rows,
            milliseconds: units::milliseconds(chart.took),
            result: word(&chart.verdict),
            detail: chart.verdict.why(),
        });
        Self { items: items.collect() }
    }
}

fn write_junit(file: &Path, checked: &[Checked]) -> Result<()> {
    let case = |chart: &Checked| {
        let status = match &chart.verdict {
            Verdict::Good => Status::Success,
            Verdict::Unknown(_) => Status::Skipped,
            Verdict::Error(_) => Status::Error,
            Verdict::Wrong(_) | Verdict::Slow => Status::Failure,
        };
        Case {
            name: chart.name.clone(),
            status,
            message: chart.verdict.why().map(Into::into),
            took: chart.took,
        }
    };
    let cases: Vec<Case> = checked.iter().map(case).collect();
    junit::write(file, "kubectl lastack dashboards check", "dashboards", &cases)
}
