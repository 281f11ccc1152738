//! The references in a dashboard's layout: charts, by UUID and by number, and the datasets of filters.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use uuid::Uuid;

/// Drops charts and filters that refer to missing assets. Superset's import stops at the first of them, and the charts
/// after it lose their link to the dashboard.
pub fn retain(content: &mut Map<String, Value>, exists: impl Fn(Uuid) -> bool) {
    if let Some(Value::Object(position)) = content.get_mut("position") {
        let gone =
            |child: &Value| uuid_at(&child["meta"]["uuid"]).is_some_and(|uuid| !exists(uuid));
        let gone: BTreeSet<String> =
            position.iter().filter(|(_, child)| gone(child)).map(|(id, _)| id.clone()).collect();
        remove(position, gone);
    }
    if let Some(Value::Array(filters)) = content
        .get_mut("metadata")
        .and_then(|metadata| metadata.get_mut("native_filter_configuration"))
    {
        filters.retain(|filter| {
            filter["targets"]
                .as_array()
                .into_iter()
                .flatten()
                .all(|target| uuid_at(&target["datasetUuid"]).is_none_or(&exists))
        });
        let retained: Vec<Value> = filters.iter().map(|filter| filter["id"].clone()).collect();
        for parents in filters
            .iter_mut()
            .filter_map(|filter| filter.get_mut("cascadeParentIds")?.as_array_mut())
        {
            parents.retain(|parent| retained.contains(parent));
        }
    }
    renumber(content);
}

/// The title of a chart in the layout.
pub fn title(content: &Map<String, Value>, chart: Uuid) -> Option<&str> {
    let elements = content.get("position")?.as_object()?.values();
    elements
        .filter(|element| uuid_at(&element["meta"]["uuid"]) == Some(chart))
        .find_map(|element| element["meta"]["sliceName"].as_str())
}

/// Removes elements from a layout, and the rows and columns that become empty.
fn remove(position: &mut Map<String, Value>, mut gone: BTreeSet<String>) {
    loop {
        let children = |node: &Value| node["children"].as_array().cloned().unwrap_or_default();
        let is_emptied = |node: &Value| {
            let children = children(node);
            matches!(node["type"].as_str(), Some("ROW" | "COLUMN"))
                && !children.is_empty()
                && children.iter().all(|child| is_among(&gone, child))
        };
        let emptied: Vec<String> = position
            .iter()
            .filter(|(id, node)| !gone.contains(*id) && is_emptied(node))
            .map(|(id, _)| id.clone())
            .collect();
        if emptied.is_empty() {
            break;
        }
        gone.extend(emptied);
    }
    position.retain(|id, _| !gone.contains(id));
    for children in
        position.values_mut().filter_map(|node| node.get_mut("children")?.as_array_mut())
    {
        children.retain(|child| !is_among(&gone, child));
    }
}

fn is_among(ids: &BTreeSet<String>, child: &Value) -> bool {
    child.as_str().is_some_and(|id| ids.contains(id))
}

fn uuid_at(value: &Value) -> Option<Uuid> {
    value.as_str()?.parse().ok()
}

/// Renumbers the charts of a layout from 1, in the order of their UUIDs. Superset requires numbers and replaces them on
/// import. Drops the numbers of charts outside the layout.
pub fn renumber(content: &mut Map<String, Value>) {
    let numbers = numbers(content);
    let new = |old: &Value| old.as_u64().and_then(|old| numbers.get(&old)).map(|new| json!(new));
    for child in content
        .get_mut("position")
        .and_then(Value::as_object_mut)
        .into_iter()
        .flat_map(|position| position.values_mut())
    {
        if let Some(meta) = child.get_mut("meta").and_then(Value::as_object_mut)
            && let Some(number) = meta.get("chartId").and_then(new)
        {
            meta.insert("chartId".into(), number);
        }
    }
    let Some(metadata) = content.get_mut("metadata") else { return };
    renumber_lists(metadata, &new);
    let Value::Object(metadata) = metadata else { return };
    for key in ["chart_configuration", "expanded_slices"] {
        let Some(Value::Object(by_chart)) = metadata.remove(key) else { continue };
        let renumbered = by_chart.into_iter().filter_map(|(old, mut value)| {
            let number = numbers.get(&old.parse().ok()?)?;
            if let Some(id) = value.get_mut("id") {
                *id = json!(number);
            }
            Some((number.to_string(), value))
        });
        metadata.insert(key.into(), Value::Object(renumbered.collect()));
    }
}

/// The new number of each chart, keyed by its old number.
fn numbers(content: &Map<String, Value>) -> BTreeMap<u64, u64> {
    let position = content.get("position").and_then(Value::as_object);
    let charts = position.into_iter().flat_map(|position| position.values());
    let by_uuid: BTreeMap<Uuid, u64> = charts
        .filter_map(|child| {
            Some((uuid_at(&child["meta"]["uuid"])?, child["meta"]["chartId"].as_u64()?))
        })
        .collect();
    by_uuid.into_values().zip(1..).collect()
}

/// Renumbers lists of charts: those excluded from a filter or from refreshing.
fn renumber_lists(value: &mut Value, new: &impl Fn(&Value) -> Option<Value>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::Array(list)
                        if matches!(
                            key.as_str(),
                            "excluded" | "immune" | "timed_refresh_immune_slices"
                        ) =>
                    {
                        *list = list.iter().filter_map(new).collect();
                    }
                    other => renumber_lists(other, new),
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|value| renumber_lists(value, new)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "6f3a3b5e-0000-4000-8000-000000000001";
    const GONE: &str = "6f3a3b5e-0000-4000-8000-000000000002";

    fn dashboard() -> Map<String, Value> {
        let text = format!(
            "position:
  DASHBOARD_VERSION_KEY: v2
  GRID_ID: {{type: GRID, children: [ROW-1, ROW-2, TABS-1]}}
  ROW-1: {{type: ROW, children: [A, B]}}
  ROW-2: {{type: ROW, children: [COLUMN-1]}}
  COLUMN-1: {{type: COLUMN, children: [C]}}
  TABS-1: {{type: TABS, children: [TAB-1]}}
  TAB-1: {{type: TAB, children: []}}
  A: {{type: CHART, meta: {{uuid: {HERE}, chartId: 7}}}}
  B: {{type: CHART, meta: {{uuid: {GONE}, chartId: 8}}}}
  C: {{type: CHART, meta: {{uuid: {GONE}, chartId: 8}}}}
metadata:
  timed_refresh_immune_slices: [8, 7]
  expanded_slices: {{'8': true}}
  chart_configuration: {{'8': {{id: 8}}, '7': {{id: 7, crossFilters: {{scope: {{excluded: [8]}}}}}}}}
  native_filter_configuration:
  - {{id: one, targets: [{{datasetUuid: {HERE}}}], scope: {{excluded: [8]}}, cascadeParentIds: [two]}}
  - {{id: two, targets: [{{datasetUuid: {GONE}}}]}}
  - {{id: three, targets: [{{}}]}}
"
        );
        serde_saphyr::from_str(&text).unwrap()
    }

    #[test]
    fn references_to_deleted_charts_and_datasets_are_removed() {
        let mut content = dashboard();
        retain(&mut content, |uuid| uuid.to_string() == HERE);
        let content = Value::Object(content);
        assert!(!content.to_string().contains(GONE), "{content}");
        let position = &content["position"];
        assert_eq!(
            position["GRID_ID"]["children"],
            json!(["ROW-1", "TABS-1"]),
            "a row without charts must be removed, an empty tab must stay"
        );
        assert_eq!(position["ROW-1"]["children"], json!(["A"]));
        assert!(position.get("COLUMN-1").is_none());
        let metadata = &content["metadata"];
        assert_eq!(metadata["timed_refresh_immune_slices"], json!([1]));
        assert_eq!(metadata["expanded_slices"], json!({}));
        assert_eq!(
            metadata["chart_configuration"],
            json!({"1": {"id": 1, "crossFilters": {"scope": {"excluded": []}}}})
        );
        let filters = metadata["native_filter_configuration"].as_array().unwrap();
        assert_eq!(
            filters.iter().map(|filter| filter["id"].as_str().unwrap()).collect::<Vec<_>>(),
            ["one", "three"]
        );
        assert_eq!(
            (&filters[0]["scope"]["excluded"], &filters[0]["cascadeParentIds"]),
            (&json!([]), &json!([]))
        );
    }

    #[test]
    fn complete_layout_keeps_all_elements() {
        let mut content = dashboard();
        retain(&mut content, |_| true);
        assert_eq!(
            content["position"].as_object().unwrap().len(),
            dashboard()["position"].as_object().unwrap().len()
        );
        assert_eq!(content["metadata"]["timed_refresh_immune_slices"], json!([2, 1]));
    }
}
