//! The volume claims of the data lake. The operator labels the claims of every Elasticsearch with this name in the same
//! way, and keeps some of them, so the label does not show whose data they contain.

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::cluster::object::{self, FIELD_MANAGER, LiveObject, MANAGED_BY, ObjectRef};
use crate::components::{ownership, remains};
use crate::stack::Stack;

use super::{PODS, RESOURCE};

/// The operator's name for the volume of a node without own templates.
const TEMPLATE: &str = "elasticsearch-data";
/// Why a claim is left in place.
const FOREIGN: &str = "no Elasticsearch of this tool owns it, so it may contain other data";

/// The Elasticsearch resource of the stack as the owner of claims. The default owns only claims that this tool marked.
#[derive(Default)]
pub struct Owner {
    uid: Option<String>,
    /// The names of the claims without their ordinals.
    names: Vec<String>,
}

impl Owner {
    /// From the UID and the spec of the stack's Elasticsearch.
    pub fn new(uid: Option<String>, spec: Option<&Value>) -> Self {
        Self { uid, names: claim_names(spec) }
    }

    /// Whether the operator created the claim for this resource, or `uninstall` marked it.
    pub fn owns(&self, claim: &ObjectMeta) -> bool {
        let owners = claim.owner_references.as_deref().unwrap_or_default();
        let is_owner = owners.iter().any(|owner| Some(&owner.uid) == self.uid.as_ref());
        // without owner references where the claims outlive the resource
        let is_named =
            owners.is_empty() && self.names.iter().any(|name| ownership::is_numbered(claim, name));
        is_owner || is_named || object::is_ours(claim)
    }
}

/// The names of the claims of a resource without their ordinals, such as `elasticsearch-data-data-lake-es-default`.
fn claim_names(spec: Option<&Value>) -> Vec<String> {
    let sets = spec.and_then(|spec| spec["nodeSets"].as_array()).into_iter().flatten();
    let names = sets.filter_map(|set| {
        let templates = set["volumeClaimTemplates"].as_array().into_iter().flatten();
        let own = templates.filter_map(|template| template["metadata"]["name"].as_str());
        let set = set["name"].as_str()?;
        let names = own.chain([TEMPLATE]);
        Some(names.map(move |name| format!("{name}-{RESOURCE}-es-{set}")))
    });
    names.flatten().collect()
}

/// The claims with the operator's label.
pub struct Claims {
    pub ours: Vec<LiveObject>,
    /// Those of unknown origin, with the reason to keep them.
    pub left: Vec<(ObjectRef, String)>,
}

/// # Errors
/// When the claims cannot be listed.
pub async fn claims(stack: &Stack, owner: &Owner) -> Result<Claims> {
    let kind = remains::kind::<PersistentVolumeClaim>();
    let found = object::find(&stack.cluster, &kind, PODS).await?;
    let (ours, left): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|claim| owner.owns(&claim.metadata));
    let left = left.iter().map(|claim| (claim.reference(), FOREIGN.to_string())).collect();
    Ok(Claims { ours, left })
}

/// Marks the claims as objects of this tool, because nothing else shows it once their owner is deleted.
///
/// # Errors
/// When a claim cannot be changed.
pub async fn mark(stack: &Stack, claims: &[LiveObject]) -> Result<()> {
    let mark = json!({"metadata": {"labels": {MANAGED_BY: FIELD_MANAGER}}});
    for claim in claims.iter().filter(|claim| !object::is_ours(&claim.metadata)) {
        let name = claim.metadata.name.as_deref().unwrap_or_default();
        stack
            .api::<PersistentVolumeClaim>()
            .patch(name, &PatchParams::default(), &Patch::Merge(&mark))
            .await
            .with_context(|| claim.reference().to_string())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(more: Value) -> ObjectMeta {
        let mut claim = json!({"name": "elasticsearch-data-data-lake-es-default-0"});
        claim.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(claim).unwrap()
    }

    #[test]
    fn claim_belongs_to_data_lake_by_owner_name_or_mark() {
        let spec = json!({"nodeSets": [
            {"name": "default", "volumeClaimTemplates": [{"metadata": {"name": "elasticsearch-data"}}]},
            {"name": "hot", "volumeClaimTemplates": [{"metadata": {"name": "fast"}}]},
        ]});
        let ours = Owner::new(Some("ours".into()), Some(&spec));
        let owned_by = |uid: &str| json!({"ownerReferences": [{"apiVersion": "v1", "kind": "Elasticsearch", "name": "data-lake", "uid": uid}]});
        assert!(ours.owns(&claim(owned_by("ours"))) && ours.owns(&claim(json!({}))));
        assert!(ours.owns(&claim(json!({"name": "fast-data-lake-es-hot-2"}))));
        assert!(!ours.owns(&claim(owned_by("an older one"))));
        assert!(!ours.owns(&claim(json!({"name": "elasticsearch-data-data-lake-es-old-0"}))));

        let deleted = Owner::default();
        assert!(!deleted.owns(&claim(json!({}))), "any Elasticsearch may have created it");
        assert!(deleted.owns(&claim(json!({"labels": {MANAGED_BY: FIELD_MANAGER}}))));
    }
}
