//! A step: one thing that must be true in the cluster, and the four operations on it.

use anyhow::Result;
use async_trait::async_trait;

use crate::output::progress::Progress;

use super::Stack;

/// `component.what`, stable: people read it in output, scripts in JSON.
pub type StepId = &'static str;

/// What a step found when it looked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observed {
    /// True. The text says what is there.
    Ok(String),
    /// Not there at all. The text says what will be made.
    Missing(String),
    /// There, but different from what it should be.
    Drifted(Drift),
    /// Not true, and this tool cannot or must not make it true.
    Blocked(Blocked),
    /// Not true, and this user may not make it true.
    Forbidden(Blocked),
    /// Cannot be seen by this user.
    Unknown { permission: String },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    pub what: String,
    pub from: String,
    pub to: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked {
    pub why: String,
    pub hint: String,
}

impl Observed {
    pub fn drifted(
        what: impl Into<String>,
        from: impl Into<String>,
        to: impl Into<String>,
    ) -> Self {
        Self::Drifted(Drift { what: what.into(), from: from.into(), to: to.into() })
    }

    pub fn blocked(why: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Blocked(Blocked { why: why.into(), hint: hint.into() })
    }

    pub fn forbidden(why: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Forbidden(Blocked { why: why.into(), hint: hint.into() })
    }

    pub fn unknown(permission: impl Into<String>) -> Self {
        Self::Unknown { permission: permission.into() }
    }
}

impl std::fmt::Display for Drift {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} is {}, should be {}", self.what, self.from, self.to)
    }
}

/// What converging a step came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Converged {
    /// True now.
    Done(String),
    /// Asked for, and not waited for (`--no-wait`). Steps that need it cannot go on.
    Started(String),
}

/// What retracting a step came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Retracted {
    /// Removed. The text says what.
    Removed(String),
    /// There was nothing of ours.
    Nothing,
    /// Left in place on purpose. The text says what and why.
    Kept(String),
}

/// How far `uninstall` goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retraction {
    /// Leave the stored statements and the accounts that open them.
    pub keep_data: bool,
    /// Remove the operator, too, which other namespaces may use.
    pub operator: bool,
}

#[async_trait]
pub trait Step: Send + Sync {
    fn id(&self) -> StepId;

    /// The steps that must be true before this one can be.
    fn needs(&self) -> &'static [StepId] {
        &[]
    }

    /// Whether this is a setting inside a running component, which `configure` brings without touching releases.
    fn configures(&self) -> bool {
        false
    }

    /// Reads, never changes. An error means that looking failed, not that the thing is absent.
    async fn observe(&self, stack: &Stack) -> Result<Observed>;

    /// Makes it true. Called when `observe` said missing or drifted; safe to repeat and to be killed in.
    async fn converge(&self, stack: &Stack, progress: &Progress) -> Result<Converged>;

    /// What retracting would remove, or why it would not; reads only.
    async fn retractable(&self, _stack: &Stack, _how: Retraction) -> Result<Retracted> {
        Ok(Retracted::Nothing)
    }

    /// Undoes it, touching only what this tool made. Called when `retractable` named something to remove.
    async fn retract(&self, _stack: &Stack, _how: Retraction, _progress: &Progress) -> Result<()> {
        Ok(())
    }

    /// What a person would type instead, a command a line.
    fn explain(&self, _stack: &Stack) -> Vec<String> {
        Vec::new()
    }
}
