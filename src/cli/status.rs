use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::cluster::access::Rules;
use crate::cluster::flags::KubeFlags;
use crate::cluster::{pod_problem, tunnel};
use crate::components;
use crate::components::model::Health;
use crate::components::{datalake, operator};
use crate::engine::Observation;
use crate::error::one_line;
use crate::output::printer::{self, BAD, WARN, labelled};
use crate::output::table::table;
use crate::output::units;
use crate::stack::Stack;
use crate::stack::component::ComponentName;

use super::{Outcome, open};

/// Show the health of each component, its data and how recent the data is
#[derive(Debug, Args)]
#[command(after_long_help = after_help!("  kubectl lastack status
  kubectl lastack status --watch
  kubectl lastack status --fail-if-older 10m -o json", fault: "a component is unhealthy, or the newest statement is too old"))]
pub struct StatusArgs {
    /// Output format
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
    /// Refresh until Ctrl-C
    ///
    /// A terminal shows the latest status. Other outputs get a new table after each change, or a JSON or YAML document
    /// after each refresh.
    #[arg(short, long)]
    watch: bool,
    /// Exit with code 3 when the newest statement is older, such as 10m
    #[arg(long, value_name = "DURATION", value_parser = units::duration, conflicts_with = "watch")]
    fail_if_older: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Table,
    /// Table with the addresses inside the cluster
    Wide,
    Json,
    Yaml,
}

/// The pause between two refreshes of `--watch`.
const PAUSE: Duration = Duration::from_secs(2);

/// A component and its health.
pub type Row = (ComponentName, Health);

/// Without the permission to run scripts in Moodle's Pod, so the events of Moodle are unknown.
pub fn needs() -> Vec<Rules> {
    let healths = components::all().iter().flat_map(|one| one.declaration().access.health);
    healths.copied().chain([tunnel::RULES, pod_problem::RULES]).collect()
}

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
            super::next_steps(&[(format!("install{}", stack.cluster.flags), "install one")]);
        }
    }
    let late = args.fail_if_older.and_then(|limit| too_old(&rows, limit));
    if let Some(why) = &late {
        printer::error(why);
    }
    let has_fault = rows.iter().any(|(_, health)| health.has_fault()) || late.is_some();
    Ok(if has_fault { Outcome::Fault } else { Outcome::Good })
}

/// Why the statements are older than the limit. None: they are not.
fn too_old(rows: &[Row], limit: Duration) -> Option<String> {
    let lake = rows.iter().find(|(name, _)| *name == datalake::COMPONENT);
    let newest = lake.and_then(|(_, health)| health.newest);
    let Some(newest) = newest else { return Some("the data lake has no statement".into()) };
    let age = jiff::Timestamp::now().duration_since(newest).unsigned_abs();
    (age > limit).then(|| {
        format!(
            "the newest statement was stored {} ago; the limit is {}",
            units::age(age),
            units::age(limit)
        )
    })
}

async fn watch(mut stack: Stack, output: Format) -> Result<Outcome> {
    let mut before = None;
    let mut reported = None;
    loop {
        stack.forget_releases();
        let rows = match look(&stack).await {
            Ok(rows) => rows,
            // the cluster may restart: keep watching, and report each cause once
            Err(error) if before.is_some() => {
                let why = one_line(&error);
                if reported.as_ref() != Some(&why) {
                    printer::warning(&format!("{why}; retrying"));
                }
                reported = Some(why);
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        reported = None;
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

/// The content of the rows that does not change with time alone. A healthy response counts without its text.
fn gist(rows: &[Row]) -> Vec<(ComponentName, Vec<Option<Observation>>)> {
    let lasting = |(aspect, seen): (&str, Option<&Observation>)| {
        let is_fleeting = aspect == "response" && seen.is_some_and(Observation::is_equal);
        seen.filter(|_| !is_fleeting).cloned()
    };
    rows.iter()
        .map(|(component, health)| (*component, health.aspects().map(lasting).into()))
        .collect()
}

pub fn absent(stack: &Stack) -> String {
    format!("No stack in namespace {} of context {}", stack.namespace(), stack.cluster.context)
}

fn table_or_absent(stack: &Stack, rows: &[Row], output: Format) -> String {
    if is_installed(rows) { shown(rows, output) } else { format!("{}\n", absent(stack)) }
}

fn shown(rows: &[Row], output: Format) -> String {
    if output == Format::Wide { render_wide(rows) } else { render(rows) }
}

fn yaml(document: &Value) -> Result<String> {
    serde_saphyr::to_string(document).context("cannot write the status as YAML")
}

/// Observes all components concurrently.
///
/// # Errors
/// When the API server does not respond. A component that cannot be observed is a row, not an error.
pub async fn look(stack: &Stack) -> Result<Vec<Row>> {
    stack.cluster.client.apiserver_version().await?;
    let rows = components::all().iter().map(|component| async move {
        (component.declaration().name, component.health(stack).await)
    });
    // a component that the stack excludes is not a fault
    let is_shown = |(name, health): &Row| stack.settings.has(*name) || health.is_installed();
    Ok(join_all(rows).await.into_iter().filter(is_shown).collect())
}

/// Whether a stack is installed. The operator alone is not one: it serves the whole cluster.
pub fn is_installed(rows: &[Row]) -> bool {
    let mut own = rows.iter().filter(|(name, _)| *name != operator::COMPONENT);
    own.any(|(_, health)| health.is_installed())
}

fn age_of(time: Option<jiff::Timestamp>) -> String {
    let since = |time| {
        jiff::Timestamp::now().duration_since(time).max(jiff::SignedDuration::ZERO).unsigned_abs()
    };
    time.map(|time| units::age(since(time))).unwrap_or_default()
}

pub fn render(rows: &[Row]) -> String {
    let header = ["COMPONENT", "RUNS", "PODS", "RESPONSE", "DATA", "NEWEST", "URL"];
    lay_out(rows, header, |health| [age_of(health.newest), address(&health.url)])
}

fn render_wide(rows: &[Row]) -> String {
    let header =
        ["COMPONENT", "RUNS", "PODS", "RESPONSE", "DATA", "NEWEST", "SENT", "URL", "INSIDE"];
    lay_out(rows, header, |health| {
        let (newest, sent) = (age_of(health.newest), age_of(health.sent));
        [newest, sent, address(&health.url), address(&health.inside)]
    })
}

fn address(address: &Option<String>) -> String {
    address.clone().unwrap_or_default()
}

/// A table with the component, its aspects and further columns, followed by the texts that do not fit into a cell.
fn lay_out<const N: usize, const M: usize>(
    rows: &[Row],
    header: [&str; N],
    further: impl Fn(&Health) -> [String; M],
) -> String {
    let mut notes = Vec::new();
    let cells = rows.iter().map(|(component, health)| {
        let aspects = health.aspects().map(|(what, seen)| cell(*component, what, seen, &mut notes));
        let cells = std::iter::once(component.to_string()).chain(aspects).chain(further(health));
        <[String; N]>::try_from(cells.collect::<Vec<_>>()).expect("a cell for each column")
    });
    let mut text = table(header, cells.collect::<Vec<_>>());
    for note in notes {
        text.push_str(&note);
        text.push('\n');
    }
    text
}

/// The text of a cell. A longer text goes to `notes`, below the table.
fn cell(
    component: ComponentName,
    what: &str,
    seen: Option<&Observation>,
    notes: &mut Vec<String>,
) -> String {
    const WIDTH: usize = 36;
    match seen {
        None => String::new(),
        Some(Observation::Equal(text)) => text.clone(),
        Some(Observation::Unknown { permission }) => {
            notes.push(labelled(WARN, "unknown", &format!("{component} {what}: {permission}")));
            "unknown".into()
        }
        Some(fault) => {
            let text = fault.text();
            if text.chars().count() <= WIDTH {
                return text;
            }
            notes.push(labelled(BAD, "fault", &format!("{component} {what}: {text}")));
            "fault".into()
        }
    }
}

fn document(stack: &Stack, rows: &[Row]) -> Value {
    let components: Vec<Value> =
        rows.iter().map(|(component, health)| row(*component, health)).collect();
    json!({
        "apiVersion": "lastack/v1",
        "kind": "Status",
        "context": stack.cluster.context,
        "namespace": stack.namespace(),
        "installed": is_installed(rows),
        "healthy": rows.iter().all(|(_, health)| !health.has_fault()),
        "components": components,
    })
}

fn row(component: ComponentName, health: &Health) -> Value {
    let mut row = json!({
        "component": component.as_str(),
        "healthy": !health.has_fault(),
        "url": health.url,
        "inside": health.inside,
    });
    for (name, time) in [("newest", health.newest), ("sent", health.sent)] {
        row[name] = time.map(|at| at.to_string()).into();
    }
    if !health.figures.is_empty() {
        row["figures"] = health.figures.clone().into();
    }
    for (name, seen) in health.aspects() {
        let state = |seen: &Observation| match seen {
            Observation::Equal(_) => "good",
            Observation::Unknown { .. } => "unknown",
            _ => "bad",
        };
        row[name] = seen.map(|seen| json!({"state": state(seen), "detail": seen.text()})).into();
    }
    row
}
