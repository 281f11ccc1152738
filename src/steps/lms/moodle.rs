//! The helm release with Moodle and its database.

use std::time::{Duration, Instant};

use anyhow::Result;
use async_trait::async_trait;
use k8s_openapi::api::core::v1::Service;
use serde_json::{Value, json};

use crate::clients::helm::Install;
use crate::clients::secrets;
use crate::clients::wait::{self, State};
use crate::output::progress::Progress;
use crate::stack::Stack;
use crate::stack::settings::{Expose, merge_values};
use crate::stack::step::{Converged, Observed, Retracted, Retraction, Step, StepId};
use crate::stack::versions::Component;
use crate::steps::postgresql::on_top;
use crate::steps::release;

use super::{NAME, POSTGRESQL, RELEASE, USER, plugin};

/// The port of the user's machine for a Moodle that can be reached by port-forward only: its own address names it.
pub const LOCAL_PORT: u16 = 8080;
/// How long a cloud may take to give an address. Moodle then goes on without one.
const PATIENCE_FOR_ADDRESS: Duration = Duration::from_secs(180);

pub struct MoodleRelease;

/// The address that people type, which Moodle must know: it sends away whoever comes by another.
pub async fn site_url(stack: &Stack) -> Result<String> {
    Ok(outside_url(stack).await?.unwrap_or_else(|| format!("http://localhost:{LOCAL_PORT}")))
}

/// The same, unless it is that of a port-forward.
pub async fn outside_url(stack: &Stack) -> Result<Option<String>> {
    if let Some(url) = own_url(stack) {
        return Ok(Some(url));
    }
    let mut values = stack.settings.exposure(Component::Lms);
    if let Some(over) = stack.settings.values.get(&Component::Lms) {
        merge_values(&mut values, over);
    }
    let text =
        |path: &str| values.pointer(path).and_then(Value::as_str).filter(|text| !text.is_empty());
    if let (Some(true), Some(host)) =
        (values.pointer("/ingress/enabled").and_then(Value::as_bool), text("/ingress/host"))
    {
        return Ok(Some(release::host_url(host, text("/ingress/tlsSecret").is_some())));
    }
    // an address that outlived what was asked for is not used: nobody would answer there
    if text("/service/type") == Some("ClusterIP") {
        Ok(None)
    } else {
        release::service_url(stack, NAME).await
    }
}

/// The address that a person's own values give.
fn own_url(stack: &Stack) -> Option<String> {
    let url = stack.settings.values.get(&Component::Lms)?.get("siteUrl")?.as_str()?;
    (!url.is_empty()).then(|| url.trim_end_matches('/').to_string())
}

impl MoodleRelease {
    pub async fn install(stack: &Stack) -> Result<Install> {
        let size = &stack.settings.profile().sizes().lms;
        let image = |role| release::image(stack, Component::Lms, role);
        let values = json!({
            "image": image("moodle")?,
            "replicas": size.web.replicas,
            "siteUrl": site_url(stack).await?,
            "admin": {"username": USER},
            "existingSecret": NAME,
            "secretChecksum": secrets::checksum(stack, &[NAME, POSTGRESQL.secret(stack)]).await?,
            "plugin": {"configMap": plugin::PLUGIN, "key": plugin::ARCHIVE, "checksum": plugin::checksum(stack).await?},
            "postgresql": {
                "image": image("postgresql")?,
                "existingSecret": POSTGRESQL.name,
                "storage": POSTGRESQL.storage(stack, &size.postgresql.storage).await?,
                "resources": size.postgresql.resources(),
            },
            "persistence": {"size": release::claimed(stack, NAME).await?.unwrap_or_else(|| size.storage.clone())},
            "resources": size.web.resources(),
        });
        release::install_part(stack, Component::Lms, RELEASE, values)
    }

    /// Makes the Service before any pod, because a Moodle that has begun its first start must not be told another address.
    async fn reserve_address(stack: &Stack, progress: &Progress<'_>) -> Result<()> {
        let mut install = Self::install(stack).await?;
        install.values["replicas"] = json!(0);
        release::converge(stack, &install, progress).await?;
        Self::wait_for_address(stack, progress).await
    }

    async fn wait_for_address(stack: &Stack, progress: &Progress<'_>) -> Result<()> {
        let begun = Instant::now();
        wait::until(stack, &format!("service {NAME}"), progress, || async {
            Ok(match release::service_url(stack, NAME).await? {
                Some(url) => State::Ready(url),
                None if begun.elapsed() >= PATIENCE_FOR_ADDRESS => {
                    State::Ready("no address".into())
                }
                None => State::Waiting(format!("service {NAME} has no address yet")),
            })
        })
        .await
        .map(drop)
    }

    /// Whether the address will be the Service's, and there is no Service yet that could have it.
    async fn needs_another_service(stack: &Stack) -> Result<bool> {
        if !matches!(stack.settings.expose(), Expose::Loadbalancer | Expose::Nodeport)
            || own_url(stack).is_some()
        {
            return Ok(false);
        }
        let service = stack.api::<Service>().get_opt(NAME).await?;
        Ok(service.and_then(|service| service.spec?.type_).as_deref()
            != Some(stack.settings.expose().service_type()))
    }

    async fn upgrade(
        stack: &Stack,
        install: &Install,
        progress: &Progress<'_>,
    ) -> Result<Converged> {
        let look = || async {
            release::replace_stuck(stack, POSTGRESQL.name).await?;
            rollout(stack).await
        };
        release::upgrade(stack, install, NAME, progress, look).await
    }
}

/// The pod of Moodle waits for that of its database: what keeps them is said by whichever it is.
pub async fn rollout(stack: &Stack) -> Result<State> {
    Ok(on_top(POSTGRESQL.look(stack).await?, release::rollout(stack, NAME).await?))
}

#[async_trait]
impl Step for MoodleRelease {
    fn id(&self) -> StepId {
        "lms.release"
    }

    fn needs(&self) -> &'static [StepId] {
        &["lms.accounts", "lms.plugin", "settings"]
    }

    async fn observe(&self, stack: &Stack) -> Result<Observed> {
        let install = Self::install(stack).await?;
        let found = release::observe(stack, &install).await?;
        if !matches!(found, Observed::Ok(_)) {
            return Ok(found);
        }
        Ok(release::observed(found, NAME, rollout(stack).await?))
    }

    async fn converge(&self, stack: &Stack, progress: &Progress) -> Result<Converged> {
        let needs_address = Self::needs_another_service(stack).await?;
        let is_new = stack.helm.status(RELEASE, stack.namespace()).await?.is_none();
        if is_new && needs_address {
            Self::reserve_address(stack, progress).await?;
        }
        let mut install = Self::install(stack).await?;
        let mut converged = Self::upgrade(stack, &install, progress).await?;
        if !is_new && needs_address && matches!(converged, Converged::Done(_)) {
            // a Service that became another one has told its address only now
            Self::wait_for_address(stack, progress).await?;
            install = Self::install(stack).await?;
            converged = Self::upgrade(stack, &install, progress).await?;
        }
        let url = install.values["siteUrl"].as_str().unwrap_or_default();
        let address = match needs_address && outside_url(stack).await?.is_none() {
            true => format!(
                "no address came for service {NAME}: at {url} until the next install finds one"
            ),
            false => format!("at {url}"),
        };
        Ok(match converged {
            Converged::Done(detail) => Converged::Done(format!("{detail}, {address}")),
            started => started,
        })
    }

    async fn retractable(&self, stack: &Stack, _: Retraction) -> Result<Retracted> {
        release::retractable_part(stack, RELEASE).await
    }

    async fn retract(&self, stack: &Stack, how: Retraction, progress: &Progress) -> Result<()> {
        release::retract(stack, RELEASE, how, progress).await
    }

    fn explain(&self, stack: &Stack) -> Vec<String> {
        let namespace = stack.namespace();
        vec![
            format!("helm upgrade --install {RELEASE} charts/moodle -n {namespace} -f values.yaml"),
            format!("kubectl rollout status deployment/{NAME} -n {namespace} --timeout=30m"),
        ]
    }
}
