//! The comparison of the responses of a stand-in and of a real server.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Replaces generated values, and sorts lists without an order.
pub fn neutral(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (key, word) in [
                ("uid", "UID"),
                ("resourceVersion", "VERSION"),
                ("creationTimestamp", "TIME"),
                ("time", "TIME"),
            ] {
                if fields.get(key).is_some_and(Value::is_string) {
                    fields.insert(key.into(), json!(word));
                }
            }
            generated_name(fields);
            if let Some(Value::Array(owners)) = fields.get_mut("managedFields") {
                owners.retain(|owner| owner["subresource"].is_null());
                for owner in owners.iter_mut() {
                    // a manager that another write introduces has no time
                    owner.as_object_mut().expect("an owner").remove("time");
                    if owner["operation"] == "Update" {
                        without_dots(&mut owner["fieldsV1"]);
                    }
                }
                owners.sort_by_key(|owner| format!("{} {}", owner["manager"], owner["operation"]));
            }
            fields.values_mut().for_each(neutral);
        }
        Value::Array(items) => items.iter_mut().for_each(neutral),
        _ => {}
    }
}

/// Removes the marks of whole maps, which the stand-in does not model.
fn without_dots(fields: &mut Value) {
    if let Some(fields) = fields.as_object_mut() {
        fields.remove(".");
        fields.values_mut().for_each(without_dots);
    }
}

fn generated_name(fields: &mut serde_json::Map<String, Value>) {
    let text = |key: &str| fields.get(key).and_then(Value::as_str).map(str::to_owned);
    let (Some(prefix), Some(name)) = (text("generateName"), text("name")) else { return };
    let suffix =
        name.strip_prefix(&prefix).unwrap_or_else(|| panic!("{name} should start with {prefix}"));
    assert_eq!(suffix.len(), 5, "{name} should have five characters after {prefix}");
    fields.insert("name".into(), json!(format!("{prefix}NAME")));
}

/// The first path at which the real response has no value or a value of another type.
pub fn not_in_shape(path: &str, ours: &Value, real: &Value) -> Option<String> {
    match (ours, real) {
        (Value::Null, _) | (_, Value::Null) => None,
        (Value::Object(ours), Value::Object(real)) => ours.iter().find_map(|(key, value)| {
            let path = format!("{path}/{key}");
            match real.get(key) {
                None => Some(format!("the real server does not return {path}")),
                Some(real) => not_in_shape(&path, value, real),
            }
        }),
        (Value::Array(ours), Value::Array(real)) if !real.is_empty() => {
            ours.iter().enumerate().find_map(|(index, item)| {
                let mut differences =
                    real.iter().map(|real| not_in_shape(&format!("{path}/{index}"), item, real));
                let first = differences.next().expect("an item");
                if first.is_none() || differences.any(|other| other.is_none()) {
                    None
                } else {
                    first
                }
            })
        }
        (Value::Array(_), Value::Array(_))
        | (Value::String(_), Value::String(_))
        | (Value::Number(_), Value::Number(_))
        | (Value::Bool(_), Value::Bool(_)) => None,
        _ => Some(format!("{path} is {ours}, but has another type in the real server: {real}")),
    }
}

/// The first difference of two values.
pub fn difference(path: &str, ours: &Value, real: &Value) -> Option<String> {
    match (ours, real) {
        (Value::Object(ours), Value::Object(real)) => {
            let keys = ours.keys().chain(real.keys().filter(|key| !ours.contains_key(*key)));
            keys.into_iter().find_map(|key| {
                let none = json!("(nothing)");
                difference(
                    &format!("{path}/{key}"),
                    ours.get(key).unwrap_or(&none),
                    real.get(key).unwrap_or(&none),
                )
            })
        }
        (Value::Array(ours), Value::Array(real)) if ours.len() == real.len() => {
            ours.iter().zip(real).enumerate().find_map(|(index, (ours, real))| {
                difference(&format!("{path}/{index}"), ours, real)
            })
        }
        (ours, real) if ours == real => None,
        (ours, real) => Some(format!("{path} is {ours}, but {real} in the real server")),
    }
}

/// The versions of objects. A version grows exactly when that of the real object changes.
#[derive(Default)]
pub struct Versions(BTreeMap<String, (u64, String)>);

impl Versions {
    pub fn compare(&mut self, index: usize, ours: &Value, real: &Value) {
        let version =
            |body: &Value| body["metadata"]["resourceVersion"].as_str().map(str::to_owned);
        let Some(uid) = real["metadata"]["uid"].as_str() else { return };
        let (Some(ours), Some(real)) = (version(ours), version(real)) else { return };
        let ours: u64 = ours.parse().expect("a version is a number");
        if let Some((our_before, real_before)) = self.0.get(uid) {
            match *real_before == real {
                true => assert_eq!(ours, *our_before, "exchange {index}: the version should stay"),
                false => assert!(ours > *our_before, "exchange {index}: the version should grow"),
            }
        }
        self.0.insert(uid.into(), (ours, real));
    }
}
