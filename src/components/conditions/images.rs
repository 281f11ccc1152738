//! The check that a node can pull every image of the stack. It starts a Job for each image and deletes it.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use futures::future::join_all;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};

use crate::cluster::jobs;
use crate::cluster::wait::Wait;
use crate::components::model::Components;
use crate::components::release;
use crate::engine::Observation;
use crate::error::{Kind, kind, one_line};
use crate::stack::Stack;

use super::admission;

/// A container image, and the Secrets to pull it with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Image {
    name: String,
    secrets: Vec<String>,
}

pub async fn check(stack: &Stack, components: Components) -> Result<Observation> {
    let images = images(stack, components).await?;
    let pulled = images.iter().map(|image| async move { (image, pull(stack, image).await) });
    let mut failed = Vec::new();
    for (image, result) in join_all(pulled).await {
        match result {
            Ok(()) => {}
            Err(error) if [Kind::Failed, Kind::TimedOut].contains(&kind(&error)) => {
                failed.push(format!("{}: {}", image.name, one_line(&error)));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(match failed.is_empty() {
        true => Observation::Equal(format!("{} images can be pulled", images.len())),
        false => Observation::blocked(
            failed.join("\n"),
            "allow the nodes to reach the registries, or mirror the images and pass `--image-registry`",
        ),
    })
}

/// The images of the Pods that `install` creates, and that of Elasticsearch, whose Pods the operator creates.
async fn images(stack: &Stack, components: Components) -> Result<BTreeSet<Image>> {
    let mut found = BTreeSet::new();
    for component in components {
        let name = component.declaration().name;
        if !stack.settings.has(name) {
            continue;
        }
        match component.release(stack).await? {
            Some(install) => {
                let manifests = stack.helm.template(&install).await?;
                for document in release::manifests(&manifests)? {
                    collect(&document, &mut found);
                }
            }
            None => {
                let name = stack.image(stack.versions.of(name).program_image());
                found.insert(Image { name, secrets: Vec::new() });
            }
        }
    }
    Ok(found)
}

/// Adds the images of every Pod in a manifest.
fn collect(value: &Value, found: &mut BTreeSet<Image>) {
    if let Some(containers) = value["containers"].as_array() {
        let secrets = value["imagePullSecrets"].as_array().into_iter().flatten();
        let secrets: Vec<String> =
            secrets.filter_map(|secret| Some(secret["name"].as_str()?.into())).collect();
        let others = value["initContainers"].as_array().into_iter().flatten();
        for image in containers.iter().chain(others).filter_map(|one| one["image"].as_str()) {
            found.insert(Image { name: image.into(), secrets: secrets.clone() });
        }
    }
    match value {
        Value::Object(fields) => fields.values().for_each(|value| collect(value, found)),
        Value::Array(items) => items.iter().for_each(|value| collect(value, found)),
        _ => {}
    }
}

/// Kubernetes deletes the Job a minute after its end if this program cannot.
fn job(image: &Image) -> Value {
    let mut pod = admission::pod(&image.name);
    let names = image.secrets.iter().map(|name| json!({"name": name}));
    pod["spec"]["imagePullSecrets"] = names.collect();
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": pod["metadata"],
        "spec": {
            "backoffLimit": 0, "activeDeadlineSeconds": 600, "ttlSecondsAfterFinished": 60,
            "template": {"spec": pod["spec"]},
        },
    })
}

async fn pull(stack: &Stack, image: &Image) -> Result<()> {
    let api = stack.api::<Job>();
    let created = api.create(&PostParams::default(), &serde_json::from_value(job(image))?).await?;
    let wait = Wait { object: "its Pod", deadline: stack.deadline, say: &|_| {} };
    let waited = jobs::wait_for_pod(&stack.cluster, &created, wait, has_image).await;
    let name = created.metadata.name.unwrap_or_default();
    api.delete(&name, &DeleteParams::background()).await.with_context(|| format!("job {name}"))?;
    waited.map(drop)
}

/// Whether the container was created from the image, which then starts no command.
fn has_image(pod: &Pod) -> bool {
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    statuses.into_iter().any(|status| {
        let state = status.state.as_ref();
        let waiting = state.and_then(|state| state.waiting.as_ref()?.reason.as_deref());
        let has_ended = state.is_some_and(|state| state.terminated.is_some());
        // the kubelet reports these after the pull
        has_ended
            || matches!(
                waiting,
                Some("CreateContainerError" | "RunContainerError" | "CrashLoopBackOff")
            )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_those_of_every_pod_with_its_pull_secrets() {
        let manifest = json!({"kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": {"spec": {
            "imagePullSecrets": [{"name": "registry"}],
            "initContainers": [{"image": "a:1"}], "containers": [{"image": "b:2"}, {"image": "a:1"}],
        }}}}}});
        let mut found = BTreeSet::new();
        collect(&manifest, &mut found);
        let image = |name: &str| Image { name: name.into(), secrets: vec!["registry".into()] };
        assert_eq!(found, BTreeSet::from([image("a:1"), image("b:2")]));
    }

    #[test]
    fn container_that_cannot_start_has_its_image() {
        let pod = |state: Value| -> Pod {
            let status = json!({"name": "check", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state});
            serde_json::from_value(json!({"status": {"containerStatuses": [status]}})).unwrap()
        };
        assert!(has_image(&pod(json!({"waiting": {"reason": "RunContainerError"}}))));
        assert!(has_image(&pod(json!({"terminated": {"exitCode": 128, "reason": "StartError"}}))));
        assert!(!has_image(&pod(json!({"waiting": {"reason": "ContainerCreating"}}))));
        assert!(!has_image(&pod(json!({"waiting": {"reason": "ErrImagePull"}}))));
    }
}
