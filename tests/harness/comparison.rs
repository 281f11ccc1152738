//! What counts as the same in the answers of a stand-in and of a real part.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Replaces what the server made up, and puts lists without an order into one.
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
                    // a manager that is first met by another's write has no time
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

/// Which maps an update touched as a whole is not modelled.
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
        name.strip_prefix(&prefix).unwrap_or_else(|| panic!("{name} should begin with {prefix}"));
    assert_eq!(suffix.len(), 5, "{name} should have five characters after {prefix}");
    fields.insert("name".into(), json!(format!("{prefix}NAME")));
}

/// Where the stand-in's answer has something that the real one lacks, or that is of another type there.
pub fn not_in_shape(path: &str, fake: &Value, real: &Value) -> Option<String> {
    match (fake, real) {
        (Value::Null, _) | (_, Value::Null) => None,
        (Value::Object(fake), Value::Object(real)) => fake.iter().find_map(|(key, value)| {
            let path = format!("{path}/{key}");
            match real.get(key) {
                None => Some(format!("the real part gives no {path}")),
                Some(real) => not_in_shape(&path, value, real),
            }
        }),
        (Value::Array(fake), Value::Array(real)) if !real.is_empty() => {
            fake.iter().enumerate().find_map(|(index, item)| {
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
        _ => Some(format!("{path} is {fake} and of another type in the real part: {real}")),
    }
}

/// The first place in which two values differ.
pub fn difference(path: &str, fake: &Value, real: &Value) -> Option<String> {
    match (fake, real) {
        (Value::Object(fake), Value::Object(real)) => {
            let keys = fake.keys().chain(real.keys().filter(|key| !fake.contains_key(*key)));
            keys.into_iter().find_map(|key| {
                let none = json!("(nothing)");
                difference(
                    &format!("{path}/{key}"),
                    fake.get(key).unwrap_or(&none),
                    real.get(key).unwrap_or(&none),
                )
            })
        }
        (Value::Array(fake), Value::Array(real)) if fake.len() == real.len() => {
            fake.iter().zip(real).enumerate().find_map(|(index, (fake, real))| {
                difference(&format!("{path}/{index}"), fake, real)
            })
        }
        (fake, real) if fake == real => None,
        (fake, real) => Some(format!("{path} is {fake}, and {real} in the real part")),
    }
}

/// The versions that an object had: they change when those of the real object changed, and grow.
#[derive(Default)]
pub struct Versions(BTreeMap<String, (u64, String)>);

impl Versions {
    pub fn compare(&mut self, index: usize, fake: &Value, real: &Value) {
        let version =
            |body: &Value| body["metadata"]["resourceVersion"].as_str().map(str::to_owned);
        let Some(uid) = real["metadata"]["uid"].as_str() else { return };
        let (Some(fake), Some(real)) = (version(fake), version(real)) else { return };
        let fake: u64 = fake.parse().expect("a version is a number");
        if let Some((fake_before, real_before)) = self.0.get(uid) {
            match *real_before == real {
                true => assert_eq!(fake, *fake_before, "exchange {index}: the version should stay"),
                false => assert!(fake > *fake_before, "exchange {index}: the version should grow"),
            }
        }
        self.0.insert(uid.into(), (fake, real));
    }
}
