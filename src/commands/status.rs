use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::cli::KubeFlags;
use crate::error::one_line;
use crate::output::age;
use crate::output::printer::{self, BAD, WARN, paint};
use crate::output::table::table;
use crate::stack::Stack;
use crate::steps::{self, Fact, PartStatus};

use super::{Outcome, open};

/// Show the pipeline hop by hop: what runs, what answers, how much data, how new it is
///
/// Exit code 0 when all is well, 3 when something is not.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Output format
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
    /// Look again and again, until Ctrl-C
    ///
    /// A terminal shows the newest look; elsewhere a table follows when something changed, and a document each look.
    #[arg(short, long)]
    watch: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Table,
    /// With the addresses inside the cluster
    Wide,
    Json,
    Yaml,
}

/// Between the end of a look and the next.
const PAUSE: Duration = Duration::from_secs(2);

/// A part's name and what was found.
pub type Row = (&'static str, PartStatus);

pub async fn run(flags: &KubeFlags, args: StatusArgs) -> Result<Outcome> {
    let stack = open(flags).await?;
    if args.watch {
        return watch(stack, args.output).await;
    }
    let rows = look(&stack).await?;
    match args.output {
        Format::Json => printer::json(&document(&stack, &rows))?,
        Format::Yaml => printer::data(&yaml(&document(&stack, &rows))?)?,
        Format::Table | Format::Wide if is_installed(&rows) => {
            printer::data(&shown(&rows, args.output))?
        }
        Format::Table | Format::Wide => {
            printer::note(&absent(&stack));
            printer::note("  kubectl lastack install   makes one");
        }
    }
    Ok(if rows.iter().any(|(_, status)| has_fault(status)) {
        Outcome::Fault
    } else {
        Outcome::Good
    })
}

async fn watch(mut stack: Stack, output: Format) -> Result<Outcome> {
    let mut before = None;
    let mut trouble = None;
    loop {
        stack.forget_releases();
        let rows = match look(&stack).await {
            Ok(rows) => rows,
            // who watches a cluster that restarts wants to see it come back; why it cannot be seen is said once
            Err(error) if before.is_some() => {
                let why = one_line(&error);
                if trouble.as_ref() != Some(&why) {
                    printer::warning(&format!("{why}; looking again"));
                }
                trouble = Some(why);
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        trouble = None;
        let gist = gist(&rows);
        let has_changed = before.as_ref() != Some(&gist);
        let text = match output {
            Format::Json => format!("{}\n", document(&stack, &rows)),
            Format::Yaml => format!("---\n{}", yaml(&document(&stack, &rows))?),
            Format::Table | Format::Wide if printer::clear_screen() || before.is_none() => {
                table_or_absent(&stack, &rows, output)
            }
            Format::Table | Format::Wide if !has_changed => String::new(),
            Format::Table | Format::Wide => format!("\n{}", table_or_absent(&stack, &rows, output)),
        };
        before = Some(gist);
        if printer::more_data(&text)?.is_break() {
            return Ok(Outcome::Good);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// What of the rows does not change by the passing of time.
fn gist(rows: &[Row]) -> Vec<(&'static str, Fact, Fact, Option<Fact>, Fact)> {
    let answers = |fact: &Fact| (!matches!(fact, Fact::Good(_))).then(|| fact.clone());
    rows.iter()
        .map(|(part, status)| {
            (
                *part,
                status.runs.clone(),
                status.pods.clone(),
                answers(&status.answers),
                status.data.clone(),
            )
        })
        .collect()
}

fn absent(stack: &Stack) -> String {
    format!(
        "There is no stack in namespace {} of context {}",
        stack.namespace(),
        stack.target.context
    )
}

fn table_or_absent(stack: &Stack, rows: &[Row], output: Format) -> String {
    if is_installed(rows) { shown(rows, output) } else { format!("{}\n", absent(stack)) }
}

fn shown(rows: &[Row], output: Format) -> String {
    if output == Format::Wide { render_wide(rows) } else { render(rows) }
}

fn yaml(document: &Value) -> Result<String> {
    serde_saphyr::to_string(document).context("the status cannot be written as YAML")
}

/// Looks at all parts at the same time. Fails only when the cluster cannot be reached at all.
pub async fn look(stack: &Stack) -> Result<Vec<Row>> {
    stack.target.client.apiserver_version().await?;
    let parts = steps::parts();
    let rows =
        join_all(parts.iter().map(|part| async move {
            (part.component(), (part.name(), part.status(stack).await))
        }))
        .await;
    // a component that was left out on purpose is no fault
    Ok(rows
        .into_iter()
        .filter(|(component, (_, status))| stack.settings.has(*component) || is_there(status))
        .map(|(_, row)| row)
        .collect())
}

fn is_there(status: &PartStatus) -> bool {
    status.runs != Fact::None && status.runs != Fact::Bad("not installed".into())
}

/// The operator alone is not a stack: it serves the whole cluster.
pub fn is_installed(rows: &[Row]) -> bool {
    rows.iter().any(|(part, status)| *part != "operator" && is_there(status))
}

fn facts(status: &PartStatus) -> [(&'static str, &Fact); 4] {
    [
        ("runs", &status.runs),
        ("pods", &status.pods),
        ("answers", &status.answers),
        ("data", &status.data),
    ]
}

fn has_fault(status: &PartStatus) -> bool {
    facts(status).iter().any(|(_, fact)| matches!(fact, Fact::Bad(_)))
}

fn age_of(time: Option<jiff::Timestamp>) -> String {
    let since = |time| {
        jiff::Timestamp::now().duration_since(time).max(jiff::SignedDuration::ZERO).unsigned_abs()
    };
    time.map(|time| age::age(since(time))).unwrap_or_default()
}

pub fn render(rows: &[Row]) -> String {
    lay_out(rows, ["PART", "RUNS", "PODS", "ANSWERS", "DATA", "NEWEST", "URL"], |status| {
        [age_of(status.newest), address(&status.url)]
    })
}

fn render_wide(rows: &[Row]) -> String {
    let header = ["PART", "RUNS", "PODS", "ANSWERS", "DATA", "NEWEST", "SENT", "URL", "INSIDE"];
    lay_out(rows, header, |status| {
        [age_of(status.newest), age_of(status.sent), address(&status.url), address(&status.inside)]
    })
}

fn address(address: &Option<String>) -> String {
    address.clone().unwrap_or_default()
}

/// The name of the part, its facts, and further columns; and below what does not fit into them.
fn lay_out<const N: usize, const M: usize>(
    rows: &[Row],
    header: [&str; N],
    further: impl Fn(&PartStatus) -> [String; M],
) -> String {
    let mut notes = Vec::new();
    let cells = rows.iter().map(|(part, status)| {
        let facts = facts(status).map(|(what, fact)| cell(part, what, fact, &mut notes));
        let cells = std::iter::once((*part).to_string()).chain(facts).chain(further(status));
        <[String; N]>::try_from(cells.collect::<Vec<_>>()).expect("a cell for each column")
    });
    let mut text = table(header, cells.collect::<Vec<_>>());
    for note in notes {
        text.push_str(&note);
        text.push('\n');
    }
    text
}

/// A short cell. What does not fit into it goes below the table.
fn cell(part: &str, what: &str, fact: &Fact, notes: &mut Vec<String>) -> String {
    const WIDTH: usize = 36;
    match fact {
        Fact::Good(text) => text.clone(),
        Fact::None => String::new(),
        Fact::Unknown(permission) => {
            notes.push(format!("{}: {part} {what}: {permission}", paint(WARN, "unknown")));
            "unknown".into()
        }
        Fact::Bad(text) if text.chars().count() <= WIDTH => text.clone(),
        Fact::Bad(text) => {
            notes.push(format!("{}: {part} {what}: {text}", paint(BAD, "fault")));
            "fault".into()
        }
    }
}

fn document(stack: &Stack, rows: &[Row]) -> Value {
    let parts: Vec<Value> = rows
        .iter()
        .map(|(part, status)| {
            let mut row = json!({"part": part, "healthy": !has_fault(status), "url": status.url, "inside": status.inside});
            for (name, time) in [("newest", status.newest), ("sent", status.sent)] {
                row[name] = time.map(|at| at.to_string()).into();
            }
            if !status.figures.is_empty() {
                row["figures"] = status.figures.clone().into();
            }
            for (name, fact) in facts(status) {
                row[name] = match fact {
                    Fact::Good(text) => json!({"state": "good", "detail": text}),
                    Fact::Bad(text) => json!({"state": "bad", "detail": text}),
                    Fact::Unknown(permission) => json!({"state": "unknown", "detail": permission}),
                    Fact::None => Value::Null,
                };
            }
            row
        })
        .collect();
    json!({
        "apiVersion": "lastack/v1",
        "kind": "Status",
        "context": stack.target.context,
        "namespace": stack.namespace(),
        "installed": is_installed(rows),
        "healthy": rows.iter().all(|(_, status)| !has_fault(status)),
        "parts": parts,
    })
}
