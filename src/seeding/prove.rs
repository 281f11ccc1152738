//! The verification: exactly the statements that the LRS accepted are looked for in Elasticsearch, where dashboards
//! look. What was read from files is compared by content, so that an overwritten statement is found.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::Arc;

use anyhow::Result;
use uuid::Uuid;

use crate::components::datalake::client::{Elasticsearch, is_rejection};
use crate::xapi::content::Content;

use super::retry::Retry;
use super::{KEPT, Proof};

/// So many statements (48 bytes each) are kept before they are looked for.
const WINDOW: usize = 50_000;
/// A search of Elasticsearch gives at most so many hits.
const SEARCH: usize = 10_000;
/// Documents and bytes asked for together.
const DOCUMENTS: usize = 1_000;
const BYTES: usize = 4 << 20;

/// A statement that the LRS must have now.
#[derive(Debug, Clone, Copy)]
pub struct Stored {
    pub id: Uuid,
    pub content: Option<Content>,
    /// Its size.
    pub bytes: u32,
}

pub struct Prover {
    elasticsearch: Arc<Elasticsearch>,
    retry: Arc<Retry>,
    expected: Vec<Stored>,
    proof: Proof,
    /// Why the verification was given up. What is sent meanwhile is sent all the same.
    failure: Option<anyhow::Error>,
}

impl Prover {
    pub fn new(elasticsearch: Arc<Elasticsearch>, retry: Arc<Retry>) -> Self {
        Self { elasticsearch, retry, expected: Vec::new(), proof: Proof::default(), failure: None }
    }

    pub async fn expect(&mut self, stored: Vec<Stored>) {
        if self.failure.is_none() {
            self.expected.extend(stored);
            if self.expected.len() >= WINDOW {
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
        let mut expected = std::mem::take(&mut self.expected);
        // an id that came twice is one document
        expected.sort_unstable_by_key(|stored| stored.id);
        expected.dedup_by_key(|stored| stored.id);
        if !expected.is_empty() {
            self.ask(|| self.elasticsearch.refresh()).await?;
        }
        let (with_content, by_id): (Vec<Stored>, Vec<Stored>) =
            expected.iter().partition(|stored| stored.content.is_some());
        let ids: Vec<Uuid> = by_id.iter().map(|stored| stored.id).collect();
        for ids in ids.chunks(SEARCH) {
            self.look_for_ids(ids).await?;
        }
        let mut rest = with_content.as_slice();
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = rest.iter().take(DOCUMENTS).take_while(|stored| {
                bytes += stored.bytes as usize;
                bytes <= BYTES
            });
            let (now, later) = rest.split_at(fits.count().max(1));
            self.compare(now).await?;
            rest = later;
        }
        expected.clear();
        self.expected = expected;
        Ok(())
    }

    async fn look_for_ids(&mut self, ids: &[Uuid]) -> Result<()> {
        let found = self.ask(|| self.elasticsearch.count_of(ids)).await?;
        self.proof.expected += ids.len() as u64;
        self.proof.found += found;
        if found < ids.len() as u64 && self.proof.missing.len() < KEPT {
            let there: HashSet<Uuid> =
                self.ask(|| self.elasticsearch.find(ids)).await?.into_iter().collect();
            note(&mut self.proof.missing, ids.iter().filter(|id| !there.contains(id)));
        }
        Ok(())
    }

    async fn compare(&mut self, expected: &[Stored]) -> Result<()> {
        let ids: Vec<Uuid> = expected.iter().map(|stored| stored.id).collect();
        let found: HashMap<Uuid, Content> =
            self.ask(|| self.elasticsearch.contents_of(&ids)).await?.into_iter().collect();
        self.proof.by_content = true;
        self.proof.expected += ids.len() as u64;
        self.proof.found += found.len() as u64;
        note(&mut self.proof.missing, ids.iter().filter(|id| !found.contains_key(id)));
        let differs = |stored: &&Stored| match (stored.content, found.get(&stored.id)) {
            (Some(sent), Some(found)) => !sent.is_that_of(*found),
            _ => false,
        };
        self.proof.differing += expected.iter().filter(differs).count() as u64;
        note(
            &mut self.proof.other_content,
            expected.iter().filter(differs).map(|stored| &stored.id),
        );
        Ok(())
    }

    /// Asks again when a connection breaks or Elasticsearch is busy: a long seed asks a thousand times.
    async fn ask<T, F, Fut>(&self, question: F) -> Result<T>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        self.retry.until_decided("no answer", is_rejection, question).await
    }
}

/// Keeps the first of these ids.
fn note<'a>(kept: &mut Vec<Uuid>, ids: impl Iterator<Item = &'a Uuid>) {
    kept.extend(ids.take(KEPT.saturating_sub(kept.len())));
}
