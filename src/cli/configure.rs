use std::time::Duration;

use anyhow::Result;
use clap::Args;

use super::progress::Rows;
use crate::cluster::flags::KubeFlags;
use crate::components;
use crate::components::namespace::REMEMBERED;
use crate::engine::{Node, Scope};
use crate::output::printer;
use crate::output::units::duration;
use crate::output::units::took;
use crate::stack::Stack;
use crate::stack::component::{ComponentName, ComponentParser};
use crate::stack::settings::{LmsSettings, Sending, Settings};

use super::Outcome;

/// Put right the settings inside of running components: what Moodle sends and where to, its test course, Superset's
/// connection, dashboards and roles
///
/// Touches no release and no Secret. What people made or changed in Moodle and Superset stays. What is asked for here is
/// remembered, as `install` remembers.
#[derive(Debug, Args)]
pub struct ConfigureArgs {
    /// Only these components
    #[arg(value_parser = ComponentParser)]
    components: Vec<ComponentName>,
    #[command(flatten)]
    lms: LmsSettings,
    /// Let Moodle's cron send events, every minute
    #[arg(long, conflicts_with = "immediate", help_heading = "Moodle")]
    background: bool,
    /// Send events while the learner waits for the page: an LRS that is away then costs the events
    #[arg(long, help_heading = "Moodle")]
    immediate: bool,
    /// How long to wait for everything together
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration)]
    timeout: Duration,
}

pub async fn run(flags: &KubeFlags, args: ConfigureArgs) -> Result<Outcome> {
    let sending = match (args.background, args.immediate) {
        (true, _) => Some(Sending::Background),
        (_, true) => Some(Sending::Immediate),
        _ => None,
    };
    let lms = LmsSettings { sending, ..args.lms };
    let remember = !lms.is_empty();
    let asked = Settings { lms, ..Default::default() };
    let stack = Stack::open(flags.resolve().await?, asked, Some(args.timeout)).await?;
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
    let graph =
        components::graph()?.without(|node| !(wanted(node) || remember && node.id() == REMEMBERED));
    let rows = Rows::new(graph.ids());
    let summary = graph.reconcile(&stack, &rows).await?;
    let done = if summary.changed.is_empty() { "Nothing to change" } else { "Done" };
    printer::note(&format!("{done} in {}", took(summary.took)));
    Ok(Outcome::Good)
}
