//! The Elasticsearch resource, from which the ECK operator creates the data lake.

use anyhow::{Context, Result};
use async_trait::async_trait;
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

use crate::cluster::apply::{Comparison, Desired};
use crate::cluster::object::{self, LiveObject, ObjectRef};
use crate::cluster::pods;
use crate::cluster::steps::Step;
use crate::cluster::wait::State;
use crate::components::remains;
use crate::engine::{DeleteOptions, Deletion, Difference, Id, Observation, Progress, Reconciled};
use crate::error::Diagnosis;
use crate::stack::Stack;
use crate::stack::resources::Resources;
use crate::stack::settings::{merge_values, without_nulls};

use super::volumes::{self, Claims, Owner};
use super::{AUTHORITY_SECRET, COMPONENT, PODS, RESOURCE, Size, authority};

const TEMPLATE: &str = include_str!("../../../manifests/data-lake.yaml");

/// Whether the operator deletes the volume claims with the resource, and the value with which they outlive it.
const POLICY: &str = "volumeClaimDeletePolicy";
const KEEP: &str = "DeleteOnScaledownOnly";

/// The annotation with which the operator accepts an older version, according to its documentation of upgrades. A rollback needs
/// it, which takes place only before a node of the newer version has started.
const ACCEPT_OLDER: &str = "eck.k8s.elastic.co/disable-downgrade-validation";

/// The requests that the operator sets for a node without any, according to its documentation of compute resources.
const OPERATORS_REQUESTS: Resources = Resources { millicores: 0, memory_bytes: 2 << 30 };

/// The number of nodes: from node sets in the chart values, or else from the profile.
pub fn nodes(stack: &Stack) -> u32 {
    let own = stack.settings.values_of(COMPONENT).and_then(nodes_of);
    own.unwrap_or(size(stack).nodes)
}

fn size(stack: &Stack) -> Size {
    stack.settings.profile().size_of(COMPONENT)
}

fn nodes_of(spec: &Value) -> Option<u32> {
    Some(pods_of(spec)?.into_iter().map(|(_, nodes)| nodes).sum())
}

/// The resource requests and the number of Pods of each node set. None: the spec has no node sets.
pub fn pods_of(spec: &Value) -> Option<Vec<(Resources, u32)>> {
    let sets = spec.get("nodeSets")?.as_array()?;
    let pods = |set: &Value| {
        let count = set.get("count").and_then(Value::as_u64);
        let containers = set.pointer("/podTemplate/spec/containers").and_then(Value::as_array);
        let container = containers.into_iter().flatten().find(|one| one["name"] == "elasticsearch");
        let requests = OPERATORS_REQUESTS.overridden_by(container.map(|one| &one["resources"]));
        (requests, count.and_then(|count| u32::try_from(count).ok()).unwrap_or(1))
    };
    Some(sets.iter().map(pods).collect())
}

pub fn counted(nodes: u32) -> String {
    format!("{nodes} node{}", if nodes == 1 { "" } else { "s" })
}

/// A single node cannot hold replicas, so replicas of foreign indices keep it yellow. This is healthy.
pub fn is_healthy(health: &str, nodes: u32) -> bool {
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
        self.status("phase").and_then(Value::as_str).unwrap_or("not reconciled by the operator yet")
    }

    /// The desired number of nodes.
    pub fn nodes(&self) -> Option<u32> {
        self.spec().and_then(nodes_of)
    }

    pub fn health(&self) -> &str {
        self.status("health").and_then(Value::as_str).unwrap_or("unknown")
    }

    fn available_nodes(&self) -> u32 {
        self.status("availableNodes").and_then(Value::as_u64).map_or(0, |n| n as u32)
    }

    pub fn is_ready(&self, wanted_nodes: u32) -> bool {
        let observed = self.status("observedGeneration").and_then(Value::as_i64);
        self.phase() == "Ready"
            && is_healthy(self.health(), wanted_nodes)
            && self.available_nodes() == wanted_nodes
            && observed == self.0.metadata.generation
    }

    /// The diagnosis of a resource that the operator rejected. None when it did not.
    pub fn rejected(&self) -> Option<Diagnosis> {
        let namespace = self.0.metadata.namespace.as_deref().unwrap_or_default();
        (self.phase() == "Invalid").then(|| {
            Diagnosis::new(
                format!("the operator rejected elasticsearch {RESOURCE} as invalid"),
                format!("kubectl describe elasticsearch {RESOURCE} -n {namespace}"),
            )
        })
    }

    /// The size of a node's volume. The operator rejects a change where the StorageClass does not allow expansion.
    fn storage(&self) -> Option<&Value> {
        self.0
            .data
            .pointer("/spec/nodeSets/0/volumeClaimTemplates/0/spec/resources/requests/storage")
    }

    pub fn is_ours(&self) -> bool {
        object::is_ours(&self.0.metadata)
    }

    fn spec(&self) -> Option<&Value> {
        self.0.data.get("spec")
    }

    pub fn owner(&self) -> Owner {
        match self.is_ours() {
            true => Owner::new(self.0.metadata.uid.clone(), self.spec()),
            false => Owner::default(),
        }
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
    Api::namespaced_with(stack.cluster.client.clone(), stack.namespace(), &super::kind())
}

pub async fn live(stack: &Stack) -> Result<Option<Live>> {
    match api(stack).get_opt(RESOURCE).await {
        Ok(found) => Ok(found.map(Live)),
        // without the operator's kinds, the resource cannot exist
        Err(error) if object::is_not_found(&error) => Ok(None),
        Err(error) => Err(error).context("elasticsearch data-lake"),
    }
}

/// The owner of the volume claims.
///
/// # Errors
/// When the resource cannot be read.
async fn owner(stack: &Stack) -> Result<Owner> {
    Ok(live(stack).await?.as_ref().map(Live::owner).unwrap_or_default())
}

/// The desired resource. Existing volumes retain their size.
fn desired(stack: &Stack, live: Option<&Live>) -> Result<Desired> {
    let mut body = body(stack, live.and_then(Live::storage))?;
    let version = |spec: &Value| semver::Version::parse(spec.get("version")?.as_str()?).ok();
    let live_version = live.and_then(|live| version(live.spec()?));
    if live_version.is_some_and(|live| version(&body["spec"]).is_some_and(|wanted| wanted < live)) {
        body["metadata"]["annotations"] = json!({ACCEPT_OLDER: "true"});
    }
    Desired::known(&stack.cluster.client, stack.namespace(), &super::kind(), body)
}

/// The operator's default image for this version, from the registry of the stack.
pub fn own_image(stack: &Stack) -> String {
    stack.image(stack.versions.of(COMPONENT).image("elasticsearch"))
}

/// The manifest of the resource. `storage` is the size of existing volumes; None: the size of the profile.
///
/// # Errors
/// When `manifests/data-lake.yaml` is not readable.
pub fn body(stack: &Stack, storage: Option<&Value>) -> Result<Value> {
    let mut body: Value = serde_saphyr::from_str(TEMPLATE).context("manifests/data-lake.yaml")?;
    let versions = stack.versions.of(COMPONENT);
    let size = size(stack);
    body["metadata"]["labels"] = stack.labels("elasticsearch", RESOURCE);
    body["spec"]["version"] = json!(versions.version);
    if stack.settings.image_registry.is_some() {
        body["spec"]["image"] = json!(own_image(stack));
    }
    if size.keep_volumes {
        body["spec"][POLICY] = json!(KEEP);
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
        // the wait lets other nodes take over requests, and a single node has no others
        set["podTemplate"]["spec"]["containers"][0]["env"] =
            json!([{"name": "PRE_STOP_ADDITIONAL_WAIT_SECONDS", "value": "0"}]);
    }
    set["volumeClaimTemplates"][0]["spec"]["resources"] =
        json!({"requests": {"storage": storage.map_or_else(|| json!(size.storage), Value::clone)}});
    if let Some(over) = stack.settings.values_of(COMPONENT) {
        merge_values(&mut body["spec"], over);
        without_nulls(&mut body["spec"]);
    }
    Ok(body)
}

/// Makes the volumes outlive the resource. The operator removes its owner references from them with a delay. Until then,
/// Kubernetes would delete the volumes with the resource.
async fn release_volumes(stack: &Stack, progress: &Progress<'_>) -> Result<()> {
    let policy = json!({"spec": {POLICY: KEEP}});
    api(stack)
        .patch(RESOURCE, &PatchParams::default(), &Patch::Merge(&policy))
        .await
        .with_context(|| format!("elasticsearch {RESOURCE}"))?;
    stack
        .until_gone("the owner references of the volume claims", progress, || async {
            let claims = volumes::claims(stack, &owner(stack).await?).await?.ours;
            let held = claims.iter().filter(|claim| claim.has_owner()).count();
            Ok((held > 0).then(|| format!("the operator still owns {held} volume claims")))
        })
        .await
}

pub struct ElasticsearchResource;

#[async_trait]
impl crate::engine::Resource<Stack> for ElasticsearchResource {
    fn id(&self) -> Id {
        Id("datalake.resource")
    }

    fn needs(&self) -> &'static [Id] {
        &[Id("operator.release"), Id("datalake.accounts"), Id("datalake.network")]
    }

    async fn observe(&self, stack: &Stack) -> Result<Observation> {
        let Some(live) = live(stack).await? else {
            return Ok(Observation::Missing(format!(
                "elasticsearch {RESOURCE}, {}",
                counted(nodes(stack))
            )));
        };
        if !live.is_ours() {
            return Ok(Observation::blocked(
                format!(
                    "namespace {}: Elasticsearch {RESOURCE} was not created by this tool",
                    stack.namespace()
                ),
                object::others_hint("elasticsearch", RESOURCE, stack.namespace()),
            ));
        }
        if let Comparison::Differs(fields) = desired(stack, Some(&live))?.compare().await? {
            return Ok(Observation::Drifted(fields.into_iter().map(Difference::from).collect()));
        }
        Ok(match authority(stack).await? {
            Some(_) => {
                Observation::Equal(format!("elasticsearch {RESOURCE}, {}", counted(nodes(stack))))
            }
            None => Observation::drifted(
                "its certificate authority",
                "absent",
                format!("in secret {AUTHORITY_SECRET}"),
            ),
        })
    }

    async fn reconcile(&self, stack: &Stack, progress: &Progress<'_>) -> Result<Reconciled> {
        desired(stack, live(stack).await?.as_ref())?.apply().await?;
        stack
            .until(
                &format!("the certificate authority of elasticsearch {RESOURCE}"),
                progress,
                || async {
                    let found = live(stack).await?;
                    Ok(match found.as_ref().and_then(Live::rejected) {
                        Some(rejected) => State::Fatal(rejected),
                        None if authority(stack).await?.is_some() => State::Ready(format!(
                            "elasticsearch {RESOURCE}, {}",
                            counted(nodes(stack))
                        )),
                        None => State::Waiting(
                            "the operator has not created its certificates yet".into(),
                        ),
                    })
                },
            )
            .await
    }

    async fn plan_deletion(
        &self,
        stack: &Stack,
        options: DeleteOptions,
    ) -> Result<Deletion<ObjectRef>> {
        let found = live(stack).await?;
        let reference = ObjectRef::new(&super::kind().kind, RESOURCE);
        if found.as_ref().is_some_and(|live| !live.is_ours()) {
            return Ok(Deletion::keeping(vec![reference], remains::FOREIGN));
        }
        let owner = found.as_ref().map(Live::owner).unwrap_or_default();
        let Claims { ours, left } = volumes::claims(stack, &owner).await?;
        let ours = ours.iter().map(LiveObject::reference).collect();
        let mut deletion = match options.keep_data {
            true => Deletion::keeping(ours, "it contains the statements"),
            false => Deletion::of(ours),
        };
        deletion.keep.extend(left);
        if found.is_some() {
            deletion.delete.insert(0, reference);
        }
        Ok(deletion)
    }

    async fn delete(
        &self,
        stack: &Stack,
        options: DeleteOptions,
        progress: &Progress<'_>,
    ) -> Result<()> {
        // without its owner, only the mark shows that a claim is ours
        let ours = volumes::claims(stack, &owner(stack).await?).await?.ours;
        volumes::mark(stack, &ours).await?;
        if options.keep_data {
            release_volumes(stack, progress).await?;
        }
        object::delete(&api(stack), RESOURCE, &DeleteParams::default()).await?;
        if !options.keep_data {
            for claim in &ours {
                claim.delete(&stack.cluster, DeleteParams::default()).await?;
            }
        }
        let object = format!("the deletion of elasticsearch {RESOURCE}");
        stack
            .until_gone(&object, progress, || async {
                let pods = pods::all(&stack.cluster, PODS).await?.len();
                let claims = match options.keep_data {
                    true => 0,
                    false => volumes::claims(stack, &Owner::default()).await?.ours.len(),
                };
                let remains = live(stack).await?.is_some() || pods + claims > 0;
                let are_deleted =
                    || format!("{pods} pods and {claims} volume claims are being deleted");
                Ok(remains.then(are_deleted))
            })
            .await
    }

    async fn explain(&self, stack: &Stack) -> Result<Vec<Step>> {
        let live = if stack.reads_cluster() { live(stack).await? } else { None };
        let manifest = body(stack, live.as_ref().and_then(Live::storage))?;
        let wait = format!(
            "kubectl wait secret/{AUTHORITY_SECRET} -n {} --for=create --timeout=5m",
            stack.namespace()
        );
        Ok(vec![Step::Apply { file: RESOURCE, manifest }, Step::command(wait)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn volumes_of_production_outlive_the_resource() {
        use crate::cluster::Cluster;
        use crate::stack::profiles::Profile;
        use crate::stack::settings::Settings;
        let policy = |profile| {
            let settings = Settings { profile: Some(profile), ..Settings::default() };
            let stack = Stack::offline(Cluster::offline("alice").unwrap(), settings);
            body(&stack, None).unwrap()["spec"][POLICY].as_str().unwrap().to_string()
        };
        assert_eq!(policy(Profile::Production), KEEP);
        assert_ne!(policy(Profile::Laptop), KEEP, "a laptop should have no forgotten volumes");
    }

    #[test]
    fn node_sets_in_chart_values_are_counted() {
        let sets = json!({"nodeSets": [{"name": "hot", "count": 2}, {"name": "cold", "count": 3}]});
        assert_eq!((nodes_of(&sets), nodes_of(&json!({"version": "8.19.21"}))), (Some(5), None));
    }
}
