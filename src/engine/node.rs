//! The nodes of a graph, and the traits that the engine calls.

use std::fmt::{self, Display};

use anyhow::Result;
use async_trait::async_trait;

use super::{Difference, Observation, Progress};

/// The stable name of a node: `GROUP.NAME` or `GROUP`. It appears in output and in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub &'static str);

impl Id {
    pub const fn as_str(self) -> &'static str {
        self.0
    }

    /// The text before the first dot: the component of the node.
    pub fn group(self) -> &'static str {
        self.0.split_once('.').map_or(self.0, |(group, _)| group)
    }
}

impl Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

/// The environment of the nodes: in this program, one stack in one namespace.
#[async_trait]
pub trait Context: Sized + Send + Sync {
    /// Names one object that a deletion deletes or keeps.
    type Object: Display + Clone + Ord + Send + Sync;
    /// One step of a user who does the work of a node by hand.
    type Step: Send;

    /// Observes a check repeatedly until it is no longer [`Observation::Unready`].
    ///
    /// Returns `Unready` when the context does not wait.
    ///
    /// # Errors
    /// When the deadline passes, with the last reason, and when an observation fails.
    async fn settle(&self, check: &dyn Check<Self>, progress: &Progress<'_>)
    -> Result<Observation>;
}

/// The owner of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Serves more than this stack. A walk continues when the user may not observe it.
    Shared,
    /// Belongs to the stack.
    Stack,
    /// A setting inside a running component, or a check of its effect: `configure` walks these without touching releases.
    Setting,
}

/// How much it matters that a node is not as desired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The stack works, and may stop to work.
    Warning,
    Error,
}

impl Severity {
    /// The word in output and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// The result of reconciling a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reconciled {
    Done(String),
    /// Applied without waiting. Dependents are left for a later run.
    Started(String),
}

/// The extent of a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeleteOptions {
    /// Keep users' data, and the accounts that open it.
    pub keep_data: bool,
    /// Also delete resources that serve more than this stack.
    pub shared: bool,
}

/// The objects that a deletion deletes, and those that it keeps, with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion<O> {
    pub delete: Vec<O>,
    pub keep: Vec<(O, String)>,
    /// Objects with the stack's labels. Those that no other resource lists are left in place.
    pub unclaimed: Vec<O>,
    /// The API server's message when the user may not list the objects. Nothing is deleted then.
    pub unknown: Option<String>,
}

impl<O> Default for Deletion<O> {
    fn default() -> Self {
        Self { delete: Vec::new(), keep: Vec::new(), unclaimed: Vec::new(), unknown: None }
    }
}

impl<O> Deletion<O> {
    pub fn of(delete: Vec<O>) -> Self {
        Self { delete, ..Self::default() }
    }

    /// Keeps all objects for the same reason.
    pub fn keeping(keep: Vec<O>, reason: &str) -> Self {
        let keep = keep.into_iter().map(|object| (object, reason.to_string())).collect();
        Self { keep, ..Self::default() }
    }
}

/// A node that is only observed.
#[async_trait]
pub trait Check<C: Context>: Send + Sync {
    fn id(&self) -> Id;

    /// The nodes that must be as desired before this one can be observed.
    fn needs(&self) -> &'static [Id] {
        &[]
    }

    fn scope(&self) -> Scope {
        Scope::Stack
    }

    fn severity(&self) -> Severity {
        Severity::Error
    }

    /// The name in the error when the deadline passes.
    fn subject(&self) -> &'static str {
        self.id().as_str()
    }

    /// Observes the check and changes nothing. A walk waits while it is `Unready`.
    ///
    /// # Errors
    /// When the observation fails, which does not mean that the check fails.
    async fn observe(&self, context: &C) -> Result<Observation>;

    /// The steps by which a user waits for the same.
    ///
    /// # Errors
    /// When an object that the steps depend on cannot be read.
    async fn explain(&self, _context: &C) -> Result<Vec<C::Step>> {
        Ok(Vec::new())
    }
}

/// A node that this tool creates, reconciles and deletes.
#[async_trait]
pub trait Resource<C: Context>: Send + Sync {
    fn id(&self) -> Id;

    /// The nodes that must be as desired before this one is reconciled.
    fn needs(&self) -> &'static [Id] {
        &[]
    }

    fn scope(&self) -> Scope {
        Scope::Stack
    }

    /// Observes the resource and changes nothing.
    ///
    /// # Errors
    /// When the observation fails, which does not mean that the resource is absent.
    async fn observe(&self, context: &C) -> Result<Observation>;

    /// All differences of a resource that [`Resource::observe`] found missing or drifted, where it sums them up. None: it
    /// names all.
    ///
    /// # Errors
    /// When the desired state cannot be rendered, or the observed one cannot be read.
    async fn differences(&self, _context: &C) -> Result<Option<Vec<Difference>>> {
        Ok(None)
    }

    /// Creates or changes the resource. Called for `Missing` and `Drifted`; safe to repeat and to interrupt.
    ///
    /// # Errors
    /// When the resource cannot be reconciled, or is not ready at the deadline.
    async fn reconcile(&self, context: &C, progress: &Progress<'_>) -> Result<Reconciled>;

    /// Lists the objects to delete and to keep; changes nothing. A resource that is deleted with another lists nothing.
    ///
    /// # Errors
    /// When the objects cannot be listed.
    async fn plan_deletion(
        &self,
        _context: &C,
        _options: DeleteOptions,
    ) -> Result<Deletion<C::Object>> {
        Ok(Deletion::default())
    }

    /// Deletes the objects of the plan, and waits until they are gone.
    ///
    /// # Errors
    /// When an object cannot be deleted, or still exists at the deadline.
    async fn delete(
        &self,
        _context: &C,
        _options: DeleteOptions,
        _progress: &Progress<'_>,
    ) -> Result<()> {
        Ok(())
    }

    /// The steps by which a user does the same. None for a node that another one's steps include.
    ///
    /// # Errors
    /// When an object that the steps depend on cannot be read.
    async fn explain(&self, _context: &C) -> Result<Vec<C::Step>> {
        Ok(Vec::new())
    }
}

/// A node of a graph.
pub enum Node<C: Context> {
    Check(Box<dyn Check<C>>),
    Resource(Box<dyn Resource<C>>),
}

macro_rules! each {
    ($self:ident, $node:ident => $call:expr) => {
        match $self {
            Self::Check($node) => $call,
            Self::Resource($node) => $call,
        }
    };
}

impl<C: Context> Node<C> {
    pub fn check(check: impl Check<C> + 'static) -> Self {
        Self::Check(Box::new(check))
    }

    pub fn resource(resource: impl Resource<C> + 'static) -> Self {
        Self::Resource(Box::new(resource))
    }

    pub fn id(&self) -> Id {
        each!(self, node => node.id())
    }

    pub fn needs(&self) -> &'static [Id] {
        each!(self, node => node.needs())
    }

    pub fn scope(&self) -> Scope {
        each!(self, node => node.scope())
    }

    pub fn severity(&self) -> Severity {
        match self {
            Self::Check(check) => check.severity(),
            Self::Resource(_) => Severity::Error,
        }
    }

    /// All differences of a resource, where its observation sums them up.
    ///
    /// # Errors
    /// When the desired state cannot be rendered, or the observed one cannot be read.
    pub async fn differences(&self, context: &C) -> Result<Option<Vec<Difference>>> {
        match self {
            Self::Check(_) => Ok(None),
            Self::Resource(resource) => resource.differences(context).await,
        }
    }

    /// The steps by which a user does the same.
    ///
    /// # Errors
    /// When an object that the steps depend on cannot be read.
    pub async fn explain(&self, context: &C) -> Result<Vec<C::Step>> {
        each!(self, node => node.explain(context).await)
    }

    pub fn is_check(&self) -> bool {
        matches!(self, Self::Check(_))
    }

    /// Observes the node. A missing permission is an observation, too: it affects one row and does not fail the verb.
    ///
    /// # Errors
    /// When the observation fails for another reason.
    pub async fn observe(&self, context: &C) -> Result<Observation> {
        let looked = each!(self, node => node.observe(context).await);
        looked.or_else(|error| match crate::error::forbidden(&error) {
            Some(sentence) => Ok(Observation::unknown(sentence)),
            None => Err(error),
        })
    }
}
