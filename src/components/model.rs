//! The model of a component: its declaration, and the trait that all verbs use.

use anyhow::Result;
use async_trait::async_trait;
use k8s_openapi::api::core::v1::Pod;
use kube::core::ApiResource;
use secrecy::SecretString;
use serde::Serialize;

use crate::cluster::helm::Install;
use crate::cluster::{Cluster, endpoint, pod_problem, pods};
use crate::engine::{Id, Node, Observation};
use crate::error;
use crate::stack::Stack;
use crate::stack::component::ComponentName;
use crate::stack::resources::Resources;
use crate::stack::settings::Settings;

use super::access::Access;
use super::secrets::SecretSpec;

/// The components of this program.
pub type Components = &'static [&'static dyn Component];

/// The checks that must pass before any change.
pub const PREFLIGHT: &[Id] = &[
    Id("preflight.cluster"),
    Id("preflight.helm"),
    Id("preflight.permissions"),
    Id("preflight.storage"),
    Id("preflight.room"),
    Id("preflight.exposure"),
    Id("preflight.values"),
];

/// The properties of a component that do not depend on a stack.
pub struct Declaration {
    pub name: ComponentName,
    /// Its helm release. None: it is not a helm release.
    pub release: Option<&'static str>,
    /// The StatefulSets of its release. Their volume claims outlive them, and helm does not annotate the claims.
    pub stateful_sets: &'static [&'static str],
    /// Its Pods in the namespace of the stack: a label of each kind, and its value.
    pub pods: &'static [(&'static str, &'static str)],
    /// The kinds of objects in its release. `uninstall` searches all of them.
    pub kinds: &'static [fn() -> ApiResource],
    pub access: Access,
    pub exposure: Option<Exposure>,
    /// The data in its volumes, in a few words. None: it stores nothing.
    pub stores: Option<&'static str>,
}

/// How users reach a component.
#[derive(Debug, Clone, Copy)]
pub struct Exposure {
    /// The name of the Service and the Ingress.
    pub service: &'static str,
    /// The page that `open` shows, in a few words.
    pub page: &'static str,
    /// The only local port for a port-forward to it. None: any port.
    pub local_port: Option<u16>,
}

/// A store of data, which a backup copies.
#[derive(Debug, Clone, Copy)]
pub enum DataStore {
    /// The index of statements.
    Statements,
    /// A PostgreSQL database of the stack, by its StatefulSet.
    Database(&'static str),
    /// A database that is not part of the stack. Its owner copies it, unless the user requests its copy.
    ExternalDatabase(ExternalDatabase),
    Volume(Volume),
    /// A ConfigMap that describes the data of the component.
    ConfigMap(&'static str),
}

/// A database of another owner, which the chart values of a component name.
#[derive(Debug, Clone, Copy)]
pub struct ExternalDatabase {
    /// The program whose data it contains.
    pub program: &'static str,
    pub component: ComponentName,
    /// The name of the client that copies it.
    pub client: &'static str,
}

/// A volume, as a container of a running Pod sees it.
#[derive(Debug, Clone, Copy)]
pub struct Volume {
    /// The label selector of the Pods.
    pub pods: &'static str,
    pub container: &'static str,
    pub path: &'static str,
    /// What the program creates again, in the directory `path`.
    pub skip: &'static [&'static str],
    /// What a restore leaves in place.
    pub keep: &'static [&'static str],
}

/// A component of a stack.
#[async_trait]
pub trait Component: Send + Sync {
    fn declaration(&self) -> &'static Declaration;

    fn nodes(&self) -> Vec<Node<Stack>>;

    /// The checks that `install` does not wait for.
    fn checks(&self) -> Vec<Node<Stack>> {
        Vec::new()
    }

    /// The resource requests and the number of Pods, for each kind of Pod.
    fn pods(&self, settings: &Settings) -> Vec<(Resources, u32)>;

    /// The label selector and the desired number of its volume claims. None: it stores nothing.
    fn volumes(&self, _: &Stack) -> Option<(String, usize)> {
        None
    }

    /// Its data, by ids such as `lms.files`.
    fn data(&self, _: &Settings) -> Vec<(Id, DataStore)> {
        Vec::new()
    }

    /// What identifies the format of its stored data. It changes when a new version migrates the data. None: no format is
    /// known that an older version could not read.
    ///
    /// # Errors
    /// When it cannot be read.
    async fn schema(&self, _: &Stack) -> Result<Option<String>> {
        Ok(None)
    }

    /// The desired helm release. None: it is not a helm release.
    ///
    /// # Errors
    /// When an object that the values depend on cannot be read.
    async fn release(&self, _: &Stack) -> Result<Option<Install>> {
        Ok(None)
    }

    /// Observes the component. An aspect that cannot be read is unknown and does not hide the others.
    async fn health(&self, stack: &Stack) -> Health;

    /// The accounts for users.
    ///
    /// # Errors
    /// When a Secret cannot be read.
    async fn credentials(&self, _: &Stack) -> Result<Vec<Credential>> {
        Ok(Vec::new())
    }

    /// The Secrets whose passwords `creds rotate` replaces.
    fn rotated(&self, _: &Stack) -> Vec<SecretSpec> {
        Vec::new()
    }

    /// The URL from outside the cluster. None: only a port-forward reaches it.
    ///
    /// # Errors
    /// When its Service or Ingress cannot be read.
    async fn outside_url(&self, stack: &Stack) -> Result<Option<String>> {
        match self.declaration().exposure {
            Some(exposure) => endpoint::url(&stack.cluster, exposure.service).await,
            None => Ok(None),
        }
    }

    /// The path of the page that `open` shows.
    ///
    /// # Errors
    /// When the path depends on the component and it does not respond.
    async fn page(&self, _: &Stack) -> Result<String> {
        Ok("/".into())
    }
}

/// The observed health of a component. None for an aspect that it does not have.
#[derive(Debug, Default)]
pub struct Health {
    /// The version that helm or the operator reports. `Missing`: not installed.
    pub runs: Option<Observation>,
    pub pods: Option<Observation>,
    /// The response of the service.
    pub response: Option<Observation>,
    pub data: Option<Observation>,
    /// The numbers in `data`.
    pub figures: Option<Figures>,
    /// The time of the newest data.
    pub newest: Option<jiff::Timestamp>,
    /// The time at which it last sent data to the next component.
    pub sent: Option<jiff::Timestamp>,
    /// The URL from outside the cluster.
    pub url: Option<String>,
    /// The URL inside the cluster.
    pub inside: Option<String>,
}

/// Numbers about the data of a component.
#[derive(Debug, Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Figures {
    Lms {
        /// `lms`: events since the installation of Moodle
        events: u64,
        /// `lms`: events of the last hour
        events_last_hour: u64,
        /// `lms`: events that wait to be sent
        waiting: u64,
        /// `lms`: when the oldest waiting event happened
        oldest_waiting: Option<String>,
        /// `lms`: events that were not delivered, by cause
        failed: Vec<FailedEvents>,
    },
    DataLake {
        /// `datalake`: stored statements
        statements: u64,
        /// `datalake`: bytes on disk
        bytes: u64,
        /// `datalake`: statements stored in the last hour, without generated ones
        stored_last_hour: Option<u64>,
        /// `datalake`: the median of the time from event to storage, of a sample of these statements
        lag_median_milliseconds: Option<u64>,
        /// `datalake`: the 95th percentile of this time
        lag_p95_milliseconds: Option<u64>,
    },
}

/// Events that were not delivered for one cause.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FailedEvents {
    /// Text
    pub cause: String,
    /// Number of events
    pub events: u64,
    /// When the oldest of them happened
    pub oldest: Option<String>,
    /// Whether the stack sends them again
    pub sent_again: bool,
}

impl Health {
    pub fn not_installed() -> Self {
        Self { runs: Some(not_installed()), ..Self::default() }
    }

    /// Whether the component is installed, healthy or not.
    pub fn is_installed(&self) -> bool {
        self.runs.as_ref().is_some_and(|runs| !matches!(runs, Observation::Missing(_)))
    }

    /// The aspects by their names in tables and JSON.
    pub fn aspects(&self) -> [(&'static str, Option<&Observation>); 4] {
        [
            ("runs", self.runs.as_ref()),
            ("pods", self.pods.as_ref()),
            ("response", self.response.as_ref()),
            ("data", self.data.as_ref()),
        ]
    }

    pub fn has_fault(&self) -> bool {
        self.aspects().iter().any(|(_, aspect)| aspect.is_some_and(Observation::is_fault))
    }
}

pub fn not_installed() -> Observation {
    Observation::Missing("not installed".into())
}

/// A fault of an aspect, described by a sentence.
pub fn unhealthy(text: impl Into<String>) -> Observation {
    Observation::Unready(text.into())
}

/// The observation of an aspect that could not be read: unknown without permission, or else a fault.
pub fn failed(error: &anyhow::Error) -> Observation {
    match error::forbidden(error) {
        Some(sentence) => Observation::unknown(sentence),
        None => unhealthy(error::one_line(error)),
    }
}

/// The observation of a request to a component.
///
/// # Errors
/// When the user has no permission for the request, which says nothing about the component.
pub fn responded(response: Result<String>) -> Result<Observation> {
    match response {
        Ok(detail) => Ok(Observation::Equal(detail)),
        Err(error) if error::forbidden(&error).is_some() => Err(error),
        Err(error) => Ok(Observation::Unready(error::one_line(&error))),
    }
}

/// The number of ready Pods, and the problem of those that are not ready.
pub async fn readiness(cluster: &Cluster, pods: &[Pod], wanted: usize) -> Observation {
    let ready = pods.iter().filter(|pod| pods::is_ready(pod)).count();
    if ready >= wanted {
        return Observation::Equal(format!("{ready}/{wanted}"));
    }
    let problem = pod_problem::of(cluster, pods).await;
    let reason = problem.map(|problem| format!(": {}", problem.cause())).unwrap_or_default();
    unhealthy(format!("{ready}/{wanted}{reason}"))
}

/// An account for users.
pub struct Credential {
    pub user: String,
    pub password: SecretString,
    /// What the account is for, in a few words.
    pub purpose: &'static str,
    /// The Secret and the key with the password, as `SECRET/KEY`.
    pub secret: String,
    /// The URL to use it at: from outside the cluster if possible, or else inside.
    pub url: String,
}
