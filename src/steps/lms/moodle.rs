//! The helm release with Moodle and its database.

use anyhow::Result;
use async_trait::async_trait;
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
/// How often a cloud is asked for an address that it has not given yet. Moodle goes on without one.
const LOOKS_FOR_ADDRESS: u32 = 30;

pub struct MoodleRelease;

/// The address that people type, which Moodle must know: it sends away whoever comes by another.
pub async fn site_url(stack: &Stack) -> Result<String> {
    Ok(outside_url(stack).await?.unwrap_or_else(|| format!("http://localhost:{LOCAL_PORT}")))
}

/// The same, unless it is that of a port-forward.
pub async fn outside_url(stack: &Stack) -> Result<Option<String>> {
    let mut values = stack.settings.exposure(Component::Lms);
    if let Some(over) = stack.settings.values.get(&Component::Lms) {
        merge_values(&mut values, over);
    }
    let text = |path: &str| values.pointer(path).and_then(Value::as_str).filter(|text| !text.is_empty());
    if let Some(url) = text("/siteUrl") {
        return Ok(Some(url.trim_end_matches('/').to_string()));
    }
    if let (Some(true), Some(host)) = (values.pointer("/ingress/enabled").and_then(Value::as_bool), text("/ingress/host")) {
        return Ok(Some(release::host_url(host, text("/ingress/tlsSecret").is_some())));
    }
    // an address that outlived what was asked for is not used: nobody would answer there
    if text("/service/type") == Some("ClusterIP") { Ok(None) } else { release::service_url(stack, NAME).await }
}

impl MoodleRelease {
    async fn install(stack: &Stack) -> Result<Install> {
        let size = &stack.settings.profile().sizes().lms;
        let image = |role| release::image(stack, Component::Lms, role);
        let values = json!({
            "image": image("moodle")?,
            "replicas": size.web.replicas,
            "siteUrl": site_url(stack).await?,
            "admin": {"username": USER},
            "existingSecret": NAME,
            "secretChecksum": secrets::checksum(stack, &[NAME, POSTGRESQL.name]).await?,
            "plugin": {"configMap": plugin::PLUGIN, "key": plugin::ARCHIVE, "checksum": plugin::checksum(stack).await?},
            "postgresql": {
                "image": image("postgresql")?,
                "existingSecret": POSTGRESQL.name,
                "storage": size.postgresql.storage,
                "resources": size.postgresql.resources(),
            },
            "persistence": {"size": size.storage},
            "resources": size.web.resources(),
        });
        release::install_part(stack, Component::Lms, RELEASE, values)
    }

    /// Makes the Service before any pod, because a Moodle that has begun its first start must not be told another address.
    async fn reserve_address(stack: &Stack, progress: &Progress<'_>) -> Result<()> {
        let mut install = Self::install(stack).await?;
        install.values["replicas"] = json!(0);
        release::converge(stack, &install, progress).await?;
        let mut looks = 0;
        wait::until(stack, &format!("service {NAME}"), progress, || {
            looks += 1;
            async move {
                Ok(match release::service_url(stack, NAME).await? {
                    Some(url) => State::Ready(url),
                    None if looks >= LOOKS_FOR_ADDRESS => State::Ready("no address".into()),
                    None => State::Waiting(format!("service {NAME} has no address yet")),
                })
            }
        })
        .await
        .map(drop)
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
        let is_new = stack.helm.status(RELEASE, stack.namespace()).await?.is_none();
        if is_new && matches!(stack.settings.expose(), Expose::Loadbalancer | Expose::Nodeport) {
            Self::reserve_address(stack, progress).await?;
        }
        let install = Self::install(stack).await?;
        let url = install.values["siteUrl"].as_str().unwrap_or_default().to_string();
        let look = || async {
            release::replace_stuck(stack, POSTGRESQL.name).await?;
            rollout(stack).await
        };
        Ok(match release::upgrade(stack, &install, NAME, progress, look).await? {
            Converged::Done(detail) => Converged::Done(format!("{detail}, at {url}")),
            started => started,
        })
    }

    async fn retractable(&self, stack: &Stack, _: Retraction) -> Result<Retracted> {
        release::retractable(stack, RELEASE, stack.namespace()).await
    }

    async fn retract(&self, stack: &Stack, _: Retraction, _: &Progress) -> Result<()> {
        stack.helm.uninstall(RELEASE, stack.namespace()).await
    }

    fn explain(&self, stack: &Stack) -> Vec<String> {
        let namespace = stack.namespace();
        vec![
            format!("helm upgrade --install {RELEASE} charts/moodle -n {namespace} -f values.yaml"),
            format!("kubectl rollout status deployment/{NAME} -n {namespace} --timeout=30m"),
        ]
    }
}
