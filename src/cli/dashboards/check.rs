use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use serde_json::json;

use crate::cli::{Outcome, TableOrJson, open};
use crate::cluster::flags::KubeFlags;
use crate::components::dataviz;
use crate::dashboards::answers::Answers;
use crate::dashboards::check::{self, Checked, Verdict};
use crate::dashboards::live;
use crate::error::Failure;
use crate::output::printer::{self, BAD, WARN, paint};
use crate::output::table::table;
use crate::output::units::took;

/// Run the query of every chart as Superset runs it: rows, time, error
///
/// With `--answers`, what each chart shows is compared with what it must show. The answers of `data/answers.json` are
/// those for the 22,000 statements that `seed` sends, and for nothing else in the data lake.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Charts by name or title; all when none is named
    charts: Vec<String>,
    /// File with the known answers of each chart
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
    /// End with exit code 3 when a chart has an error, a wrong answer, or is too slow
    #[arg(long)]
    fail_on_error: bool,
    /// A chart that takes longer than this many milliseconds is too slow
    #[arg(long, value_name = "MS")]
    slow: Option<u64>,
    /// Also write a JUnit report
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Output format
    #[arg(short, long, value_enum, default_value = "table")]
    output: TableOrJson,
}

pub async fn run(flags: &KubeFlags, args: CheckArgs) -> Result<Outcome> {
    let answers = args.answers.as_deref().map(Answers::read).transpose()?;
    let stack = open(flags).await?;
    let superset = dataviz::client(&stack).await?;
    let charts = live::charts(&superset, &args.charts).await?;
    if let Some(name) =
        args.charts.iter().find(|name| !charts.iter().any(|chart| chart.is_called(name)))
    {
        return Err(Failure::failed(format!("there is no chart `{name}` in Superset"))
            .hint(format!(
                "`kubectl lastack dashboards explain '{name}'` says why, if it is one of ours"
            ))
            .into());
    }
    let answers = answers.map(|answers| answers.about(&args.charts, &charts));
    let checked =
        check::run(&superset, &charts, answers.as_ref(), args.slow.map(Duration::from_millis))
            .await;
    if let Some(file) = &args.junit {
        write_junit(file, &checked)?;
    }
    match args.output {
        TableOrJson::Table => printer::data(&render(&checked))?,
        TableOrJson::Json => printer::json(&document(&checked))?,
    }
    let faults = checked.iter().filter(|chart| chart.verdict.is_fault()).count();
    let good = checked.iter().filter(|chart| chart.verdict == Verdict::Good).count();
    let unknown = match checked.len() - faults - good {
        0 => String::new(),
        unknown => format!(", {unknown} cannot be checked"),
    };
    printer::note(&format!("{good} of {} charts are good{unknown}", checked.len()));
    Ok(if args.fail_on_error && faults > 0 { Outcome::Fault } else { Outcome::Good })
}

fn render(checked: &[Checked]) -> String {
    let mut notes = String::new();
    let rows = checked.iter().map(|chart| {
        let (word, detail) = words(&chart.verdict);
        if let Some(detail) = detail {
            let colour = if chart.verdict.is_fault() { BAD } else { WARN };
            notes.push_str(&format!("{}: {} {detail}\n", paint(colour, word), chart.name));
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
    table(["CHART", "TITLE", "ROWS", "TIME", "RESULT"], rows) + &notes
}

/// A verdict in a word, and what goes below the table.
fn words(verdict: &Verdict) -> (&'static str, Option<&str>) {
    match verdict {
        Verdict::Good => ("good", None),
        Verdict::Slow => ("slow", None),
        Verdict::Wrong(why) => ("wrong", Some(why)),
        Verdict::Error(why) => ("error", Some(why)),
        Verdict::Unknown(why) => ("unknown", Some(why)),
    }
}

fn document(checked: &[Checked]) -> serde_json::Value {
    let items: Vec<_> = checked
        .iter()
        .map(|chart| {
            let (word, detail) = words(&chart.verdict);
            json!({
                "name": chart.name, "title": chart.title, "rows": chart.rows,
                "milliseconds": chart.took.as_millis() as u64, "result": word, "detail": detail,
            })
        })
        .collect();
    json!({"apiVersion": "lastack/v1", "kind": "ChartCheck", "items": items})
}

fn write_junit(file: &Path, checked: &[Checked]) -> Result<()> {
    let mut suite = TestSuite::new("dashboards");
    for chart in checked {
        let status = match &chart.verdict {
            Verdict::Good => TestCaseStatus::success(),
            Verdict::Unknown(_) => TestCaseStatus::skipped(),
            Verdict::Error(_) => TestCaseStatus::non_success(NonSuccessKind::Error),
            Verdict::Wrong(_) | Verdict::Slow => {
                TestCaseStatus::non_success(NonSuccessKind::Failure)
            }
        };
        let mut case = TestCase::new(chart.name.clone(), status);
        if let (_, Some(why)) = words(&chart.verdict) {
            case.status.set_message(why);
        }
        case.set_time(chart.took);
        suite.add_test_case(case);
    }
    let mut report = Report::new("kubectl lastack dashboards check");
    report.add_test_suite(suite);
    crate::cli::write_junit(file, &report)
}
