//! Whether the nodes have left what the profile asks for.

use anyhow::Result;
use k8s_openapi::api::core::v1::{Container, Node, Pod};
use kube::Api;
use kube::api::ListParams;

use crate::stack::Stack;
use crate::stack::resources::Resources;
use crate::stack::step::Observed;

pub async fn check(stack: &Stack) -> Result<Observed> {
    let wanted = stack.settings.profile().sizes().requests();
    let nodes = Api::<Node>::all(stack.target.client.clone()).list(&ListParams::default()).await?;
    let pods =
        Api::<Pod>::all(stack.target.client.clone()).list(&ListParams::default().fields("status.phase!=Succeeded,status.phase!=Failed")).await?;
    let usable = nodes.items.iter().filter(|node| node.spec.as_ref().is_none_or(|spec| spec.unschedulable != Some(true)));
    let total: Resources = usable
        .filter_map(|node| node.status.as_ref()?.allocatable.as_ref())
        .map(|allocatable| Resources::of(allocatable.get("cpu"), allocatable.get("memory")))
        .sum();
    let taken: Resources = pods.items.iter().filter(|pod| !is_ours(stack, pod)).map(requests).sum();
    let free = total - taken;
    if wanted.fits_into(free) {
        return Ok(Observed::Ok(format!("room for {wanted}")));
    }
    Ok(Observed::blocked(
        format!("profile {} needs {wanted}, the cluster has {free} left", stack.settings.profile().name()),
        "choose a smaller `--profile`, add a node, or `--skip preflight.room` where nodes are added on demand",
    ))
}

fn is_ours(stack: &Stack, pod: &Pod) -> bool {
    pod.metadata.namespace.as_deref() == Some(stack.namespace())
        && pod.metadata.labels.as_ref().and_then(|labels| labels.get("app.kubernetes.io/part-of")).is_some_and(|value| value == "lastack")
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
