//! What a user runs instead of this program: commands to paste, or a folder of files with a script that applies them.
//! Both come from the steps that the nodes of the graph explain.

mod folder;
mod script;

use anyhow::Result;

use crate::cluster::steps::Step;
use crate::engine::Id;
use crate::engine::graph::Graph;
use crate::stack::Stack;

pub use folder::write;
pub use script::explain;

/// The nodes that a user does something for, in the order of the graph, each with its steps.
type Plan = Vec<(Id, Vec<Step>)>;

async fn plan(graph: &Graph<Stack>, stack: &Stack) -> Result<Plan> {
    let mut plan = Plan::new();
    for node in graph.nodes() {
        let steps = node.explain(stack).await?;
        if !steps.is_empty() {
            plan.push((node.id(), steps));
        }
    }
    Ok(plan)
}
