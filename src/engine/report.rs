//! Progress reports of a walk.

use anyhow::Result;

use crate::error::one_line;

use super::Id;

/// A change in the progress of one node.
#[derive(Debug, Clone, Copy)]
pub enum NodeEvent<'a> {
    /// Waits for other nodes.
    Waiting {
        needs: &'a [Id],
    },
    /// The walk observes the node.
    Observing,
    /// The node is being reconciled, waited for, or deleted.
    Working(&'a str),
    /// Already as desired.
    Unchanged(&'a str),
    Done(&'a str),
    /// Applied without waiting.
    Started(&'a str),
    Deleted(&'a str),
    /// Left in place on purpose.
    Retained(&'a str),
    Unknown(&'a str),
    Failed(&'a str),
    Skipped {
        need: Id,
        pending: bool,
    },
}

/// Receives the events of a walk.
pub trait Report: Send + Sync {
    fn event(&self, id: Id, event: NodeEvent<'_>);
}

/// Reports on one node.
pub struct Progress<'a> {
    id: Id,
    report: &'a dyn Report,
}

impl<'a> Progress<'a> {
    pub fn new(id: Id, report: &'a dyn Report) -> Self {
        Self { id, report }
    }

    /// Reports the current action, or the reason for waiting.
    pub fn say(&self, detail: &str) {
        self.report(NodeEvent::Working(detail));
    }

    pub fn report(&self, event: NodeEvent<'_>) {
        self.report.event(self.id, event);
    }

    /// Reports the beginning of an action, and its detail or its failure.
    ///
    /// # Errors
    /// The error of the action.
    pub async fn during(&self, action: impl Future<Output = Result<String>>) -> Result<()> {
        self.report(NodeEvent::Observing);
        let ended = action.await;
        match &ended {
            Ok(detail) => self.report(NodeEvent::Done(detail)),
            Err(error) => self.report(NodeEvent::Failed(&one_line(error))),
        }
        ended.map(drop)
    }
}
