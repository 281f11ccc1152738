//! A stack: a namespace of a cluster, with settings, versions and sizes. Independent of individual components.

mod answers;
pub mod component;
pub mod mark;
pub mod profiles;
mod quantity;
pub mod record;
pub mod resources;
pub mod settings;
pub mod versions;
#[cfg(test)]
mod versions_page;
mod waiting;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use include_dir::{Dir, include_dir};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::DynamicObject;
use kube::core::ApiResource;
use tokio::sync::OnceCell;

use crate::cluster::Cluster;
use crate::cluster::access::{Permission, may};
use crate::cluster::apply::FieldDifference;
use crate::cluster::helm::{ChartRef, Helm, Listed, Release};
use crate::cluster::http::HttpClient;
use crate::cluster::object::{self, FIELD_MANAGER};
use crate::engine::Difference;

use answers::Answers;
use component::ComponentName;
use record::{Previous, Record};
use settings::Settings;
use versions::Versions;

static CHARTS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/charts");

/// The ConfigMap that stores the settings of the last install, and the versions of the stack.
pub const SETTINGS: &str = "lastack-settings";

/// The context of the nodes: access to the cluster, and the settings of the stack.
pub struct Stack {
    pub cluster: Cluster,
    pub helm: Helm,
    pub settings: Settings,
    /// The versions that the stack is to have: those of its record, or of this program for a new stack.
    pub versions: Versions,
    /// The newest version of this program that changed the stack, if it is known.
    pub program: Option<semver::Version>,
    /// The state before the last upgrade.
    pub previous: Option<Previous>,
    /// The deadline of all waits. None: do not wait.
    pub deadline: Option<Instant>,
    /// Whether the cluster stores no settings of an earlier install.
    pub is_new: bool,
    releases: OnceCell<Option<Vec<Listed>>>,
    pub answers: Answers,
    /// The objects on which the values of charts may depend.
    pub reads: Reads,
}

/// The objects of a cluster that may be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    Everything,
    /// For `--explain`, whose text is the same for every password.
    ExceptSecrets,
    /// For `--render`, which needs no cluster.
    Nothing,
}

impl Stack {
    /// The stack as last installed, with `asked` applied over its settings.
    ///
    /// # Errors
    /// When the stored settings cannot be read.
    pub async fn open(cluster: Cluster, asked: Settings, wait: Option<Duration>) -> Result<Self> {
        let read =
            |map: &ConfigMap| Ok((Settings::from_config_map(map)?, Record::from_config_map(map)?));
        Self::with(cluster, asked, wait, read).await
    }

    /// The stack as last installed, for reading and deleting, and the names of settings that this version does not know.
    ///
    /// # Errors
    /// When the cluster cannot be reached.
    pub async fn as_it_is(cluster: Cluster, wait: Option<Duration>) -> Result<(Self, Vec<String>)> {
        let mut unknown = Vec::new();
        let read = |map: &ConfigMap| {
            let (settings, names) = Settings::understood(map);
            unknown = names;
            let record = Record::from_config_map(map).unwrap_or_else(|_| {
                unknown.push(record::VERSIONS.into());
                Record::default()
            });
            Ok((settings, record))
        };
        let stack = Self::with(cluster, Settings::default(), wait, read).await?;
        Ok((stack, unknown))
    }

    /// A stack with these settings in a cluster that is never contacted.
    pub fn offline(cluster: Cluster, settings: Settings) -> Self {
        let settings = Settings::default().overridden_by(settings);
        Self::of(cluster, settings, Record::default(), None, true, Reads::Nothing)
    }

    /// Sets the deadline of all waits to `wait` from now.
    pub fn wait_for(&mut self, wait: Duration) {
        let deadline = Some(Instant::now() + wait);
        (self.deadline, self.helm.deadline) = (deadline, deadline);
    }

    async fn with(
        cluster: Cluster,
        asked: Settings,
        wait: Option<Duration>,
        read: impl FnOnce(&ConfigMap) -> Result<(Settings, Record)>,
    ) -> Result<Self> {
        let stored = stored(&cluster, read).await?;
        let is_new = stored.is_none();
        let (settings, record) = stored.unwrap_or_default();
        let settings = settings.overridden_by(asked);
        Ok(Self::of(cluster, settings, record, wait, is_new, Reads::Everything))
    }

    fn of(
        cluster: Cluster,
        settings: Settings,
        record: Record,
        wait: Option<Duration>,
        is_new: bool,
        reads: Reads,
    ) -> Self {
        let deadline = wait.map(|wait| Instant::now() + wait);
        let helm = Helm::find(&cluster, deadline);
        let (releases, answers) = (OnceCell::new(), Answers::default());
        let Record { program, components, previous } = record;
        Self {
            cluster,
            helm,
            settings,
            versions: Versions::get().clone().with(&components),
            program,
            previous,
            deadline,
            is_new,
            releases,
            answers,
            reads,
        }
    }

    /// For a new stack with the settings and versions in a backup, which the settings that the user typed override.
    ///
    /// # Errors
    /// When they are not readable.
    pub fn adopt(&mut self, stored: &ConfigMap, typed: Settings) -> Result<()> {
        self.settings = Settings::from_config_map(stored)?.overridden_by(typed);
        let Record { program, components, .. } = Record::from_config_map(stored)?;
        self.versions = Versions::get().clone().with(&components);
        self.program = program;
        Ok(())
    }

    /// The data of the ConfigMap with the settings and the versions.
    ///
    /// # Errors
    /// When they cannot be written as YAML.
    pub fn stored_data(&self) -> Result<BTreeMap<String, String>> {
        let mut data = self.settings.to_data()?;
        let newest = self.program.clone().max(Some(record::this_program()));
        let newest = newest.unwrap_or_else(record::this_program);
        data.extend(record::to_data(newest, &self.versions, self.previous.as_ref())?);
        Ok(data)
    }

    /// For a verb that changes nothing: its nodes share what they ask the components.
    pub fn observing(mut self) -> Self {
        self.answers = Answers::kept();
        self
    }

    /// Whether objects of the cluster may be read.
    pub fn reads_cluster(&self) -> bool {
        self.reads != Reads::Nothing
    }

    pub fn namespace(&self) -> &str {
        &self.cluster.namespace
    }

    /// The releases in the namespace. None when the user may not list Secrets, in which helm stores them. Cached, for
    /// `status`, which changes nothing.
    ///
    /// # Errors
    /// When helm cannot list releases.
    pub async fn releases(&self) -> Result<Option<&[Listed]>> {
        const LIST: Permission = Permission::new("list", "", "secrets");
        let list = || async {
            match may(&self.cluster, Some(self.namespace()), LIST).await? {
                true => self.helm.list(self.namespace()).await.map(Some),
                false => Ok(None),
            }
        };
        self.releases.get_or_try_init(list).await.map(Option::as_deref)
    }

    /// A release. None: there is none.
    ///
    /// # Errors
    /// When helm fails.
    pub async fn release(&self, name: &str, namespace: &str) -> Result<Arc<Option<Release>>> {
        let subject = format!("{namespace}/{name}");
        self.answers.get(&subject, self.helm.status(name, namespace)).await
    }

    /// Drops the cached releases.
    pub fn forget_releases(&mut self) {
        self.releases.take();
    }

    /// An API for objects of one namespaced kind in the stack's namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        self.cluster.api()
    }

    /// An API for objects of one kind in the stack's namespace, whose fields this program does not interpret.
    pub fn objects(&self, kind: &ApiResource) -> Api<DynamicObject> {
        Api::namespaced_with(self.cluster.client.clone(), self.namespace(), kind)
    }

    /// The labels of every object that this tool creates.
    pub fn labels(&self, name: &str, instance: &str) -> serde_json::Value {
        let (part_of, lastack) = object::PART_OF;
        serde_json::json!({
            part_of: lastack,
            object::MANAGED_BY: FIELD_MANAGER,
            "app.kubernetes.io/name": name,
            object::INSTANCE: instance,
        })
    }

    /// The image under the registry of the settings, or under its own.
    pub fn image(&self, image: &str) -> String {
        match &self.settings.image_registry {
            None => image.to_string(),
            Some(registry) => {
                format!("{}/{}", registry.trim_end_matches('/'), versions::without_registry(image))
            }
        }
    }

    /// The values of a component under one key of its chart, with the defaults of the embedded chart.
    ///
    /// # Errors
    /// When this program embeds no such chart.
    pub fn chart_values(&self, component: ComponentName, key: &str) -> Result<serde_json::Value> {
        let file = format!("{}/values.yaml", self.versions.of(component).chart().name);
        let defaults = CHARTS.get_file(&file).and_then(|file| file.contents_utf8());
        let defaults = defaults.with_context(|| format!("no {file} in this program"))?;
        let defaults: serde_json::Value = serde_saphyr::from_str(defaults)?;
        let mut values = defaults[key].clone();
        if let Some(own) = self.settings.values_of(component).and_then(|own| own.get(key)) {
            settings::merge_values(&mut values, own);
        }
        Ok(values)
    }

    /// The chart of a component, from the settings or from `manifests/versions.yaml`.
    ///
    /// # Errors
    /// When this program embeds no chart of that name.
    pub fn chart(&self, component: ComponentName) -> Result<ChartRef> {
        let source = self.versions.of(component).chart();
        Ok(match (self.settings.charts.get(&component), &source.repository) {
            (Some(given), _) => ChartRef::Given(given.clone()),
            (None, Some(repository)) => ChartRef::Repository {
                name: source.name.clone(),
                repository: repository.clone(),
                version: source.version.clone(),
            },
            (None, None) => ChartRef::Embedded(
                CHARTS
                    .get_dir(&source.name)
                    .with_context(|| format!("no chart {} in this program", source.name))?,
            ),
        })
    }

    /// A client for a Service of the stack, through a port-forward.
    ///
    /// # Errors
    /// When `url` is not a valid URL.
    pub fn service(&self, url: &str) -> Result<HttpClient> {
        HttpClient::in_cluster(self.cluster.streams.clone(), url)
    }
}

async fn stored(
    cluster: &Cluster,
    read: impl FnOnce(&ConfigMap) -> Result<(Settings, Record)>,
) -> Result<Option<(Settings, Record)>> {
    match cluster.api::<ConfigMap>().get_opt(SETTINGS).await.map_err(anyhow::Error::from) {
        Ok(Some(map)) => read(&map).map(Some),
        Ok(None) => Ok(None),
        // without permission to read ConfigMaps, assume the default settings
        Err(error) if crate::error::forbidden(&error).is_some() => Ok(Some(Default::default())),
        Err(error) => Err(error),
    }
}

impl From<FieldDifference> for Difference {
    fn from(found: FieldDifference) -> Self {
        Self::new(found.field, found.observed, found.desired)
    }
}
