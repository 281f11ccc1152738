//! The ECK operator, which runs Elasticsearch. One serves the whole cluster: it is installed only where there
//! is none, and never a second time.

use anyhow::{Context, Result};
use async_trait::async_trait;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::{DynamicObject, ListParams};
use kube::discovery::Discovery;
use serde_json::{Value, json};

use crate::clients::apply;
use crate::clients::helm::Install;
use crate::clients::pods::{self, Trouble};
use crate::clients::wait::{self, State};
use crate::output::progress::Progress;
use crate::stack::Stack;
use crate::stack::step::{Converged, Observed, Retracted, Retraction, Step, StepId};
use crate::stack::versions::{Component, without_registry};

use super::{Credential, Fact, Part, PartStatus, datalake, preflight, release};

const RELEASE: &str = "elastic-operator";
pub const NAMESPACE: &str = "elastic-system";
const API_GROUP: &str = "elasticsearch.k8s.elastic.co";
/// How the names of all groups end whose kinds come and go with the operator's chart: Kibana, Logstash, Beat and more.
const API_GROUPS: &str = ".k8s.elastic.co";

/// How installations of the operator label it: its chart, and Elastic's plain manifests.
const SELECTORS: [&str; 2] =
    ["app.kubernetes.io/name=elastic-operator", "control-plane=elastic-operator"];

pub struct Operator;

#[async_trait]
impl Part for Operator {
    fn name(&self) -> &'static str {
        "operator"
    }

    fn component(&self) -> Component {
        Component::Operator
    }

    fn steps(&self) -> Vec<Box<dyn Step>> {
        vec![Box::new(OperatorRelease)]
    }

    async fn status(&self, stack: &Stack) -> PartStatus {
        let mut status = PartStatus::default();
        match find(stack).await {
            Ok(Some(found)) => {
                status.runs = Fact::Good(found.shown());
                let pods = format!("{}/{}", found.ready, found.wanted);
                status.pods = if found.is_ready() { Fact::Good(pods) } else { Fact::Bad(pods) };
            }
            Ok(None) => status.runs = Fact::Bad("not installed".into()),
            Err(error) => status.runs = Fact::from_error(&error),
        }
        status.answers = match served(stack).await {
            Ok(true) => Fact::Good("its API is served".into()),
            Ok(false) => Fact::Bad("its API is not served".into()),
            Err(error) => Fact::from_error(&error),
        };
        status
    }

    async fn credentials(&self, _: &Stack) -> Result<Vec<Credential>> {
        Ok(Vec::new())
    }

    async fn release(&self, stack: &Stack) -> Result<Option<Install>> {
        install(stack).map(Some)
    }
}

/// An operator that runs in the cluster, whoever installed it.
struct Found {
    namespace: String,
    version: String,
    ready: usize,
    wanted: usize,
}

impl Found {
    /// As Elastic's chart and manifests install it.
    fn from_set(set: StatefulSet) -> Self {
        let labelled = set
            .metadata
            .labels
            .as_ref()
            .and_then(|labels| labels.get("app.kubernetes.io/version"))
            .cloned();
        let count =
            |number: Option<i32>| usize::try_from(number.unwrap_or_default()).unwrap_or_default();
        Self {
            version: labelled
                .or_else(|| version(set.spec.as_ref()?.template.spec.as_ref()))
                .unwrap_or_else(unknown),
            ready: count(set.status.as_ref().and_then(|status| status.ready_replicas)),
            wanted: count(set.spec.as_ref().and_then(|spec| spec.replicas).or(Some(1))),
            namespace: set.metadata.namespace.unwrap_or_default(),
        }
    }

    /// As others install it, such as the Operator Lifecycle Manager, which makes a Deployment of it.
    fn from_pods(pods: &[Pod]) -> Option<Self> {
        let first = pods.first()?;
        Some(Self {
            version: version(first.spec.as_ref()).unwrap_or_else(unknown),
            ready: pods.iter().filter(|pod| pods::is_ready(pod)).count(),
            wanted: pods.len(),
            namespace: first.metadata.namespace.clone().unwrap_or_default(),
        })
    }

    fn is_ready(&self) -> bool {
        self.ready > 0
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

async fn find(stack: &Stack) -> Result<Option<Found>> {
    let sets: Api<StatefulSet> = Api::all(stack.target.client.clone());
    for selector in SELECTORS {
        let mut found = sets.list(&ListParams::default().labels(selector)).await?.items;
        if !found.is_empty() {
            return Ok(Some(Found::from_set(found.swap_remove(0))));
        }
    }
    let pods: Api<Pod> = Api::all(stack.target.client.clone());
    Ok(Found::from_pods(&pods.list(&ListParams::default().labels(SELECTORS[1])).await?.items))
}

/// Whether the API server knows the kind Elasticsearch. Everybody may ask this.
async fn served(stack: &Stack) -> Result<bool> {
    let groups = stack.target.client.list_api_groups().await?;
    Ok(groups.groups.iter().any(|group| group.name == API_GROUP))
}

/// Something that the operator looks after and that is not the data lake of this stack. With the release the definitions of
/// all these kinds go, and with them every object.
async fn foreign_object(stack: &Stack) -> Result<Option<String>> {
    let client = &stack.target.client;
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
            let place = metadata
                .namespace
                .as_ref()
                .map(|namespace| format!(" in namespace {namespace}"))
                .unwrap_or_default();
            return Ok(Some(format!(
                "{} {}{place}",
                kind.kind,
                metadata.name.as_deref().unwrap_or_default()
            )));
        }
    }
    Ok(None)
}

fn is_our_data_lake(stack: &Stack, metadata: &ObjectMeta) -> bool {
    let place = (metadata.namespace.as_deref(), metadata.name.as_deref());
    place == (Some(stack.namespace()), Some(datalake::NAME)) && apply::is_ours(metadata)
}

struct OperatorRelease;

#[async_trait]
impl Step for OperatorRelease {
    fn id(&self) -> StepId {
        "operator.release"
    }

    fn needs(&self) -> &'static [StepId] {
        preflight::ALL
    }

    async fn observe(&self, stack: &Stack) -> Result<Observed> {
        let served = served(stack).await?;
        let found = match find(stack).await {
            Ok(found) => found,
            // a user of one namespace cannot see the operator, but sees that its kinds are served
            Err(_) if served => {
                return Ok(Observed::Ok("ECK, in a namespace that you may not see".into()));
            }
            Err(error) => return Err(error),
        };
        if let Some(found) = &found
            && served
        {
            let name = found.shown();
            return Ok(if found.is_ready() {
                Observed::Ok(name)
            } else {
                Observed::drifted(name, "not ready", "ready")
            });
        }
        if !preflight::may(
            stack,
            None,
            "create",
            "apiextensions.k8s.io",
            "customresourcedefinitions",
        )
        .await?
        {
            return Ok(Observed::forbidden(
                "the ECK operator is not in this cluster, and you may not install it: it needs create customresourcedefinitions.apiextensions.k8s.io",
                format!("ask who runs the cluster for: {}", install(stack)?.explain()),
            ));
        }
        // what is there of it may hold the definitions of kinds that others have objects of
        if stack.helm.is_others(RELEASE, NAMESPACE).await? {
            return Ok(Observed::blocked(
                format!(
                    "release {RELEASE} in namespace {NAMESPACE} was not made by this tool, and no operator of it works"
                ),
                format!(
                    "ask who made it to bring it up again: helm status {RELEASE} -n {NAMESPACE}"
                ),
            ));
        }
        Ok(Observed::Missing(install(stack)?.chart.shown()))
    }

    async fn converge(&self, stack: &Stack, progress: &Progress) -> Result<Converged> {
        // an operator that is there and not ready is waited for, whoever installed it
        if find(stack).await?.is_none() || !served(stack).await? {
            release::converge(stack, &install(stack)?, progress).await?;
        }
        wait::until(stack, "the ECK operator", progress, || async {
            let Some(found) = find(stack).await? else {
                return Ok(State::Waiting("being created".into()));
            };
            if found.is_ready() && served(stack).await? {
                return Ok(State::Ready(found.shown()));
            }
            let api: Api<_> = Api::namespaced(stack.target.client.clone(), &found.namespace);
            let pods = api.list(&ListParams::default().labels(SELECTORS[0])).await?.items;
            Ok(match pods::trouble(stack, &pods).await {
                Some(Trouble::Fatal { why, hint }) => State::Fatal { why, hint },
                Some(Trouble::Waiting(reason)) => State::Waiting(reason),
                None => State::Waiting("its kinds are not served yet".into()),
            })
        })
        .await
    }

    async fn retractable(&self, stack: &Stack, how: Retraction) -> Result<Retracted> {
        let found = match release::retractable(stack, RELEASE, NAMESPACE).await {
            // it stays: who may not look into its namespace needs not to
            Ok(Retracted::Removed(_)) | Err(_) if !how.operator => {
                return Ok(Retracted::Kept(
                    "the ECK operator: it serves the whole cluster (`--operator` removes it)"
                        .into(),
                ));
            }
            found => found?,
        };
        if !matches!(found, Retracted::Removed(_)) {
            return Ok(found);
        }
        Ok(match foreign_object(stack).await? {
            None => found,
            Some(object) => Retracted::Kept(format!("the ECK operator: it looks after {object}")),
        })
    }

    async fn retract(&self, stack: &Stack, _: Retraction, _: &Progress) -> Result<()> {
        stack.helm.uninstall(RELEASE, NAMESPACE).await
    }

    fn explain(&self, stack: &Stack) -> Vec<String> {
        install(stack).map(|install| vec![install.explain()]).unwrap_or_default()
    }
}

fn install(stack: &Stack) -> Result<Install> {
    let mut values: Value = json!({});
    if let Some(registry) = &stack.settings.image_registry {
        let image = without_registry(stack.versions.of(Component::Operator).image("operator"))
            .split(':')
            .next()
            .unwrap_or_default()
            .to_string();
        values =
            json!({"image": {"repository": format!("{}/{image}", registry.trim_end_matches('/'))}});
    }
    release::install(stack, Component::Operator, RELEASE, NAMESPACE, values)
}
