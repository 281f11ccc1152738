//! The steps of each component, a file each. A new component is a new file and a line in `parts`.

pub mod datalake;
pub mod dataviz;
pub mod kept;
pub mod lms;
pub mod lrs;
pub mod namespace;
pub mod objects;
pub mod operator;
pub mod postgresql;
pub mod preflight;
pub mod release;

use anyhow::Result;
use async_trait::async_trait;
use k8s_openapi::api::core::v1::Pod;
use secrecy::SecretString;

use crate::clients::helm::Install;
use crate::clients::pods;
use crate::stack::Stack;
use crate::stack::graph::Graph;
use crate::stack::step::{Step, StepId};
use crate::stack::versions::Component;

/// The step that remembers what was asked for.
pub const SETTINGS: StepId = "settings";

/// One hop of the pipeline: its steps, its state, its passwords.
#[async_trait]
pub trait Part: Send + Sync {
    /// The name of the part in `status` and `creds`.
    fn name(&self) -> &'static str;

    fn component(&self) -> Component;

    fn steps(&self) -> Vec<Box<dyn Step>>;

    /// Looks at the part from all sides. What cannot be seen costs a cell, not the row.
    async fn status(&self, stack: &Stack) -> PartStatus;

    async fn credentials(&self, stack: &Stack) -> Result<Vec<Credential>>;

    /// The labels of its volume claims, and how many there are to be. None when it stores nothing.
    fn volumes(&self, _: &Stack) -> Option<(String, usize)> {
        None
    }

    /// The helm release it is, as it is to be installed now. None when it is none.
    async fn release(&self, stack: &Stack) -> Result<Option<Install>>;
}

/// The parts in the order in which data flows.
pub fn parts() -> Vec<Box<dyn Part>> {
    vec![
        Box::new(lms::Lms),
        Box::new(lrs::Lrs),
        Box::new(datalake::Datalake),
        Box::new(dataviz::Dataviz),
        Box::new(operator::Operator),
    ]
}

/// Everything that must be true for the whole stack.
pub fn graph() -> Result<Graph> {
    let mut steps = preflight::steps();
    steps.extend(namespace::steps());
    steps.extend(parts().iter().flat_map(|part| part.steps()));
    Graph::new(steps)
}

/// One thing that was asked about a part.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub enum Fact {
    Good(String),
    Bad(String),
    /// This user may not know: the permission that is missing.
    Unknown(String),
    /// The part has no such thing.
    #[default]
    None,
}

impl Fact {
    /// Turns an error of asking into the fact that the answer is bad, or not to be had by this user.
    pub fn from_error(error: &anyhow::Error) -> Self {
        match crate::error::forbidden(error) {
            Some(sentence) => Self::Unknown(sentence.to_string()),
            None => Self::Bad(crate::error::one_line(error)),
        }
    }

    /// How many pods are ready, of how many, and what keeps the others.
    pub async fn of_pods(stack: &Stack, pods: &[Pod], wanted: usize) -> Self {
        let ready = pods.iter().filter(|pod| pods::is_ready(pod)).count();
        if ready >= wanted {
            return Self::Good(format!("{ready}/{wanted}"));
        }
        let reason = pods::trouble(stack, pods)
            .await
            .map(|trouble| format!(": {}", trouble.why()))
            .unwrap_or_default();
        Self::Bad(format!("{ready}/{wanted}{reason}"))
    }
}

/// A row of `status`.
#[derive(Debug, Default, Clone)]
pub struct PartStatus {
    /// What helm or the operator says runs.
    pub runs: Fact,
    pub pods: Fact,
    /// What the service itself answers.
    pub answers: Fact,
    pub data: Fact,
    /// What `data` says in words, as numbers for programs: `statements`, `waiting`.
    pub figures: serde_json::Map<String, serde_json::Value>,
    /// When the newest data came.
    pub newest: Option<jiff::Timestamp>,
    /// When it last passed data on to the next part.
    pub sent: Option<jiff::Timestamp>,
    /// Where it can be reached from outside the cluster.
    pub url: Option<String>,
    /// Where it can be reached from inside the cluster.
    pub inside: Option<String>,
}

/// An account that a person can use.
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
