//! `install --dry-run`: what an install would do.

use anyhow::Result;
use serde::Serialize;

use crate::engine::Observation;
use crate::engine::graph::{Finding, Graph};
use crate::output::document::Content;
use crate::output::printer;
use crate::stack::Stack;

use super::{Outcome, TextOrJson};

/// What an install would do
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Plan<'a> {
    /// Context of the kubeconfig
    context: &'a str,
    /// Namespace of the stack
    namespace: &'a str,
    /// Number of resources and checks to create, change or wait for
    changes: usize,
    /// Whether something blocks the install
    blocked: bool,
    /// The resources and checks of the install: what one depends on is before it
    nodes: Vec<PlannedNode>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct PlannedNode {
    /// Stable id of the resource or check
    id: &'static str,
    action: Action,
    /// Texts: the differences, or what was observed
    details: Vec<String>,
}

/// `unknown`: a permission is missing; `later`: known after what it depends on is reconciled
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
enum Action {
    Unchanged,
    Create,
    Change,
    Wait,
    Unknown,
    Blocked,
    Later,
}

impl Action {
    fn as_str(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Create => "create",
            Self::Change => "change",
            Self::Wait => "wait",
            Self::Unknown => "unknown",
            Self::Blocked => "blocked",
            Self::Later => "later",
        }
    }

    fn is_change(self) -> bool {
        matches!(self, Self::Create | Self::Change | Self::Wait | Self::Later)
    }
}

impl Content for Plan<'_> {
    const KIND: &'static str = "Plan";
}

pub async fn run(graph: &Graph<Stack>, stack: &Stack, output: TextOrJson) -> Result<Outcome> {
    let mut nodes = Vec::new();
    for planned in graph.plan(stack).await {
        let id = planned.node.id();
        let (action, details) = match planned.finding {
            Finding::Observed(seen) => planned_for(seen),
            Finding::After(need) => (Action::Later, vec![format!("after {need}")]),
            Finding::Failed(error) => return Err(error.context(id)),
        };
        nodes.push(PlannedNode { id: id.as_str(), action, details });
    }
    let plan = Plan {
        context: &stack.cluster.context,
        namespace: stack.namespace(),
        changes: nodes.iter().filter(|node| node.action.is_change()).count(),
        blocked: nodes.iter().any(|node| node.action == Action::Blocked),
        nodes,
    };
    match output {
        TextOrJson::Json => printer::json(&plan)?,
        TextOrJson::Text => {
            announce(stack);
            printer::data(&render(&plan))?;
            printer::note(&match plan.changes {
                0 => "No changes".to_string(),
                changes => {
                    format!("{changes} to create, change or wait for; nothing was changed")
                }
            });
        }
    }
    Ok(if plan.blocked || plan.changes > 0 { Outcome::Fault } else { Outcome::Good })
}

/// Names the stack to install.
pub fn announce(stack: &Stack) {
    printer::note(&format!(
        "Installing into namespace {} of context {}, profile {}",
        stack.namespace(),
        stack.cluster.context,
        stack.settings.profile().name()
    ));
}

fn planned_for(seen: Observation) -> (Action, Vec<String>) {
    match seen {
        Observation::Equal(detail) => (Action::Unchanged, vec![detail]),
        Observation::Missing(what) => (Action::Create, vec![what]),
        Observation::Drifted(differences) => {
            (Action::Change, differences.iter().map(ToString::to_string).collect())
        }
        Observation::Unready(reason) => (Action::Wait, vec![reason]),
        Observation::Unknown { permission } => (Action::Unknown, vec![permission]),
        Observation::Blocked(diagnosis) | Observation::NotPermitted(diagnosis) => {
            (Action::Blocked, vec![format!("{diagnosis} (hint: {})", diagnosis.hint)])
        }
    }
}

fn render(plan: &Plan<'_>) -> String {
    let mut text = String::new();
    for PlannedNode { id, action, details } in &plan.nodes {
        for (i, detail) in details.iter().enumerate() {
            let (action, id) = if i == 0 { (action.as_str(), *id) } else { ("", "") };
            text.push_str(&format!("  {action:<9} {id:<22}  {detail}\n"));
        }
    }
    text
}
