//! Lists the backups of a location, chooses one, verifies its files, and deletes old ones.

use anyhow::Result;
use futures::future::try_join_all;

use crate::components;
use crate::engine::{Id, Progress, Report};
use crate::error::{Failure, one_line};
use crate::output::pace::Pace;
use crate::output::units::{bytes, counted};
use crate::stack::settings::Settings;

use super::file;
use super::location::{Location, Store};
use super::manifest::{MANIFEST, Manifest, PROGRESS, Part};

/// A folder with a backup.
pub enum Found {
    Complete(Manifest),
    Incomplete(Manifest),
    /// Its manifest cannot be read, with the reason.
    Damaged(String, String),
}

impl Found {
    pub fn name(&self) -> &str {
        match self {
            Self::Complete(manifest) | Self::Incomplete(manifest) => &manifest.name,
            Self::Damaged(name, _) => name,
        }
    }
}

/// The names of folders with this prefix, in their order.
///
/// # Errors
/// When the location cannot be listed.
pub async fn folders(store: &Store, prefix: &str) -> Result<Vec<String>> {
    let mut names = store.folders().await?;
    names.retain(|name| name.starts_with(prefix));
    names.sort();
    Ok(names)
}

/// The backups of a location, from the oldest to the newest.
///
/// # Errors
/// When the location cannot be read.
pub async fn list(store: &Store) -> Result<Vec<Found>> {
    let names = folders(store, "").await?;
    let found = try_join_all(names.into_iter().map(|name| find(store, name))).await?;
    let mut found: Vec<Found> = found.into_iter().flatten().collect();
    found.sort_by_key(|one| match one {
        Found::Complete(manifest) | Found::Incomplete(manifest) => Some(manifest.begun),
        Found::Damaged(..) => None,
    });
    Ok(found)
}

/// The backup in a folder. None: the folder contains none.
async fn find(store: &Store, name: String) -> Result<Option<Found>> {
    match Manifest::read(store, &name).await {
        Ok(Some(manifest)) => return Ok(Some(Found::Complete(manifest))),
        Ok(None) => {}
        Err(error) => return Ok(Some(Found::Damaged(name, one_line(&error)))),
    }
    Ok(match Manifest::read_progress(store, &name).await {
        Ok(progress) => progress.map(Found::Incomplete),
        Err(error) => Some(Found::Damaged(name, one_line(&error))),
    })
}

/// Opens a location and chooses a complete backup: by its name, or else the newest. The location may also be the folder of a
/// backup itself.
///
/// # Errors
/// When there is no such backup, and when the newest is ambiguous because there are backups of several namespaces.
pub async fn select(location: &Location, name: Option<&str>) -> Result<(Store, Manifest)> {
    if name.is_none()
        && let Some((parent, folder)) = location.split()
        && location.open(false).is_ok()
    {
        let store = parent.open(false)?;
        if let Some(manifest) = Manifest::read(&store, &folder).await? {
            return Ok((store, manifest));
        }
    }
    let store = location.open(false)?;
    if let Some(name) = name {
        return match Manifest::read(&store, name).await? {
            Some(manifest) => Ok((store, manifest)),
            None => Err(none(location, &format!("no complete backup {name}")).into()),
        };
    }
    let mut complete: Vec<Manifest> = list(&store)
        .await?
        .into_iter()
        .filter_map(|found| match found {
            Found::Complete(manifest) => Some(manifest),
            _ => None,
        })
        .collect();
    let Some(newest) = complete.pop() else {
        return Err(none(location, "no complete backup").into());
    };
    match complete.iter().any(|other| other.namespace != newest.namespace) {
        false => Ok((store, newest)),
        true => Err(Failure::usage(format!("{location}: backups of several namespaces"))
            .hint(format!("choose one with `--backup`, such as --backup {}", newest.name))
            .into()),
    }
}

fn none(location: &Location, what: &str) -> Failure {
    Failure::failed(format!("{location}: {what}"))
        .hint(format!("list the backups: kubectl lastack backup list {location}"))
}

/// The ids of the parts of a backup. A part that this program does not know has no id.
pub fn ids(manifest: &Manifest) -> impl Iterator<Item = Id> {
    manifest.parts.iter().filter_map(id_of)
}

fn id_of(part: &Part) -> Option<Id> {
    let settings = Settings::default();
    let known = components::data(&settings).map(|(_, id, _)| id);
    known.chain([Id(super::SECRETS)]).find(|id| id.as_str() == part.id)
}

/// Compares all files with the manifest.
///
/// # Errors
/// When a file is absent or differs.
pub async fn verify(store: &Store, manifest: &Manifest, report: &dyn Report) -> Result<()> {
    for part in &manifest.parts {
        let Some(id) = id_of(part) else {
            return Err(Failure::failed(format!("{}: unknown part {}", manifest.name, part.id))
                .hint("use the version of kubectl-lastack that wrote the backup, or a later one")
                .into());
        };
        let progress = Progress::new(id, report);
        progress.during(verify_part(store, &manifest.name, part, &progress)).await?;
    }
    Ok(())
}

async fn verify_part(
    store: &Store,
    folder: &str,
    part: &Part,
    progress: &Progress<'_>,
) -> Result<String> {
    let (mut done, total, mut pace) = (0, part.bytes(), Pace::default());
    let mut read = |read| {
        done += read;
        if pace.is_due() {
            progress.say(&format!("{} of {}", bytes(done), bytes(total)));
        }
    };
    for record in &part.files {
        file::verify(store, folder, record, &mut read).await?;
    }
    Ok(match part.files.len() {
        0 => "in the manifest".into(),
        files => format!("{}, {}", counted(files as u64, "file"), bytes(total)),
    })
}

/// The backups to delete so that the newest `keep` complete ones of each namespace remain. Incomplete backups that are older
/// than a complete one of their namespace are deleted, too.
pub fn surplus(found: &[Found], keep: usize) -> Vec<&str> {
    let mut surplus = Vec::new();
    for (position, one) in found.iter().enumerate() {
        let newer = |manifest: &Manifest| {
            let is_newer = |other: &&Found| matches!(other, Found::Complete(other) if other.namespace == manifest.namespace);
            found[position + 1..].iter().filter(is_newer).count()
        };
        let is_surplus = match one {
            Found::Complete(manifest) => newer(manifest) >= keep,
            Found::Incomplete(manifest) => newer(manifest) > 0,
            Found::Damaged(..) => false,
        };
        if is_surplus {
            surplus.push(one.name());
        }
    }
    surplus
}

/// Deletes a backup, its manifest first, so that a partly deleted backup is none.
///
/// # Errors
/// When a file cannot be deleted.
pub async fn delete(store: &Store, name: &str) -> Result<()> {
    store.delete(&format!("{name}/{PROGRESS}")).await?;
    store.delete_folder(name, MANIFEST).await
}
