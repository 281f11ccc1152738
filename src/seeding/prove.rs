//! The proof: exactly the ids that the LRS says it has are looked for in Elasticsearch, where dashboards look.

use std::collections::HashSet;

use anyhow::{Context, Result};
use uuid::Uuid;

use crate::clients::elasticsearch::Elasticsearch;

use super::{KEPT, Proof};

/// So many ids (16 bytes each) are kept before they are looked for.
const WINDOW: usize = 100_000;
/// A search of Elasticsearch gives at most so many hits.
const SEARCH: usize = 10_000;

pub struct Prover {
    elasticsearch: Elasticsearch,
    ids: Vec<Uuid>,
    proof: Proof,
}

impl Prover {
    pub fn new(elasticsearch: Elasticsearch) -> Self {
        Self { elasticsearch, ids: Vec::new(), proof: Proof::default() }
    }

    pub async fn expect(&mut self, ids: Vec<Uuid>) -> Result<()> {
        self.ids.extend(ids);
        if self.ids.len() >= WINDOW { self.look().await } else { Ok(()) }
    }

    pub async fn finish(mut self) -> Result<Proof> {
        self.look().await?;
        Ok(self.proof)
    }

    async fn look(&mut self) -> Result<()> {
        // an id that came twice is one document
        self.ids.sort_unstable();
        self.ids.dedup();
        if !self.ids.is_empty() {
            self.elasticsearch.refresh().await.context("the proof")?;
        }
        for ids in self.ids.chunks(SEARCH) {
            let found = self.elasticsearch.count_of(ids).await.context("the proof")?;
            self.proof.expected += ids.len() as u64;
            self.proof.found += found;
            if found < ids.len() as u64 && self.proof.missing.len() < KEPT {
                let there: HashSet<Uuid> = self.elasticsearch.find(ids).await.context("the proof")?.into_iter().collect();
                let room = KEPT - self.proof.missing.len();
                self.proof.missing.extend(ids.iter().filter(|id| !there.contains(id)).take(room));
            }
        }
        self.ids.clear();
        Ok(())
    }
}
