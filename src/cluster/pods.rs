//! Pods: listing, readiness and the last line of their logs.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::Api;
use kube::api::{ListParams, LogParams};

use super::Cluster;

pub fn is_ready(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_none()
        && pod.status.as_ref().and_then(|s| s.conditions.as_ref()).is_some_and(|conditions| {
            conditions
                .iter()
                .any(|condition| condition.type_ == "Ready" && condition.status == "True")
        })
}

/// Whether the Pod has ended for good, such as the Pod of a Job.
pub fn is_done(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// The number of a container port by its name.
pub fn container_port(pod: &Pod, name: &str) -> Option<u16> {
    let containers = &pod.spec.as_ref()?.containers;
    let port = containers
        .iter()
        .flat_map(|c| c.ports.iter().flatten())
        .find(|port| port.name.as_deref() == Some(name))?;
    u16::try_from(port.container_port).ok()
}

/// Pods of the stack's namespace by label.
///
/// # Errors
/// When the API server does not list them.
pub async fn all(cluster: &Cluster, selector: &str) -> kube::Result<Vec<Pod>> {
    Ok(cluster.api::<Pod>().list(&ListParams::default().labels(selector)).await?.items)
}

/// The same, without Pods that are being deleted.
///
/// # Errors
/// When the API server does not list them.
pub async fn list(cluster: &Cluster, selector: &str) -> kube::Result<Vec<Pod>> {
    Ok(all(cluster, selector)
        .await?
        .into_iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
        .collect())
}

/// The name of a ready Pod, or else of a running one.
///
/// # Errors
/// When the API server does not list them.
pub async fn running(cluster: &Cluster, selector: &str) -> kube::Result<Option<String>> {
    let pods = list(cluster, selector).await?;
    let runs = |pod: &&Pod| {
        pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running")
    };
    let pod = pods.iter().find(|pod| is_ready(pod)).or_else(|| pods.iter().find(runs));
    Ok(pod.and_then(|pod| pod.metadata.name.clone()))
}

/// Why the failed container in the newest of these Pods ended, from its log.
pub async fn log_cause_of(cluster: &Cluster, pods: &[Pod]) -> Option<String> {
    let pod = pods
        .iter()
        .max_by_key(|pod| pod.metadata.creation_timestamp.as_ref().map(|time| time.0))?;
    let failed = |status: &&ContainerStatus| {
        let ended = status.state.as_ref().and_then(|state| state.terminated.as_ref());
        ended.is_some_and(|ended| ended.exit_code != 0)
    };
    let container = statuses(pod).find(failed).map(|status| status.name.clone());
    log_cause(&cluster.api::<Pod>(), pod, LogParams { container, ..Default::default() }).await
}

/// The message in the last lines of a log that says why a container ended.
pub(super) async fn log_cause(api: &Api<Pod>, pod: &Pod, params: LogParams) -> Option<String> {
    let log = api
        .logs(pod.metadata.name.as_deref()?, &LogParams { tail_lines: Some(40), ..params })
        .await
        .ok()?;
    super::log::cause(&log)
}

pub(super) fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.as_ref();
    let init = status.and_then(|s| s.init_container_statuses.as_ref()).into_iter().flatten();
    init.chain(status.and_then(|s| s.container_statuses.as_ref()).into_iter().flatten())
}

/// An image without its registry, such as `ralph:5.0.1`.
pub fn short_image(image: &str) -> &str {
    image.rsplit('/').next().unwrap_or(image)
}
