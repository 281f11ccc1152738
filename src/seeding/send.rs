//! One batch to its end: sent again while the response leaves it open, split where it is rejected, so that one bad
//! statement does not keep the good ones out.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::components::datalake::client::Elasticsearch;
use crate::components::lrs::client::{Ralph, Verdict};
use crate::error::Failure;
use crate::xapi::batch::Batch;
use crate::xapi::content::Content;

use super::Rejection;
use super::prove::Stored;
use super::retry::Retry;

/// A server error of a whole batch that came so often while the LRS is well is due to a statement.
const SERVER_ERRORS: usize = 3;
/// Requests at the same time for the parts of one batch.
const PARTS: usize = 4;
/// How long a heartbeat is trusted while parts are told apart.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// So many failures of the backend, and nothing stored, are not due to the statements.
const BACKEND_FAILURES: usize = 20;
/// What Ralph says when its own code fails at a statement. Its other server errors come from the backend.
const UNHANDLED: &str = "Internal Server Error";

pub struct Sender {
    ralph: Ralph,
    elasticsearch: Option<Arc<Elasticsearch>>,
    retry: Arc<Retry>,
    /// When the LRS was well last.
    well: Mutex<Option<Instant>>,
    has_stored: AtomicBool,
    backend_failures: AtomicUsize,
}

/// What became of a batch.
#[derive(Default)]
pub struct Sent {
    pub statements: u64,
    pub accepted: u64,
    pub already_there: u64,
    pub rejections: Vec<Rejection>,
    /// What the LRS must have now.
    pub stored: Vec<Stored>,
}

/// The body of a batch, lent to requests without copying it.
struct Body(Arc<Batch>);

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        self.0.body()
    }
}

/// A server error to which the LRS is well.
#[derive(Debug, thiserror::Error)]
#[error("the LRS answered {status}: {reason}")]
struct ServerError {
    status: u16,
    reason: String,
}

/// What is not settled of a batch, and what is rejected.
struct Open {
    parts: Vec<Vec<usize>>,
    /// By index in the batch.
    rejected: BTreeMap<usize, (u16, String)>,
    /// Rejected by a server error, until the LRS is well once more.
    doubtful: BTreeMap<usize, (u16, String)>,
    /// Whether the data lake was asked for the batch.
    compared: bool,
}

impl Sender {
    pub fn new(ralph: Ralph, elasticsearch: Option<Arc<Elasticsearch>>, retry: Arc<Retry>) -> Self {
        Self {
            ralph,
            elasticsearch,
            retry,
            well: Mutex::default(),
            has_stored: AtomicBool::new(false),
            backend_failures: AtomicUsize::new(0),
        }
    }

    /// Gives the batch back for its memory.
    pub async fn settle(&self, batch: Batch) -> (Result<Sent>, Batch) {
        let batch = Arc::new(batch);
        let outcome = self.settle_shared(&batch).await;
        // a request that was given up may still hold the body; then a new buffer is as good
        (outcome, Arc::try_unwrap(batch).unwrap_or_default())
    }

    async fn settle_shared(&self, batch: &Arc<Batch>) -> Result<Sent> {
        let statements = (batch.len() + batch.conflicts().len()) as u64;
        let mut sent = Sent { statements, ..Default::default() };
        let mut open = Open {
            parts: Vec::new(),
            rejected: BTreeMap::new(),
            doubtful: BTreeMap::new(),
            compared: self.elasticsearch.is_none(),
        };
        if !batch.is_empty() {
            open.parts.push((0..batch.len()).collect());
        }
        let mut running = FuturesUnordered::new();
        loop {
            while running.len() < PARTS
                && let Some(part) = open.parts.pop()
            {
                running.push(async move {
                    let verdict = self.store(batch, &part).await;
                    (verdict.with_context(|| describe(batch, &part)), part)
                });
            }
            match running.next().await {
                Some((verdict, part)) => {
                    self.judge(batch, part, verdict?, &mut sent, &mut open).await?;
                }
                None if open.doubtful.is_empty() => break,
                // all of them are sent once more when the LRS was not well
                None if self.is_well(Duration::ZERO).await => {
                    open.rejected.append(&mut open.doubtful);
                }
                None => {
                    let doubtful = std::mem::take(&mut open.doubtful);
                    open.parts.extend(doubtful.into_keys().map(|index| vec![index]));
                }
            }
        }
        sent.stored = (0..batch.len())
            .filter(|index| !open.rejected.contains_key(index))
            .map(|index| {
                let entry = &batch.entries()[index];
                Stored { id: entry.id, content: entry.content, bytes: entry.range.len() as u32 }
            })
            .collect();
        sent.rejections = open
            .rejected
            .into_iter()
            .map(|(index, (status, reason))| Rejection {
                place: batch.place(index),
                id: batch.entries()[index].id,
                status,
                reason,
            })
            .collect();
        sent.rejections.extend(batch.conflicts().iter().map(|conflict| Rejection {
            place: conflict.place.clone(),
            id: conflict.id,
            status: 409,
            reason: "an earlier statement of this run has the same id and other content".into(),
        }));
        Ok(sent)
    }

    async fn judge(
        &self,
        batch: &Batch,
        part: Vec<usize>,
        verdict: Verdict,
        sent: &mut Sent,
        open: &mut Open,
    ) -> Result<()> {
        match verdict {
            Verdict::Stored { new } => {
                self.has_stored.store(true, Ordering::Relaxed);
                let new = new.min(part.len()) as u64;
                sent.accepted += new;
                sent.already_there += part.len() as u64 - new;
            }
            Verdict::Rejected {
                status: status @ (300..=399 | 401 | 403 | 404 | 405),
                reason,
                ..
            } => {
                return Err(self.wrong_door(status, &reason));
            }
            Verdict::Rejected { status: 409, .. } if part.len() > 1 && !open.compared => {
                open.compared = true;
                let rest = self.compare(batch, &part, sent, open).await;
                if !rest.is_empty() {
                    open.parts.push(rest);
                }
            }
            // the LRS names all statements at fault: the others are sent together
            Verdict::Rejected { status, statements, .. }
                if part.len() > 1 && !statements.is_empty() =>
            {
                let (bad, good): (Vec<_>, Vec<_>) = part
                    .iter()
                    .copied()
                    .enumerate()
                    .partition(|(at, _)| statements.contains_key(at));
                // a place outside of the batch tells nothing
                if bad.is_empty() {
                    open.parts.extend(halves(part));
                    return Ok(());
                }
                let reasons =
                    bad.into_iter().map(|(at, index)| (index, (status, statements[&at].clone())));
                open.rejected.extend(reasons);
                if !good.is_empty() {
                    open.parts.push(good.into_iter().map(|(_, index)| index).collect());
                }
            }
            Verdict::Rejected { .. } if part.len() > 1 => open.parts.extend(halves(part)),
            Verdict::Rejected { status: 409, .. } if self.is_there(batch, part[0]).await => {
                sent.already_there += 1;
            }
            Verdict::Rejected { status, reason, .. } => {
                open.rejected.insert(part[0], (status, reason));
            }
            Verdict::Unclear { .. } if part.len() > 1 => open.parts.extend(halves(part)),
            Verdict::Unclear { status, reason } => {
                if reason != UNHANDLED && !self.has_stored.load(Ordering::Relaxed) {
                    let failures = self.backend_failures.fetch_add(1, Ordering::Relaxed);
                    if failures >= BACKEND_FAILURES {
                        return Err(anyhow!("the LRS answered {status}: {reason}")
                            .context(describe(batch, &part))
                            .context("the LRS stores no statement although it is well"));
                    }
                }
                open.doubtful.insert(part[0], (status, reason));
            }
        }
        Ok(())
    }

    /// Sends until the response is a decision. Repeating is safe: ids are fixed. A server error that repeats while the
    /// LRS is well comes back as unclear: it is due to a statement.
    async fn store(&self, batch: &Arc<Batch>, part: &[usize]) -> Result<Verdict> {
        let is_whole = part.len() == batch.len();
        let body: Bytes = match is_whole {
            true => Bytes::from_owner(Body(Arc::clone(batch))),
            false => batch.array(part).into(),
        };
        // statements that this program generates are valid
        let is_foreign = batch.entries().iter().any(|entry| entry.content.is_some());
        let errors = AtomicUsize::new(0);
        let most = if is_whole { SERVER_ERRORS } else { 1 };
        let attempt = || async {
            match self.ralph.store(body.clone()).await? {
                Verdict::Unclear { status: status @ 500.., reason }
                    if is_foreign && self.is_well(HEARTBEAT).await =>
                {
                    errors.fetch_add(1, Ordering::Relaxed);
                    Err(ServerError { status, reason }.into())
                }
                Verdict::Unclear { status, reason } => {
                    Err(anyhow!("the LRS answered {status}: {reason}"))
                }
                verdict => Ok(verdict),
            }
        };
        let is_final = |error: &anyhow::Error| {
            error.is::<ServerError>() && errors.load(Ordering::Relaxed) >= most
        };
        match self.retry.until_decided("not accepted", is_final, attempt).await {
            Err(error) => match error.downcast::<ServerError>() {
                Ok(ServerError { status, reason }) => Ok(Verdict::Unclear { status, reason }),
                Err(error) => Err(error),
            },
            verdict => verdict,
        }
    }

    /// Whether the LRS is well and can store. What was found out within `age` is not asked again.
    async fn is_well(&self, age: Duration) -> bool {
        let mut well = self.well.lock().await;
        if well.is_some_and(|at| at.elapsed() < age) {
            return true;
        }
        let is_closed = async {
            match &self.elasticsearch {
                Some(elasticsearch) => elasticsearch.is_closed().await,
                None => Ok(false),
            }
        };
        let is_well =
            matches!(tokio::join!(self.ralph.is_well(), is_closed), (Ok(true), Ok(false)));
        *well = is_well.then(Instant::now);
        is_well
    }

    /// Compares a rejected part with the data lake. Gives what the LRS has yet to decide.
    async fn compare(
        &self,
        batch: &Batch,
        part: &[usize],
        sent: &mut Sent,
        open: &mut Open,
    ) -> Vec<usize> {
        let Some(elasticsearch) = &self.elasticsearch else { return part.to_vec() };
        let ids: Vec<Uuid> = part.iter().map(|&index| batch.entries()[index].id).collect();
        let found = elasticsearch.contents_of(&ids).await.unwrap_or_default();
        let found: HashMap<Uuid, Content> = found.into_iter().collect();
        let mut rest = Vec::new();
        for &index in part {
            match found.get(&batch.entries()[index].id) {
                None => rest.push(index),
                Some(stored) if content(batch, index).is_that_of(*stored) => {
                    sent.already_there += 1
                }
                Some(_) => {
                    let reason = "a statement with the same id and other content is stored";
                    open.rejected.insert(index, (409, reason.into()));
                }
            }
        }
        rest
    }

    /// Whether the statement that the LRS has under this id has the same content. It may differ in what the LRS
    /// normalises, and in the time that a run gave it.
    async fn is_there(&self, batch: &Batch, index: usize) -> bool {
        let entry = &batch.entries()[index];
        if entry.added.id {
            return true;
        }
        match self.ralph.statement(entry.id).await {
            Ok(Some(theirs)) => {
                content(batch, index).is_that_of(Content::of(theirs.to_string().as_bytes()))
            }
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

fn content(batch: &Batch, index: usize) -> Content {
    let entry = &batch.entries()[index];
    entry.content.unwrap_or_else(|| Content::of(batch.statement(index)))
}

fn halves(mut part: Vec<usize>) -> [Vec<usize>; 2] {
    let second = part.split_off(part.len() / 2);
    [second, part]
}

fn describe(batch: &Batch, part: &[usize]) -> String {
    match part {
        [] => "no statement".into(),
        [one] => batch.place(*one),
        [first, rest @ ..] => format!("{} and {} more", batch.place(*first), rest.len()),
    }
}
