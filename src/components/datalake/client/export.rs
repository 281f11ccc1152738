//! Reads all documents of the index in the order in which they were stored, from a consistent view.

use std::borrow::Cow;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Elasticsearch, Hit, INDEX, SearchResponse};

/// How long an export may pause between two pages.
const KEEP_ALIVE: &str = "10m";

/// A consistent selection of documents.
pub struct Export {
    pub point_in_time: String,
    /// Only documents that were stored at this time or before, in milliseconds since 1970.
    pub until: Option<i64>,
    /// Only documents that were stored after this time.
    pub after: Option<i64>,
}

impl Export {
    /// A document without the field `stored` is always part of the selection.
    fn query(&self) -> Value {
        let mut range = json!({"format": "epoch_millis"});
        if let Some(until) = self.until {
            range["lte"] = until.into();
        }
        if let Some(after) = self.after {
            range["gt"] = after.into();
        }
        let has_no_time = json!({"bool": {"must_not": {"exists": {"field": "stored"}}}});
        match (self.until, self.after) {
            (None, None) => json!({"match_all": {}}),
            _ => {
                json!({"bool": {"filter": {"bool": {"should": [{"range": {"stored": range}}, has_no_time]}}}})
            }
        }
    }
}

/// The position of a document in an export: the time at which it was stored, and its place in the point in time.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Sort(i64, i64);

impl Sort {
    /// When the document was stored, in milliseconds since 1970. None: it does not have this field.
    pub fn stored(&self) -> Option<i64> {
        (self.0 != i64::MAX).then_some(self.0)
    }
}

/// Some documents of an export.
pub struct Page(Bytes);

impl Page {
    /// The documents: id, position, content.
    ///
    /// # Errors
    /// When the response has another form.
    pub fn documents(&self) -> Result<Vec<Document<'_>>> {
        let found: SearchResponse<'_> =
            serde_json::from_slice(&self.0).context("a search gave no hits")?;
        found.hits.hits.into_iter().map(Document::of).collect()
    }
}

/// A document of an export, on one line.
pub struct Document<'a> {
    pub id: Cow<'a, str>,
    pub sort: Sort,
    pub source: Cow<'a, str>,
}

impl<'a> Document<'a> {
    fn of(hit: Hit<'a>) -> Result<Self> {
        let (source, sort) = hit.source.zip(hit.sort).context("a search gave no document")?;
        // only where JSON allows white space, because text contains line breaks as escapes
        let source = match source.get().contains(['\n', '\r']) {
            true => Cow::Owned(source.get().replace(['\n', '\r'], " ")),
            false => Cow::Borrowed(source.get()),
        };
        Ok(Self { id: hit.id, sort, source })
    }
}

impl Elasticsearch {
    /// Opens a view of the index that later changes do not affect. Returns its id.
    pub async fn open_point_in_time(&self, index: &str) -> Result<String> {
        let path = format!("/{index}/_pit?keep_alive={KEEP_ALIVE}");
        let opened: Value = self.request(Method::POST, &path, None).await?.json()?;
        opened["id"].as_str().map(str::to_string).context("`_pit` gave no id")
    }

    pub async fn close_point_in_time(&self, id: &str) -> Result<()> {
        self.request(Method::DELETE, "/_pit", Some(&json!({"id": id}))).await.map(drop)
    }

    /// When the newest visible statement was stored, in milliseconds since 1970. None: there is none.
    pub async fn newest_stored(&self) -> Result<Option<i64>> {
        let search = json!({"size": 0, "aggs": {"newest": {"max": {"field": "stored"}}}});
        let path = format!("/{INDEX}/_search");
        let found: Value = self.request(Method::POST, &path, Some(&search)).await?.json()?;
        Ok(found["aggregations"]["newest"]["value"].as_f64().map(|newest| newest as i64))
    }

    /// The next documents of an export, in the order in which they were stored.
    ///
    /// # Errors
    /// When the point in time is lost, and when a document is larger than the largest accepted response.
    pub async fn export(&self, export: &Export, after: Option<&Sort>, size: usize) -> Result<Page> {
        let sort = json!([{"stored": {"order": "asc", "missing": "_last"}}, {"_shard_doc": "asc"}]);
        let mut search = json!({
            "size": size, "track_total_hits": false, "sort": sort, "query": export.query(),
            "pit": {"id": export.point_in_time, "keep_alive": KEEP_ALIVE},
        });
        if let Some(Sort(stored, position)) = after {
            search["search_after"] = json!([stored, position]);
        }
        let response = self.request(Method::POST, "/_search", Some(&search)).await?;
        Ok(Page(response.body))
    }

    /// How many documents an export has.
    pub async fn count_of_export(&self, export: &Export) -> Result<u64> {
        let search = json!({
            "size": 0, "track_total_hits": true, "query": export.query(),
            "pit": {"id": export.point_in_time, "keep_alive": KEEP_ALIVE},
        });
        let found: Value = self.request(Method::POST, "/_search", Some(&search)).await?.json()?;
        found["hits"]["total"]["value"].as_u64().context("a search gave no total")
    }
}
