//! A client for Elasticsearch's REST API, limited to the requests of this tool.

pub mod authorities;
mod export;
mod import;
pub mod moodle_events;

use std::borrow::Cow;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::cluster::http::{HttpClient, Response};
use crate::error::Failure;
use crate::xapi::content::Content;
use crate::xapi::surrogates;

pub use export::{Export, Sort};
pub use import::Created;

/// The index that holds the statements.
pub const INDEX: &str = "statements";
/// The index that a restore fills before it replaces the statements.
pub const RESTORED: &str = "statements-restored";
/// The index that holds the measured size of the data lake over time.
pub const SIZES: &str = "data-lake-size";

pub struct Elasticsearch {
    http: HttpClient,
}

#[derive(Debug, Deserialize)]
pub struct ClusterHealth {
    pub status: String,
    pub number_of_nodes: u32,
}

/// The number and size of the stored statements, and the time of the newest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    pub statements: u64,
    pub bytes: u64,
    /// Time at which the newest statement was stored. None for an empty index.
    pub newest_stored: Option<jiff::Timestamp>,
}

/// The stored statements, by their origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origins {
    pub statements: u64,
    /// Statements that `seed` did not generate.
    pub real: u64,
    /// The number of their actors, which is approximate above 3,000.
    pub learners: u64,
}

/// The statements that were stored in the last hour, without generated ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastHour {
    pub stored: u64,
    /// The times from event to storage of a random sample, sorted.
    lags: Vec<Duration>,
}

impl LastHour {
    /// The lag that this share of the statements does not exceed. None: nothing was stored.
    pub fn lag(&self, share: f64) -> Option<Duration> {
        let rank = (share * self.lags.len() as f64).ceil() as usize;
        self.lags.get(rank.saturating_sub(1)).copied()
    }
}

/// The disk of a node, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// The name of the node, which is that of its Pod.
    pub node: String,
    pub total: u64,
    pub available: u64,
    /// With less left, Elasticsearch moves shards away.
    pub high_watermark: u64,
    /// With less left, Elasticsearch stores nothing.
    pub flood_stage: u64,
}

/// A measurement of the data lake's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measurement {
    pub at: jiff::Timestamp,
    pub bytes: u64,
    pub free_bytes: u64,
}

impl Elasticsearch {
    pub fn new(http: HttpClient) -> Self {
        Self { http }
    }

    pub async fn health(&self) -> Result<ClusterHealth> {
        self.request(Method::GET, "/_cluster/health", None).await?.json()
    }

    /// Why a shard is unassigned. None when all shards are assigned.
    pub async fn why_unassigned(&self) -> Result<Option<String>> {
        let response = self.http.get("/_cluster/allocation/explain").await?;
        if response.status == StatusCode::BAD_REQUEST {
            return Ok(None);
        }
        let found: Value =
            expect_success("GET", "/_cluster/allocation/explain", response)?.json()?;
        let deciders = found["node_allocation_decisions"]
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(|node| node["deciders"].as_array());
        let rejection = deciders
            .flatten()
            .find(|decider| decider["decision"] == "NO")
            .and_then(|decider| decider["explanation"].as_str());
        Ok(rejection.map(|why| {
            format!("index {} cannot be placed: {why}", found["index"].as_str().unwrap_or("?"))
        }))
    }

    /// Settings (by their full names) and mapping of an index. None when the index does not exist.
    pub async fn index(&self, name: &str) -> Result<Option<Value>> {
        let response = self.http.get(&format!("/{name}?flat_settings=true")).await?;
        if response.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let all: Value = expect_success("GET", &format!("/{name}"), response)?.json()?;
        Ok(all.as_object().and_then(|indices| indices.values().next().cloned()))
    }

    /// Whether the index of statements is absent or blocked, so that it accepts no statements.
    pub async fn is_closed(&self) -> Result<bool> {
        let Some(index) = self.index(INDEX).await? else { return Ok(true) };
        let settings = index["settings"].as_object().into_iter().flatten();
        Ok(settings.into_iter().any(|(name, value)| {
            name.starts_with("index.blocks.") && (value == "true" || value == true)
        }))
    }

    pub async fn create_index(&self, name: &str, body: &Value) -> Result<()> {
        self.request(Method::PUT, &format!("/{name}"), Some(body)).await.map(drop)
    }

    pub async fn delete_index(&self, name: &str) -> Result<()> {
        self.request(Method::DELETE, &format!("/{name}"), None).await.map(drop)
    }

    /// Creates an index with the documents of another one, which accepts no writes. Waits until it can be searched.
    ///
    /// # Errors
    /// When Elasticsearch does not create it, or when it cannot be searched within a minute.
    pub async fn clone_index(&self, from: &str, to: &str, body: &Value) -> Result<()> {
        let path = format!("/{from}/_clone/{to}?timeout=50s");
        let cloned: Value = self.request(Method::PUT, &path, Some(body)).await?.json()?;
        match cloned["shards_acknowledged"] == true {
            true => Ok(()),
            false => Err(Failure::failed(format!("index {to} did not start within 50 s"))
                .hint("run `kubectl lastack status` for the cause")
                .into()),
        }
    }

    pub async fn put_mapping(&self, name: &str, mapping: &Value) -> Result<()> {
        self.request(Method::PUT, &format!("/{name}/_mapping"), Some(mapping)).await.map(drop)
    }

    pub async fn put_settings(&self, index: &str, settings: &Value) -> Result<()> {
        self.request(Method::PUT, &format!("/{index}/_settings"), Some(settings)).await.map(drop)
    }

    /// Makes all documents of an index visible to searches.
    pub async fn refresh(&self, index: &str) -> Result<()> {
        self.request(Method::POST, &format!("/{index}/_refresh"), None).await.map(drop)
    }

    /// The number of documents that a search finds.
    pub async fn count(&self, index: &str) -> Result<u64> {
        let response: Value =
            self.request(Method::GET, &format!("/{index}/_count"), None).await?.json()?;
        response["count"].as_u64().context("`_count` gave no count")
    }

    pub async fn contents(&self) -> Result<Contents> {
        let search = json!({"size": 0, "track_total_hits": true, "aggs": {"newest": {"max": {"field": "stored"}}}});
        let (search_path, stats_path) =
            (format!("/{INDEX}/_search"), format!("/{INDEX}/_stats/store"));
        let (found, stats) = tokio::try_join!(
            self.request(Method::POST, &search_path, Some(&search)),
            self.request(Method::GET, &stats_path, None)
        )?;
        let (found, stats): (Value, Value) = (found.json()?, stats.json()?);
        Ok(Contents {
            statements: found["hits"]["total"]["value"]
                .as_u64()
                .context("a search gave no total")?,
            bytes: stats["_all"]["total"]["store"]["size_in_bytes"].as_u64().unwrap_or_default(),
            newest_stored: found["aggregations"]["newest"]["value"]
                .as_f64()
                .and_then(|ms| jiff::Timestamp::from_millisecond(ms as i64).ok()),
        })
    }

    /// Counts the statements whose actor has another home page than `generated`.
    pub async fn origins(&self, generated: &Value) -> Result<Origins> {
        let actors = |field: &str| json!({"cardinality": {"field": format!("actor.{field}")}});
        let search = json!({"size": 0, "track_total_hits": true, "aggs": {"real": {
            "filter": {"bool": {"must_not": generated}},
            "aggs": {"accounts": actors("account.name"), "mailboxes": actors("mbox")},
        }}});
        let path = format!("/{INDEX}/_search");
        let found: Value = self.request(Method::POST, &path, Some(&search)).await?.json()?;
        let number = |pointer: &str| found.pointer(pointer).and_then(Value::as_u64);
        let real = "/aggregations/real";
        let actors = |kind: &str| number(&format!("{real}/{kind}/value")).unwrap_or_default();
        Ok(Origins {
            statements: number("/hits/total/value").context("a search gave no total")?,
            real: number(&format!("{real}/doc_count")).context("a search gave no count")?,
            learners: actors("accounts") + actors("mailboxes"),
        })
    }

    /// The statements of the last hour, except those that the clauses `generated` select.
    pub async fn last_hour(&self, generated: &Value) -> Result<LastHour> {
        const SAMPLE: usize = 500;
        let time = |field: &str| json!({"field": field, "format": "epoch_millis"});
        let search = json!({
            "size": SAMPLE, "track_total_hits": true, "_source": false,
            "docvalue_fields": [time("timestamp"), time("stored")],
            "query": {"function_score": {
                "query": {"bool": {
                    "filter": {"range": {"stored": {"gte": "now-1h"}}},
                    "must_not": generated,
                }},
                "random_score": {},
            }},
        });
        let path = format!("/{INDEX}/_search");
        let found: Value = self.request(Method::POST, &path, Some(&search)).await?.json()?;
        let lag = |hit: &Value| {
            let time = |field: &str| hit["fields"][field][0].as_str()?.parse::<u64>().ok();
            // the clocks of the event and of the LRS may differ
            Some(Duration::from_millis(time("stored")?.saturating_sub(time("timestamp")?)))
        };
        let hits = found["hits"]["hits"].as_array().context("a search gave no hits")?;
        let mut lags: Vec<Duration> = hits.iter().filter_map(lag).collect();
        lags.sort();
        let stored = found["hits"]["total"]["value"].as_u64().context("a search gave no total")?;
        Ok(LastHour { stored, lags })
    }

    pub async fn disks(&self) -> Result<Vec<Disk>> {
        let found: Value = self.request(Method::GET, "/_nodes/stats/fs", None).await?.json()?;
        let nodes = found["nodes"].as_object().context("the statistics name no nodes")?;
        let disks = nodes.values().flat_map(|node| {
            let paths = node["fs"]["data"].as_array().into_iter().flatten();
            paths.map(move |path| {
                let bytes =
                    |name: &str| path[format!("{name}_in_bytes")].as_u64().unwrap_or_default();
                Disk {
                    node: node["name"].as_str().unwrap_or_default().into(),
                    total: bytes("total"),
                    available: bytes("available"),
                    high_watermark: bytes("high_watermark_free_space"),
                    flood_stage: bytes("flood_stage_free_space"),
                }
            })
        });
        Ok(disks.collect())
    }

    /// The first or the last measurement of a week: `asc` or `desc`. None: nothing was measured.
    pub async fn measurement(&self, order: &str) -> Result<Option<Measurement>> {
        let search = json!({
            "size": 1,
            "query": {"range": {"timestamp": {"gte": "now-7d"}}},
            "sort": [{"timestamp": {"order": order}}],
        });
        // a stack without dashboards has no such index
        let path = format!("/{SIZES}/_search?ignore_unavailable=true");
        let found: Value = self.request(Method::POST, &path, Some(&search)).await?.json()?;
        let source = &found["hits"]["hits"][0]["_source"];
        let measured = || {
            Some(Measurement {
                at: source["timestamp"].as_str()?.parse().ok()?,
                bytes: source["bytes"].as_u64()?,
                free_bytes: source["free_bytes"].as_u64()?,
            })
        };
        Ok(measured())
    }

    /// When the first of its certificates ends. None: it has none.
    pub async fn certificates_end(&self) -> Result<Option<jiff::Timestamp>> {
        let found: Value = self.request(Method::GET, "/_ssl/certificates", None).await?.json()?;
        let certificates = found.as_array().context("`_ssl/certificates` gave no list")?;
        let end = |certificate: &Value| certificate["expiry"].as_str()?.parse().ok();
        Ok(certificates.iter().filter_map(end).min())
    }

    /// The privileges of the account.
    pub async fn privileges(&self) -> Result<Value> {
        self.request(Method::GET, "/_security/user/_privileges", None).await?.json()
    }

    /// How many of these statements a search finds.
    pub async fn count_of(&self, ids: &[Uuid]) -> Result<u64> {
        let query = json!({"query": {"ids": {"values": ids}}});
        let response: Value =
            self.request(Method::POST, &format!("/{INDEX}/_count"), Some(&query)).await?.json()?;
        response["count"].as_u64().context("`_count` gave no count")
    }

    /// The contents of these statements that a search finds, in any order. `ids` must fit into one response.
    pub async fn contents_of(&self, ids: &[Uuid]) -> Result<Vec<(Uuid, Content)>> {
        let query = json!({"query": {"ids": {"values": ids}}, "size": ids.len()});
        let response =
            self.request(Method::POST, &format!("/{INDEX}/_search"), Some(&query)).await?;
        let found: SearchResponse<'_> =
            serde_json::from_slice(&response.body).context("a search gave no hits")?;
        let contents = found.hits.hits.iter();
        Ok(contents
            .filter_map(|hit| {
                Some((hit.id.parse().ok()?, Content::of(hit.source?.get().as_bytes())))
            })
            .collect())
    }

    /// The ids of damaged statements among the newest 100, which is a page of the LRS. A damaged statement contains an
    /// unpaired surrogate. Ralph cannot return a page with one.
    pub async fn unreadable(&self) -> Result<Vec<String>> {
        let query = json!({"size": 100, "sort": [{"timestamp": {"order": "desc"}}]});
        let response =
            self.request(Method::POST, &format!("/{INDEX}/_search"), Some(&query)).await?;
        let found: SearchResponse<'_> =
            serde_json::from_slice(&response.body).context("a search gave no hits")?;
        let damaged = found.hits.hits.iter().filter(|hit| {
            hit.source.is_some_and(|source| surrogates::unpaired(source.get().as_bytes()).is_some())
        });
        Ok(damaged.map(|hit| hit.id.to_string()).collect())
    }

    /// Deletes one statement. Later searches and counts do not include it. False: no statement has this id.
    pub async fn delete_if_stored(&self, id: Uuid) -> Result<bool> {
        let path = format!("/{INDEX}/_doc/{id}?refresh=true");
        let response = self.http.send(Method::DELETE, &path, Bytes::new()).await?;
        if response.status == StatusCode::NOT_FOUND {
            return Ok(false);
        }
        expect_success("DELETE", &path, response).map(|_| true)
    }

    /// Deletes one statement. Later searches and counts do not include it.
    pub async fn delete(&self, id: Uuid) -> Result<()> {
        self.request(Method::DELETE, &format!("/{INDEX}/_doc/{id}?refresh=true"), None)
            .await
            .map(drop)
    }

    /// The ids of these statements (at most 10,000) that a search finds.
    pub async fn find(&self, ids: &[Uuid]) -> Result<Vec<Uuid>> {
        let query = json!({"query": {"ids": {"values": ids}}, "size": ids.len(), "_source": false});
        let response: Value =
            self.request(Method::POST, &format!("/{INDEX}/_search"), Some(&query)).await?.json()?;
        let hits = response["hits"]["hits"].as_array().context("a search gave no hits")?;
        Ok(hits.iter().filter_map(|hit| hit["_id"].as_str()?.parse().ok()).collect())
    }

    async fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Response> {
        let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        expect_success(method.clone().as_str(), path, self.http.send(method, path, body).await?)
    }
}

fn expect_success(method: &str, path: &str, response: Response) -> Result<Response> {
    if response.status.is_success() {
        return Ok(response);
    }
    let reason = serde_json::from_slice::<Value>(&response.body)
        .ok()
        .and_then(|body| Some(body.pointer("/error/reason")?.as_str()?.to_string()))
        .unwrap_or_else(|| response.excerpt());
    let rejection =
        ElasticsearchError { status: response.status, request: format!("{method} {path}"), reason };
    Err(match response.status {
        StatusCode::UNAUTHORIZED => Failure::failed(rejection.to_string())
            .hint("wait a minute for the operator to apply a new password, then repeat the command")
            .because(rejection)
            .into(),
        _ => rejection.into(),
    })
}

/// The response to a search, with unparsed documents.
#[derive(Deserialize)]
struct SearchResponse<'a> {
    #[serde(borrow)]
    hits: Hits<'a>,
}

#[derive(Deserialize)]
struct Hits<'a> {
    #[serde(borrow)]
    hits: Vec<Hit<'a>>,
}

#[derive(Deserialize)]
struct Hit<'a> {
    #[serde(rename = "_id", borrow)]
    id: Cow<'a, str>,
    #[serde(rename = "_source", borrow, default)]
    source: Option<&'a RawValue>,
    #[serde(default)]
    sort: Option<Sort>,
}

/// A response of Elasticsearch with an error status.
#[derive(Debug, thiserror::Error)]
#[error("Elasticsearch responded with {} to {request}: {reason}", status.as_u16())]
struct ElasticsearchError {
    status: StatusCode,
    request: String,
    reason: String,
}

/// Whether Elasticsearch rejected the request for good. A busy Elasticsearch may accept it later.
pub fn is_rejection(error: &anyhow::Error) -> bool {
    let is_busy =
        |status| matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
    status(error).is_some_and(|status| status.is_client_error() && !is_busy(status))
}

/// Whether Elasticsearch rejected the password. The operator applies a new one with a delay.
pub fn is_unauthorized(error: &anyhow::Error) -> bool {
    status(error) == Some(StatusCode::UNAUTHORIZED)
}

fn status(error: &anyhow::Error) -> Option<StatusCode> {
    let rejection = error.chain().find_map(|cause| cause.downcast_ref::<ElasticsearchError>());
    rejection.map(|rejection| rejection.status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_of_a_share_is_that_of_a_statement() {
        let seconds = |lags: std::ops::RangeInclusive<u64>| LastHour {
            stored: 100,
            lags: lags.map(Duration::from_secs).collect(),
        };
        let lag = |hour: &LastHour, share| hour.lag(share).map(|lag| lag.as_secs());
        let hour = seconds(1..=100);
        assert_eq!((lag(&hour, 0.5), lag(&hour, 0.95)), (Some(50), Some(95)));
        let one = seconds(7..=7);
        assert_eq!((lag(&one, 0.5), lag(&one, 0.95)), (Some(7), Some(7)));
        assert_eq!(lag(&LastHour { stored: 0, lags: Vec::new() }, 0.5), None);
    }
}
