//! Diagnoses Pods that are not ready: whether they may become ready, or require an action of the user.

use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{
    ConfigMap, ContainerStatus, Event, KeyToPath, Pod, Secret, Volume,
};
use kube::api::{ListParams, LogParams};
use kube::{Api, Resource};

use crate::error::Diagnosis;

use super::Cluster;
use super::access::{Rule, Rules};
use super::pods::{is_ready, log_cause, short_image, statuses};
use super::wait::State;

/// The permissions to find the cause of a problem. Without them, the diagnosis names no cause.
pub const RULES: Rules = &[
    Rule::new("", "events", &["list"], "why a Pod is not ready"),
    Rule::new("", "pods/log", &["get"], "why a container ended"),
];

/// The age at which the Secrets and ConfigMaps of a new Pod must exist.
const SETTLED: Duration = Duration::from_secs(10);
/// The maximum age of an event that describes the current state.
const CURRENT: Duration = Duration::from_secs(60);

/// Why a pod is not ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PodProblem {
    /// May still become ready.
    Waiting(String),
    /// Cannot become ready until a user acts.
    Fatal(Diagnosis),
}

impl PodProblem {
    fn fatal(cause: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Fatal(Diagnosis::new(cause, hint))
    }

    pub fn cause(&self) -> &str {
        match self {
            Self::Waiting(cause) | Self::Fatal(Diagnosis { cause, .. }) => cause,
        }
    }
}

impl From<PodProblem> for State {
    fn from(problem: PodProblem) -> Self {
        match problem {
            PodProblem::Waiting(reason) => Self::Waiting(reason),
            PodProblem::Fatal(diagnosis) => Self::Fatal(diagnosis),
        }
    }
}

/// Whether the Pod cannot become ready until a user acts.
pub fn is_broken(pod: &Pod) -> bool {
    !is_ready(pod) && matches!(diagnose(pod), PodProblem::Fatal(_))
}

/// Whether a container of the Pod crashes at each start.
pub fn keeps_crashing(pod: &Pod) -> bool {
    blocked(pod).is_some_and(|(container, _)| is_crashing(container))
}

/// The most severe problem of these Pods. None when all are ready.
pub async fn of(cluster: &Cluster, pods: &[Pod]) -> Option<PodProblem> {
    let mut waiting = None;
    for pod in pods.iter().filter(|pod| !is_ready(pod)) {
        let because = |what: String, cause: Option<String>| {
            cause.map_or(what.clone(), |cause| format!("{what}: {cause}"))
        };
        match blocked(pod) {
            Some((container, PodProblem::Fatal(diagnosis))) => {
                let cause = if is_crashing(container) {
                    crash_cause(cluster, pod, container).await
                } else {
                    None
                };
                return Some(PodProblem::Fatal(diagnosis.because(cause)));
            }
            _ => match missing_mount(cluster, pod).await {
                Some(missing) => return Some(missing),
                None if waiting.is_none() => {
                    waiting = Some(PodProblem::Waiting(because(
                        diagnose(pod).cause().into(),
                        failing_probe(cluster, pod).await,
                    )));
                }
                None => {}
            },
        }
    }
    waiting
}

/// Why a container keeps crashing: the failed probe after which the kubelet kills it, or the message in its log.
async fn crash_cause(cluster: &Cluster, pod: &Pod, crashed: &ContainerStatus) -> Option<String> {
    let began = crashed
        .last_state
        .as_ref()
        .and_then(|state| state.terminated.as_ref())
        .and_then(|ended| ended.started_at.as_ref());
    let events = events_of_pod(cluster, pod, began.map(|time| time.0)).await;
    for probe in ["startup", "liveness"] {
        let killing = format!("Container {} failed {probe} probe", crashed.name);
        if messages(&events, "Killing").any(|message| message.contains(&killing)) {
            return newest_unhealthy(&events, &[probe])
                .map(|failure| format!("the kubelet kills it because {failure}"));
        }
    }
    let params =
        LogParams { container: Some(crashed.name.clone()), previous: true, ..Default::default() };
    log_cause(&api_beside(cluster, pod), pod, params).await
}

/// The failing probe of a container that is not ready although it has run for [`SETTLED`].
async fn failing_probe(cluster: &Cluster, pod: &Pod) -> Option<String> {
    let began = |status: &ContainerStatus| {
        Some(status.state.as_ref()?.running.as_ref()?.started_at.as_ref()?.0)
    };
    let began = statuses(pod)
        .filter(|status| !status.ready)
        .find_map(began)
        .filter(|began| age_of(*began) > SETTLED)?;
    // a failing startup probe is normal during the start
    newest_unhealthy(&events_of_pod(cluster, pod, Some(began)).await, &["readiness", "liveness"])
}

fn newest_unhealthy(events: &[Event], probes: &[&str]) -> Option<String> {
    let mut failures = messages(events, "Unhealthy")
        .filter(|message| probes.iter().any(|probe| message.to_lowercase().starts_with(probe)));
    failures
        .next_back()
        .map(|message| format!("its {}", uncapitalized(message.lines().next().unwrap_or_default())))
}

fn messages<'a>(events: &'a [Event], reason: &'a str) -> impl DoubleEndedIterator<Item = &'a str> {
    events
        .iter()
        .filter(move |event| event.reason.as_deref() == Some(reason))
        .filter_map(|event| event.message.as_deref())
}

fn uncapitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

/// The events of a Pod since a time, newest last.
async fn events_of_pod(cluster: &Cluster, pod: &Pod, since: Option<jiff::Timestamp>) -> Vec<Event> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let mut events = events(
        &api_beside(cluster, pod),
        &format!("involvedObject.kind=Pod,involvedObject.name={name}"),
    )
    .await;
    events
        .retain(|event| since.is_none_or(|since| time_of(event).is_some_and(|time| time >= since)));
    events
}

/// Events, newest last. Empty without permission to list events.
async fn events(api: &Api<Event>, fields: &str) -> Vec<Event> {
    let mut events = api
        .list(&ListParams::default().fields(fields))
        .await
        .map(|list| list.items)
        .unwrap_or_default();
    events.sort_by_key(time_of);
    events
}

fn time_of(event: &Event) -> Option<jiff::Timestamp> {
    event.last_timestamp.as_ref().map(|time| time.0)
}

/// The API for objects in the namespace of a Pod. The operator's Pods are not in the stack's namespace.
fn api_beside<K>(cluster: &Cluster, pod: &Pod) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope>,
    K::DynamicType: Default,
{
    Api::namespaced(cluster.client.clone(), namespace_of(cluster, pod))
}

fn namespace_of<'a>(cluster: &'a Cluster, pod: &'a Pod) -> &'a str {
    pod.metadata.namespace.as_deref().unwrap_or_else(|| &cluster.namespace)
}

/// A missing Secret or ConfigMap that a Pod mounts. The kubelet retries indefinitely and reports it only in an event.
async fn missing_mount(cluster: &Cluster, pod: &Pod) -> Option<PodProblem> {
    let is_starting = statuses(pod).any(|status| {
        matches!(waiting_reason(status), Some("PodInitializing" | "ContainerCreating"))
    });
    let is_new =
        pod.metadata.creation_timestamp.as_ref().is_some_and(|made| age_of(made.0) < SETTLED);
    if !is_starting || is_new {
        return None;
    }
    for mount in pod.spec.as_ref()?.volumes.iter().flatten().flat_map(Mount::of) {
        // a user may not read every object that a Pod mounts
        if let Ok(Some(lack)) = mount.lack(cluster, pod).await {
            let (name, namespace) =
                (pod.metadata.name.as_deref().unwrap_or("?"), namespace_of(cluster, pod));
            return Some(PodProblem::fatal(
                format!("pod {name} cannot start: {lack} is missing"),
                format!(
                    "create {lack} in namespace {namespace}, or correct the value that names it"
                ),
            ));
        }
    }
    None
}

/// A Secret or ConfigMap that a volume of a Pod mounts, with the keys that it uses.
enum Mount<'a> {
    Secret(&'a str, Vec<&'a str>),
    ConfigMap(&'a str, Vec<&'a str>),
}

impl<'a> Mount<'a> {
    fn of(volume: &'a Volume) -> Vec<Self> {
        let keys = |items: &'a Option<Vec<KeyToPath>>| {
            items.iter().flatten().map(|item| item.key.as_str()).collect()
        };
        let mut found = Vec::new();
        if let Some(secret) = volume.secret.as_ref().filter(|secret| secret.optional != Some(true))
        {
            found.extend(
                secret.secret_name.as_deref().map(|name| Self::Secret(name, keys(&secret.items))),
            );
        }
        if let Some(map) = volume.config_map.as_ref().filter(|map| map.optional != Some(true)) {
            found.push(Self::ConfigMap(&map.name, keys(&map.items)));
        }
        for source in volume.projected.iter().flat_map(|projected| &projected.sources).flatten() {
            if let Some(secret) =
                source.secret.as_ref().filter(|secret| secret.optional != Some(true))
            {
                found.push(Self::Secret(&secret.name, keys(&secret.items)));
            }
            if let Some(map) = source.config_map.as_ref().filter(|map| map.optional != Some(true)) {
                found.push(Self::ConfigMap(&map.name, keys(&map.items)));
            }
        }
        found
    }

    /// The missing object or key. None when nothing is missing.
    async fn lack(&self, cluster: &Cluster, pod: &Pod) -> kube::Result<Option<String>> {
        let (kind, name, wanted, found) = match self {
            Self::Secret(name, wanted) => {
                let found = api_beside::<Secret>(cluster, pod).get_opt(name).await?;
                (
                    "secret",
                    name,
                    wanted,
                    found.map(|secret| {
                        secret.data.unwrap_or_default().into_keys().collect::<Vec<_>>()
                    }),
                )
            }
            Self::ConfigMap(name, wanted) => {
                let found = api_beside::<ConfigMap>(cluster, pod).get_opt(name).await?;
                let keys = |map: ConfigMap| {
                    map.data
                        .into_iter()
                        .flatten()
                        .map(|(key, _)| key)
                        .chain(map.binary_data.into_iter().flatten().map(|(key, _)| key))
                };
                ("configmap", name, wanted, found.map(|map| keys(map).collect()))
            }
        };
        Ok(match found {
            None => Some(format!("{kind} {name}")),
            Some(found) => wanted
                .iter()
                .find(|key| !found.iter().any(|other| other == *key))
                .map(|key| format!("key {key} of {kind} {name}")),
        })
    }
}

/// Why the controller of a StatefulSet or Job cannot create a Pod: a quota, or a policy of the namespace. An old event may
/// describe a solved problem, and is not fatal.
pub async fn creation_problem(cluster: &Cluster, kind: &str, name: &str) -> Option<PodProblem> {
    let of_object =
        format!("involvedObject.kind={kind},involvedObject.name={name},reason=FailedCreate");
    let event = events(&cluster.api(), &of_object).await.pop()?;
    let message = event.message.as_deref().unwrap_or("no reason given");
    let why = message.split_once(" is forbidden: ").map_or(message, |(_, why)| why);
    let why = format!("{} {name} cannot create its pods: {why}", kind.to_lowercase());
    let is_current = time_of(&event).is_some_and(|time| age_of(time) < CURRENT);
    Some(if is_current && message.contains(" is forbidden: ") {
        PodProblem::fatal(
            why,
            format!("kubectl describe {} {name} -n {}", kind.to_lowercase(), &cluster.namespace),
        )
    } else {
        PodProblem::Waiting(why)
    })
}

fn age_of(time: jiff::Timestamp) -> Duration {
    jiff::Timestamp::now().duration_since(time).max(jiff::SignedDuration::ZERO).unsigned_abs()
}

fn waiting_reason(status: &ContainerStatus) -> Option<&str> {
    status.state.as_ref()?.waiting.as_ref()?.reason.as_deref()
}

fn is_crashing(status: &ContainerStatus) -> bool {
    waiting_reason(status) == Some("CrashLoopBackOff")
}

fn diagnose(pod: &Pod) -> PodProblem {
    let name = pod.metadata.name.as_deref().unwrap_or("?");
    blocked(pod).map_or_else(|| PodProblem::Waiting(stage(pod, name)), |(_, problem)| problem)
}

/// The first container with a problem.
fn blocked(pod: &Pod) -> Option<(&ContainerStatus, PodProblem)> {
    let name = pod.metadata.name.as_deref().unwrap_or("?");
    let namespace = pod.metadata.namespace.as_deref().unwrap_or("default");
    for status in statuses(pod) {
        let message = status
            .state
            .as_ref()
            .and_then(|s| s.waiting.as_ref())
            .and_then(|w| w.message.as_deref())
            .unwrap_or_default();
        match waiting_reason(status) {
            Some(reason @ ("ErrImagePull" | "ImagePullBackOff" | "InvalidImageName")) => {
                let why =
                    format!("pod {name} cannot pull {}: {}", status.image, pull_failure(message));
                // the first failure of a pull may be transient, unless the registry gave a final reason
                if reason != "ErrImagePull" || is_final_pull_failure(message) {
                    let hint = "check `--image-registry`, or run `kubectl lastack version --images` for the expected tags";
                    return Some((status, PodProblem::fatal(why, hint)));
                }
                return Some((status, PodProblem::Waiting(why)));
            }
            Some("CreateContainerConfigError" | "CreateContainerError" | "RunContainerError") => {
                let why = format!("pod {name} cannot start container {}: {message}", status.name);
                return Some((
                    status,
                    PodProblem::fatal(why, format!("kubectl describe pod {name} -n {namespace}")),
                ));
            }
            Some("CrashLoopBackOff") if status.restart_count >= 2 => {
                let why = format!(
                    "container {} of pod {name} keeps crashing ({} restarts)",
                    status.name, status.restart_count
                );
                return Some((
                    status,
                    PodProblem::fatal(
                        why,
                        format!("kubectl logs {name} -c {} -n {namespace} --previous", status.name),
                    ),
                ));
            }
            _ => {}
        }
    }
    None
}

/// The stage of a Pod without a problem.
fn stage(pod: &Pod, name: &str) -> String {
    let conditions = pod.status.as_ref().and_then(|s| s.conditions.as_ref());
    let unscheduled =
        conditions.into_iter().flatten().find(|c| c.type_ == "PodScheduled" && c.status == "False");
    if let Some(condition) = unscheduled {
        return format!(
            "pod {name} cannot be scheduled: {}",
            condition.message.as_deref().unwrap_or("no reason given")
        );
    }
    match statuses(pod).find(|status| {
        !status.ready && status.state.as_ref().is_none_or(|s| s.terminated.is_none())
    }) {
        Some(status) => match waiting_reason(status) {
            Some("PodInitializing" | "ContainerCreating") => {
                format!("pod {name} is starting, image {}", short_image(&status.image))
            }
            Some(reason) => format!("pod {name}: {reason}"),
            None => format!("container {} of pod {name} is running and not ready yet", status.name),
        },
        None => format!("pod {name} is being created"),
    }
}

fn is_final_pull_failure(message: &str) -> bool {
    ["not found", "denied", "unauthorized", "manifest unknown", "invalid reference"]
        .iter()
        .any(|text| message.contains(text))
}

fn pull_failure(message: &str) -> &str {
    if message.contains("not found") || message.contains("manifest unknown") {
        "not found in the registry"
    } else if message.contains("denied") || message.contains("unauthorized") {
        "the registry denies access"
    } else if message.is_empty() {
        "no reason given"
    } else {
        message.rsplit(": ").next().unwrap_or(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(container: serde_json::Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "lrs-ralph-0", "namespace": "alice"},
            "status": {"containerStatuses": [container]},
        }))
        .unwrap()
    }

    fn waiting(reason: &str, message: &str, restarts: u32) -> Pod {
        pod(
            json!({"name": "ralph", "image": "fundocker/ralph:9", "imageID": "", "ready": false, "restartCount": restarts,
                   "state": {"waiting": {"reason": reason, "message": message}}}),
        )
    }

    #[test]
    fn missing_tag_is_fatal_at_first_failure() {
        let PodProblem::Fatal(Diagnosis { cause: why, .. }) = diagnose(&waiting(
            "ErrImagePull",
            "failed to resolve: docker.io/fundocker/ralph:9: not found",
            0,
        )) else {
            panic!("a missing image must be fatal")
        };
        assert_eq!(why, "pod lrs-ralph-0 cannot pull fundocker/ralph:9: not found in the registry");
    }

    #[test]
    fn network_failure_of_pull_is_fatal_after_back_off_of_kubelet() {
        assert!(matches!(
            diagnose(&waiting("ErrImagePull", "dial tcp: i/o timeout", 0)),
            PodProblem::Waiting(_)
        ));
        assert!(matches!(
            diagnose(&waiting("ImagePullBackOff", "dial tcp: i/o timeout", 0)),
            PodProblem::Fatal(_)
        ));
    }

    #[test]
    fn missing_secret_and_crash_loop_are_fatal_and_first_crash_is_not() {
        assert!(matches!(
            diagnose(&waiting("CreateContainerConfigError", "secret \"x\" not found", 0)),
            PodProblem::Fatal(_)
        ));
        assert!(matches!(diagnose(&waiting("CrashLoopBackOff", "", 1)), PodProblem::Waiting(_)));
        assert!(matches!(diagnose(&waiting("CrashLoopBackOff", "", 2)), PodProblem::Fatal(_)));
    }
}
