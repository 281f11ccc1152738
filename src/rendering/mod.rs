//! Renders the steps that the nodes of the graph explain: as commands to paste, or as a folder of files with a script that
//! applies them.

mod folder;
mod script;

use anyhow::Result;

use crate::cluster::steps::Step;
use crate::engine::Id;
use crate::engine::graph::Graph;
use crate::stack::Stack;

pub use folder::write;
pub use script::explain;

/// The nodes with steps, in the order of the graph.
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
