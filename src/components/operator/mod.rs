//! The ECK operator, which manages Elasticsearch. One operator serves the whole cluster, so this tool installs it only
//! into a cluster without one.

use anyhow::{Context, Result};
use async_trait::async_trait;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::{DynamicObject, ListParams};
use kube::discovery::Discovery;
use serde_json::{Value, json};

use crate::cluster::access::{Permission, may};
use crate::cluster::helm::Install;
use crate::cluster::object::{self, ObjectRef};
use crate::cluster::steps::Step;
use crate::cluster::wait::State;
use crate::cluster::{pod_problem, pods};
use crate::engine::{
    DeleteOptions, Deletion, Id, Node, Observation, Progress, Reconciled, Resource, Scope,
};
use crate::error::forbidden;
use crate::stack::Stack;
use crate::stack::component::ComponentName;
use crate::stack::resources::Resources;
use crate::stack::settings::Settings;
use crate::stack::versions::without_registry;

use super::access::NONE;
use super::model::{Component, Declaration, Health, PREFLIGHT, failed, not_installed, unhealthy};
use super::{datalake, release};

pub const COMPONENT: ComponentName = ComponentName::new("operator");
const RELEASE: &str = "elastic-operator";
const NAMESPACE: &str = "elastic-system";
const API_GROUP: &str = "elasticsearch.k8s.elastic.co";
/// The suffix of all API groups that the operator's chart defines: Kibana, Logstash, Beat and more.
const API_GROUPS: &str = ".k8s.elastic.co";

/// The labels of the operator: from its chart, and from Elastic's plain manifests.
const SELECTORS: [&str; 2] =
    ["app.kubernetes.io/name=elastic-operator", "control-plane=elastic-operator"];

/// The permission in the whole cluster that an install requires.
const DEFINE_KINDS: Permission =
    Permission::new("create", "apiextensions.k8s.io", "customresourcedefinitions");

pub struct Operator;

static DECLARATION: Declaration = Declaration {
    name: COMPONENT,
    release: Some(RELEASE),
    stateful_sets: &[],
    pods: &[],
    kinds: &[],
    access: NONE,
    exposure: None,
    stores: None,
};

#[async_trait]
impl Component for Operator {
    fn declaration(&self) -> &'static Declaration {
        &DECLARATION
    }

    fn nodes(&self) -> Vec<Node<Stack>> {
        vec![Node::resource(OperatorRelease)]
    }

    /// None, because it serves the whole cluster and belongs to no profile.
    fn pods(&self, _: &Settings) -> Vec<(Resources, u32)> {
        Vec::new()
    }

    async fn release(&self, stack: &Stack) -> Result<Option<Install>> {
        install(stack).map(Some)
    }

    async fn health(&self, stack: &Stack) -> Health {
        let mut health = Health::default();
        match find(stack).await {
            Ok(Some(found)) => {
                health.runs = Some(Observation::Equal(found.shown()));
                health.pods = Some(found.readiness());
            }
            Ok(None) => health.runs = Some(not_installed()),
            Err(error) => health.runs = Some(failed(&error)),
        }
        health.response = Some(match served(stack).await {
            Ok(true) => Observation::Equal("its API is served".into()),
            Ok(false) => unhealthy("its API is not served"),
            Err(error) => failed(&error),
        });
        health
    }
}

/// An operator that runs in the cluster, whichever tool installed it.
struct RunningOperator {
    namespace: String,
    version: String,
    ready: usize,
    wanted: usize,
    /// Whether a change of its StatefulSet has not reached all its Pods.
    is_updating: bool,
}

impl RunningOperator {
    /// An operator that Elastic's chart or manifests installed.
    fn from_set(set: StatefulSet) -> Self {
        let labelled = set
            .metadata
            .labels
            .as_ref()
            .and_then(|labels| labels.get("app.kubernetes.io/version"))
            .cloned();
        let count =
            |number: Option<i32>| usize::try_from(number.unwrap_or_default()).unwrap_or_default();
        let status = set.status.as_ref();
        let is_updating = status.is_some_and(|status| {
            status.observed_generation < set.metadata.generation
                || status.current_revision != status.update_revision
        });
        Self {
            is_updating,
            version: labelled
                .or_else(|| version(set.spec.as_ref()?.template.spec.as_ref()))
                .unwrap_or_else(unknown),
            ready: count(set.status.as_ref().and_then(|status| status.ready_replicas)),
            wanted: count(set.spec.as_ref().and_then(|spec| spec.replicas).or(Some(1))),
            namespace: set.metadata.namespace.unwrap_or_default(),
        }
    }

    /// An operator that another tool installed, such as the Operator Lifecycle Manager, which creates a Deployment.
    fn from_pods(pods: &[Pod]) -> Option<Self> {
        let first = pods.first()?;
        Some(Self {
            version: version(first.spec.as_ref()).unwrap_or_else(unknown),
            ready: pods.iter().filter(|pod| pods::is_ready(pod)).count(),
            wanted: pods.len(),
            is_updating: false,
            namespace: first.metadata.namespace.clone().unwrap_or_default(),
        })
    }

    fn is_ready(&self) -> bool {
        self.ready > 0
    }

    fn readiness(&self) -> Observation {
        let pods = format!("{}/{}", self.ready, self.wanted);
        if self.is_ready() { Observation::Equal(pods) } else { unhealthy(pods) }
    }

    fn shown(&self) -> String {
        format!("ECK {} in {}", self.version, self.namespace)
    }
}

fn version(pod: Option<&PodSpec>) -> Option<String> {
    let image = pod?.containers.first()?.image.as_deref()?;
    Some(pods::short_image(image).split_once(':')?.1.to_string())
}

fn unknown() -> String {
    "of unknown version".into()
}

async fn find(stack: &Stack) -> Result<Option<RunningOperator>> {
    let sets: Api<StatefulSet> = Api::all(stack.cluster.client.clone());
    for selector in SELECTORS {
        let mut found = sets.list(&ListParams::default().labels(selector)).await?.items;
        if !found.is_empty() {
            return Ok(Some(RunningOperator::from_set(found.swap_remove(0))));
        }
    }
    let pods: Api<Pod> = Api::all(stack.cluster.client.clone());
    Ok(RunningOperator::from_pods(
        &pods.list(&ListParams::default().labels(SELECTORS[1])).await?.items,
    ))
}

/// Whether the API server serves the kind Elasticsearch. Every user may request this.
async fn served(stack: &Stack) -> Result<bool> {
    let groups = stack.cluster.client.list_api_groups().await?;
    Ok(groups.groups.iter().any(|group| group.name == API_GROUP))
}

/// The name of an object that the operator manages, other than the data lake of this stack. Deleting the release deletes the
/// definitions of these kinds, and so all their objects.
async fn foreign_object(stack: &Stack) -> Result<Option<String>> {
    let client = &stack.cluster.client;
    let groups = client.list_api_groups().await.context("the API groups of the cluster")?.groups;
    let names: Vec<&str> = groups
        .iter()
        .map(|group| group.name.as_str())
        .filter(|name| name.ends_with(API_GROUPS))
        .collect();
    let served = Discovery::new(client.clone())
        .filter(&names)
        .run()
        .await
        .context("the kinds of the ECK operator")?;
    for (kind, _) in
        served.groups_alphabetical().into_iter().flat_map(|group| group.resources_by_stability())
    {
        let objects: Api<DynamicObject> = Api::all_with(client.clone(), &kind);
        let objects = objects
            .list_metadata(&ListParams::default())
            .await
            .with_context(|| kind.plural.clone())?;
        let foreign = objects.items.iter().find(|object| {
            kind.kind != datalake::kind().kind || !is_our_data_lake(stack, &object.metadata)
        });
        if let Some(object) = foreign {
            let metadata = &object.metadata;
            let namespace = metadata
                .namespace
                .as_ref()
                .map(|namespace| format!(" in namespace {namespace}"))
                .unwrap_or_default();
            return Ok(Some(format!(
                "{} {}{namespace}",
                kind.kind,
                metadata.name.as_deref().unwrap_or_default()
            )));
        }
    }
    Ok(None)
}

fn is_our_data_lake(stack: &Stack, metadata: &ObjectMeta) -> bool {
    let names = (metadata.namespace.as_deref(), metadata.name.as_deref());
    names == (Some(stack.namespace()), Some(datalake::RESOURCE)) && object::is_ours(metadata)
}

struct OperatorRelease;

#[async_trait]
impl Resource<Stack> for OperatorRelease {
    fn id(&self) -> Id {
        Id("operator.release")
    }

    fn needs(&self) -> &'static [Id] {
        PREFLIGHT
    }

    fn scope(&self) -> Scope {
        Scope::Shared
    }

    async fn observe(&self, stack: &Stack) -> Result<Observation> {
        let served = served(stack).await?;
        let found = match find(stack).await {
            Ok(found) => found,
            // a user of one namespace cannot see the operator, but sees that its kinds are served
            Err(_) if served => {
                return Ok(Observation::Equal("ECK, in a namespace that you cannot read".into()));
            }
            Err(error) => return Err(error),
        };
        if let Some(found) = &found
            && served
        {
            let name = found.shown();
            return Ok(if found.is_ready() {
                Observation::Equal(name)
            } else {
                Observation::drifted(name, "not ready", "ready")
            });
        }
        if !may(&stack.cluster, None, DEFINE_KINDS).await? {
            return Ok(Observation::not_permitted(
                format!(
                    "the ECK operator is not installed in this cluster, and you lack a permission to install it: {DEFINE_KINDS}"
                ),
                format!(
                    "ask your cluster administrator for: {}",
                    install(stack)?.command("", None)
                ),
            ));
        }
        // a broken release may still contain the definitions of kinds with foreign objects
        if stack.helm.is_others(RELEASE, NAMESPACE).await? {
            return Ok(Observation::blocked(
                format!(
                    "release {RELEASE} in namespace {NAMESPACE} was not created by this tool, and its operator does not run"
                ),
                format!(
                    "ask the owner of the release to repair it: helm status {RELEASE} -n {NAMESPACE}"
                ),
            ));
        }
        Ok(Observation::Missing(install(stack)?.chart.shown()))
    }

    async fn reconcile(&self, stack: &Stack, progress: &Progress<'_>) -> Result<Reconciled> {
        // wait for an existing operator that is not ready, whichever tool installed it
        if find(stack).await?.is_none() || !served(stack).await? {
            release::reconcile(stack, &install(stack)?, progress).await?;
        }
        ready(stack, progress).await
    }

    async fn plan_deletion(
        &self,
        stack: &Stack,
        options: DeleteOptions,
    ) -> Result<Deletion<ObjectRef>> {
        let reference = || vec![ObjectRef::release(RELEASE)];
        let planned = release::plan_deletion(stack, &DECLARATION, NAMESPACE).await;
        let is_ours = |deletion: &Deletion<_>| !deletion.delete.is_empty();
        if !options.shared && planned.as_ref().map_or(true, is_ours) {
            // without permission to read its namespace, it is left in place as well
            let reason = "it serves the whole cluster (`--operator` deletes it)";
            return Ok(Deletion::keeping(reference(), reason));
        }
        let planned = planned?;
        if !is_ours(&planned) {
            return Ok(planned);
        }
        Ok(match foreign_object(stack).await? {
            None => planned,
            Some(object) => Deletion::keeping(reference(), &format!("it manages {object}")),
        })
    }

    async fn delete(&self, stack: &Stack, _: DeleteOptions, _: &Progress<'_>) -> Result<()> {
        stack.helm.uninstall(RELEASE, NAMESPACE).await
    }

    async fn explain(&self, stack: &Stack) -> Result<Vec<Step>> {
        let waits = vec![
            format!("kubectl rollout status statefulset/{RELEASE} -n {NAMESPACE} --timeout=5m"),
            format!(
                "kubectl wait crd/elasticsearches.{API_GROUP} --for=condition=Established --timeout=2m"
            ),
        ];
        let is_served =
            format!("[ -n \"$(kubectl api-resources --api-group={API_GROUP} -o name)\" ]");
        Ok(vec![
            Step::Remark(
                "One operator serves the whole cluster. Do not install a second one.".into(),
            ),
            Step::Release { install: install(stack)?, unless: Some(is_served), waits },
        ])
    }
}

/// Waits until the operator serves its kinds.
async fn ready(stack: &Stack, progress: &Progress<'_>) -> Result<Reconciled> {
    stack
        .until("the ECK operator", progress, || async {
            let Some(found) = find(stack).await? else {
                return Ok(State::Waiting("being created".into()));
            };
            if found.is_ready() && !found.is_updating && served(stack).await? {
                return Ok(State::Ready(found.shown()));
            }
            let api = stack.cluster.api_in::<Pod>(&found.namespace);
            let pods = api.list(&ListParams::default().labels(SELECTORS[0])).await?.items;
            let problem = pod_problem::of(&stack.cluster, &pods).await;
            let reason = match found.is_updating {
                true => "the Pod of the new version is not ready yet",
                false => "the API server does not serve its kinds yet",
            };
            Ok(problem.map_or_else(|| State::Waiting(reason.into()), State::from))
        })
        .await
}

/// The version of the operator that serves the cluster, and why this tool does not upgrade it. Its version does not depend on
/// one stack, so `install` leaves it alone, and a rollback too.
pub struct Serving {
    /// None: it cannot be read, or none is installed.
    pub version: Option<semver::Version>,
    /// None: it can be upgraded.
    pub left: Option<String>,
}

/// The operator that serves the cluster.
///
/// # Errors
/// When the API server fails.
pub async fn serving(stack: &Stack) -> Result<Serving> {
    let found = match find(stack).await {
        Ok(found) => found,
        Err(error) => {
            let why = forbidden(&error).map(str::to_string).ok_or(error)?;
            return Ok(Serving { version: None, left: Some(why) });
        }
    };
    let Some(found) = found else { return Ok(Serving { version: None, left: None }) };
    let version = semver::Version::parse(&found.version).ok();
    let left = if !may(&stack.cluster, None, DEFINE_KINDS).await? {
        Some(format!("you lack a permission: {DEFINE_KINDS}"))
    } else if found.namespace != NAMESPACE || !stack.helm.is_ours(RELEASE, NAMESPACE).await? {
        Some(format!("this tool did not install it; it is in namespace {}", found.namespace))
    } else {
        None
    };
    Ok(Serving { version, left })
}

/// Upgrades the operator of the cluster, and waits until it is ready.
///
/// # Errors
/// When helm fails, and at the deadline.
pub async fn upgrade(stack: &Stack, progress: &Progress<'_>) -> Result<Reconciled> {
    release::reconcile(stack, &install(stack)?, progress).await?;
    ready(stack, progress).await
}

fn install(stack: &Stack) -> Result<Install> {
    let mut values: Value = json!({});
    if let Some(registry) = &stack.settings.image_registry {
        let image = without_registry(stack.versions.of(COMPONENT).image("operator"))
            .split(':')
            .next()
            .unwrap_or_default()
            .to_string();
        values =
            json!({"image": {"repository": format!("{}/{image}", registry.trim_end_matches('/'))}});
    }
    release::install(stack, COMPONENT, RELEASE, NAMESPACE, values)
}
