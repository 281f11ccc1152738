//! Statements by the LRS account that stored them.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use http::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Elasticsearch, INDEX};

/// More accounts than an LRS has.
const ACCOUNTS: usize = 1000;

/// The statements of one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfAuthority {
    pub statements: u64,
    /// Those of the last seven days.
    pub last_week: u64,
    pub newest: Option<jiff::Timestamp>,
}

impl Elasticsearch {
    /// The statement of an authority that was stored last. None: it has none.
    ///
    /// # Errors
    /// When Elasticsearch does not respond as expected.
    pub async fn newest_of(&self, authority: &str) -> Result<Option<Uuid>> {
        let search = json!({
            "size": 1, "_source": false, "sort": [{"stored": "desc"}],
            "query": {"term": {"authority.mbox": authority}},
        });
        let path = format!("/{INDEX}/_search");
        let response: Value = self.request(Method::POST, &path, Some(&search)).await?.json()?;
        let id = response.pointer("/hits/hits/0/_id").and_then(Value::as_str);
        id.map(|id| id.parse().context("a statement with an invalid id")).transpose()
    }

    /// The statements by the mailbox of their authority, such as `mailto:moodle@lrs.example.org`.
    ///
    /// # Errors
    /// When Elasticsearch does not respond as expected.
    pub async fn authorities(&self) -> Result<BTreeMap<String, OfAuthority>> {
        let search = json!({"size": 0, "aggs": {"authorities": {
            "terms": {"field": "authority.mbox", "size": ACCOUNTS},
            "aggs": {
                "newest": {"max": {"field": "stored"}},
                "last_week": {"filter": {"range": {"stored": {"gte": "now-7d"}}}},
            },
        }}});
        let path = format!("/{INDEX}/_search");
        let response: Value = self.request(Method::POST, &path, Some(&search)).await?.json()?;
        let groups = response.pointer("/aggregations/authorities/buckets");
        let groups = groups.and_then(Value::as_array).context("a search gave no authorities")?;
        let of_authority = |group: &Value| {
            let newest = group["newest"]["value"].as_f64();
            let of = OfAuthority {
                statements: group["doc_count"].as_u64().unwrap_or_default(),
                last_week: group["last_week"]["doc_count"].as_u64().unwrap_or_default(),
                newest: newest.and_then(|ms| jiff::Timestamp::from_millisecond(ms as i64).ok()),
            };
            Some((group["key"].as_str()?.to_string(), of))
        };
        Ok(groups.iter().filter_map(of_authority).collect())
    }
}
