//! Whether the nodes have left what the profile asks for.

use anyhow::Result;
use k8s_openapi::api::core::v1::{Container, Node, Pod, Taint};
use kube::Api;
use kube::api::ListParams;

use crate::cluster::object::{PART_OF, label};
use crate::components::model::Components;
use crate::engine::Observation;
use crate::stack::Stack;
use crate::stack::resources::Resources;

pub async fn check(stack: &Stack, components: Components) -> Result<Observation> {
    let wanted: Vec<(Resources, u32)> = components
        .iter()
        .filter(|component| stack.settings.has(component.declaration().name))
        .flat_map(|component| component.pods(stack.settings.profile()))
        .collect();
    let nodes = Api::<Node>::all(stack.cluster.client.clone()).list(&ListParams::default()).await?;
    let pods = Api::<Pod>::all(stack.cluster.client.clone())
        .list(&ListParams::default().fields("status.phase!=Succeeded,status.phase!=Failed"))
        .await?;
    let others: Vec<&Pod> = pods.items.iter().filter(|pod| !is_ours(stack, pod)).collect();
    let left: Vec<Resources> = nodes
        .items
        .iter()
        .filter(|node| takes_pods(node))
        .map(|node| allocatable(node) - taken(&others, node))
        .collect();
    let profile = stack.settings.profile().name();
    Ok(match shortage(&wanted, &left) {
        None => Observation::Equal(format!("room for {}", sum(&wanted))),
        Some(why) => Observation::blocked(
            format!("profile {profile} {why}"),
            "choose a smaller `--profile`, add a node, or `--skip preflight.room` where nodes are added on demand",
        ),
    })
}

fn sum(pods: &[(Resources, u32)]) -> Resources {
    pods.iter().map(|(requests, count)| *requests * *count).sum()
}

/// What of these pods does not fit into what the nodes have left: all together, or one of them on any node.
fn shortage(wanted: &[(Resources, u32)], left: &[Resources]) -> Option<String> {
    let (all, free): (Resources, Resources) = (sum(wanted), left.iter().copied().sum());
    if !all.fits_into(free) {
        return Some(format!("needs {all}, the cluster has {free} left"));
    }
    let homeless = wanted
        .iter()
        .map(|(requests, _)| *requests)
        .find(|requests| !left.iter().any(|node| requests.fits_into(*node)));
    homeless.map(|requests| format!("has a pod that needs {requests}, and no node has that left"))
}

/// Whether a pod without tolerations, as all of the stack are, can be put there.
fn takes_pods(node: &Node) -> bool {
    let Some(spec) = &node.spec else { return true };
    // Kubernetes' own taints are of the moment, such as of a node that has just come up
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

fn taken(pods: &[&Pod], node: &Node) -> Resources {
    let is_there = |pod: &&&Pod| {
        pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref()) == node.metadata.name.as_ref()
    };
    pods.iter().filter(is_there).map(|pod| requests(pod)).sum()
}

fn is_ours(stack: &Stack, pod: &Pod) -> bool {
    pod.metadata.namespace.as_deref() == Some(stack.namespace())
        && label(&pod.metadata, PART_OF.0) == Some(PART_OF.1)
}

/// What the scheduler reserves for a pod: its containers together, or its hungriest init container.
fn requests(pod: &Pod) -> Resources {
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
    fn all_pods_together_must_fit_and_each_on_one_node() {
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
            "has a pod that needs 3.0 cores and 3.0 Gi, and no node has that left"
        );
    }

    #[test]
    fn a_node_that_takes_no_pods_of_ours_does_not_count() {
        let node = |spec: serde_json::Value| {
            takes_pods(
                &serde_json::from_value(json!({"metadata": {"name": "n"}, "spec": spec})).unwrap(),
            )
        };
        assert!(node(json!({})));
        assert!(node(json!({"taints": [{"key": "k", "effect": "PreferNoSchedule"}]})));
        assert!(
            node(
                json!({"taints": [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]})
            ),
            "it will be in a moment"
        );
        assert!(!node(json!({"unschedulable": true})));
        assert!(!node(
            json!({"taints": [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]})
        ));
    }
}
