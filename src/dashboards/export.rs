//! Exports assets from Superset as files for version control: without ids, passwords and database addresses, and with the
//! same text for the same content.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde_json::{Value, json};

use crate::components::dataviz::client::Kind;
use crate::components::dataviz::dashboards::asset::Asset;
use crate::components::dataviz::dashboards::bundle::Bundle;
use crate::components::dataviz::dashboards::{chart, layout};

/// Keys that depend on the exporting Superset, or that repeat other keys.
const OF_THIS_SUPERSET: [&str; 8] = [
    "slice_id",
    "datasource",
    "dashboards",
    "dashboardId",
    "chartsInScope",
    "tabsInScope",
    "shared_label_colors",
    "map_label_colors",
];

/// The files to write, by path, and the skipped assets.
pub struct Exported {
    pub files: BTreeMap<String, String>,
    pub left_out: Vec<String>,
}

/// Turns an export of Superset into files. `ours` provides the file names of this program's assets. An asset that equals
/// this program's file keeps the text of that file, so that applying it changes nothing.
///
/// # Errors
/// When an asset cannot be written as YAML.
pub fn export(
    exported: Bundle,
    ours: &Bundle,
    is_as_ours: impl Fn(&Asset) -> bool,
) -> Result<Exported> {
    let mut files = BTreeMap::new();
    let mut left_out = exported.left_out;
    let mut used = BTreeSet::new();
    for mut asset in exported.assets {
        if asset.kind == Kind::Database {
            if !ours.assets.iter().any(|other| other.uuid == asset.uuid) {
                left_out.push(format!(
                    "database `{}`: addresses and passwords are not exported",
                    asset.title()
                ));
            }
            continue;
        }
        asset.name = name(&asset, ours, &mut used);
        match ours.assets.iter().find(|own| own.uuid == asset.uuid).filter(|own| is_as_ours(own)) {
            Some(own) => asset.content = own.content.clone(),
            None => clean(&mut asset),
        }
        files.insert(asset.path(), serde_saphyr::to_string(&asset.content)?);
    }
    files.insert(
        "metadata.yaml".into(),
        serde_saphyr::to_string(&json!({"version": "1.0.0", "type": "assets"}))?,
    );
    Ok(Exported { files, left_out })
}

/// The file name: the one in this program, or the title in lower case.
fn name(asset: &Asset, ours: &Bundle, used: &mut BTreeSet<(Kind, String)>) -> String {
    let known =
        ours.assets.iter().find(|other| other.uuid == asset.uuid).map(|other| other.name.clone());
    let slug = asset.content.get("slug").and_then(Value::as_str).filter(|slug| !slug.is_empty());
    // Superset accepts any text as a slug, including `../..`
    let base = known.unwrap_or_else(|| slugify(slug.unwrap_or(asset.title())));
    let mut name = base.clone();
    for number in 2.. {
        if used.insert((asset.kind, name.clone())) {
            break;
        }
        name = format!("{base}-{number}");
    }
    name
}

fn slugify(title: &str) -> String {
    let words: Vec<String> = title
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    if words.is_empty() { "untitled".into() } else { words.join("-") }
}

fn clean(asset: &mut Asset) {
    let known = asset
        .content
        .get("viz_type")
        .and_then(Value::as_str)
        .is_some_and(|viz_type| chart::KNOWN.contains(&viz_type));
    if known {
        // can be rebuilt from `params`
        asset.content.remove("query_context");
    } else if let Some(Value::String(text)) = asset.content.get_mut("query_context")
        && let Ok(mut context) = serde_json::from_str::<Value>(text)
    {
        strip(&mut context);
        *text = context.to_string();
    }
    let mut content = Value::Object(std::mem::take(&mut asset.content));
    strip(&mut content);
    if let Value::Object(mut content) = content {
        layout::renumber(&mut content);
        asset.content = content;
    }
}

/// Removes null values and keys that depend on the exporting Superset.
fn strip(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|key, value| !value.is_null() && !OF_THIS_SUPERSET.contains(&key.as_str()));
            map.values_mut().for_each(strip);
        }
        Value::Array(list) => list.iter_mut().for_each(strip),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asset(text: &str) -> Asset {
        Asset::parse("charts/Whatever_17.yaml", text).unwrap()
    }

    const ONE: &str = "6f3a3b5e-0000-4000-8000-000000000001";
    const TWO: &str = "6f3a3b5e-0000-4000-8000-000000000002";

    #[test]
    fn export_contains_nothing_of_the_exporting_superset() {
        let chart = format!(
            "slice_name: Who watches?\nuuid: {ONE}\nviz_type: table\ncache_timeout:\nparams: {{datasource: 12__table, slice_id: 17, metrics: [count]}}\nquery_context: '{{\"datasource\":{{\"id\":12}}}}'\n"
        );
        let database = format!(
            "database_name: Theirs\nuuid: {TWO}\nsqlalchemy_uri: postgresql://me:XXXXXXXXXX@db.internal/x\n"
        );
        let exported = export(
            Bundle { assets: vec![asset(&chart), asset(&database)], ..Bundle::default() },
            &Bundle::default(),
            |_| false,
        )
        .unwrap();
        let text = &exported.files["charts/who-watches.yaml"];
        for gone in ["12", "17", "cache_timeout", "query_context", "db.internal"] {
            assert!(!text.replace(ONE, "").contains(gone), "{gone} is still in\n{text}");
        }
        assert_eq!(
            exported.left_out,
            ["database `Theirs`: addresses and passwords are not exported"]
        );
        assert!(!exported.files.keys().any(|path| path.starts_with("databases")));
    }

    #[test]
    fn charts_are_renumbered_in_all_references() {
        let text = format!(
            "dashboard_title: D\nuuid: 6f3a3b5e-0000-4000-8000-000000000009\nposition:\n  A: {{type: CHART, meta: {{uuid: {TWO}, chartId: 71}}}}\n  B: {{type: CHART, meta: {{uuid: {ONE}, chartId: 93}}}}\n\
             metadata:\n  chart_configuration: {{'71': {{id: 71, crossFilters: {{scope: {{excluded: [93]}}}}}}}}\n  native_filter_configuration: [{{scope: {{excluded: [71, 5]}}, chartsInScope: [93]}}]\n"
        );
        let mut dashboard = asset(&text);
        clean(&mut dashboard);
        let content = Value::Object(dashboard.content);
        assert_eq!(content["position"]["B"]["meta"]["chartId"], 1);
        assert_eq!(content["position"]["A"]["meta"]["chartId"], 2);
        assert_eq!(
            content["metadata"]["chart_configuration"],
            json!({"2": {"id": 2, "crossFilters": {"scope": {"excluded": [1]}}}})
        );
        assert_eq!(
            content["metadata"]["native_filter_configuration"],
            json!([{"scope": {"excluded": [2]}}])
        );
    }

    #[test]
    fn file_stays_in_its_directory_for_any_slug() {
        let dashboard = |slug: &str| {
            asset(&format!("dashboard_title: D\nuuid: {ONE}\nslug: '{slug}'\nposition: {{}}\n"))
        };
        for (slug, path) in [
            ("../../etc/x", "etc-x"),
            ("/etc/x", "etc-x"),
            ("..", "untitled"),
            ("my-own", "my-own"),
            ("", "d"),
        ] {
            let bundle = Bundle { assets: vec![dashboard(slug)], ..Bundle::default() };
            let exported = export(bundle, &Bundle::default(), |_| false).unwrap();
            assert!(
                exported.files.contains_key(&format!("dashboards/{path}.yaml")),
                "{slug}: {:?}",
                exported.files.keys()
            );
        }
    }

    #[test]
    fn unchanged_asset_is_exported_as_in_this_program() {
        let ours = Bundle::ours().unwrap();
        let exported = export(ours.clone(), &ours, |_| true).unwrap();
        for asset in ours.assets.iter().filter(|asset| asset.kind != Kind::Database) {
            let again = Asset::parse(&asset.path(), &exported.files[&asset.path()]).unwrap();
            assert_eq!(again.digest(), asset.digest(), "{}", asset.path());
        }
    }

    #[test]
    fn two_charts_with_the_same_title_are_two_files() {
        let chart =
            |uuid: &str| asset(&format!("slice_name: A & b\nuuid: {uuid}\nviz_type: table\n"));
        let exported = export(
            Bundle { assets: vec![chart(ONE), chart(TWO)], ..Bundle::default() },
            &Bundle::default(),
            |_| false,
        )
        .unwrap();
        assert_eq!(
            exported.files.keys().collect::<Vec<_>>(),
            ["charts/a-b-2.yaml", "charts/a-b.yaml", "metadata.yaml"]
        );
    }
}
