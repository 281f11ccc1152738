//! Visits nodes in dependency order, independent nodes concurrently.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::Result;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};

use crate::error;

use super::{Id, NodeEvent, Report};

/// A node to visit, and the nodes to visit before it.
#[derive(Debug, Clone)]
pub(super) struct Visit {
    pub id: Id,
    pub after: Vec<Id>,
}

/// A visit that can start.
pub(super) struct Ready {
    pub id: Id,
    /// Whether this walk changed no node before it.
    pub is_untouched: bool,
    longest_chain_before: Duration,
}

/// The result of a visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The node is as desired.
    Reached { changed: bool },
    /// Applied, but not ready yet. Dependents are left for a later run.
    Pending { changed: bool },
}

/// The result of a walk.
#[derive(Debug, Default)]
pub struct Summary {
    /// Nodes that this run changed.
    pub changed: Vec<Id>,
    /// Nodes that are not ready yet, because the walk does not wait.
    pub pending: Vec<Id>,
    pub took: Duration,
    /// The duration of the slowest chain of visits: the lower bound for the walk.
    pub longest_chain: Duration,
}

impl Summary {
    /// The result of this walk and of one after it.
    pub fn then(mut self, next: Self) -> Self {
        self.changed.extend(next.changed);
        self.pending.extend(next.pending);
        Self {
            took: self.took + next.took,
            longest_chain: self.longest_chain + next.longest_chain,
            ..self
        }
    }
}

/// The final state of a node that was visited or skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Settled {
    Reached,
    Pending,
    Failed,
}

/// Visits all nodes. A failure skips only its dependents. The first failure is the error.
///
/// # Errors
/// When a visit fails, after all visits that do not depend on it have ended.
pub(super) async fn walk<'a>(
    visits: Vec<Visit>,
    report: &dyn Report,
    mut visit: impl FnMut(&Ready) -> BoxFuture<'a, Result<End>>,
) -> Result<Summary> {
    let begun = Instant::now();
    let mut walk = Walk::new(visits, report);
    let mut running = FuturesUnordered::new();
    loop {
        for ready in walk.take_ready() {
            let visiting = visit(&ready);
            running.push(async move {
                let begun = Instant::now();
                let ended = visiting.await;
                (ready.id, ended, ready.longest_chain_before + begun.elapsed())
            });
        }
        match running.next().await {
            Some((id, ended, chain)) => walk.end(id, ended, chain),
            None => return walk.conclude(begun.elapsed()),
        }
    }
}

struct Walk<'a> {
    waiting: Vec<Visit>,
    settled: BTreeMap<Id, Settled>,
    /// The duration of the slowest chain that ends with a node.
    chains: BTreeMap<Id, Duration>,
    /// Nodes that changed, and their dependents.
    touched: BTreeSet<Id>,
    summary: Summary,
    failure: Option<anyhow::Error>,
    report: &'a dyn Report,
}

impl<'a> Walk<'a> {
    fn new(mut waiting: Vec<Visit>, report: &'a dyn Report) -> Self {
        let known: BTreeSet<Id> = waiting.iter().map(|visit| visit.id).collect();
        for visit in &mut waiting {
            visit.after.retain(|id| known.contains(id));
        }
        Self {
            waiting,
            settled: BTreeMap::new(),
            chains: BTreeMap::new(),
            touched: BTreeSet::new(),
            summary: Summary::default(),
            failure: None,
            report,
        }
    }

    /// The visits that can start now. Skips those that never can.
    fn take_ready(&mut self) -> Vec<Ready> {
        while self.skip_unreachable() {}
        let (ready, waiting): (Vec<Visit>, Vec<Visit>) =
            std::mem::take(&mut self.waiting).into_iter().partition(|visit| self.is_ready(visit));
        for visit in &waiting {
            let needs: Vec<Id> =
                visit.after.iter().copied().filter(|id| !self.settled.contains_key(id)).collect();
            self.report.event(visit.id, NodeEvent::Waiting { needs: &needs });
        }
        self.waiting = waiting;
        ready.iter().map(|visit| self.begin(visit)).collect()
    }

    fn is_ready(&self, visit: &Visit) -> bool {
        visit.after.iter().all(|id| self.settled.contains_key(id))
    }

    /// Skips the dependents of failed and pending nodes. Returns whether any was skipped.
    fn skip_unreachable(&mut self) -> bool {
        let before = self.waiting.len();
        for visit in std::mem::take(&mut self.waiting) {
            let stopper = visit.after.iter().find_map(|id| match self.settled.get(id)? {
                Settled::Reached => None,
                settled => Some((*id, *settled)),
            });
            match stopper {
                Some((need, settled)) => self.skip(visit.id, need, settled),
                None => self.waiting.push(visit),
            }
        }
        self.waiting.len() < before
    }

    fn skip(&mut self, id: Id, need: Id, because: Settled) {
        let pending = because == Settled::Pending;
        self.report.event(id, NodeEvent::Skipped { need, pending });
        self.settled.insert(id, because);
        if pending {
            self.summary.pending.push(id);
        }
    }

    fn begin(&mut self, visit: &Visit) -> Ready {
        let before = || visit.after.iter();
        let is_untouched = before().all(|id| !self.touched.contains(id));
        if !is_untouched {
            self.touched.insert(visit.id);
        }
        let longest_chain_before =
            before().filter_map(|id| self.chains.get(id)).max().copied().unwrap_or_default();
        Ready { id: visit.id, is_untouched, longest_chain_before }
    }

    fn end(&mut self, id: Id, ended: Result<End>, chain: Duration) {
        self.chains.insert(id, chain);
        let (settled, changed) = match ended {
            Ok(End::Reached { changed }) => (Settled::Reached, changed),
            Ok(End::Pending { changed }) => {
                self.summary.pending.push(id);
                (Settled::Pending, changed)
            }
            Err(error) => {
                self.report.event(id, NodeEvent::Failed(&error::one_line(&error)));
                self.failure.get_or_insert(error.context(id));
                (Settled::Failed, false)
            }
        };
        self.settled.insert(id, settled);
        if changed {
            self.touched.insert(id);
            self.summary.changed.push(id);
        }
    }

    fn conclude(mut self, took: Duration) -> Result<Summary> {
        self.summary.took = took;
        self.summary.longest_chain = self.chains.values().max().copied().unwrap_or_default();
        self.failure.map_or(Ok(self.summary), Err)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use anyhow::anyhow;

    use super::*;

    struct Silent;
    impl Report for Silent {
        fn event(&self, _: Id, _: NodeEvent<'_>) {}
    }

    fn visits(after: &[(&'static str, &[&'static str])]) -> Vec<Visit> {
        let ids = |names: &[&'static str]| names.iter().map(|name| Id(name)).collect();
        after.iter().map(|(id, after)| Visit { id: Id(id), after: ids(after) }).collect()
    }

    #[tokio::test]
    async fn walk_visits_independent_nodes_at_once_and_stops_only_after_a_failure() {
        let both = tokio::sync::Barrier::new(2);
        let visited = Mutex::new(Vec::new());
        let (both, visited) = (&both, &visited);
        let graph = visits(&[
            ("operator", &[]),
            ("secret", &[]),
            ("index", &["operator"]),
            ("release", &["secret", "index"]),
        ]);
        let error = walk(graph, &Silent, |ready| {
            let id = ready.id.as_str();
            Box::pin(async move {
                visited.lock().unwrap().push(id);
                if id == "index" {
                    return Err(anyhow!("broken"));
                }
                // passes only when both run at once
                both.wait().await;
                Ok(End::Reached { changed: true })
            })
        })
        .await
        .unwrap_err();
        assert_eq!(error::one_line(&error), "index: broken");
        assert!(!visited.lock().unwrap().contains(&"release"), "it needs what failed");
    }

    #[tokio::test]
    async fn walk_leaves_what_follows_a_pending_node_and_lists_it() {
        let graph = visits(&[("a", &[]), ("b", &["a"]), ("c", &["b"]), ("d", &[])]);
        let summary = walk(graph, &Silent, |ready| {
            let is_pending = ready.id.as_str() == "a";
            Box::pin(async move {
                Ok(match is_pending {
                    true => End::Pending { changed: true },
                    false => End::Reached { changed: false },
                })
            })
        })
        .await
        .unwrap();
        assert_eq!(summary.pending, ["a", "b", "c"].map(Id));
        assert_eq!(summary.changed, ["a"].map(Id));
    }

    #[tokio::test]
    async fn walk_tells_nodes_after_a_change_from_untouched_ones() {
        let untouched = Mutex::new(Vec::new());
        let graph = visits(&[("a", &[]), ("b", &["a"]), ("c", &["b"]), ("d", &[])]);
        walk(graph, &Silent, |ready| {
            let id = ready.id.as_str();
            if ready.is_untouched {
                untouched.lock().unwrap().push(id);
            }
            Box::pin(async move { Ok(End::Reached { changed: id == "a" }) })
        })
        .await
        .unwrap();
        assert_eq!(*untouched.lock().unwrap(), ["a", "d"]);
    }
}
