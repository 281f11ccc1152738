//! Sends statements to the LRS and proves that they are stored. One thread reads or makes batches, a few
//! tasks send them, one asks Elasticsearch for exactly the ids that were taken. Memory is that of the batches on
//! their way, whatever their number.

mod prove;
mod send;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::sync::{Mutex, mpsc};
use uuid::Uuid;

use crate::clients::elasticsearch::Elasticsearch;
use crate::clients::ralph::Ralph;
use crate::xapi::batch::{Batch, Source};

use prove::Prover;
use send::{Sender, Sent};

/// More faults than this are counted and not kept.
const KEPT: usize = 20;

/// What to do besides sending.
pub struct Plan {
    /// How many batches may be under way at once.
    pub concurrency: usize,
    /// Told the number of statements settled so far.
    pub progress: Box<dyn Fn(u64) + Send + Sync>,
}

/// What became of every statement.
#[derive(Debug, Default)]
pub struct Report {
    /// Statements that were sent.
    pub sent: u64,
    /// New to the LRS.
    pub accepted: u64,
    /// The LRS had them, with the same content.
    pub already_there: u64,
    pub refused: u64,
    pub refusals: Vec<Refusal>,
    /// Statements of the input that could not be read, so were not sent.
    pub unreadable: u64,
    pub faults: Vec<String>,
    /// None: nobody was asked.
    pub proof: Option<Proof>,
    pub took: Duration,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Different ids that a search finds.
    pub found: u64,
    /// Different ids that the LRS says it has.
    pub expected: u64,
    /// Some of those that are expected and not found.
    pub missing: Vec<Uuid>,
}

/// A statement that the LRS does not take.
#[derive(Debug, Clone)]
pub struct Refusal {
    pub place: String,
    pub id: Uuid,
    pub status: u16,
    pub reason: String,
}

impl Report {
    /// True when every statement of the input is stored, as far as was asked.
    pub fn is_complete(&self) -> bool {
        self.refused == 0 && self.unreadable == 0 && self.proof.as_ref().is_none_or(|proof| proof.found == proof.expected)
    }

    fn add(&mut self, sent: Sent) {
        self.sent += sent.statements;
        self.accepted += sent.accepted;
        self.already_there += sent.already_there;
        self.refused += sent.refusals.len() as u64;
        let room = KEPT.saturating_sub(self.refusals.len());
        self.refusals.extend(sent.refusals.into_iter().take(room));
    }
}

/// Sends everything the source has. Ends at the first batch that the LRS neither takes nor refuses.
pub async fn run(source: impl Source + Send + 'static, ralph: Ralph, elasticsearch: Option<Elasticsearch>, plan: Plan) -> Result<Report> {
    let started = Instant::now();
    let (batches, queue) = mpsc::channel::<Batch>(plan.concurrency);
    let (recycle, empty) = mpsc::unbounded_channel::<Batch>();
    let reading = tokio::task::spawn_blocking(move || read(source, batches, empty));

    let queue = Arc::new(Mutex::new(queue));
    let sender = Arc::new(Sender::new(ralph));
    let (results, mut settled) = mpsc::channel::<Result<Sent>>(plan.concurrency);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..plan.concurrency {
        let (queue, sender, results, recycle) = (Arc::clone(&queue), Arc::clone(&sender), results.clone(), recycle.clone());
        tasks.spawn(async move {
            while let Some(batch) = { queue.lock().await.recv().await } {
                let (outcome, batch) = sender.settle(batch).await;
                // the reader may have ended: then nobody needs the buffer
                let _ = recycle.send(batch);
                if results.send(outcome).await.is_err() {
                    return;
                }
            }
        });
    }
    drop((results, recycle));

    let mut report = Report::default();
    let mut prover = elasticsearch.map(Prover::new);
    let mut failure = None;
    while let Some(outcome) = settled.recv().await {
        match outcome {
            Ok(mut sent) => {
                if let Some(prover) = &mut prover {
                    prover.expect(std::mem::take(&mut sent.stored)).await?;
                }
                report.add(sent);
                (plan.progress)(report.sent);
            }
            // the other batches under way are settled and counted before the run ends
            Err(error) => {
                failure.get_or_insert(error);
                queue.lock().await.close();
            }
        }
    }
    if let Some(error) = failure {
        return Err(
            error.context(format!("stopped after {} statements were stored", crate::output::age::count(report.accepted + report.already_there)))
        );
    }
    (report.unreadable, report.faults) = reading.await.context("reading the statements failed")?;
    report.proof = match prover {
        Some(prover) => Some(prover.finish().await?),
        None => None,
    };
    report.took = started.elapsed();
    Ok(report)
}

/// Fills batches until the source has none left or nobody takes them. Gives the number of faults and the first of them.
fn read(mut source: impl Source, batches: mpsc::Sender<Batch>, mut empty: mpsc::UnboundedReceiver<Batch>) -> (u64, Vec<String>) {
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
                if faults.len() < KEPT {
                    faults.push(fault.to_string());
                }
            }
        }
    }
    (count, faults)
}
