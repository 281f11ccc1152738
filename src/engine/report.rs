//! What a walk reports while it runs.

use super::Id;

/// Something that happened to a node.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// Waits for other nodes.
    Waiting {
        needs: &'a [Id],
    },
    /// The walk looks at the node.
    Looking,
    /// The node is being reconciled, waited for, or deleted.
    Working(&'a str),
    /// As it should be already.
    Unchanged(&'a str),
    Done(&'a str),
    /// Applied, and not waited for.
    Started(&'a str),
    Deleted(&'a str),
    /// Left in place on purpose.
    Kept(&'a str),
    Unknown(&'a str),
    Failed(&'a str),
    Skipped {
        need: Id,
        pending: bool,
    },
}

/// Receives the events of a walk.
pub trait Report: Send + Sync {
    fn event(&self, id: Id, event: Event<'_>);
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

    /// What is being done, or waited for.
    pub fn say(&self, detail: &str) {
        self.report(Event::Working(detail));
    }

    pub fn report(&self, event: Event<'_>) {
        self.report.event(self.id, event);
    }
}
