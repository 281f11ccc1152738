//! Brings a bundle into Superset without touching what a person changed there.

use anyhow::Result;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::components::dataviz::client::Superset;
use crate::error::Failure;
use crate::stack::Stack;

use super::asset::Asset;
use super::bundle::Bundle;
use super::place::{self, Place};
use super::record::{Applied, Origin, Record};
use super::standing::{Live, Plan, Standing};

/// Forgets what was brought when none of it is there: that Superset lost its database, and nobody deleted anything in it.
pub async fn forget_what_is_lost(stack: &Stack, superset: &Superset) -> Result<()> {
    let record = Record::load(stack).await?;
    let live = Live::look(superset).await?;
    match record.applied.is_empty() || record.applied.keys().any(|uuid| live.get(*uuid).is_some()) {
        true => Ok(()),
        false => Record::forget(stack).await,
    }
}

/// What an import did, but for the first in words.
#[derive(Debug, Default)]
pub struct Applying {
    /// The paths of what it brought.
    pub brought: Vec<String>,
    /// Left as a person made them.
    pub left: Vec<String>,
    /// Not brought, because something that they need is not there.
    pub held: Vec<String>,
    /// Brought without what they refer to and is not there.
    pub cut: Vec<String>,
}

impl Applying {
    fn of(plan: &Plan, bundle: &Bundle, overwrite: bool) -> Self {
        let mut applying =
            Self { brought: plan.due().map(Asset::path).collect(), ..Self::default() };
        applying.cut = plan.due().flat_map(|asset| plan.lacking(asset, bundle)).collect();
        for (asset, standing) in &plan.standings {
            let what = format!("{} `{}`", asset.kind.word(), asset.title());
            match standing {
                Standing::Held { why, .. } => applying.held.push(format!("{what} {why}")),
                standing if overwrite || !standing.is_a_persons() => {}
                Standing::Changed { by } if by.is_empty() => {
                    applying.left.push(format!("{what} was changed in Superset"))
                }
                Standing::Changed { by } => {
                    applying.left.push(format!("{what} was changed by {by}"))
                }
                Standing::FromFile => applying.left.push(format!("{what} was applied from a file")),
                _ => applying.left.push(format!("{what} was deleted in Superset")),
            }
        }
        applying
    }
}

/// Imports what is missing or old in one transaction. With `overwrite`, also what a person changed or deleted.
pub async fn apply(
    stack: &Stack,
    superset: &Superset,
    bundle: &Bundle,
    overwrite: bool,
) -> Result<Applying> {
    let mut due_before: Option<Vec<Uuid>> = None;
    loop {
        let record = Record::load(stack).await?;
        let live = Live::look_for(superset, bundle, &record, overwrite).await?;
        let plan = Plan::of(bundle, &record, &live, overwrite);
        let applying = Applying::of(&plan, bundle, overwrite);
        let part = Bundle {
            assets: plan.due().map(|asset| plan.cut(asset)).collect(),
            origin: bundle.origin,
            ..Bundle::default()
        };
        if part.assets.is_empty() {
            return Ok(applying);
        }
        refuse_to_replace(&part.assets, &live)?;
        let uuids: Vec<Uuid> = part.assets.iter().map(|asset| asset.uuid).collect();
        let (zip, no_passwords) = (part.to_zip()?, Value::Object(Map::new()));
        match superset.import(&zip, &no_passwords).await {
            Ok(()) => {
                let mut before = record;
                while !remember(stack, superset, &before, &part).await? {
                    // another import at the same time: whose assets are there now nobody can tell, so once more
                    before = Record::load(stack).await?;
                    superset.import(&zip, &no_passwords).await?;
                }
                return Ok(applying);
            }
            // another import at the same time may have made what this one wanted to make: look at what is left
            Err(_) if due_before.as_ref() != Some(&uuids) => due_before = Some(uuids),
            Err(error) => return Err(error),
        }
    }
}

/// An import replaces what has the place of one of its assets, though that is another and nobody asked for it.
fn refuse_to_replace(due: &[Asset], live: &Live) -> Result<()> {
    for (index, asset) in due.iter().enumerate() {
        let (Some(place), word) = (Place::of(asset), asset.kind.word()) else { continue };
        if let Some(twin) = due[..index].iter().find(|other| place::collide(asset, other)) {
            let why = format!(
                "{} and {} both have {place}, of which Superset keeps one",
                twin.path(),
                asset.path()
            );
            return Err(Failure::usage(why)
                .hint(format!("keep one of the two, or {}", place.cure()))
                .into());
        }
        if let Some(other) = place::occupant(asset, live.listed.values()) {
            let why = format!(
                "{} has {place} of {word} `{}` ({}), which it would replace",
                asset.path(),
                other.title,
                other.uuid
            );
            let hint = format!("{}, or delete that {word} in Superset first", place.cure());
            return Err(Failure::failed(why).hint(hint).into());
        }
    }
    Ok(())
}

/// Writes down how Superset has the assets that were just imported. False when another import wrote since `before`.
async fn remember(
    stack: &Stack,
    superset: &Superset,
    before: &Record,
    bundle: &Bundle,
) -> Result<bool> {
    let live = Live::look(superset).await?;
    let ours = Bundle::ours()?;
    let entry = |asset: &Asset| {
        let (digest, changed_on) = (asset.digest(), live.get(asset.uuid)?.changed_on.clone());
        // a person's copy of our file that says the same is not a change of theirs
        let is_ours =
            ours.assets.iter().any(|own| own.uuid == asset.uuid && own.digest() == digest);
        Some((
            asset.uuid,
            Applied {
                digest,
                changed_on,
                origin: if is_ours { Origin::Program } else { bundle.origin },
            },
        ))
    };
    before.remember(stack, &bundle.assets.iter().filter_map(entry).collect()).await
}
