//! Which objects belong to the stack. Labels are not sufficient, because users copy them.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::cluster::object::{self, INSTANCE, LiveObject};

use super::model::{Components, Declaration};

/// The name of the volume claim template in the StatefulSets of our charts.
const TEMPLATE: &str = "data";
/// Kubernetes names a ReplicaSet after its Deployment and this label of its Pods.
const TEMPLATE_HASH: &str = "pod-template-hash";
/// Kubernetes adds this label to the Pods of a StatefulSet.
const POD_NAME: &str = "statefulset.kubernetes.io/pod-name";

/// Whether this program created the object itself, or through one of its releases.
pub fn is_of_stack(components: Components, object: &LiveObject) -> bool {
    let metadata = &object.metadata;
    let is_of = |component: &'static Declaration| {
        is_of_release(component, metadata)
            || object.is::<PersistentVolumeClaim>() && volume_of(component, metadata).is_some()
            || is_left_pod(component, metadata)
    };
    object::is_ours(metadata) || components.iter().any(|component| is_of(component.declaration()))
}

/// Whether helm created the object for the release of a component.
pub fn is_of_release(component: &Declaration, metadata: &ObjectMeta) -> bool {
    component.release.is_some() && object::helm_release(metadata) == component.release
}

/// The StatefulSet of a component for which Kubernetes created the volume claim.
pub fn volume_of(component: &Declaration, claim: &ObjectMeta) -> Option<&'static str> {
    let is_volume_of = |set: &&str| is_numbered(claim, &format!("{TEMPLATE}-{set}"));
    let mut sets = component.stateful_sets.iter().copied();
    sets.find(is_volume_of).filter(|_| object::label(claim, INSTANCE) == component.release)
}

/// Whether the Pod belongs to one of these workloads of a component, or is left from its StatefulSet.
pub fn is_pod_of(component: &Declaration, workloads: &[LiveObject], pod: &ObjectMeta) -> bool {
    match controller(pod) {
        None => is_left_pod(component, pod),
        Some(owner) if owner.kind == "ReplicaSet" => {
            let hash = object::label(pod, TEMPLATE_HASH).unwrap_or_default();
            let created = |workload: &LiveObject| {
                let name = workload.metadata.name.as_deref().unwrap_or_default();
                workload.is::<Deployment>() && owner.name == format!("{name}-{hash}")
            };
            workloads.iter().any(created)
        }
        Some(owner) => {
            workloads.iter().any(|workload| workload.metadata.uid.as_ref() == Some(&owner.uid))
        }
    }
}

/// Whether a StatefulSet left the Pod behind: `uninstall` deletes the StatefulSet first, and may be interrupted.
fn is_left_pod(component: &Declaration, pod: &ObjectMeta) -> bool {
    controller(pod).is_none()
        && object::label(pod, POD_NAME).is_some_and(|name| pod.name.as_deref() == Some(name))
        && component.stateful_sets.iter().any(|set| is_numbered(pod, set))
}

fn controller(metadata: &ObjectMeta) -> Option<&OwnerReference> {
    let mut owners = metadata.owner_references.iter().flatten();
    owners.find(|owner| owner.controller == Some(true))
}

/// Whether the name consists of this prefix and an ordinal: `data-lms-postgresql-0`.
pub fn is_numbered(metadata: &ObjectMeta, prefix: &str) -> bool {
    let name = metadata.name.as_deref().unwrap_or_default();
    let ordinal = name.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('-'));
    ordinal.is_some_and(|n| !n.is_empty() && n.bytes().all(|digit| digit.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::StatefulSet;
    use serde_json::{Value, json};

    use super::*;
    use crate::components::remains::kind;
    use crate::stack::component::ComponentName;

    static LMS: Declaration = Declaration {
        name: ComponentName::new("lms"),
        release: Some("lms"),
        stateful_sets: &["lms-postgresql"],
        pods: &[],
        kinds: &[],
        access: crate::components::access::NONE,
        exposure: None,
        stores: None,
    };

    fn metadata(name: &str, more: Value) -> ObjectMeta {
        let mut metadata =
            json!({"name": name, "namespace": "alice", "uid": format!("uid-of-{name}")});
        metadata.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(metadata).unwrap()
    }

    fn of_helm(release: &str, namespace: &str) -> Value {
        json!({
            "labels": {"app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/instance": "lms"},
            "annotations": {"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": namespace},
        })
    }

    #[test]
    fn object_belongs_to_release_only_with_annotations_of_helm() {
        let is_ours = |more| is_of_release(&LMS, &metadata("lms-moodle", more));
        assert!(is_ours(of_helm("lms", "alice")));
        assert!(!is_ours(of_helm("mine", "alice")), "another release");
        assert!(!is_ours(of_helm("lms", "bob")), "a copy from another namespace");
        let labels = of_helm("lms", "alice")["labels"].clone();
        assert!(!is_ours(json!({"labels": labels})), "labels only");
    }

    #[test]
    fn volume_claim_belongs_to_stateful_set_by_its_numbered_name() {
        let of = |name| volume_of(&LMS, &metadata(name, of_helm("", ""))).is_some();
        assert!(of("data-lms-postgresql-0") && of("data-lms-postgresql-12"));
        for foreign in [
            "data-lms-postgresql-",
            "data-lms-postgresql-old",
            "data-lms-postgresql-0-copy",
            "lms-postgresql-0",
        ] {
            assert!(!of(foreign), "{foreign}");
        }
    }

    #[test]
    fn pod_belongs_to_workload_that_controls_it() {
        let deployment = metadata("lms-moodle", of_helm("lms", "alice"));
        let set = metadata("lms-postgresql", of_helm("lms", "alice"));
        let workloads = [
            LiveObject::new(kind::<Deployment>(), deployment),
            LiveObject::new(kind::<StatefulSet>(), set),
        ];
        let pod = |name: &str, labels: Value, owner: Option<(&str, &str)>| {
            let owners: Vec<Value> = owner
                .into_iter()
                .map(|(kind, name)| json!({"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": format!("uid-of-{name}"), "controller": true}))
                .collect();
            is_pod_of(
                &LMS,
                &workloads,
                &metadata(name, json!({"labels": labels, "ownerReferences": owners})),
            )
        };
        let hash = || json!({TEMPLATE_HASH: "5d9c"});
        assert!(pod("lms-moodle-5d9c-x", hash(), Some(("ReplicaSet", "lms-moodle-5d9c"))));
        assert!(!pod("mine-5d9c-x", hash(), Some(("ReplicaSet", "mine-5d9c"))));
        assert!(pod("lms-postgresql-0", json!({}), Some(("StatefulSet", "lms-postgresql"))));
        assert!(!pod("other-0", json!({}), Some(("StatefulSet", "other"))));
        let left = json!({POD_NAME: "lms-postgresql-0"});
        assert!(pod("lms-postgresql-0", left.clone(), None), "its StatefulSet is deleted");
        assert!(!pod("mine", left, None) && !pod("lms-postgresql-0", json!({}), None));
    }
}
