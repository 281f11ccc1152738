//! The state of a bundle's assets in Superset, and the plan of an import.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use futures::future::try_join_all;
use serde_json::Value;
use uuid::Uuid;

use crate::components::dataviz::client::{Kind, Listed, Superset};
use crate::stack::Stack;

use super::asset::Asset;
use super::bundle::Bundle;
use super::record::{Applied, Origin, Record};
use super::{chart, layout, natural_key};

/// The state of a bundle's asset in Superset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyncState {
    /// Equal to the file.
    Same,
    /// Never imported.
    Missing,
    /// Imported from another version of the file, and unchanged since.
    Outdated,
    /// Changed by a user since the import.
    Changed { by: String },
    /// Imported from a user's file that differs from this program's.
    FromFile,
    /// Deleted by a user since the import.
    Deleted,
    /// Outdated or missing, and not importable before another problem is solved.
    Blocked { why: String, is_live: bool },
}

impl SyncState {
    /// `digests` are the digests under which the record may list the current file.
    fn of(
        digests: &[String],
        origin: Origin,
        listed: Option<&Listed>,
        applied: Option<&Applied>,
        us: &str,
    ) -> Self {
        match (listed, applied) {
            (None, None) => Self::Missing,
            (None, Some(_)) => Self::Deleted,
            (Some(live), Some(applied)) if live.changed_on == applied.changed_on => {
                match (applied.origin, origin) {
                    _ if digests.contains(&applied.digest) => Self::Same,
                    (Origin::User, Origin::Program) => Self::FromFile,
                    _ => Self::Outdated,
                }
            }
            // an import that was interrupted before it was recorded
            (Some(live), _) if live.changed_by == us => Self::Outdated,
            (Some(live), _) => Self::Changed { by: live.changed_by.clone() },
        }
    }

    /// Whether the asset is a user's own version, or a user deleted it.
    pub fn is_users(&self) -> bool {
        matches!(self, Self::Changed { .. } | Self::FromFile | Self::Deleted)
    }

    /// Whether Superset has a different version that an import keeps.
    fn keeps_another(&self, overwrite: bool) -> bool {
        *self != Self::Same && self.is_live() && !self.is_due(overwrite)
    }

    /// Whether Superset has the asset, in any version.
    pub fn is_live(&self) -> bool {
        !matches!(self, Self::Missing | Self::Deleted | Self::Blocked { is_live: false, .. })
    }

    /// Whether an import includes the asset.
    pub(super) fn is_due(&self, overwrite: bool) -> bool {
        matches!(self, Self::Missing | Self::Outdated) || overwrite && self.is_users()
    }
}

/// The assets in Superset, by UUID.
pub(super) struct Live {
    pub listed: BTreeMap<Uuid, Listed>,
    us: String,
    /// The datasets that differ from their files, with their columns and metrics.
    datasets_in_superset: BTreeMap<Uuid, Value>,
}

impl Live {
    pub async fn look(superset: &Superset) -> Result<Self> {
        let listed = try_join_all(Kind::ALL.map(|kind| superset.list(kind))).await?;
        let listed = listed.into_iter().flatten().map(|asset| (asset.uuid, asset)).collect();
        Ok(Self { listed, us: superset.me().await?, datasets_in_superset: BTreeMap::new() })
    }

    /// The same, with the content of datasets that users changed and an import keeps.
    pub async fn look_for(
        superset: &Superset,
        bundle: &Bundle,
        record: &Record,
        overwrite: bool,
    ) -> Result<Self> {
        let mut live = Self::look(superset).await?;
        let states = Plan::of(bundle, record, &live, overwrite).states;
        for (asset, _) in states
            .iter()
            .filter(|(asset, state)| asset.kind == Kind::Dataset && state.keeps_another(overwrite))
        {
            if let Some(listed) = live.get(asset.uuid) {
                let dataset = superset.get(Kind::Dataset, listed.id).await?;
                live.datasets_in_superset.insert(asset.uuid, dataset);
            }
        }
        Ok(live)
    }

    pub fn get(&self, uuid: Uuid) -> Option<&Listed> {
        self.listed.get(&uuid)
    }
}

/// The state of each asset of the bundle.
pub async fn compare<'a>(
    stack: &Stack,
    superset: &Superset,
    bundle: &'a Bundle,
) -> Result<Vec<(&'a Asset, SyncState)>> {
    let record = Record::load(stack).await?;
    let live = Live::look_for(superset, bundle, &record, false).await?;
    Ok(Plan::of(bundle, &record, &live, false).states)
}

/// The plan of an import.
pub(super) struct Plan<'a> {
    pub states: Vec<(&'a Asset, SyncState)>,
    /// The assets that Superset has after the import.
    live: BTreeSet<Uuid>,
    overwrite: bool,
}

impl<'a> Plan<'a> {
    pub fn of(bundle: &'a Bundle, record: &Record, live: &Live, overwrite: bool) -> Self {
        let mut plan =
            Plan { states: Vec::new(), live: live.listed.keys().copied().collect(), overwrite };
        // created assets get new numbers, so the assets that refer to them must be imported again
        let mut created = BTreeSet::new();
        for asset in &bundle.assets {
            let (listed, applied) = (live.get(asset.uuid), record.applied.get(&asset.uuid));
            let digests = [asset.digest(), plan.cut(asset).digest()];
            let mut state = SyncState::of(&digests, bundle.origin, listed, applied, &live.us);
            if state == SyncState::Same
                && asset.references().iter().any(|uuid| created.contains(uuid))
            {
                state = SyncState::Outdated;
            }
            if state.is_due(overwrite) {
                match plan.blocker(asset, bundle, live) {
                    Some(why) => state = SyncState::Blocked { why, is_live: listed.is_some() },
                    None => {
                        plan.live.insert(asset.uuid);
                        if listed.is_none() {
                            created.insert(asset.uuid);
                        }
                    }
                }
            }
            plan.states.push((asset, state));
        }
        plan
    }

    /// Why an asset cannot be imported. Superset would fail the whole import, or ignore the asset silently.
    fn blocker(&self, asset: &Asset, bundle: &Bundle, live: &Live) -> Option<String> {
        // a connection is a separate resource, or a user creates it
        if let Ok(Some((kind @ Kind::Dataset, parent))) = asset.parent()
            && !self.live.contains(&parent)
        {
            let name = bundle
                .find(kind, |other| other.uuid == parent)
                .map_or_else(|| parent.to_string(), |other| other.title().to_string());
            return Some(format!("needs dataset `{name}`, which is not in Superset"));
        }
        if let Some(why) = lacking(asset, bundle, live) {
            return Some(why);
        }
        let twin = natural_key::occupant(asset, live.listed.values())
            .filter(|_| asset.kind == Kind::Dataset && self.live.contains(&asset.uuid))?;
        Some(format!(
            "conflicts with another dataset on the table `{}`, created by {}",
            twin.title, twin.changed_by
        ))
    }

    pub fn due(&self) -> impl Iterator<Item = &'a Asset> {
        self.states
            .iter()
            .filter(|(_, state)| state.is_due(self.overwrite))
            .map(|(asset, _)| *asset)
    }

    /// A dashboard without charts and filters whose assets are missing. Other assets are unchanged.
    pub fn cut(&self, asset: &Asset) -> Asset {
        let mut asset = asset.clone();
        if asset.kind == Kind::Dashboard
            && asset.references().iter().any(|uuid| !self.live.contains(uuid))
        {
            layout::retain(&mut asset.content, |uuid| self.live.contains(&uuid));
        }
        asset
    }

    /// The references that `cut` drops, in words.
    pub fn lacking(&self, asset: &Asset, bundle: &Bundle) -> Vec<String> {
        if asset.kind != Kind::Dashboard {
            return Vec::new();
        }
        let gone: BTreeSet<Uuid> =
            asset.references().into_iter().filter(|uuid| !self.live.contains(uuid)).collect();
        let known = |uuid: &Uuid| bundle.assets.iter().find(|other| other.uuid == *uuid);
        let words =
            gone.iter().map(|uuid| match (known(uuid), layout::title(&asset.content, *uuid)) {
                (Some(other), _) => format!("{} `{}`", other.kind.word(), other.title()),
                (None, Some(title)) => format!("chart `{title}`"),
                (None, None) => format!("{uuid}"),
            });
        words
            .map(|what| {
                format!(
                    "dashboard `{}` was imported without {what}, which is not in Superset",
                    asset.title()
                )
            })
            .collect()
    }
}

/// The columns and metrics of a chart that its dataset has in the file but not in Superset, after a user's change.
fn lacking(chart: &Asset, bundle: &Bundle, live: &Live) -> Option<String> {
    let (_, parent) = chart.parent().ok()?.filter(|_| chart.kind == Kind::Chart)?;
    let (dataset, live_dataset) = (
        bundle.find(Kind::Dataset, |asset| asset.uuid == parent)?,
        live.datasets_in_superset.get(&parent)?,
    );
    let params = chart.content.get("params")?;
    let never_had = chart::lacks(params, &Value::Object(dataset.content.clone()));
    let lacking: Vec<String> = chart::lacks(params, live_dataset)
        .into_iter()
        .filter(|what| !never_had.contains(what))
        .collect();
    let title = dataset.title();
    (!lacking.is_empty()).then(|| {
        format!(
            "needs {}, which the changed dataset `{title}` in Superset does not have",
            lacking.join(" and ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATASET: &str = "6f3a3b5e-0000-4000-8000-0000000000d5";
    const CHART: &str = "6f3a3b5e-0000-4000-8000-0000000000c4";

    /// A dashboard with one chart on one dataset.
    fn bundle() -> Bundle {
        let asset = |file: &str, text: String| Asset::parse(file, &text).unwrap();
        let dataset = format!(
            "table_name: t\nuuid: {DATASET}\ndatabase_uuid: 6f3a3b5e-0000-4000-8000-0000000000db\n"
        );
        let chart = format!("slice_name: c\nuuid: {CHART}\ndataset_uuid: {DATASET}\n");
        let dashboard = format!(
            "dashboard_title: d\nuuid: 6f3a3b5e-0000-4000-8000-0000000000da\nposition: {{C: {{type: CHART, meta: {{uuid: {CHART}, chartId: 1}}}}}}\n"
        );
        let assets =
            vec![asset("t.yaml", dataset), asset("c.yaml", chart), asset("d.yaml", dashboard)];
        Bundle { assets, ..Bundle::default() }
    }

    fn listed(asset: &Asset) -> Listed {
        let database =
            asset.content.get("database_uuid").and_then(|uuid| uuid.as_str()?.parse().ok());
        Listed {
            kind: asset.kind,
            uuid: asset.uuid,
            title: asset.title().into(),
            database,
            ..existing("monday", "us").unwrap()
        }
    }

    /// Superset and record after an import of all, without the assets of these uuids.
    fn after_an_import(bundle: &Bundle, deleted: &[&str]) -> (Record, Live) {
        let record = bundle
            .assets
            .iter()
            .map(|asset| (asset.uuid, applied(&asset.digest()).unwrap()))
            .collect();
        let stayed = bundle
            .assets
            .iter()
            .filter(|asset| !deleted.contains(&asset.uuid.to_string().as_str()));
        let listed = stayed.map(listed).map(|listed| (listed.uuid, listed)).collect();
        (
            Record { applied: record, ..Record::default() },
            Live { listed, us: "us".into(), datasets_in_superset: BTreeMap::new() },
        )
    }

    fn states(bundle: &Bundle, record: &Record, live: &Live, overwrite: bool) -> Vec<SyncState> {
        Plan::of(bundle, record, live, overwrite)
            .states
            .into_iter()
            .map(|(_, state)| state)
            .collect()
    }

    #[test]
    fn dashboard_is_imported_without_its_deleted_chart_and_again_with_it() {
        let bundle = bundle();
        let (mut record, live) = after_an_import(&bundle, &[CHART]);
        assert_eq!(
            states(&bundle, &record, &live, false),
            [SyncState::Same, SyncState::Deleted, SyncState::Same]
        );

        // an upgrade imports the dashboard
        record.applied.insert(bundle.assets[2].uuid, applied("of an older file").unwrap());
        let plan = Plan::of(&bundle, &record, &live, false);
        assert_eq!(plan.due().map(Asset::title).collect::<Vec<_>>(), ["d"]);
        let cut = plan.cut(&bundle.assets[2]);
        assert!(cut.references().is_empty());
        assert_eq!(
            plan.lacking(&bundle.assets[2], &bundle),
            ["dashboard `d` was imported without chart `c`, which is not in Superset"]
        );
        record.applied.insert(cut.uuid, applied(&cut.digest()).unwrap());
        assert_eq!(
            states(&bundle, &record, &live, false)[2],
            SyncState::Same,
            "the next run must not import it again"
        );

        // when the chart returns, the dashboard is imported again for the chart's number
        let whole = &bundle.assets[2];
        for imported in [&cut, whole] {
            record.applied.insert(whole.uuid, applied(&imported.digest()).unwrap());
            assert_eq!(
                Plan::of(&bundle, &record, &live, true).due().map(Asset::title).collect::<Vec<_>>(),
                ["c", "d"]
            );
        }
    }

    #[test]
    fn chart_of_a_deleted_dataset_is_blocked_until_the_dataset_is_imported() {
        let bundle = bundle();
        let (mut record, live) = after_an_import(&bundle, &[DATASET]);
        record.applied.insert(bundle.assets[1].uuid, applied("of an older file").unwrap());
        let held = SyncState::Blocked {
            why: "needs dataset `t`, which is not in Superset".into(),
            is_live: true,
        };
        assert_eq!(
            states(&bundle, &record, &live, false),
            [SyncState::Deleted, held, SyncState::Same]
        );
        record.applied.insert(bundle.assets[1].uuid, applied(&bundle.assets[1].digest()).unwrap());
        assert_eq!(
            Plan::of(&bundle, &record, &live, true).due().map(Asset::title).collect::<Vec<_>>(),
            ["t", "c"]
        );
    }

    #[test]
    fn all_assets_are_missing_before_the_first_import() {
        let bundle = bundle();
        let (_, mut live) = after_an_import(&bundle, &[]);
        live.listed.clear();
        assert!(
            states(&bundle, &Record::default(), &live, false)
                .iter()
                .all(|state| *state == SyncState::Missing)
        );
    }

    #[test]
    fn dataset_is_blocked_by_another_dataset_on_its_table() {
        let bundle = bundle();
        let (mut record, mut live) = after_an_import(&bundle, &[]);
        let other = Listed {
            uuid: Uuid::nil(),
            schema: Some("default".into()),
            changed_by: "Ada".into(),
            ..listed(&bundle.assets[0])
        };
        live.listed.insert(other.uuid, other);
        assert!(
            states(&bundle, &record, &live, false).iter().all(|state| *state == SyncState::Same)
        );
        record.applied.insert(bundle.assets[0].uuid, applied("of an older file").unwrap());
        let why = "conflicts with another dataset on the table `t`, created by Ada".into();
        assert_eq!(
            states(&bundle, &record, &live, false)[0],
            SyncState::Blocked { why, is_live: true }
        );
    }

    fn asset() -> Asset {
        Asset::parse("a.yaml", "slice_name: a\nuuid: 6f3a3b5e-0000-4000-8000-000000000001\n")
            .unwrap()
    }

    fn existing(changed_on: &str, changed_by: &str) -> Option<Listed> {
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
        Some(Applied {
            digest: digest.into(),
            changed_on: "monday".into(),
            origin: Origin::Program,
        })
    }

    #[test]
    fn users_changes_are_distinguished_from_outdated_assets() {
        let state = |listed: Option<Listed>, applied: Option<Applied>| {
            SyncState::of(
                &[asset().digest()],
                Origin::Program,
                listed.as_ref(),
                applied.as_ref(),
                "us",
            )
        };
        let digest = asset().digest();
        assert_eq!(state(None, None), SyncState::Missing);
        assert_eq!(state(existing("monday", "us"), applied(&digest)), SyncState::Same);
        assert_eq!(
            state(existing("monday", "us"), applied("of an older file")),
            SyncState::Outdated
        );
        assert_eq!(
            state(existing("tuesday", "Ada"), applied(&digest)),
            SyncState::Changed { by: "Ada".into() }
        );
        assert_eq!(state(None, applied(&digest)), SyncState::Deleted);
        // interrupted between the import and its record
        assert_eq!(state(existing("monday", "us"), None), SyncState::Outdated);
        assert_eq!(state(existing("monday", "Ada"), None), SyncState::Changed { by: "Ada".into() });
    }

    #[test]
    fn asset_from_a_users_file_is_theirs_unless_it_equals_the_programs() {
        let state = |origin, digest: &str| {
            let applied = Applied { origin: Origin::User, ..applied(digest).unwrap() };
            SyncState::of(
                &[asset().digest()],
                origin,
                existing("monday", "us").as_ref(),
                Some(&applied),
                "us",
            )
        };
        assert_eq!(state(Origin::Program, "of their file"), SyncState::FromFile);
        assert_eq!(state(Origin::User, "of their file before"), SyncState::Outdated);
        assert_eq!(state(Origin::Program, &asset().digest()), SyncState::Same);
        assert!(SyncState::FromFile.is_users());
    }

    #[test]
    fn users_changes_are_overwritten_only_on_request() {
        let theirs = SyncState::Changed { by: "Ada".into() };
        assert!(!theirs.is_due(false) && theirs.is_due(true));
        assert!(!SyncState::Deleted.is_due(false) && SyncState::Deleted.is_due(true));
        assert!(SyncState::Missing.is_due(false) && !SyncState::Same.is_due(true));
    }
}
