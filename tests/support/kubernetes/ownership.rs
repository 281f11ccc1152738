//! Field ownership and server-side apply.
//!
//! The model is a small form of `structured-merge-diff`. A field is a path, and a manager owns a set of paths. An apply
//! removes a field that only its manager owned, if the new configuration omits it. Lists are replaced as a whole, except
//! those of `fields::KEYED`. As in the API server, `metadata.managedFields` holds the sets.

use serde_json::{Value, json};

use super::fields::{Path, Paths, at, from_fields, merge, owned_in, readable, remove, to_fields};

/// A field that an apply would change although another manager owns it.
#[derive(Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The manager of the field, and the API version if the manager updated it.
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

/// The object after `manager` applies `configuration`, without defaults.
///
/// # Errors
/// The fields that other managers own with another value, unless `force` is set.
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

/// Makes `manager` the only owner of the fields that an update changed.
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

/// Applies a merge patch of RFC 7386: null removes a field.
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

    /// Removes and returns the fields that a manager owns by an operation.
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
