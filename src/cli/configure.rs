use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;

use crate::cluster::access::{Rule, Rules};
use crate::cluster::flags::KubeFlags;
use crate::cluster::lease;
use crate::components;
use crate::components::namespace::STORED_SETTINGS;
use crate::engine::{Node, Scope, Summary};
use crate::output::printer;
use crate::output::units::duration;
use crate::output::units::took;
use crate::stack::component::{ComponentName, ComponentParser};
use crate::stack::settings::{LmsSettings, Sending, Settings};
use crate::stack::{SETTINGS, Stack};

use super::journal::Journal;
use super::{Outcome, TextOrJson, left_until, lock, require_newest};

/// Reconcile the settings inside Moodle and Superset
///
/// Covers Moodle's event delivery and test course, and Superset's database connection, dashboards and roles. Changes no
/// Helm release and no Secret. Leaves users' own content in Moodle and Superset in place. Later installs keep the
/// settings given here.
#[derive(Debug, Args)]
#[command(after_long_help = after_help!("  kubectl lastack configure
  kubectl lastack configure lms --course S
  kubectl lastack configure lms --send-names=true", timeout, json: "Event" "Summary"))]
pub struct ConfigureArgs {
    /// Components to configure [default: all]
    #[arg(value_parser = ComponentParser)]
    components: Vec<ComponentName>,
    #[command(flatten)]
    lms: LmsSettings,
    /// Send events from Moodle's cron, once per minute
    #[arg(long, conflicts_with = "immediate", help_heading = "Moodle")]
    background: bool,
    /// Send events during the page request; events are lost while the LRS is down
    #[arg(long, help_heading = "Moodle")]
    immediate: bool,
    /// Time limit for the whole command
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration)]
    timeout: Duration,
    /// Output format of the progress
    #[arg(short, long, value_enum, default_value = "text")]
    output: TextOrJson,
}

/// The permissions to store changed settings.
const WRITE_SETTINGS: Rules = &[
    Rule::new("", "configmaps", &["patch"], "the settings of the stack").named(&[SETTINGS]),
    Rule::new("", "configmaps", &["create"], "ConfigMaps that do not exist yet"),
];

pub fn needs() -> Vec<Rules> {
    let settings = components::all().iter().flat_map(|one| one.declaration().access.configure);
    settings.copied().chain([WRITE_SETTINGS, lease::RULES]).collect()
}

pub async fn run(flags: &KubeFlags, args: ConfigureArgs) -> Result<Outcome> {
    let journal = Journal::new("configure", args.output);
    let ended = reconcile(flags, args, &journal).await;
    journal.conclude(ended)
}

async fn reconcile(flags: &KubeFlags, args: ConfigureArgs, journal: &Journal) -> Result<Summary> {
    let sending = match (args.background, args.immediate) {
        (true, _) => Some(Sending::Background),
        (_, true) => Some(Sending::Immediate),
        _ => None,
    };
    let lms = LmsSettings { sending, ..args.lms };
    let remember = !lms.is_empty();
    let asked = Settings { lms, ..Default::default() };
    let cluster = flags.resolve().await?;
    let deadline = Instant::now() + args.timeout;
    let lock = lock::take(&cluster, "configure", Some(deadline)).await?;
    let stack = Stack::open(cluster, asked, Some(left_until(deadline))).await?;
    require_newest(&stack)?;
    journal.names(&stack);
    let is_wanted = |component| {
        if args.components.is_empty() {
            stack.settings.has(component)
        } else {
            args.components.contains(&component)
        }
    };
    let wanted = |node: &Node<Stack>| {
        node.scope() == Scope::Setting && ComponentName::of(node.id()).is_some_and(is_wanted)
    };
    let graph = components::graph()?
        .without(|node| !(wanted(node) || remember && node.id() == STORED_SETTINGS));
    let report = journal.report(graph.ids());
    let summary = lock.during(graph.reconcile(&stack, &*report)).await?;
    drop(report);
    let done = if summary.changed.is_empty() { "Nothing to change" } else { "Done" };
    printer::note(&format!("{done} in {}", took(summary.took)));
    Ok(summary)
}
