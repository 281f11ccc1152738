//! What a stack is: a namespace of a cluster, the settings it was asked for, and the graph of steps that
//! must be true for it.

pub mod graph;
pub mod profiles;
pub mod resources;
pub mod settings;
pub mod step;
pub mod versions;

use std::time::{Duration, Instant};

use anyhow::Result;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::Api;
use tokio::sync::OnceCell;

use crate::clients::helm::{Helm, Listed};
use crate::clients::{apply, elasticsearch::Elasticsearch, http::HttpClient, ralph::Ralph};
use crate::steps;
use crate::target::Target;

use settings::Settings;
use versions::Versions;

/// The name of the ConfigMap that remembers the settings of the last install.
pub const SETTINGS: &str = "lastack-settings";

/// Everything a step needs to look at the cluster and to change it.
pub struct Stack {
    pub target: Target,
    pub helm: Helm,
    pub settings: Settings,
    pub versions: &'static Versions,
    /// When waiting ends. None: do not wait at all.
    pub deadline: Option<Instant>,
    /// Whether no install of this stack is remembered.
    pub is_new: bool,
    releases: OnceCell<Vec<Listed>>,
}

impl Stack {
    /// The stack of a namespace as it was last installed, changed by what was asked for now.
    pub async fn open(target: Target, asked: Settings, wait: Option<Duration>) -> Result<Self> {
        Self::with(target, asked, wait, Settings::from_config_map).await
    }

    /// The stack as it was last installed, to look at it or to take it away; and the names of the settings that this program does
    /// not understand, such as those of a newer one.
    pub async fn as_it_is(target: Target, wait: Option<Duration>) -> Result<(Self, Vec<String>)> {
        let mut unknown = Vec::new();
        let read = |map: &ConfigMap| {
            let (settings, names) = Settings::understood(map);
            unknown = names;
            Ok(settings)
        };
        let stack = Self::with(target, Settings::default(), wait, read).await?;
        Ok((stack, unknown))
    }

    /// From now on its waits may take this long together.
    pub fn wait_for(&mut self, wait: Duration) {
        let deadline = Some(Instant::now() + wait);
        (self.deadline, self.helm.deadline) = (deadline, deadline);
    }

    async fn with(
        target: Target,
        asked: Settings,
        wait: Option<Duration>,
        read: impl FnOnce(&ConfigMap) -> Result<Settings>,
    ) -> Result<Self> {
        let deadline = wait.map(|wait| Instant::now() + wait);
        let helm = Helm::find(&target, deadline);
        let stored = stored_settings(&target, read).await?;
        let is_new = stored.is_none();
        let settings = stored.unwrap_or_default().overridden_by(asked);
        Ok(Self {
            target,
            helm,
            settings,
            versions: Versions::get(),
            deadline,
            is_new,
            releases: OnceCell::new(),
        })
    }

    pub fn namespace(&self) -> &str {
        &self.target.namespace
    }

    /// What helm lists in the namespace, asked once: for `status`, which changes nothing.
    pub async fn releases(&self) -> Result<&[Listed]> {
        self.releases.get_or_try_init(|| self.helm.list(self.namespace())).await.map(Vec::as_slice)
    }

    /// Makes the next question for the releases a new one.
    pub fn forget_releases(&mut self) {
        self.releases.take();
    }

    /// An API for objects of one namespaced kind in the stack's namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.target.client.clone(), &self.target.namespace)
    }

    /// The same for pods, over connections that may stay open as long as a stream of theirs takes.
    pub fn streams(&self) -> Api<Pod> {
        Api::namespaced(self.target.streams.clone(), &self.target.namespace)
    }

    /// The labels that every object of ours carries.
    pub fn labels(&self, name: &str, instance: &str) -> serde_json::Value {
        serde_json::json!({
            "app.kubernetes.io/part-of": "lastack",
            "app.kubernetes.io/managed-by": apply::FIELD_MANAGER,
            "app.kubernetes.io/name": name,
            "app.kubernetes.io/instance": instance,
        })
    }

    /// An image under the registry the user asked for, or under its own.
    pub fn image(&self, image: &str) -> String {
        match &self.settings.image_registry {
            None => image.to_string(),
            Some(registry) => {
                format!("{}/{}", registry.trim_end_matches('/'), versions::without_registry(image))
            }
        }
    }

    /// The data lake, as the account the tool made for itself.
    pub async fn elasticsearch(&self) -> Result<Elasticsearch> {
        steps::datalake::client(self).await
    }

    /// The LRS, as its administrator.
    pub async fn ralph(&self) -> Result<Ralph> {
        steps::lrs::client(self).await
    }

    /// A client for a Service of the stack, reached by a port-forward.
    pub fn service(&self, url: &str) -> Result<HttpClient> {
        HttpClient::in_cluster(self.target.streams.clone(), url)
    }
}

async fn stored_settings(
    target: &Target,
    read: impl FnOnce(&ConfigMap) -> Result<Settings>,
) -> Result<Option<Settings>> {
    let api: Api<ConfigMap> = Api::namespaced(target.client.clone(), &target.namespace);
    match api.get_opt(SETTINGS).await.map_err(anyhow::Error::from) {
        Ok(Some(map)) => read(&map).map(Some),
        Ok(None) => Ok(None),
        // a user who may not read ConfigMaps sees the stack as one with default settings
        Err(error) if crate::error::forbidden(&error).is_some() => Ok(Some(Settings::default())),
        Err(error) => Err(error),
    }
}
