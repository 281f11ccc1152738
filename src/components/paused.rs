//! A paused stack: no Pods run, and all data stays.
//!
//! Each workload keeps its number of replicas in an annotation. The operator leaves the data lake alone meanwhile.

use anyhow::{Context, Result};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::CronJob;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams};
use kube::core::ApiResource;
use serde_json::{Value, json};

use crate::cluster::access::{Rule, Rules};
use crate::cluster::object::FIELD_MANAGER;
use crate::cluster::pods;
use crate::engine::{Id, Progress, Report};
use crate::stack::Stack;

use super::model::{Component, Declaration};
use super::remains::kind;
use super::{datalake, dataviz};

/// What both directions need.
pub const RULES: Rules = &[
    Rule::new("apps", "deployments", &["list", "patch"], "the workloads"),
    Rule::new("apps", "statefulsets", &["list", "patch"], "the workloads"),
    Rule::new("batch", "cronjobs", &["get", "patch"], "the measurement of the data lake's size")
        .named(&[datalake::SIZES]),
    Rule::new("elasticsearch.k8s.elastic.co", "elasticsearches", &["patch"], "the data lake")
        .named(&[datalake::RESOURCE]),
    Rule::new("", "pods", &["list"], "the Pods that end"),
    Rule::new(
        "",
        "configmaps",
        &["create", "delete", "get", "patch"],
        "the mark of a paused stack",
    ),
];

/// The number of replicas before the pause.
const REPLICAS: &str = "lastack/replicas";
/// The operator does not reconcile a resource with the value `false`.
const MANAGED: &str = "eck.k8s.elastic.co/managed";

/// The components in the order of a pause: each stops before those that it needs.
pub const ORDER: [Id; 4] =
    [Id("lms.pods"), Id("dataviz.pods"), Id("lrs.pods"), Id("datalake.pods")];

/// Whether workloads stop or start again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Pause,
    Resume,
}

/// Scales all workloads of the stack to zero, and waits until their Pods are gone; or scales them back, without a wait.
///
/// # Errors
/// When a workload cannot be changed, and at the deadline of the stack.
pub async fn scale(stack: &Stack, direction: Direction, report: &dyn Report) -> Result<()> {
    let mut order = ORDER.to_vec();
    if direction == Direction::Resume {
        order.reverse();
    }
    for id in order {
        let component =
            super::all().iter().find(|one| one.declaration().name.as_str() == id.group());
        let Some(component) = component.filter(|one| stack.settings.has(one.declaration().name))
        else {
            continue;
        };
        let progress = Progress::new(id, report);
        progress.during(scale_component(stack, *component, direction, &progress)).await?;
    }
    Ok(())
}

async fn scale_component(
    stack: &Stack,
    component: &dyn Component,
    direction: Direction,
    progress: &Progress<'_>,
) -> Result<String> {
    let declaration = component.declaration();
    if declaration.name == datalake::COMPONENT {
        set_managed(stack, direction).await?;
    }
    if declaration.name == dataviz::COMPONENT {
        suspend(stack, direction).await?;
    }
    let mut changed = 0;
    for (key, value) in declaration.pods {
        let labels = format!("{key}={value}");
        for kind in [kind::<Deployment>(), kind::<StatefulSet>()] {
            changed += scale_all(stack, &kind, &labels, direction).await?;
        }
    }
    if direction == Direction::Pause {
        wait_until_gone(stack, declaration, progress).await?;
    }
    Ok(match direction {
        Direction::Pause => format!("{changed} workloads scaled to 0"),
        Direction::Resume => format!("{changed} workloads scaled back"),
    })
}

/// Scales the workloads of a kind. Returns the number of changed ones.
async fn scale_all(
    stack: &Stack,
    kind: &ApiResource,
    labels: &str,
    direction: Direction,
) -> Result<usize> {
    let api = stack.objects(kind);
    let listed = api.list(&ListParams::default().labels(labels)).await;
    let workloads = listed.with_context(|| kind.plural.clone())?.items;
    let mut changed = 0;
    for workload in &workloads {
        let name = workload.metadata.name.as_deref().unwrap_or_default();
        if let Some(patch) = scaled(workload, direction) {
            let patched = api.patch(name, &params(), &Patch::Merge(&patch)).await;
            patched.with_context(|| format!("{} {name}", kind.kind.to_lowercase()))?;
            changed += 1;
        }
    }
    Ok(changed)
}

/// The change of a workload. None: it is in the desired state.
fn scaled(workload: &DynamicObject, direction: Direction) -> Option<Value> {
    let replicas = workload.data["spec"]["replicas"].as_u64().unwrap_or(1);
    let annotations = workload.metadata.annotations.as_ref();
    let before = annotations.and_then(|annotations| annotations.get(REPLICAS)?.parse::<u64>().ok());
    match (direction, before) {
        (Direction::Pause, _) if replicas == 0 => None,
        (Direction::Pause, _) => Some(json!({
            "metadata": {"annotations": {REPLICAS: replicas.to_string()}}, "spec": {"replicas": 0},
        })),
        (Direction::Resume, Some(before)) => Some(json!({
            "metadata": {"annotations": {REPLICAS: null}}, "spec": {"replicas": before},
        })),
        (Direction::Resume, None) => None,
    }
}

/// Stops the measurement of the data lake's size, or lets it run again.
async fn suspend(stack: &Stack, direction: Direction) -> Result<()> {
    let (api, name) = (stack.objects(&kind::<CronJob>()), datalake::SIZES);
    let context = || format!("cronjob {name}");
    if api.get_opt(name).await.with_context(context)?.is_some() {
        let patch = json!({"spec": {"suspend": direction == Direction::Pause}});
        api.patch(name, &params(), &Patch::Merge(&patch)).await.with_context(context)?;
    }
    Ok(())
}

/// Lets the operator leave the data lake alone, or reconcile it again.
async fn set_managed(stack: &Stack, direction: Direction) -> Result<()> {
    let managed = match direction {
        Direction::Pause => json!("false"),
        Direction::Resume => Value::Null,
    };
    let patch = json!({"metadata": {"annotations": {MANAGED: managed}}});
    let api = stack.objects(&datalake::kind());
    let patched = api.patch(datalake::RESOURCE, &params(), &Patch::Merge(&patch)).await;
    patched.with_context(|| format!("elasticsearch {}", datalake::RESOURCE))?;
    Ok(())
}

async fn wait_until_gone(
    stack: &Stack,
    declaration: &Declaration,
    progress: &Progress<'_>,
) -> Result<()> {
    let look = || async {
        let mut names = Vec::new();
        for (key, value) in declaration.pods {
            let found = pods::all(&stack.cluster, &format!("{key}={value}")).await?;
            let running = found.into_iter().filter(|pod| !pods::is_done(pod));
            names.extend(running.filter_map(|pod| pod.metadata.name));
        }
        Ok((!names.is_empty()).then(|| format!("waiting for the end of {}", names.join(", "))))
    };
    stack.until_gone(&format!("the pods of {}", declaration.name), progress, look).await
}

fn params() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workload_returns_to_its_replicas_and_is_not_scaled_twice() {
        let workload = |replicas: u64, before: Option<&str>| {
            let mut object = json!({"metadata": {"name": "a"}, "spec": {"replicas": replicas}});
            if let Some(before) = before {
                object["metadata"]["annotations"] = json!({REPLICAS: before});
            }
            serde_json::from_value::<DynamicObject>(object).unwrap()
        };
        let paused = scaled(&workload(3, None), Direction::Pause).unwrap();
        assert_eq!(paused["spec"]["replicas"], 0);
        assert_eq!(paused["metadata"]["annotations"][REPLICAS], "3");
        assert_eq!(scaled(&workload(0, Some("3")), Direction::Pause), None);
        let resumed = scaled(&workload(0, Some("3")), Direction::Resume).unwrap();
        assert_eq!(resumed["spec"]["replicas"], 3);
        assert_eq!(scaled(&workload(2, None), Direction::Resume), None, "it was never paused");
    }
}
