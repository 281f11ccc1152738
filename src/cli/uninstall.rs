use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::cluster::access::Rules;
use crate::cluster::flags::KubeFlags;
use crate::cluster::object::{self, ObjectRef};
use crate::cluster::{lease, tunnel};
use crate::components::{self, access, datalake};
use crate::engine::graph::Graph;
use crate::engine::{DeleteOptions, Deletion, Id, Summary};
use crate::error::Failure;
use crate::output::document::Content;
use crate::output::printer;
use crate::output::units::{duration, took};
use crate::stack::Stack;
use crate::stack::component::ComponentName;

use super::confirmation::{self, Statements};
use super::journal::Journal;
use super::{Outcome, TextOrJson, as_installed, left_until, lock, open};

/// The name of this verb in the lock.
const VERB: &str = "uninstall";
const UNCHANGED: &str = "nothing was deleted";

/// Delete the stack and verify that nothing remains
///
/// Deletes only objects that this tool created, as their owners or helm's annotations show, and lists every other object with
/// the labels of the stack. With statements of real learners, you confirm by typing the namespace.
#[derive(Debug, Args)]
#[command(after_long_help = after_help!("  kubectl lastack uninstall --dry-run
  kubectl lastack uninstall --keep-data
  kubectl lastack uninstall --yes --operator -n alice", timeout, json: "Event" "Summary" "DeletionPlan"))]
pub struct UninstallArgs {
    /// Do not ask for confirmation; requires `--namespace` or `--context`
    #[arg(short, long)]
    yes: bool,
    /// Keep statements, courses, dashboards, passwords and settings for a later install
    #[arg(long)]
    keep_data: bool,
    /// Also delete the ECK operator, unless another stack in the cluster uses it
    #[arg(long)]
    operator: bool,
    /// Show the plan and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Time limit for the whole command
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration)]
    timeout: Duration,
    /// Output format of the progress, and of the plan of `--dry-run`
    #[arg(short, long, value_enum, default_value = "text")]
    output: TextOrJson,
}

pub const NEEDS: &[Rules] =
    &[lease::RULES, tunnel::RULES, datalake::CLIENT, access::UNINSTALL, datalake::UNINSTALL];

pub async fn run(flags: &KubeFlags, args: UninstallArgs) -> Result<Outcome> {
    if args.dry_run {
        return show_plan(flags, &args).await;
    }
    let journal = Journal::new(VERB, args.output);
    let ended = delete(flags, &args, &journal).await;
    journal.conclude(ended)
}

async fn show_plan(flags: &KubeFlags, args: &UninstallArgs) -> Result<Outcome> {
    let stack = open(flags).await?;
    let options = args.options();
    let plan = graph()?.plan_deletion(&stack, options).await?;
    if args.output == TextOrJson::Json {
        printer::json(&DeletionPlan::of(&stack, &plan))?;
        return Ok(Outcome::Good);
    }
    match sentences(&stack, &plan) {
        Some(sentences) => {
            let statements = args.statements(&stack, &plan).await.shown();
            let lines = [Some(sentences), statements].into_iter().flatten();
            printer::data(&lines.map(|line| line + "\n").collect::<String>())?;
        }
        None => nothing_to_delete(&stack, &plan)?,
    }
    Ok(Outcome::Good)
}

async fn delete(flags: &KubeFlags, args: &UninstallArgs, journal: &Journal) -> Result<Summary> {
    if args.yes {
        confirmation::require_named_stack(flags, VERB, UNCHANGED)?;
    }
    let (graph, options) = (graph()?, args.options());
    let cluster = flags.resolve().await?;
    let deadline = Instant::now() + args.timeout;
    // a question may stay open for hours, and other commands need not wait for it
    let early = match args.yes {
        true => Some(lock::take(&cluster, VERB, Some(deadline)).await?),
        false => None,
    };
    let mut stack = as_installed(cluster, None).await?;
    journal.names(&stack);
    let plan = graph.plan_deletion(&stack, options).await?;
    let Some(sentences) = sentences(&stack, &plan) else {
        nothing_to_delete(&stack, &plan)?;
        return Ok(Summary::default());
    };
    let statements = args.statements(&stack, &plan).await;
    let shown = [Some(sentences), statements.shown()];
    let shown: Vec<String> = shown.into_iter().flatten().collect();
    if args.yes {
        printer::note(&shown.join("\n"));
    } else {
        printer::important(&shown.join("\n"));
        let question = match statements {
            Statements::Retained => "Delete these objects?".to_string(),
            _ => full_question(),
        };
        confirmation::confirm(&stack, &statements, &question, UNCHANGED).await?;
    }
    let lock = match early {
        Some(lock) => lock,
        None => {
            let deadline = Instant::now() + args.timeout;
            lock::take(&stack.cluster, VERB, Some(deadline)).await?
        }
    };
    // the time limit excludes the time the user took to confirm
    stack.wait_for(if args.yes { left_until(deadline) } else { args.timeout });
    if lock.has_waited && !args.yes && graph.plan_deletion(&stack, options).await? != plan {
        return Err(Failure::failed(
            "another command changed the stack after your confirmation; nothing was deleted",
        )
        .hint("repeat the command to see the objects that it deletes now")
        .into());
    }
    let report = journal.report(graph.ids());
    let summary = lock.during(graph.delete(&stack, options, &*report)).await?;
    drop(report);
    verify(&graph, &stack, options).await?;
    printer::note(&format!("Deleted in {}", took(summary.took)));
    Ok(summary)
}

impl UninstallArgs {
    fn options(&self) -> DeleteOptions {
        DeleteOptions { keep_data: self.keep_data, shared: self.operator }
    }

    /// The statements that the deletion loses.
    async fn statements(&self, stack: &Stack, plan: &Plan) -> Statements {
        match self.keep_data {
            true => Statements::Retained,
            false if plan.iter().any(deletes_statements) => Statements::count(stack).await,
            false => Statements::Absent,
        }
    }
}

fn graph() -> Result<Graph<Stack>> {
    Ok(components::graph()?.without(|node| node.is_check()))
}

type Plan = [(Id, Deletion<ObjectRef>)];

/// Whether the plan of a node deletes a volume of the data lake or the resource that owns its volumes.
fn deletes_statements((id, deletion): &(Id, Deletion<ObjectRef>)) -> bool {
    let has_data = |object: &ObjectRef| {
        ["persistentvolumeclaim", "elasticsearch"].contains(&object.kind.as_str())
    };
    ComponentName::of(*id) == Some(datalake::COMPONENT) && deletion.delete.iter().any(has_data)
}

/// The question that names the data lost with the volumes of the components.
fn full_question() -> String {
    let stores = components::all().iter().copied().filter_map(|one| one.declaration().stores);
    format!("Delete these objects, with {}?", stores.collect::<Vec<_>>().join(", "))
}

/// The objects to delete and those to leave in place. None: there is nothing to delete.
fn sentences(stack: &Stack, plan: &Plan) -> Option<String> {
    let deleted: String = plan
        .iter()
        .flat_map(|(id, deletion)| deletion.delete.iter().map(move |object| (id, object)))
        .map(|(id, object)| format!("\n  {id:<20} {object}"))
        .collect();
    let sentence = format!("To be deleted from {}:{deleted}", place(stack));
    (!deleted.is_empty())
        .then(|| sentence + &left(plan).map(|left| format!("\n{left}")).unwrap_or_default())
}

fn nothing_to_delete(stack: &Stack, plan: &Plan) -> Result<()> {
    if let Some(left) = left(plan) {
        printer::note(&left);
    }
    nothing_remains(stack, plan)?;
    printer::note(&format!("Nothing to delete in {}", place(stack)));
    Ok(())
}

fn place(stack: &Stack) -> String {
    format!("namespace {} of context {}", stack.namespace(), stack.cluster.context)
}

fn left(plan: &Plan) -> Option<String> {
    let retained = retained(plan);
    (!retained.is_empty()).then(|| format!("Left in place:{retained}"))
}

/// The objects to leave in place, one per line, with the reason.
fn retained(plan: &Plan) -> String {
    let lines = plan.iter().flat_map(|(id, deletion)| {
        let line =
            move |(object, why): &(ObjectRef, String)| format!("\n  {id:<20} {object}: {why}");
        deletion.keep.iter().map(line)
    });
    lines.collect()
}

/// Verifies that every deleted object is gone.
async fn verify(graph: &Graph<Stack>, stack: &Stack, options: DeleteOptions) -> Result<()> {
    let plan = graph.plan_deletion(stack, options).await?;
    for (id, deletion) in &plan {
        if !deletion.delete.is_empty() {
            let names = object::names(&deletion.delete, ", ");
            return Err(Failure::failed(format!("{id}: not deleted: {names}")).into());
        }
    }
    nothing_remains(stack, &plan)
}

/// Verifies by the stack's labels, independently of what each resource lists.
fn nothing_remains(stack: &Stack, plan: &Plan) -> Result<()> {
    if let Some(sentence) = plan.iter().find_map(|(_, deletion)| deletion.unknown.as_ref()) {
        printer::warning(&format!("cannot verify that nothing remains: {sentence}"));
    }
    let unclaimed = plan.iter().flat_map(|(_, deletion)| deletion.unclaimed.clone());
    let unclaimed: Vec<ObjectRef> = unclaimed.collect();
    if unclaimed.is_empty() {
        return Ok(());
    }
    let namespace = stack.namespace();
    Err(Failure::failed(format!(
        "namespace {namespace}: objects with the stack's labels remain: {}",
        object::names(&unclaimed, ", ")
    ))
    .hint(format!(
        "if you do not need them, run: kubectl delete -n {namespace} {}",
        object::names(&unclaimed, " ")
    ))
    .into())
}

/// What `uninstall` would delete
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DeletionPlan<'a> {
    /// Context of the kubeconfig
    context: &'a str,
    /// Namespace of the stack
    namespace: &'a str,
    /// The objects to delete
    delete: Vec<PlannedObject<'a>>,
    /// The objects to leave in place
    keep: Vec<PlannedObject<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct PlannedObject<'a> {
    /// Stable id of the resource that the object belongs to
    id: &'static str,
    /// Kind and name, as kubectl writes them
    object: String,
    /// Text: why it is left in place; absent for an object to delete
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

impl Content for DeletionPlan<'_> {
    const KIND: &'static str = "DeletionPlan";
}

impl<'a> DeletionPlan<'a> {
    fn of(stack: &'a Stack, plan: &'a Plan) -> Self {
        let object = |id: &Id, object: &ObjectRef, reason| {
            let object = object.to_string();
            PlannedObject { id: id.as_str(), object, reason }
        };
        let delete = plan.iter().flat_map(|(id, deletion)| {
            deletion.delete.iter().map(move |deleted| object(id, deleted, None))
        });
        let keep = plan.iter().flat_map(|(id, deletion)| {
            deletion.keep.iter().map(move |(kept, why)| object(id, kept, Some(why.as_str())))
        });
        Self {
            context: &stack.cluster.context,
            namespace: stack.namespace(),
            delete: delete.collect(),
            keep: keep.collect(),
        }
    }
}
