//! The differences between an asset in Superset and its file, field by field.

use serde_json::{Map, Value};

use crate::engine::{ABSENT, Difference};

use super::asset::Asset;
use super::layout;

/// The keys that identify the elements of a list.
const NAMES: [&str; 3] = ["column_name", "metric_name", "id"];
/// Keys that Superset reads and does not export.
const NOT_EXPORTED: [&str; 2] = ["default_filters", "show_native_filters"];

/// The fields of the file that differ in Superset. Ignores the fields that Superset adds.
pub fn differences(file: &Asset, live: &Asset) -> Vec<Difference> {
    // Superset numbers the charts anew at each import
    let [desired, observed] = [file, live].map(|asset| {
        let mut content = asset.content.clone();
        layout::renumber(&mut content);
        content
    });
    let mut found = Vec::new();
    compare_fields(&desired, &observed, "", &mut |path, observed, desired| {
        found.push(Difference::new(format!("{} {path}", file.path()), observed, desired));
    });
    found
}

type Report<'a> = dyn FnMut(&str, String, String) + 'a;

fn compare_fields(
    file: &Map<String, Value>,
    live: &Map<String, Value>,
    path: &str,
    report: &mut Report<'_>,
) {
    for (key, desired) in file.iter().filter(|(key, _)| !NOT_EXPORTED.contains(&key.as_str())) {
        compare(desired, live.get(key).unwrap_or(&Value::Null), &format!("{path}.{key}"), report);
    }
}

fn compare(desired: &Value, observed: &Value, path: &str, report: &mut Report<'_>) {
    match (desired, observed) {
        (Value::Object(desired), Value::Object(observed)) => {
            compare_fields(desired, observed, path, report);
        }
        (Value::Array(desired), Value::Array(observed)) if names(desired).is_some() => {
            let live = |name: &str| {
                let mut named = observed.iter().filter(|one| name_of(one) == Some(name));
                named.next().unwrap_or(&Value::Null)
            };
            for (name, desired) in names(desired).into_iter().flatten().zip(desired) {
                compare(desired, live(name), &format!("{path}[{name}]"), report);
            }
        }
        _ if is_same(desired, observed) => {}
        _ => report(path, text(observed), text(desired)),
    }
}

/// The names of the elements. None: an element has none.
fn names(list: &[Value]) -> Option<Vec<&str>> {
    list.iter().map(name_of).collect::<Option<Vec<_>>>().filter(|names| !names.is_empty())
}

fn name_of(element: &Value) -> Option<&str> {
    NAMES.iter().find_map(|key| element[key].as_str())
}

/// Superset does not tell empty values from absent ones, nor `1` from `1.0`.
fn is_same(desired: &Value, observed: &Value) -> bool {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    };
    desired == observed
        || is_empty(desired) && is_empty(observed)
        || desired.as_f64().is_some() && desired.as_f64() == observed.as_f64()
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => ABSENT.into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(fields: &str) -> Asset {
        let text = format!(
            "slice_name: Events\nuuid: 9a347259-0b1c-494d-9688-2656d9d88d49\nversion: 1.0.0\n{fields}"
        );
        Asset::parse("charts/events.yaml", &text).unwrap()
    }

    #[test]
    fn fields_that_superset_adds_are_no_difference() {
        let file = chart("params: {metric: events, header_font_size: 0.4}\ndescription: null\n");
        let live = chart(
            "params: {metric: events, header_font_size: 0.4, datasource: 1__table}\ncache_timeout: 5\n",
        );
        assert_eq!(differences(&file, &live), []);
    }

    #[test]
    fn changed_fields_are_named_by_their_paths_and_columns_by_their_names() {
        let file = chart(
            "params: {metric: events}\ncolumns: [{column_name: id, type: STRING}, {column_name: b, type: LONG}]\n",
        );
        let live = chart(
            "params: {metric: learners}\ncolumns: [{column_name: b, type: LONG}, {column_name: id, type: TEXT}]\n",
        );
        assert_eq!(
            differences(&file, &live),
            [
                Difference::new("charts/events.yaml .columns[id].type", "TEXT", "STRING"),
                Difference::new("charts/events.yaml .params.metric", "learners", "events"),
            ]
        );
    }
}
