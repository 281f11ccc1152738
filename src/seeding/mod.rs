//! Sends statements to the LRS and verifies that they are stored.
//!
//! One thread reads or generates batches, several tasks send them, and one task verifies the accepted statements in
//! Elasticsearch. Memory is bounded by the batches in flight.

mod pace;
mod send;
mod verify;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::sync::{Mutex, mpsc, watch};
use uuid::Uuid;

use crate::cluster::retry::Retry;
use crate::components::datalake::client::Elasticsearch;
use crate::components::lrs::client::Ralph;
use crate::xapi::batch::{Batch, Source};

use pace::Pace;
use send::{Sender, Sent};
use verify::Verifier;

pub use crate::cluster::retry::RetryPolicy;
pub use pace::Rate;

/// The number of faults, rejections and ids that a report lists. The others are only counted.
const LISTED: usize = 20;
/// The number of variants to collect before they are compared with the stored statements.
const VARIANTS: usize = 10_000;

/// How to send, and the receivers of progress.
pub struct Plan {
    /// Number of concurrent batches.
    pub concurrency: usize,
    /// None: as fast as the LRS accepts them.
    pub rate: Option<Rate>,
    pub retry_policy: RetryPolicy,
    /// Receives the number of statements that were sent so far.
    pub progress: Box<dyn Fn(u64) + Send + Sync>,
    /// Receives the reason for each retry.
    pub retrying: Box<dyn Fn(&str) + Send + Sync>,
}

/// The result of a run, with counts of statements.
#[derive(Debug, Default)]
pub struct Report {
    /// All statements that were sent: accepted, already stored or rejected.
    pub sent: u64,
    /// New to the LRS.
    pub accepted: u64,
    /// Stored before, with the same content.
    pub already_stored: u64,
    pub rejected: u64,
    /// The first of the rejected statements.
    pub rejections: Vec<Rejection>,
    /// Faults of the input, which were not sent.
    pub unreadable: u64,
    /// The first of these faults.
    pub faults: Vec<String>,
    /// The verification, or why it failed. None: the run had no Elasticsearch.
    pub verification: Option<Result<Verification>>,
    pub took: Duration,
}

/// The result of a search for the stored statements.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Verification {
    /// Distinct ids that a search finds.
    pub found: u64,
    /// Distinct ids that the LRS accepted.
    pub expected: u64,
    /// The first of the ids that are expected and not found.
    pub missing: Vec<Uuid>,
    /// Statements whose stored content differs from the sent content.
    pub differing: u64,
    /// The first of their ids.
    pub differing_ids: Vec<Uuid>,
    /// Whether content was compared. For generated statements, ids are sufficient.
    pub by_content: bool,
}

impl Verification {
    pub fn is_complete(&self) -> bool {
        self.found == self.expected && self.differing == 0
    }
}

/// A rejected statement.
#[derive(Debug, Clone)]
pub struct Rejection {
    /// Its origin, such as `data/x.json.gz: statement 17 (byte 20113)`.
    pub origin: String,
    pub id: Uuid,
    /// HTTP status of the response; 409 for a conflict within the run.
    pub status: u16,
    pub reason: String,
}

impl Report {
    /// Whether every statement of the input is stored, as far as this was verified.
    pub fn is_complete(&self) -> bool {
        self.rejected == 0
            && self.unreadable == 0
            && self
                .verification
                .as_ref()
                .is_none_or(|result| result.as_ref().is_ok_and(Verification::is_complete))
    }

    fn add(&mut self, sent: Sent) {
        self.sent += sent.statements;
        self.accepted += sent.accepted;
        self.already_stored += sent.already_stored;
        self.add_rejections(sent.rejections);
    }

    /// Adds variants that differ from the stored statements.
    fn reject(&mut self, rejections: Vec<Rejection>) {
        self.sent += rejections.len() as u64;
        self.add_rejections(rejections);
    }

    fn add_rejections(&mut self, rejections: Vec<Rejection>) {
        self.rejected += rejections.len() as u64;
        let room = LISTED.saturating_sub(self.rejections.len());
        self.rejections.extend(rejections.into_iter().take(room));
    }
}

/// Sends all statements of a source and verifies them when `elasticsearch` is given.
///
/// # Errors
/// When the LRS neither accepts nor rejects a batch after all retries. No other batch is sent then.
pub async fn run(
    source: impl Source + Send + 'static,
    ralph: Ralph,
    elasticsearch: Option<Elasticsearch>,
    plan: Plan,
) -> Result<Report> {
    let started = Instant::now();
    // one batch waits while the next is made; a longer queue takes memory and saves no time
    let (batches, queue) = mpsc::channel::<Batch>(1);
    let (recycle, empty) = mpsc::unbounded_channel::<Batch>();
    let reading = tokio::task::spawn_blocking(move || read(source, batches, empty));

    let pace = plan.rate.map(Pace::new);
    let queue = Arc::new(Mutex::new(Queue { batches: queue, pace }));
    let retry = Arc::new(Retry {
        policy: plan.retry_policy,
        notify: plan.retrying,
        hint: "repeat the command; the LRS stores each statement only once",
    });
    let elasticsearch = elasticsearch.map(Arc::new);
    let sender = Arc::new(Sender::new(ralph, elasticsearch.clone(), Arc::clone(&retry)));
    let (results, mut settled) = mpsc::channel::<Result<Sent>>(plan.concurrency);
    let failed = Arc::new(watch::Sender::new(false));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..plan.concurrency {
        let (queue, sender, results, recycle) =
            (Arc::clone(&queue), Arc::clone(&sender), results.clone(), recycle.clone());
        let (failed, mut failure) = (Arc::clone(&failed), failed.subscribe());
        tasks.spawn(async move {
            loop {
                let batch = tokio::select! {
                    biased;
                    // after a failure, queued batches are not sent
                    _ = failure.wait_for(|failed| *failed) => return,
                    batch = async { queue.lock().await.next().await } => batch,
                };
                let Some(batch) = batch else { return };
                let (outcome, batch) = sender.settle(batch).await;
                if outcome.is_err() {
                    failed.send_replace(true);
                }
                // a reader that has ended needs no buffer
                let _ = recycle.send(batch);
                if results.send(outcome).await.is_err() {
                    return;
                }
            }
        });
    }
    drop((results, recycle));

    let mut report = Report::default();
    let mut verifier = elasticsearch.map(|elasticsearch| Verifier::new(elasticsearch, retry));
    let mut failure = None;
    let mut variants = Vec::new();
    while let Some(outcome) = settled.recv().await {
        match outcome {
            Ok(mut sent) => {
                if let Some(verifier) = &mut verifier {
                    verifier.expect(std::mem::take(&mut sent.stored)).await;
                }
                variants.append(&mut sent.variants);
                if variants.len() >= VARIANTS {
                    report.reject(sender.settle_variants(std::mem::take(&mut variants)).await);
                }
                report.add(sent);
                (plan.progress)(report.sent);
            }
            // batches in flight complete and count before the run ends
            Err(error) => drop(failure.get_or_insert(error)),
        }
    }
    if let Some(error) = failure {
        return Err(error.context(format!(
            "stopped after {} statements were stored",
            crate::output::units::count(report.accepted + report.already_stored)
        )));
    }
    report.reject(sender.settle_variants(variants).await);
    (report.unreadable, report.faults) = reading.await.context("reading the statements failed")?;
    report.verification = match verifier {
        Some(verifier) => Some(verifier.finish().await),
        None => None,
    };
    report.took = started.elapsed();
    Ok(report)
}

/// The batches that wait to be sent.
struct Queue {
    batches: mpsc::Receiver<Batch>,
    pace: Option<Pace>,
}

impl Queue {
    /// The next batch, when it is due.
    async fn next(&mut self) -> Option<Batch> {
        let batch = self.batches.recv().await?;
        if let Some(pace) = &mut self.pace {
            pace.wait(batch.len()).await;
        }
        Some(batch)
    }
}

/// Fills batches until the source is exhausted or the channel is closed. Returns the number of faults and the first of them.
fn read(
    mut source: impl Source,
    batches: mpsc::Sender<Batch>,
    mut empty: mpsc::UnboundedReceiver<Batch>,
) -> (u64, Vec<String>) {
    let (mut count, mut faults) = (0, Vec::new());
    loop {
        let mut batch = empty.try_recv().unwrap_or_default();
        match source.fill(&mut batch) {
            Ok(true) => {
                if batches.blocking_send(batch).is_err() {
                    break;
                }
            }
            Ok(false) => break,
            Err(fault) => {
                count += 1;
                if faults.len() < LISTED {
                    faults.push(fault.to_string());
                }
            }
        }
    }
    (count, faults)
}
