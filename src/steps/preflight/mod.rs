//! What must be so before anything is changed. These steps only look.

mod exposure;
mod room;

use anyhow::{Context, Result};
use async_trait::async_trait;
use futures::future::try_join_all;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::{ListParams, PostParams};

use crate::error::one_line;
use crate::output::progress::Progress;
use crate::stack::Stack;
use crate::stack::profiles::Profile;
use crate::stack::settings::{Expose, Settings};
use crate::stack::step::{Converged, Observed, Step, StepId};
use crate::steps;

/// All checks, for steps that change something.
pub const ALL: &[StepId] = &[
    "preflight.cluster",
    "preflight.helm",
    "preflight.permissions",
    "preflight.storage",
    "preflight.room",
    "preflight.exposure",
    "preflight.values",
];

pub fn steps() -> Vec<Box<dyn Step>> {
    vec![
        Box::new(Cluster),
        Box::new(HelmPresent),
        Box::new(Permissions),
        Box::new(Storage),
        Box::new(Room),
        Box::new(Exposure),
        Box::new(Values),
    ]
}

/// A step that can only be true or false: there is nothing to converge.
macro_rules! check {
    ($type:ident, $id:literal, $observe:path) => {
        struct $type;

        #[async_trait]
        impl Step for $type {
            fn id(&self) -> StepId {
                $id
            }

            async fn observe(&self, stack: &Stack) -> Result<Observed> {
                $observe(stack).await
            }

            async fn converge(&self, _: &Stack, _: &Progress) -> Result<Converged> {
                anyhow::bail!("a check cannot be made true")
            }
        }
    };
}

check!(Cluster, "preflight.cluster", cluster);
check!(HelmPresent, "preflight.helm", helm);
check!(Permissions, "preflight.permissions", permissions);
check!(Storage, "preflight.storage", storage);
check!(Room, "preflight.room", room::check);
check!(Exposure, "preflight.exposure", exposure::check);
check!(Values, "preflight.values", values);

async fn cluster(stack: &Stack) -> Result<Observed> {
    let info = stack.target.client.apiserver_version().await.context("the cluster's version")?;
    let number = |text: &str| {
        text.chars()
            .take_while(char::is_ascii_digit)
            .collect::<String>()
            .parse::<u64>()
            .unwrap_or_default()
    };
    let found = (number(&info.major), number(&info.minor));
    let minimum = &stack.versions.kubernetes.minimum;
    let wanted = minimum
        .split_once('.')
        .map(|(major, minor)| (number(major), number(minor)))
        .unwrap_or_default();
    if found < wanted {
        return Ok(Observed::blocked(
            format!(
                "this cluster runs Kubernetes {}, the stack needs {minimum} or newer",
                info.git_version
            ),
            "upgrade the cluster or choose another with `--context`",
        ));
    }
    Ok(Observed::Ok(format!("Kubernetes {}", info.git_version.trim_start_matches('v'))))
}

async fn helm(stack: &Stack) -> Result<Observed> {
    let version = stack.helm.version().await?;
    let range = &stack.versions.helm;
    if *version < range.minimum || *version >= range.below {
        return Ok(Observed::blocked(
            format!(
                "helm {version} is on PATH, the stack needs {} or newer and below {}",
                range.minimum, range.below
            ),
            "install helm 3 or 4: https://helm.sh/docs/intro/install",
        ));
    }
    Ok(Observed::Ok(format!("helm {version}")))
}

/// Verb, API group, resource: what install does in its namespace.
const NEEDED: &[(&str, &str, &str)] = &[
    ("get", "", "secrets"),
    ("list", "", "secrets"),
    ("create", "", "secrets"),
    ("patch", "", "secrets"),
    ("delete", "", "secrets"),
    ("get", "", "configmaps"),
    ("create", "", "configmaps"),
    ("patch", "", "configmaps"),
    ("list", "", "pods"),
    // both are asked for by a websocket, which is a get; Kubernetes from 1.35 on also wants create for it
    ("get", "", "pods/portforward"),
    ("create", "", "pods/portforward"),
    ("get", "", "pods/exec"),
    ("create", "", "pods/exec"),
    ("deletecollection", "", "pods"),
    ("create", "", "persistentvolumeclaims"),
    ("create", "", "services"),
    ("patch", "", "services"),
    ("create", "", "serviceaccounts"),
    ("create", "apps", "deployments"),
    ("patch", "apps", "deployments"),
    ("create", "apps", "statefulsets"),
    ("patch", "apps", "statefulsets"),
    ("create", "batch", "jobs"),
    ("list", "batch", "jobs"),
    ("create", "batch", "cronjobs"),
    ("patch", "batch", "cronjobs"),
    ("create", "networking.k8s.io", "networkpolicies"),
    ("create", "elasticsearch.k8s.elastic.co", "elasticsearches"),
    ("patch", "elasticsearch.k8s.elastic.co", "elasticsearches"),
];

/// What only some stacks have.
fn needed_by(settings: &Settings) -> Vec<(&'static str, &'static str, &'static str)> {
    let mut needed = Vec::new();
    if settings.expose() == Expose::Ingress {
        needed.push(("create", "networking.k8s.io", "ingresses"));
    }
    // charts protect what has several pods
    if settings.profile() != Profile::Laptop {
        needed.push(("create", "policy", "poddisruptionbudgets"));
    }
    needed
}

async fn permissions(stack: &Stack) -> Result<Observed> {
    let needed = [NEEDED, &needed_by(&stack.settings)].concat();
    let answers =
        try_join_all(needed.iter().map(|(verb, group, resource)| {
            may(stack, Some(stack.namespace()), verb, group, resource)
        }))
        .await?;
    let refused: Vec<String> = needed
        .iter()
        .zip(answers)
        .filter(|(_, allowed)| !allowed)
        .map(|((verb, group, resource), _)| {
            if group.is_empty() {
                format!("{verb} {resource}")
            } else {
                format!("{verb} {resource}.{group}")
            }
        })
        .collect();
    if refused.is_empty() {
        return Ok(Observed::Ok(format!(
            "all that install needs in namespace {}",
            stack.namespace()
        )));
    }
    Ok(Observed::forbidden(
        format!("you may not {} in namespace {}", refused.join(", "), stack.namespace()),
        format!(
            "ask who runs the cluster for the role `edit` and the ECK roles in namespace {}",
            stack.namespace()
        ),
    ))
}

/// Whether the user may do something, in a namespace or in the whole cluster.
pub async fn may(
    stack: &Stack,
    namespace: Option<&str>,
    verb: &str,
    group: &str,
    resource: &str,
) -> Result<bool> {
    let (resource, subresource) = match resource.split_once('/') {
        Some((resource, sub)) => (resource, Some(sub.to_string())),
        None => (resource, None),
    };
    let attributes = ResourceAttributes {
        namespace: namespace.map(Into::into),
        verb: Some(verb.into()),
        group: Some(group.into()),
        resource: Some(resource.into()),
        subresource,
        ..Default::default()
    };
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            ..Default::default()
        },
        ..Default::default()
    };
    let api: Api<SelfSubjectAccessReview> = Api::all(stack.target.client.clone());
    let answer =
        api.create(&PostParams::default(), &review).await.context("asking what you may do")?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

async fn storage(stack: &Stack) -> Result<Observed> {
    let classes =
        Api::<StorageClass>::all(stack.target.client.clone()).list(&ListParams::default()).await?;
    let default = classes
        .items
        .iter()
        .find(|class| is_default(&class.metadata, "storageclass.kubernetes.io/is-default-class"));
    Ok(match default {
        Some(class) => Observed::Ok(format!(
            "storage class {}",
            class.metadata.name.as_deref().unwrap_or_default()
        )),
        None if has_volumes(stack).await? => {
            Observed::Ok("no default storage class, and all volumes are there".into())
        }
        None => {
            let names: Vec<_> =
                classes.items.iter().filter_map(|class| class.metadata.name.as_deref()).collect();
            let hint = match names.first() {
                Some(name) => {
                    let value = r#"{"metadata":{"annotations":{"storageclass.kubernetes.io/is-default-class":"true"}}}"#;
                    format!(
                        "it has {}; make one the default: kubectl patch storageclass {name} -p '{value}'",
                        names.join(", ")
                    )
                }
                None => "it has none at all: install a volume provisioner first".into(),
            };
            Observed::blocked(
                "the cluster has no default storage class, so nothing can be stored",
                hint,
            )
        }
    })
}

/// Whether every volume of the stack is there, so that none is to be made.
async fn has_volumes(stack: &Stack) -> Result<bool> {
    let is_bound = |claim: &PersistentVolumeClaim| {
        claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound")
    };
    for part in steps::parts().iter().filter(|part| stack.settings.has(part.component())) {
        let Some((labels, wanted)) = part.volumes(stack) else { continue };
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

/// Of classes, the one that is taken when none is named has an annotation that says so.
fn is_default(metadata: &ObjectMeta, annotation: &str) -> bool {
    metadata
        .annotations
        .as_ref()
        .and_then(|annotations| annotations.get(annotation))
        .is_some_and(|value| value == "true")
}

/// A value that a chart refuses is said before minutes are spent on what comes before that chart.
async fn values(stack: &Stack) -> Result<Observed> {
    let mut fit = Vec::new();
    for part in
        steps::parts().iter().filter(|part| stack.settings.values.contains_key(&part.component()))
    {
        let Some(install) = part.release(stack).await? else { continue };
        let name = part.component().as_str();
        if let Err(error) = stack.helm.try_values(&install).await {
            return Ok(Observed::blocked(
                format!(
                    "the values for {name} do not fit {}: {}",
                    install.chart.shown(),
                    one_line(&error)
                ),
                format!("correct them, and give them again: --values {name}=FILE"),
            ));
        }
        fit.push(name);
    }
    Ok(Observed::Ok(if fit.is_empty() {
        "none of your own".into()
    } else {
        format!("those for {} fit", fit.join(", "))
    }))
}
