//! The helm release with Moodle and its database.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use async_trait::async_trait;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde::Serialize;
use serde_json::{Value, json};

use crate::cluster::helm::Install;
use crate::cluster::object::ObjectRef;
use crate::cluster::secrets::ALL;
use crate::cluster::steps::Step;
use crate::cluster::wait::State;
use crate::cluster::{endpoint, rollout};
use crate::components::postgresql::{self, on_top};
use crate::components::release;
use crate::engine::{
    DeleteOptions, Deletion, Difference, Id, Observation, Progress, Reconciled, Resource,
};
use crate::error::Failure;
use crate::stack::Stack;
use crate::stack::settings::{Expose, merge_values};

use super::plugin::{self, Choice, Reference};
use super::{COMPONENT, DECLARATION, Lms, NAME, POSTGRESQL, RELEASE, Size, USER};

/// The values that this program gives to `charts/moodle`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Values {
    image: release::Image,
    replicas: u32,
    site_url: String,
    admin: Admin,
    existing_secret: &'static str,
    /// Changes with the Secrets that the Pods read, which restarts them.
    secret_checksum: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    plugin: Option<PluginValues>,
    postgresql: postgresql::Values,
    persistence: Persistence,
    resources: Value,
}

#[derive(Serialize)]
struct Admin {
    username: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PluginValues {
    config_map: String,
    key: &'static str,
    checksum: String,
}

impl From<Reference> for PluginValues {
    fn from(Reference { config_map, digest }: Reference) -> Self {
        Self { config_map, key: plugin::ARCHIVE, checksum: digest }
    }
}

#[derive(Serialize)]
struct Persistence {
    size: Quantity,
}

/// The local port for a Moodle that only a port-forward reaches. Moodle's site URL contains it.
pub const LOCAL_PORT: u16 = 8080;
/// How long to wait for the address of a load balancer. Moodle is then installed without one.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(180);

pub struct MoodleRelease(pub Arc<Choice>);

/// Moodle's site URL. Moodle redirects requests for other hosts.
///
/// # Errors
/// When the address of the Service cannot be read.
pub async fn site_url(stack: &Stack) -> Result<String> {
    Ok(outside_url(stack).await?.unwrap_or_else(|| format!("http://localhost:{LOCAL_PORT}")))
}

/// The same. None for the URL of a port-forward.
///
/// # Errors
/// When the address of the Service cannot be read.
pub async fn outside_url(stack: &Stack) -> Result<Option<String>> {
    if let Some(url) = own_url(stack) {
        return Ok(Some(url));
    }
    let mut values = stack.settings.exposure(COMPONENT);
    if let Some(over) = stack.settings.values_of(COMPONENT) {
        merge_values(&mut values, over);
    }
    let text =
        |path: &str| values.pointer(path).and_then(Value::as_str).filter(|text| !text.is_empty());
    if let (Some(true), Some(host)) =
        (values.pointer("/ingress/enabled").and_then(Value::as_bool), text("/ingress/host"))
    {
        return Ok(Some(endpoint::host_url(host, text("/ingress/tlsSecret").is_some())));
    }
    // a URL of an earlier `--expose` is not used, because nothing responds there
    if text("/service/type") == Some("ClusterIP") {
        Ok(None)
    } else if !stack.reads_cluster() {
        Err(Failure::usage("the address of Moodle: cannot be rendered: only the cluster knows it")
            .hint("set `siteUrl` in the values of lms, or use `--expose ingress --domain DOMAIN`")
            .into())
    } else {
        endpoint::service_url(&stack.cluster, NAME).await
    }
}

/// Whether users reach Moodle at the address of its Service.
fn is_address_of_service(stack: &Stack) -> bool {
    matches!(stack.settings.expose(), Expose::Loadbalancer | Expose::Nodeport)
        && own_url(stack).is_none()
}

/// The site URL in the chart values.
fn own_url(stack: &Stack) -> Option<String> {
    let url = stack.settings.values_of(COMPONENT)?.get("siteUrl")?.as_str()?;
    (!url.is_empty()).then(|| url.trim_end_matches('/').to_string())
}

/// The release with this plugin. None: without the plugin, for a caller that needs only the size.
///
/// # Errors
/// When an object that the values depend on cannot be read.
pub async fn install(stack: &Stack, plugin: Option<Reference>) -> Result<Install> {
    let size: Size = stack.settings.profile().size_of(COMPONENT);
    let claimed = match stack.reads_cluster() {
        true => rollout::claimed(&stack.cluster, NAME).await?,
        false => None,
    };
    let given = [NAME, POSTGRESQL.secret(stack)];
    let values = Values {
        image: release::image(stack, COMPONENT, "moodle")?,
        replicas: size.web.replicas,
        site_url: site_url(stack).await?,
        admin: Admin { username: USER },
        existing_secret: NAME,
        secret_checksum: release::secret_checksum(stack, &given, ALL).await?,
        plugin: plugin.map(PluginValues::from),
        postgresql: POSTGRESQL.values(stack, &size.postgresql).await?,
        persistence: Persistence { size: claimed.unwrap_or_else(|| size.storage.clone()) },
        resources: size.web.resources(),
    };
    release::install_component(stack, COMPONENT, RELEASE, &values)
}

impl MoodleRelease {
    async fn install(&self, stack: &Stack) -> Result<Install> {
        install(stack, Some(self.0.reference(stack).await?)).await
    }

    /// Creates the Service before any Pod, because the address must not change after the first start of Moodle.
    async fn reserve_address(&self, stack: &Stack, progress: &Progress<'_>) -> Result<()> {
        let mut install = self.install(stack).await?;
        install.values["replicas"] = json!(0);
        release::reconcile(stack, &install, progress).await?;
        Self::wait_for_address(stack, progress).await
    }

    async fn wait_for_address(stack: &Stack, progress: &Progress<'_>) -> Result<()> {
        let begun = Instant::now();
        stack
            .until(&format!("service {NAME}"), progress, || async {
                Ok(match endpoint::service_url(&stack.cluster, NAME).await? {
                    Some(url) => State::Ready(url),
                    None if begun.elapsed() >= ADDRESS_TIMEOUT => State::Ready("no address".into()),
                    None => State::Waiting(format!("service {NAME} has no address yet")),
                })
            })
            .await
            .map(drop)
    }

    /// Whether users reach Moodle at the address of its Service, and no Service of the required type exists.
    async fn needs_new_service(stack: &Stack) -> Result<bool> {
        if !is_address_of_service(stack) {
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
    ) -> Result<Reconciled> {
        let look = || async {
            rollout::replace_stuck(&stack.cluster, POSTGRESQL.name).await?;
            rollout(stack).await
        };
        let upgraded = release::upgrade(stack, &Lms, install, NAME, progress, look).await;
        if upgraded.is_err()
            && let Some(name) = install.values.pointer("/plugin/configMap").and_then(Value::as_str)
        {
            // the failure of the upgrade is the one to show
            let _ = plugin::delete_rejected(stack, name).await;
        }
        upgraded
    }
}

/// The rollout of Moodle and its database. A problem of the database comes first, because Moodle depends on it.
///
/// # Errors
/// When a workload or its Pods cannot be read.
pub async fn rollout(stack: &Stack) -> Result<State> {
    Ok(on_top(POSTGRESQL.look(stack).await?, rollout::deployment(&stack.cluster, NAME).await?))
}

#[async_trait]
impl Resource<Stack> for MoodleRelease {
    fn id(&self) -> Id {
        Id("lms.release")
    }

    fn needs(&self) -> &'static [Id] {
        &[Id("lms.accounts"), Id("lms.plugin"), Id("settings")]
    }

    async fn observe(&self, stack: &Stack) -> Result<Observation> {
        let install = self.install(stack).await?;
        let found = release::observe(stack, &install).await?;
        if !found.is_equal() {
            return Ok(found);
        }
        Ok(release::observed(found, NAME, rollout(stack).await?))
    }

    async fn differences(&self, stack: &Stack) -> Result<Option<Vec<Difference>>> {
        release::differences(stack, &self.install(stack).await?).await
    }

    async fn reconcile(&self, stack: &Stack, progress: &Progress<'_>) -> Result<Reconciled> {
        let needs_address = Self::needs_new_service(stack).await?;
        let is_new = stack.helm.status(RELEASE, stack.namespace()).await?.is_none();
        if is_new && needs_address {
            self.reserve_address(stack, progress).await?;
        }
        let mut install = self.install(stack).await?;
        let mut reconciled = Self::upgrade(stack, &install, progress).await?;
        if !is_new && needs_address && matches!(reconciled, Reconciled::Done(_)) {
            // a Service with a new type has its address only now
            Self::wait_for_address(stack, progress).await?;
            install = self.install(stack).await?;
            reconciled = Self::upgrade(stack, &install, progress).await?;
        }
        let url = install.values["siteUrl"].as_str().unwrap_or_default();
        let address = match needs_address && outside_url(stack).await?.is_none() {
            true => format!("service {NAME} has no address yet: at {url} until the next install"),
            false => format!("at {url}"),
        };
        Ok(match reconciled {
            Reconciled::Done(detail) => Reconciled::Done(format!("{detail}, {address}")),
            started => started,
        })
    }

    async fn plan_deletion(&self, stack: &Stack, _: DeleteOptions) -> Result<Deletion<ObjectRef>> {
        release::plan_deletion(stack, &DECLARATION, stack.namespace()).await
    }

    async fn delete(
        &self,
        stack: &Stack,
        options: DeleteOptions,
        progress: &Progress<'_>,
    ) -> Result<()> {
        if options.keep_data {
            // while the Deployment says which plugin is in use
            plugin::delete_unused(stack).await?;
        }
        release::delete(stack, &DECLARATION, options, progress).await
    }

    async fn explain(&self, stack: &Stack) -> Result<Vec<Step>> {
        let mut waits = POSTGRESQL.waits(stack);
        waits.push(format!(
            "kubectl rollout status deployment/{NAME} -n {} --timeout=30m",
            stack.namespace()
        ));
        let install = self.install(stack).await?;
        let mut steps = Vec::new();
        if is_address_of_service(stack) && outside_url(stack).await?.is_none() {
            steps.push(Step::Remark(
                "Moodle must know its own address, and its Service has none yet. \
                 When it has one, repeat this line with that address as `siteUrl`."
                    .into(),
            ));
        }
        steps.push(release::step(install, waits));
        Ok(steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::profiles::Profile;

    #[test]
    fn chart_values_fit_the_schema_of_the_chart() {
        let size: Size = Profile::Production.size_of(COMPONENT);
        let values = Values {
            image: release::Image::example(),
            replicas: size.web.replicas,
            site_url: "https://lms.example.org".into(),
            admin: Admin { username: USER },
            existing_secret: NAME,
            secret_checksum: "0a1b".into(),
            plugin: Some(PluginValues {
                config_map: "lms-plugin-0a1b".into(),
                key: plugin::ARCHIVE,
                checksum: "0a1b".into(),
            }),
            postgresql: POSTGRESQL.example(&size.postgresql),
            persistence: Persistence { size: size.storage.clone() },
            resources: size.web.resources(),
        };
        release::assert_fits_schema("moodle", &values);
    }
}
