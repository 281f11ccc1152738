//! Verifies that the statements which the LRS accepted are in Elasticsearch, where dashboards read them.
//!
//! Statements from files are compared by content, so that an overwritten statement is detected.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::Arc;

use anyhow::Result;
use uuid::Uuid;

use crate::cluster::retry::Retry;
use crate::components::datalake::INDEX;
use crate::components::datalake::client::{Elasticsearch, is_rejection};
use crate::xapi::content::Content;

use super::{LISTED, Verification};

/// Statements (48 bytes each) to collect before they are searched for.
const WINDOW: usize = 50_000;
/// The number of hits of one search: the default of `index.max_result_window`.
const SEARCH: usize = 10_000;
/// The limits of one request for documents.
const DOCUMENTS: usize = 1_000;
const BYTES: usize = 4 << 20;

/// A statement that the LRS must have stored.
#[derive(Debug, Clone, Copy)]
pub struct Stored {
    pub id: Uuid,
    /// None: only the id is compared.
    pub content: Option<Content>,
    /// Size of the statement in bytes.
    pub bytes: u32,
}

pub struct Verifier {
    elasticsearch: Arc<Elasticsearch>,
    retry: Arc<Retry>,
    expected: Vec<Stored>,
    verification: Verification,
    /// Why the verification stopped. Sending continues.
    failure: Option<anyhow::Error>,
}

impl Verifier {
    pub fn new(elasticsearch: Arc<Elasticsearch>, retry: Arc<Retry>) -> Self {
        Self {
            elasticsearch,
            retry,
            expected: Vec::new(),
            verification: Verification::default(),
            failure: None,
        }
    }

    pub async fn expect(&mut self, stored: Vec<Stored>) {
        if self.failure.is_none() {
            self.expected.extend(stored);
            if self.expected.len() >= WINDOW {
                self.failure = self.verify().await.err();
            }
        }
    }

    pub async fn finish(mut self) -> Result<Verification> {
        match self.failure.take() {
            Some(error) => Err(error),
            None => self.verify().await.map(|()| self.verification),
        }
    }

    async fn verify(&mut self) -> Result<()> {
        let mut expected = std::mem::take(&mut self.expected);
        // a repeated id is one document
        expected.sort_unstable_by_key(|stored| stored.id);
        expected.dedup_by_key(|stored| stored.id);
        if !expected.is_empty() {
            self.request(|| self.elasticsearch.refresh(INDEX)).await?;
        }
        let (with_content, by_id): (Vec<Stored>, Vec<Stored>) =
            expected.iter().partition(|stored| stored.content.is_some());
        let ids: Vec<Uuid> = by_id.iter().map(|stored| stored.id).collect();
        for ids in ids.chunks(SEARCH) {
            self.compare_ids(ids).await?;
        }
        let mut rest = with_content.as_slice();
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = rest.iter().take(DOCUMENTS).take_while(|stored| {
                bytes += stored.bytes as usize;
                bytes <= BYTES
            });
            let (now, later) = rest.split_at(fits.count().max(1));
            self.compare_contents(now).await?;
            rest = later;
        }
        expected.clear();
        self.expected = expected;
        Ok(())
    }

    async fn compare_ids(&mut self, ids: &[Uuid]) -> Result<()> {
        let found = self.request(|| self.elasticsearch.count_of(ids)).await?;
        self.verification.expected += ids.len() as u64;
        self.verification.found += found;
        if found < ids.len() as u64 && self.verification.missing.len() < LISTED {
            let found: HashSet<Uuid> =
                self.request(|| self.elasticsearch.find(ids)).await?.into_iter().collect();
            list(&mut self.verification.missing, ids.iter().filter(|id| !found.contains(id)));
        }
        Ok(())
    }

    async fn compare_contents(&mut self, expected: &[Stored]) -> Result<()> {
        let ids: Vec<Uuid> = expected.iter().map(|stored| stored.id).collect();
        let found: HashMap<Uuid, Content> =
            self.request(|| self.elasticsearch.contents_of(&ids)).await?.into_iter().collect();
        self.verification.by_content = true;
        self.verification.expected += ids.len() as u64;
        self.verification.found += found.len() as u64;
        list(&mut self.verification.missing, ids.iter().filter(|id| !found.contains_key(id)));
        let differs = |stored: &&Stored| match (stored.content, found.get(&stored.id)) {
            (Some(sent), Some(found)) => !sent.matches_stored(*found),
            _ => false,
        };
        self.verification.differing += expected.iter().filter(differs).count() as u64;
        list(
            &mut self.verification.differing_ids,
            expected.iter().filter(differs).map(|stored| &stored.id),
        );
        Ok(())
    }

    /// Sends a request to Elasticsearch, with retries. A long verification sends a thousand.
    async fn request<T, F, Fut>(&self, request: F) -> Result<T>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        self.retry.until_decided("no response", is_rejection, request).await
    }
}

/// Adds ids until the list has [`LISTED`] of them.
fn list<'a>(listed: &mut Vec<Uuid>, ids: impl Iterator<Item = &'a Uuid>) {
    listed.extend(ids.take(LISTED.saturating_sub(listed.len())));
}
