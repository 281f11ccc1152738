//! The conditions of the cluster that `check` reports and `install` does not wait for.

mod admission;
mod clock;
mod images;
mod marks;
mod quota;
mod versions;

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{Node as ClusterNode, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::Api;
use kube::api::ListParams;

use crate::cluster::access::{Rule, Rules};
use crate::cluster::object::label;
use crate::engine::{Id, Node, Observation};
use crate::stack::profiles::Profile;
use crate::stack::{Stack, mark};

use super::model::Components;
use super::preflight;

pub use marks::unusual;
pub use versions::newer_program;

/// What the conditions of the namespace need.
pub const NEEDS: Rules = &[
    Rule::new("", "resourcequotas", &["list"], "the quotas of the namespace"),
    Rule::new("", "limitranges", &["list"], "the limits of the namespace"),
];
/// What [`unusual`] needs.
pub const MARKS: Rules =
    &[Rule::new("", "configmaps", &["get"], "the marks of a paused or incomplete stack").named(&[
        mark::PAUSED,
        mark::RESTORE,
        mark::UPGRADE,
    ])];
/// In addition, to try whether the cluster admits the Pods of the stack.
pub const TRY_PODS: Rules = &[Rule::new("", "pods", &["create"], "Pods in a dry run")];

/// The label with the zone of a node.
const ZONE: &str = "topology.kubernetes.io/zone";
/// The mode in which a volume is placed where its Pod runs.
const FIRST_CONSUMER: &str = "WaitForFirstConsumer";

/// The architectures for which all images of the stack exist.
const ARCHITECTURES: [&str; 2] = ["amd64", "arm64"];

pub fn nodes(components: Components) -> Vec<Node<Stack>> {
    vec![
        Node::check(Program),
        Node::check(Support),
        Node::check(Newest),
        Node::check(Architecture),
        Node::check(Admission(components)),
        Node::check(Quota(components)),
        Node::check(Expansion),
        Node::check(Binding),
        Node::check(Clock),
        Node::check(NodeClocks),
        Node::check(Marks),
    ]
}

pub const PULLED_IMAGES: Id = Id("preflight.images");

/// The check that pulls every image, which `check` runs on request only: it starts Pods.
pub fn pulled_images(components: Components) -> Node<Stack> {
    Node::check(Images(components))
}

struct Program;
struct Support;
struct Newest;
struct Architecture;
struct Admission(Components);
struct Quota(Components);
struct Expansion;
struct Binding;
struct Clock;
struct NodeClocks;
struct Marks;
struct Images(Components);

cluster_check!(Program, "preflight.program", Warning, |self, stack| versions::program(stack));
cluster_check!(Support, "preflight.support", Warning, |self, stack| versions::support(stack));
cluster_check!(Newest, "preflight.newest", Warning, |self, stack| newest(stack));
cluster_check!(Architecture, "preflight.architecture", Error, |self, stack| architecture(stack));
cluster_check!(Admission, "preflight.admission", Error, |self, stack| admission::check(
    stack, self.0
));
cluster_check!(Quota, "preflight.quota", Error, |self, stack| quota::check(stack, self.0));
cluster_check!(Expansion, "preflight.expansion", Warning, |self, stack| expansion(stack));
cluster_check!(Binding, "preflight.binding", Warning, |self, stack| binding(stack));
cluster_check!(Clock, "preflight.clock", Warning, |self, stack| clock::of_this_machine(stack));
cluster_check!(NodeClocks, "preflight.node-clocks", Warning, |self, stack| clock::of_nodes(stack));
cluster_check!(Marks, "settings.marks", Error, |self, stack| marks::observe(stack));
cluster_check!(Images, "preflight.images", Error, |self, stack| images::check(stack, self.0));

async fn newest(stack: &Stack) -> Result<Observation> {
    let info = stack.cluster.client.apiserver_version().await.context("the cluster's version")?;
    let newest = &stack.versions.kubernetes.newest;
    let version = info.git_version.trim_start_matches('v');
    Ok(if preflight::release(&info.major, &info.minor) > preflight::release_of(newest) {
        Observation::blocked(
            format!(
                "the cluster runs Kubernetes {version}; the newest that the ECK operator of this stack supports is {newest}"
            ),
            "use a newer release of kubectl-lastack, if there is one",
        )
    } else {
        Observation::Equal(format!("Kubernetes {version} is supported"))
    })
}

async fn architecture(stack: &Stack) -> Result<Observation> {
    let nodes = Api::<ClusterNode>::all(stack.cluster.client.clone());
    let nodes = nodes.list(&ListParams::default()).await?.items;
    let of = |node: &ClusterNode| {
        node.status.as_ref()?.node_info.as_ref().map(|info| info.architecture.clone())
    };
    let nodes = nodes.iter().filter(|node| preflight::room::accepts_pods(node));
    let mut found: Vec<String> = nodes.filter_map(of).collect();
    found.sort();
    found.dedup();
    Ok(match found.iter().find(|one| !ARCHITECTURES.contains(&one.as_str())) {
        Some(other) => Observation::blocked(
            format!("a node has the architecture {other}, for which the stack has no images"),
            "keep the Pods from these nodes: taint them, or set `nodeSelector` with `--values`",
        ),
        None => Observation::Equal(format!("nodes of {}", found.join(", "))),
    })
}

/// Whether volumes can grow. Only profiles for real users need it.
async fn expansion(stack: &Stack) -> Result<Observation> {
    if stack.settings.profile() == Profile::Laptop {
        return Ok(Observation::Equal("not needed in profile laptop".into()));
    }
    let classes = used_classes(stack).await?;
    let fixed = classes.iter().find(|class| class.allow_volume_expansion != Some(true));
    Ok(match fixed.and_then(|class| class.metadata.name.as_deref()) {
        Some(name) => Observation::blocked(
            format!(
                "storage class {name} cannot expand volumes, so a full volume must be replaced"
            ),
            "use a class with `allowVolumeExpansion: true`, or choose volumes that are large enough",
        ),
        None => Observation::Equal("volumes can be expanded".into()),
    })
}

/// Whether each volume is in a zone with a node that has room for its Pod.
async fn binding(stack: &Stack) -> Result<Observation> {
    let nodes = Api::<ClusterNode>::all(stack.cluster.client.clone());
    let nodes = nodes.list(&ListParams::default()).await?.items;
    let nodes = nodes.iter().filter(|node| preflight::room::accepts_pods(node));
    let zone = |node: &ClusterNode| label(&node.metadata, ZONE).map(str::to_string);
    let zones: BTreeSet<String> = nodes.filter_map(zone).collect();
    if zones.len() < 2 {
        return Ok(Observation::Equal("the nodes are in one zone".into()));
    }
    let classes = used_classes(stack).await?;
    let waits = |class: &StorageClass| class.volume_binding_mode.as_deref() == Some(FIRST_CONSUMER);
    let early = classes.iter().find(|class| !waits(class));
    Ok(match early.and_then(|class| class.metadata.name.as_deref()) {
        Some(name) => Observation::blocked(
            format!(
                "storage class {name} chooses the zone of a volume before its Pod has a node; the nodes are in {}",
                zones.into_iter().collect::<Vec<_>>().join(", ")
            ),
            format!("use a class with `volumeBindingMode: {FIRST_CONSUMER}`"),
        ),
        None => Observation::Equal("volumes follow their Pods".into()),
    })
}

/// The classes of the volumes of the namespace, or the default class before there are any.
async fn used_classes(stack: &Stack) -> Result<Vec<StorageClass>> {
    let classes = Api::<StorageClass>::all(stack.cluster.client.clone());
    let mut classes = classes.list(&ListParams::default()).await?.items;
    let claims = stack.api::<PersistentVolumeClaim>().list(&ListParams::default()).await?;
    let used: Vec<String> = claims
        .items
        .iter()
        .filter_map(|claim| claim.spec.as_ref()?.storage_class_name.clone())
        .collect();
    classes.retain(|class| match used.is_empty() {
        true => preflight::is_default_class(class),
        false => class.metadata.name.as_ref().is_some_and(|name| used.contains(name)),
    });
    Ok(classes)
}
