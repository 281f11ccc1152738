//! The nodes of a graph, and what the engine asks of them.

use std::fmt::{self, Display};

use anyhow::Result;
use async_trait::async_trait;

use super::{Observation, Progress};

/// The stable name of a node, `GROUP.NAME` or `GROUP`. Users read it in output, scripts in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub &'static str);

impl Id {
    pub fn as_str(self) -> &'static str {
        self.0
    }

    /// The part before the first dot: the component that the node belongs to.
    pub fn group(self) -> &'static str {
        self.0.split_once('.').map_or(self.0, |(group, _)| group)
    }
}

impl Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

/// What the nodes of a graph work in: for this program, one stack in one namespace.
#[async_trait]
pub trait Context: Sized + Send + Sync {
    /// Names one object that a deletion removes or keeps.
    type Object: Display + Clone + Ord + Send + Sync;
    /// One step that a user takes to do by hand what a node does.
    type Step: Send;

    /// Observes a check again and again until it is no longer [`Observation::Unready`].
    ///
    /// Gives `Unready` when the context does not wait.
    ///
    /// # Errors
    /// When the deadline passes, with the last reason, and when an observation fails.
    async fn settle(&self, check: &dyn Check<Self>, progress: &Progress<'_>)
    -> Result<Observation>;
}

/// Whose a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// It serves more than this stack. A walk goes on when this user may not look at it.
    Shared,
    /// The stack's own.
    Stack,
    /// A setting inside a running component, which `configure` reconciles without touching releases.
    Setting,
}

/// What reconciling a node came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reconciled {
    Done(String),
    /// Applied, and not waited for. Nodes that need this one are left for a later run.
    Started(String),
}

/// How far a deletion goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeleteOptions {
    /// Keep what users stored, and the accounts that open it.
    pub keep_data: bool,
    /// Delete what serves more than this stack, too.
    pub shared: bool,
}

/// The objects that deleting a node removes, and those that it leaves in place with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion<O> {
    pub delete: Vec<O>,
    pub keep: Vec<(O, String)>,
    /// Objects that bear the stack's labels. Those that no other resource lists are left in place.
    pub unclaimed: Vec<O>,
    /// Why this user may not list the objects, in the API server's words. Nothing is deleted then.
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

    /// Keeps all of these for one reason.
    pub fn keeping(keep: Vec<O>, reason: &str) -> Self {
        let keep = keep.into_iter().map(|object| (object, reason.to_string())).collect();
        Self { keep, ..Self::default() }
    }
}

/// A node that is only looked at.
#[async_trait]
pub trait Check<C: Context>: Send + Sync {
    fn id(&self) -> Id;

    /// The nodes that must be true before this one can be looked at.
    fn needs(&self) -> &'static [Id] {
        &[]
    }

    fn scope(&self) -> Scope {
        Scope::Stack
    }

    /// What a wait for the check names when the deadline passes.
    fn subject(&self) -> &'static str {
        self.id().as_str()
    }

    /// Reads, and never changes anything. A diagnosis names the remedy. `Unready` lets a walk wait.
    ///
    /// # Errors
    /// When looking fails, which does not mean that the check fails.
    async fn observe(&self, context: &C) -> Result<Observation>;

    /// The steps by which a user waits for the same.
    ///
    /// # Errors
    /// When what the steps depend on cannot be read.
    async fn explain(&self, _context: &C) -> Result<Vec<C::Step>> {
        Ok(Vec::new())
    }
}

/// A node that this tool creates, repairs and deletes.
#[async_trait]
pub trait Resource<C: Context>: Send + Sync {
    fn id(&self) -> Id;

    /// The nodes that must be true before this one can be.
    fn needs(&self) -> &'static [Id] {
        &[]
    }

    fn scope(&self) -> Scope {
        Scope::Stack
    }

    /// Reads, and never changes anything.
    ///
    /// # Errors
    /// When looking fails, which does not mean that the resource is absent.
    async fn observe(&self, context: &C) -> Result<Observation>;

    /// Makes it as it should be. Called for `Missing` and `Drifted`; safe to repeat and to be killed in.
    ///
    /// # Errors
    /// When the resource cannot be made so, or is not ready at the deadline.
    async fn reconcile(&self, context: &C, progress: &Progress<'_>) -> Result<Reconciled>;

    /// Lists what deleting would remove and keep; reads only. A resource that goes with another one lists nothing.
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

    /// Deletes what the plan lists, and waits until it is gone.
    ///
    /// # Errors
    /// When something cannot be deleted, or is still there at the deadline.
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
    /// When what the steps depend on cannot be read.
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

    /// The steps by which a user does the same.
    ///
    /// # Errors
    /// When what the steps depend on cannot be read.
    pub async fn explain(&self, context: &C) -> Result<Vec<C::Step>> {
        each!(self, node => node.explain(context).await)
    }

    pub fn is_check(&self) -> bool {
        matches!(self, Self::Check(_))
    }

    /// A look that this user may not take is a result, too: it costs one row, not the verb.
    ///
    /// # Errors
    /// When looking fails for another reason.
    pub async fn observe(&self, context: &C) -> Result<Observation> {
        let looked = each!(self, node => node.observe(context).await);
        looked.or_else(|error| match crate::error::forbidden(&error) {
            Some(sentence) => Ok(Observation::unknown(sentence)),
            None => Err(error),
        })
    }
}
