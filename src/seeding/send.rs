//! Sends one batch until each of its statements is stored or rejected.
//!
//! A batch is sent again after a transient error and split after a rejection, so that one invalid statement does not
//! block the valid ones.

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

use crate::cluster::retry::Retry;
use crate::components::datalake::INDEX;
use crate::components::datalake::client::{Elasticsearch, is_rejection};
use crate::components::lrs::client::{Ralph, Verdict};
use crate::error::Failure;
use crate::xapi::batch::{Batch, Entry, Variant};
use crate::xapi::content::Content;

use super::Rejection;
use super::verify::Stored;

/// After this many server errors for a whole batch, a healthy LRS fails because of a statement.
const SERVER_ERRORS: usize = 3;
/// After this many attempts, about fifteen seconds, only a user can open the index. A short block by an administrator ends
/// before.
const CLOSED: usize = 7;
/// Number of concurrent requests for the parts of one batch.
const PARTS: usize = 4;
/// How long a successful heartbeat is valid while a batch is split.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// After this many backend failures without a stored statement, the backend is at fault.
const BACKEND_FAILURES: usize = 20;
/// The number of variants that are compared at once.
const VARIANTS_AT_ONCE: usize = 100;
/// The body of Ralph's response to an exception in its own code. Its other server errors come from the backend.
const UNHANDLED: &str = "Internal Server Error";

pub struct Sender {
    ralph: Ralph,
    elasticsearch: Option<Arc<Elasticsearch>>,
    retry: Arc<Retry>,
    /// Time of the last successful heartbeat.
    healthy_at: Mutex<Option<Instant>>,
    has_stored: AtomicBool,
    backend_failures: AtomicUsize,
}

/// The result of a batch, with counts of statements.
#[derive(Default)]
pub struct Sent {
    pub statements: u64,
    pub accepted: u64,
    pub already_stored: u64,
    pub rejections: Vec<Rejection>,
    /// The statements that the LRS must have stored.
    pub stored: Vec<Stored>,
    /// Statements that are not counted before [`Sender::settle_variants`].
    pub variants: Vec<Variant>,
}

/// The body of a batch, shared with requests without a copy.
struct Body(Arc<Batch>);

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        self.0.body()
    }
}

/// A server error of a healthy LRS.
#[derive(Debug, thiserror::Error)]
#[error("the LRS responded with {status}: {reason}")]
struct ServerError {
    status: u16,
    reason: String,
}

/// A server error while the index accepts no statements.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct ClosedIndex(ServerError);

/// The state of a batch while it is sent. Statements are indices into the batch.
struct Progress {
    /// Parts to send.
    parts: Vec<Vec<usize>>,
    /// Rejected statements with status and reason.
    rejected: BTreeMap<usize, (u16, String)>,
    /// Statements with a server error, until a heartbeat shows whether the LRS is healthy.
    suspected: BTreeMap<usize, (u16, String)>,
    /// Whether the batch was compared with the data lake.
    compared: bool,
}

impl Sender {
    pub fn new(ralph: Ralph, elasticsearch: Option<Arc<Elasticsearch>>, retry: Arc<Retry>) -> Self {
        Self {
            ralph,
            elasticsearch,
            retry,
            healthy_at: Mutex::default(),
            has_stored: AtomicBool::new(false),
            backend_failures: AtomicUsize::new(0),
        }
    }

    /// Sends a batch. Returns its buffer for reuse.
    pub async fn settle(&self, batch: Batch) -> (Result<Sent>, Batch) {
        let batch = Arc::new(batch);
        let outcome = self.settle_shared(&batch).await;
        // an abandoned request may still hold the body; a new buffer replaces it
        (outcome, Arc::try_unwrap(batch).unwrap_or_default())
    }

    async fn settle_shared(&self, batch: &Arc<Batch>) -> Result<Sent> {
        let variants = batch.variants().to_vec();
        let mut sent = Sent { statements: batch.len() as u64, variants, ..Default::default() };
        let mut progress = Progress {
            parts: Vec::new(),
            rejected: BTreeMap::new(),
            suspected: BTreeMap::new(),
            compared: self.elasticsearch.is_none(),
        };
        if !batch.is_empty() {
            progress.parts.push((0..batch.len()).collect());
        }
        let mut running = FuturesUnordered::new();
        loop {
            while running.len() < PARTS
                && let Some(part) = progress.parts.pop()
            {
                running.push(async move {
                    let verdict = self.store(batch, &part).await;
                    (verdict.with_context(|| describe(batch, &part)), part)
                });
            }
            match running.next().await {
                Some((verdict, part)) => {
                    self.apply(batch, part, verdict?, &mut sent, &mut progress).await?;
                }
                None if progress.suspected.is_empty() => break,
                // an unhealthy LRS says nothing about the statements, which are sent again
                None if self.is_healthy(Duration::ZERO).await => {
                    progress.rejected.append(&mut progress.suspected);
                }
                None => {
                    let suspected = std::mem::take(&mut progress.suspected);
                    progress.parts.extend(suspected.into_keys().map(|index| vec![index]));
                }
            }
        }
        sent.stored = (0..batch.len())
            .filter(|index| !progress.rejected.contains_key(index))
            .map(|index| {
                let entry = &batch.entries()[index];
                let is_compared = self.elasticsearch.is_some() && entry.is_from_input();
                let content = is_compared.then(|| batch.content(index));
                Stored { id: entry.id, content, bytes: entry.range.len() as u32 }
            })
            .collect();
        sent.rejections = progress
            .rejected
            .into_iter()
            .map(|(index, (status, reason))| Rejection {
                origin: batch.origin(index),
                id: batch.entries()[index].id,
                status,
                reason,
            })
            .collect();
        Ok(sent)
    }

    /// Applies the verdict on one part.
    async fn apply(
        &self,
        batch: &Batch,
        part: Vec<usize>,
        verdict: Verdict,
        sent: &mut Sent,
        progress: &mut Progress,
    ) -> Result<()> {
        match verdict {
            Verdict::Stored { new } => {
                self.has_stored.store(true, Ordering::Relaxed);
                let new = new.min(part.len()) as u64;
                sent.accepted += new;
                sent.already_stored += part.len() as u64 - new;
            }
            Verdict::Rejected {
                status: status @ (300..=399 | 401 | 403 | 404 | 405),
                reason,
                ..
            } => {
                return Err(self.wrong_endpoint(status, &reason));
            }
            Verdict::Rejected { status: 409, .. } if part.len() > 1 && !progress.compared => {
                progress.compared = true;
                let rest = self.compare(batch, &part, sent, progress).await;
                if !rest.is_empty() {
                    progress.parts.push(rest);
                }
            }
            // the LRS names all invalid statements; the others are sent together
            Verdict::Rejected { status, statements, .. }
                if part.len() > 1 && !statements.is_empty() =>
            {
                let (invalid, valid): (Vec<_>, Vec<_>) = part
                    .iter()
                    .copied()
                    .enumerate()
                    .partition(|(at, _)| statements.contains_key(at));
                // an index outside the batch names no statement
                if invalid.is_empty() {
                    progress.parts.extend(halves(part));
                    return Ok(());
                }
                let reasons = invalid
                    .into_iter()
                    .map(|(at, index)| (index, (status, statements[&at].clone())));
                progress.rejected.extend(reasons);
                if !valid.is_empty() {
                    progress.parts.push(valid.into_iter().map(|(_, index)| index).collect());
                }
            }
            Verdict::Rejected { .. } if part.len() > 1 => progress.parts.extend(halves(part)),
            Verdict::Rejected { status: 409, .. } if self.is_stored(batch, part[0]).await => {
                sent.already_stored += 1;
            }
            Verdict::Rejected { status, reason, .. } => {
                progress.rejected.insert(part[0], (status, reason));
            }
            Verdict::Unclear { .. } if part.len() > 1 => progress.parts.extend(halves(part)),
            Verdict::Unclear { status, reason } => {
                if reason != UNHANDLED && !self.has_stored.load(Ordering::Relaxed) {
                    let failures = self.backend_failures.fetch_add(1, Ordering::Relaxed);
                    if failures >= BACKEND_FAILURES {
                        return Err(anyhow!("the LRS responded with {status}: {reason}")
                            .context(describe(batch, &part))
                            .context("the LRS is healthy but stores no statement"));
                    }
                }
                progress.suspected.insert(part[0], (status, reason));
            }
        }
        Ok(())
    }

    /// Sends a part until the LRS accepts or rejects it. Repeating is safe, because ids are fixed. A repeated server
    /// error of a healthy LRS is an unclear verdict: a statement causes it.
    async fn store(&self, batch: &Arc<Batch>, part: &[usize]) -> Result<Verdict> {
        let is_whole = part.len() == batch.len();
        let body: Bytes = match is_whole {
            true => Bytes::from_owner(Body(Arc::clone(batch))),
            false => batch.array(part).into(),
        };
        let is_from_input = batch.entries().iter().any(Entry::is_from_input);
        let errors = AtomicUsize::new(0);
        let most = if is_whole { SERVER_ERRORS } else { 1 };
        let attempt = || async {
            match self.ralph.store(body.clone()).await? {
                Verdict::Unclear { status: status @ 500.., reason }
                    if is_from_input && self.is_healthy(HEARTBEAT).await =>
                {
                    errors.fetch_add(1, Ordering::Relaxed);
                    Err(ServerError { status, reason }.into())
                }
                Verdict::Unclear { status: status @ 500.., reason } if self.is_closed().await => {
                    errors.fetch_add(1, Ordering::Relaxed);
                    Err(ClosedIndex(ServerError { status, reason }).into())
                }
                Verdict::Unclear { status, reason } => {
                    Err(anyhow!("the LRS responded with {status}: {reason}"))
                }
                verdict => Ok(verdict),
            }
        };
        let is_final = |error: &anyhow::Error| {
            let most = if error.is::<ClosedIndex>() { CLOSED } else { most };
            (error.is::<ServerError>() || error.is::<ClosedIndex>())
                && errors.load(Ordering::Relaxed) >= most
        };
        match self.retry.until_decided("not accepted", is_final, attempt).await {
            Err(error) => match error.downcast::<ServerError>() {
                Ok(ServerError { status, reason }) => Ok(Verdict::Unclear { status, reason }),
                Err(error) => Err(error),
            },
            verdict => verdict,
        }
    }

    /// Whether the LRS is healthy and its index is writable. A success that is younger than `age` is reused.
    async fn is_healthy(&self, age: Duration) -> bool {
        let mut healthy_at = self.healthy_at.lock().await;
        if healthy_at.is_some_and(|at| at.elapsed() < age) {
            return true;
        }
        let is_closed = async {
            match &self.elasticsearch {
                Some(elasticsearch) => elasticsearch.is_closed().await,
                None => Ok(false),
            }
        };
        let is_healthy =
            matches!(tokio::join!(self.ralph.is_healthy(), is_closed), (Ok(true), Ok(false)));
        *healthy_at = is_healthy.then(Instant::now);
        is_healthy
    }

    /// Whether the index is known to accept no statements.
    async fn is_closed(&self) -> bool {
        match &self.elasticsearch {
            Some(elasticsearch) => matches!(elasticsearch.is_closed().await, Ok(true)),
            None => false,
        }
    }

    /// Compares a rejected part with the data lake. Returns the statements to send again.
    async fn compare(
        &self,
        batch: &Batch,
        part: &[usize],
        sent: &mut Sent,
        progress: &mut Progress,
    ) -> Vec<usize> {
        let Some(elasticsearch) = &self.elasticsearch else { return part.to_vec() };
        let ids: Vec<Uuid> = part.iter().map(|&index| batch.entries()[index].id).collect();
        let found = elasticsearch.contents_of(&ids).await.unwrap_or_default();
        let found: HashMap<Uuid, Content> = found.into_iter().collect();
        let mut rest = Vec::new();
        for &index in part {
            match found.get(&batch.entries()[index].id) {
                None => rest.push(index),
                Some(stored) if batch.content(index).matches_stored(*stored) => {
                    sent.already_stored += 1
                }
                Some(_) => {
                    let reason = "a statement with the same id and different content is stored";
                    progress.rejected.insert(index, (409, reason.into()));
                }
            }
        }
        rest
    }

    /// Compares variants with the stored statements. Returns a rejection for each that differs.
    pub async fn settle_variants(&self, variants: Vec<Variant>) -> Vec<Rejection> {
        let mut rejections = Vec::new();
        for variants in variants.chunks(VARIANTS_AT_ONCE) {
            let ids: Vec<Uuid> = variants.iter().map(|variant| variant.id).collect();
            let read = || self.contents_of(&ids);
            let found = self.retry.until_decided("no response", is_rejection, read).await;
            rejections.extend(variants.iter().filter_map(|variant| {
                let difference = match &found {
                    Ok(found) => match found.get(&variant.id) {
                        Some(stored) if variant.content.matches_stored(*stored) => return None,
                        Some(_) => "has different content".to_string(),
                        None => "is not stored".to_string(),
                    },
                    Err(error) => format!("cannot be read: {error:#}"),
                };
                Some(Rejection {
                    origin: variant.origin.clone(),
                    id: variant.id,
                    status: 409,
                    reason: format!(
                        "an earlier statement of this run has the same id and {difference}"
                    ),
                })
            }));
        }
        rejections
    }

    /// The contents of stored statements, from the data lake if there is one.
    async fn contents_of(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, Content>> {
        if let Some(elasticsearch) = &self.elasticsearch {
            elasticsearch.refresh(INDEX).await?;
            return Ok(elasticsearch.contents_of(ids).await?.into_iter().collect());
        }
        let mut contents = HashMap::new();
        for &id in ids {
            contents.extend(self.content_in_lrs(id).await?.map(|content| (id, content)));
        }
        Ok(contents)
    }

    async fn content_in_lrs(&self, id: Uuid) -> Result<Option<Content>> {
        let stored = self.ralph.statement(id).await?;
        Ok(stored.map(|stored| Content::of(stored.to_string().as_bytes())))
    }

    /// Whether the LRS stores a statement with this id and the same content. Normalised values and a timestamp from
    /// an earlier run count as the same.
    async fn is_stored(&self, batch: &Batch, index: usize) -> bool {
        let entry = &batch.entries()[index];
        if entry.added.id {
            return true;
        }
        match self.content_in_lrs(entry.id).await {
            Ok(Some(stored)) => batch.content(index).matches_stored(stored),
            Ok(None) | Err(_) => false,
        }
    }

    fn wrong_endpoint(&self, status: u16, reason: &str) -> anyhow::Error {
        let failure =
            Failure::failed(format!("{} responded with {status}: {reason}", self.ralph.address()));
        match status {
            401 | 403 => failure.hint("check the account and its scopes; for the LRS of the stack, run `kubectl lastack install`"),
            _ => failure.hint("pass the address of an xAPI endpoint, such as https://lrs.example.org/xAPI"),
        }
        .into()
    }
}

fn halves(mut part: Vec<usize>) -> [Vec<usize>; 2] {
    let second = part.split_off(part.len() / 2);
    [second, part]
}

fn describe(batch: &Batch, part: &[usize]) -> String {
    match part {
        [] => "no statement".into(),
        [one] => batch.origin(*one),
        [first, rest @ ..] => format!("{} and {} more", batch.origin(*first), rest.len()),
    }
}
