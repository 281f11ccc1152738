//! Sends statements to the LRS and verifies that they are stored. One thread reads or generates batches, a few tasks
//! send them, and one asks Elasticsearch for exactly the statements that were accepted. Memory is that of the batches
//! on their way, whatever their number.

mod prove;
mod retry;
mod send;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::sync::{Mutex, mpsc, watch};
use uuid::Uuid;

use crate::components::datalake::client::Elasticsearch;
use crate::components::lrs::client::Ralph;
use crate::xapi::batch::{Batch, Source};

use prove::Prover;
pub use retry::Patience;
use retry::Retry;
use send::{Sender, Sent};

/// More faults than this are counted and not kept.
const KEPT: usize = 20;

/// What to do besides sending.
pub struct Plan {
    /// How many batches may be under way at once.
    pub concurrency: usize,
    pub patience: Patience,
    /// Told the number of statements settled so far.
    pub progress: Box<dyn Fn(u64) + Send + Sync>,
    /// Told why a batch is sent or looked for again, each time.
    pub retrying: Box<dyn Fn(&str) + Send + Sync>,
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
    pub rejected: u64,
    pub rejections: Vec<Rejection>,
    /// Statements of the input that could not be read, so were not sent.
    pub unreadable: u64,
    pub faults: Vec<String>,
    /// Or why there is none. None: nobody was asked.
    pub proof: Option<Result<Proof>>,
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
    /// Statements that are found with other content than was sent.
    pub differing: u64,
    /// Some of these.
    pub other_content: Vec<Uuid>,
    /// Whether content was compared, and not ids alone. Generated statements need it not.
    pub by_content: bool,
}

impl Proof {
    pub fn is_complete(&self) -> bool {
        self.found == self.expected && self.differing == 0
    }
}

/// A statement that is not stored.
#[derive(Debug, Clone)]
pub struct Rejection {
    pub place: String,
    pub id: Uuid,
    pub status: u16,
    pub reason: String,
}

impl Report {
    /// True when every statement of the input is stored, as far as was asked.
    pub fn is_complete(&self) -> bool {
        self.rejected == 0
            && self.unreadable == 0
            && self.proof.as_ref().is_none_or(|proof| proof.as_ref().is_ok_and(Proof::is_complete))
    }

    fn add(&mut self, sent: Sent) {
        self.sent += sent.statements;
        self.accepted += sent.accepted;
        self.already_there += sent.already_there;
        self.rejected += sent.rejections.len() as u64;
        let room = KEPT.saturating_sub(self.rejections.len());
        self.rejections.extend(sent.rejections.into_iter().take(room));
    }
}

/// Sends everything the source has. Ends at the first batch that the LRS neither accepts nor rejects.
pub async fn run(
    source: impl Source + Send + 'static,
    ralph: Ralph,
    elasticsearch: Option<Elasticsearch>,
    plan: Plan,
) -> Result<Report> {
    let started = Instant::now();
    // one batch waits while the next is made: more would take memory and no time off
    let (batches, queue) = mpsc::channel::<Batch>(1);
    let (recycle, empty) = mpsc::unbounded_channel::<Batch>();
    let reading = tokio::task::spawn_blocking(move || read(source, batches, empty));

    let queue = Arc::new(Mutex::new(queue));
    let retry = Arc::new(Retry { patience: plan.patience, notify: plan.retrying });
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
                    // nothing is sent after a failure, not even what was read already
                    _ = failure.wait_for(|failed| *failed) => return,
                    batch = async { queue.lock().await.recv().await } => batch,
                };
                let Some(batch) = batch else { return };
                let (outcome, batch) = sender.settle(batch).await;
                if outcome.is_err() {
                    failed.send_replace(true);
                }
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
    let mut prover = elasticsearch.map(|elasticsearch| Prover::new(elasticsearch, retry));
    let mut failure = None;
    while let Some(outcome) = settled.recv().await {
        match outcome {
            Ok(mut sent) => {
                if let Some(prover) = &mut prover {
                    prover.expect(std::mem::take(&mut sent.stored)).await;
                }
                report.add(sent);
                (plan.progress)(report.sent);
            }
            // the other batches under way are settled and counted before the run ends
            Err(error) => drop(failure.get_or_insert(error)),
        }
    }
    if let Some(error) = failure {
        return Err(error.context(format!(
            "stopped after {} statements were stored",
            crate::output::units::count(report.accepted + report.already_there)
        )));
    }
    (report.unreadable, report.faults) = reading.await.context("reading the statements failed")?;
    report.proof = match prover {
        Some(prover) => Some(prover.finish().await),
        None => None,
    };
    report.took = started.elapsed();
    Ok(report)
}

/// Fills batches until the source has none left or nobody takes them. Gives the number of faults and the first of them.
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
                if faults.len() < KEPT {
                    faults.push(fault.to_string());
                }
            }
        }
    }
    (count, faults)
}
