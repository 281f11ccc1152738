//! The ECK operator, which runs Elasticsearch. One serves the whole cluster: it is installed only where there
//! is none, and never a second time.

use anyhow::Result;
use async_trait::async_trait;
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::Api;
use kube::api::{DynamicObject, ListParams};
use serde_json::{Value, json};

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

/// How installations of the operator label it: its chart, and Elastic's plain manifests.
const SELECTORS: [&str; 2] = ["app.kubernetes.io/name=elastic-operator", "control-plane=elastic-operator"];

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
                let ready = found.ready();
                status.runs = Fact::Good(format!("ECK {} in {}", found.version(), found.namespace()));
                let pods = format!("{}/{}", found.replicas_ready(), found.replicas_wanted());
                status.pods = if ready { Fact::Good(pods) } else { Fact::Bad(pods) };
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
}

/// An operator that runs in the cluster, whoever installed it.
struct Found(StatefulSet);

impl Found {
    fn namespace(&self) -> &str {
        self.0.metadata.namespace.as_deref().unwrap_or_default()
    }

    fn version(&self) -> String {
        let labelled = self.0.metadata.labels.as_ref().and_then(|labels| labels.get("app.kubernetes.io/version"));
        let image = self.0.spec.as_ref().and_then(|spec| spec.template.spec.as_ref()?.containers.first()?.image.as_deref());
        labelled.map(String::as_str).or_else(|| image?.rsplit(':').next()).unwrap_or("of unknown version").to_string()
    }

    fn replicas_ready(&self) -> i32 {
        self.0.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or_default()
    }

    fn replicas_wanted(&self) -> i32 {
        self.0.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
    }

    fn ready(&self) -> bool {
        self.replicas_ready() > 0
    }
}

async fn find(stack: &Stack) -> Result<Option<Found>> {
    let api: Api<StatefulSet> = Api::all(stack.target.client.clone());
    for selector in SELECTORS {
        let mut found = api.list(&ListParams::default().labels(selector)).await?.items;
        if !found.is_empty() {
            return Ok(Some(Found(found.swap_remove(0))));
        }
    }
    Ok(None)
}

/// Whether the API server knows the kind Elasticsearch. Everybody may ask this.
async fn served(stack: &Stack) -> Result<bool> {
    let groups = stack.target.client.list_api_groups().await?;
    Ok(groups.groups.iter().any(|group| group.name == API_GROUP))
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
            Err(_) if served => return Ok(Observed::Ok("ECK, in a namespace that you may not see".into())),
            Err(error) => return Err(error),
        };
        if let Some(found) = &found
            && served
        {
            let name = format!("ECK {} in {}", found.version(), found.namespace());
            return Ok(if found.ready() { Observed::Ok(name) } else { Observed::drifted(name, "not ready", "ready") });
        }
        if !preflight::may(stack, None, "create", "apiextensions.k8s.io", "customresourcedefinitions").await? {
            return Ok(Observed::blocked(
                "the ECK operator is not in this cluster, and you may not install it: it needs create customresourcedefinitions.apiextensions.k8s.io",
                format!("ask who runs the cluster for: {}", install(stack)?.explain()),
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
            let Some(found) = find(stack).await? else { return Ok(State::Waiting("being created".into())) };
            if found.ready() && served(stack).await? {
                return Ok(State::Ready(format!("ECK {} in {}", found.version(), found.namespace())));
            }
            let api: Api<_> = Api::namespaced(stack.target.client.clone(), found.namespace());
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
                return Ok(Retracted::Kept("the ECK operator: it serves the whole cluster (`--operator` removes it)".into()));
            }
            found => found?,
        };
        if !matches!(found, Retracted::Removed(_)) {
            return Ok(found);
        }
        let others: Api<DynamicObject> = Api::all_with(stack.target.client.clone(), &datalake::resource());
        let others = others.list(&ListParams::default()).await?.items;
        let ours = (Some(stack.namespace()), Some(datalake::NAME));
        let foreign = others.iter().find(|object| (object.metadata.namespace.as_deref(), object.metadata.name.as_deref()) != ours);
        Ok(match foreign {
            None => found,
            Some(object) => Retracted::Kept(format!(
                "the ECK operator: it runs Elasticsearch {} in namespace {}",
                object.metadata.name.as_deref().unwrap_or_default(),
                object.metadata.namespace.as_deref().unwrap_or_default()
            )),
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
        let image = without_registry(stack.versions.of(Component::Operator).image("operator")).split(':').next().unwrap_or_default().to_string();
        values = json!({"image": {"repository": format!("{}/{image}", registry.trim_end_matches('/'))}});
    }
    release::install(stack, Component::Operator, RELEASE, NAMESPACE, values)
}
