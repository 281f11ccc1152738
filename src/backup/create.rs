//! Makes a backup. Databases and statements are of one moment: Moodle delivers no event between their copies.

use anyhow::{Context, Result};
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::ConfigMap;
use tokio::sync::oneshot;

use crate::components::lms::{self, Held};
use crate::components::model::{DataStore, Volume};
use crate::components::{self, datalake, dataviz};
use crate::engine::{Id, NodeEvent, Progress, Report};
use crate::error::Failure;
use crate::output::pace::Pace;
use crate::output::units::{bytes, counted};
use crate::stack::component::ComponentName;
use crate::stack::{SETTINGS, Stack};

use super::SECRETS;
use super::database::Databases;
use super::file::FileWriter;
use super::location::Store;
use super::manifest::{LeftOut, MANIFEST, Manifest};
use super::secrets::{self, PublicKey};
use super::statements;
use super::verify::folders;
use super::volume::Files;

/// After this time, an incomplete backup is not continued, because its databases are old.
const CONTINUED: SignedDuration = SignedDuration::from_hours(24);

/// What a backup lacks when a task of Moodle did not stop sending events.
const COMMON_MOMENT: &str = "a common moment of Moodle and the statements";

/// A backup that is about to be made.
pub struct Begun {
    pub manifest: Manifest,
    /// Whether an earlier attempt made some of its files.
    pub is_continued: bool,
    /// Incomplete backups that were too old to continue.
    pub deleted: Vec<String>,
}

/// The data of the stack, in the order of its copies.
fn data(stack: &Stack) -> Vec<(Id, DataStore)> {
    let data = components::data(&stack.settings).map(|(_, id, store)| (id, store));
    let mut data: Vec<_> = data.collect();
    // files are never changed and rarely deleted, so a later copy has all files of the databases
    data.sort_by_key(|(_, store)| match store {
        DataStore::Database(_) | DataStore::ExternalDatabase(_) | DataStore::ConfigMap(_) => 0,
        DataStore::Statements => 1,
        DataStore::Volume(_) => 2,
    });
    data
}

/// The ids of the parts of a backup.
pub fn parts(stack: &Stack, with_external: bool) -> Vec<Id> {
    let copied = data(stack).into_iter().filter_map(|(id, store)| match store {
        DataStore::ExternalDatabase(_) if !with_external => None,
        _ => Some(id),
    });
    [Id(SECRETS)].into_iter().chain(copied).collect()
}

/// Starts a backup, or continues the newest incomplete one of the namespace.
///
/// # Errors
/// When the settings of the stack or the location cannot be read.
pub async fn begin(stack: &Stack, store: &Store, with_external: bool) -> Result<Begun> {
    let mut new = Manifest::new(stack.namespace());
    new.with_external = with_external;
    let settings = stack.api::<ConfigMap>().get_opt(SETTINGS).await?;
    let Some(settings) = settings else {
        return Err(Failure::failed(format!(
            "namespace {} has no stack (ConfigMap {SETTINGS} is missing)",
            stack.namespace()
        ))
        .hint("name the namespace of the stack with `-n`")
        .into());
    };
    new.settings = settings.data.unwrap_or_default();
    let installed = ComponentName::all().filter(|component| stack.settings.has(*component));
    new.versions = installed
        .map(|component| (component, stack.versions.of(component).version.clone()))
        .collect();
    if stack.settings.has(lms::COMPONENT) {
        new.site_url = Some(lms::site_url(stack).await?);
    }
    let mut deleted = Vec::new();
    let mut continued = None;
    for name in folders(store, &format!("{}-", stack.namespace())).await? {
        let Some(old) = Manifest::read_progress(store, &name).await? else { continue };
        if old.namespace != new.namespace || Manifest::read(store, &name).await?.is_some() {
            continue;
        }
        let is_recent = new.begun.duration_since(old.begun) < CONTINUED;
        let is_same = (&old.settings, &old.versions, &old.site_url, old.with_external)
            == (&new.settings, &new.versions, &new.site_url, with_external);
        if is_recent && is_same {
            continued = Some(old);
        } else {
            store.delete_folder(&name, MANIFEST).await?;
            deleted.push(name);
        }
    }
    let is_continued = continued.is_some();
    let manifest = continued.unwrap_or(new);
    store.create_folder(&manifest.name)?;
    store.delete_unfinished(&manifest.name)?;
    manifest.save_progress(store).await?;
    Ok(Begun { manifest, is_continued, deleted })
}

/// Copies everything that the manifest does not contain yet, and completes it.
///
/// # Errors
/// When a part cannot be copied. The next attempt continues after the complete files.
pub async fn create(
    stack: &Stack,
    store: &Store,
    manifest: Manifest,
    recipients: &[PublicKey],
    report: &dyn Report,
) -> Result<Manifest> {
    let databases = Databases::of(stack, manifest.with_external);
    let mut run = Run { stack, store, manifest, report, databases };
    let copied = run.copy(recipients).await;
    run.databases.close().await;
    copied?;
    run.manifest.complete(store).await?;
    Ok(run.manifest)
}

struct Run<'a> {
    stack: &'a Stack,
    store: &'a Store,
    manifest: Manifest,
    report: &'a dyn Report,
    databases: Databases<'a>,
}

impl<'a> Run<'a> {
    async fn copy(&mut self, recipients: &[PublicKey]) -> Result<()> {
        // what concerns a copy that an earlier attempt made is still true
        self.manifest.left_out.retain(|one| one.what == COMMON_MOMENT);
        self.part(Id(SECRETS), async |run, _| run.secrets(recipients).await).await?;
        for (id, store) in data(self.stack) {
            match store {
                DataStore::ExternalDatabase(database) if !self.manifest.with_external => {
                    self.manifest.left_out.push(LeftOut {
                        what: format!("the external database of {}", database.program),
                        reason: "its owner copies it, or `--external` does".into(),
                    });
                }
                DataStore::Database(_) | DataStore::ExternalDatabase(_) => {
                    let copy = async |run: &mut Self, progress: &Progress<'_>| {
                        run.database(id, store, progress).await
                    };
                    self.part(id, copy).await?;
                }
                DataStore::ConfigMap(name) => {
                    self.part(id, async |run, _| run.config_map(id, name).await).await?;
                }
                DataStore::Statements => {
                    self.part(id, async |run, progress| run.statements(progress).await).await?;
                }
                DataStore::Volume(volume) => {
                    let copy = async |run: &mut Self, progress: &Progress<'_>| {
                        run.volume(id, volume, progress).await
                    };
                    self.part(id, copy).await?;
                }
            }
        }
        Ok(())
    }

    /// Copies a part, unless an earlier attempt did.
    async fn part(
        &mut self,
        id: Id,
        copy: impl AsyncFnOnce(&mut Self, &Progress<'a>) -> Result<String>,
    ) -> Result<()> {
        let progress = Progress::new(id, self.report);
        let part = self.manifest.part_mut(id.as_str());
        // who can decrypt the Secrets may differ from the earlier attempt
        if part.is_complete && id.as_str() != SECRETS {
            progress.report(NodeEvent::Unchanged(&bytes(part.bytes())));
            return Ok(());
        }
        let copied = async {
            let detail = copy(self, &progress).await?;
            self.manifest.part_mut(id.as_str()).is_complete = true;
            self.manifest.save_progress(self.store).await?;
            Ok(detail)
        };
        progress.during(copied).await
    }

    async fn secrets(&mut self, recipients: &[PublicKey]) -> Result<String> {
        let part = self.manifest.part_mut(SECRETS);
        part.files.clear();
        if recipients.is_empty() {
            self.manifest.left_out.push(LeftOut {
                what: "passwords and keys".into(),
                reason: "no `--recipient` was given; a restore creates new ones".into(),
            });
            return Ok("left out, because there is no `--recipient`".into());
        }
        let found = secrets::of(self.stack).await?;
        let encrypted = secrets::encrypt(&found, recipients)?;
        let mut writer = FileWriter::new(self.store, &self.manifest.name, "secrets.age", false);
        writer.write(&encrypted).await?;
        let record = writer.finish().await?;
        self.manifest.part_mut(SECRETS).files.push(record);
        Ok(format!("{}, encrypted", counted(found.len() as u64, "secret")))
    }

    async fn database(
        &mut self,
        id: Id,
        store: DataStore,
        progress: &Progress<'_>,
    ) -> Result<String> {
        let database = self.databases.open(store, progress).await?;
        let held = match id == lms::DATABASE {
            true => self.hold(progress).await?,
            false => None,
        };
        let file = format!("{}.dump", id.as_str().replace('.', "/"));
        let mut writer = FileWriter::new(self.store, &self.manifest.name, &file, false);
        let (begun, has_begun) = oneshot::channel();
        let (mut begun, mut pace) = (Some(begun), Pace::default());
        let watch = |written| {
            begun.take().map(|begun| begun.send(()));
            if pace.is_due() {
                progress.say(&format!("{} read", bytes(written)));
            }
        };
        let release = async {
            let _ = has_begun.await;
            if let Some(held) = held {
                held.release().await;
            }
        };
        let dump = database.dump(&mut writer, watch);
        let (dumped, ()) = futures::future::join(dump, release).await;
        let rows = match dumped {
            Ok(rows) => rows,
            Err(error) => {
                writer.abort().await;
                return Err(error);
            }
        };
        let record = writer.finish().await?;
        let detail = format!(
            "{} in {}, {}",
            counted(rows.values().sum(), "row"),
            counted(rows.len() as u64, "table"),
            bytes(record.bytes)
        );
        let key = match id == dataviz::METADATA {
            true => dataviz::key_checksum(self.stack).await?,
            false => None,
        };
        let part = self.manifest.part_mut(id.as_str());
        (part.files, part.rows, part.key) = (vec![record], rows, key);
        Ok(detail)
    }

    /// Holds the delivery of events, and fixes the time of the newest statement to copy.
    async fn hold(&mut self, progress: &Progress<'_>) -> Result<Option<Held>> {
        if !self.stack.settings.has(datalake::COMPONENT) {
            return Ok(None);
        }
        progress.say("waiting until no events are being sent");
        let held = lms::client(self.stack).await?.hold().await?;
        if held.is_none() {
            self.manifest.left_out.push(LeftOut {
                what: COMMON_MOMENT.into(),
                reason: "a task of Moodle was sending events for more than a minute; after a restore, some events may be \
                         missing or be stored twice"
                    .into(),
            });
        }
        // without a statement at this moment, the backup has none
        self.manifest.until = Some(self.newest_stored().await?.unwrap_or_default());
        Ok(held)
    }

    async fn newest_stored(&self) -> Result<Option<i64>> {
        let elasticsearch = datalake::client(self.stack).await?;
        elasticsearch.refresh(datalake::INDEX).await?;
        elasticsearch.newest_stored().await
    }

    async fn config_map(&mut self, id: Id, name: &'static str) -> Result<String> {
        let found = self.stack.api::<ConfigMap>().get_opt(name).await;
        let found = found.with_context(|| format!("ConfigMap {name}"))?;
        let config = found.and_then(|map| map.data).unwrap_or_default();
        let detail = counted(config.len() as u64, "asset");
        self.manifest.part_mut(id.as_str()).config = config;
        Ok(detail)
    }

    async fn statements(&mut self, progress: &Progress<'_>) -> Result<String> {
        if self.manifest.until.is_none() {
            self.manifest.until = self.newest_stored().await?;
        }
        let elasticsearch = datalake::client(self.stack).await?;
        statements::export(elasticsearch, self.store, &mut self.manifest, progress).await?;
        let part = self.manifest.part_mut(super::STATEMENTS);
        Ok(format!("{}, {}", counted(part.count(), "statement"), bytes(part.bytes())))
    }

    async fn volume(&mut self, id: Id, volume: Volume, progress: &Progress<'_>) -> Result<String> {
        let files = Files::of(self.stack, volume).await?;
        files.copy(id.as_str(), self.store, &mut self.manifest, progress).await?;
        Ok(bytes(self.manifest.part_mut(id.as_str()).bytes()))
    }
}
