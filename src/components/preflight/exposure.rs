//! The check that the cluster supports the requested exposure.

use anyhow::Result;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::networking::v1::IngressClass;
use kube::Api;
use kube::api::ListParams;

use crate::engine::Observation;
use crate::error::Diagnosis;
use crate::stack::Stack;
use crate::stack::settings::Expose;

use super::is_default;

pub async fn check(stack: &Stack) -> Result<Observation> {
    let exposure = match stack.settings.expose() {
        Expose::None => "by port-forward",
        Expose::Loadbalancer => "by load balancers",
        Expose::Nodeport => "by node ports",
        Expose::Ingress => return by_ingress(stack).await,
    };
    Ok(Observation::Equal(exposure.into()))
}

async fn by_ingress(stack: &Stack) -> Result<Observation> {
    let requested = &stack.settings.ingress;
    let classes = Api::<IngressClass>::all(stack.cluster.client.clone())
        .list(&ListParams::default())
        .await?
        .items;
    let class =
        match class_of(&classes, requested.class_name.as_deref().filter(|name| !name.is_empty())) {
            Ok(class) => class,
            Err(diagnosis) => return Ok(Observation::Blocked(diagnosis)),
        };
    let missing = missing_certificate(stack)
        .await?
        .map(|secret| format!("; secret {secret} does not exist yet"))
        .unwrap_or_default();
    Ok(Observation::Equal(format!(
        "by Ingresses of class {class} under {}{missing}",
        requested.domain.as_deref().unwrap_or_default()
    )))
}

/// The IngressClass of the settings, or the cluster's default.
fn class_of<'a>(classes: &'a [IngressClass], named: Option<&str>) -> Result<&'a str, Diagnosis> {
    let name = |class: &'a IngressClass| class.metadata.name.as_deref().unwrap_or_default();
    let found = match named {
        Some(named) => classes.iter().find(|class| name(class) == named),
        None => classes.iter().find(|class| {
            is_default(&class.metadata, "ingressclass.kubernetes.io/is-default-class")
        }),
    };
    found.map(name).ok_or_else(|| {
        let names: Vec<_> = classes.iter().map(name).collect();
        Diagnosis::new(
            match named {
                Some(named) => format!("the cluster has no IngressClass `{named}`"),
                None => "the cluster has no default IngressClass".into(),
            },
            match names.as_slice() {
                [] => "install an Ingress controller, or choose another `--expose`".into(),
                names => format!("choose one of {} with `--ingress-class`", names.join(", ")),
            },
        )
    })
}

/// The name of the absent TLS Secret. Without it, a controller serves its own certificate, which browsers do not trust.
async fn missing_certificate(stack: &Stack) -> Result<Option<&str>> {
    let Some(secret) = stack.settings.ingress.tls_secret.as_deref().filter(|name| !name.is_empty())
    else {
        return Ok(None);
    };
    Ok(stack.api::<Secret>().get_opt(secret).await?.is_none().then_some(secret))
}
