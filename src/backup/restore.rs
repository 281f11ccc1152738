//! Restores the data of a backup into an installed stack.
//!
//! Each part is complete and verified beside the live data before it replaces it. A killed restore is finished by the next.

use std::sync::Arc;

use anyhow::Result;
use tokio::io::AsyncReadExt;

use crate::components::dataviz::dashboards::record::Record;
use crate::components::lms;
use crate::components::model::{DataStore, ExternalDatabase, Volume};
use crate::components::{self, datalake, dataviz};
use crate::engine::{Id, Progress, Report};
use crate::error::Failure;
use crate::output::units::{bytes, count, counted};
use crate::stack::Stack;
use crate::stack::component::ComponentName;

use super::database::{Database, Databases, differing_rows};
use super::file;
use super::location::Store;
use super::manifest::{Manifest, Part};
use super::secrets::{self, Key, Stored};
use super::volume::Files;
use super::{SECRETS, statements};

/// A backup to restore.
pub struct Source {
    pub store: Store,
    pub manifest: Manifest,
    /// Whether external databases are replaced.
    pub with_external: bool,
}

/// Part of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Selection {
    /// Add the statements to those of the stack
    Statements,
    /// Replace Moodle's database and files
    Lms,
    /// Replace Superset's database
    Dataviz,
}

impl Selection {
    fn component(self) -> ComponentName {
        match self {
            Self::Statements => datalake::COMPONENT,
            Self::Lms => lms::COMPONENT,
            Self::Dataviz => dataviz::COMPONENT,
        }
    }
}

impl Source {
    /// The Secrets of the backup. None: it contains none.
    ///
    /// # Errors
    /// When they cannot be read or decrypted.
    pub async fn secrets(&self, identities: &[Key]) -> Result<Option<Vec<Stored>>> {
        let record = self.manifest.part(SECRETS).and_then(|part| part.files.first());
        let Some(record) = record else { return Ok(None) };
        let mut encrypted = Vec::new();
        let mut from = file::open(&self.store, &self.manifest.name, record).await?;
        from.read_to_end(&mut encrypted).await?;
        secrets::decrypt(&encrypted, identities).map(Some)
    }

    pub fn has_secrets(&self) -> bool {
        self.manifest.part(SECRETS).is_some_and(|part| !part.files.is_empty())
    }

    /// The parts to restore into this stack, by the components that they belong to.
    fn parts(
        &self,
        stack: &Stack,
        only: Option<Selection>,
    ) -> impl Iterator<Item = (ComponentName, Id, DataStore, &Part)> {
        self.copied(stack, only).filter(|(_, _, store, _)| {
            self.with_external || !matches!(store, DataStore::ExternalDatabase(_))
        })
    }

    /// The parts of the backup whose data this stack has.
    fn copied(
        &self,
        stack: &Stack,
        only: Option<Selection>,
    ) -> impl Iterator<Item = (ComponentName, Id, DataStore, &Part)> {
        components::data(&stack.settings)
            .filter(move |(name, ..)| only.is_none_or(|only| only.component() == *name))
            .filter_map(|(name, id, store)| {
                Some((name, id, store, self.manifest.part(id.as_str())?))
            })
    }

    /// The external databases of this stack whose data the backup has. A restore replaces them, or leaves them in place.
    pub fn external(&self, stack: &Stack, only: Option<Selection>) -> Vec<ExternalDatabase> {
        let external = self.copied(stack, only).filter_map(|(.., store, _)| match store {
            DataStore::ExternalDatabase(database) => Some(database),
            _ => None,
        });
        external.collect()
    }

    /// The ids of the parts to restore into this stack.
    pub fn ids(&self, stack: &Stack, only: Option<Selection>) -> Vec<Id> {
        self.parts(stack, only).map(|(_, id, ..)| id).collect()
    }

    /// Restores the data. Without a selection, or with one of a component, the stack has exactly the data of the backup then.
    ///
    /// # Errors
    /// When a part cannot be restored or differs from the backup then. The live data of this part is unchanged, except after
    /// a failure of the exchange, which the next attempt repeats.
    pub async fn restore(
        &self,
        stack: &Stack,
        only: Option<Selection>,
        report: &dyn Report,
    ) -> Result<()> {
        let databases = Databases::of(stack, self.with_external);
        let run = Run { source: self, stack, report, databases };
        let parts: Vec<_> = self.parts(stack, only).collect();
        let of = |component: ComponentName| {
            let parts = parts.iter().filter(move |(name, ..)| *name == component);
            parts.map(|(_, id, store, part)| (*id, *store, *part)).collect::<Vec<_>>()
        };
        // events of the Moodle that is about to be replaced are not part of the restored data
        let held = match of(lms::COMPONENT).is_empty() || only.is_some() {
            true => None,
            false => lms::client(stack).await?.hold().await?,
        };
        let restored = async {
            for (id, _, part) in of(datalake::COMPONENT) {
                let is_added = only == Some(Selection::Statements);
                run.step(id, async |progress| run.statements(part, is_added, progress).await)
                    .await?;
            }
            for (id, store, part) in of(dataviz::COMPONENT) {
                let replace = async |progress: &Progress<'_>| match store {
                    DataStore::ConfigMap(_) => run.record(part).await,
                    _ => run.superset(store, part, progress).await,
                };
                run.step(id, replace).await?;
            }
            run.moodle(of(lms::COMPONENT)).await
        };
        let restored = restored.await;
        if let Some(held) = held {
            held.release().await;
        }
        run.databases.close().await;
        restored
    }
}

/// Lets components respond after a restore that was interrupted during an exchange. The next exchange repeats all of it.
///
/// # Errors
/// When the client of an external database cannot be started, and when a script in Moodle fails.
pub async fn recover(stack: &Stack, with_external: bool, report: &dyn Report) -> Result<()> {
    let databases = Databases::of(stack, with_external);
    for (_, id, store) in components::data(&stack.settings) {
        if databases.contain(store) {
            let database = databases.open(store, &Progress::new(id, report)).await?;
            // a database that does not run yet was not part of an exchange
            let _ = database.reopen().await;
        }
    }
    databases.close().await;
    match stack.settings.has(lms::COMPONENT) {
        true => lms::recover(stack).await,
        false => Ok(()),
    }
}

struct Run<'a> {
    source: &'a Source,
    stack: &'a Stack,
    report: &'a dyn Report,
    databases: Databases<'a>,
}

impl<'a> Run<'a> {
    async fn step(
        &self,
        id: Id,
        restore: impl AsyncFnOnce(&Progress<'a>) -> Result<String>,
    ) -> Result<()> {
        let progress = Progress::new(id, self.report);
        progress.during(restore(&progress)).await
    }

    async fn statements(
        &self,
        part: &Part,
        is_added: bool,
        progress: &Progress<'_>,
    ) -> Result<String> {
        let Source { store, manifest, .. } = self.source;
        let elasticsearch = Arc::new(datalake::client(self.stack).await?);
        let index = match is_added {
            true => datalake::INDEX,
            false => datalake::stage(self.stack, &elasticsearch).await?,
        };
        let verified =
            statements::import(&elasticsearch, index, store, manifest, part, progress).await?;
        if !is_added {
            let stored = elasticsearch.count(index).await?;
            if stored != verified {
                // it also has statements of another restore that was interrupted
                elasticsearch.delete_index(index).await?;
                return Err(Failure::failed(format!(
                    "index {index} has {} statements instead of {}",
                    count(stored),
                    count(verified)
                ))
                .hint("repeat the command")
                .into());
            }
            progress.say("replacing the statements of the stack");
            datalake::exchange(self.stack, &elasticsearch).await?;
        }
        Ok(format!("{}, each verified", counted(verified, "statement")))
    }

    /// Loads a dump beside the live database, and compares it with the backup.
    async fn load(
        &self,
        live: DataStore,
        part: &Part,
        progress: &Progress<'_>,
    ) -> Result<Database> {
        let Source { store, manifest, .. } = self.source;
        let database = self.databases.open(live, progress).await?;
        let Some(record) = part.files.first() else {
            return Err(Failure::failed(format!("the backup has no dump of {}", part.id)).into());
        };
        progress.say(&format!("loading {}", bytes(record.bytes)));
        let from = file::open(store, &manifest.name, record).await?;
        let rows = database.load(from).await?;
        match differing_rows(&part.rows, &rows) {
            None => Ok(database),
            Some(differing) => Err(Failure::failed(format!(
                "the restored database differs from the backup: {differing}"
            ))
            .into()),
        }
    }

    async fn superset(
        &self,
        live: DataStore,
        part: &Part,
        progress: &Progress<'_>,
    ) -> Result<String> {
        let database = self.load(live, part, progress).await?;
        let has_key = part.key.is_some() && part.key == dataviz::key_checksum(self.stack).await?;
        if !has_key {
            database.in_loaded(dataviz::FORGET_ENCRYPTED).await?;
        }
        progress.say("replacing the database");
        database.exchange().await?;
        dataviz::restart(self.stack).await?;
        Ok(rows(part)
            + match has_key {
                true => "",
                false => {
                    "; passwords of other database connections are lost, because the key that encrypts them differs"
                }
            })
    }

    async fn record(&self, part: &Part) -> Result<String> {
        Record::replace(self.stack, &part.config).await?;
        Ok(counted(part.config.len() as u64, "asset"))
    }

    /// Moodle's database and files belong together.
    async fn moodle(&self, parts: Vec<(Id, DataStore, &Part)>) -> Result<()> {
        if parts.is_empty() {
            return Ok(());
        }
        let (mut database, mut files) = (None, None);
        for (id, store, part) in &parts {
            match store {
                DataStore::Database(_) | DataStore::ExternalDatabase(_) => {
                    let load = async |progress: &Progress<'_>| {
                        database = Some(self.load(*store, part, progress).await?);
                        Ok(rows(part))
                    };
                    self.step(*id, load).await?;
                }
                DataStore::Volume(volume) => {
                    let extract = async |progress: &Progress<'_>| {
                        let (extracted, detail) = self.extract(*volume, part, progress).await?;
                        files = Some(extracted);
                        Ok(detail)
                    };
                    self.step(*id, extract).await?;
                }
                _ => {}
            }
        }
        let exchange = async |progress: &Progress<'_>| {
            progress.say("replacing database and files, in maintenance mode");
            let moodle = lms::client(self.stack).await?;
            moodle.begin_maintenance().await?;
            if let Some(files) = files {
                files.exchange().await?;
            }
            if let Some(database) = &database {
                database.exchange().await?;
            }
            let address = lms::site_url(self.stack).await?;
            let old = self.source.manifest.site_url.as_ref().filter(|old| **old != address);
            if let (Some(old), Some(_)) = (old, &database) {
                progress.say(&format!("replacing {old} by {address}"));
                moodle.replace_address(old, &address).await?;
            }
            // before it sends anything: the settings are those of the stack of the backup
            lms::connect(self.stack).await?;
            moodle.end_maintenance().await?;
            lms::restart(self.stack).await?;
            Ok(format!("at {address}"))
        };
        self.step(lms::EXCHANGE, exchange).await
    }

    async fn extract(
        &self,
        volume: Volume,
        part: &Part,
        progress: &Progress<'_>,
    ) -> Result<(Files, String)> {
        let Source { store, manifest, .. } = self.source;
        let files = Files::of(self.stack, volume).await?;
        let folder = files.extract(store, manifest, part, progress).await?;
        progress.say("comparing each file with its checksum");
        let verified = lms::client(self.stack).await?.verify_files(&folder).await?;
        let detail =
            format!("{}, each verified, {}", counted(verified, "file"), bytes(part.bytes()));
        Ok((files, detail))
    }
}

fn rows(part: &Part) -> String {
    let rows = part.rows.values().sum();
    let tables = part.rows.len() as u64;
    format!("{} in {}, as in the backup", counted(rows, "row"), counted(tables, "table"))
}
