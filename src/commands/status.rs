use std::time::Duration;

use anyhow::Result;
use clap::Args;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::cli::KubeFlags;
use crate::output::age;
use crate::output::printer::{self, BAD, WARN, paint};
use crate::output::table::table;
use crate::stack::Stack;
use crate::steps::{self, Fact, PartStatus};

use super::{Outcome, TableOrJson, open};

/// Show the pipeline hop by hop: what runs, what answers, how much data, how new it is
///
/// Exit code 0 when all is well, 3 when something is not.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Output format
    #[arg(short, long, value_enum, default_value = "table")]
    output: TableOrJson,
}

/// A part's name and what was found.
pub type Row = (&'static str, PartStatus);

pub async fn run(flags: &KubeFlags, args: StatusArgs) -> Result<Outcome> {
    let stack = open(flags).await?;
    let rows = look(&stack).await?;
    match args.output {
        TableOrJson::Json => printer::json(&document(&stack, &rows))?,
        TableOrJson::Table if is_installed(&rows) => printer::data(&render(&rows))?,
        TableOrJson::Table => {
            printer::note(&format!("There is no stack in namespace {} of context {}", stack.namespace(), stack.target.context));
            printer::note("  kubectl lastack install   makes one");
        }
    }
    Ok(if rows.iter().any(|(_, status)| has_fault(status)) { Outcome::Fault } else { Outcome::Good })
}

/// Looks at all parts at the same time. Fails only when the cluster cannot be reached at all.
pub async fn look(stack: &Stack) -> Result<Vec<Row>> {
    stack.target.client.apiserver_version().await?;
    let parts = steps::parts();
    Ok(join_all(parts.iter().map(|part| async { (part.name(), part.status(stack).await) })).await)
}

/// The operator alone is not a stack: it serves the whole cluster.
pub fn is_installed(rows: &[Row]) -> bool {
    let is_there = |runs: &Fact| *runs != Fact::None && *runs != Fact::Bad("not installed".into());
    rows.iter().any(|(part, status)| *part != "operator" && is_there(&status.runs))
}

fn facts(status: &PartStatus) -> [(&'static str, &Fact); 4] {
    [("runs", &status.runs), ("pods", &status.pods), ("answers", &status.answers), ("data", &status.data)]
}

fn has_fault(status: &PartStatus) -> bool {
    facts(status).iter().any(|(_, fact)| matches!(fact, Fact::Bad(_)))
}

fn newest_age(status: &PartStatus) -> Option<Duration> {
    let newest = status.newest?;
    Some(jiff::Timestamp::now().duration_since(newest).max(jiff::SignedDuration::ZERO).unsigned_abs())
}

pub fn render(rows: &[Row]) -> String {
    let mut notes = Vec::new();
    let cells = rows.iter().map(|(part, status)| {
        let [runs, pods, answers, data] = facts(status).map(|(what, fact)| cell(part, what, fact, &mut notes));
        let newest = newest_age(status).map(age::age).unwrap_or_default();
        [(*part).to_string(), runs, pods, answers, data, newest, status.url.clone().unwrap_or_default()]
    });
    let mut text = table(["PART", "RUNS", "PODS", "ANSWERS", "DATA", "NEWEST", "URL"], cells.collect::<Vec<_>>());
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
            let mut row = json!({"part": part, "healthy": !has_fault(status), "newest": status.newest.map(|at| at.to_string()), "url": status.url});
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
