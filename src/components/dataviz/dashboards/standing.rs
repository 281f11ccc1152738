//! How the assets of a bundle stand in Superset, and so what an import is to bring.

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
use super::{chart, layout, place};

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
    /// Old or not there, and not to be brought before something else is as it should be.
    Held { why: String, is_there: bool },
}

impl Standing {
    /// `digests` are those by which the record may know what the file says today.
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
            (Some(there), Some(applied)) if there.changed_on == applied.changed_on => {
                match (applied.origin, origin) {
                    _ if digests.contains(&applied.digest) => Self::Same,
                    (Origin::Person, Origin::Program) => Self::FromFile,
                    _ => Self::Outdated,
                }
            }
            // an import that was killed before it could be written down
            (Some(there), _) if there.changed_by == us => Self::Outdated,
            (Some(there), _) => Self::Changed { by: there.changed_by.clone() },
        }
    }

    pub fn is_a_persons(&self) -> bool {
        matches!(self, Self::Changed { .. } | Self::FromFile | Self::Deleted)
    }

    /// Whether Superset has something else than the file says, and an import leaves that.
    fn keeps_another(&self, overwrite: bool) -> bool {
        *self != Self::Same && self.is_there() && !self.is_due(overwrite)
    }

    /// Whether Superset has it, old or new.
    pub fn is_there(&self) -> bool {
        !matches!(self, Self::Missing | Self::Deleted | Self::Held { is_there: false, .. })
    }

    /// Whether an import is to bring it.
    pub(super) fn is_due(&self, overwrite: bool) -> bool {
        matches!(self, Self::Missing | Self::Outdated) || overwrite && self.is_a_persons()
    }
}

/// What is in Superset, by uuid.
pub(super) struct Live {
    pub listed: BTreeMap<Uuid, Listed>,
    us: String,
    /// The data sets that are not as in their files, with their columns and metrics.
    kept: BTreeMap<Uuid, Value>,
}

impl Live {
    pub async fn look(superset: &Superset) -> Result<Self> {
        let listed = try_join_all(Kind::ALL.map(|kind| superset.list(kind))).await?;
        let listed = listed.into_iter().flatten().map(|asset| (asset.uuid, asset)).collect();
        Ok(Self { listed, us: superset.me().await?, kept: BTreeMap::new() })
    }

    /// The same, and what is in the data sets that an import of the bundle leaves as a person made them.
    pub async fn look_for(
        superset: &Superset,
        bundle: &Bundle,
        record: &Record,
        overwrite: bool,
    ) -> Result<Self> {
        let mut live = Self::look(superset).await?;
        let standings = Plan::of(bundle, record, &live, overwrite).standings;
        for (asset, _) in standings.iter().filter(|(asset, standing)| {
            asset.kind == Kind::Dataset && standing.keeps_another(overwrite)
        }) {
            if let Some(listed) = live.get(asset.uuid) {
                let dataset = superset.get(Kind::Dataset, listed.id).await?;
                live.kept.insert(asset.uuid, dataset);
            }
        }
        Ok(live)
    }

    pub fn get(&self, uuid: Uuid) -> Option<&Listed> {
        self.listed.get(&uuid)
    }
}

/// Each asset of the bundle with its standing.
pub async fn compare<'a>(
    stack: &Stack,
    superset: &Superset,
    bundle: &'a Bundle,
) -> Result<Vec<(&'a Asset, Standing)>> {
    let record = Record::load(stack).await?;
    let live = Live::look_for(superset, bundle, &record, false).await?;
    Ok(Plan::of(bundle, &record, &live, false).standings)
}

/// What an import is to do.
pub(super) struct Plan<'a> {
    pub standings: Vec<(&'a Asset, Standing)>,
    /// What Superset has afterwards.
    there: BTreeSet<Uuid>,
    overwrite: bool,
}

impl<'a> Plan<'a> {
    pub fn of(bundle: &'a Bundle, record: &Record, live: &Live, overwrite: bool) -> Self {
        let mut plan =
            Plan { standings: Vec::new(), there: live.listed.keys().copied().collect(), overwrite };
        // they get numbers of their own, which those that refer to them have to learn
        let mut anew = BTreeSet::new();
        for asset in &bundle.assets {
            let (listed, applied) = (live.get(asset.uuid), record.applied.get(&asset.uuid));
            let digests = [asset.digest(), plan.cut(asset).digest()];
            let mut standing = Standing::of(&digests, bundle.origin, listed, applied, &live.us);
            if standing == Standing::Same
                && asset.references().iter().any(|uuid| anew.contains(uuid))
            {
                standing = Standing::Outdated;
            }
            if standing.is_due(overwrite) {
                match plan.hindrance(asset, bundle, live) {
                    Some(why) => standing = Standing::Held { why, is_there: listed.is_some() },
                    None => {
                        plan.there.insert(asset.uuid);
                        if listed.is_none() {
                            anew.insert(asset.uuid);
                        }
                    }
                }
            }
            plan.standings.push((asset, standing));
        }
        plan
    }

    /// What keeps an asset from being brought. Superset would fail at it, with all others, or do nothing and not say so.
    fn hindrance(&self, asset: &Asset, bundle: &Bundle, live: &Live) -> Option<String> {
        // a connection comes before all of this, or is made by a person
        if let Ok(Some((kind @ Kind::Dataset, parent))) = asset.parent()
            && !self.there.contains(&parent)
        {
            let name = bundle
                .find(kind, |other| other.uuid == parent)
                .map_or_else(|| parent.to_string(), |other| other.title().to_string());
            return Some(format!("needs dataset `{name}`, which is not in Superset"));
        }
        if let Some(why) = lacking(asset, bundle, live) {
            return Some(why);
        }
        let twin = place::occupant(asset, live.listed.values())
            .filter(|_| asset.kind == Kind::Dataset && self.there.contains(&asset.uuid))?;
        Some(format!(
            "cannot be brought while there is another dataset on the table `{}`, made by {}",
            twin.title, twin.changed_by
        ))
    }

    pub fn due(&self) -> impl Iterator<Item = &'a Asset> {
        self.standings
            .iter()
            .filter(|(_, standing)| standing.is_due(self.overwrite))
            .map(|(asset, _)| *asset)
    }

    /// A dashboard without the charts and filters that Superset could not find anything for; all else as it is.
    pub fn cut(&self, asset: &Asset) -> Asset {
        let mut asset = asset.clone();
        if asset.kind == Kind::Dashboard
            && asset.references().iter().any(|uuid| !self.there.contains(uuid))
        {
            layout::keep(&mut asset.content, |uuid| self.there.contains(&uuid));
        }
        asset
    }

    /// What of a dashboard is cut, in words.
    pub fn lacking(&self, asset: &Asset, bundle: &Bundle) -> Vec<String> {
        if asset.kind != Kind::Dashboard {
            return Vec::new();
        }
        let gone: BTreeSet<Uuid> =
            asset.references().into_iter().filter(|uuid| !self.there.contains(uuid)).collect();
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
                    "dashboard `{}` comes without {what}, which is not in Superset",
                    asset.title()
                )
            })
            .collect()
    }
}

/// What a chart asks for that its data set has in its file and not in Superset, where a person made something else of it.
fn lacking(chart: &Asset, bundle: &Bundle, live: &Live) -> Option<String> {
    let (_, parent) = chart.parent().ok()?.filter(|_| chart.kind == Kind::Chart)?;
    let (dataset, kept) =
        (bundle.find(Kind::Dataset, |asset| asset.uuid == parent)?, live.kept.get(&parent)?);
    let params = chart.content.get("params")?;
    let never_had = chart::lacks(params, &Value::Object(dataset.content.clone()));
    let lacking: Vec<String> =
        chart::lacks(params, kept).into_iter().filter(|what| !never_had.contains(what)).collect();
    let title = dataset.title();
    (!lacking.is_empty()).then(|| {
        format!(
            "needs {}, which dataset `{title}` as people made it does not have",
            lacking.join(" and ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATASET: &str = "6f3a3b5e-0000-4000-8000-0000000000d5";
    const CHART: &str = "6f3a3b5e-0000-4000-8000-0000000000c4";

    /// A dashboard with one chart on one data set.
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
            ..there("monday", "us").unwrap()
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
            Live { listed, us: "us".into(), kept: BTreeMap::new() },
        )
    }

    fn standings(bundle: &Bundle, record: &Record, live: &Live, overwrite: bool) -> Vec<Standing> {
        Plan::of(bundle, record, live, overwrite)
            .standings
            .into_iter()
            .map(|(_, standing)| standing)
            .collect()
    }

    #[test]
    fn a_dashboard_whose_chart_was_deleted_is_brought_without_it_and_again_with_it() {
        let bundle = bundle();
        let (mut record, live) = after_an_import(&bundle, &[CHART]);
        assert_eq!(
            standings(&bundle, &record, &live, false),
            [Standing::Same, Standing::Deleted, Standing::Same]
        );

        // an upgrade brings the dashboard
        record.applied.insert(bundle.assets[2].uuid, applied("of an older file").unwrap());
        let plan = Plan::of(&bundle, &record, &live, false);
        assert_eq!(plan.due().map(Asset::title).collect::<Vec<_>>(), ["d"]);
        let cut = plan.cut(&bundle.assets[2]);
        assert!(cut.references().is_empty());
        assert_eq!(
            plan.lacking(&bundle.assets[2], &bundle),
            ["dashboard `d` comes without chart `c`, which is not in Superset"]
        );
        record.applied.insert(cut.uuid, applied(&cut.digest()).unwrap());
        assert_eq!(
            standings(&bundle, &record, &live, false)[2],
            Standing::Same,
            "it is not brought again and again"
        );

        // and with the chart the dashboard has to be brought, to know its number
        let whole = &bundle.assets[2];
        for brought in [&cut, whole] {
            record.applied.insert(whole.uuid, applied(&brought.digest()).unwrap());
            assert_eq!(
                Plan::of(&bundle, &record, &live, true).due().map(Asset::title).collect::<Vec<_>>(),
                ["c", "d"]
            );
        }
    }

    #[test]
    fn a_chart_whose_data_set_was_deleted_is_held_back_and_follows_it_when_it_is_brought() {
        let bundle = bundle();
        let (mut record, live) = after_an_import(&bundle, &[DATASET]);
        record.applied.insert(bundle.assets[1].uuid, applied("of an older file").unwrap());
        let held = Standing::Held {
            why: "needs dataset `t`, which is not in Superset".into(),
            is_there: true,
        };
        assert_eq!(
            standings(&bundle, &record, &live, false),
            [Standing::Deleted, held, Standing::Same]
        );
        record.applied.insert(bundle.assets[1].uuid, applied(&bundle.assets[1].digest()).unwrap());
        assert_eq!(
            Plan::of(&bundle, &record, &live, true).due().map(Asset::title).collect::<Vec<_>>(),
            ["t", "c"]
        );
    }

    #[test]
    fn all_is_missing_before_there_is_a_connection() {
        let bundle = bundle();
        let (_, mut live) = after_an_import(&bundle, &[]);
        live.listed.clear();
        assert!(
            standings(&bundle, &Record::default(), &live, false)
                .iter()
                .all(|standing| *standing == Standing::Missing)
        );
    }

    #[test]
    fn a_data_set_beside_another_on_its_table_is_held_back() {
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
            standings(&bundle, &record, &live, false)
                .iter()
                .all(|standing| *standing == Standing::Same)
        );
        record.applied.insert(bundle.assets[0].uuid, applied("of an older file").unwrap());
        let why =
            "cannot be brought while there is another dataset on the table `t`, made by Ada".into();
        assert_eq!(
            standings(&bundle, &record, &live, false)[0],
            Standing::Held { why, is_there: true }
        );
    }

    fn asset() -> Asset {
        Asset::parse("a.yaml", "slice_name: a\nuuid: 6f3a3b5e-0000-4000-8000-000000000001\n")
            .unwrap()
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
        Some(Applied {
            digest: digest.into(),
            changed_on: "monday".into(),
            origin: Origin::Program,
        })
    }

    #[test]
    fn what_a_person_did_is_told_from_what_is_old() {
        let standing = |listed: Option<Listed>, applied: Option<Applied>| {
            Standing::of(
                &[asset().digest()],
                Origin::Program,
                listed.as_ref(),
                applied.as_ref(),
                "us",
            )
        };
        let digest = asset().digest();
        assert_eq!(standing(None, None), Standing::Missing);
        assert_eq!(standing(there("monday", "us"), applied(&digest)), Standing::Same);
        assert_eq!(
            standing(there("monday", "us"), applied("of an older file")),
            Standing::Outdated
        );
        assert_eq!(
            standing(there("tuesday", "Ada"), applied(&digest)),
            Standing::Changed { by: "Ada".into() }
        );
        assert_eq!(standing(None, applied(&digest)), Standing::Deleted);
        // killed between the import and writing it down
        assert_eq!(standing(there("monday", "us"), None), Standing::Outdated);
        assert_eq!(standing(there("monday", "Ada"), None), Standing::Changed { by: "Ada".into() });
    }

    #[test]
    fn what_a_person_applied_is_theirs_until_it_says_what_ours_says() {
        let standing = |origin, digest: &str| {
            let applied = Applied { origin: Origin::Person, ..applied(digest).unwrap() };
            Standing::of(
                &[asset().digest()],
                origin,
                there("monday", "us").as_ref(),
                Some(&applied),
                "us",
            )
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
