//! The progress of a workload's rollout, and the problem that stops it.

use anyhow::{Context, Result};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, PodSpec, VolumeResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::DeleteParams;

use super::pod_problem::{self, PodProblem};
use super::wait::State;
use super::{Cluster, object, pods};

/// The rollout of a Deployment.
///
/// # Errors
/// When the Deployment or its Pods cannot be read.
pub async fn deployment(cluster: &Cluster, name: &str) -> Result<State> {
    let deployment = cluster
        .api::<Deployment>()
        .get(name)
        .await
        .with_context(|| format!("deployment {name}"))?;
    let generation = deployment.metadata.generation;
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let status = deployment.status.clone().unwrap_or_default();
    let (updated, ready) = (
        status.updated_replicas.unwrap_or_default(),
        status.available_replicas.unwrap_or_default(),
    );
    if status.observed_generation == generation
        && updated == wanted
        && ready >= wanted
        && status.replicas.unwrap_or_default() == wanted
    {
        return Ok(State::Ready(format!("{ready} of {wanted} pods ready")));
    }
    // until the controller has observed the change, its status is about the template before
    let is_current = status.observed_generation >= generation;
    for condition in status.conditions.iter().flatten().filter(|_| is_current) {
        if condition.type_ == "ReplicaFailure" && condition.status == "True" {
            let why = format!(
                "deployment {name} cannot create pods: {}",
                condition.message.as_deref().unwrap_or("no reason given")
            );
            return Ok(State::fatal(
                why,
                format!("kubectl describe deployment {name} -n {}", cluster.namespace),
            ));
        }
    }
    // Pods of the previous template are being deleted, so their problems do not matter
    let mut pods = pods::list(cluster, &selector(&deployment)).await?;
    pods.retain(|pod| is_of_template(pod, &deployment));
    Ok(match pod_problem::of(cluster, &pods).await {
        Some(PodProblem::Fatal(diagnosis)) => State::Fatal(diagnosis),
        Some(PodProblem::Waiting(reason)) => {
            State::Waiting(format!("{ready} of {wanted} pods ready: {reason}"))
        }
        None => State::Waiting(format!(
            "{ready} of {wanted} pods ready, {updated} of the newest template"
        )),
    })
}

/// Whether a Pod has the current template. Compares annotations and images, because not every user may read ReplicaSets.
/// Ignores the registry of an image, which a cluster may replace.
fn is_of_template(pod: &Pod, deployment: &Deployment) -> bool {
    let Some(template) = deployment.spec.as_ref().map(|spec| &spec.template) else { return true };
    let wanted = template.metadata.as_ref().and_then(|metadata| metadata.annotations.as_ref());
    let found = pod.metadata.annotations.as_ref();
    let annotated = wanted
        .into_iter()
        .flatten()
        .all(|(key, value)| found.and_then(|found| found.get(key)) == Some(value));
    let images = |spec: Option<&PodSpec>| {
        let images = spec
            .iter()
            .flat_map(|spec| &spec.containers)
            .filter_map(|container| container.image.as_deref());
        images.map(|image| pods::short_image(image).to_string()).collect::<Vec<_>>()
    };
    annotated
        && template.spec.as_ref().is_none_or(|spec| images(Some(spec)) == images(pod.spec.as_ref()))
}

/// The rollout of a StatefulSet, such as the database of a component.
///
/// # Errors
/// When the StatefulSet or its Pods cannot be read.
pub async fn stateful_set(cluster: &Cluster, name: &str) -> Result<State> {
    let Some(set) = cluster
        .api::<StatefulSet>()
        .get_opt(name)
        .await
        .with_context(|| format!("statefulset {name}"))?
    else {
        return Ok(State::Waiting(format!("statefulset {name} is missing")));
    };
    let wanted = set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let status = set.status.clone().unwrap_or_default();
    // Kubernetes omits a 0, and counts the Pods of the newest template even after the update
    let (updated, ready) =
        (status.updated_replicas.unwrap_or_default(), status.ready_replicas.unwrap_or_default());
    if wanted == 0 {
        return Ok(State::Waiting(format!("statefulset {name} is scaled to 0 pods")));
    }
    if status.observed_generation < set.metadata.generation {
        return Ok(State::Waiting(format!(
            "statefulset {name} has changed, and its controller has not observed it yet"
        )));
    }
    if updated >= wanted && ready >= wanted {
        return Ok(State::Ready(format!("{ready} of {wanted} pods ready")));
    }
    let pods = pods_of(cluster, &set).await?;
    if pods.is_empty()
        && let Some(problem) = pod_problem::creation_problem(cluster, "StatefulSet", name).await
    {
        return Ok(problem.into());
    }
    let (old, new): (Vec<Pod>, Vec<Pod>) =
        pods.into_iter().partition(|pod| is_of_earlier_template(pod, &set));
    let problem = match pod_problem::of(cluster, &new).await {
        None => match pod_problem::of(cluster, &old).await {
            // a problem of an earlier template ends when its Pod is replaced
            Some(PodProblem::Fatal(diagnosis)) => Some(PodProblem::Waiting(diagnosis.cause)),
            other => other,
        },
        problem => problem,
    };
    Ok(match problem {
        Some(PodProblem::Fatal(diagnosis)) => State::Fatal(diagnosis),
        Some(PodProblem::Waiting(reason)) => State::Waiting(format!(
            "statefulset {name} has {ready} of {wanted} pods ready: {reason}"
        )),
        None => State::Waiting(format!(
            "statefulset {name} has {ready} of {wanted} pods ready, {updated} of the newest template"
        )),
    })
}

/// Deletes broken Pods of an earlier template. Kubernetes would wait indefinitely for them before it applies the current
/// template.
///
/// # Errors
/// When a Pod cannot be listed or deleted.
pub async fn replace_stuck(cluster: &Cluster, name: &str) -> Result<()> {
    let Some(set) = cluster
        .api::<StatefulSet>()
        .get_opt(name)
        .await
        .with_context(|| format!("statefulset {name}"))?
    else {
        return Ok(());
    };
    for pod in pods_of(cluster, &set).await? {
        if is_of_earlier_template(&pod, &set) && pod_problem::is_broken(&pod) {
            delete_pod(cluster, &pod).await?;
        }
    }
    Ok(())
}

/// Deletes the Pods of a Deployment that keep crashing. Their replacements start at once, without the back-off of the
/// kubelet, and show whether a new attempt succeeds.
///
/// # Errors
/// When the Deployment cannot be read, or a Pod cannot be listed or deleted.
pub async fn restart_crashing(cluster: &Cluster, name: &str) -> Result<()> {
    let deployment = cluster.api::<Deployment>().get_opt(name).await;
    let Some(deployment) = deployment.with_context(|| format!("deployment {name}"))? else {
        return Ok(());
    };
    for pod in pods::list(cluster, &selector(&deployment)).await? {
        if pod_problem::keeps_crashing(&pod) {
            delete_pod(cluster, &pod).await?;
        }
    }
    Ok(())
}

async fn delete_pod(cluster: &Cluster, pod: &Pod) -> Result<()> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    object::delete(&cluster.api::<Pod>(), name, &DeleteParams::default()).await
}

async fn pods_of(cluster: &Cluster, set: &StatefulSet) -> Result<Vec<Pod>> {
    Ok(pods::list(cluster, &labels(set.spec.as_ref().map(|spec| &spec.selector))).await?)
}

fn is_of_earlier_template(pod: &Pod, set: &StatefulSet) -> bool {
    let newest = set.status.as_ref().and_then(|status| status.update_revision.as_ref());
    let own =
        pod.metadata.labels.as_ref().and_then(|labels| labels.get("controller-revision-hash"));
    matches!((own, newest), (Some(own), Some(newest)) if own != newest)
}

/// The requested size of an existing volume claim. Not all storage can grow, and none can shrink.
///
/// # Errors
/// When the claim cannot be read.
pub async fn claimed(cluster: &Cluster, claim: &str) -> Result<Option<Quantity>> {
    let claim = cluster
        .api::<PersistentVolumeClaim>()
        .get_opt(claim)
        .await
        .with_context(|| format!("volume claim {claim}"))?;
    Ok(claim.and_then(|claim| requested(claim.spec?.resources?)))
}

pub fn requested(resources: VolumeResourceRequirements) -> Option<Quantity> {
    resources.requests?.remove("storage")
}

pub fn selector(deployment: &Deployment) -> String {
    labels(deployment.spec.as_ref().map(|spec| &spec.selector))
}

fn labels(selector: Option<&LabelSelector>) -> String {
    let labels = selector.and_then(|selector| selector.match_labels.as_ref());
    labels
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={value}"))
        .collect::<Vec<_>>()
        .join(",")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn pod_of_earlier_template_differs_in_annotation_or_image() {
        let template = |checksum: &str, image: &str| json!({"metadata": {"annotations": {"checksum": checksum}}, "spec": {"containers": [{"name": "a", "image": image}]}});
        let deployment = serde_json::from_value(
            json!({"spec": {"selector": {}, "template": template("2", "a:2")}}),
        )
        .unwrap();
        let is_new =
            |pod: Value| is_of_template(&serde_json::from_value(pod).unwrap(), &deployment);
        assert!(is_new(template("2", "a:2")));
        assert!(!is_new(template("1", "a:2")), "a different checksum");
        assert!(!is_new(template("2", "a:1")), "a different image");
    }
}
