//! The proof: exactly the ids that the LRS says it has are looked for in Elasticsearch, where dashboards look.

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;

use anyhow::Result;
use uuid::Uuid;

use crate::components::datalake::client::{Elasticsearch, is_rejection as is_refusal};

use super::retry::Retry;
use super::{KEPT, Proof};

/// So many ids (16 bytes each) are kept before they are looked for.
const WINDOW: usize = 100_000;
/// A search of Elasticsearch gives at most so many hits.
const SEARCH: usize = 10_000;

pub struct Prover {
    elasticsearch: Elasticsearch,
    retry: Arc<Retry>,
    ids: Vec<Uuid>,
    proof: Proof,
    /// Why the proof was given up. What is sent meanwhile is sent all the same.
    failure: Option<anyhow::Error>,
}

impl Prover {
    pub fn new(elasticsearch: Elasticsearch, retry: Arc<Retry>) -> Self {
        Self { elasticsearch, retry, ids: Vec::new(), proof: Proof::default(), failure: None }
    }

    pub async fn expect(&mut self, ids: Vec<Uuid>) {
        if self.failure.is_none() {
            self.ids.extend(ids);
            if self.ids.len() >= WINDOW {
                self.failure = self.look().await.err();
            }
        }
    }

    pub async fn finish(mut self) -> Result<Proof> {
        match self.failure.take() {
            Some(error) => Err(error),
            None => self.look().await.map(|()| self.proof),
        }
    }

    async fn look(&mut self) -> Result<()> {
        // an id that came twice is one document
        self.ids.sort_unstable();
        self.ids.dedup();
        if !self.ids.is_empty() {
            self.ask(|| self.elasticsearch.refresh()).await?;
        }
        for ids in self.ids.chunks(SEARCH) {
            let found = self.ask(|| self.elasticsearch.count_of(ids)).await?;
            self.proof.expected += ids.len() as u64;
            self.proof.found += found;
            if found < ids.len() as u64 && self.proof.missing.len() < KEPT {
                let there: HashSet<Uuid> =
                    self.ask(|| self.elasticsearch.find(ids)).await?.into_iter().collect();
                let room = KEPT - self.proof.missing.len();
                self.proof.missing.extend(ids.iter().filter(|id| !there.contains(id)).take(room));
            }
        }
        self.ids.clear();
        Ok(())
    }

    /// Asks again when a connection breaks or Elasticsearch is busy: a long seed asks a thousand times.
    async fn ask<T, F, Fut>(&self, question: F) -> Result<T>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        self.retry.until_decided("no answer", is_refusal, question).await
    }
}
