//! Stores the statements of a backup in Elasticsearch, and verifies each by id and content.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::io::AsyncBufReadExt;

use crate::backup::file;
use crate::backup::location::Store;
use crate::backup::manifest::{Manifest, Part};
use crate::cluster::retry::Retry;
use crate::components::datalake::client::{Created, Elasticsearch, is_rejection};
use crate::engine::Progress;
use crate::error::Failure;
use crate::output::pace::Pace;
use crate::output::units::{count, counted};
use crate::xapi::content::{Content, hash_of_bytes};

use super::parse;

/// The desired size of a request, in bytes, and its limit in statements.
const REQUEST: usize = 4 << 20;
const STATEMENTS_PER_REQUEST: usize = 2_000;
/// The number of concurrent requests.
const REQUESTS: usize = 3;
/// Statements to store before they are verified.
const WINDOW: usize = 50_000;
/// The number of ids that an error lists.
const LISTED: usize = 5;

/// What identifies the content of a stored statement.
#[derive(Clone, Copy)]
struct Expected {
    bytes: u64,
    /// For a statement that the index contained before. The LRS may have stored it in other words.
    content: Option<Content>,
    size: usize,
}

/// The statements of one request.
#[derive(Default)]
struct Request {
    body: Vec<u8>,
    expected: Vec<(String, Expected)>,
    /// The ends of the statements in the body, without their line breaks.
    ends: Vec<usize>,
}

/// Stores the statements of a part in an index, except those that the index contains already, and verifies all of them. Returns
/// their number.
///
/// # Errors
/// When the backup cannot be read, when Elasticsearch fails or rejects a statement, and when a statement with the id of one
/// in the backup has other content.
pub async fn import(
    elasticsearch: &Arc<Elasticsearch>,
    index: &str,
    store: &Store,
    manifest: &Manifest,
    part: &Part,
    progress: &Progress<'_>,
) -> Result<u64> {
    let mut run = Import {
        elasticsearch,
        index,
        retry: Retry::quiet(),
        total: part.count(),
        verified: 0,
        begun: Instant::now(),
        pace: Pace::default(),
        progress,
    };
    let mut window = Vec::new();
    let mut running = FuturesUnordered::new();
    for record in &part.files {
        let mut lines = file::open_gzip(store, &manifest.name, record).await?;
        let (mut line, mut request, mut number) = (Vec::new(), Request::default(), 0_u64);
        loop {
            line.clear();
            let read = lines.read_until(b'\n', &mut line).await;
            let is_end = read.with_context(|| store.shown(&record.name))? == 0;
            if !is_end {
                number += 1;
                let line = line.strip_suffix(b"\n").unwrap_or(&line);
                request.add(line).with_context(|| format!("{}: line {number}", record.name))?;
            }
            if request.is_full() || (is_end && !request.expected.is_empty()) {
                while running.len() >= REQUESTS {
                    window.append(&mut running.next().await.transpose()?.unwrap_or_default());
                }
                running.push(send(elasticsearch, index, std::mem::take(&mut request)));
            }
            if window.len() >= WINDOW {
                run.verify(&mut window).await?;
            }
            if is_end {
                break;
            }
        }
    }
    while let Some(stored) = running.next().await {
        window.append(&mut stored?);
    }
    run.verify(&mut window).await?;
    Ok(run.verified)
}

impl Request {
    fn add(&mut self, line: &[u8]) -> Result<()> {
        let (id, source) = parse(line).context("not a statement")?;
        self.body.extend_from_slice(b"{\"create\":{\"_id\":");
        self.body.extend_from_slice(serde_json::Value::from(id.as_ref()).to_string().as_bytes());
        self.body.extend_from_slice(b"}}\n");
        self.body.extend_from_slice(source);
        self.ends.push(self.body.len());
        self.body.push(b'\n');
        let expected = Expected { bytes: hash_of_bytes(source), content: None, size: source.len() };
        self.expected.push((id.into_owned(), expected));
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.body.len() >= REQUEST || self.expected.len() >= STATEMENTS_PER_REQUEST
    }
}

/// Stores the statements of a request, and returns what must be stored then.
async fn send(
    elasticsearch: &Elasticsearch,
    index: &str,
    request: Request,
) -> Result<Vec<(String, Expected)>> {
    let Request { body, mut expected, ends } = request;
    let body = Bytes::from(body);
    let create = || elasticsearch.create(index, body.clone());
    let Created { existing, rejected } =
        Retry::quiet().until_decided("no response", is_rejection, create).await?;
    for number in existing {
        if let (Some((_, expected)), Some(&end)) = (expected.get_mut(number), ends.get(number)) {
            expected.content = Some(Content::of(&body[end - expected.size..end]));
        }
    }
    match rejected.first() {
        None => Ok(expected),
        Some((number, reason)) => Err(Failure::failed(format!(
            "Elasticsearch rejected {}, the first with id {}: {reason}",
            counted(rejected.len() as u64, "statement"),
            expected.get(*number).map_or("?", |(id, _)| id)
        ))
        .into()),
    }
}

struct Import<'a> {
    elasticsearch: &'a Elasticsearch,
    index: &'a str,
    retry: Retry,
    total: u64,
    /// Statements with the content of the backup.
    verified: u64,
    begun: Instant,
    pace: Pace,
    progress: &'a Progress<'a>,
}

impl Import<'_> {
    /// Compares stored statements with the backup, and empties the list.
    async fn verify(&mut self, window: &mut Vec<(String, Expected)>) -> Result<()> {
        if window.is_empty() {
            return Ok(());
        }
        let refresh = || self.elasticsearch.refresh(self.index);
        self.retry.until_decided("no response", is_rejection, refresh).await?;
        let mut rest = window.as_slice();
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = rest.iter().take(STATEMENTS_PER_REQUEST).take_while(|(_, expected)| {
                bytes += expected.size;
                bytes <= REQUEST
            });
            let (now, later) = rest.split_at(fits.count().max(1));
            self.compare(now).await?;
            rest = later;
            self.report();
        }
        window.clear();
        Ok(())
    }

    async fn compare(&mut self, expected: &[(String, Expected)]) -> Result<()> {
        let ids: Vec<&str> = expected.iter().map(|(id, _)| id.as_str()).collect();
        let visit = || async {
            let mut wanted: HashMap<&str, Expected> =
                expected.iter().map(|(id, expected)| (id.as_str(), *expected)).collect();
            let mut differing = Vec::new();
            let visit = |id: &str, source: &serde_json::value::RawValue| {
                let source = source.get().as_bytes();
                let Some(expected) = wanted.remove(id) else { return };
                let is_equal = || {
                    let content = expected.content;
                    content.is_some_and(|content| content.matches_stored(Content::of(source)))
                };
                if hash_of_bytes(source) != expected.bytes && !is_equal() {
                    differing.push(id.to_string());
                }
            };
            self.elasticsearch.visit(self.index, &ids, visit).await?;
            let missing: Vec<String> = wanted.into_keys().map(str::to_string).collect();
            anyhow::Ok((missing, differing))
        };
        let found = self.retry.until_decided("no response", is_rejection, visit).await?;
        let (missing, differing) = found;
        let failure = |ids: &[String], what: &str| {
            let first: Vec<&str> = ids.iter().take(LISTED).map(String::as_str).collect();
            Failure::failed(format!(
                "{} {what}, such as {}",
                counted(ids.len() as u64, "statement"),
                first.join(", ")
            ))
        };
        if !missing.is_empty() {
            return Err(failure(&missing, "of the backup not stored").into());
        }
        if !differing.is_empty() {
            return Err(failure(&differing, "with other content than in the backup")
                .hint("restore into another namespace, or delete them: kubectl lastack statements delete ID")
                .into());
        }
        self.verified += expected.len() as u64;
        Ok(())
    }

    fn report(&mut self) {
        if !self.pace.is_due() {
            return;
        }
        let verified = self.verified;
        let rate = verified as f64 / self.begun.elapsed().as_secs_f64().max(0.001);
        self.progress.say(&format!(
            "{} of {} statements stored and verified, {} per second",
            count(verified),
            count(self.total),
            count(rate as u64)
        ));
    }
}
