//! Brings a bundle into Superset without touching what a person changed there.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::clients::superset::{Kind, Listed, Superset};
use crate::error::Failure;
use crate::stack::Stack;

use super::bundle::{Asset, Bundle};
use super::place::{self, Place};
use super::record::{Applied, Origin, Record};

/// How an asset of a bundle stands in Superset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// As in the file.
    Same,
    /// Never brought there.
    Missing,
    /// As this program brought it, from another version of the file.
    Outdated,
    /// Changed by a person since then.
    Changed { by: String },
    /// Brought from a person's file, and this program's own is another.
    FromFile,
    /// Deleted by a person since then.
    Deleted,
}

impl Standing {
    fn of(asset: &Asset, origin: Origin, listed: Option<&Listed>, applied: Option<&Applied>, us: &str) -> Self {
        match (listed, applied) {
            (None, None) => Self::Missing,
            (None, Some(_)) => Self::Deleted,
            (Some(there), Some(applied)) if there.changed_on == applied.changed_on => match (applied.origin, origin) {
                _ if applied.digest == asset.digest() => Self::Same,
                (Origin::Person, Origin::Program) => Self::FromFile,
                _ => Self::Outdated,
            },
            // an import that was killed before it could be written down
            (Some(there), _) if there.changed_by == us => Self::Outdated,
            (Some(there), _) => Self::Changed { by: there.changed_by.clone() },
        }
    }

    pub fn is_a_persons(&self) -> bool {
        matches!(self, Self::Changed { .. } | Self::FromFile | Self::Deleted)
    }

    /// Whether an import is to bring it.
    fn is_due(&self, overwrite: bool) -> bool {
        matches!(self, Self::Missing | Self::Outdated) || overwrite && self.is_a_persons()
    }
}

/// What is in Superset, by uuid.
struct Live {
    listed: BTreeMap<Uuid, Listed>,
    us: String,
}

impl Live {
    /// Of the kinds that the bundle has.
    async fn look(superset: &Superset, bundle: &Bundle) -> Result<Self> {
        let mut listed = BTreeMap::new();
        for kind in Kind::ALL.into_iter().filter(|kind| bundle.of_kind(*kind).next().is_some()) {
            listed.extend(superset.list(kind).await?.into_iter().map(|asset| (asset.uuid, asset)));
        }
        Ok(Self { listed, us: superset.me().await? })
    }

    fn get(&self, uuid: Uuid) -> Option<&Listed> {
        self.listed.get(&uuid)
    }
}

/// Each asset of the bundle with its standing.
pub async fn compare<'a>(stack: &Stack, superset: &Superset, bundle: &'a Bundle) -> Result<Vec<(&'a Asset, Standing)>> {
    let record = Record::load(stack).await?;
    Ok(standings(bundle, &record, &Live::look(superset, bundle).await?))
}

fn standings<'a>(bundle: &'a Bundle, record: &Record, live: &Live) -> Vec<(&'a Asset, Standing)> {
    let standing = |asset: &Asset| Standing::of(asset, bundle.origin, live.get(asset.uuid), record.0.get(&asset.uuid), &live.us);
    bundle.assets.iter().map(|asset| (asset, standing(asset))).collect()
}

/// Forgets what was brought when none of it is there: that Superset lost its database, and nobody deleted anything in it.
pub async fn forget_what_is_lost(stack: &Stack, superset: &Superset) -> Result<()> {
    let record = Record::load(stack).await?;
    let live = Live::look(superset, &Bundle::ours()?).await?;
    match record.0.is_empty() || record.0.keys().any(|uuid| live.get(*uuid).is_some()) {
        true => Ok(()),
        false => Record::forget(stack).await,
    }
}

/// What an import did.
#[derive(Debug, Default)]
pub struct Applying {
    pub brought: Vec<String>,
    /// Left as a person made them, in words.
    pub left: Vec<String>,
}

/// Imports what is missing or old in one transaction. With `overwrite`, also what a person changed or deleted.
pub async fn apply(stack: &Stack, superset: &Superset, bundle: &Bundle, overwrite: bool) -> Result<Applying> {
    let mut due_before: Option<Vec<Uuid>> = None;
    loop {
        let record = Record::load(stack).await?;
        let live = Live::look(superset, bundle).await?;
        let standings = standings(bundle, &record, &live);
        let due: Vec<&Asset> = standings.iter().filter(|(_, standing)| standing.is_due(overwrite)).map(|(asset, _)| *asset).collect();
        let left = standings.iter().filter(|(_, standing)| standing.is_a_persons() && !overwrite).map(|(asset, standing)| leave(asset, standing));
        let applying = Applying { brought: due.iter().map(|asset| asset.path()).collect(), left: left.collect() };
        if due.is_empty() {
            return Ok(applying);
        }
        refuse_to_replace(&due, &live)?;
        let part = Bundle { assets: due.iter().map(|asset| (*asset).clone()).collect(), origin: bundle.origin };
        let uuids: Vec<Uuid> = part.assets.iter().map(|asset| asset.uuid).collect();
        match superset.import(&part.to_zip()?, &Value::Object(Map::new())).await {
            Ok(()) => {
                remember(stack, superset, &part).await?;
                return Ok(applying);
            }
            // another import at the same time may have made what this one wanted to make: look at what is left
            Err(_) if due_before.as_ref() != Some(&uuids) => due_before = Some(uuids),
            Err(error) => return Err(error),
        }
    }
}

/// An import replaces what has the place of one of its assets, though that is another and nobody asked for it.
fn refuse_to_replace(due: &[&Asset], live: &Live) -> Result<()> {
    for (index, asset) in due.iter().enumerate() {
        let (Some(place), word) = (Place::of(asset), asset.kind.word()) else { continue };
        if let Some(twin) = due[..index].iter().find(|other| place::collide(asset, other)) {
            let why = format!("{} and {} both have {place}, of which Superset keeps one", twin.path(), asset.path());
            return Err(Failure::usage(why).hint(format!("keep one of the two, or give one {}", place.another())).into());
        }
        if let Some(other) = place::occupant(asset, live.listed.values()) {
            let why = format!("{} has {place} of {word} `{}` ({}), which it would replace", asset.path(), other.title, other.uuid);
            let hint = format!("give the file {}, or leave it out, or delete that {word} in Superset first", place.another());
            return Err(Failure::failed(why).hint(hint).into());
        }
    }
    Ok(())
}

/// Writes down how Superset has the assets that were just imported.
async fn remember(stack: &Stack, superset: &Superset, bundle: &Bundle) -> Result<()> {
    let live = Live::look(superset, bundle).await?;
    let ours = Bundle::ours()?;
    let entry = |asset: &Asset| {
        let (digest, changed_on) = (asset.digest(), live.get(asset.uuid)?.changed_on.clone());
        // a person's copy of our file that says the same is not a change of theirs
        let is_ours = ours.assets.iter().any(|own| own.uuid == asset.uuid && own.digest() == digest);
        Some((asset.uuid, Applied { digest, changed_on, origin: if is_ours { Origin::Program } else { bundle.origin } }))
    };
    Record::remember(stack, &bundle.assets.iter().filter_map(entry).collect()).await
}

fn leave(asset: &Asset, standing: &Standing) -> String {
    let what = format!("{} `{}`", asset.kind.word(), asset.title());
    match standing {
        Standing::Changed { by } if by.is_empty() => format!("{what} was changed in Superset"),
        Standing::Changed { by } => format!("{what} was changed by {by}"),
        Standing::FromFile => format!("{what} was applied from a file"),
        _ => format!("{what} was deleted in Superset"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asset() -> Asset {
        Asset::parse("a.yaml", "slice_name: a\nuuid: 6f3a3b5e-0000-4000-8000-000000000001\n").unwrap()
    }

    fn there(changed_on: &str, changed_by: &str) -> Option<Listed> {
        let (database, catalog, schema) = (None, None, None);
        let (changed_on, changed_by) = (changed_on.into(), changed_by.into());
        Some(Listed {
            kind: Kind::Chart,
            id: 1,
            uuid: asset().uuid,
            title: "a".into(),
            slug: None,
            database,
            catalog,
            schema,
            changed_on,
            changed_by,
        })
    }

    fn applied(digest: &str) -> Option<Applied> {
        Some(Applied { digest: digest.into(), changed_on: "monday".into(), origin: Origin::Program })
    }

    #[test]
    fn what_a_person_did_is_told_from_what_is_old() {
        let standing =
            |listed: Option<Listed>, applied: Option<Applied>| Standing::of(&asset(), Origin::Program, listed.as_ref(), applied.as_ref(), "us");
        let digest = asset().digest();
        assert_eq!(standing(None, None), Standing::Missing);
        assert_eq!(standing(there("monday", "us"), applied(&digest)), Standing::Same);
        assert_eq!(standing(there("monday", "us"), applied("of an older file")), Standing::Outdated);
        assert_eq!(standing(there("tuesday", "Ada"), applied(&digest)), Standing::Changed { by: "Ada".into() });
        assert_eq!(standing(None, applied(&digest)), Standing::Deleted);
        // killed between the import and writing it down
        assert_eq!(standing(there("monday", "us"), None), Standing::Outdated);
        assert_eq!(standing(there("monday", "Ada"), None), Standing::Changed { by: "Ada".into() });
    }

    #[test]
    fn what_a_person_applied_is_theirs_until_it_says_what_ours_says() {
        let standing = |origin, digest: &str| {
            let applied = Applied { origin: Origin::Person, ..applied(digest).unwrap() };
            Standing::of(&asset(), origin, there("monday", "us").as_ref(), Some(&applied), "us")
        };
        assert_eq!(standing(Origin::Program, "of their file"), Standing::FromFile);
        assert_eq!(standing(Origin::Person, "of their file before"), Standing::Outdated);
        assert_eq!(standing(Origin::Program, &asset().digest()), Standing::Same);
        assert!(Standing::FromFile.is_a_persons());
    }

    #[test]
    fn a_persons_work_is_only_overwritten_when_asked() {
        let theirs = Standing::Changed { by: "Ada".into() };
        assert!(!theirs.is_due(false) && theirs.is_due(true));
        assert!(!Standing::Deleted.is_due(false) && Standing::Deleted.is_due(true));
        assert!(Standing::Missing.is_due(false) && !Standing::Same.is_due(true));
    }
}
