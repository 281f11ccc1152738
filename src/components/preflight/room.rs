//! The check that the nodes have the resources that the profile requests.

use anyhow::Result;
use k8s_openapi::api::core::v1::{Container, Node, Pod, Taint};
use kube::Api;
use kube::api::ListParams;

use crate::cluster::object::{PART_OF, label};
use crate::components::model::Components;
use crate::engine::Observation;
use crate::stack::Stack;
use crate::stack::resources::Resources;

/// The requests of the Pods of the stack, and their numbers.
pub fn wanted(stack: &Stack, components: Components) -> Vec<(Resources, u32)> {
    components
        .iter()
        .filter(|component| stack.settings.has(component.declaration().name))
        .flat_map(|component| component.pods(&stack.settings))
        .collect()
}

pub async fn check(stack: &Stack, components: Components) -> Result<Observation> {
    let wanted = wanted(stack, components);
    let nodes = Api::<Node>::all(stack.cluster.client.clone()).list(&ListParams::default()).await?;
    let pods = Api::<Pod>::all(stack.cluster.client.clone())
        .list(&ListParams::default().fields("status.phase!=Succeeded,status.phase!=Failed"))
        .await?;
    let others: Vec<&Pod> = pods.items.iter().filter(|pod| !is_ours(stack, pod)).collect();
    let free: Vec<Resources> = nodes
        .items
        .iter()
        .filter(|node| accepts_pods(node))
        .map(|node| allocatable(node) - requested_on(node, &others))
        .collect();
    let profile = stack.settings.profile().name();
    Ok(match shortage(&wanted, &free) {
        None => Observation::Equal(format!("room for {}", sum(&wanted))),
        Some(why) => Observation::blocked(
            format!("profile {profile} {why}"),
            "choose a smaller `--profile`, add a node, or pass `--skip preflight.room` if the cluster adds nodes on demand",
        ),
    })
}

pub fn sum(pods: &[(Resources, u32)]) -> Resources {
    pods.iter().map(|(requests, count)| *requests * *count).sum()
}

/// Why Pods do not fit on the nodes: all Pods together, or one Pod on every node. `free` has an entry for each node.
fn shortage(wanted: &[(Resources, u32)], free: &[Resources]) -> Option<String> {
    let (all, total): (Resources, Resources) = (sum(wanted), free.iter().copied().sum());
    if !all.fits_into(total) {
        return Some(format!("needs {all}; the cluster has {total} left"));
    }
    let largest = wanted
        .iter()
        .map(|(requests, _)| *requests)
        .find(|requests| !free.iter().any(|node| requests.fits_into(*node)));
    largest.map(|requests| format!("has a Pod that needs {requests}, and no node has that left"))
}

/// Whether a node accepts Pods without tolerations, such as all Pods of the stack.
pub fn accepts_pods(node: &Node) -> bool {
    let Some(spec) = &node.spec else { return true };
    // Kubernetes' own taints are temporary, such as that of a starting node
    let repels = |taint: &Taint| {
        ["NoSchedule", "NoExecute"].contains(&taint.effect.as_str())
            && !taint.key.starts_with("node.kubernetes.io/")
    };
    spec.unschedulable != Some(true) && !spec.taints.iter().flatten().any(repels)
}

fn allocatable(node: &Node) -> Resources {
    let allocatable = node.status.as_ref().and_then(|status| status.allocatable.as_ref());
    allocatable
        .map(|allocatable| Resources::of(allocatable.get("cpu"), allocatable.get("memory")))
        .unwrap_or_default()
}

/// The sum of the requests of the Pods on a node.
fn requested_on(node: &Node, pods: &[&Pod]) -> Resources {
    let is_on_node = |pod: &&&Pod| {
        pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref()) == node.metadata.name.as_ref()
    };
    pods.iter().filter(is_on_node).map(|pod| requests(pod)).sum()
}

pub fn is_ours(stack: &Stack, pod: &Pod) -> bool {
    pod.metadata.namespace.as_deref() == Some(stack.namespace())
        && label(&pod.metadata, PART_OF.0) == Some(PART_OF.1)
}

/// The resources that the scheduler reserves for a Pod: the sum of its containers, or the largest init container.
pub fn requests(pod: &Pod) -> Resources {
    let Some(spec) = &pod.spec else { return Resources::default() };
    let of = |container: &Container| {
        let requests = container.resources.as_ref().and_then(|r| r.requests.as_ref());
        Resources::of(requests.and_then(|r| r.get("cpu")), requests.and_then(|r| r.get("memory")))
    };
    let together: Resources = spec.containers.iter().map(of).sum();
    let init = spec.init_containers.iter().flatten().map(of);
    init.fold(together, |most, one| Resources {
        millicores: most.millicores.max(one.millicores),
        memory_bytes: most.memory_bytes.max(one.memory_bytes),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn gigabytes(n: i64) -> Resources {
        Resources { millicores: n * 1000, memory_bytes: n << 30 }
    }

    #[test]
    fn shortage_covers_sum_of_pods_and_each_pod() {
        let wanted = [(gigabytes(3), 1), (gigabytes(1), 2)];
        assert_eq!(shortage(&wanted, &[gigabytes(4), gigabytes(1)]), None);
        assert!(
            shortage(&wanted, &[gigabytes(2), gigabytes(1)])
                .unwrap()
                .contains("the cluster has 3.0 cores")
        );
        let scattered = shortage(&wanted, &[gigabytes(2), gigabytes(2), gigabytes(2)]);
        assert_eq!(
            scattered.unwrap(),
            "has a Pod that needs 3.0 cores and 3.0 Gi, and no node has that left"
        );
    }

    #[test]
    fn node_with_foreign_taint_accepts_no_pods() {
        let node = |spec: serde_json::Value| {
            accepts_pods(
                &serde_json::from_value(json!({"metadata": {"name": "n"}, "spec": spec})).unwrap(),
            )
        };
        assert!(node(json!({})));
        assert!(node(json!({"taints": [{"key": "k", "effect": "PreferNoSchedule"}]})));
        assert!(
            node(
                json!({"taints": [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]})
            ),
            "the taint is temporary"
        );
        assert!(!node(json!({"unschedulable": true})));
        assert!(!node(
            json!({"taints": [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]})
        ));
    }
}
