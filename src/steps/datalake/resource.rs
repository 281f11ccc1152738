//! The Elasticsearch resource, from which the ECK operator makes the data lake.

use anyhow::{Context, Result};
use async_trait::async_trait;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::clients::apply::{self, Comparison, Desired};
use crate::clients::pods;
use crate::clients::wait::{self, State};
use crate::output::progress::Progress;
use crate::stack::Stack;
use crate::stack::settings::{merge_values, without_nulls};
use crate::stack::step::{Converged, Observed, Retracted, Retraction, Step, StepId};
use crate::stack::versions::Component;

use super::{AUTHORITY_SECRET, NAME, PODS, authority};

const TEMPLATE: &str = include_str!("../../../manifests/data-lake.yaml");

/// How many nodes this stack has: those of node sets that a person gave, else the profile's.
pub fn nodes(stack: &Stack) -> u32 {
    let own = stack.settings.values.get(&Component::Datalake).and_then(nodes_of);
    own.unwrap_or(stack.settings.profile().sizes().datalake.nodes)
}

fn nodes_of(spec: &Value) -> Option<u32> {
    let sets = spec.get("nodeSets")?.as_array()?;
    let count = |set: &Value| {
        set.get("count")
            .and_then(Value::as_u64)
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or(1)
    };
    Some(sets.iter().map(count).sum())
}

pub fn counted(nodes: u32) -> String {
    format!("{nodes} node{}", if nodes == 1 { "" } else { "s" })
}

/// One node cannot hold replicas, so other people's indices make it yellow for ever: that is well.
pub fn is_well(health: &str, nodes: u32) -> bool {
    health == "green" || (health == "yellow" && nodes == 1)
}

/// The resource as the operator reports it.
pub struct Live(DynamicObject);

impl Live {
    fn status(&self, key: &str) -> Option<&Value> {
        self.0.data.get("status")?.get(key)
    }

    pub fn version(&self) -> &str {
        self.status("version").and_then(Value::as_str).unwrap_or("starting")
    }

    pub fn phase(&self) -> &str {
        self.status("phase").and_then(Value::as_str).unwrap_or("not seen by the operator yet")
    }

    /// How many nodes it is to have.
    pub fn nodes(&self) -> Option<u32> {
        self.0.data.get("spec").and_then(nodes_of)
    }

    pub fn health(&self) -> &str {
        self.status("health").and_then(Value::as_str).unwrap_or("unknown")
    }

    fn available_nodes(&self) -> u32 {
        self.status("availableNodes").and_then(Value::as_u64).map_or(0, |n| n as u32)
    }

    pub fn is_ready(&self, wanted_nodes: u32) -> bool {
        let seen = self.status("observedGeneration").and_then(Value::as_i64);
        self.phase() == "Ready"
            && is_well(self.health(), wanted_nodes)
            && self.available_nodes() == wanted_nodes
            && seen == self.0.metadata.generation
    }

    /// That the operator will make nothing of it.
    pub fn refused(&self) -> Option<State> {
        (self.phase() == "Invalid").then(|| State::Fatal {
            why: format!("the operator refuses elasticsearch {NAME} as invalid"),
            hint: format!(
                "kubectl describe elasticsearch {NAME} -n {}",
                self.0.metadata.namespace.as_deref().unwrap_or_default()
            ),
        })
    }

    /// How much a node's volume holds, which the operator refuses to change where storage cannot grow.
    fn storage(&self) -> Option<&Value> {
        self.0
            .data
            .pointer("/spec/nodeSets/0/volumeClaimTemplates/0/spec/resources/requests/storage")
    }

    fn is_ours(&self) -> bool {
        apply::is_ours(&self.0.metadata)
    }

    pub fn describe(&self, wanted_nodes: u32) -> String {
        let health = match self.health() {
            "unknown" => String::new(),
            health => format!(", health {health}"),
        };
        format!(
            "{} of {}, phase {}{health}",
            self.available_nodes(),
            counted(wanted_nodes),
            self.phase()
        )
    }
}

fn api(stack: &Stack) -> Api<DynamicObject> {
    Api::namespaced_with(stack.target.client.clone(), stack.namespace(), &super::kind())
}

pub async fn live(stack: &Stack) -> Result<Option<Live>> {
    match api(stack).get_opt(NAME).await {
        Ok(found) => Ok(found.map(Live)),
        // without the operator's kinds there can be no such resource
        Err(error) if apply::is_not_found(&error) => Ok(None),
        Err(error) => Err(error).context("elasticsearch data-lake"),
    }
}

/// The resource as it should be, with volumes as large as they were made.
fn desired(stack: &Stack, live: Option<&Live>) -> Result<Desired> {
    Desired::known(
        &stack.target.client,
        stack.namespace(),
        &super::kind(),
        body(stack, live.and_then(Live::storage))?,
    )
}

/// The image that the operator takes for this version by itself, from where images of this stack come.
pub fn own_image(stack: &Stack) -> String {
    stack.image(stack.versions.of(Component::Datalake).image("elasticsearch"))
}

/// What is asked of the operator; without the size that volumes have, with that of the profile.
pub fn body(stack: &Stack, storage: Option<&Value>) -> Result<Value> {
    let mut body: Value = serde_saphyr::from_str(TEMPLATE).context("manifests/data-lake.yaml")?;
    let versions = stack.versions.of(Component::Datalake);
    let size = &stack.settings.profile().sizes().datalake;
    body["metadata"]["labels"] = stack.labels("elasticsearch", NAME);
    body["spec"]["version"] = json!(versions.version);
    if stack.settings.image_registry.is_some() {
        body["spec"]["image"] = json!(own_image(stack));
    }
    let set = &mut body["spec"]["nodeSets"][0];
    set["count"] = json!(size.nodes);
    merge_values(&mut set["config"], &json!(size.config));
    set["podTemplate"]["metadata"] = json!({"labels": {"app.kubernetes.io/part-of": "lastack"}});
    set["podTemplate"]["spec"]["containers"][0]["resources"] = json!({
        "requests": {"cpu": size.cpu, "memory": size.memory},
        "limits": {"memory": size.memory},
    });
    if size.nodes == 1 {
        // no other node could take over the requests that this wait is for
        set["podTemplate"]["spec"]["containers"][0]["env"] =
            json!([{"name": "PRE_STOP_ADDITIONAL_WAIT_SECONDS", "value": "0"}]);
    }
    set["volumeClaimTemplates"][0]["spec"]["resources"] =
        json!({"requests": {"storage": storage.map_or_else(|| json!(size.storage), Value::clone)}});
    if let Some(over) = stack.settings.values.get(&Component::Datalake) {
        merge_values(&mut body["spec"], over);
        without_nulls(&mut body["spec"]);
    }
    Ok(body)
}

/// Makes the volumes outlive the resource. The operator lets go of them in its own time, and until then they
/// would go with it.
async fn release_volumes(stack: &Stack, progress: &Progress<'_>) -> Result<()> {
    let policy = json!({"spec": {"volumeClaimDeletePolicy": "DeleteOnScaledownOnly"}});
    api(stack)
        .patch(NAME, &PatchParams::default(), &Patch::Merge(&policy))
        .await
        .with_context(|| format!("elasticsearch {NAME}"))?;
    wait::until_gone(stack, "the operator's hold on the volumes", progress, || async {
        let owned = |claim: &PersistentVolumeClaim| {
            claim.metadata.owner_references.as_ref().is_some_and(|owners| !owners.is_empty())
        };
        let held = claims(stack).await?.iter().filter(|claim| owned(claim)).count();
        Ok((held > 0).then(|| format!("the operator still holds {held} volume claims")))
    })
    .await
}

async fn claims(stack: &Stack) -> Result<Vec<PersistentVolumeClaim>> {
    Ok(stack.api::<PersistentVolumeClaim>().list(&ListParams::default().labels(PODS)).await?.items)
}

pub struct Resource;

#[async_trait]
impl Step for Resource {
    fn id(&self) -> StepId {
        "datalake.resource"
    }

    fn needs(&self) -> &'static [StepId] {
        &["operator.release", "datalake.accounts"]
    }

    async fn observe(&self, stack: &Stack) -> Result<Observed> {
        let Some(live) = live(stack).await? else {
            return Ok(Observed::Missing(format!(
                "elasticsearch {NAME}, {}",
                counted(nodes(stack))
            )));
        };
        if !live.is_ours() {
            return Ok(Observed::blocked(
                format!(
                    "namespace {} has an Elasticsearch {NAME} that this tool did not make",
                    stack.namespace()
                ),
                apply::others_hint("elasticsearch", NAME, stack.namespace()),
            ));
        }
        if let Comparison::Differs(drift) = desired(stack, Some(&live))?.compare().await? {
            return Ok(Observed::Drifted(drift));
        }
        Ok(match authority(stack).await? {
            Some(_) => Observed::Ok(format!("elasticsearch {NAME}, {}", counted(nodes(stack)))),
            None => Observed::drifted(
                "its certificate authority",
                "absent",
                format!("in secret {AUTHORITY_SECRET}"),
            ),
        })
    }

    async fn converge(&self, stack: &Stack, progress: &Progress) -> Result<Converged> {
        desired(stack, live(stack).await?.as_ref())?.apply().await?;
        wait::until(
            stack,
            &format!("the certificate authority of elasticsearch {NAME}"),
            progress,
            || async {
                let found = live(stack).await?;
                Ok(match found.as_ref().and_then(Live::refused) {
                    Some(fatal) => fatal,
                    None if authority(stack).await?.is_some() => {
                        State::Ready(format!("elasticsearch {NAME}, {}", counted(nodes(stack))))
                    }
                    None => State::Waiting("the operator has not made its certificates yet".into()),
                })
            },
        )
        .await
    }

    async fn retractable(&self, stack: &Stack, how: Retraction) -> Result<Retracted> {
        let found = live(stack).await?;
        let kept_volumes = found.is_none() && !claims(stack).await?.is_empty();
        Ok(match found {
            None if kept_volumes && how.keep_data => {
                Retracted::Kept("the volumes of the data lake".into())
            }
            None if kept_volumes => {
                Retracted::Removed("the volumes that an earlier uninstall kept".into())
            }
            None => Retracted::Nothing,
            Some(live) if !live.is_ours() => {
                Retracted::Kept(format!("elasticsearch {NAME}: not made by this tool"))
            }
            Some(_) if how.keep_data => {
                Retracted::Removed(format!("elasticsearch {NAME} (its volumes are kept)"))
            }
            Some(_) => Retracted::Removed(format!("elasticsearch {NAME} and its volumes")),
        })
    }

    async fn retract(&self, stack: &Stack, how: Retraction, progress: &Progress) -> Result<()> {
        if how.keep_data {
            release_volumes(stack, progress).await?;
        }
        apply::delete(&api(stack), NAME, &DeleteParams::default()).await?;
        if !how.keep_data {
            apply::delete_all(
                &stack.api::<PersistentVolumeClaim>(),
                PODS,
                &DeleteParams::default(),
            )
            .await?;
        }
        wait::until_gone(stack, &format!("the end of elasticsearch {NAME}"), progress, || async {
            let pods = pods::all(stack, PODS).await?;
            let (pods, claims) =
                (pods.len(), if how.keep_data { 0 } else { claims(stack).await?.len() });
            let is_left = live(stack).await?.is_some() || pods + claims > 0;
            Ok(is_left.then(|| format!("{pods} pods and {claims} volume claims are being removed")))
        })
        .await
    }

    fn explain(&self, stack: &Stack) -> Vec<String> {
        vec![format!("kubectl apply -n {} -f manifests/data-lake.yaml", stack.namespace())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_sets_of_ones_own_are_counted() {
        let sets = json!({"nodeSets": [{"name": "hot", "count": 2}, {"name": "cold", "count": 3}]});
        assert_eq!((nodes_of(&sets), nodes_of(&json!({"version": "8.19.21"}))), (Some(5), None));
    }
}
