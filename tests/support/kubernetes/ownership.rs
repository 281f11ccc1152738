//! Who owns which fields of an object, and server-side apply, which follows from that.
//!
//! The model is that of `structured-merge-diff`, made small: a field is a path, a manager owns a set of paths, an apply
//! removes what its manager owned, nobody else owns and the new configuration leaves out. Lists are replaced whole, but
//! for those of `KEYED`. The sets are kept where the API server keeps them, in `metadata.managedFields`.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// Segments in the form of `fieldsV1`: `f:name` is a field, `k:{..}` an item of a list, `.` the thing itself.
type Path = Vec<String>;
type Paths = BTreeSet<Path>;

/// Lists whose items have an identity: where they are, and what identifies an item.
const KEYED: [(&str, &[&str]); 7] = [
    ("containers", &["name"]),
    ("initContainers", &["name"]),
    ("env", &["name"]),
    ("volumes", &["name"]),
    ("volumeMounts", &["mountPath"]),
    ("ports", &["containerPort", "port", "protocol"]),
    ("conditions", &["type"]),
];

/// Maps that are replaced whole.
const ATOMIC: [&str; 4] = ["selector", "nodeSelector", "matchLabels", "involvedObject"];

/// A field that an apply would change although another manager owns it.
#[derive(Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Who owns the field, and by which version of the API if by an update.
    owner: (String, Option<String>),
    pub field: String,
}

impl Conflict {
    pub fn with(&self) -> String {
        match &self.owner {
            (manager, None) => format!("conflict with \"{manager}\""),
            (manager, Some(version)) => format!("conflict with \"{manager}\" using {version}"),
        }
    }
}

/// How a change reached the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Apply,
    /// Create, update and every patch that is not an apply.
    Update,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// What is there after `manager` has applied `configuration`, without defaults.
///
/// # Errors
/// The fields that others own with another value, unless `force` takes them.
pub fn apply(
    live: Option<&Value>,
    configuration: &Value,
    manager: &str,
    force: bool,
) -> Result<Value, Vec<Conflict>> {
    let empty = json!({});
    let before = live.unwrap_or(&empty);
    let applied = owned_in(configuration);
    let mut owners = Owners::of(before);
    let owned_before = owners.take(manager, Operation::Apply);

    let mut conflicts = Vec::new();
    for owner in &mut owners.0 {
        let changed: Vec<Path> = owner
            .paths
            .intersection(&applied)
            .filter(|path| at(before, path) != at(configuration, path))
            .cloned()
            .collect();
        for path in changed {
            let version = (owner.operation == Operation::Update.name())
                .then(|| owner.api_version.as_str().unwrap_or_default().to_owned());
            conflicts
                .push(Conflict { owner: (owner.manager.clone(), version), field: readable(&path) });
            owner.paths.remove(&path);
        }
    }
    if !conflicts.is_empty() && !force {
        return Err(conflicts);
    }

    let mut object = before.clone();
    merge(&mut object, configuration, "");
    let is_wanted = |path: &Path| {
        let others = owners.0.iter().flat_map(|owner| &owner.paths);
        others.chain(&applied).any(|other| other.starts_with(path))
    };
    for path in owned_before.difference(&applied).filter(|path| !is_wanted(path)) {
        remove(&mut object, path);
    }
    owners.own(manager, Operation::Apply, &configuration["apiVersion"], applied);
    owners.write(&mut object);
    Ok(object)
}

/// Lets `manager` own what an update changed; who owned it before does no longer.
pub fn update(object: &mut Value, before: &Value, manager: &str) {
    let (had, has) = (owned_in(before), owned_in(object));
    let mut owners = Owners::of(before);
    let mut own = owners.take(manager, Operation::Update);
    let changed: Paths =
        has.iter().filter(|path| at(before, path) != at(object, path)).cloned().collect();
    let lost: Paths = had.difference(&has).cloned().collect();
    for owner in &mut owners.0 {
        owner.paths.retain(|path| !changed.contains(path) && !lost.contains(path));
    }
    own.retain(|path| !lost.contains(path));
    own.extend(changed);
    owners.own(manager, Operation::Update, &object["apiVersion"], own);
    owners.write(object);
}

/// A patch as RFC 7386 has it: null removes.
pub fn merge_patch(object: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *object = patch.clone();
        return;
    };
    if !object.is_object() {
        *object = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            object.as_object_mut().expect("an object").remove(key);
        } else {
            merge_patch(&mut object[key], value);
        }
    }
}

struct Owner {
    manager: String,
    operation: String,
    api_version: Value,
    time: Value,
    paths: Paths,
}

struct Owners(Vec<Owner>);

impl Owners {
    fn of(object: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
        Self(
            entries
                .map(|entry| Owner {
                    manager: text(&entry["manager"]),
                    operation: text(&entry["operation"]),
                    api_version: entry["apiVersion"].clone(),
                    time: entry["time"].clone(),
                    paths: from_fields(&entry["fieldsV1"]),
                })
                .collect(),
        )
    }

    /// Takes out what a manager owns by an operation.
    fn take(&mut self, manager: &str, operation: Operation) -> Paths {
        let is_it = |owner: &Owner| owner.manager == manager && owner.operation == operation.name();
        let index = self.0.iter().position(is_it);
        index.map(|index| self.0.remove(index).paths).unwrap_or_default()
    }

    fn own(&mut self, manager: &str, operation: Operation, api_version: &Value, paths: Paths) {
        self.0.push(Owner {
            manager: manager.into(),
            operation: operation.name().into(),
            api_version: api_version.clone(),
            time: json!(super::metadata::now()),
            paths,
        });
    }

    fn write(self, object: &mut Value) {
        let entries: Vec<Value> = self
            .0
            .into_iter()
            .filter(|owner| !owner.paths.is_empty())
            .map(|owner| {
                json!({
                    "manager": owner.manager, "operation": owner.operation,
                    "apiVersion": owner.api_version, "time": owner.time,
                    "fieldsType": "FieldsV1", "fieldsV1": to_fields(&owner.paths),
                })
            })
            .collect();
        let metadata = object["metadata"].as_object_mut().expect("an object has metadata");
        match entries.is_empty() {
            true => drop(metadata.remove("managedFields")),
            false => drop(metadata.insert("managedFields".into(), entries.into())),
        }
    }
}

/// All fields of a configuration that can be owned: neither what identifies the object nor what the server writes.
fn owned_in(configuration: &Value) -> Paths {
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

/// What identifies an item of a list of this name: `{"name":"ralph"}`. None for lists that are replaced whole.
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

fn merge(object: &mut Value, configuration: &Value, name: &str) {
    match (object, configuration) {
        (Value::Object(object), Value::Object(fields)) if !ATOMIC.contains(&name) => {
            for (key, value) in fields {
                // a field that is null is one that is left out
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

/// The value at a path; of a thing itself only that it is there.
fn at<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
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

/// Removes a field, or the item of a list, and the maps that are empty without it.
fn remove(value: &mut Value, path: &[String]) {
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

fn to_fields(paths: &Paths) -> Value {
    let mut fields = json!({});
    for path in paths {
        let mut place = &mut fields;
        for segment in path {
            place = place
                .as_object_mut()
                .expect("an object")
                .entry(segment)
                .or_insert_with(|| json!({}));
        }
    }
    fields
}

fn from_fields(fields: &Value) -> Paths {
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

/// `.spec.containers[name="web"].image`, as the API server writes it.
fn readable(path: &[String]) -> String {
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
