use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use clap::Args;

use crate::cluster::Cluster;
use crate::cluster::access::Rules;
use crate::cluster::flags::KubeFlags;
use crate::cluster::{lease, pod_problem, tunnel};
use crate::components::access::{AUTOSCALERS, Access, DISRUPTION_BUDGETS, INGRESSES, INSTALL};
use crate::components::namespace::NAMESPACE;
use crate::components::{self, conditions, dataviz, lms, lrs};
use crate::engine::graph::Graph;
use crate::engine::{Node, Summary};
use crate::output::printer::{self, FAINT, paint};
use crate::output::units::{duration, took};
use crate::rendering;
use crate::stack::component::ComponentName;
use crate::stack::settings::{Expose, Settings};
use crate::stack::versions::Versions;
use crate::stack::{Reads, Stack};
use crate::upgrade;

use super::journal::Journal;
use super::stack_args::StackArgs;
use super::{Outcome, TextOrJson, left_until, lock, plan, require_newest, require_running};

/// Install the stack and verify that every component responds
///
/// Running it again is safe: it leaves unchanged resources in place, completes an interrupted install and reconciles
/// drift. Settings of an earlier install apply unless a flag or a file overrides them.
#[derive(Debug, Args)]
#[command(after_long_help = after_help!("  kubectl lastack install
  kubectl lastack install --profile classroom --expose ingress --domain la.example.org
  kubectl lastack install -f lastack.yaml --dry-run", fault: "with `--dry-run`, the install would change something or is blocked", timeout, json: "Event" "Summary" "Plan"))]
pub struct InstallArgs {
    #[command(flatten)]
    stack: StackArgs,
    /// Create a namespace named after your user name and a random number
    #[arg(long, conflicts_with = "namespace")]
    new_namespace: bool,
    /// Show the plan and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the equivalent commands for bash and change nothing
    #[arg(long)]
    explain: bool,
    /// Write values, charts and manifests into a folder, with a script that applies them; contact no cluster
    #[arg(long, value_name = "DIR", conflicts_with_all = ["explain", "dry_run"])]
    render: Option<PathBuf>,
    /// Wait until every component is ready (the default)
    #[arg(long, overrides_with = "no_wait")]
    wait: bool,
    /// Apply everything that can be applied now, without waiting
    #[arg(long, conflicts_with = "timeout", overrides_with = "wait")]
    no_wait: bool,
    /// Time limit for the whole command
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = duration)]
    timeout: Duration,
    /// Output format of the progress, and of the plan of `--dry-run`
    #[arg(short, long, value_enum, default_value = "text", conflicts_with_all = ["explain", "render"])]
    output: TextOrJson,
}

/// `install` also configures the components and observes their health.
pub fn needs() -> Vec<Rules> {
    let of_component =
        |access: &'static Access| [access.install, access.configure, access.health].concat();
    let components =
        components::all().iter().flat_map(|one| of_component(&one.declaration().access));
    components
        .chain([INSTALL, INGRESSES, DISRUPTION_BUDGETS, AUTOSCALERS])
        .chain([lease::RULES, tunnel::RULES, pod_problem::RULES, conditions::MARKS])
        .collect()
}

pub async fn run(flags: &KubeFlags, args: InstallArgs) -> Result<Outcome> {
    let asked = args.stack.settings()?;
    let mut flags = flags.clone();
    if args.new_namespace {
        flags.namespace = Some(new_namespace());
    }
    let whole = args.stack.graph()?;
    if let Some(folder) = &args.render {
        let (graph, stack) = args.stack.prepare(whole, offline(&flags, asked).await?)?;
        return render(&graph, &stack, folder).await;
    }
    let wait = (!args.no_wait).then_some(args.timeout);
    let open = async || Stack::open(flags.resolve().await?, asked.clone(), wait).await;
    if args.explain || args.dry_run {
        let (graph, mut stack) = args.stack.prepare(whole, open().await?)?;
        return match args.explain {
            true => explain(&graph, &mut stack).await,
            false => plan::run(&graph, &stack, args.output).await,
        };
    }
    let journal = Journal::new("install", args.output);
    let ended = reconcile(&args.stack, open, whole, &journal).await;
    journal.conclude(ended)
}

async fn reconcile(
    args: &StackArgs,
    open: impl AsyncFn() -> Result<Stack>,
    whole: Graph<Stack>,
    journal: &Journal,
) -> Result<Summary> {
    let (graph, mut stack) = args.prepare(whole, open().await?)?;
    journal.names(&stack);
    require_running(&stack).await?;
    require_newest(&stack)?;
    plan::announce(&stack);
    let report = journal.report(graph.ids());
    let is_namespace = |node: &Node<Stack>| node.id() == NAMESPACE;
    // the lock is an object in the namespace
    let (first, mut graph) = graph.split(is_namespace);
    let before = first.reconcile(&stack, &*report).await?;
    let lock = lock::take(&stack.cluster, "install", stack.deadline).await?;
    if lock.has_waited {
        // the other command may have changed the settings
        let deadline = stack.deadline;
        (graph, stack) = args.prepare(args.graph()?, open().await?)?;
        deadline.inspect(|deadline| stack.wait_for(left_until(*deadline)));
        graph = graph.split(is_namespace).1;
    }
    let summary = before.then(lock.during(graph.reconcile(&stack, &*report)).await?);
    // the rows are complete
    drop(report);
    conclude(&stack, &summary);
    Ok(summary)
}

fn new_namespace() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("USERNAME")).unwrap_or_default();
    let name: String = user
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(40)
        .collect();
    let name = name.trim_matches('-');
    let name = if name.is_empty() { "lastack" } else { name };
    format!("{name}-{}", rand::random_range(1000..=32767))
}

async fn explain(graph: &Graph<Stack>, stack: &mut Stack) -> Result<Outcome> {
    stack.reads = Reads::ExceptSecrets;
    printer::data(&rendering::explain(graph, stack).await?)?;
    Ok(Outcome::Good)
}

async fn render(graph: &Graph<Stack>, stack: &Stack, folder: &Path) -> Result<Outcome> {
    let written = rendering::write(graph, stack, folder).await?;
    printer::note(&format!("Wrote {} files to {}", written.files, folder.display()));
    printer::note(&format!("  {}", folder.join("apply.sh").display()));
    for verb in written.verbs {
        printer::note(&format!("  {verb}"));
    }
    Ok(Outcome::Good)
}

/// The stack to render. Without `--namespace`, the kubeconfig gives the namespace.
async fn offline(flags: &KubeFlags, asked: Settings) -> Result<Stack> {
    let namespace = match &flags.namespace {
        Some(namespace) => namespace.clone(),
        None => flags.resolve().await?.namespace,
    };
    Ok(Stack::offline(Cluster::offline(&namespace)?, asked))
}

fn conclude(stack: &Stack, summary: &Summary) {
    let flags = &stack.cluster.flags;
    if !summary.pending.is_empty() {
        printer::note(&format!("Started; not ready yet: {}", super::ids(&summary.pending)));
        super::next_steps(&[(format!("install{flags}"), "complete the install")]);
        return;
    }
    let chain = format!("(longest chain {})", took(summary.longest_chain));
    let done = if summary.changed.is_empty() { "Ready, nothing to change," } else { "Ready" };
    printer::styled(&format!("{done} in {} {}", took(summary.took), paint(FAINT, &chain)));
    if let Expose::Loadbalancer | Expose::Nodeport = stack.settings.expose() {
        printer::warning(
            "passwords and statements travel unencrypted over HTTP; use `--expose ingress` with `--tls-secret` for real users",
        );
    }
    let newer = upgrade::plan::steps(&stack.versions.components, &Versions::get().components);
    let newer = newer.iter().filter(|step| stack.settings.has(step.component));
    let parts = newer.flat_map(|step| &step.parts);
    let mut newer: Vec<String> = parts.map(|part| format!("{} {}", part.name, part.to)).collect();
    let mut seen = BTreeSet::new();
    newer.retain(|part| seen.insert(part.clone()));
    if !newer.is_empty() {
        printer::note(&format!(
            "Newer versions are available: {}; run `kubectl lastack upgrade{flags} --dry-run` to see the changes",
            newer.join(", ")
        ));
    }
    let left_out = ComponentName::all().filter(|component| !stack.settings.has(*component));
    let left_out: Vec<&str> = left_out.map(ComponentName::as_str).collect();
    if !left_out.is_empty() {
        printer::note(&format!(
            "Not part of this stack: {}; run `kubectl lastack install{flags} --all` to install all",
            left_out.join(", ")
        ));
    }
    if stack.settings.has(lms::COMPONENT) && !stack.settings.has(lrs::COMPONENT) {
        printer::warning(
            "this stack has no LRS; Moodle keeps its events and sends them when the LRS is installed",
        );
    }
    let steps = [
        (Some(lrs::COMPONENT), "seed", "send 22,000 example statements"),
        (Some(dataviz::COMPONENT), "open dataviz", "open the dashboards"),
        (None, "status", "show the health of each component"),
        (None, "creds", "show user names and passwords"),
    ];
    let is_possible = |of: &Option<ComponentName>| of.is_none_or(|name| stack.settings.has(name));
    let steps: Vec<(String, &str)> = steps
        .into_iter()
        .filter(|(of, ..)| is_possible(of))
        .map(|(_, command, purpose)| (format!("{command}{flags}"), purpose))
        .collect();
    super::next_steps(&steps);
}
