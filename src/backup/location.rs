//! A place for backups: a directory, or a bucket of an object storage that speaks the protocol of Amazon S3.

use std::fmt;
use std::path::{Path as FilePath, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, RetryConfig};

use crate::cluster::retry::Retry;
use crate::error::Failure;

use super::s3::Connector;

/// Where a user keeps backups, as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    Directory(PathBuf),
    /// A bucket, and the prefix of all names in it.
    Bucket {
        name: String,
        prefix: String,
    },
}

impl FromStr for Location {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return match text {
                "" => Err("expected a directory or s3://BUCKET/PREFIX".into()),
                directory => Ok(Self::Directory(directory.into())),
            };
        };
        let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        match scheme {
            "s3" if !name.is_empty() => {
                Ok(Self::Bucket { name: name.into(), prefix: prefix.trim_matches('/').into() })
            }
            _ => Err(format!(
                "`{scheme}://` is not supported; expected a directory or s3://BUCKET/PREFIX"
            )),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(directory) => write!(f, "{}", directory.display()),
            Self::Bucket { name, prefix } if prefix.is_empty() => write!(f, "s3://{name}"),
            Self::Bucket { name, prefix } => write!(f, "s3://{name}/{prefix}"),
        }
    }
}

/// How often and how long a request to an object storage is repeated.
const RETRY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(60);
const RETRIES: usize = 6;

impl Location {
    /// Opens the location. `create` makes a directory that does not exist, which only its owner can read.
    ///
    /// # Errors
    /// When the directory does not exist or cannot be created, and when the environment has no usable settings for the
    /// object storage.
    pub fn open(&self, create: bool) -> Result<Store> {
        let (store, prefix): (Arc<dyn ObjectStore>, _) = match self {
            Self::Directory(directory) => {
                if create {
                    create_private(directory)
                        .with_context(|| format!("cannot create {}", directory.display()))?;
                } else if !directory.is_dir() {
                    return Err(Failure::usage(format!(
                        "{} is not a directory",
                        directory.display()
                    ))
                    .into());
                }
                let store = LocalFileSystem::new_with_prefix(directory)?.with_fsync(true);
                (Arc::new(store), Path::default())
            }
            Self::Bucket { name, prefix } => {
                let retry = RetryConfig {
                    max_retries: RETRIES,
                    retry_timeout: RETRY_TIMEOUT,
                    ..Default::default()
                };
                let store = AmazonS3Builder::from_env()
                    .with_bucket_name(name)
                    .with_http_connector(Connector)
                    .with_retry(retry)
                    .build()
                    .with_context(|| format!("bucket {name}"))?;
                (Arc::new(store), Path::parse(prefix)?)
            }
        };
        Ok(Store { store, prefix, location: self.clone() })
    }
}

impl Location {
    /// The location above, and the name of the last folder. None: there is none above.
    pub fn split(&self) -> Option<(Self, String)> {
        match self {
            Self::Directory(directory) => {
                let directory = directory.canonicalize().ok()?;
                let name = directory.file_name()?.to_str()?.to_string();
                Some((Self::Directory(directory.parent()?.into()), name))
            }
            Self::Bucket { name, prefix } => {
                let (above, folder) = match prefix.rsplit_once('/') {
                    Some((above, folder)) => (above, folder),
                    None => ("", prefix.as_str()),
                };
                let above = Self::Bucket { name: name.clone(), prefix: above.into() };
                (!folder.is_empty()).then(|| (above, folder.to_string()))
            }
        }
    }
}

/// Creates a directory for its owner only, because backups contain data of learners.
fn create_private(directory: &FilePath) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

/// An open location. Names are relative to it, and their parts are separated by `/`.
#[derive(Clone)]
pub struct Store {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    location: Location,
}

impl Store {
    fn path(&self, name: &str) -> Path {
        name.split('/').fold(self.prefix.clone(), |path, part| path.join(part))
    }

    /// The store and the path of a file, to read or write it as a stream.
    pub fn at(&self, name: &str) -> (Arc<dyn ObjectStore>, Path) {
        (Arc::clone(&self.store), self.path(name))
    }

    /// The names of the folders in the location.
    ///
    /// # Errors
    /// When the location cannot be listed.
    pub async fn folders(&self) -> Result<Vec<String>> {
        let prefix = (!self.prefix.as_ref().is_empty()).then_some(&self.prefix);
        let listed = self.store.list_with_delimiter(prefix).await;
        let listed = listed.map_err(|error| self.failed("", error))?;
        let name = |path: &Path| path.filename().map(str::to_string);
        Ok(listed.common_prefixes.iter().filter_map(name).collect())
    }

    /// Prepares a folder: in a directory, only its owner can read it.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn create_folder(&self, name: &str) -> Result<()> {
        if let Location::Directory(directory) = &self.location {
            let folder = directory.join(name);
            create_private(&folder)
                .with_context(|| format!("cannot create {}", folder.display()))?;
        }
        Ok(())
    }

    /// A small file. None: it does not exist.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn read(&self, name: &str) -> Result<Option<Bytes>> {
        match self.store.get(&self.path(name)).await {
            Ok(found) => found.bytes().await.map(Some).map_err(|error| self.failed(name, error)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed(name, error)),
        }
    }

    /// Writes a small file at once: a reader sees all of it or nothing.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn write(&self, name: &str, content: impl Into<PutPayload>) -> Result<()> {
        let written = self.store.put(&self.path(name), content.into()).await;
        written.map(drop).map_err(|error| self.failed(name, error))
    }

    /// The size of a file in bytes. None: it does not exist.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn size(&self, name: &str) -> Result<Option<u64>> {
        match self.store.head(&self.path(name)).await {
            Ok(found) => Ok(Some(found.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed(name, error)),
        }
    }

    /// Deletes a file that may be absent.
    ///
    /// # Errors
    /// When it cannot be deleted.
    pub async fn delete(&self, name: &str) -> Result<()> {
        let path = self.path(name);
        let delete = || async {
            match self.store.delete(&path).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(self.failed(name, error)),
            }
        };
        // the library repeats all other requests, also after a lost connection; a response is the whole cause
        let is_final = |error: &anyhow::Error| {
            matches!(self.location, Location::Directory(_)) || error.chain().count() == 1
        };
        Retry::quiet().until_decided("no response", is_final, delete).await
    }

    /// Deletes a folder with everything in it, `first` first.
    ///
    /// # Errors
    /// When a file cannot be deleted.
    pub async fn delete_folder(&self, name: &str, first: &str) -> Result<()> {
        self.delete(&format!("{name}/{first}")).await?;
        if let Location::Directory(directory) = &self.location {
            // with what a killed process was writing
            let folder = directory.join(name);
            return std::fs::remove_dir_all(&folder).with_context(|| self.shown(name));
        }
        let folder = self.path(name);
        let files: Vec<_> = self
            .store
            .list(Some(&folder))
            .try_collect()
            .await
            .map_err(|error| self.failed(name, error))?;
        for file in files {
            let file = file.location.prefix_match(&self.prefix).map(Path::from_iter);
            self.delete(file.unwrap_or_default().as_ref()).await?;
        }
        Ok(())
    }

    /// Deletes what a killed process was writing in a folder.
    ///
    /// # Errors
    /// When a file cannot be deleted.
    pub fn delete_unfinished(&self, name: &str) -> Result<()> {
        let Location::Directory(directory) = &self.location else { return Ok(()) };
        let mut folders = vec![directory.join(name)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    folders.push(entry.path());
                } else if entry.file_name().to_string_lossy().contains(UNFINISHED) {
                    std::fs::remove_file(entry.path())?;
                }
            }
        }
        Ok(())
    }

    /// A file, for messages.
    pub fn shown(&self, name: &str) -> String {
        match name {
            "" => self.location.to_string(),
            name => format!("{}/{name}", self.location),
        }
    }

    /// The failure of a request for a file, or for the location itself.
    pub fn failed(
        &self,
        name: &str,
        error: impl std::error::Error + Send + Sync + 'static,
    ) -> anyhow::Error {
        let response = response(&error);
        let failure = match &response {
            None => {
                let text = error.to_string();
                // such as `Generic LocalFileSystem error: `
                let text = text.split_once(" error: ").map_or(&*text, |(_, cause)| cause);
                return Failure::failed(format!("{}: {text}", self.shown(name)))
                    .because(error)
                    .hint("repeat the command to continue")
                    .into();
            }
            Some(response) => Failure::failed(format!(
                "{}: the object storage responded with {response}",
                self.shown(name)
            )),
        };
        let is_denied = response.is_some_and(|response| response.starts_with("40"));
        match is_denied {
            true => failure
                .hint("check the bucket, its permissions, and AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT_URL")
                .into(),
            false => failure.hint("repeat the command to continue").into(),
        }
    }
}

/// Status and message of a response of an object storage, from the text of an error. None: there was no response.
fn response(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let text = error.to_string();
    let (_, after) = text.split_once("non-2xx status code: ")?;
    let status = after.split_once(':').map_or(after, |(status, _)| status);
    let message = after.split_once("<Message>").and_then(|(_, rest)| rest.split_once("</Message>"));
    Some(match message {
        Some((message, _)) => format!("{status}: {message}"),
        None => status.to_string(),
    })
}

/// In the names of files that `LocalFileSystem` is writing.
const UNFINISHED: char = '#';

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn location_is_directory_or_bucket_with_prefix() {
        let bucket = |name: &str, prefix: &str| {
            Ok(Location::Bucket { name: name.into(), prefix: prefix.into() })
        };
        assert_eq!("s3://backups/la/one/".parse(), bucket("backups", "la/one"));
        assert_eq!("s3://backups".parse(), bucket("backups", ""));
        assert_eq!("./backups".parse(), Ok(Location::Directory("./backups".into())));
        let rejected = |text: &str| text.parse::<Location>().unwrap_err();
        assert!(rejected("gs://backups").starts_with("`gs://` is not supported"));
        assert!(rejected("s3:///prefix").contains("s3://BUCKET/PREFIX"));
        assert!(rejected("").contains("expected a directory"));
    }
}
