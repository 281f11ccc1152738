//! The plugin, stored in the cluster, so that Moodle's Pods restart without internet access.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use async_trait::async_trait;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::cluster::download;
use crate::cluster::flags::quoted;
use crate::cluster::object::{self, FIELD_MANAGER, ObjectRef};
use crate::cluster::steps::{FOLDER, Step};
use crate::engine::{DeleteOptions, Deletion, Id, Observation, Progress, Reconciled, Resource};
use crate::stack::Stack;

use super::COMPONENT;
use super::package::{LOGSTORE, Package, PluginVersion, branch};

/// The name of the ConfigMap.
pub const PLUGIN: &str = "lms-plugin";
/// The key of the archive in the ConfigMap.
pub const ARCHIVE: &str = "xapi.tar.gz";
const RELEASE: &str = "lastack/plugin-release";
const NUMBER: &str = "lastack/plugin-version";
const SUPPORTED: &str = "lastack/plugin-supported";
const SHA256: &str = "lastack/plugin-sha256";
const SOURCE: &str = "lastack/plugin-source";

#[derive(Default)]
pub struct Plugin {
    /// The plugin that the settings name, read once.
    custom: OnceCell<Package>,
}

/// The plugin in the cluster.
struct StoredPlugin {
    version: PluginVersion,
    sha256: String,
    source: String,
}

async fn stored(stack: &Stack) -> Result<Option<StoredPlugin>> {
    let Some(map) = stack.api::<ConfigMap>().get_opt(PLUGIN).await? else { return Ok(None) };
    if !map.binary_data.is_some_and(|data| data.contains_key(ARCHIVE)) {
        return Ok(None);
    }
    let annotations = map.metadata.annotations.unwrap_or_default();
    let text = |key: &str| annotations.get(key).cloned().unwrap_or_default();
    let version = PluginVersion {
        release: text(RELEASE),
        number: text(NUMBER).parse().ok(),
        supported: serde_json::from_str(&text(SUPPORTED)).ok(),
    };
    Ok(Some(StoredPlugin { version, sha256: text(SHA256), source: text(SOURCE) }))
}

/// The checksum of the plugin in the cluster. A changed checksum replaces Moodle's Pods.
///
/// # Errors
/// When the ConfigMap cannot be read, or, without a cluster, the plugin that the settings name.
pub async fn checksum(stack: &Stack) -> Result<String> {
    if !stack.reads_cluster() {
        return Ok(match &stack.settings.plugin {
            Some(source) => Package::from(source, &|_| {}).await?.digest,
            None => stack.versions.of(COMPONENT).plugin().sha256.clone(),
        });
    }
    Ok(stored(stack).await?.map(|stored| stored.sha256).unwrap_or_default())
}

/// The Moodle version to install: from the versions file, or from an image in the chart values.
fn moodle_version(stack: &Stack) -> String {
    let over = stack
        .settings
        .values_of(COMPONENT)
        .and_then(|values| values.pointer("/image/tag")?.as_str());
    over.unwrap_or(&stack.versions.of(COMPONENT).version).to_string()
}

impl Plugin {
    /// The plugin that the settings name. None: they name none.
    async fn custom(&self, stack: &Stack) -> Result<Option<&Package>> {
        match &stack.settings.plugin {
            Some(source) => {
                self.custom.get_or_try_init(|| Package::from(source, &|_| {})).await.map(Some)
            }
            None => Ok(None),
        }
    }
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
            "name": PLUGIN, "labels": stack.labels("moodle", super::RELEASE),
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
        let stored = stored(stack).await?;
        if let Some(package) = self.custom(stack).await? {
            if let Some(blocked) = unsupported(stack, &package.version) {
                return Ok(blocked);
            }
            if let Some(blocked) = stored.as_ref().and_then(|stored| older(package, stored)) {
                return Ok(blocked);
            }
            let what = format!("{LOGSTORE} {}", package.version.release);
            return Ok(match stored {
                None => Observation::Missing(what),
                Some(stored) if stored.sha256 == package.digest => Observation::Equal(what),
                Some(stored) => Observation::drifted(
                    format!("configmap {PLUGIN}"),
                    format!("{LOGSTORE} {}", stored.version.release),
                    what,
                ),
            });
        }
        let wanted = released(stack);
        // a custom plugin stays until the settings name another
        let is_other_release = |stored: &StoredPlugin| {
            stored.source.contains("://") && stored.version.release != wanted.release
        };
        let (after, found) = match &stored {
            None => (&wanted, Observation::Missing(format!("{LOGSTORE} {}", wanted.release))),
            Some(stored) if is_other_release(stored) => {
                let observed = format!("{LOGSTORE} {}", stored.version.release);
                (
                    &wanted,
                    Observation::drifted(
                        format!("configmap {PLUGIN}"),
                        observed,
                        wanted.release.as_str(),
                    ),
                )
            }
            Some(stored) => (
                &stored.version,
                Observation::Equal(format!("{LOGSTORE} {}", stored.version.release)),
            ),
        };
        Ok(unsupported(stack, after).unwrap_or(found))
    }

    async fn reconcile(&self, stack: &Stack, progress: &Progress<'_>) -> Result<Reconciled> {
        let source = stack.versions.of(COMPONENT).plugin();
        let released;
        let (package, origin) = match self.custom(stack).await? {
            Some(package) => {
                (package, custom_source(stack.settings.plugin.as_deref().unwrap_or_default()))
            }
            None => {
                released = Package::released(source, &|detail: &str| progress.say(detail)).await?;
                (&released, source.url.clone())
            }
        };
        let map = manifest(stack, package, &origin);
        let params = PatchParams::apply(FIELD_MANAGER).force();
        stack
            .api::<ConfigMap>()
            .patch(PLUGIN, &params, &Patch::Apply(&map))
            .await
            .with_context(|| format!("configmap {PLUGIN}"))?;
        Ok(Reconciled::Done(format!(
            "{LOGSTORE} {}, sha256 {}",
            package.version.release,
            &package.digest[..12]
        )))
    }

    async fn plan_deletion(
        &self,
        stack: &Stack,
        options: DeleteOptions,
    ) -> Result<Deletion<ObjectRef>> {
        let plugin = object::ours::<ConfigMap>(&stack.cluster, PLUGIN).await?;
        Ok(match options.keep_data {
            true => Deletion::keeping(plugin, "Moodle's database refers to this plugin"),
            false => Deletion::of(plugin),
        })
    }

    async fn delete(&self, stack: &Stack, _: DeleteOptions, _: &Progress<'_>) -> Result<()> {
        object::delete_ours(&stack.api::<ConfigMap>(), PLUGIN).await
    }

    async fn explain(&self, stack: &Stack) -> Result<Vec<Step>> {
        let namespace = stack.namespace();
        if let Some(source) = stack.settings.plugin.as_deref().filter(|_| !stack.reads_cluster())
            && let Some(package) = self.custom(stack).await?
        {
            let manifest = manifest(stack, package, &custom_source(source));
            return Ok(vec![Step::Apply { file: PLUGIN, manifest }]);
        }
        let source = stack.settings.plugin.as_deref().map(download::without_credentials);
        let source = source.unwrap_or_else(|| stack.versions.of(COMPONENT).plugin().url.clone());
        let object = format!("configmap/{PLUGIN}");
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
