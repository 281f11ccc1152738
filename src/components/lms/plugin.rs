//! The plugin, stored in the cluster, so that Moodle's Pods restart without internet access.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use async_trait::async_trait;
use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Patch, PatchParams};
use kube::core::ApiResource;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::cluster::download;
use crate::cluster::flags::quoted;
use crate::cluster::object::{self, FIELD_MANAGER, MANAGED_BY, ObjectRef};
use crate::cluster::steps::{FOLDER, Step};
use crate::engine::{DeleteOptions, Deletion, Id, Observation, Progress, Reconciled, Resource};
use crate::stack::Stack;

use super::package::{LOGSTORE, Package, PluginVersion, branch};
use super::{COMPONENT, NAME};

/// The ConfigMaps have this name with a part of the digest. Pods of an earlier template therefore keep their plugin, and
/// so does a release that is rolled back.
pub const PLUGIN: &str = "lms-plugin";
/// The key of the archive in the ConfigMap.
pub const ARCHIVE: &str = "xapi.tar.gz";
const RELEASE: &str = "lastack/plugin-release";
const NUMBER: &str = "lastack/plugin-version";
const SUPPORTED: &str = "lastack/plugin-supported";
const SHA256: &str = "lastack/plugin-sha256";
const SOURCE: &str = "lastack/plugin-source";
/// The number of digits of the digest in the name.
const DIGITS: usize = 12;

fn name_of(digest: &str) -> String {
    format!("{PLUGIN}-{}", &digest[..DIGITS.min(digest.len())])
}

/// A plugin in the cluster.
struct StoredPlugin {
    name: String,
    created: Option<jiff::Timestamp>,
    version: PluginVersion,
    sha256: String,
    source: String,
}

impl StoredPlugin {
    /// None: the ConfigMap contains something else.
    fn of(metadata: ObjectMeta) -> Option<Self> {
        let annotations = metadata.annotations.unwrap_or_default();
        let text = |key: &str| annotations.get(key).cloned().unwrap_or_default();
        let version = PluginVersion {
            release: text(RELEASE),
            number: text(NUMBER).parse().ok(),
            supported: serde_json::from_str(&text(SUPPORTED)).ok(),
        };
        Some(Self {
            name: metadata.name?,
            created: metadata.creation_timestamp.map(|time| time.0),
            version,
            sha256: annotations.get(SHA256)?.clone(),
            source: text(SOURCE),
        })
    }

    /// Whether a user chose it. The stored source of our own releases has a scheme.
    fn is_custom(&self) -> bool {
        !self.source.contains("://")
    }
}

/// The plugins in the cluster: first the one of Moodle's Deployment, or the newest one without a Deployment.
async fn stored(stack: &Stack) -> Result<Vec<StoredPlugin>> {
    let labels = format!("{},{MANAGED_BY}={FIELD_MANAGER}", object::of_release(super::RELEASE));
    let maps = object::find(&stack.cluster, &ApiResource::erase::<ConfigMap>(&()), &labels).await?;
    let mut plugins: Vec<_> =
        maps.into_iter().filter_map(|map| StoredPlugin::of(map.metadata)).collect();
    plugins.sort_by_key(|plugin| Reverse(plugin.created));
    if plugins.len() > 1 {
        let deployment = stack.api::<Deployment>().get_opt(NAME).await?;
        let spec = deployment.and_then(|deployment| deployment.spec?.template.spec);
        let volumes = spec.and_then(|spec| spec.volumes).unwrap_or_default();
        let mounted = |plugin: &StoredPlugin| {
            let mut maps = volumes.iter().filter_map(|volume| volume.config_map.as_ref());
            maps.any(|map| map.name == plugin.name)
        };
        plugins.sort_by_key(|plugin| !mounted(plugin));
    }
    Ok(plugins)
}

/// The version of the plugin that Moodle has.
///
/// # Errors
/// When the plugins cannot be listed.
pub async fn current(stack: &Stack) -> Result<PluginVersion> {
    let current = stored(stack).await?.into_iter().next();
    Ok(current.map_or_else(|| released(stack), |plugin| plugin.version))
}

/// Deletes all plugins that Moodle's Deployment does not refer to.
///
/// # Errors
/// When the plugins cannot be listed or deleted.
pub async fn delete_unused(stack: &Stack) -> Result<()> {
    for plugin in stored(stack).await?.iter().skip(1) {
        object::delete_ours(&stack.api::<ConfigMap>(), &plugin.name).await?;
    }
    Ok(())
}

/// Deletes a plugin to which Moodle did not change, such as after a rollback.
///
/// # Errors
/// When the plugins cannot be listed or deleted.
pub async fn delete_rejected(stack: &Stack, name: &str) -> Result<()> {
    match stored(stack).await?.first() {
        Some(current) if current.name != name => {
            object::delete_ours(&stack.api::<ConfigMap>(), name).await
        }
        _ => Ok(()),
    }
}

/// The plugin to give to Moodle, by its ConfigMap.
pub struct Reference {
    pub config_map: String,
    /// A changed digest replaces Moodle's Pods.
    pub digest: String,
}

/// The choice of the plugin, shared by the resources that need it.
#[derive(Default)]
pub struct Choice {
    /// The plugin that the settings name, read once.
    custom: OnceCell<Package>,
}

impl Choice {
    /// The plugin that the settings name. None: they name none.
    async fn custom(&self, stack: &Stack) -> Result<Option<&Package>> {
        match &stack.settings.plugin {
            Some(source) => {
                self.custom.get_or_try_init(|| Package::from(source, &|_| {})).await.map(Some)
            }
            None => Ok(None),
        }
    }

    /// The plugin to give to Moodle: the one that the settings name, else the custom one that Moodle has, else the release
    /// in the versions file.
    ///
    /// # Errors
    /// When the plugin that the settings name, or the plugins in the cluster, cannot be read.
    pub async fn reference(&self, stack: &Stack) -> Result<Reference> {
        let of_digest =
            |digest: &str| Reference { config_map: name_of(digest), digest: digest.to_string() };
        if let Some(package) = self.custom(stack).await? {
            return Ok(of_digest(&package.digest));
        }
        let current = match stack.reads_cluster() {
            true => stored(stack).await?.into_iter().next(),
            false => None,
        };
        Ok(match current.filter(StoredPlugin::is_custom) {
            Some(custom) => Reference { config_map: custom.name, digest: custom.sha256 },
            None => of_digest(&stack.versions.of(COMPONENT).plugin().sha256),
        })
    }
}

/// The ConfigMap with the plugin.
pub struct Plugin(pub Arc<Choice>);

/// The Moodle version to install: from the versions file, or from an image in the chart values.
fn moodle_version(stack: &Stack) -> String {
    let over = stack
        .settings
        .values_of(COMPONENT)
        .and_then(|values| values.pointer("/image/tag")?.as_str());
    over.unwrap_or(&stack.versions.of(COMPONENT).version).to_string()
}

/// The release in the versions file, which is the default.
fn released(stack: &Stack) -> PluginVersion {
    let source = stack.versions.of(COMPONENT).plugin();
    PluginVersion {
        release: source.version.clone(),
        number: None,
        supported: Some(source.supported),
    }
}

/// A block when the plugin does not support the Moodle of the stack.
fn unsupported(stack: &Stack, plugin: &PluginVersion) -> Option<Observation> {
    let moodle = moodle_version(stack);
    let is_supported = branch(&moodle).is_none_or(|branch| plugin.supports(branch));
    (!is_supported).then(|| {
        Observation::blocked(
            format!(
                "{LOGSTORE} {} supports {}, and this stack has Moodle {moodle}",
                plugin.release,
                plugin.supported_text()
            ),
            "pass a release that supports it: `--plugin FILE`",
        )
    })
}

/// The stored source of a custom plugin. A path reveals details of a machine, so only its file name is stored. A URL is
/// stored without its scheme, which marks our own releases, and without credentials.
fn custom_source(source: &str) -> String {
    let file = |path: &str| path.rsplit(['/', '\\']).next().unwrap_or_default().to_string();
    match download::without_credentials(source).split_once("://") {
        Some((_, address)) => {
            format!("{}/{}", address.split('/').next().unwrap_or_default(), file(address))
        }
        None => file(source),
    }
}

/// Why this plugin must not replace the stored one: Moodle does not start with an older plugin than its database knows.
fn older(package: &Package, stored: &StoredPlugin) -> Option<Observation> {
    let (new, old) = (package.version.number?, stored.version.number?);
    (new < old).then(|| {
        Observation::blocked(
            format!(
                "{LOGSTORE} {} is older than {}, which this Moodle has; Moodle cannot downgrade a plugin",
                package.version.release, stored.version.release
            ),
            "pass the same or a newer release with `--plugin FILE`",
        )
    })
}

fn manifest(stack: &Stack, package: &Package, source: &str) -> Value {
    let PluginVersion { release, number, supported } = &package.version;
    let mut annotations = BTreeMap::from([
        (RELEASE, release.clone()),
        (SUPPORTED, json!(supported).to_string()),
        (SHA256, package.digest.clone()),
        (SOURCE, source.to_string()),
    ]);
    annotations.extend(number.map(|number| (NUMBER, number.to_string())));
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {
            "name": name_of(&package.digest), "labels": stack.labels("moodle", super::RELEASE),
            "annotations": annotations,
        },
        "binaryData": BTreeMap::from([(ARCHIVE, ByteString(package.archive.clone()))]),
    })
}

#[async_trait]
impl Resource<Stack> for Plugin {
    fn id(&self) -> Id {
        Id("lms.plugin")
    }

    fn needs(&self) -> &'static [Id] {
        &[Id("namespace")]
    }

    async fn observe(&self, stack: &Stack) -> Result<Observation> {
        let current = stored(stack).await?.into_iter().next();
        let wanted = match (self.0.custom(stack).await?, &current) {
            (Some(package), _) => {
                if let Some(blocked) = current.as_ref().and_then(|current| older(package, current))
                {
                    return Ok(blocked);
                }
                package.version.clone()
            }
            // a custom plugin stays until the settings name another
            (None, Some(current)) if current.is_custom() => current.version.clone(),
            (None, _) => released(stack),
        };
        if let Some(blocked) = unsupported(stack, &wanted) {
            return Ok(blocked);
        }
        let Reference { config_map, .. } = self.0.reference(stack).await?;
        let map = stack.api::<ConfigMap>().get_opt(&config_map).await?;
        let has_archive =
            |map: ConfigMap| map.binary_data.is_some_and(|data| data.contains_key(ARCHIVE));
        let what = format!("{LOGSTORE} {}", wanted.release);
        Ok(match current {
            _ if map.is_some_and(has_archive) => Observation::Equal(what),
            Some(current) if current.name != config_map => Observation::drifted(
                "Moodle's plugin",
                format!("{LOGSTORE} {}", current.version.release),
                what,
            ),
            _ => Observation::Missing(what),
        })
    }

    async fn reconcile(&self, stack: &Stack, progress: &Progress<'_>) -> Result<Reconciled> {
        let source = stack.versions.of(COMPONENT).plugin();
        let released;
        let (package, origin) = match self.0.custom(stack).await? {
            Some(package) => {
                (package, custom_source(stack.settings.plugin.as_deref().unwrap_or_default()))
            }
            None => {
                released = Package::released(source, &|detail: &str| progress.say(detail)).await?;
                (&released, source.url.clone())
            }
        };
        // keeps the plugin that Moodle runs, to which a failed upgrade returns
        delete_unused(stack).await?;
        let (name, map) = (name_of(&package.digest), manifest(stack, package, &origin));
        let params = PatchParams::apply(FIELD_MANAGER).force();
        stack
            .api::<ConfigMap>()
            .patch(&name, &params, &Patch::Apply(&map))
            .await
            .with_context(|| format!("configmap {name}"))?;
        Ok(Reconciled::Done(format!(
            "{LOGSTORE} {}, sha256 {}",
            package.version.release,
            &package.digest[..DIGITS]
        )))
    }

    async fn plan_deletion(
        &self,
        stack: &Stack,
        options: DeleteOptions,
    ) -> Result<Deletion<ObjectRef>> {
        let mut plugins = stored(stack)
            .await?
            .into_iter()
            .map(|plugin| plugin.name)
            .map(ObjectRef::of::<ConfigMap>);
        if !options.keep_data {
            return Ok(Deletion::of(plugins.collect()));
        }
        let current = plugins.next().into_iter().collect();
        let mut deletion = Deletion::keeping(current, "Moodle's database refers to this plugin");
        deletion.delete = plugins.collect();
        Ok(deletion)
    }

    async fn delete(&self, stack: &Stack, options: DeleteOptions, _: &Progress<'_>) -> Result<()> {
        delete_unused(stack).await?;
        match stored(stack).await?.first() {
            Some(current) if !options.keep_data => {
                object::delete_ours(&stack.api::<ConfigMap>(), &current.name).await
            }
            _ => Ok(()),
        }
    }

    async fn explain(&self, stack: &Stack) -> Result<Vec<Step>> {
        let namespace = stack.namespace();
        if let Some(source) = stack.settings.plugin.as_deref().filter(|_| !stack.reads_cluster())
            && let Some(package) = self.0.custom(stack).await?
        {
            let manifest = manifest(stack, package, &custom_source(source));
            return Ok(vec![Step::Apply { file: PLUGIN, manifest }]);
        }
        let source = stack.settings.plugin.as_deref().map(download::without_credentials);
        let source = source.unwrap_or_else(|| stack.versions.of(COMPONENT).plugin().url.clone());
        let object = format!("configmap/{}", self.0.reference(stack).await?.config_map);
        let option = format!("--plugin {}", quoted(&source));
        let render = format!("kubectl lastack install --render {FOLDER} {option} -n {namespace}");
        let create = format!(
            "kubectl get {object} -n {namespace} >/dev/null 2>&1 || kubectl create -n {namespace} -f {FOLDER}/manifests/{PLUGIN}.yaml"
        );
        Ok(match stack.reads_cluster() {
            false => vec![Step::Required { object, option }],
            true => vec![
                Step::Remark(
                    "A ConfigMap holds at most 1 MiB, so the program leaves out files that Moodle never loads.".into(),
                ),
                Step::Command(render),
                Step::Command(create),
            ],
        })
    }
}
