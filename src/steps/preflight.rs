//! What must be so before anything is changed. These steps only look.

use anyhow::{Context, Result};
use async_trait::async_trait;
use futures::future::try_join_all;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::{Node, Pod, Secret};
use k8s_openapi::api::networking::v1::IngressClass;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::Api;
use kube::api::{ListParams, PostParams};
use serde_json::json;

use crate::error::one_line;
use crate::output::progress::Progress;
use crate::stack::Stack;
use crate::stack::resources::Resources;
use crate::stack::settings::Expose;
use crate::stack::step::{Blocked, Converged, Observed, Step, StepId};
use crate::stack::versions::Component;

use super::release;

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
    vec![Box::new(Cluster), Box::new(HelmPresent), Box::new(Permissions), Box::new(Storage), Box::new(Room), Box::new(Exposure), Box::new(Values)]
}

/// A step that can only be true or false: there is nothing to converge.
macro_rules! check {
    ($type:ident, $id:literal, $observe:ident) => {
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
check!(Room, "preflight.room", room);
check!(Exposure, "preflight.exposure", exposure);
check!(Values, "preflight.values", values);

async fn cluster(stack: &Stack) -> Result<Observed> {
    let info = stack.target.client.apiserver_version().await.context("the cluster's version")?;
    let number = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>().parse::<u64>().unwrap_or_default();
    let found = (number(&info.major), number(&info.minor));
    let minimum = &stack.versions.kubernetes.minimum;
    let wanted = minimum.split_once('.').map(|(major, minor)| (number(major), number(minor))).unwrap_or_default();
    if found < wanted {
        return Ok(Observed::blocked(
            format!("this cluster runs Kubernetes {}, the stack needs {minimum} or newer", info.git_version),
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
            format!("helm {version} is on PATH, the stack needs {} or newer and below {}", range.minimum, range.below),
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
    ("get", "", "pods/portforward"),
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
    ("create", "networking.k8s.io", "networkpolicies"),
    ("create", "elasticsearch.k8s.elastic.co", "elasticsearches"),
    ("patch", "elasticsearch.k8s.elastic.co", "elasticsearches"),
];

async fn permissions(stack: &Stack) -> Result<Observed> {
    let answers = try_join_all(NEEDED.iter().map(|(verb, group, resource)| may(stack, Some(stack.namespace()), verb, group, resource))).await?;
    let refused: Vec<String> = NEEDED
        .iter()
        .zip(answers)
        .filter(|(_, allowed)| !allowed)
        .map(|((verb, group, resource), _)| if group.is_empty() { format!("{verb} {resource}") } else { format!("{verb} {resource}.{group}") })
        .collect();
    if refused.is_empty() {
        return Ok(Observed::Ok(format!("all that install needs in namespace {}", stack.namespace())));
    }
    Ok(Observed::blocked(
        format!("you may not {} in namespace {}", refused.join(", "), stack.namespace()),
        format!("ask who runs the cluster for the role `edit` and the ECK roles in namespace {}", stack.namespace()),
    ))
}

/// Whether the user may do something, in a namespace or in the whole cluster.
pub async fn may(stack: &Stack, namespace: Option<&str>, verb: &str, group: &str, resource: &str) -> Result<bool> {
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
        spec: SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() },
        ..Default::default()
    };
    let api: Api<SelfSubjectAccessReview> = Api::all(stack.target.client.clone());
    let answer = api.create(&PostParams::default(), &review).await.context("asking what you may do")?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

async fn storage(stack: &Stack) -> Result<Observed> {
    let classes = Api::<StorageClass>::all(stack.target.client.clone()).list(&ListParams::default()).await?;
    let default = classes.items.iter().find(|class| {
        class.metadata.annotations.as_ref().and_then(|a| a.get("storageclass.kubernetes.io/is-default-class")).is_some_and(|value| value == "true")
    });
    Ok(match default {
        Some(class) => Observed::Ok(format!("storage class {}", class.metadata.name.as_deref().unwrap_or_default())),
        None => {
            let names: Vec<_> = classes.items.iter().filter_map(|class| class.metadata.name.as_deref()).collect();
            let hint = match names.first() {
                Some(name) => {
                    let value = r#"{"metadata":{"annotations":{"storageclass.kubernetes.io/is-default-class":"true"}}}"#;
                    format!("it has {}; make one the default: kubectl patch storageclass {name} -p '{value}'", names.join(", "))
                }
                None => "it has none at all: install a volume provisioner first".into(),
            };
            Observed::blocked("the cluster has no default storage class, so nothing can be stored", hint)
        }
    })
}

async fn room(stack: &Stack) -> Result<Observed> {
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

async fn exposure(stack: &Stack) -> Result<Observed> {
    let asked = &stack.settings.ingress;
    Ok(match stack.settings.expose() {
        Expose::None => Observed::Ok("by port-forward".into()),
        Expose::Loadbalancer => Observed::Ok("by load balancers of the cluster".into()),
        Expose::Nodeport => Observed::Ok("by ports of the nodes".into()),
        Expose::Ingress => {
            let classes = Api::<IngressClass>::all(stack.target.client.clone()).list(&ListParams::default()).await?.items;
            match class_of(&classes, asked.class_name.as_deref().filter(|name| !name.is_empty())) {
                Err(refusal) => Observed::Blocked(refusal),
                Ok(class) => {
                    let domain = asked.domain.as_deref().unwrap_or_default();
                    let missing = missing_certificate(stack).await?.map(|secret| format!("; secret {secret} is not there yet")).unwrap_or_default();
                    Observed::Ok(format!("by Ingresses of class {class} under {domain}{missing}"))
                }
            }
        }
    })
}

/// The class that somebody named, or the cluster's default one.
fn class_of<'a>(classes: &'a [IngressClass], named: Option<&str>) -> Result<&'a str, Blocked> {
    let name = |class: &'a IngressClass| class.metadata.name.as_deref().unwrap_or_default();
    let is_default = |class: &&IngressClass| {
        class.metadata.annotations.as_ref().and_then(|a| a.get("ingressclass.kubernetes.io/is-default-class")).is_some_and(|value| value == "true")
    };
    let found = match named {
        Some(named) => classes.iter().find(|class| name(class) == named),
        None => classes.iter().find(is_default),
    };
    found.map(name).ok_or_else(|| {
        let names: Vec<_> = classes.iter().map(name).collect();
        Blocked {
            why: match named {
                Some(named) => format!("the cluster has no IngressClass `{named}`"),
                None => "the cluster has no default IngressClass".into(),
            },
            hint: match names.as_slice() {
                [] => "it has none at all: install an Ingress controller first, or choose another `--expose`".into(),
                names => format!("it has {}: name one with `--ingress-class`", names.join(", ")),
            },
        }
    })
}

/// A controller that has no certificate yet serves one of its own, which no browser trusts.
async fn missing_certificate(stack: &Stack) -> Result<Option<&str>> {
    let Some(secret) = stack.settings.ingress.tls_secret.as_deref().filter(|name| !name.is_empty()) else { return Ok(None) };
    Ok(stack.api::<Secret>().get_opt(secret).await?.is_none().then_some(secret))
}

/// A value that a chart refuses is said before minutes are spent on what comes before that chart.
async fn values(stack: &Stack) -> Result<Observed> {
    let mut fit = Vec::new();
    // those of the data lake are of no chart
    for component in stack.settings.values.keys().filter(|component| **component != Component::Datalake) {
        let name = component.as_str();
        let install = match component {
            Component::Operator => release::install(stack, *component, name, stack.namespace(), json!({})),
            _ => release::install_part(stack, *component, name, json!({})),
        }?;
        if let Err(error) = stack.helm.try_values(&install).await {
            return Ok(Observed::blocked(
                format!("the values for {name} do not fit {}: {}", install.chart.shown(), one_line(&error)),
                format!("correct them, and give them again: --values {name}=FILE"),
            ));
        }
        fit.push(name);
    }
    Ok(Observed::Ok(if fit.is_empty() { "none of your own".into() } else { format!("those for {} fit", fit.join(", ")) }))
}

fn is_ours(stack: &Stack, pod: &Pod) -> bool {
    pod.metadata.namespace.as_deref() == Some(stack.namespace())
        && pod.metadata.labels.as_ref().and_then(|labels| labels.get("app.kubernetes.io/part-of")).is_some_and(|value| value == "lastack")
}

/// What the scheduler reserves for a pod: its containers together, or its hungriest init container.
fn requests(pod: &Pod) -> Resources {
    let Some(spec) = &pod.spec else { return Resources::default() };
    let of = |container: &k8s_openapi::api::core::v1::Container| {
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
