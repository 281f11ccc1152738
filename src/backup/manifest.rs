//! The manifest of a backup: what it contains, with checksums. A folder without it is no backup.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::Failure;
use crate::stack::component::ComponentName;

use super::file::FileRecord;
use super::location::Store;

/// The name of the manifest in the folder of a backup.
pub const MANIFEST: &str = "manifest.json";
/// The name of the record of a backup that is not complete.
pub const PROGRESS: &str = "progress.json";
/// The newest format that this program reads, and the one that it writes.
const FORMAT: u32 = 1;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    format: u32,
    /// The folder of the backup.
    pub name: String,
    pub begun: Timestamp,
    /// None: not complete.
    pub finished: Option<Timestamp>,
    /// The version of the program that wrote it.
    pub program: String,
    pub namespace: String,
    /// The site URL of Moodle.
    pub site_url: Option<String>,
    /// The data of the ConfigMap with the settings of the stack.
    pub settings: BTreeMap<String, String>,
    /// The version of each component.
    pub versions: BTreeMap<ComponentName, String>,
    /// Statements that were stored later are not in the backup. Milliseconds since 1970.
    pub until: Option<i64>,
    /// Whether external databases are copied.
    #[serde(default)]
    pub with_external: bool,
    pub parts: Vec<Part>,
    /// What the backup does not contain, with the reason.
    pub left_out: Vec<LeftOut>,
}

/// The copy of one store of data.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// Such as `lms.database`.
    pub id: String,
    pub is_complete: bool,
    pub files: Vec<FileRecord>,
    /// The number of rows of each table of a database.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rows: BTreeMap<String, u64>,
    /// The number of statements in each file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statements: Vec<u64>,
    /// When the last copied statement was stored, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<i64>,
    /// A checksum of the key that encrypts values in a database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The data of a ConfigMap.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, String>,
    /// The paths of a volume that are in the files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
}

impl Part {
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    pub fn count(&self) -> u64 {
        self.statements.iter().sum()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeftOut {
    pub what: String,
    pub reason: String,
}

impl Manifest {
    /// The manifest of a backup that begins now.
    pub fn new(namespace: &str) -> Self {
        let begun = Timestamp::now();
        let time = begun.strftime("%Y%m%dT%H%M%SZ");
        Self {
            format: FORMAT,
            name: format!("{namespace}-{time}"),
            begun,
            finished: None,
            program: env!("CARGO_PKG_VERSION").into(),
            namespace: namespace.into(),
            site_url: None,
            settings: BTreeMap::new(),
            versions: BTreeMap::new(),
            until: None,
            with_external: false,
            parts: Vec::new(),
            left_out: Vec::new(),
        }
    }

    pub fn part(&self, id: &str) -> Option<&Part> {
        self.parts.iter().find(|part| part.id == id)
    }

    /// A part, which is added if it is absent.
    pub fn part_mut(&mut self, id: &str) -> &mut Part {
        let position = self.parts.iter().position(|part| part.id == id);
        let position = position.unwrap_or_else(|| {
            self.parts.push(Part { id: id.into(), ..Part::default() });
            self.parts.len() - 1
        });
        &mut self.parts[position]
    }

    /// The time since it began.
    pub fn age(&self) -> Duration {
        Duration::try_from(Timestamp::now().duration_since(self.begun)).unwrap_or_default()
    }

    /// The time from its begin to its end, or until now.
    pub fn took(&self) -> Duration {
        let end = self.finished.unwrap_or_else(Timestamp::now);
        Duration::try_from(end.duration_since(self.begun)).unwrap_or_default()
    }

    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(Part::bytes).sum()
    }

    /// The number of statements. None: it contains no data lake.
    pub fn statements(&self) -> Option<u64> {
        self.part(super::STATEMENTS).map(Part::count)
    }

    /// Stores what is complete until now, for the next attempt.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn save_progress(&self, store: &Store) -> Result<()> {
        store.write(&format!("{}/{PROGRESS}", self.name), serde_json::to_vec(self)?).await
    }

    /// Completes the backup.
    ///
    /// # Errors
    /// When the manifest cannot be written.
    pub async fn complete(&mut self, store: &Store) -> Result<()> {
        self.finished = Some(Timestamp::now());
        let text = serde_json::to_vec_pretty(self)?;
        store.write(&format!("{}/{MANIFEST}", self.name), text).await?;
        store.delete(&format!("{}/{PROGRESS}", self.name)).await
    }

    /// Reads the manifest of a folder. None: the folder is no complete backup.
    ///
    /// # Errors
    /// When the manifest cannot be read, or a newer program wrote it.
    pub async fn read(store: &Store, name: &str) -> Result<Option<Self>> {
        Self::read_from(store, name, MANIFEST).await
    }

    /// The same for the record of a backup that is not complete.
    ///
    /// # Errors
    /// When the record cannot be read, or a newer program wrote it.
    pub async fn read_progress(store: &Store, name: &str) -> Result<Option<Self>> {
        Self::read_from(store, name, PROGRESS).await
    }

    async fn read_from(store: &Store, name: &str, file: &str) -> Result<Option<Self>> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let path = format!("{name}/{file}");
        let Some(text) = store.read(&path).await? else { return Ok(None) };
        let damaged = || format!("{}: the manifest is damaged", store.shown(&path));
        let Format { format } = serde_json::from_slice(&text).with_context(damaged)?;
        if format > FORMAT {
            return Err(Failure::failed(format!(
                "{}: a newer version of kubectl-lastack wrote this backup",
                store.shown(&path)
            ))
            .hint("use that version, or a later one")
            .into());
        }
        let manifest: Self = serde_json::from_slice(&text).with_context(damaged)?;
        let names = manifest.parts.iter().flat_map(|part| &part.files);
        for FileRecord { name, .. } in names {
            if name.split('/').any(|part| matches!(part, "" | "." | "..")) {
                return Err(Failure::failed(format!(
                    "{}: `{name}` is not a file of a backup",
                    store.shown(&path)
                ))
                .into());
            }
        }
        // the folder may have been renamed
        Ok(Some(Self { name: name.into(), ..manifest }))
    }
}
