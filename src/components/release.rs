//! Observes, reconciles and deletes helm releases, for all resources that are one.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use futures::future::join;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, PropagationPolicy};
use serde::Serialize;
use serde_json::Value;

use crate::cluster::apply::{Comparison, Desired};
use crate::cluster::endpoint::port_suffix;
use crate::cluster::helm::{Install, MadeBy, Release, Status};
use crate::cluster::object::{self, LiveObject, ObjectRef};
use crate::cluster::secrets::Keys;
use crate::cluster::steps::Step;
use crate::cluster::wait::State;
use crate::cluster::{pods, rollout, secrets};
use crate::engine::{
    ABSENT, DeleteOptions, Deletion, Difference, Observation, Progress, Reconciled,
};
use crate::error::{self, Failure, Kind, one_line};
use crate::stack::component::ComponentName;
use crate::stack::settings::merge_values;
use crate::stack::{Reads, Stack};

use super::model::{Component, Declaration, failed, not_installed, readiness, unhealthy};
use super::{ownership, remains};

/// Our helm calls take seconds. A release that is pending for longer belongs to a helm process that was killed.
const STALE: Duration = Duration::from_secs(30);

/// The grace period, in seconds, of Pods whose data is deleted.
const GRACE_SECONDS: u32 = 5;

/// The install of one of our charts, according to the settings.
///
/// # Errors
/// When the values cannot be written as JSON, or the chart is absent.
pub fn install_component(
    stack: &Stack,
    component: ComponentName,
    release: &'static str,
    values: &impl Serialize,
) -> Result<Install> {
    let mut values = serde_json::to_value(values).context("chart values")?;
    merge_values(&mut values, &stack.settings.exposure(component));
    install(stack, component, release, stack.namespace(), values)
}

/// The install of a chart, according to the settings. The user's values override ours.
///
/// # Errors
/// When the chart is absent.
pub fn install(
    stack: &Stack,
    component: ComponentName,
    release: &'static str,
    namespace: &str,
    mut values: Value,
) -> Result<Install> {
    if let Some(over) = stack.settings.values_of(component) {
        merge_values(&mut values, over);
    }
    let chart = stack.chart(component)?;
    // another resource creates the stack's own namespace
    let creates_namespace = namespace != stack.namespace();
    Ok(Install { release, namespace: namespace.into(), creates_namespace, chart, values })
}

/// A checksum of keys of Secrets. A changed checksum replaces the Pods that read the Secrets at their start.
///
/// # Errors
/// When a Secret cannot be read.
pub async fn secret_checksum(stack: &Stack, names: &[&str], keys: Keys) -> Result<String> {
    match stack.reads {
        Reads::Everything => secrets::checksum(&stack.cluster, names, keys).await,
        Reads::ExceptSecrets | Reads::Nothing => Ok(String::new()),
    }
}

/// The step by which a user installs a release. It contains no checksum of Secrets, because no text may depend on them.
pub fn step(mut install: Install, waits: Vec<String>) -> Step {
    for part in ["", "/postgresql"] {
        let values = install.values.pointer_mut(part).and_then(Value::as_object_mut);
        if let Some(values) = values {
            values.remove("secretChecksum");
        }
    }
    Step::Release { install, unless: None, waits }
}

/// An image in chart values.
#[derive(Serialize)]
pub struct Image {
    repository: String,
    tag: String,
}

/// An image of a component, from the registry of the stack.
///
/// # Errors
/// When the versions file gives the image no tag.
pub fn image(stack: &Stack, component: ComponentName, role: &str) -> Result<Image> {
    let image = stack.image(stack.versions.of(component).image(role));
    let (repository, tag) = image.rsplit_once(':').context("an image without a tag")?;
    Ok(Image { repository: repository.into(), tag: tag.into() })
}

/// Compares a release and its objects with the desired install.
///
/// # Errors
/// When helm fails or an object cannot be read.
pub async fn observe(stack: &Stack, install: &Install) -> Result<Observation> {
    let release = stack.release(install.release, &install.namespace).await?;
    let Some(release) = release.as_ref() else {
        return Ok(Observation::Missing(format!(
            "release {} of {}",
            install.release,
            install.chart.shown()
        )));
    };
    let what = format!("release {}", install.release);
    let from = match &release.made_by {
        MadeBy::Others => {
            return Ok(Observation::blocked(
                format!(
                    "release {} in namespace {} was not created by this tool",
                    install.release, install.namespace
                ),
                format!(
                    "use another namespace with `-n`, or remove it: helm uninstall {} -n {}",
                    install.release, install.namespace
                ),
            ));
        }
        MadeBy::Us { .. } if release.status != Status::Deployed => Some(release.status.to_string()),
        MadeBy::Us { digest: None } => Some(format!("revision {}, rolled back", release.revision)),
        MadeBy::Us { digest: Some(digest) } if *digest == install.digest() => None,
        MadeBy::Us { .. } => {
            Some(format!("revision {} with other values or another chart", release.revision))
        }
    };
    if let Some(from) = from {
        return Ok(Observation::drifted(what, from, "as requested"));
    }
    objects_as_applied(stack, release, &install.namespace).await
}

/// Compares the objects of the release with their applied manifests. Helm does not detect drift.
async fn objects_as_applied(
    stack: &Stack,
    release: &Release,
    namespace: &str,
) -> Result<Observation> {
    let mut differences = Vec::new();
    for document in manifests(&release.manifest)? {
        let desired = Desired::discover(&stack.cluster.client, namespace, document).await?;
        differences.extend(differences_of(&desired, desired.compare().await?));
    }
    Ok(Observation::compared(differences, || format!("revision {}", release.revision)))
}

/// The differences between the live objects and those that the chart would make, object by object and field by field. A
/// changed setting makes helm replace all of them at once, so [`observe`] does not look at them.
///
/// # Errors
/// When helm cannot render the chart, or an object cannot be read.
pub async fn differences(stack: &Stack, install: &Install) -> Result<Option<Vec<Difference>>> {
    let (client, namespace) = (&stack.cluster.client, install.namespace.as_str());
    let mut found = Vec::new();
    let mut wanted = BTreeSet::new();
    for document in manifests(&stack.helm.template(install).await?)? {
        let whole = shown(&document)?;
        let desired = Desired::discover(client, namespace, document).await?;
        wanted.insert(desired.label());
        match desired.compare().await? {
            Comparison::Missing => found.push(Difference::new(desired.label(), ABSENT, whole)),
            comparison => found.extend(differences_of(&desired, comparison)),
        }
    }
    let release = stack.release(install.release, namespace).await?;
    let live = release.as_ref().as_ref().map(|release| release.manifest.as_str());
    for document in manifests(live.unwrap_or_default())? {
        let label = Desired::discover(client, namespace, document).await?.label();
        if !wanted.contains(&label) {
            found.push(Difference::new(label, "present", ABSENT));
        }
    }
    Ok(Some(found))
}

/// A manifest as YAML. The content of a Secret is hidden.
fn shown(document: &Value) -> Result<String> {
    let mut document = document.clone();
    if document["kind"] == "Secret"
        && let Some(fields) = document.as_object_mut()
    {
        fields.retain(|name, _| !["data", "stringData"].contains(&name.as_str()));
    }
    serde_saphyr::to_string(&document).context("a manifest cannot be written as YAML")
}

fn differences_of(desired: &Desired, comparison: Comparison) -> Vec<Difference> {
    match comparison {
        Comparison::Same => Vec::new(),
        Comparison::Missing => vec![Difference::new(desired.label(), ABSENT, "present")],
        Comparison::Differs(fields) => fields.into_iter().map(Difference::from).collect(),
    }
}

pub(super) fn manifests(text: &str) -> Result<Vec<Value>> {
    serde_saphyr::from_multiple::<Value>(text)
        .map(|documents| documents.into_iter().filter(|document| !document.is_null()).collect())
        .context("the manifest of a release is not readable YAML")
}

/// Installs or upgrades a release. First repairs a release that an interrupted helm left pending. Returns the new revision,
/// if helm prints it.
///
/// # Errors
/// When helm fails, or another helm process holds the release until the deadline.
pub async fn reconcile(
    stack: &Stack,
    install: &Install,
    progress: &Progress<'_>,
) -> Result<Option<u64>> {
    clear_pending(stack, install, progress).await?;
    progress.say(&format!("helm upgrade --install {}", install.release));
    stack.helm.upgrade(install).await.with_context(|| format!("release {}", install.release))
}

async fn clear_pending(stack: &Stack, install: &Install, progress: &Progress<'_>) -> Result<()> {
    let (name, namespace) = (install.release, install.namespace.as_str());
    let look = || async {
        Ok(match stack.helm.status(name, namespace).await? {
            Some(release) if release.status.is_pending() && !is_stale(&release) => State::Waiting(
                format!("another helm process is changing release {name} ({})", release.status),
            ),
            _ => State::Ready(String::new()),
        })
    };
    if let Reconciled::Started(busy) =
        stack.until(&format!("release {name}"), progress, look).await?
    {
        return Err(Failure::failed(busy)
            .hint("run `kubectl lastack install` without `--no-wait` to wait for it")
            .into());
    }
    match stack.helm.status(name, namespace).await?.map(|release| release.status) {
        Some(Status::PendingInstall | Status::Uninstalling) => {
            progress.say("removing the release of an interrupted helm");
            stack.helm.uninstall(name, namespace).await
        }
        Some(status) if status.is_pending() => {
            progress.say("rolling back the change of an interrupted helm");
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

/// Installs or upgrades the release of a component and waits until `look` finds it ready. Rolls back a failed upgrade, unless
/// the new version has changed the data.
///
/// # Errors
/// When helm fails, when the rollout cannot become ready, and at the deadline.
pub async fn upgrade<F, Fut>(
    stack: &Stack,
    component: &dyn Component,
    install: &Install,
    deployment: &str,
    progress: &Progress<'_>,
    mut look: F,
) -> Result<Reconciled>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<State>>,
{
    let before = stack.helm.status(install.release, &install.namespace).await?;
    let schema = match before.is_some() {
        true => component.schema(stack).await.ok().flatten(),
        false => None,
    };
    let mut made = None;
    let upgraded = async {
        made = reconcile(stack, install, progress).await?;
        let is_first = AtomicBool::new(true);
        let look = || {
            let looking = look();
            let is_first = &is_first;
            async move {
                if is_first.load(Ordering::Relaxed) {
                    // a Pod that crashed before this run does not show whether the upgrade succeeds
                    rollout::restart_crashing(&stack.cluster, deployment).await?;
                    is_first.store(false, Ordering::Relaxed);
                }
                looking.await
            }
        };
        stack.until(&format!("deployment {deployment}"), progress, look).await
    };
    match upgraded.await {
        Ok(reconciled) => Ok(reconciled),
        // no rollback: the new version may be migrating its database, and the next run waits for it
        Err(error) if error::kind(&error) == Kind::TimedOut => Err(error),
        // no rollback: the health of the release is unknown
        Err(error) if error::of_api_server(&error).is_some() => Err(error.context(format!(
            "release {} was upgraded and not rolled back, because its state is unknown",
            install.release
        ))),
        Err(error) if has_migrated(stack, component, schema.as_deref()).await => {
            Err(error.context(format!(
                "release {} was upgraded and not rolled back, because the new version has changed its data",
                install.release
            )))
        }
        Err(error) => Err(restore(stack, install, before.as_ref(), made, error).await),
    }
}

/// Whether a new version has changed the data, which was in the format `before`. An unknown format counts as unchanged: a
/// database that does not respond has not been changed.
pub async fn has_migrated(stack: &Stack, component: &dyn Component, before: Option<&str>) -> bool {
    match (before, component.schema(stack).await) {
        (Some(before), Ok(Some(now))) => before != now,
        _ => false,
    }
}

/// Rolls back to the previous revision, so that a failed upgrade does not interrupt the service. Leaves a revision of
/// another helm process in place. Returns the failure with the outcome of the rollback.
async fn restore(
    stack: &Stack,
    install: &Install,
    before: Option<&Release>,
    made: Option<u64>,
    failure: anyhow::Error,
) -> anyhow::Error {
    let Some(before) = before.filter(|release| release.status == Status::Deployed) else {
        return failure;
    };
    let outcome = match stack.helm.status(install.release, &install.namespace).await {
        Ok(None) => return failure,
        // without permission, or when another helm was faster, helm created no revision to roll back
        Ok(Some(now)) if now.revision == before.revision => return failure,
        Ok(Some(now)) if is_own(&now, before, made) => roll_back(stack, install, before).await,
        Ok(Some(now)) => format!(
            "release {} was not rolled back, because this command did not create revision {}",
            install.release, now.revision
        ),
        Err(_) => format!(
            "release {} was not rolled back, because helm cannot read its status",
            install.release
        ),
    };
    failure.context(outcome)
}

/// Whether this run created the newest revision: the one that helm printed, or a failed one when helm failed.
fn is_own(now: &Release, before: &Release, made: Option<u64>) -> bool {
    match made {
        Some(revision) => now.revision == revision,
        None => {
            now.revision == before.revision + 1
                && (now.status == Status::Failed || now.status.is_pending() && is_stale(now))
        }
    }
}

async fn roll_back(stack: &Stack, install: &Install, before: &Release) -> String {
    let Install { release, namespace, .. } = install;
    match stack.helm.rollback(release, namespace, Some(before.revision)).await {
        Ok(()) => format!("release {release} was rolled back to revision {}", before.revision),
        Err(error) => format!("release {release} could not be rolled back: {}", one_line(&error)),
    }
}

/// The observation of a release whose objects are unchanged. Its rollout must be ready, too.
pub fn observed(found: Observation, deployment: &str, rollout: State) -> Observation {
    match rollout.reason() {
        None => found,
        Some(reason) => Observation::drifted(format!("deployment {deployment}"), reason, "ready"),
    }
}

/// The version of a release, from the image of its Deployment, and the status that helm reports. Without permission to
/// read releases, the status is not known, and the chart's version is from the labels of the Deployment.
pub async fn runs(stack: &Stack, release: &str, deployment: &str) -> Observation {
    let deployments = stack.api::<Deployment>();
    let (found, rows) = join(deployments.get_opt(deployment), stack.releases()).await;
    let found = match found.with_context(|| format!("deployment {deployment}")) {
        Ok(found) => found,
        Err(error) => return failed(&error),
    };
    let image_version = found.as_ref().and_then(image_version);
    match rows {
        Ok(Some(rows)) => {
            let Some(row) = rows.iter().find(|row| row.name == release) else {
                return not_installed();
            };
            let version = image_version.unwrap_or(&row.app_version);
            let text = version_text(version, &row.chart);
            match &row.status {
                Status::Deployed => Observation::Equal(text),
                status => unhealthy(format!("{text}, {status}")),
            }
        }
        Ok(None) => {
            let Some(found) = &found else { return not_installed() };
            let label = |key| object::label(&found.metadata, key).unwrap_or("unknown");
            let version = image_version.unwrap_or_else(|| label("app.kubernetes.io/version"));
            Observation::Equal(version_text(version, label("helm.sh/chart")))
        }
        Err(error) => failed(&error),
    }
}

/// The version in the tag of the first container's image. None: the image has no tag.
fn image_version(deployment: &Deployment) -> Option<&str> {
    let pod = deployment.spec.as_ref()?.template.spec.as_ref()?;
    tag(pod.containers.first()?.image.as_deref()?)
}

/// The tag of an image without the `v` before a version.
fn tag(image: &str) -> Option<&str> {
    let name = image.rsplit('/').next()?.split('@').next()?;
    let (_, tag) = name.split_once(':')?;
    Some(tag.strip_prefix('v').unwrap_or(tag))
}

fn version_text(version: &str, chart: &str) -> String {
    format!("{version}, chart {}", chart_version(chart))
}

/// The number of ready Pods of a Deployment.
pub async fn pods(stack: &Stack, deployment: &str) -> Observation {
    let counted = async {
        let deployment = stack
            .api::<Deployment>()
            .get(deployment)
            .await
            .with_context(|| format!("deployment {deployment}"))?;
        let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
        let wanted = usize::try_from(wanted).unwrap_or_default();
        let pods = pods::list(&stack.cluster, &rollout::selector(&deployment)).await?;
        Ok(readiness(&stack.cluster, &pods, wanted).await)
    };
    counted.await.unwrap_or_else(|error| failed(&error))
}

/// The port of a component's Service. The chart values may set it.
pub fn port(stack: &Stack, component: ComponentName) -> u16 {
    let own = stack
        .settings
        .values
        .get(&component)
        .and_then(|values| values.pointer("/service/port")?.as_u64());
    own.and_then(|port| u16::try_from(port).ok()).unwrap_or(80)
}

/// The address of a component inside the cluster.
pub fn address(stack: &Stack, component: ComponentName, service: &str) -> String {
    format!("http://{service}.{}.svc{}", stack.namespace(), port_suffix(port(stack, component)))
}

/// Plans the deletion of a component's release and its objects. A foreign release is left in place.
///
/// # Errors
/// When helm fails or an object cannot be listed.
pub async fn plan_deletion(
    stack: &Stack,
    component: &Declaration,
    namespace: &str,
) -> Result<Deletion<ObjectRef>> {
    let Some(release) = component.release else { return Ok(Deletion::default()) };
    let found = stack.helm.status(release, namespace).await?;
    let reference = ObjectRef::release(release);
    if found.as_ref().is_some_and(|found| found.made_by == MadeBy::Others) {
        return Ok(Deletion::keeping(vec![reference], remains::FOREIGN));
    }
    let mut delete: Vec<ObjectRef> = found.map(|_| reference).into_iter().collect();
    // objects may exist although helm has no record of the release
    let objects = remains::of_release(stack, component).await?;
    let own = objects.iter().filter(|object| !object.has_owner());
    delete.extend(own.map(|object| object.reference()));
    Ok(Deletion::of(delete))
}

/// Deletes a release of the stack, its Pods before the objects that they mount. Pods whose data is deleted get a short
/// grace period: a starting container ignores the signal, and a database would take minutes to write deleted data.
///
/// # Errors
/// When an object cannot be deleted, or still exists at the deadline.
pub async fn delete(
    stack: &Stack,
    component: &Declaration,
    options: DeleteOptions,
    progress: &Progress<'_>,
) -> Result<()> {
    let Some(release) = component.release else { return Ok(()) };
    delete_pods(stack, component, release, options, progress).await?;
    if stack.helm.status(release, stack.namespace()).await?.is_some()
        && let Err(error) = stack.helm.uninstall(release, stack.namespace()).await
        // the helm of a killed command may have deleted the release meanwhile
        && stack.helm.status(release, stack.namespace()).await?.is_some()
    {
        return Err(error);
    }
    for object in remains::of_release(stack, component).await? {
        object.delete(&stack.cluster, DeleteParams::background()).await?;
    }
    stack
        .until_gone(&format!("the deletion of release {release}"), progress, || async {
            let remaining = remains::of_release(stack, component).await?;
            let remaining: Vec<ObjectRef> =
                remaining.iter().map(|object| object.reference()).collect();
            let are_deleted = || format!("{} are being deleted", object::names(&remaining, ", "));
            Ok((!remaining.is_empty()).then(are_deleted))
        })
        .await
}

async fn delete_pods(
    stack: &Stack,
    component: &Declaration,
    release: &str,
    options: DeleteOptions,
    progress: &Progress<'_>,
) -> Result<()> {
    let objects = remains::of_release(stack, component).await?;
    let workloads: Vec<LiveObject> = objects.into_iter().filter(is_workload).collect();
    let look = async || {
        let pods = pods::all(&stack.cluster, &object::of_release(release)).await?;
        let is_of_release = |pod: &Pod| ownership::is_pod_of(component, &workloads, &pod.metadata);
        Ok::<_, kube::Error>(pods.into_iter().filter(is_of_release).collect::<Vec<_>>())
    };
    // deleting a StatefulSet without its Pods removes it as their owner
    let before = look().await?;
    for workload in &workloads {
        // Kubernetes does not shorten a grace period later, so the controller must not delete the Pods first
        let leaves_pods = !options.keep_data && workload.is::<StatefulSet>();
        let params = DeleteParams {
            propagation_policy: Some(match leaves_pods {
                true => PropagationPolicy::Orphan,
                false => PropagationPolicy::Background,
            }),
            ..DeleteParams::default()
        };
        workload.delete(&stack.cluster, params).await?;
    }
    if !options.keep_data {
        let soon = DeleteParams::default().grace_period(GRACE_SECONDS);
        let api = stack.api::<Pod>();
        for name in before.into_iter().filter_map(|pod| pod.metadata.name) {
            object::delete(&api, &name, &soon).await?;
        }
    }
    let object = format!("the deletion of the pods of release {release}");
    stack
        .until_gone(&object, progress, || async {
            let remaining = look().await?.iter().filter(|pod| !pods::is_done(pod)).count();
            Ok((remaining > 0).then(|| format!("{remaining} pods are being deleted")))
        })
        .await
}

fn is_workload(object: &LiveObject) -> bool {
    object.is::<Job>() || object.is::<StatefulSet>() || object.is::<Deployment>()
}

/// The version in a chart of `helm list`: `0.1.0` for `ralph-0.1.0`.
fn chart_version(chart: &str) -> &str {
    let start = chart
        .match_indices('-')
        .find(|(i, _)| chart[i + 1..].starts_with(|c: char| c.is_ascii_digit()));
    start.map_or(chart, |(i, _)| &chart[i + 1..])
}

/// Fails when values of this program do not fit the schema of their chart.
#[cfg(test)]
pub fn assert_fits_schema(chart: &str, values: &impl Serialize) {
    let file = format!("{}/charts/{chart}/values.schema.json", env!("CARGO_MANIFEST_DIR"));
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let values = serde_json::to_value(values).unwrap();
    // helm validates our values merged with the chart's defaults, so required values may be absent
    let is_wrong =
        |error: &jsonschema::ValidationError<'_>| !error.to_string().contains("required");
    let errors: Vec<String> = validator
        .iter_errors(&values)
        .filter(is_wrong)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "charts/{chart} rejects {values:#}:\n{}", errors.join("\n"));
    let known = schema["properties"].as_object().expect("the schema names its values");
    for key in values.as_object().expect("values are a map").keys() {
        assert!(known.contains_key(key), "charts/{chart} has no value `{key}`");
    }
}

#[cfg(test)]
impl Image {
    pub fn example() -> Self {
        Self { repository: "registry.example.org/program".into(), tag: "1.2.3".into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_of_an_image_is_its_tag_without_a_digest() {
        assert_eq!(tag("erseco/alpine-moodle:v4.5.12"), Some("4.5.12"));
        assert_eq!(tag("registry.example.org:5000/mirror/postgres:17.12"), Some("17.12"));
        assert_eq!(tag("example.org/ralph:5.0.1@sha256:0b"), Some("5.0.1"));
        assert_eq!(tag("registry.example.org:5000/ralph@sha256:0b"), None);
    }

    #[test]
    fn chart_version_is_separated_from_chart_name() {
        assert_eq!(chart_version("ralph-0.1.0"), "0.1.0");
        assert_eq!(chart_version("eck-operator-3.5.0"), "3.5.0");
        assert_eq!(chart_version("plain"), "plain");
    }

    #[test]
    fn manifest_documents_are_parsed_without_empty_ones() {
        let text = "---\n# Source: a\nkind: Service\n---\n---\nkind: Deployment\n";
        let kinds: Vec<_> = manifests(text)
            .unwrap()
            .iter()
            .map(|d| d["kind"].as_str().unwrap().to_string())
            .collect();
        assert_eq!(kinds, ["Service", "Deployment"]);
    }
}
