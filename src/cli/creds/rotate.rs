use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;

use crate::cluster::access::Rules;
use crate::cluster::flags::KubeFlags;
use crate::components::secrets::SecretSpec;
use crate::components::{self, datalake, lms, lrs};
use crate::engine::Observation;
use crate::engine::graph::{Finding, Graph};
use crate::error::Failure;
use crate::output::printer;
use crate::output::table::table;
use crate::output::units::{count, duration, took};
use crate::stack::Stack;
use crate::stack::component::{ComponentName, ComponentParser};
use crate::stack::settings::{Sending, Settings};

use super::super::progress::Rows;
use super::super::{Outcome, confirm, install, left_until, lock, require_newest};

/// Replace the passwords of the stack and reconcile all components with them
///
/// Writes new random passwords into the Secrets that this tool created, then reconciles the stack as `install` does. Restarts
/// the components that read a replaced password, and resends the events that the LRS rejected meanwhile. Run `install` to
/// complete an interrupted rotation.
#[derive(Debug, Args)]
#[command(after_long_help = after_help!("  kubectl lastack creds rotate
  kubectl lastack creds rotate lrs --yes", timeout))]
pub struct RotateArgs {
    /// Component whose passwords to replace [default: all]
    #[arg(value_parser = ComponentParser)]
    component: Option<ComponentName>,
    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,
    /// Time limit for the whole command
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = duration)]
    timeout: Duration,
}

/// What an error says before the first change.
const UNCHANGED: &str = "no password was replaced";

/// A Secret to rotate.
type Rotated = (ComponentName, SecretSpec);

/// A rotation reconciles the stack as `install` does.
pub fn needs() -> Vec<Rules> {
    install::needs()
}

pub async fn run(flags: &KubeFlags, args: RotateArgs) -> Result<Outcome> {
    let mut stack = open(flags).await?;
    require_newest(&stack)?;
    let secrets = secrets(&stack, args.component).await?;
    reject_blocked(&graph(&stack)?, &stack).await?;
    if loses_events(&stack, &secrets) {
        printer::warning(
            "Moodle sends events during the page request; events are lost while the LRS rejects its old password",
        );
        printer::note("  kubectl lastack configure lms --background   avoid this");
    }
    let names: Vec<&str> = secrets.iter().map(|(_, secret)| secret.name).collect();
    let question = format!(
        "Replace the passwords in {} of namespace {} and restart the components that use them?",
        names.join(", "),
        stack.namespace()
    );
    confirm(args.yes, &question, UNCHANGED, "pass `--yes`").await?;
    // the time limit excludes the time the user took to confirm
    let deadline = Instant::now() + args.timeout;
    let lock = lock::take(&stack.cluster, "creds rotate", Some(deadline)).await?;
    if lock.has_waited {
        // the other command may have changed the settings
        stack = open(flags).await?;
    }
    stack.wait_for(left_until(deadline));
    lock.during(rotate(&stack, &secrets)).await
}

async fn rotate(stack: &Stack, secrets: &[Rotated]) -> Result<Outcome> {
    let graph = graph(stack)?;
    for (_, secret) in secrets {
        secret.rotate(stack).await?;
    }
    printer::data(&render(secrets))?;
    let rows = Rows::new(graph.ids());
    let summary = graph.reconcile(stack, &rows).await.map_err(|error| {
        error.context(
            "the Secrets have new passwords, and `kubectl lastack install` completes the rotation",
        )
    })?;
    resend(&graph, stack).await?;
    printer::note(&format!("Rotated in {}", took(summary.took)));
    Ok(Outcome::Good)
}

async fn open(flags: &KubeFlags) -> Result<Stack> {
    Stack::open(flags.resolve().await?, Settings::default(), None).await
}

/// The nodes of the components that are installed.
fn graph(stack: &Stack) -> Result<Graph<Stack>> {
    Ok(components::of_stack(components::graph()?, stack))
}

/// The Secrets to rotate. Secrets of other tools and users are left in place, with a warning.
async fn secrets(stack: &Stack, wanted: Option<ComponentName>) -> Result<Vec<Rotated>> {
    let mut found = Vec::new();
    for component in components::all() {
        let name = component.declaration().name;
        if wanted.is_some_and(|wanted| wanted != name) {
            continue;
        }
        for secret in component.rotated(stack) {
            if secret.passwords().is_empty() {
                continue;
            }
            match secret.is_ours(stack).await? {
                Some(true) => found.push((name, secret)),
                Some(false) => printer::warning(&format!(
                    "secret {} was not created by this tool and is left in place; change it yourself, then run `kubectl lastack install`",
                    secret.name
                )),
                None => {}
            }
        }
    }
    if found.is_empty() {
        let of = wanted.map(|component| format!(" of {component}")).unwrap_or_default();
        return Err(Failure::failed(format!(
            "namespace {}: no passwords{of} to replace",
            stack.namespace()
        ))
        .hint(format!("run `kubectl lastack creds{}` to show the accounts", stack.cluster.flags))
        .into());
    }
    Ok(found)
}

/// Fails when the stack could not be reconciled after a rotation.
async fn reject_blocked(graph: &Graph<Stack>, stack: &Stack) -> Result<()> {
    for planned in graph.plan(stack).await {
        let error = match planned.finding {
            Finding::Observed(seen @ (Observation::Blocked(_) | Observation::NotPermitted(_))) => {
                seen.into_error()
            }
            Finding::Failed(error) => error,
            Finding::Observed(_) | Finding::After(_) => continue,
        };
        return Err(error.context(planned.node.id()).context(UNCHANGED));
    }
    Ok(())
}

/// Whether Moodle keeps no event that the LRS rejects. In the background it keeps them and sends them again.
fn loses_events(stack: &Stack, secrets: &[Rotated]) -> bool {
    let is_on_the_way =
        |(component, _): &Rotated| [lrs::COMPONENT, datalake::COMPONENT].contains(component);
    stack.settings.has(lms::COMPONENT)
        && stack.settings.lms.sending == Some(Sending::Immediate)
        && secrets.iter().any(is_on_the_way)
}

/// Resends the events that the LRS rejected while its accounts and Moodle's setting changed one after the other.
async fn resend(graph: &Graph<Stack>, stack: &Stack) -> Result<()> {
    if !graph.ids().any(|id| ComponentName::of(id) == Some(lms::COMPONENT)) {
        return Ok(());
    }
    let moodle = lms::client(stack).await?;
    let due = moodle.state().await?.queue.map_or(0, |queue| queue.due());
    if due > 0 {
        let replayed = moodle.replay(false).await?;
        printer::note(&format!("{} of {} events resent", count(replayed.sent), count(due)));
    }
    Ok(())
}

fn render(secrets: &[Rotated]) -> String {
    let rows = secrets.iter().map(|(component, secret)| {
        [component.to_string(), secret.name.to_string(), secret.passwords().join(", ")]
    });
    table(["COMPONENT", "SECRET", "REPLACED KEYS"], rows).to_string()
}
