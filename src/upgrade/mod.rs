//! Upgrades a stack to other versions of its components, one component after the other, and returns it to those before.
//!
//! The record of the stack has the versions that each component is to have. It is written before a component changes, so that
//! `install` completes what was begun, and `upgrade` continues it.

pub mod plan;

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use crate::cluster::wait::State;
use crate::components::model::Component;
use crate::components::{self, has_migrated, namespace, operator};
use crate::engine::graph::Graph;
use crate::engine::{Id, Node, Progress, Reconciled, Report, Summary};
use crate::error::{self, Failure, Kind};
use crate::stack::Stack;
use crate::stack::component::ComponentName;
use crate::stack::record::{BackupReference, Previous};
use crate::stack::versions::{Release, Versions};

use plan::Step;

/// The verification of each component after its upgrade.
const HEALTHY: [Id; 5] = [
    Id("operator.healthy"),
    Id("datalake.healthy"),
    Id("lrs.healthy"),
    Id("lms.healthy"),
    Id("dataviz.healthy"),
];

/// What an upgrade changes.
pub struct Upgrade {
    pub steps: Vec<Step>,
    /// Why the operator of the cluster keeps its version, although this program has a newer one.
    pub operator_left: Option<String>,
}

impl Upgrade {
    /// The upgrade of the stack to the versions of this program.
    ///
    /// # Errors
    /// When the API server does not list the operators of the cluster.
    pub async fn of(stack: &Stack) -> Result<Self> {
        let included = |release: &&Release| stack.settings.has(release.name);
        let recorded: Vec<Release> =
            stack.versions.components.iter().filter(included).cloned().collect();
        let mut steps = plan::steps(&recorded, &Versions::get().components);
        // one operator serves the whole cluster, so the record of one stack does not tell its version
        steps.retain(|step| step.component != operator::COMPONENT);
        let mut operator_left = None;
        if stack.settings.has(operator::COMPONENT) {
            let newest = Versions::get().of(operator::COMPONENT);
            let newest_version = semver::Version::parse(&newest.version)?;
            let serving = operator::serving(stack).await?;
            match (serving.version.filter(|version| *version < newest_version), serving.left) {
                (Some(version), None) => {
                    let from = with_version(stack.versions.of(operator::COMPONENT), &version);
                    steps.splice(0..0, plan::steps(&[from], std::slice::from_ref(newest)));
                }
                (Some(_), left) => operator_left = left,
                (None, _) => {}
            }
        }
        Ok(Self { steps, operator_left })
    }
}

/// The release of the operator in another version.
fn with_version(release: &Release, version: &semver::Version) -> Release {
    let version = version.to_string();
    let mut release = release.clone();
    for image in release.images.values_mut() {
        *image = image.replace(&release.version, &version);
    }
    if let Some(chart) = &mut release.chart {
        chart.version = Some(version.clone());
    }
    Release { version, ..release }
}

/// The components of the stack, dependencies first.
fn order(stack: &Stack) -> impl Iterator<Item = &'static dyn Component> + use<> {
    let included: Vec<_> = ComponentName::all()
        .filter(|name| stack.settings.has(*name))
        .filter_map(components::get)
        .collect();
    included.into_iter()
}

fn healthy(component: &dyn Component) -> Id {
    let name = component.declaration().name;
    let found = HEALTHY.iter().find(|id| ComponentName::of(**id) == Some(name));
    *found.expect("a test checks that every component has an id for its health")
}

/// The ids of the nodes of an upgrade, in their order.
///
/// # Errors
/// When the graph is invalid.
pub fn ids(stack: &Stack) -> Result<Vec<Id>> {
    let (first, mut rest) = parts(stack)?;
    let mut ids: Vec<Id> = first.ids().collect();
    for component in order(stack) {
        let (own, others) = rest.split(is_of(component));
        rest = others;
        ids.extend(own.ids());
        ids.push(healthy(component));
    }
    Ok(ids)
}

/// The nodes that belong to no component, and the others.
fn parts(stack: &Stack) -> Result<(Graph<Stack>, Graph<Stack>)> {
    let graph = components::of_stack(components::graph()?, stack);
    Ok(graph.split(|node| ComponentName::of(node.id()).is_none()))
}

/// The nodes of one component, which do not wait for those of others.
fn of_component(stack: &Stack, component: &dyn Component) -> Result<Graph<Stack>> {
    let is_own = is_of(component);
    Ok(parts(stack)?.1.without(|node| !is_own(node)))
}

fn is_of(component: &dyn Component) -> impl Fn(&Node<Stack>) -> bool {
    let name = component.declaration().name;
    move |node| ComponentName::of(node.id()) == Some(name)
}

/// Fails when a component is unhealthy, because an upgrade must not begin then.
///
/// # Errors
/// When a component is unhealthy.
pub async fn require_healthy(stack: &Stack) -> Result<()> {
    let healths = order(stack).map(async |component| {
        let fault = fault(stack, component).await?;
        Some(format!("{}: {fault}", component.declaration().name))
    });
    let faults: Vec<String> =
        futures::future::join_all(healths).await.into_iter().flatten().collect();
    if faults.is_empty() {
        return Ok(());
    }
    Err(Failure::failed(format!("the stack is not healthy: {}", faults.join("; ")))
        .hint(format!(
            "repair it with its own versions first: kubectl lastack install{}",
            stack.cluster.flags
        ))
        .into())
}

/// The first fault of a component. None: it is healthy.
async fn fault(stack: &Stack, component: &dyn Component) -> Option<String> {
    let health = component.health(stack).await;
    let mut aspects = health.aspects().into_iter().filter_map(|(_, aspect)| aspect);
    aspects.find(|aspect| aspect.is_fault()).map(|fault| fault.text())
}

/// The state of the stack before its upgrade.
pub async fn before(stack: &Stack, backup: Option<BackupReference>) -> Previous {
    let mut schemas = BTreeMap::new();
    for component in order(stack) {
        // without it, a rollback of this component is refused
        if let Ok(Some(schema)) = component.schema(stack).await {
            schemas.insert(component.declaration().name, schema);
        }
    }
    Previous { components: stack.versions.components.clone(), schemas, backup }
}

/// Takes the steps, in the order in which the components depend on each other, and reconciles the other components too.
///
/// # Errors
/// When a component cannot be upgraded or does not become healthy. It then has its earlier version, unless the new one has
/// changed its data.
pub async fn upgrade(stack: &mut Stack, steps: &[Step], report: &dyn Report) -> Result<Summary> {
    let (first, mut rest) = parts(stack)?;
    let mut summary = first.reconcile(stack, report).await?;
    for component in order(stack) {
        let (own, others) = rest.split(is_of(component));
        rest = others;
        let step = steps.iter().find(|step| step.component == component.declaration().name);
        if let Some(step) = step {
            set(stack, &step.to).await?;
        }
        match take(stack, component, &own, step.is_some(), report).await {
            Ok(taken) => summary = summary.then(taken),
            Err(error) => {
                let Some(step) = step else { return Err(error) };
                return Err(revert(stack, component, step, error, report).await);
            }
        }
    }
    Ok(summary)
}

/// Records the version that a component is to have.
async fn set(stack: &mut Stack, release: &Release) -> Result<()> {
    stack.versions.set(release.clone());
    namespace::store_settings(stack).await
}

/// Reconciles a component, and waits until it is healthy.
async fn take(
    stack: &mut Stack,
    component: &'static dyn Component,
    own: &Graph<Stack>,
    has_new_version: bool,
    report: &dyn Report,
) -> Result<Summary> {
    if has_new_version && component.declaration().name == operator::COMPONENT {
        let progress = Progress::new(Id("operator.release"), report);
        progress.say("upgrading the operator of the cluster");
        operator::upgrade(stack, &progress).await?;
    }
    let summary = own.reconcile(stack, report).await?;
    stack.forget_releases();
    let progress = Progress::new(healthy(component), report);
    let name = component.declaration().name;
    let is_healthy = async {
        let look = || async {
            Ok(match fault(stack, component).await {
                None => State::Ready("healthy".into()),
                Some(fault) => State::Waiting(fault),
            })
        };
        match stack.until(&format!("the health of {name}"), &progress, look).await? {
            Reconciled::Done(detail) | Reconciled::Started(detail) => Ok(detail),
        }
    };
    progress.during(is_healthy).await?;
    Ok(summary)
}

/// Returns a component to its earlier version after a failure. Returns the failure with the outcome.
async fn revert(
    stack: &mut Stack,
    component: &'static dyn Component,
    step: &Step,
    failure: anyhow::Error,
    report: &dyn Report,
) -> anyhow::Error {
    let program = &step.from.program;
    let flags = stack.cluster.flags.clone();
    let keep = |why: &str| format!("{program} keeps version {}: {why}", step.to.version);
    // that of the first attempt: an interrupted one may have changed the data
    let schemas = stack.previous.as_ref().map(|previous| &previous.schemas);
    let before = schemas.and_then(|schemas| schemas.get(&step.component)).cloned();
    let outcome = if component.declaration().name == operator::COMPONENT {
        keep("it serves the whole cluster")
    } else if error::kind(&failure) == Kind::TimedOut {
        keep("it may still become ready")
    } else if error::of_api_server(&failure).is_some() {
        keep("its state is unknown")
    } else if step.migrates().is_some() && before.is_none() {
        keep("its data cannot be examined")
    } else if has_migrated(stack, component, before.as_deref()).await {
        keep("it has changed its data")
    } else {
        let reverted = async {
            set(stack, &step.from).await?;
            let own = of_component(stack, component)?;
            take(stack, component, &own, false, report).await
        };
        match reverted.await {
            Ok(_) => format!("{program} was returned to version {}", step.from.version),
            Err(error) => format!(
                "{program} could not be returned to version {}: {}",
                step.from.version,
                error::one_line(&error)
            ),
        }
    };
    let hint =
        format!("repeat the upgrade when the cause is removed: kubectl lastack upgrade{flags}");
    let whole = format!("{}; {outcome}", error::one_line(&failure));
    let hints = error::hints(&failure).into_iter().chain([hint]);
    hints.fold(Failure::new(error::kind(&failure), whole), Failure::hint).into()
}

/// The steps of a rollback, and what makes it impossible.
pub struct Rollback {
    pub steps: Vec<Step>,
    /// The programs that changed their data, or whose data cannot be examined.
    pub migrated: Vec<String>,
}

impl Rollback {
    /// The way back to the versions before the last upgrade. The operator of the cluster stays: it also runs older versions.
    pub async fn of(stack: &Stack, previous: &Previous) -> Self {
        let included = |step: &Step| {
            stack.settings.has(step.component) && step.component != operator::COMPONENT
        };
        let mut steps = plan::steps(&stack.versions.components, &previous.components);
        steps.retain(included);
        steps.reverse();
        let mut migrated = Vec::new();
        for step in &steps {
            let Some(component) = components::get(step.component) else { continue };
            let before = previous.schemas.get(&step.component);
            let is_same = match component.schema(stack).await {
                Ok(now) => now.as_ref() == before,
                Err(_) => false,
            };
            if !is_same {
                migrated.push(step.from.program.clone());
            }
        }
        Self { steps, migrated }
    }
}

/// Takes the steps of a rollback.
///
/// # Errors
/// When a component cannot be changed or does not become healthy.
pub async fn roll_back(stack: &mut Stack, steps: &[Step], report: &dyn Report) -> Result<()> {
    for step in steps {
        let component = components::get(step.component).context("a component of this program")?;
        set(stack, &step.to).await?;
        let own = of_component(stack, component)?;
        take(stack, component, &own, false, report).await?;
    }
    stack.previous = None;
    namespace::store_settings(stack).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_component_has_an_id_for_its_health() {
        let ids: Vec<Id> = components::all().iter().map(|one| healthy(*one)).collect();
        assert_eq!(ids.len(), HEALTHY.len());
    }
}
