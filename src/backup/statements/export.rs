//! Copies statements from Elasticsearch into files.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use tokio::sync::mpsc;

use crate::backup::STATEMENTS;
use crate::backup::file::FileWriter;
use crate::backup::location::Store;
use crate::backup::manifest::Manifest;
use crate::cluster::retry::Retry;
use crate::components::datalake::INDEX;
use crate::components::datalake::client::{Elasticsearch, Export, Sort, is_rejection};
use crate::engine::Progress;
use crate::error::Failure;
use crate::output::pace::Pace;
use crate::output::units::{bytes, count};

use super::append;

/// A file ends after this many statements, as soon as the next one was stored at another time.
const STATEMENTS_PER_FILE: u64 = 100_000;
/// The desired size of a response, in bytes.
const RESPONSE: usize = 4 << 20;
const FIRST_PAGE: usize = 500;
const LARGEST_PAGE: usize = 5_000;

/// The lines of one page, and where each ends.
struct Lines {
    text: Vec<u8>,
    documents: Vec<(usize, Sort)>,
}

/// Copies all statements that were stored until the time in the manifest, except those that its files contain already.
///
/// # Errors
/// When Elasticsearch or the location fails. The files that are complete remain.
pub async fn export(
    elasticsearch: Elasticsearch,
    store: &Store,
    manifest: &mut Manifest,
    progress: &Progress<'_>,
) -> Result<()> {
    let elasticsearch = Arc::new(elasticsearch);
    let part = manifest.part_mut(STATEMENTS);
    let has_files = !part.files.is_empty();
    let (copied, after) = (part.count(), part.stored);
    if has_files && after.is_none() {
        // documents without the time at which they were stored are the last
        return Ok(());
    }
    let retry = Retry::quiet();
    let open = || elasticsearch.open_point_in_time(INDEX);
    let point_in_time = retry.until_decided("no response", is_rejection, open).await?;
    let export = Arc::new(Export { point_in_time, until: manifest.until, after });
    let ended = copy(&elasticsearch, &export, &retry, store, manifest, copied, progress).await;
    // Elasticsearch closes it later otherwise
    let _ = elasticsearch.close_point_in_time(&export.point_in_time).await;
    ended
}

async fn copy(
    elasticsearch: &Arc<Elasticsearch>,
    export: &Arc<Export>,
    retry: &Retry,
    store: &Store,
    manifest: &mut Manifest,
    mut copied: u64,
    progress: &Progress<'_>,
) -> Result<()> {
    let count_all = || elasticsearch.count_of_export(export);
    let total = copied + retry.until_decided("no response", is_rejection, count_all).await?;
    // the next page is requested while this one is compressed
    let (pages, mut queue) = mpsc::channel(1);
    let reading = tokio::spawn(read(Arc::clone(elasticsearch), Arc::clone(export), pages));
    let (begun, mut pace) = (Instant::now(), Pace::default());
    let (mut file, mut last) = (None::<(FileWriter, u64)>, None::<Sort>);
    while let Some(Lines { text, documents }) = queue.recv().await {
        let mut from = 0;
        let mut end = 0;
        for (after, sort) in documents {
            let is_full = file.as_ref().is_some_and(|(_, count)| *count >= STATEMENTS_PER_FILE);
            let is_other_time = last.as_ref().is_some_and(|last| last.stored() != sort.stored());
            if is_full
                && is_other_time
                && let Some((mut writer, statements)) = file.take()
            {
                writer.write(&text[from..end]).await?;
                from = end;
                finish(writer, statements, last.as_ref(), store, manifest).await?;
            }
            let number = manifest.part_mut(STATEMENTS).files.len() + 1;
            let (_, count) = file.get_or_insert_with(|| {
                let name = format!("statements/{number:06}.ndjson.gz");
                (FileWriter::new(store, &manifest.name, &name, true), 0)
            });
            *count += 1;
            copied += 1;
            (end, last) = (after, Some(sort));
        }
        if let Some((writer, _)) = &mut file {
            writer.write(&text[from..]).await?;
        }
        if pace.is_due() {
            let written = manifest.part_mut(STATEMENTS).bytes()
                + file.as_ref().map_or(0, |(writer, _)| writer.bytes());
            let rate = copied as f64 / begun.elapsed().as_secs_f64().max(0.001);
            progress.say(&format!(
                "{} of {} statements, {}, {} per second",
                count(copied),
                count(total),
                bytes(written),
                count(rate as u64)
            ));
        }
    }
    let is_whole = || match copied == total {
        true => Ok(()),
        false => Err(Failure::failed(format!(
            "{} of {} statements could be read",
            count(copied),
            count(total)
        ))
        .hint("repeat the command to continue")
        .into()),
    };
    if let Err(error) = reading.await?.and_then(|()| is_whole()) {
        // a cut file is not part of the backup
        if let Some((writer, _)) = file {
            writer.abort().await;
        }
        return Err(error);
    }
    if let Some((writer, statements)) = file {
        finish(writer, statements, last.as_ref(), store, manifest).await?;
    }
    Ok(())
}

async fn finish(
    writer: FileWriter,
    statements: u64,
    last: Option<&Sort>,
    store: &Store,
    manifest: &mut Manifest,
) -> Result<()> {
    let record = writer.finish().await?;
    let part = manifest.part_mut(STATEMENTS);
    part.files.push(record);
    part.statements.push(statements);
    part.stored = last.and_then(Sort::stored);
    manifest.save_progress(store).await
}

/// Requests pages and makes them lines.
async fn read(
    elasticsearch: Arc<Elasticsearch>,
    export: Arc<Export>,
    pages: mpsc::Sender<Lines>,
) -> Result<()> {
    let retry = Retry::quiet();
    let (mut after, mut size) = (None, FIRST_PAGE);
    loop {
        let request = || elasticsearch.export(&export, after.as_ref(), size);
        let page = retry.until_decided("no response", is_rejection, request).await?;
        let mut lines = Lines { text: Vec::new(), documents: Vec::new() };
        for document in page.documents()? {
            append(&mut lines.text, &document.id, &document.source);
            lines.documents.push((lines.text.len(), document.sort));
        }
        let Some((_, last)) = lines.documents.last() else { return Ok(()) };
        after = Some(last.clone());
        let average = lines.text.len() / lines.documents.len();
        let is_last = lines.documents.len() < size;
        size = (RESPONSE / average.max(1)).clamp(1, LARGEST_PAGE);
        if pages.send(lines).await.is_err() || is_last {
            return Ok(());
        }
    }
}
