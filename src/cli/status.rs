use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use futures::future::{join, join_all};
use serde::Serialize;

use crate::cluster::access::Rules;
use crate::cluster::flags::KubeFlags;
use crate::cluster::{pod_problem, tunnel};
use crate::components;
use crate::components::model::{Figures, Health};
use crate::components::{conditions, datalake, operator};
use crate::engine::Observation;
use crate::error::one_line;
use crate::output::document::{Content, Document};
use crate::output::printer::{self, BAD, WARN, labelled};
use crate::output::table::table;
use crate::output::units;
use crate::stack::Stack;
use crate::stack::component::ComponentName;

use super::{Outcome, TableArgs, open};

/// Show the health of each component, its data and how recent the data is
#[derive(Debug, Args)]
#[command(after_long_help = after_help!("  kubectl lastack status
  kubectl lastack status --watch
  kubectl lastack status --fail-if-older 10m -o json", fault: "a component is unhealthy, the stack is paused or incompletely restored, or the newest statement is too old", json: "Status"))]
pub struct StatusArgs {
    /// Output format
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
    #[command(flatten)]
    table: TableArgs,
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
    /// Names of the components
    Name,
    Json,
    Yaml,
}

impl StatusArgs {
    pub fn is_endless(&self) -> bool {
        self.watch
    }
}

/// The pause between two refreshes of `--watch`.
const PAUSE: Duration = Duration::from_secs(2);

/// A component and its health.
pub type Row = (ComponentName, Health);

/// Without the permission to run scripts in Moodle's Pod, so the events of Moodle are unknown.
pub fn needs() -> Vec<Rules> {
    let healths = components::all().iter().flat_map(|one| one.declaration().access.health);
    healths.copied().chain([tunnel::RULES, pod_problem::RULES, conditions::MARKS]).collect()
}

pub async fn run(flags: &KubeFlags, args: StatusArgs) -> Result<Outcome> {
    let stack = open(flags).await?;
    if args.watch {
        return watch(stack, &args).await;
    }
    let (rows, unusual) = join(look(&stack), conditions::unusual(&stack)).await;
    let rows = rows?;
    match args.output {
        Format::Json => printer::json(&Status::of(&stack, &rows))?,
        Format::Yaml => printer::data(&yaml(&stack, &rows)?)?,
        Format::Table | Format::Wide | Format::Name if is_installed(&rows) => {
            printer::data(&shown(&rows, &args))?
        }
        Format::Table | Format::Wide | Format::Name => {
            printer::note(&absent(&stack));
            super::next_steps(&[(format!("install{}", stack.cluster.flags), "install one")]);
        }
    }
    let late = args.fail_if_older.and_then(|limit| too_old(&rows, limit));
    if let Some(why) = &late {
        printer::error(why);
    }
    // without the permission to read the marks, there is nothing to tell
    let unusual = unusual.unwrap_or_default();
    if let Some(diagnosis) = &unusual {
        printer::error(&diagnosis.sentence());
    }
    let has_fault = rows.iter().any(|(_, health)| health.has_fault());
    let has_fault = has_fault || late.is_some() || unusual.is_some();
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

async fn watch(mut stack: Stack, args: &StatusArgs) -> Result<Outcome> {
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
        let printed = match args.output {
            Format::Json => printer::json_line(&Status::of(&stack, &rows))?,
            Format::Yaml => printer::more_data(&format!("---\n{}", yaml(&stack, &rows)?))?,
            Format::Table | Format::Wide | Format::Name => {
                let is_first = printer::clear_screen() || before.is_none();
                let text = match (is_first, has_changed) {
                    (true, _) => table_or_absent(&stack, &rows, args),
                    (false, true) => format!("\n{}", table_or_absent(&stack, &rows, args)),
                    (false, false) => String::new(),
                };
                printer::more_data(&text)?
            }
        };
        before = Some(gist);
        if printed.is_break() {
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

fn table_or_absent(stack: &Stack, rows: &[Row], args: &StatusArgs) -> String {
    if is_installed(rows) { shown(rows, args) } else { format!("{}\n", absent(stack)) }
}

fn shown(rows: &[Row], args: &StatusArgs) -> String {
    match args.output {
        Format::Name => rows.iter().map(|(name, _)| format!("{name}\n")).collect(),
        Format::Wide => render_wide(rows, args.table),
        _ => render(rows, args.table),
    }
}

fn yaml(stack: &Stack, rows: &[Row]) -> Result<String> {
    let status = Status::of(stack, rows);
    serde_saphyr::to_string(&Document::from(&status)).context("cannot write the status as YAML")
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

pub fn render(rows: &[Row], args: TableArgs) -> String {
    let header = ["COMPONENT", "RUNS", "PODS", "RESPONSE", "DATA", "NEWEST", "URL"];
    lay_out(rows, header, args, |health| [units::age_of(health.newest), address(&health.url)])
}

fn render_wide(rows: &[Row], args: TableArgs) -> String {
    let header = [
        "COMPONENT",
        "RUNS",
        "PODS",
        "RESPONSE",
        "DATA",
        "NEWEST",
        "SENT",
        "LAST HOUR",
        "LAG",
        "URL",
        "INSIDE",
    ];
    lay_out(rows, header, args, |health| {
        let (newest, sent) = (units::age_of(health.newest), units::age_of(health.sent));
        let (last_hour, lag) = health.figures.as_ref().map(pace).unwrap_or_default();
        [newest, sent, last_hour, lag, address(&health.url), address(&health.inside)]
    })
}

/// The events or statements of the last hour; and the median and the 95th percentile of their time from event to storage.
fn pace(figures: &Figures) -> (String, String) {
    match figures {
        Figures::Lms { events_last_hour, .. } => (units::count(*events_last_hour), String::new()),
        Figures::DataLake {
            stored_last_hour,
            lag_median_milliseconds,
            lag_p95_milliseconds,
            ..
        } => {
            let lags = lag_median_milliseconds.zip(*lag_p95_milliseconds);
            let lag = lags.map(|(median, p95)| {
                let [median, p95] =
                    [median, p95].map(|lag| units::took(Duration::from_millis(lag)));
                format!("{median}, 95%: {p95}")
            });
            (stored_last_hour.map(units::count).unwrap_or_default(), lag.unwrap_or_default())
        }
    }
}

fn address(address: &Option<String>) -> String {
    address.clone().unwrap_or_default()
}

/// A table with the component, its aspects and further columns, followed by the texts that do not fit into a cell.
fn lay_out<const N: usize, const M: usize>(
    rows: &[Row],
    header: [&'static str; N],
    args: TableArgs,
    further: impl Fn(&Health) -> [String; M],
) -> String {
    let mut notes = Vec::new();
    let cells = rows.iter().map(|(component, health)| {
        let aspects = health.aspects().map(|(what, seen)| cell(*component, what, seen, &mut notes));
        let cells = std::iter::once(component.to_string()).chain(aspects).chain(further(health));
        <[String; N]>::try_from(cells.collect::<Vec<_>>()).expect("a cell for each column")
    });
    let mut text = args.of(table(header, cells.collect::<Vec<_>>())).to_string();
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

/// The health of each component, its data and how recent the data is. With `--watch`, one document per line, about every
/// two seconds
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Status<'a> {
    /// Context of the kubeconfig
    context: &'a str,
    /// Namespace of the stack
    namespace: &'a str,
    /// Whether a component other than the operator exists
    installed: bool,
    /// Whether no component has a fault
    healthy: bool,
    /// The components of the stack
    components: Vec<ComponentStatus<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct ComponentStatus<'a> {
    /// `lms`, `lrs`, `datalake`, `dataviz` or `operator`
    component: &'a str,
    /// Whether none of its aspects is bad
    healthy: bool,
    /// The running version
    runs: Option<Aspect>,
    /// Ready Pods
    pods: Option<Aspect>,
    /// The response of the service
    response: Option<Aspect>,
    /// The data
    data: Option<Aspect>,
    /// Time of the newest data
    newest: Option<String>,
    /// When it last sent data to the next component
    sent: Option<String>,
    /// Address from outside the cluster
    url: Option<&'a str>,
    /// Address inside the cluster
    inside: Option<&'a str>,
    /// Numbers about the data; absent when there are none
    #[serde(skip_serializing_if = "Option::is_none")]
    figures: Option<&'a Figures>,
}

/// An aspect of the health of a component.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Aspect {
    state: State,
    /// Text
    detail: String,
}

/// `unknown`: a permission is missing
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
enum State {
    Good,
    Bad,
    Unknown,
}

impl Content for Status<'_> {
    const KIND: &'static str = "Status";
}

impl<'a> Status<'a> {
    fn of(stack: &'a Stack, rows: &'a [Row]) -> Self {
        Self {
            context: &stack.cluster.context,
            namespace: stack.namespace(),
            installed: is_installed(rows),
            healthy: rows.iter().all(|(_, health)| !health.has_fault()),
            components: rows.iter().map(ComponentStatus::of).collect(),
        }
    }
}

impl<'a> ComponentStatus<'a> {
    fn of((component, health): &'a Row) -> Self {
        let time = |at: Option<jiff::Timestamp>| at.map(|at| at.to_string());
        Self {
            component: component.as_str(),
            healthy: !health.has_fault(),
            runs: health.runs.as_ref().map(Aspect::of),
            pods: health.pods.as_ref().map(Aspect::of),
            response: health.response.as_ref().map(Aspect::of),
            data: health.data.as_ref().map(Aspect::of),
            newest: time(health.newest),
            sent: time(health.sent),
            url: health.url.as_deref(),
            inside: health.inside.as_deref(),
            figures: health.figures.as_ref(),
        }
    }
}

impl Aspect {
    fn of(seen: &Observation) -> Self {
        let state = match seen {
            Observation::Equal(_) => State::Good,
            Observation::Unknown { .. } => State::Unknown,
            _ => State::Bad,
        };
        Self { state, detail: seen.text() }
    }
}
