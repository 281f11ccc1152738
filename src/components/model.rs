//! What a component is: its declaration, and what every verb asks of it.

use anyhow::Result;
use async_trait::async_trait;
use k8s_openapi::api::core::v1::Pod;
use kube::core::ApiResource;
use secrecy::SecretString;
use serde_json::{Map, Value};

use crate::cluster::access::Permission;
use crate::cluster::helm::Install;
use crate::cluster::{Cluster, endpoint, pod_problem, pods};
use crate::engine::{Id, Node, Observation};
use crate::error;
use crate::stack::Stack;
use crate::stack::component::ComponentName;
use crate::stack::profiles::Profile;
use crate::stack::resources::Resources;

/// The components of this program.
pub type Components = &'static [&'static dyn Component];

/// The checks that must pass before anything is changed.
pub const PREFLIGHT: &[Id] = &[
    Id("preflight.cluster"),
    Id("preflight.helm"),
    Id("preflight.permissions"),
    Id("preflight.storage"),
    Id("preflight.room"),
    Id("preflight.exposure"),
    Id("preflight.values"),
];

/// What a component is, as far as it does not depend on a stack.
pub struct Declaration {
    pub name: ComponentName,
    /// The kinds of Kubernetes that its release consists of, which `uninstall` sweeps.
    pub kinds: &'static [fn() -> ApiResource],
    /// What installing it needs in the namespace, beside what every component needs.
    pub permissions: &'static [Permission],
    pub exposure: Option<Exposure>,
    /// What would be lost with its volumes, in a few words. None: it stores nothing.
    pub stores: Option<&'static str>,
}

/// How a component can be reached by users.
#[derive(Debug, Clone, Copy)]
pub struct Exposure {
    /// The Service, which has the name of the Ingress.
    pub service: &'static str,
    /// The page that `open` shows, in a few words.
    pub page: &'static str,
    /// The only port of the user's machine by which it can be reached through a port-forward. None: any.
    pub local_port: Option<u16>,
}

/// A component of a stack.
#[async_trait]
pub trait Component: Send + Sync {
    fn declaration(&self) -> &'static Declaration;

    fn nodes(&self) -> Vec<Node<Stack>>;

    /// What one of its pods asks for, and how many of these there are, by kind of pod.
    fn pods(&self, profile: Profile) -> Vec<(Resources, u32)>;

    /// The label selector of its volume claims, and how many there are to be. None when it stores nothing.
    fn volumes(&self, _: &Stack) -> Option<(String, usize)> {
        None
    }

    /// The release that it is, as it is to be installed now. None when it is none.
    ///
    /// # Errors
    /// When what the values depend on cannot be read.
    async fn release(&self, _: &Stack) -> Result<Option<Install>> {
        Ok(None)
    }

    /// Looks at the component from all sides. What cannot be seen costs a cell, not the row.
    async fn health(&self, stack: &Stack) -> Health;

    /// The accounts that a user can use.
    ///
    /// # Errors
    /// When a Secret cannot be read.
    async fn credentials(&self, _: &Stack) -> Result<Vec<Credential>> {
        Ok(Vec::new())
    }

    /// Where it can be reached from outside the cluster. None: only by a port-forward.
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
    /// When the component must be asked for it, and does not answer.
    async fn page(&self, _: &Stack) -> Result<String> {
        Ok("/".into())
    }
}

/// What one look at a component shows. An aspect that the component does not have is None.
#[derive(Debug, Default)]
pub struct Health {
    /// What helm or the operator says runs. `Missing`: it is not installed. None: nothing is known.
    pub runs: Option<Observation>,
    pub pods: Option<Observation>,
    /// What the service itself answers.
    pub answers: Option<Observation>,
    pub data: Option<Observation>,
    /// What `data` says in words, as numbers for programs: `statements`, `waiting`.
    pub figures: Map<String, Value>,
    /// When the newest data came.
    pub newest: Option<jiff::Timestamp>,
    /// When it last passed data on to the next component.
    pub sent: Option<jiff::Timestamp>,
    /// Where it can be reached from outside the cluster.
    pub url: Option<String>,
    /// Where it can be reached from inside the cluster.
    pub inside: Option<String>,
}

impl Health {
    pub fn not_installed() -> Self {
        Self { runs: Some(not_installed()), ..Self::default() }
    }

    /// Whether the component is there, well or not.
    pub fn is_installed(&self) -> bool {
        self.runs.as_ref().is_some_and(|runs| !matches!(runs, Observation::Missing(_)))
    }

    /// The aspects by the names that users and programs read.
    pub fn aspects(&self) -> [(&'static str, Option<&Observation>); 4] {
        [
            ("runs", self.runs.as_ref()),
            ("pods", self.pods.as_ref()),
            ("answers", self.answers.as_ref()),
            ("data", self.data.as_ref()),
        ]
    }

    pub fn has_fault(&self) -> bool {
        self.aspects().iter().any(|(_, seen)| seen.is_some_and(Observation::is_fault))
    }
}

pub fn not_installed() -> Observation {
    Observation::Missing("not installed".into())
}

/// A fault of an aspect that has no better name than its own sentence.
pub fn unhealthy(text: impl Into<String>) -> Observation {
    Observation::Unready(text.into())
}

/// What an aspect comes to whose look failed: a fault, or something that this user may not know.
pub fn failed(error: &anyhow::Error) -> Observation {
    match error::forbidden(error) {
        Some(sentence) => Observation::unknown(sentence),
        None => unhealthy(error::one_line(error)),
    }
}

/// What a question to a component shows. What this user may not ask says nothing about the component.
pub fn answered(asked: Result<String>) -> Result<Observation> {
    match asked {
        Ok(detail) => Ok(Observation::Equal(detail)),
        Err(error) if error::forbidden(&error).is_some() => Err(error),
        Err(error) => Ok(Observation::Unready(error::one_line(&error))),
    }
}

/// How many of the wanted pods are ready, and what keeps the others.
pub async fn readiness(cluster: &Cluster, pods: &[Pod], wanted: usize) -> Observation {
    let ready = pods.iter().filter(|pod| pods::is_ready(pod)).count();
    if ready >= wanted {
        return Observation::Equal(format!("{ready}/{wanted}"));
    }
    let problem = pod_problem::of(cluster, pods).await;
    let reason = problem.map(|problem| format!(": {}", problem.cause())).unwrap_or_default();
    unhealthy(format!("{ready}/{wanted}{reason}"))
}

/// An account that a user can use.
pub struct Credential {
    pub user: String,
    pub password: SecretString,
    /// What it opens, in a few words.
    pub purpose: &'static str,
    /// The Secret and key it is kept in.
    pub secret: String,
    /// Where to use it: from outside the cluster where that is possible, else from inside.
    pub url: String,
}
