//! Fields of objects as paths, their values, and the form in which the API server stores sets of fields.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// Segments in the form of `fieldsV1`: `f:name` is a field, `k:{..}` an item of a list, `.` the value itself.
pub type Path = Vec<String>;
pub type Paths = BTreeSet<Path>;

/// Lists whose items have an identity: their names, and the keys of an item.
const KEYED: [(&str, &[&str]); 7] = [
    ("containers", &["name"]),
    ("initContainers", &["name"]),
    ("env", &["name"]),
    ("volumes", &["name"]),
    ("volumeMounts", &["mountPath"]),
    ("ports", &["containerPort", "port", "protocol"]),
    ("conditions", &["type"]),
];

/// Maps that an apply replaces as a whole.
const ATOMIC: [&str; 4] = ["selector", "nodeSelector", "matchLabels", "involvedObject"];

/// All fields of a configuration that a manager can own: not the identity of the object and not the fields of the server.
pub fn owned_in(configuration: &Value) -> Paths {
    let mut configuration = configuration.clone();
    if let Some(object) = configuration.as_object_mut() {
        // the server itself writes the finalizers of a namespace
        if object.get("kind").is_some_and(|kind| kind == "Namespace") {
            object.remove("spec");
        }
        for key in ["apiVersion", "kind", "status"] {
            object.remove(key);
        }
    }
    if let Some(metadata) = configuration["metadata"].as_object_mut() {
        for key in [
            "name",
            "namespace",
            "uid",
            "resourceVersion",
            "generation",
            "creationTimestamp",
            "managedFields",
        ] {
            metadata.remove(key);
        }
        if metadata.is_empty() {
            configuration.as_object_mut().expect("an object").remove("metadata");
        }
    }
    let mut paths = Paths::new();
    collect(&configuration, "", &mut Vec::new(), &mut paths);
    paths
}

fn collect(value: &Value, name: &str, path: &mut Path, paths: &mut Paths) {
    match value {
        Value::Object(fields) if !fields.is_empty() && !ATOMIC.contains(&name) => {
            for (key, value) in fields {
                path.push(format!("f:{key}"));
                collect(value, key, path, paths);
                path.pop();
            }
        }
        Value::Array(items)
            if !items.is_empty() && items.iter().all(|i| key_of(name, i).is_some()) =>
        {
            for item in items {
                path.push(format!("k:{}", key_of(name, item).expect("an item with a key")));
                paths.insert([path.as_slice(), &[".".to_owned()]].concat());
                collect(item, "", path, paths);
                path.pop();
            }
        }
        _ if path.is_empty() => {}
        _ => drop(paths.insert(path.clone())),
    }
}

/// The key of an item in a list of this name, such as `{"name":"ralph"}`. None for lists without keys.
fn key_of(list: &str, item: &Value) -> Option<Value> {
    let (_, keys) = KEYED.iter().find(|(name, _)| *name == list)?;
    let mut key: Map<String, Value> = keys
        .iter()
        .filter(|key| !item[**key].is_null())
        .map(|key| ((*key).to_owned(), item[*key].clone()))
        .collect();
    if list == "ports" {
        key.entry("protocol").or_insert_with(|| json!("TCP"));
        key.retain(|name, _| name != "port" || item["containerPort"].is_null());
    }
    let is_whole = match list {
        "ports" => key.len() == 2,
        _ => key.len() == keys.len(),
    };
    is_whole.then_some(Value::Object(key))
}

pub fn merge(object: &mut Value, configuration: &Value, name: &str) {
    match (object, configuration) {
        (Value::Object(object), Value::Object(fields)) if !ATOMIC.contains(&name) => {
            for (key, value) in fields {
                // a null field counts as left out
                if !value.is_null() {
                    merge(object.entry(key).or_insert(Value::Null), value, key);
                }
            }
        }
        (Value::Array(there), Value::Array(items))
            if !items.is_empty() && items.iter().all(|item| key_of(name, item).is_some()) =>
        {
            for item in items {
                match there.iter_mut().find(|other| key_of(name, other) == key_of(name, item)) {
                    Some(other) => merge(other, item, ""),
                    None => there.push(item.clone()),
                }
            }
        }
        (object @ Value::Null, Value::Object(fields)) if !ATOMIC.contains(&name) => {
            *object = json!({});
            merge(object, &Value::Object(fields.clone()), name);
        }
        (object, value) => *object = value.clone(),
    }
}

/// The value at a path.
pub fn at<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    static THERE: Value = Value::Bool(true);
    let Some((segment, rest)) = path.split_first() else { return Some(value) };
    if segment == "." {
        return Some(&THERE);
    }
    at(child(value, segment)?, rest)
}

fn child<'a>(value: &'a Value, segment: &str) -> Option<&'a Value> {
    match segment.split_at(2) {
        ("f:", key) => value.get(key),
        (_, key) => {
            let key: Value = serde_json::from_str(key).expect("the key of an item");
            value.as_array()?.iter().find(|item| has_key(item, &key))
        }
    }
}

fn has_key(item: &Value, key: &Value) -> bool {
    key.as_object().expect("a key").iter().all(|(name, value)| {
        item[name] == *value || name == "protocol" && item[name].is_null() && value == "TCP"
    })
}

/// Removes a field or the item of a list, and the maps that become empty.
pub fn remove(value: &mut Value, path: &[String]) {
    let Some((segment, rest)) = path.split_first() else { return };
    let is_last = rest.is_empty() || rest == ["."];
    match segment.split_at(2) {
        ("f:", key) => {
            let Some(fields) = value.as_object_mut() else { return };
            if is_last {
                fields.remove(key);
            } else if let Some(inner) = fields.get_mut(key) {
                remove(inner, rest);
                if inner.as_object().is_some_and(Map::is_empty)
                    || inner.as_array().is_some_and(Vec::is_empty)
                {
                    fields.remove(key);
                }
            }
        }
        (_, key) => {
            let Some(items) = value.as_array_mut() else { return };
            let key: Value = serde_json::from_str(key).expect("the key of an item");
            if is_last {
                items.retain(|item| !has_key(item, &key));
            } else if let Some(item) = items.iter_mut().find(|item| has_key(item, &key)) {
                remove(item, rest);
            }
        }
    }
}

pub fn to_fields(paths: &Paths) -> Value {
    let mut fields = json!({});
    for path in paths {
        let mut current = &mut fields;
        for segment in path {
            current = current
                .as_object_mut()
                .expect("an object")
                .entry(segment)
                .or_insert_with(|| json!({}));
        }
    }
    fields
}

pub fn from_fields(fields: &Value) -> Paths {
    fn walk(fields: &Value, path: &mut Path, paths: &mut Paths) {
        match fields.as_object().filter(|fields| !fields.is_empty()) {
            None if path.is_empty() => {}
            None => drop(paths.insert(path.clone())),
            Some(fields) => {
                for (segment, inner) in fields {
                    path.push(segment.clone());
                    walk(inner, path, paths);
                    path.pop();
                }
            }
        }
    }
    let mut paths = Paths::new();
    walk(fields, &mut Vec::new(), &mut paths);
    paths
}

/// A path in the form of the API server: `.spec.containers[name="web"].image`.
pub fn readable(path: &[String]) -> String {
    path.iter()
        .map(|segment| match segment.split_at_checked(2) {
            Some(("f:", key)) => format!(".{key}"),
            Some(("k:", key)) => {
                let key: Map<String, Value> = serde_json::from_str(key).expect("a key");
                let terms: Vec<String> =
                    key.iter().map(|(name, value)| format!("{name}={value}")).collect();
                format!("[{}]", terms.join(","))
            }
            _ => String::new(),
        })
        .collect()
}
