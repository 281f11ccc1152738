//! The checks that must pass before any change.

mod exposure;
mod permissions;
pub(super) mod room;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::ListParams;

use crate::engine::{Node, Observation};
use crate::error::one_line;
use crate::stack::Stack;

use super::model::Components;

pub fn nodes(components: Components) -> Vec<Node<Stack>> {
    vec![
        Node::check(Cluster),
        Node::check(HelmPresent),
        Node::check(Permissions(components)),
        Node::check(Storage(components)),
        Node::check(Room(components)),
        Node::check(Exposure),
        Node::check(Values(components)),
    ]
}

struct Cluster;
struct HelmPresent;
struct Permissions(Components);
struct Storage(Components);
struct Room(Components);
struct Exposure;
struct Values(Components);

cluster_check!(Cluster, "preflight.cluster", Error, |self, stack| cluster(stack));
cluster_check!(HelmPresent, "preflight.helm", Error, |self, stack| helm(stack));
cluster_check!(Permissions, "preflight.permissions", Error, |self, stack| permissions::check(
    stack, self.0
));
cluster_check!(Storage, "preflight.storage", Error, |self, stack| storage(stack, self.0));
cluster_check!(Room, "preflight.room", Error, |self, stack| room::check(stack, self.0));
cluster_check!(Exposure, "preflight.exposure", Error, |self, stack| exposure::check(stack));
cluster_check!(Values, "preflight.values", Error, |self, stack| values(stack, self.0));

async fn cluster(stack: &Stack) -> Result<Observation> {
    let info = stack.cluster.client.apiserver_version().await.context("the cluster's version")?;
    let minimum = &stack.versions.kubernetes.minimum;
    if release(&info.major, &info.minor) < release_of(minimum) {
        return Ok(Observation::blocked(
            format!(
                "the cluster runs Kubernetes {}; the stack requires {minimum} or newer",
                info.git_version
            ),
            "upgrade the cluster or choose another with `--context`",
        ));
    }
    Ok(Observation::Equal(format!("Kubernetes {}", info.git_version.trim_start_matches('v'))))
}

/// Major and minor version as numbers. Distributions append letters, such as `34+`.
pub(super) fn release(major: &str, minor: &str) -> (u64, u64) {
    let number = |text: &str| {
        text.chars()
            .take_while(char::is_ascii_digit)
            .collect::<String>()
            .parse::<u64>()
            .unwrap_or_default()
    };
    (number(major), number(minor))
}

/// The same of a version such as `1.34`.
pub(super) fn release_of(version: &str) -> (u64, u64) {
    version.split_once('.').map(|(major, minor)| release(major, minor)).unwrap_or_default()
}

async fn helm(stack: &Stack) -> Result<Observation> {
    let version = stack.helm.version().await?;
    let range = &stack.versions.helm;
    if *version < range.minimum || *version >= range.below {
        return Ok(Observation::blocked(
            format!(
                "`helm` on PATH is version {version}; the stack requires {} or newer, below {}",
                range.minimum, range.below
            ),
            "install helm 3 or 4: https://helm.sh/docs/intro/install",
        ));
    }
    Ok(Observation::Equal(format!("helm {version}")))
}

async fn storage(stack: &Stack, components: Components) -> Result<Observation> {
    let classes =
        Api::<StorageClass>::all(stack.cluster.client.clone()).list(&ListParams::default()).await?;
    let default = classes.items.iter().find(|class| is_default_class(class));
    Ok(match default {
        Some(class) => Observation::Equal(format!(
            "storage class {}",
            class.metadata.name.as_deref().unwrap_or_default()
        )),
        None if has_volumes(stack, components).await? => {
            Observation::Equal("no default storage class; all volumes exist".into())
        }
        None => {
            let names: Vec<_> =
                classes.items.iter().filter_map(|class| class.metadata.name.as_deref()).collect();
            let hint = match names.first() {
                Some(name) => {
                    let value = r#"{"metadata":{"annotations":{"storageclass.kubernetes.io/is-default-class":"true"}}}"#;
                    format!(
                        "make one of {} the default: kubectl patch storageclass {name} -p '{value}'",
                        names.join(", ")
                    )
                }
                None => "install a volume provisioner".into(),
            };
            Observation::blocked(
                "the cluster has no default storage class, which the volumes require",
                hint,
            )
        }
    })
}

/// Whether every volume of the stack exists.
async fn has_volumes(stack: &Stack, components: Components) -> Result<bool> {
    let is_bound = |claim: &PersistentVolumeClaim| {
        claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound")
    };
    for component in
        components.iter().filter(|component| stack.settings.has(component.declaration().name))
    {
        let Some((labels, wanted)) = component.volumes(stack) else { continue };
        let claims = stack
            .api::<PersistentVolumeClaim>()
            .list(&ListParams::default().labels(&labels))
            .await
            .context("the volume claims")?;
        if claims.items.iter().filter(|claim| is_bound(claim)).count() < wanted {
            return Ok(false);
        }
    }
    Ok(true)
}

pub(super) fn is_default_class(class: &StorageClass) -> bool {
    is_default(&class.metadata, "storageclass.kubernetes.io/is-default-class")
}

/// Whether an annotation marks the class as the default.
fn is_default(metadata: &ObjectMeta, annotation: &str) -> bool {
    metadata
        .annotations
        .as_ref()
        .and_then(|annotations| annotations.get(annotation))
        .is_some_and(|value| value == "true")
}

/// Validates the chart values before anything is installed, so that an invalid value fails early.
async fn values(stack: &Stack, components: Components) -> Result<Observation> {
    let mut valid = Vec::new();
    for component in components
        .iter()
        .filter(|component| stack.settings.values.contains_key(&component.declaration().name))
    {
        let Some(install) = component.release(stack).await? else { continue };
        let name = component.declaration().name.as_str();
        if let Err(error) = stack.helm.template(&install).await {
            return Ok(Observation::blocked(
                format!(
                    "the values for {name} are not valid for {}: {}",
                    install.chart.shown(),
                    one_line(&error)
                ),
                format!("correct the values and pass them again: --values {name}=FILE"),
            ));
        }
        valid.push(name);
    }
    Ok(Observation::Equal(if valid.is_empty() {
        "no custom values".into()
    } else {
        format!("valid for {}", valid.join(", "))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::components::model::PREFLIGHT;
    use crate::engine::Id;

    #[test]
    fn install_waits_for_every_preflight_check() {
        let ids: Vec<Id> = nodes(&[]).iter().map(Node::id).collect();
        assert_eq!(ids, PREFLIGHT, "PREFLIGHT should list the nodes of this module");
    }
}
