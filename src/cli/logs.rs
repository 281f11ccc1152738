use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use anyhow::Result;
use clap::Args;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde::Serialize;
use tokio::sync::mpsc;

use crate::cluster::access::Rules;
use crate::cluster::flags::KubeFlags;
use crate::cluster::logs::{self, Extent, Line, Log, Source};
use crate::cluster::{object, pods};
use crate::components;
use crate::error::{self, Failure};
use crate::output::document::Content;
use crate::output::printer::{self, paint};
use crate::output::text;
use crate::output::units::duration;
use crate::stack::Stack;
use crate::stack::component::{ComponentName, ComponentParser};

use super::{Outcome, open};

/// Show the logs of all Pods of the stack as one stream
///
/// Lines are in the order of their times. Init containers, finished Jobs and cron are included.
#[derive(Debug, Args)]
#[command(after_long_help = after_help!("  kubectl lastack logs
  kubectl lastack logs lms lrs --since 10m
  kubectl lastack logs -f -o json", json: "LogLine"))]
pub struct LogsArgs {
    /// Components [default: all in the namespace]
    #[arg(value_parser = ComponentParser, value_name = "COMPONENT")]
    components: Vec<ComponentName>,
    /// Wait for new lines, also of new Pods, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// Only lines of the last time, such as 10m
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    since: Option<Duration>,
    /// Number of last lines of each container [default: 100, or all with `--since`]
    #[arg(long, value_name = "N")]
    tail: Option<u32>,
    /// Output format
    #[arg(short, long, value_enum, default_value = "text")]
    output: Format,
}

impl LogsArgs {
    pub fn is_endless(&self) -> bool {
        self.follow
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    /// One JSON document per line
    Json,
}

pub const NEEDS: &[Rules] = &[logs::RULES];

/// The pause between two looks for new containers.
const PAUSE: Duration = Duration::from_secs(2);
/// The number of lines that wait for a slow output.
const WAITING: usize = 1024;
/// The number of logs that are opened at once.
const AT_ONCE: usize = 8;
const DEFAULT_TAIL: i64 = 100;

pub async fn run(flags: &KubeFlags, args: LogsArgs) -> Result<Outcome> {
    let stack = open(flags).await?;
    let since_seconds = args.since.map(|since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX));
    let extent = Extent {
        follow: args.follow,
        since_seconds: since_seconds.map(|seconds| seconds.max(1)),
        tail_lines: args.tail.map(i64::from).or(args.since.is_none().then_some(DEFAULT_TAIL)),
        ..Extent::default()
    };
    let found = containers(&stack, &args.components).await?;
    if found.is_empty() && !args.follow {
        let which = if args.components.is_empty() { "the stack" } else { "these components" };
        return Err(Failure::failed(format!(
            "namespace {}: no container of {which} has started",
            stack.namespace()
        ))
        .hint(format!("run `kubectl lastack status{}` for the cause", stack.cluster.flags))
        .into());
    }
    match args.follow {
        true => follow(&stack, &args, extent).await?,
        false => merge(&stack, found, extent, args.output).await?,
    }
    Ok(Outcome::Good)
}

/// The containers of the components that have a log.
async fn containers(
    stack: &Stack,
    wanted: &[ComponentName],
) -> Result<BTreeSet<(ComponentName, Source)>> {
    let pods = pods::all(&stack.cluster, &object::of_a_stack()).await?;
    let of =
        |pod: &Pod| component_of(pod).filter(|name| wanted.is_empty() || wanted.contains(name));
    let with_component = pods.iter().filter_map(|pod| Some((of(pod)?, pod)));
    let each =
        |(component, pod)| logs::sources(pod).into_iter().map(move |source| (component, source));
    Ok(with_component.flat_map(each).collect())
}

fn component_of(pod: &Pod) -> Option<ComponentName> {
    let has = |(name, value): &(&str, &str)| object::label(&pod.metadata, name) == Some(*value);
    let mut all = components::all().iter().map(|component| component.declaration());
    all.find(|declared| declared.pods.iter().any(has)).map(|declared| declared.name)
}

/// Prints the lines of all logs in the order of their times. Holds one line of each log at a time.
async fn merge(
    stack: &Stack,
    found: BTreeSet<(ComponentName, Source)>,
    extent: Extent,
    output: Format,
) -> Result<()> {
    let opening: Vec<_> = found
        .into_iter()
        .map(|(component, source)| async move {
            let mut log = Log::open(&stack.cluster, source, extent).await?;
            let line = log.next().await?;
            anyhow::Ok(line.map(|line| (line, component, log)))
        })
        .collect();
    let opened: Vec<_> = stream::iter(opening).buffered(AT_ONCE).try_collect().await?;
    let mut heads: Vec<_> = opened.into_iter().flatten().collect();
    while let Some(first) = (0..heads.len()).min_by_key(|i| heads[*i].0.at) {
        let (line, component, log) = &mut heads[first];
        if print(*component, &log.source, line, output)?.is_break() {
            return Ok(());
        }
        match log.next().await? {
            Some(next) => *line = next,
            None => drop(heads.remove(first)),
        }
    }
    Ok(())
}

/// A line of a log, or the end of the log: with an error when its connection broke.
type Event = (ComponentName, Source, Result<Option<Line>>);

/// Prints new lines as they arrive, also of containers that start later.
async fn follow(stack: &Stack, args: &LogsArgs, extent: Extent) -> Result<()> {
    let (sender, mut events) = mpsc::channel::<Event>(WAITING);
    let mut known = BTreeSet::new();
    // the time of the last line of each log, from which a broken connection continues
    let mut last: BTreeMap<Source, Timestamp> = BTreeMap::new();
    let mut is_first_look = true;
    let mut look = tokio::time::interval(PAUSE);
    loop {
        tokio::select! {
            _ = look.tick() => {
                for (component, source) in containers(stack, &args.components).await? {
                    if !known.insert(source.clone()) {
                        continue;
                    }
                    let extent = match last.get(&source) {
                        None if is_first_look => extent,
                        after => Extent {
                            after: after.copied(), tail_lines: None, since_seconds: None, ..extent
                        },
                    };
                    match Log::open(&stack.cluster, source.clone(), extent).await {
                        Ok(log) => drop(tokio::spawn(send(component, log, sender.clone()))),
                        Err(error) if error::forbidden(&error).is_some() => return Err(error),
                        // the Pod may be gone; otherwise the next look opens it
                        Err(_) => drop(known.remove(&source)),
                    }
                }
                is_first_look = false;
            }
            Some((component, source, line)) = events.recv() => match line {
                Ok(Some(line)) => {
                    if print(component, &source, &line, args.output)?.is_break() {
                        return Ok(());
                    }
                    last.extend(line.at.map(|at| (source, at)));
                }
                Ok(None) => {}
                Err(_) => drop(known.remove(&source)),
            },
        }
    }
}

/// Sends the lines of a log until it ends, or until the receiver is gone.
async fn send(component: ComponentName, mut log: Log, events: mpsc::Sender<Event>) {
    loop {
        let line = log.next().await;
        let is_last = !matches!(line, Ok(Some(_)));
        if events.send((component, log.source.clone(), line)).await.is_err() || is_last {
            return;
        }
    }
}

/// One colour for each component, which the text names, too.
fn colour(component: ComponentName) -> Style {
    const COLOURS: [AnsiColor; 5] =
        [AnsiColor::Cyan, AnsiColor::Green, AnsiColor::Magenta, AnsiColor::Yellow, AnsiColor::Blue];
    let position = ComponentName::all().position(|other| other == component).unwrap_or_default();
    COLOURS[position % COLOURS.len()].on_default()
}

fn print(
    component: ComponentName,
    Source { pod, container, .. }: &Source,
    Line { at, message }: &Line,
    output: Format,
) -> Result<std::ops::ControlFlow<()>> {
    match output {
        Format::Json => {
            let time = at.map(|at| at.to_string());
            let component = component.as_str();
            printer::json_line(&LogLine { time, component, pod, container, message })
        }
        Format::Text => {
            let prefix = paint(colour(component), &format!("{component} {pod} {container}"));
            let message = console::strip_ansi_codes(message);
            Ok(printer::more_data(&format!("{prefix}  {}\n", text::clean(&message)))?)
        }
    }
}

/// A line of the log of a container. The command prints one document per line
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LogLine<'a> {
    /// When the container wrote the line
    time: Option<String>,
    /// Component of the Pod
    component: &'a str,
    pod: &'a str,
    container: &'a str,
    /// The line, as the container wrote it
    message: &'a str,
}

impl Content for LogLine<'_> {
    const KIND: &'static str = "LogLine";
}
