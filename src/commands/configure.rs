use std::time::Duration;

use anyhow::Result;
use clap::Args;

use crate::cli::{KubeFlags, duration};
use crate::output::age::took;
use crate::output::printer;
use crate::output::progress::Rows;
use crate::stack::Stack;
use crate::stack::settings::Settings;
use crate::stack::versions::Component;
use crate::steps;

use super::Outcome;

/// Put right the settings inside of running components: Superset's connection, dashboards and roles
///
/// Touches no release and no Secret. What people made or changed in Superset stays.
#[derive(Debug, Args)]
pub struct ConfigureArgs {
    /// Only these components
    #[arg(value_enum)]
    components: Vec<Component>,
    /// How long to wait for everything together
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration)]
    timeout: Duration,
}

pub async fn run(flags: &KubeFlags, args: ConfigureArgs) -> Result<Outcome> {
    let stack = Stack::open(flags.resolve().await?, Settings::default(), Some(args.timeout)).await?;
    let wanted = |id: &str| args.components.is_empty() || args.components.iter().any(|component| id.starts_with(&format!("{component}.")));
    let graph = steps::graph()?;
    let configuring: Vec<_> = graph.steps().filter(|step| step.configures() && wanted(step.id())).map(|step| step.id()).collect();
    let graph = graph.without(|id| !configuring.contains(&id));
    let rows = Rows::new(graph.steps().map(|step| step.id()));
    let summary = graph.converge(&stack, &rows).await?;
    let done = if summary.changed.is_empty() { "Nothing to change" } else { "Done" };
    printer::note(&format!("{done} in {}", took(summary.took)));
    Ok(Outcome::Good)
}
