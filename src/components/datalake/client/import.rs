//! Stores documents without the LRS, with all their fields, and reads them back.

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{Elasticsearch, ElasticsearchError, SearchResponse, expect_success};

/// The documents of a request that were not stored, by their number.
#[derive(Debug, Default)]
pub struct Created {
    /// The index contains their ids.
    pub existing: Vec<usize>,
    /// Elasticsearch does not accept them, with the reason.
    pub rejected: Vec<(usize, String)>,
}

impl Elasticsearch {
    /// Stores documents in an index unless it contains their ids. `body` has two lines for each: `{"create":{"_id":ID}}` and
    /// the document.
    ///
    /// # Errors
    /// When Elasticsearch rejects the whole request, or one of the documents because it is busy.
    pub async fn create(&self, index: &str, body: Bytes) -> Result<Created> {
        #[derive(Deserialize)]
        struct Items {
            errors: bool,
            #[serde(default)]
            items: Vec<Item>,
        }
        #[derive(Deserialize)]
        struct Item {
            create: Status,
        }
        #[derive(Deserialize)]
        struct Status {
            status: u16,
            #[serde(default)]
            error: Value,
        }
        let path =
            format!("/{index}/_bulk?filter_path=errors,items.create.status,items.create.error");
        let response = self.http.send_as("application/x-ndjson", Method::POST, &path, body).await?;
        let found: Items = expect_success("POST", &path, response)?.json()?;
        let mut created = Created::default();
        if !found.errors {
            return Ok(created);
        }
        for (number, Item { create: Status { status, error } }) in
            found.items.into_iter().enumerate()
        {
            let reason = || error["reason"].as_str().unwrap_or("no reason given").to_string();
            match StatusCode::from_u16(status)? {
                StatusCode::CONFLICT => created.existing.push(number),
                status if status.is_success() => {}
                status if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS => {
                    created.rejected.push((number, reason()));
                }
                status => {
                    return Err(
                        ElasticsearchError { status, request: path, reason: reason() }.into()
                    );
                }
            }
        }
        Ok(created)
    }

    /// Hands each of these documents that a search finds to `visit`, with its id. `ids` must fit into one response.
    pub async fn visit(
        &self,
        index: &str,
        ids: &[&str],
        mut visit: impl FnMut(&str, &RawValue),
    ) -> Result<()> {
        let query = json!({"query": {"ids": {"values": ids}}, "size": ids.len()});
        let response =
            self.request(Method::POST, &format!("/{index}/_search"), Some(&query)).await?;
        let found: SearchResponse<'_> =
            serde_json::from_slice(&response.body).context("a search gave no hits")?;
        for hit in &found.hits.hits {
            if let Some(source) = hit.source {
                visit(&hit.id, source);
            }
        }
        Ok(())
    }
}
