//! The helm release with Moodle and its database.

use anyhow::{Context, Result};
use async_trait::async_trait;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams};
use serde_json::{Value, json};

use crate::clients::helm::Install;
use crate::clients::secrets;
use crate::clients::wait::{self, State};
use crate::output::progress::Progress;
use crate::stack::Stack;
use crate::stack::settings::Expose;
use crate::stack::step::{Converged, Observed, Retracted, Retraction, Step, StepId};
use crate::stack::versions::Component;
use crate::steps::postgresql::on_top;
use crate::steps::release;

use super::{NAME, PODS, POSTGRESQL, RELEASE, USER, client, plugin};

/// The port of the user's machine for a Moodle that can be reached by port-forward only: its own address names it.
pub const LOCAL_PORT: u16 = 8080;
/// How often a cloud is asked for an address that it has not given yet. Moodle goes on without one.
const LOOKS_FOR_ADDRESS: u32 = 30;

pub struct MoodleRelease;

/// The address that people type, which Moodle must know: it sends away whoever comes by another.
pub async fn site_url(stack: &Stack) -> Result<String> {
    if let Some(values) = stack.settings.values.get(&Component::Lms) {
        let text = |path: &str| values.pointer(path).and_then(Value::as_str).filter(|text| !text.is_empty());
        if let Some(url) = text("/siteUrl") {
            return Ok(url.to_string());
        }
        if let (Some(true), Some(host)) = (values.pointer("/ingress/enabled").and_then(Value::as_bool), text("/ingress/host")) {
            return Ok(format!("{}://{host}", if text("/ingress/tlsSecret").is_some() { "https" } else { "http" }));
        }
    }
    // an address that outlived what was asked for is not used: nobody would answer there
    let outside = if stack.settings.expose() == Expose::None { None } else { release::url(stack, NAME).await? };
    Ok(outside.unwrap_or_else(|| format!("http://localhost:{LOCAL_PORT}")))
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
            "service": {"type": stack.settings.expose().service_type()},
        });
        release::install(stack, Component::Lms, RELEASE, stack.namespace(), values)
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
                Ok(match release::url(stack, NAME).await? {
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
async fn rollout(stack: &Stack) -> Result<State> {
    Ok(on_top(POSTGRESQL.look(stack).await?, release::rollout(stack, NAME).await?))
}

/// Why pods that run as they should have to start once more: a plugin is installed at the start only.
async fn reason_to_restart(stack: &Stack) -> Result<Option<String>> {
    if plugin::checksum(stack).await?.is_empty() {
        return Ok(None);
    }
    let state = client(stack).await?.state().await?;
    Ok(match state.plugin {
        _ if state.queue.is_some() => None,
        None => Some("its files are not there".into()),
        Some(_) if state.upgrade_pending => Some("Moodle waits for an upgrade".into()),
        Some(_) => Some("it is not installed".into()),
    })
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
        Ok(match rollout(stack).await? {
            State::Ready(_) => match reason_to_restart(stack).await? {
                None => found,
                Some(reason) => Observed::drifted("the plugin in Moodle", reason, "installed"),
            },
            State::Waiting(reason) | State::Fatal { why: reason, .. } => Observed::drifted(format!("deployment {NAME}"), reason, "ready"),
        })
    }

    async fn converge(&self, stack: &Stack, progress: &Progress) -> Result<Converged> {
        let is_new = stack.helm.status(RELEASE, stack.namespace()).await?.is_none();
        if is_new && stack.settings.expose() != Expose::None {
            Self::reserve_address(stack, progress).await?;
        }
        let install = Self::install(stack).await?;
        let is_as_asked = !is_new && matches!(release::observe(stack, &install).await?, Observed::Ok(_));
        if is_as_asked && matches!(rollout(stack).await?, State::Ready(_)) {
            progress.say("restarting Moodle, which then installs the plugin");
            let (pods, selection) = (stack.api::<Pod>(), ListParams::default().labels(PODS));
            pods.delete_collection(&DeleteParams::default(), &selection).await.context("the pods of Moodle")?;
        }
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
