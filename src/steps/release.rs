//! What every step that is a helm release does: tell whether it is as it should be, bring it there, take it away.

use std::net::Ipv6Addr;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{
    Node, PersistentVolumeClaim, Pod, PodSpec, Service, VolumeResourceRequirements,
};
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::Api;
use kube::api::{DeleteParams, ListParams, PropagationPolicy};
use serde_json::{Value, json};

use crate::clients::apply::{self, Comparison, Desired};
use crate::clients::helm::{ChartRef, Install, MadeBy, Release};
use crate::clients::pods::{self, Trouble};
use crate::clients::wait::{self, State};
use crate::error::{self, Failure, Kind, one_line};
use crate::output::progress::Progress;
use crate::stack::Stack;
use crate::stack::settings::merge_values;
use crate::stack::step::{Converged, Observed, Retracted, Retraction};
use crate::stack::versions::Component;

use super::{Fact, objects};

/// Our own helm calls take seconds. A release that says it is busy for longer was left so by a helm that died.
const STALE: Duration = Duration::from_secs(30);

/// What a pod gets to end in when its data is deleted.
const LAST_SECONDS: u32 = 5;

/// One of our charts as the settings ask for it.
pub fn install_part(
    stack: &Stack,
    component: Component,
    release: &'static str,
    mut values: Value,
) -> Result<Install> {
    merge_values(&mut values, &stack.settings.exposure(component));
    install(stack, component, release, stack.namespace(), values)
}

/// A chart as the settings ask for it: our values, and over them those that a person gave.
pub fn install(
    stack: &Stack,
    component: Component,
    release: &'static str,
    namespace: &str,
    mut values: Value,
) -> Result<Install> {
    if let Some(over) = stack.settings.values.get(&component) {
        merge_values(&mut values, over);
    }
    let chart =
        ChartRef::new(stack.versions.of(component).chart(), stack.settings.charts.get(&component))?;
    // the stack's own namespace is a step of its own
    let brings_namespace = namespace != stack.namespace();
    Ok(Install { release, namespace: namespace.into(), brings_namespace, chart, values })
}

/// An image of a component as chart values have it.
pub fn image(stack: &Stack, component: Component, role: &str) -> Result<Value> {
    let image = stack.image(stack.versions.of(component).image(role));
    let (repository, tag) = image.rsplit_once(':').context("an image without a tag")?;
    Ok(json!({"repository": repository, "tag": tag}))
}

pub async fn observe(stack: &Stack, install: &Install) -> Result<Observed> {
    let Some(release) = stack.helm.status(install.release, &install.namespace).await? else {
        return Ok(Observed::Missing(format!(
            "release {} of {}",
            install.release,
            install.chart.shown()
        )));
    };
    let what = format!("release {}", install.release);
    let from = match &release.made_by {
        MadeBy::Others => {
            return Ok(Observed::blocked(
                format!(
                    "release {} in namespace {} was not made by this tool",
                    install.release, install.namespace
                ),
                format!(
                    "use another namespace with `-n`, or remove it: helm uninstall {} -n {}",
                    install.release, install.namespace
                ),
            ));
        }
        MadeBy::Us { .. } if release.status != "deployed" => Some(release.status.clone()),
        MadeBy::Us { digest: None } => Some(format!("revision {}, rolled back", release.revision)),
        MadeBy::Us { digest: Some(digest) } if *digest == install.digest() => None,
        MadeBy::Us { .. } => {
            Some(format!("revision {} of other values or another chart", release.revision))
        }
    };
    if let Some(from) = from {
        return Ok(Observed::drifted(what, from, "as asked for"));
    }
    objects_as_applied(stack, &release, &install.namespace).await
}

/// Compares the objects of the release with what helm applied, because helm itself does not look at them again.
async fn objects_as_applied(stack: &Stack, release: &Release, namespace: &str) -> Result<Observed> {
    for document in manifests(&release.manifest)? {
        let desired = Desired::discover(&stack.target.client, namespace, document).await?;
        match desired.compare().await? {
            Comparison::Same => {}
            Comparison::Missing => return Ok(Observed::drifted(desired.label(), "gone", "there")),
            Comparison::Differs(drift) => return Ok(Observed::Drifted(drift)),
        }
    }
    Ok(Observed::Ok(format!("revision {}", release.revision)))
}

fn manifests(text: &str) -> Result<Vec<Value>> {
    serde_saphyr::from_multiple::<Value>(text)
        .map(|documents| documents.into_iter().filter(|document| !document.is_null()).collect())
        .context("the manifest of a release is not readable YAML")
}

/// Installs or upgrades, repairing first what a killed helm left behind.
pub async fn converge(stack: &Stack, install: &Install, progress: &Progress<'_>) -> Result<()> {
    clear_pending(stack, install, progress).await?;
    progress.say(&format!("helm upgrade --install {}", install.release));
    stack.helm.upgrade(install).await.with_context(|| format!("release {}", install.release))
}

async fn clear_pending(stack: &Stack, install: &Install, progress: &Progress<'_>) -> Result<()> {
    let (name, namespace) = (install.release, install.namespace.as_str());
    let settled = |release: Option<Release>| async move {
        Ok(match release {
            Some(release) if release.status.starts_with("pending-") && !is_stale(&release) => {
                State::Waiting(format!("another helm works on release {name} ({})", release.status))
            }
            other => State::Ready(other.map(|release| release.status).unwrap_or_default()),
        })
    };
    let look = || async { settled(stack.helm.status(name, namespace).await?).await };
    if let Converged::Started(busy) =
        wait::until(stack, &format!("release {name}"), progress, look).await?
    {
        return Err(Failure::failed(busy)
            .hint("without `--no-wait`, `kubectl lastack install` waits for it")
            .into());
    }
    match stack.helm.status(name, namespace).await? {
        Some(release)
            if release.status == "pending-install" || release.status == "uninstalling" =>
        {
            progress.say("removing what a killed helm left");
            stack.helm.uninstall(name, namespace).await
        }
        Some(release) if release.status.starts_with("pending-") => {
            progress.say("rolling back what a killed helm left");
            stack.helm.rollback(name, namespace, None).await
        }
        _ => Ok(()),
    }
}

fn is_stale(release: &Release) -> bool {
    release
        .deployed_at
        .is_none_or(|at| jiff::Timestamp::now().duration_since(at).unsigned_abs() > STALE)
}

/// Installs or upgrades and waits until `rollout` says ready; goes back when it cannot get there.
pub async fn upgrade<F, Fut>(
    stack: &Stack,
    install: &Install,
    deployment: &str,
    progress: &Progress<'_>,
    rollout: F,
) -> Result<Converged>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<State>>,
{
    let before = stack.helm.status(install.release, &install.namespace).await?;
    let upgraded = async {
        converge(stack, install, progress).await?;
        wait::until(stack, &format!("deployment {deployment}"), progress, rollout).await
    };
    match upgraded.await {
        Ok(converged) => Ok(converged),
        // it may be in the middle of changing its database, and the next run goes on with it
        Err(error) if error::kind(&error) == Kind::TimedOut => Err(error),
        // it may be well: only that nobody could see
        Err(error) if error::of_api_server(&error).is_some() => Err(error.context(format!(
            "release {} is upgraded and left so; whether it works could not be seen",
            install.release
        ))),
        Err(error) => Err(restore(stack, install, before.as_ref(), error).await),
    }
}

/// Goes back to the revision that worked, so that a failed upgrade does not take the service with it.
async fn restore(
    stack: &Stack,
    install: &Install,
    before: Option<&Release>,
    failure: anyhow::Error,
) -> anyhow::Error {
    let Some(before) = before.filter(|release| release.status == "deployed") else {
        return failure;
    };
    // a helm that was refused, or that another helm was ahead of, made no revision to go back from
    match stack.helm.status(install.release, &install.namespace).await {
        Ok(Some(now))
            if now.revision == before.revision
                || now.status.starts_with("pending-") && !is_stale(&now) =>
        {
            return failure;
        }
        Ok(_) => {}
        Err(_) => {
            return failure.context(format!(
                "release {} is left as it is; helm cannot say how",
                install.release
            ));
        }
    }
    let outcome = match stack
        .helm
        .rollback(install.release, &install.namespace, Some(before.revision))
        .await
    {
        Ok(()) => {
            format!("release {} is back at what revision {} was", install.release, before.revision)
        }
        Err(error) => {
            format!("release {} could not be rolled back: {}", install.release, one_line(&error))
        }
    };
    failure.context(outcome)
}

/// What a release comes to whose objects are as they should be: its pods must be ready, too.
pub fn observed(found: Observed, deployment: &str, rollout: State) -> Observed {
    match rollout {
        State::Ready(_) => found,
        State::Waiting(reason) | State::Fatal { why: reason, .. } => {
            Observed::drifted(format!("deployment {deployment}"), reason, "ready")
        }
    }
}

pub async fn rollout(stack: &Stack, name: &str) -> Result<State> {
    let deployment =
        stack.api::<Deployment>().get(name).await.with_context(|| format!("deployment {name}"))?;
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
    for condition in status.conditions.iter().flatten() {
        if condition.type_ == "ReplicaFailure" && condition.status == "True" {
            let why = format!(
                "deployment {name} cannot create pods: {}",
                condition.message.as_deref().unwrap_or("no reason given")
            );
            return Ok(State::Fatal {
                why,
                hint: format!("kubectl describe deployment {name} -n {}", stack.namespace()),
            });
        }
    }
    // pods of the template before are on their way out, whatever ails them
    let mut pods = pods::list(stack, &selector(&deployment)).await?;
    pods.retain(|pod| is_of_template(pod, &deployment));
    Ok(match pods::trouble(stack, &pods).await {
        Some(Trouble::Fatal { why, hint }) => State::Fatal { why, hint },
        Some(Trouble::Waiting(reason)) => {
            State::Waiting(format!("{ready} of {wanted} pods ready: {reason}"))
        }
        None => State::Waiting(format!(
            "{ready} of {wanted} pods ready, {updated} of the newest template"
        )),
    })
}

/// Told by what the template itself says, because who may look at pods may not always look at ReplicaSets. A cluster may
/// have given the pod the same image of a registry of its own.
fn is_of_template(pod: &Pod, deployment: &Deployment) -> bool {
    let Some(template) = deployment.spec.as_ref().map(|spec| &spec.template) else { return true };
    let wanted = template.metadata.as_ref().and_then(|metadata| metadata.annotations.as_ref());
    let there = pod.metadata.annotations.as_ref();
    let annotated = wanted
        .into_iter()
        .flatten()
        .all(|(key, value)| there.and_then(|there| there.get(key)) == Some(value));
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

/// The same of a StatefulSet, such as a part's own database.
pub async fn stateful_rollout(stack: &Stack, name: &str) -> Result<State> {
    let Some(set) = stack
        .api::<StatefulSet>()
        .get_opt(name)
        .await
        .with_context(|| format!("statefulset {name}"))?
    else {
        return Ok(State::Waiting(format!("statefulset {name} is gone")));
    };
    let wanted = set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let status = set.status.clone().unwrap_or_default();
    // Kubernetes leaves a 0 out; it goes on counting the pods of the newest template once all are of it
    let (updated, ready) =
        (status.updated_replicas.unwrap_or_default(), status.ready_replicas.unwrap_or_default());
    if wanted == 0 {
        return Ok(State::Waiting(format!("statefulset {name} is scaled to 0 pods")));
    }
    if status.observed_generation < set.metadata.generation {
        return Ok(State::Waiting(format!("statefulset {name} was just changed")));
    }
    if updated >= wanted && ready >= wanted {
        return Ok(State::Ready(format!("{ready} of {wanted} pods ready")));
    }
    let pods = pods_of(stack, &set).await?;
    if pods.is_empty()
        && let Some(trouble) = pods::cannot_be_made(stack, "StatefulSet", name).await
    {
        return Ok(trouble.into());
    }
    let (old, new): (Vec<Pod>, Vec<Pod>) =
        pods.into_iter().partition(|pod| is_of_earlier_template(pod, &set));
    Ok(match (pods::trouble(stack, &new).await, pods::trouble(stack, &old).await) {
        (Some(Trouble::Fatal { why, hint }), _) => State::Fatal { why, hint },
        (Some(Trouble::Waiting(reason)), _)
        | (None, Some(Trouble::Waiting(reason) | Trouble::Fatal { why: reason, .. })) => {
            State::Waiting(format!(
                "statefulset {name} has {ready} of {wanted} pods ready: {reason}"
            ))
        }
        (None, None) => State::Waiting(format!(
            "statefulset {name} has {ready} of {wanted} pods ready, {updated} of the newest template"
        )),
    })
}

/// Deletes pods that an earlier template broke: Kubernetes waits for ever for them to become ready before it makes them
/// of the template that is there now.
pub async fn replace_stuck(stack: &Stack, name: &str) -> Result<()> {
    let Some(set) = stack
        .api::<StatefulSet>()
        .get_opt(name)
        .await
        .with_context(|| format!("statefulset {name}"))?
    else {
        return Ok(());
    };
    for pod in pods_of(stack, &set).await? {
        if is_of_earlier_template(&pod, &set) && pods::is_broken(&pod) {
            apply::delete(
                &stack.api::<Pod>(),
                pod.metadata.name.as_deref().unwrap_or_default(),
                &DeleteParams::default(),
            )
            .await?;
        }
    }
    Ok(())
}

async fn pods_of(stack: &Stack, set: &StatefulSet) -> Result<Vec<Pod>> {
    Ok(pods::list(stack, &labels(set.spec.as_ref().map(|spec| &spec.selector))).await?)
}

fn is_of_earlier_template(pod: &Pod, set: &StatefulSet) -> bool {
    let newest = set.status.as_ref().and_then(|status| status.update_revision.as_ref());
    let own =
        pod.metadata.labels.as_ref().and_then(|labels| labels.get("controller-revision-hash"));
    matches!((own, newest), (Some(own), Some(newest)) if own != newest)
}

/// How much a claim that is there asks for. Most storage cannot grow, and none can shrink.
pub async fn claimed(stack: &Stack, claim: &str) -> Result<Option<Quantity>> {
    let claim = stack
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

/// What helm says of a release of the stack's namespace. None when there is none.
pub async fn runs(stack: &Stack, release: &str) -> Option<Fact> {
    match stack.releases().await {
        Ok(rows) => rows.iter().find(|row| row.name == release).map(|row| {
            let text = format!("{}, chart {}", row.app_version, chart_version(&row.chart));
            if row.status == "deployed" {
                Fact::Good(text)
            } else {
                Fact::Bad(format!("{text}, {}", row.status))
            }
        }),
        Err(error) => Some(Fact::from_error(&error)),
    }
}

/// How many pods of a Deployment are ready, of how many.
pub async fn pods(stack: &Stack, deployment: &str) -> Fact {
    let counted = async {
        let deployment = stack
            .api::<Deployment>()
            .get(deployment)
            .await
            .with_context(|| format!("deployment {deployment}"))?;
        let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
        let pods = pods::list(stack, &selector(&deployment)).await?;
        Ok(Fact::of_pods(stack, &pods, usize::try_from(wanted).unwrap_or_default()).await)
    };
    counted.await.unwrap_or_else(|error| Fact::from_error(&error))
}

/// The port of a part's Service, which a person's values may have chosen.
pub fn port(stack: &Stack, component: Component) -> u16 {
    let own = stack
        .settings
        .values
        .get(&component)
        .and_then(|values| values.pointer("/service/port")?.as_u64());
    own.and_then(|port| u16::try_from(port).ok()).unwrap_or(80)
}

/// The address of a part inside the cluster.
pub fn address(stack: &Stack, component: Component, service: &str) -> String {
    format!("http://{service}.{}.svc{}", stack.namespace(), port_suffix(port(stack, component)))
}

fn port_suffix(port: u16) -> String {
    if port == 80 { String::new() } else { format!(":{port}") }
}

/// Where a part can be reached from outside the cluster, when it can.
pub async fn url(stack: &Stack, part: &str) -> Result<Option<String>> {
    let spec = stack.api::<Ingress>().get_opt(part).await?.and_then(|ingress| ingress.spec);
    let host = spec
        .as_ref()
        .and_then(|spec| spec.rules.iter().flatten().find_map(|rule| rule.host.as_deref()));
    let has_tls = spec.as_ref().is_some_and(|spec| spec.tls.iter().flatten().next().is_some());
    match host {
        Some(host) => Ok(Some(host_url(host, has_tls))),
        None => service_url(stack, part).await,
    }
}

pub fn host_url(host: &str, has_tls: bool) -> String {
    format!("{}://{host}", if has_tls { "https" } else { "http" })
}

/// A name or an address as a URL has it: the colons of IPv6 would begin a port.
fn in_url(host: &str) -> String {
    if host.parse::<Ipv6Addr>().is_ok() { format!("[{host}]") } else { host.into() }
}

/// The address that a cloud or a node gives a Service.
pub async fn service_url(stack: &Stack, service: &str) -> Result<Option<String>> {
    let Some(service) = stack.api::<Service>().get_opt(service).await? else { return Ok(None) };
    let spec = service.spec.unwrap_or_default();
    let port = spec.ports.into_iter().flatten().next();
    let balancer = service
        .status
        .and_then(|status| status.load_balancer)
        .and_then(|balancer| balancer.ingress)
        .unwrap_or_default();
    if let Some(host) = balancer.into_iter().find_map(|point| point.ip.or(point.hostname)) {
        let own_port = port.and_then(|port| u16::try_from(port.port).ok());
        return Ok(Some(format!(
            "http://{}{}",
            in_url(&host),
            port_suffix(own_port.unwrap_or(80))
        )));
    }
    match (spec.type_.as_deref(), port.and_then(|port| port.node_port)) {
        (Some("NodePort"), Some(port)) => {
            Ok(node_address(stack).await?.map(|node| format!("http://{}:{port}", in_url(&node))))
        }
        _ => Ok(None),
    }
}

/// The address of any node, by which all NodePorts can be reached.
async fn node_address(stack: &Stack) -> Result<Option<String>> {
    let nodes = Api::<Node>::all(stack.target.client.clone())
        .list(&ListParams::default())
        .await
        .context("the nodes' addresses")?;
    let addresses: Vec<_> =
        nodes.items.into_iter().filter_map(|node| node.status?.addresses).flatten().collect();
    let of = |kind: &str| {
        addresses
            .iter()
            .find(|address| address.type_ == kind)
            .map(|address| address.address.clone())
    };
    Ok(of("ExternalIP").or_else(|| of("InternalIP")))
}

/// Only a release that this tool made is its to remove.
pub async fn retractable(stack: &Stack, release: &str, namespace: &str) -> Result<Retracted> {
    Ok(match stack.helm.status(release, namespace).await? {
        None => Retracted::Nothing,
        Some(found) if found.made_by == MadeBy::Others => {
            Retracted::Kept(format!("release {release}: not made by this tool"))
        }
        Some(_) => Retracted::Removed(format!("release {release}")),
    })
}

/// The same of a part of the stack, of which helm may know nothing any more while its objects are there.
pub async fn retractable_part(stack: &Stack, release: &str) -> Result<Retracted> {
    let found = retractable(stack, release, stack.namespace()).await?;
    if found != Retracted::Nothing {
        return Ok(found);
    }
    let left = objects::of_release(stack, release).await?;
    Ok(if left.is_empty() {
        found
    } else {
        Retracted::Removed(format!(
            "what is left of release {release}: {}",
            objects::names(&left, ", ")
        ))
    })
}

/// Finds what a release consists of: its workloads, their pods and their volumes.
pub fn objects_of(release: &str) -> String {
    format!("app.kubernetes.io/part-of=lastack,app.kubernetes.io/instance={release}")
}

/// Takes a release of the stack away, its pods before what they have mounted. When their data goes, too, they get little
/// time: a container that still starts hears no signal, and a database has minutes to write what nobody needs any more.
pub async fn retract(
    stack: &Stack,
    release: &str,
    how: Retraction,
    progress: &Progress<'_>,
) -> Result<()> {
    let of_release = objects_of(release);
    let with_pods = DeleteParams::background();
    // a pod that is asked to stop gets no shorter time afterwards, so nobody else may ask it first
    let without_pods = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Orphan),
        ..DeleteParams::default()
    };
    apply::delete_all(&stack.api::<Job>(), &of_release, &with_pods).await?;
    apply::delete_all(
        &stack.api::<StatefulSet>(),
        &of_release,
        if how.keep_data { &with_pods } else { &without_pods },
    )
    .await?;
    apply::delete_all(&stack.api::<Deployment>(), &of_release, &with_pods).await?;
    if !how.keep_data {
        apply::delete_all(
            &stack.api::<Pod>(),
            &of_release,
            &DeleteParams::default().grace_period(LAST_SECONDS),
        )
        .await?;
    }
    wait::until_gone(
        stack,
        &format!("the end of the pods of release {release}"),
        progress,
        || async {
            let left = pods::all(stack, &of_release)
                .await?
                .iter()
                .filter(|pod| !pods::is_done(pod))
                .count();
            Ok((left > 0).then(|| format!("{left} pods are being removed")))
        },
    )
    .await?;
    if stack.helm.status(release, stack.namespace()).await?.is_some() {
        stack.helm.uninstall(release, stack.namespace()).await?;
    }
    for left in objects::of_release(stack, release).await? {
        left.delete(stack).await?;
    }
    wait::until_gone(stack, &format!("the end of release {release}"), progress, || async {
        let left = objects::of_release(stack, release).await?;
        Ok((!left.is_empty()).then(|| format!("{} are being removed", objects::names(&left, ", "))))
    })
    .await
}

/// The parts of a chart's version that `helm list` joins: `ralph-0.1.0` gives `0.1.0`.
pub fn chart_version(chart: &str) -> &str {
    let start = chart
        .match_indices('-')
        .find(|(i, _)| chart[i + 1..].starts_with(|c: char| c.is_ascii_digit()));
    start.map_or(chart, |(i, _)| &chart[i + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_a_chart_is_told_from_its_name() {
        assert_eq!(chart_version("ralph-0.1.0"), "0.1.0");
        assert_eq!(chart_version("eck-operator-3.5.0"), "3.5.0");
        assert_eq!(chart_version("plain"), "plain");
    }

    #[test]
    fn a_pod_of_the_template_before_is_told_by_its_annotations_or_its_image() {
        let template = |checksum: &str, image: &str| json!({"metadata": {"annotations": {"checksum": checksum}}, "spec": {"containers": [{"name": "a", "image": image}]}});
        let deployment = serde_json::from_value(
            json!({"spec": {"selector": {}, "template": template("2", "a:2")}}),
        )
        .unwrap();
        let is_new =
            |pod: Value| is_of_template(&serde_json::from_value(pod).unwrap(), &deployment);
        assert!(is_new(template("2", "a:2")));
        assert!(!is_new(template("1", "a:2")), "another checksum");
        assert!(!is_new(template("2", "a:1")), "another image");
    }

    #[test]
    fn a_manifest_of_several_documents_is_read_and_empty_ones_are_left_out() {
        let text = "---\n# Source: a\nkind: Service\n---\n---\nkind: Deployment\n";
        let kinds: Vec<_> = manifests(text)
            .unwrap()
            .iter()
            .map(|d| d["kind"].as_str().unwrap().to_string())
            .collect();
        assert_eq!(kinds, ["Service", "Deployment"]);
    }
}
