use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use clap::Args;

use crate::cluster::Cluster;
use crate::cluster::flags::KubeFlags;
use crate::components::namespace::REMEMBERED;
use crate::components::{self, dataviz, lrs, operator};
use crate::engine::graph::{Finding, Graph};
use crate::engine::{Id, Node, Observation, Summary};
use crate::error::Failure;
use crate::output::printer::{self, FAINT, paint};
use crate::output::units::{duration, took};
use crate::rendering;
use crate::stack::component::{ComponentName, ComponentParser};
use crate::stack::profiles::Profile;
use crate::stack::settings::{Expose, IngressSettings, Settings, yaml_fault};
use crate::stack::{Reads, Stack};

use super::Outcome;
use super::progress::Rows;

/// Bring the stack, or parts of it, into the namespace and prove that it answers
///
/// Safe to repeat: what is already there is left alone, what a stopped run left is finished, what somebody
/// changed is repaired. Settings of an earlier install stay unless a flag or a file says otherwise.
#[derive(Debug, Args)]
pub struct InstallArgs {
    /// Only these components and what they need; a new stack then consists of them
    #[arg(long, value_parser = ComponentParser, value_delimiter = ',', value_name = "COMPONENT")]
    only: Vec<ComponentName>,
    /// All components, also those that an earlier `--only` left out
    #[arg(long, conflicts_with = "only")]
    all: bool,
    /// How big the stack is
    #[arg(long, value_enum)]
    profile: Option<Profile>,
    /// File with settings (components, profile, expose, ingress, imageRegistry, charts, values, lms)
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Chart values of a component that go over ours (repeatable)
    #[arg(long, value_name = "COMPONENT=FILE", value_parser = component_file)]
    values: Vec<(ComponentName, PathBuf)>,
    /// How the stack can be reached from outside the cluster
    #[arg(long, value_enum)]
    expose: Option<Expose>,
    #[command(flatten)]
    ingress: IngressSettings,
    /// Registry that all images come from; an empty one goes back to their own
    #[arg(long, value_name = "REGISTRY")]
    image_registry: Option<String>,
    /// Zip file or address of the plugin logstore_xapi, instead of its release
    #[arg(long, value_name = "FILE|URL", env = "LASTACK_PLUGIN", hide_env_values = true)]
    plugin: Option<String>,
    /// Use a new namespace named after you and a random number
    #[arg(long, conflicts_with = "namespace")]
    new_namespace: bool,
    /// Check to leave out (repeatable), such as preflight.room
    #[arg(long, value_name = "CHECK")]
    skip: Vec<String>,
    /// Show what would be done, change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the commands that do the same in bash; change nothing
    #[arg(long)]
    explain: bool,
    /// Write values, charts and manifests into a folder, with a script that applies them; contact no cluster
    #[arg(long, value_name = "DIR", conflicts_with_all = ["explain", "dry_run"])]
    render: Option<PathBuf>,
    /// Wait until everything is ready, which is what happens unless `--no-wait` is said
    #[arg(long, overrides_with = "no_wait")]
    wait: bool,
    /// Apply what can be applied now and do not wait
    #[arg(long, conflicts_with = "timeout", overrides_with = "wait")]
    no_wait: bool,
    /// How long to wait for everything together
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = duration)]
    timeout: Duration,
}

fn component_file(text: &str) -> Result<(ComponentName, PathBuf), String> {
    let (component, file) = text.split_once('=').ok_or("expected COMPONENT=FILE")?;
    let known = ComponentParser::find(component);
    Ok((known.ok_or_else(|| format!("`{component}` is not a component"))?, file.into()))
}

pub async fn run(flags: &KubeFlags, args: InstallArgs) -> Result<Outcome> {
    let asked = settings(&args)?;
    let mut flags = flags.clone();
    if args.new_namespace {
        flags.namespace = Some(new_namespace());
    }
    let graph = graph(&args)?;
    let mut stack = match &args.render {
        Some(_) => offline(&flags, asked).await?,
        None => {
            let wait = (!args.no_wait).then_some(args.timeout);
            Stack::open(flags.resolve().await?, asked, wait).await?
        }
    };
    stack.settings.check()?;
    let all: Vec<Id> = graph.ids().collect();
    let graph = of_components(graph, &args, &stack);
    stack.settings.components = consists_of(&graph, &all, &args, &stack);
    if !args.ingress.is_empty() && stack.settings.expose() != Expose::Ingress {
        return Err(Failure::usage(
            "`--domain`, `--ingress-class` and `--tls-secret` are only for `--expose ingress`",
        )
        .into());
    }
    if args.explain {
        return explain(&graph, &mut stack).await;
    }
    if let Some(folder) = &args.render {
        return render(&graph, &stack, folder).await;
    }
    printer::note(&format!(
        "Installing into namespace {} of context {}, profile {}",
        stack.namespace(),
        stack.cluster.context,
        stack.settings.profile().name()
    ));
    if args.dry_run {
        return plan(&graph, &stack).await;
    }
    let rows = Rows::new(graph.ids());
    let summary = graph.reconcile(&stack, &rows).await;
    conclude(&stack, &summary?);
    Ok(Outcome::Good)
}

fn settings(args: &InstallArgs) -> Result<Settings> {
    let mut settings = args.file.as_deref().map(Settings::read).transpose()?.unwrap_or_default();
    for (component, file) in &args.values {
        let text = std::fs::read_to_string(file)
            .map_err(|error| Failure::usage(format!("cannot read {}: {error}", file.display())))?;
        let values = serde_saphyr::from_str(&text).map_err(|error| {
            Failure::usage(format!("{} is not YAML: {}", file.display(), yaml_fault(&error)))
        })?;
        settings.values.insert(*component, values);
    }
    let typed = Settings {
        profile: args.profile,
        expose: args.expose,
        ingress: args.ingress.clone(),
        image_registry: args.image_registry.clone(),
        plugin: args.plugin.clone(),
        ..Default::default()
    };
    // an empty registry must reach the stored settings to take theirs away
    let registry = typed.image_registry.clone().or(settings.image_registry.clone());
    let mut settings = settings.overridden_by(typed);
    settings.image_registry = registry;
    Ok(settings)
}

fn graph(args: &InstallArgs) -> Result<Graph<Stack>> {
    let graph = components::graph()?;
    let is_skippable =
        |node: &&Node<Stack>| node.is_check() && ComponentName::of(node.id()).is_none();
    let checks: Vec<&str> =
        graph.nodes().filter(is_skippable).map(|check| check.id().as_str()).collect();
    for skip in &args.skip {
        if !checks.contains(&skip.as_str()) {
            return Err(Failure::usage(format!("`{skip}` is not a check that can be skipped"))
                .hint(format!("there are {}", checks.join(", ")))
                .into());
        }
    }
    Ok(graph.without(|node| args.skip.iter().any(|skip| skip == node.id().as_str())))
}

/// Of all nodes those of the components that are asked for now, or else of those that the stack consists of.
fn of_components(graph: Graph<Stack>, args: &InstallArgs, stack: &Stack) -> Graph<Stack> {
    let wanted: BTreeSet<ComponentName> = match &stack.settings.components {
        _ if !args.only.is_empty() => args.only.iter().copied().collect(),
        Some(components) if !args.all => components.clone(),
        _ => return graph,
    };
    let is_wanted = |node: &Node<Stack>| {
        ComponentName::of(node.id()).is_some_and(|component| wanted.contains(&component))
    };
    graph.only(|node| is_wanted(node) || is_of_a_stack(&wanted) && node.id() == REMEMBERED)
}

/// The operator is the cluster's; every other component is of a stack, whose settings the next install must know.
fn is_of_a_stack(components: &BTreeSet<ComponentName>) -> bool {
    components.iter().any(|component| *component != operator::COMPONENT)
}

/// What the stack consists of from now on: a component of which only an account is needed is not there. None: of everything.
fn consists_of(
    graph: &Graph<Stack>,
    all: &[Id],
    args: &InstallArgs,
    stack: &Stack,
) -> Option<BTreeSet<ComponentName>> {
    let is_taken = |id: &Id| graph.ids().any(|taken| taken == *id);
    let is_whole = |component: &ComponentName| {
        all.iter().filter(|id| ComponentName::of(**id) == Some(*component)).all(is_taken)
    };
    let mut components: BTreeSet<ComponentName> = ComponentName::all().filter(is_whole).collect();
    match &stack.settings.components {
        _ if args.all => return None,
        // a whole stack of which only some components are looked after now
        None if !stack.is_new => return None,
        None => {}
        Some(before) => components.extend(before),
    }
    ComponentName::all().any(|component| !components.contains(&component)).then_some(components)
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

async fn plan(graph: &Graph<Stack>, stack: &Stack) -> Result<Outcome> {
    let mut blocked = false;
    let mut changes = 0;
    let mut text = String::new();
    for planned in graph.plan(stack).await? {
        let (word, details) = match planned.finding {
            Finding::Observed(Observation::Equal(detail)) => ("there", vec![detail]),
            Finding::Observed(Observation::Missing(what)) => ("make", vec![what]),
            Finding::Observed(Observation::Drifted(differences)) => {
                ("change", differences.iter().map(ToString::to_string).collect())
            }
            Finding::Observed(Observation::Unready(reason)) => ("wait", vec![reason]),
            Finding::Observed(Observation::Unknown { permission }) => ("unknown", vec![permission]),
            Finding::Observed(
                Observation::Blocked(diagnosis) | Observation::NotPermitted(diagnosis),
            ) => {
                blocked = true;
                ("blocked", vec![format!("{diagnosis} (hint: {})", diagnosis.hint)])
            }
            Finding::After(need) => ("later", vec![format!("after {need}")]),
        };
        changes += usize::from(matches!(word, "make" | "change" | "wait" | "later"));
        let id = planned.node.id();
        for (i, detail) in details.iter().enumerate() {
            match i {
                0 => text.push_str(&format!("  {word:<8} {id:<22}  {detail}\n")),
                _ => text.push_str(&format!("  {:<8} {:<22}  {detail}\n", "", "")),
            }
        }
    }
    printer::data(&text)?;
    printer::note(&if changes == 0 {
        "Nothing to do".to_string()
    } else {
        format!("{changes} steps to do; nothing was changed")
    });
    Ok(if blocked { Outcome::Fault } else { Outcome::Good })
}

fn conclude(stack: &Stack, summary: &Summary) {
    let flags = &stack.cluster.flags;
    if !summary.pending.is_empty() {
        printer::note(&format!("Started; not waited for: {}", super::ids(&summary.pending)));
        printer::note(&format!("  kubectl lastack install{flags}   finish it"));
        return;
    }
    let chain = format!("(longest chain {})", took(summary.longest_chain));
    let done = if summary.changed.is_empty() { "Ready, nothing to change," } else { "Ready" };
    printer::note(&format!("{done} in {} {}", took(summary.took), paint(FAINT, &chain)));
    let left_out = ComponentName::all().filter(|component| !stack.settings.has(*component));
    let left_out: Vec<&str> = left_out.map(ComponentName::as_str).collect();
    if !left_out.is_empty() {
        printer::note(&format!(
            "This stack is without {}: `kubectl lastack install{flags} --all` brings them",
            left_out.join(", ")
        ));
    }
    let hints = [
        (Some(lrs::COMPONENT), "seed", "fill it with 22,000 example statements"),
        (Some(dataviz::COMPONENT), "open dataviz", "look at the dashboards"),
        (None, "status", "look at it hop by hop"),
        (None, "creds", "user names and passwords"),
    ];
    for (_, command, purpose) in hints
        .into_iter()
        .filter(|(of, ..)| of.is_none_or(|component| stack.settings.has(component)))
    {
        printer::note(&format!("  {:<36} {purpose}", format!("kubectl lastack {command}{flags}")));
    }
}
