//! Statements by the event of Moodle that they were made of. The plugin logstore_xapi writes its name into each statement.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use http::Method;
use serde_json::{Value, json};

use super::{Elasticsearch, INDEX};

/// The field with the name of the event, such as `\core\event\course_viewed`.
const EVENT: &str = "la_moodle_event";
/// Groups per request.
const PAGE: usize = 1000;
/// More kinds of events than Moodle has.
const KINDS: usize = 10_000;

/// The statements that an LRS account stored, with times in a period of seconds since 1970.
#[derive(Debug, Clone)]
pub struct Stored {
    /// The authority of the account, such as `mailto:moodle@lrs.example.org`.
    pub authority: String,
    pub since: i64,
    pub until: i64,
}

impl Stored {
    fn query(&self) -> Value {
        json!({"bool": {"filter": [
            {"term": {"authority.mbox": self.authority}},
            {"range": {"timestamp": {"gte": self.since, "lt": self.until, "format": "epoch_second"}}},
        ]}})
    }
}

/// The statements that were made of one kind of event.
#[derive(Debug, Clone)]
pub struct OfEvent {
    pub statements: u64,
    /// The most frequent verbs.
    pub verbs: Vec<String>,
    /// The most frequent types of objects.
    pub types: Vec<String>,
}

impl Elasticsearch {
    /// The number of statements.
    ///
    /// # Errors
    /// When Elasticsearch does not respond as expected.
    pub async fn count_stored(&self, stored: &Stored) -> Result<u64> {
        let body = json!({"query": stored.query()});
        let path = format!("/{INDEX}/_count");
        let response: Value = self.request(Method::POST, &path, Some(&body)).await?.json()?;
        response["count"].as_u64().context("`_count` gave no count")
    }

    /// The numbers of statements by event and by the hour of their time, in seconds since 1970.
    ///
    /// # Errors
    /// When Elasticsearch does not respond as expected.
    pub async fn stored_by_hour(&self, stored: &Stored) -> Result<BTreeMap<(String, i64), u64>> {
        let mut found = BTreeMap::new();
        let mut after = Value::Null;
        loop {
            let mut groups = json!({"size": PAGE, "sources": [
                {"event": {"terms": {"field": EVENT}}},
                {"hour": {"date_histogram": {"field": "timestamp", "fixed_interval": "1h"}}},
            ]});
            if !after.is_null() {
                groups["after"] = after;
            }
            let search = json!({
                "size": 0, "query": stored.query(), "aggs": {"groups": {"composite": groups}},
            });
            let path = format!("/{INDEX}/_search");
            let mut response: Value =
                self.request(Method::POST, &path, Some(&search)).await?.json()?;
            let groups = response["aggregations"]["groups"].take();
            for group in groups["buckets"].as_array().context("a search gave no groups")? {
                let event = group["key"]["event"].as_str().context("a group without an event")?;
                let hour = group["key"]["hour"].as_i64().context("a group without an hour")?;
                let statements = group["doc_count"].as_u64().unwrap_or_default();
                found.insert((event.to_string(), hour / 1000), statements);
            }
            after = groups["after_key"].clone();
            if after.is_null() {
                return Ok(found);
            }
        }
    }

    /// The statements by event.
    ///
    /// # Errors
    /// When Elasticsearch does not respond as expected.
    pub async fn stored_by_event(&self, stored: &Stored) -> Result<BTreeMap<String, OfEvent>> {
        let most = |field: &str| json!({"terms": {"field": field, "size": 3}});
        let search = json!({"size": 0, "query": stored.query(), "aggs": {"events": {
            "terms": {"field": EVENT, "size": KINDS},
            "aggs": {"verbs": most("verb.id"), "types": most("object.definition.type")},
        }}});
        let path = format!("/{INDEX}/_search");
        let response: Value = self.request(Method::POST, &path, Some(&search)).await?.json()?;
        let groups = response.pointer("/aggregations/events/buckets").and_then(Value::as_array);
        let of_event = |group: &Value| {
            let keys = |of: &str| {
                let buckets = group[of]["buckets"].as_array().into_iter().flatten();
                buckets.filter_map(|one| Some(one["key"].as_str()?.to_string())).collect()
            };
            let statements = group["doc_count"].as_u64().unwrap_or_default();
            let of_event = OfEvent { statements, verbs: keys("verbs"), types: keys("types") };
            Some((group["key"].as_str()?.to_string(), of_event))
        };
        Ok(groups.context("a search gave no events")?.iter().filter_map(of_event).collect())
    }
}
