//! One batch to its end: sent again while the answer leaves it open, split where it is refused, so that one bad
//! statement does not keep the good ones out.

use std::ops::Range;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use serde_json::Value;
use uuid::Uuid;

use crate::components::lrs::client::{Ralph, Verdict};
use crate::error::Failure;
use crate::xapi::batch::{Added, Batch, Entry};

use super::Refusal;
use super::retry::Retry;

/// What of a statement an LRS leaves as it came.
const CONTENT: [&str; 6] = ["actor", "verb", "object", "result", "context", "attachments"];

pub struct Sender {
    ralph: Ralph,
    retry: Arc<Retry>,
}

/// What became of a batch.
#[derive(Default)]
pub struct Sent {
    pub statements: u64,
    pub accepted: u64,
    pub already_there: u64,
    pub refusals: Vec<Refusal>,
    /// The ids that the LRS must have now.
    pub stored: Vec<Uuid>,
}

/// The body of a batch, lent to requests without copying it.
struct Body(Arc<Batch>);

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        self.0.body()
    }
}

impl Sender {
    pub fn new(ralph: Ralph, retry: Arc<Retry>) -> Self {
        Self { ralph, retry }
    }

    /// Gives the batch back for its memory.
    pub async fn settle(&self, batch: Batch) -> (Result<Sent>, Batch) {
        let batch = Arc::new(batch);
        let outcome = self.settle_shared(&batch).await;
        // a request that was given up may still hold the body; then a new buffer is as good
        (outcome, Arc::try_unwrap(batch).unwrap_or_default())
    }

    async fn settle_shared(&self, batch: &Arc<Batch>) -> Result<Sent> {
        let mut sent = Sent { statements: batch.len() as u64, ..Default::default() };
        let whole = 0..batch.len();
        let mut open = Vec::from([whole]);
        let mut refused = vec![false; batch.len()];
        while let Some(range) = open.pop() {
            let body = if range.len() == batch.len() {
                Bytes::from_owner(Body(Arc::clone(batch)))
            } else {
                batch.array(range.clone()).into()
            };
            match self.store(body).await.with_context(|| describe(batch, &range))? {
                Verdict::Stored { new } => {
                    let new = new.min(range.len()) as u64;
                    sent.accepted += new;
                    sent.already_there += range.len() as u64 - new;
                }
                Verdict::Refused { status: status @ (401 | 403 | 404 | 405), reason } => {
                    return Err(self.wrong_door(status, &reason));
                }
                Verdict::Refused { .. } if range.len() > 1 => {
                    let middle = range.start + range.len() / 2;
                    open.extend([middle..range.end, range.start..middle]);
                }
                // stored by an earlier run under that run's time
                Verdict::Refused { status: 409, .. } if self.is_there(batch, range.start).await => {
                    sent.already_there += 1
                }
                Verdict::Refused { status, reason } => {
                    refused[range.start] = true;
                    sent.refusals.push(Refusal {
                        place: batch.place(range.start),
                        id: batch.entries()[range.start].id,
                        status,
                        reason,
                    });
                }
                Verdict::Unclear { status, reason } => {
                    return Err(anyhow!("the LRS answered {status}: {reason}"))
                        .with_context(|| describe(batch, &range));
                }
            }
        }
        sent.stored = batch
            .entries()
            .iter()
            .zip(refused)
            .filter(|(_, refused)| !refused)
            .map(|(entry, _)| entry.id)
            .collect();
        Ok(sent)
    }

    /// Sends until the answer is a decision. Repeating is safe: ids are fixed.
    async fn store(&self, body: Bytes) -> Result<Verdict> {
        let attempt = || async {
            match self.ralph.store(body.clone()).await? {
                Verdict::Unclear { status, reason } => {
                    Err(anyhow!("the LRS answered {status}: {reason}"))
                }
                verdict => Ok(verdict),
            }
        };
        self.retry.until_decided("not taken", |_| false, attempt).await
    }

    /// Whether the statement that the LRS has under this id is the same but for the time that a run gave it. What it cannot be
    /// asked for may be another.
    async fn is_there(&self, batch: &Batch, index: usize) -> bool {
        let Entry { id, added, .. } = batch.entries()[index];
        match added {
            Added { id: true, .. } => return true,
            Added { timestamp: false, .. } => return false,
            Added { timestamp: true, .. } => {}
        }
        let ours: Value = serde_json::from_slice(batch.statement(index)).unwrap_or_default();
        match self.ralph.statement(id).await {
            Ok(Some(theirs)) => CONTENT.iter().all(|key| ours.get(key) == theirs.get(key)),
            Ok(None) | Err(_) => false,
        }
    }

    fn wrong_door(&self, status: u16, reason: &str) -> anyhow::Error {
        let failure =
            Failure::failed(format!("{} answered {status}: {reason}", self.ralph.address()));
        match status {
            401 | 403 => failure.hint("the account or its scopes are wrong; `kubectl lastack install` repairs those of the stack"),
            _ => failure.hint("the address must be that of an xAPI endpoint, such as https://lrs.example.org/xAPI"),
        }
        .into()
    }
}

fn describe(batch: &Batch, range: &Range<usize>) -> String {
    match range.len() {
        1 => batch.place(range.start),
        n => format!("{} and {} more", batch.place(range.start), n - 1),
    }
}
