//! The checks of a stack: every node of its graph, and what `install` does not wait for.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use async_trait::async_trait;
use futures::future::join;
use serde_json::Value;

use crate::components::dataviz::client::Kind;
use crate::components::dataviz::dashboards::asset::Asset;
use crate::components::dataviz::dashboards::bundle::Bundle;
use crate::components::{self, conditions, dataviz};
use crate::dashboards::check;
use crate::dashboards::live;
use crate::engine::graph::{Finding, Graph, Planned};
use crate::engine::{Check, Id, Node, Observation, Severity};
use crate::error::{self, Diagnosis};
use crate::stack::Stack;

/// What is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Whether the cluster can hold a stack.
    Cluster,
    /// The stack, and the cluster that holds it.
    Stack,
}

/// Whether the images are pulled, for which Pods start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Images {
    Unchecked,
    Pulled,
}

/// The result of one check.
pub struct Checked {
    pub id: Id,
    pub severity: Severity,
    pub result: Verdict,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    Passed(String),
    /// `remedy` is what to do next, in the imperative.
    Failed {
        observed: String,
        remedy: String,
    },
    /// The user may not observe it.
    Unknown(String),
    /// Not observed, because another check did not pass.
    After(Id),
}

impl Checked {
    pub fn has_failed(&self) -> bool {
        matches!(self.result, Verdict::Failed { .. })
    }
}

/// Runs the checks concurrently, and returns them in the order of the graph.
///
/// # Errors
/// When the graph is invalid.
pub async fn run(stack: &Stack, extent: Extent, images: Images) -> Result<Vec<Checked>> {
    let cluster = of_the_cluster(extent, images)?;
    if extent == Extent::Cluster {
        return Ok(judged(stack, cluster.plan(stack).await));
    }
    // a separate graph: a cluster that is too small for an install still runs the stack that it has
    let own = of_the_stack(stack)?;
    let (mut found, of_the_stack) = join(cluster.plan(stack), own.plan(stack)).await;
    found.extend(of_the_stack);
    Ok(judged(stack, found))
}

fn judged(stack: &Stack, found: Vec<Planned<'_, Stack>>) -> Vec<Checked> {
    first_of_each_cause(found.into_iter().map(|planned| judge(stack, planned)).collect())
}

/// One cause that fails several checks in the same words, such as a missing `helm`, is a failure of the first of them.
fn first_of_each_cause(mut checked: Vec<Checked>) -> Vec<Checked> {
    let mut causes: BTreeMap<String, Id> = BTreeMap::new();
    for one in &mut checked {
        let Verdict::Failed { observed, .. } = &one.result else { continue };
        match causes.get(observed) {
            Some(first) => one.result = Verdict::After(*first),
            None => drop(causes.insert(observed.clone(), one.id)),
        }
    }
    checked
}

fn all() -> Result<Graph<Stack>> {
    let pulled = conditions::pulled_images(components::all());
    components::graph_with_checks(vec![Node::check(Charts), pulled])
}

fn of_the_cluster(extent: Extent, images: Images) -> Result<Graph<Stack>> {
    // an observer needs no permission to install
    let is_unwanted = |id: Id| {
        extent == Extent::Stack && id == components::PERMISSIONS_OF_INSTALL
            || images == Images::Unchecked && id == conditions::PULLED_IMAGES
    };
    let of =
        |node: &Node<Stack>| components::is_of_the_cluster(node.id()) && !is_unwanted(node.id());
    Ok(all()?.without(|node| !of(node)))
}

fn of_the_stack(stack: &Stack) -> Result<Graph<Stack>> {
    let graph = all()?.without(|node| components::is_of_the_cluster(node.id()));
    Ok(components::of_stack(graph, stack))
}

fn judge(stack: &Stack, planned: Planned<'_, Stack>) -> Checked {
    let flags = &stack.cluster.flags;
    let failed = |observed: String, remedy: String| Verdict::Failed { observed, remedy };
    let install = || format!("run `kubectl lastack install{flags}`, which repairs it");
    let result = match planned.finding {
        Finding::After(need) => Verdict::After(need),
        Finding::Failed(error) => {
            let hints = error::hints(&error);
            let remedy = hints.into_iter().next();
            failed(error::one_line(&error), remedy.unwrap_or_else(|| "repeat the command".into()))
        }
        Finding::Observed(seen) => match seen {
            Observation::Equal(text) => Verdict::Passed(text),
            Observation::Unknown { permission } => Verdict::Unknown(permission),
            Observation::Missing(what) => failed(format!("{what} is missing"), install()),
            Observation::Drifted(differences) => {
                let lines: Vec<String> = differences.iter().map(ToString::to_string).collect();
                failed(lines.join("\n"), install())
            }
            Observation::Unready(why) => {
                let remedy = format!("wait, or run `kubectl lastack status{flags}` for the cause");
                failed(why, remedy)
            }
            Observation::Blocked(diagnosis) | Observation::NotPermitted(diagnosis) => {
                failed(diagnosis.to_string(), diagnosis.hint)
            }
        },
    };
    Checked { id: planned.node.id(), severity: planned.node.severity(), result }
}

/// Whether charts have their data, which is the last hop of a statement: one of each data set, because a check that runs
/// every few minutes must not cost as much as opening all dashboards.
struct Charts;

#[async_trait]
impl Check<Stack> for Charts {
    fn id(&self) -> Id {
        Id("dataviz.charts")
    }

    fn needs(&self) -> &'static [Id] {
        &[Id("dataviz.dashboards"), Id("datalake.index")]
    }

    async fn observe(&self, stack: &Stack) -> Result<Observation> {
        let superset = dataviz::client(stack).await?;
        let charts = live::charts(&superset, &one_of_each_data_set(&Bundle::ours()?)).await?;
        let checked = check::run(&superset, &charts, None, None).await;
        let Some(first) = checked.iter().find(|chart| chart.verdict.is_fault()) else {
            let names: Vec<&str> = checked.iter().map(|chart| chart.name.as_str()).collect();
            return Ok(Observation::Equal(match names.is_empty() {
                true => "the charts of this program were deleted".into(),
                false => format!("{} have their data", names.join(" and ")),
            }));
        };
        let why = first.verdict.why().unwrap_or_default();
        let hint = format!(
            "run `kubectl lastack dashboards explain '{}'{}`",
            first.name, stack.cluster.flags
        );
        Ok(Observation::Blocked(Diagnosis::new(why, hint).of(format!("chart {}", first.name))))
    }
}

/// The first chart of each data set that is a single number, whose query is the cheapest.
fn one_of_each_data_set(ours: &Bundle) -> Vec<String> {
    let is_number = |asset: &&Asset| {
        let viz_type = asset.content.get("viz_type").and_then(Value::as_str);
        asset.kind == Kind::Chart && viz_type.is_some_and(|kind| kind.starts_with("big_number"))
    };
    let mut seen = BTreeSet::new();
    let numbers = ours.assets.iter().filter(is_number);
    let first = numbers.filter(|asset| {
        let dataset = asset.content.get("dataset_uuid").and_then(Value::as_str);
        seen.insert(dataset)
    });
    first.map(|asset| asset.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charts_to_check_cover_every_data_set() {
        let ours = Bundle::ours().unwrap();
        let datasets = ours.assets.iter().filter(|asset| asset.kind == Kind::Dataset).count();
        assert_eq!(one_of_each_data_set(&ours).len(), datasets);
    }

    #[test]
    fn every_check_has_a_section_in_the_reference() {
        let page = include_str!("../../docs/reference/checks.md");
        let sections: BTreeSet<&str> =
            page.lines().filter_map(|line| line.strip_prefix("### ")).collect();
        let graph = all().unwrap();
        assert_eq!(sections, graph.ids().map(Id::as_str).collect());
        for node in graph.nodes().filter(|node| node.severity() == Severity::Warning) {
            let section = page.split(&format!("### {}\n", node.id())).nth(1).unwrap();
            assert!(section.trim_start().starts_with("Warning."), "{}", node.id());
        }
    }
}
