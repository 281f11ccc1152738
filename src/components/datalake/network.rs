//! The NetworkPolicies of the data lake and of the CronJob that measures it. Those of the other Pods are in the charts.

use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use serde_json::Value;

use crate::cluster::apply::{Comparison, Desired};
use crate::cluster::object::{self, ObjectRef};
use crate::cluster::steps::Step;
use crate::components::remains::kind;
use crate::engine::{
    DeleteOptions, Deletion, Difference, Id, Observation, Progress, Reconciled, Resource,
};
use crate::stack::Stack;

const MANIFEST: &str = include_str!("../../../manifests/network-policies.yaml");
/// The NetworkPolicies of the manifest.
const NAMES: [&str; 2] = ["data-lake", "data-lake-size"];
/// Their files in a rendered folder, in the same order.
const FILES: [&str; 2] = ["network-policy", "network-policy-size"];

pub struct NetworkPolicies;

/// The desired NetworkPolicies, in the order of [`NAMES`].
fn bodies(stack: &Stack) -> Result<Vec<Value>> {
    let mut bodies: Vec<Value> =
        serde_saphyr::from_multiple(MANIFEST).context("manifests/network-policies.yaml")?;
    ensure!(bodies.len() == NAMES.len(), "manifests/network-policies.yaml has other policies");
    for (body, name) in bodies.iter_mut().zip(NAMES) {
        ensure!(body["metadata"]["name"] == name, "manifests/network-policies.yaml lacks {name}");
        body["metadata"]["labels"] = stack.labels("elasticsearch", super::RESOURCE);
    }
    Ok(bodies)
}

fn desired(stack: &Stack) -> Result<Vec<Desired>> {
    let (client, namespace) = (&stack.cluster.client, stack.namespace());
    let known = |body| Desired::known(client, namespace, &kind::<NetworkPolicy>(), body);
    bodies(stack)?.into_iter().map(known).collect()
}

fn described() -> String {
    format!("networkpolicies {}", NAMES.join(", "))
}

#[async_trait]
impl Resource<Stack> for NetworkPolicies {
    fn id(&self) -> Id {
        Id("datalake.network")
    }

    fn needs(&self) -> &'static [Id] {
        &[Id("namespace")]
    }

    async fn observe(&self, stack: &Stack) -> Result<Observation> {
        let mut missing = false;
        let mut differences = Vec::new();
        for (name, desired) in NAMES.into_iter().zip(desired(stack)?) {
            let live = stack.api::<NetworkPolicy>().get_opt(name).await;
            let live = live.with_context(|| format!("networkpolicy {name}"))?;
            if live.is_some_and(|live| !object::is_ours(&live.metadata)) {
                return Ok(Observation::blocked(
                    format!(
                        "namespace {}: NetworkPolicy {name} was not created by this tool",
                        stack.namespace()
                    ),
                    object::others_hint("networkpolicy", name, stack.namespace()),
                ));
            }
            match desired.compare().await? {
                Comparison::Same => {}
                Comparison::Missing => missing = true,
                Comparison::Differs(fields) => {
                    differences.extend(fields.into_iter().map(Difference::from));
                }
            }
        }
        Ok(match (missing, differences.is_empty()) {
            (true, _) => Observation::Missing(described()),
            (false, true) => Observation::Equal(described()),
            (false, false) => Observation::Drifted(differences),
        })
    }

    async fn reconcile(&self, stack: &Stack, _: &Progress<'_>) -> Result<Reconciled> {
        for desired in desired(stack)? {
            desired.apply().await?;
        }
        Ok(Reconciled::Done(described()))
    }

    async fn plan_deletion(&self, stack: &Stack, _: DeleteOptions) -> Result<Deletion<ObjectRef>> {
        let mut found = Vec::new();
        for name in NAMES {
            found.extend(object::ours::<NetworkPolicy>(&stack.cluster, name).await?);
        }
        Ok(Deletion::of(found))
    }

    async fn delete(&self, stack: &Stack, _: DeleteOptions, _: &Progress<'_>) -> Result<()> {
        for name in NAMES {
            object::delete_ours(&stack.api::<NetworkPolicy>(), name).await?;
        }
        Ok(())
    }

    async fn explain(&self, stack: &Stack) -> Result<Vec<Step>> {
        let files = bodies(stack)?.into_iter().zip(FILES);
        Ok(files.map(|(manifest, file)| Step::Apply { file, manifest }).collect())
    }
}
