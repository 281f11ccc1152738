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

/// The ConfigMap.
pub const PLUGIN: &str = "lms-plugin";
/// Its key with the archive.
pub const ARCHIVE: &str = "xapi.tar.gz";
const RELEASE: &str = "lastack/plugin-release";
const SUPPORTED: &str = "lastack/plugin-supported";
const SHA256: &str = "lastack/plugin-sha256";
const SOURCE: &str = "lastack/plugin-source";

#[derive(Default)]
pub struct Plugin {
    /// What was asked for by name, read once.
    asked: OnceCell<Package>,
}

/// What is kept in the cluster.
struct There {
    version: PluginVersion,
    sha256: String,
    source: String,
}

async fn there(stack: &Stack) -> Result<Option<There>> {
    let Some(map) = stack.api::<ConfigMap>().get_opt(PLUGIN).await? else { return Ok(None) };
    if !map.binary_data.is_some_and(|data| data.contains_key(ARCHIVE)) {
        return Ok(None);
    }
    let annotations = map.metadata.annotations.unwrap_or_default();
    let text = |key: &str| annotations.get(key).cloned().unwrap_or_default();
    let version = PluginVersion {
        release: text(RELEASE),
        supported: serde_json::from_str(&text(SUPPORTED)).ok(),
    };
    Ok(Some(There { version, sha256: text(SHA256), source: text(SOURCE) }))
}

/// The checksum of what is kept, by which pods learn of another.
///
/// # Errors
/// When the ConfigMap, or without a cluster the plugin that was asked for, cannot be read.
pub async fn checksum(stack: &Stack) -> Result<String> {
    if !stack.reads_cluster() {
        return Ok(match &stack.settings.plugin {
            Some(place) => Package::from(place, &|_| {}).await?.digest,
            None => stack.versions.of(COMPONENT).plugin().sha256.clone(),
        });
    }
    Ok(there(stack).await?.map(|there| there.sha256).unwrap_or_default())
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
    /// The package that was asked for by name. None: any of the right release will do.
    async fn asked(&self, stack: &Stack) -> Result<Option<&Package>> {
        match &stack.settings.plugin {
            Some(place) => {
                self.asked.get_or_try_init(|| Package::from(place, &|_| {})).await.map(Some)
            }
            None => Ok(None),
        }
    }
}

/// The release that is taken unless another plugin is named.
fn released(stack: &Stack) -> PluginVersion {
    let source = stack.versions.of(COMPONENT).plugin();
    PluginVersion { release: source.version.clone(), supported: Some(source.supported) }
}

/// Why this plugin does not go with the Moodle of the stack.
fn misfit(stack: &Stack, plugin: &PluginVersion) -> Option<Observation> {
    let moodle = moodle_version(stack);
    let fits = branch(&moodle).is_none_or(|branch| plugin.supports(branch));
    (!fits).then(|| {
        Observation::blocked(
            format!(
                "{LOGSTORE} {} is made for {}, and this stack has Moodle {moodle}",
                plugin.release,
                plugin.made_for()
            ),
            "name a release that goes with it: `--plugin FILE`",
        )
    })
}

/// The source of a user's own plugin: never a path, which reveals details of their machine, and of a URL
/// neither scheme, which would make it one of ours, nor account and query, which may hold a password.
fn brought_from(place: &str) -> String {
    let file = |path: &str| path.rsplit(['/', '\\']).next().unwrap_or_default().to_string();
    match download::without_credentials(place).split_once("://") {
        Some((_, address)) => {
            format!("{}/{}", address.split('/').next().unwrap_or_default(), file(address))
        }
        None => file(place),
    }
}

fn manifest(stack: &Stack, package: &Package, place: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {
            "name": PLUGIN, "labels": stack.labels("moodle", super::RELEASE),
            "annotations": {RELEASE: package.version.release, SUPPORTED: json!(package.version.supported).to_string(), SHA256: package.digest, SOURCE: place},
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
        let there = there(stack).await?;
        if let Some(package) = self.asked(stack).await? {
            if let Some(misfit) = misfit(stack, &package.version) {
                return Ok(misfit);
            }
            let what = format!("{LOGSTORE} {}", package.version.release);
            return Ok(match there {
                None => Observation::Missing(what),
                Some(there) if there.sha256 == package.digest => Observation::Equal(what),
                Some(there) => Observation::drifted(
                    format!("configmap {PLUGIN}"),
                    format!("{LOGSTORE} {}", there.version.release),
                    what,
                ),
            });
        }
        let wanted = released(stack);
        // a user's own plugin stays until another is named
        let is_another_release =
            |there: &There| there.source.contains("://") && there.version.release != wanted.release;
        let (then, found) = match &there {
            None => (&wanted, Observation::Missing(format!("{LOGSTORE} {}", wanted.release))),
            Some(there) if is_another_release(there) => {
                let is = format!("{LOGSTORE} {}", there.version.release);
                (
                    &wanted,
                    Observation::drifted(
                        format!("configmap {PLUGIN}"),
                        is,
                        wanted.release.as_str(),
                    ),
                )
            }
            Some(there) => (
                &there.version,
                Observation::Equal(format!("{LOGSTORE} {}", there.version.release)),
            ),
        };
        Ok(misfit(stack, then).unwrap_or(found))
    }

    async fn reconcile(&self, stack: &Stack, progress: &Progress<'_>) -> Result<Reconciled> {
        let source = stack.versions.of(COMPONENT).plugin();
        let released;
        let (package, place) = match self.asked(stack).await? {
            Some(package) => {
                (package, brought_from(stack.settings.plugin.as_deref().unwrap_or_default()))
            }
            None => {
                released = Package::released(source, &|detail: &str| progress.say(detail)).await?;
                (&released, source.url.clone())
            }
        };
        let map = manifest(stack, package, &place);
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
            true => Deletion::keeping(plugin, "the database of Moodle knows this plugin"),
            false => Deletion::of(plugin),
        })
    }

    async fn delete(&self, stack: &Stack, _: DeleteOptions, _: &Progress<'_>) -> Result<()> {
        object::delete_ours(&stack.api::<ConfigMap>(), PLUGIN).await
    }

    async fn explain(&self, stack: &Stack) -> Result<Vec<Step>> {
        let namespace = stack.namespace();
        if let Some(place) = stack.settings.plugin.as_deref().filter(|_| !stack.reads_cluster())
            && let Some(package) = self.asked(stack).await?
        {
            let manifest = manifest(stack, package, &brought_from(place));
            return Ok(vec![Step::Apply { file: PLUGIN, manifest }]);
        }
        let place = stack.settings.plugin.as_deref().map(download::without_credentials);
        let place = place.unwrap_or_else(|| stack.versions.of(COMPONENT).plugin().url.clone());
        let object = format!("configmap/{PLUGIN}");
        let option = format!("--plugin {}", quoted(&place));
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
