//! A file of a backup: written once as a stream, with its size and checksum, and read as a stream.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use anyhow::Result;
use async_compression::Level;
use async_compression::tokio::bufread::GzipDecoder;
use async_compression::tokio::write::GzipEncoder;
use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use object_store::buffered::BufWriter;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio_util::io::StreamReader;

use crate::error::Failure;

use super::location::Store;

/// The size of a part of an upload, in bytes. An object storage accepts 10,000 parts of at least 5 MiB.
const PART: usize = 8 << 20;
/// How many parts are uploaded at once.
const PARTS_AT_ONCE: usize = 2;
/// Fast, because statements and files are read over the network at a limited speed.
const LEVEL: Level = Level::Precise(3);
/// The size of the buffer in front of a stream, in bytes.
const BUFFER: usize = 256 << 10;

/// The record of a complete file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileRecord {
    /// Relative to the folder of the backup.
    pub name: String,
    pub bytes: u64,
    /// Of the file as it is stored, in hexadecimal.
    pub sha256: String,
}

/// Writes a file. Without [`FileWriter::finish`], the file never exists.
pub struct FileWriter {
    stream: Encoder,
    store: Store,
    name: String,
    path: String,
}

enum Encoder {
    Plain(Box<Hashing<BufWriter>>),
    Gzip(Box<GzipEncoder<Hashing<BufWriter>>>),
}

impl FileWriter {
    /// A file in a folder of the location. `compress` writes gzip.
    pub fn new(store: &Store, folder: &str, name: &str, compress: bool) -> Self {
        let path = format!("{folder}/{name}");
        let (to, at) = store.at(&path);
        let writer = BufWriter::with_capacity(to, at, PART).with_max_concurrency(PARTS_AT_ONCE);
        let writer = Hashing::new(writer);
        let stream = match compress {
            true => Encoder::Gzip(Box::new(GzipEncoder::with_quality(writer, LEVEL))),
            false => Encoder::Plain(Box::new(writer)),
        };
        Self { stream, store: store.clone(), name: name.into(), path }
    }

    /// Writes bytes.
    ///
    /// # Errors
    /// When the location does not accept them.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let written = self.write_all(bytes).await;
        written.map_err(|error| self.store.failed(&self.path, error))
    }

    /// The number of stored bytes until now.
    pub fn bytes(&self) -> u64 {
        match &self.stream {
            Encoder::Plain(writer) => writer.bytes,
            Encoder::Gzip(encoder) => encoder.get_ref().bytes,
        }
    }

    /// Completes the file.
    ///
    /// # Errors
    /// When the location does not accept it.
    pub async fn finish(mut self) -> Result<FileRecord> {
        let shut = self.shutdown().await;
        shut.map_err(|error| self.store.failed(&self.path, error))?;
        let writer = match self.stream {
            Encoder::Plain(writer) => *writer,
            Encoder::Gzip(encoder) => encoder.into_inner(),
        };
        Ok(FileRecord { name: self.name, bytes: writer.bytes, sha256: hexadecimal(writer.hash) })
    }

    /// Discards the file.
    pub async fn abort(self) {
        let mut writer = match self.stream {
            Encoder::Plain(writer) => writer.inner,
            Encoder::Gzip(encoder) => encoder.into_inner().inner,
        };
        // the error that ends the backup matters more
        let _ = writer.abort().await;
    }

    fn stream(self: Pin<&mut Self>) -> Pin<&mut (dyn AsyncWrite + Send + Unpin)> {
        match &mut self.get_mut().stream {
            Encoder::Plain(writer) => Pin::new(writer.as_mut()),
            Encoder::Gzip(encoder) => Pin::new(encoder.as_mut()),
        }
    }
}

impl AsyncWrite for FileWriter {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(context)
    }
}

/// Opens a file of a backup.
///
/// # Errors
/// When it does not exist or cannot be read.
pub async fn open(
    store: &Store,
    folder: &str,
    record: &FileRecord,
) -> Result<impl AsyncBufRead + Send + Unpin + use<>> {
    let path = format!("{folder}/{}", record.name);
    let (from, at) = store.at(&path);
    let found = from.get(&at).await.map_err(|error| store.failed(&path, error))?;
    Ok(BufReader::with_capacity(
        BUFFER,
        StreamReader::new(found.into_stream().map_err(io::Error::other)),
    ))
}

/// Opens a compressed file of a backup.
///
/// # Errors
/// When it does not exist or cannot be read.
pub async fn open_gzip(
    store: &Store,
    folder: &str,
    record: &FileRecord,
) -> Result<impl AsyncBufRead + Send + Unpin + use<>> {
    let mut decoder = GzipDecoder::new(open(store, folder, record).await?);
    decoder.multiple_members(true);
    Ok(BufReader::with_capacity(BUFFER, decoder))
}

/// Compares a file with its record. Reports the number of read bytes.
///
/// # Errors
/// When it is absent, cannot be read, or differs.
pub async fn verify(
    store: &Store,
    folder: &str,
    record: &FileRecord,
    read: &mut (dyn FnMut(u64) + Send),
) -> Result<()> {
    let path = format!("{folder}/{}", record.name);
    let damaged = |why: String| {
        Failure::failed(format!("{}: {why}", store.shown(&path)))
            .hint("this backup cannot be restored; use another one")
    };
    let Some(size) = store.size(&path).await? else {
        return Err(damaged("the file is missing".into()).into());
    };
    if size != record.bytes {
        return Err(damaged(format!("{size} bytes instead of {}", record.bytes)).into());
    }
    let (from, at) = store.at(&path);
    let mut stream = from.get(&at).await.map_err(|error| store.failed(&path, error))?.into_stream();
    let mut hash = Sha256::new();
    while let Some(bytes) = stream.try_next().await.map_err(|error| store.failed(&path, error))? {
        hash.update(&bytes);
        read(bytes.len() as u64);
    }
    if hexadecimal(hash) != record.sha256 {
        return Err(damaged("its checksum differs from the manifest".into()).into());
    }
    Ok(())
}

fn hexadecimal(hash: Sha256) -> String {
    data_encoding::HEXLOWER.encode(&hash.finalize())
}

/// Counts and hashes what passes.
struct Hashing<W> {
    inner: W,
    hash: Sha256,
    bytes: u64,
}

impl<W> Hashing<W> {
    fn new(inner: W) -> Self {
        Self { inner, hash: Sha256::new(), bytes: 0 }
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Hashing<W> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write(context, bytes))?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
