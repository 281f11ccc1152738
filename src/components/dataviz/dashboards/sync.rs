//! Imports a bundle into Superset and keeps users' changes.

use anyhow::Result;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::components::dataviz::client::Superset;
use crate::error::Failure;
use crate::stack::Stack;

use super::asset::Asset;
use super::bundle::Bundle;
use super::natural_key::{self, NaturalKey};
use super::record::{Applied, Origin, Record};
use super::sync_state::{Live, Plan, SyncState};

/// Clears the record when none of its assets exist: Superset lost its database, and no user deleted them.
pub async fn forget_lost_assets(stack: &Stack, superset: &Superset) -> Result<()> {
    let record = Record::load(stack).await?;
    let live = Live::look(superset).await?;
    match record.applied.is_empty() || record.applied.keys().any(|uuid| live.get(*uuid).is_some()) {
        true => Ok(()),
        false => Record::forget(stack).await,
    }
}

/// The result of an import. All fields except `imported` are sentences.
#[derive(Debug, Default)]
pub struct Applying {
    /// The paths of the imported assets.
    pub imported: Vec<String>,
    /// Left in place because users changed them.
    pub left: Vec<String>,
    /// Not imported, because another asset is missing or in conflict.
    pub held: Vec<String>,
    /// Imported without references to missing assets.
    pub cut: Vec<String>,
}

impl Applying {
    fn of(plan: &Plan, bundle: &Bundle, overwrite: bool) -> Self {
        let mut applying =
            Self { imported: plan.due().map(Asset::path).collect(), ..Self::default() };
        applying.cut = plan.due().flat_map(|asset| plan.lacking(asset, bundle)).collect();
        for (asset, state) in &plan.states {
            let what = format!("{} `{}`", asset.kind.word(), asset.title());
            match state {
                SyncState::Blocked { why, .. } => applying.held.push(format!("{what} {why}")),
                state if overwrite || !state.is_users() => {}
                SyncState::Changed { by } if by.is_empty() => {
                    applying.left.push(format!("{what} was changed in Superset"))
                }
                SyncState::Changed { by } => {
                    applying.left.push(format!("{what} was changed by {by}"))
                }
                SyncState::FromFile => {
                    applying.left.push(format!("{what} was applied from a file"))
                }
                _ => applying.left.push(format!("{what} was deleted in Superset")),
            }
        }
        applying
    }
}

/// Imports missing and outdated assets in one transaction. With `overwrite`, also assets that users changed or deleted.
///
/// # Errors
/// When an import would replace another asset, and when Superset rejects it.
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
        let due = Bundle {
            assets: plan.due().map(|asset| plan.cut(asset)).collect(),
            origin: bundle.origin,
            ..Bundle::default()
        };
        if due.assets.is_empty() {
            return Ok(applying);
        }
        reject_replacements(&due.assets, &live)?;
        let uuids: Vec<Uuid> = due.assets.iter().map(|asset| asset.uuid).collect();
        let (zip, no_passwords) = (due.to_zip()?, Value::Object(Map::new()));
        match superset.import(&zip, &no_passwords).await {
            Ok(()) => {
                let mut before = record;
                while !remember(stack, superset, &before, &due).await? {
                    // a concurrent import may have replaced the assets, so import them again
                    before = Record::load(stack).await?;
                    superset.import(&zip, &no_passwords).await?;
                }
                return Ok(applying);
            }
            // a concurrent import may have created the same assets: plan again
            Err(_) if due_before.as_ref() != Some(&uuids) => due_before = Some(uuids),
            Err(error) => return Err(error),
        }
    }
}

/// Rejects an import that would replace another asset with the same natural key.
fn reject_replacements(due: &[Asset], live: &Live) -> Result<()> {
    for (index, asset) in due.iter().enumerate() {
        let (Some(key), word) = (NaturalKey::of(asset), asset.kind.word()) else { continue };
        if let Some(twin) = due[..index].iter().find(|other| natural_key::collide(asset, other)) {
            let why = format!(
                "{}, {}: both have {key}; Superset would keep only one",
                twin.path(),
                asset.path()
            );
            return Err(Failure::usage(why)
                .hint(format!("delete one of the files, or {}", key.hint()))
                .into());
        }
        if let Some(other) = natural_key::occupant(asset, live.listed.values()) {
            let why = format!(
                "{}: has {key} of another {word} in Superset, `{}` ({}), and would replace it",
                asset.path(),
                other.title,
                other.uuid
            );
            let hint = format!("{}, or delete that {word} in Superset first", key.hint());
            return Err(Failure::failed(why).hint(hint).into());
        }
    }
    Ok(())
}

/// Records the state of the imported assets. Returns false when another import wrote since `before`.
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
        // a user's file that equals this program's is not a change
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
