//! The handling of requests about objects: one function for each verb of the API.

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, Method};
use serde_json::{Value, json};

use super::metadata;
use super::ownership;
use super::rejections::{
    already_exists, conflict, details, invalid, not_found, rejected_conflicts,
};
use super::resource_path::{self, ResourcePath};
use super::selectors::Selector;
use super::{World, defaults, failure, kinds};
use crate::support::server::{Reply, Request};

impl World {
    /// The response to a request about objects; None for a subresource, such as a log.
    pub(super) fn of_objects(&mut self, request: &Request, target: &ResourcePath) -> Option<Reply> {
        if target.subresource.is_some() {
            return None;
        }
        Some(match (&request.method, target.name.is_some()) {
            (&Method::GET, false) => self.list(request, target),
            (&Method::GET, true) => match self.find(target) {
                Some(object) if wants_metadata(&request.headers) => {
                    Reply::ok(metadata::partial(object))
                }
                Some(object) => Reply::ok(object.clone()),
                None => not_found(target),
            },
            (&Method::POST, false) => self.create(request, target),
            (&Method::PUT, true) => self.replace(request, target),
            (&Method::PATCH, true) => self.patch(request, target),
            (&Method::DELETE, true) => self.delete(request, target),
            (&Method::DELETE, false) => self.delete_selected(request, target),
            _ => failure(
                405,
                "MethodNotAllowed",
                "the server does not allow this method on the requested resource",
            ),
        })
    }

    fn list(&self, request: &Request, target: &ResourcePath) -> Reply {
        let selected = match self.selected(request, target) {
            Ok(selected) => selected,
            Err(reply) => return reply,
        };
        let (_, kind) = kinds::of(target);
        let metadata = json!({"resourceVersion": self.numbers.newest()});
        Reply::ok(match wants_metadata(&request.headers) {
            true => json!({
                "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
                "items": selected.into_iter().map(metadata::partial).collect::<Vec<_>>(),
            }),
            false => json!({
                "kind": format!("{kind}List"), "apiVersion": target.api_version, "metadata": metadata,
                "items": selected.into_iter().map(metadata::item).collect::<Vec<_>>(),
            }),
        })
    }

    /// The objects of a collection that match both selectors, in the order of namespaces and names.
    fn selected(&self, request: &Request, target: &ResourcePath) -> Result<Vec<&Value>, Reply> {
        let (labels, fields) = (
            resource_path::parameter(&request.query, "labelSelector"),
            resource_path::parameter(&request.query, "fieldSelector"),
        );
        let bad = |why: String| failure(400, "BadRequest", &why);
        let by_labels = Selector::of_labels(&labels).map_err(bad)?;
        let by_fields = Selector::of_fields(&fields, kinds::of(target)).map_err(bad)?;
        let mut selected: Vec<&Value> = self
            .objects
            .iter()
            .filter(|object| {
                kinds::path_of(object).is_in(target)
                    && by_labels.selects_labels_of(object)
                    && by_fields.selects_fields_of(object)
            })
            .collect();
        let name = |object: &Value| {
            ["namespace", "name"].map(|key| object["metadata"][key].as_str().map(str::to_owned))
        };
        selected.sort_by_key(|object| name(object));
        Ok(selected)
    }

    fn create(&mut self, request: &Request, target: &ResourcePath) -> Reply {
        let mut object = request.json();
        if object["metadata"]["name"].is_null() {
            let Some(prefix) = object["metadata"]["generateName"].as_str() else {
                return invalid(
                    target,
                    kinds::of(target).1,
                    "metadata.name",
                    "name or generateName is required",
                );
            };
            object["metadata"]["name"] = json!(self.numbers.name(prefix));
        }
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let target = ResourcePath { name: Some(name), ..target.clone() };
        if let Some(reply) = self.lacks_namespace(&target) {
            return reply;
        }
        if self.find(&target).is_some() {
            return already_exists(&target);
        }
        let manager = manager(request);
        let nothing = json!({"metadata": {}});
        complete(&mut object, &target);
        defaults::complete(&mut object);
        ownership::update(&mut object, &nothing, &manager);
        let object = self.write(object, None, is_dry_run(request));
        Reply::Json(201, object)
    }

    fn replace(&mut self, request: &Request, target: &ResourcePath) -> Reply {
        let Some(before) = self.find(target).cloned() else { return not_found(target) };
        let mut object = request.json();
        if let Some(reply) = lags_behind(&object, &before, target) {
            return reply;
        }
        complete(&mut object, target);
        defaults::complete(&mut object);
        ownership::update(&mut object, &before, &manager(request));
        Reply::ok(self.write(object, Some(&before), is_dry_run(request)))
    }

    fn patch(&mut self, request: &Request, target: &ResourcePath) -> Reply {
        let before = self.find(target).cloned();
        let body = request.json();
        let kind = request.headers.get(CONTENT_TYPE).map_or(&b""[..], |kind| kind.as_bytes());
        if kind.starts_with(b"application/apply-patch") {
            return self.apply(request, target, before, &body);
        }
        if !kind.starts_with(b"application/merge-patch") {
            return failure(
                415,
                "UnsupportedMediaType",
                "the body of the request was in an unknown format - accepted media types include: \
                 application/merge-patch+json, application/apply-patch+yaml",
            );
        }
        let Some(before) = before else { return not_found(target) };
        if let Some(reply) = lags_behind(&body, &before, target) {
            return reply;
        }
        let mut object = before.clone();
        ownership::merge_patch(&mut object, &body);
        complete(&mut object, target);
        defaults::complete(&mut object);
        ownership::update(&mut object, &before, &manager(request));
        Reply::ok(self.write(object, Some(&before), is_dry_run(request)))
    }

    /// Server-side apply, the only patch that creates a missing object.
    fn apply(
        &mut self,
        request: &Request,
        target: &ResourcePath,
        before: Option<Value>,
        configuration: &Value,
    ) -> Reply {
        let manager = resource_path::parameter(&request.query, "fieldManager");
        if manager.is_empty() {
            return invalid(
                target,
                "PatchOptions.meta.k8s.io",
                "fieldManager",
                "is required for apply patch",
            );
        }
        if let Some(reply) = self.lacks_namespace(target) {
            return reply;
        }
        if let Some(reply) =
            before.as_ref().and_then(|before| lags_behind(configuration, before, target))
        {
            return reply;
        }
        let force = resource_path::parameter(&request.query, "force") == "true";
        match ownership::apply(before.as_ref(), configuration, &manager, force) {
            Ok(mut object) => {
                complete(&mut object, target);
                let object = self.write(object, before.as_ref(), is_dry_run(request));
                Reply::Json(if before.is_none() { 201 } else { 200 }, object)
            }
            Err(conflicts) => rejected_conflicts(&conflicts),
        }
    }

    fn delete(&mut self, request: &Request, target: &ResourcePath) -> Reply {
        let Some(object) = self.find(target).cloned() else { return not_found(target) };
        let options: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        for (key, name) in [("uid", "UID"), ("resourceVersion", "ResourceVersion")] {
            let (wanted, found) = (&options["preconditions"][key], &object["metadata"][key]);
            if !wanted.is_null() && wanted != found {
                return conflict(
                    target,
                    &format!(
                        "the {name} in the precondition ({wanted}) does not match the {name} in record ({found})"
                    ),
                );
            }
        }
        if !is_dry_run(request) && options["dryRun"].is_null() {
            self.objects.retain(|other| kinds::path_of(other) != *target);
            if options["propagationPolicy"] != "Orphan" {
                self.collect_garbage(&object);
            }
        }
        // some kinds are returned
        const GIVEN: [&str; 4] = ["Pod", "Service", "ServiceAccount", "PersistentVolumeClaim"];
        if GIVEN.iter().any(|kind| object["kind"] == *kind) {
            let mut object = object;
            self.numbers.stamp(&mut object, "");
            return Reply::ok(object);
        }
        Reply::ok(json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
            "details": details(target, Some(&object["metadata"]["uid"])),
        }))
    }

    fn delete_selected(&mut self, request: &Request, target: &ResourcePath) -> Reply {
        let targets: Vec<ResourcePath> = match self.selected(request, target) {
            Ok(selected) => selected.into_iter().map(kinds::path_of).collect(),
            Err(reply) => return reply,
        };
        let given = self.list(request, target);
        self.objects.retain(|object| !targets.contains(&kinds::path_of(object)));
        given
    }

    /// Deletes the pods of a workload and the objects that name it as their owner.
    fn collect_garbage(&mut self, owner: &Value) {
        let labels = owner["spec"]["selector"]["matchLabels"].as_object();
        let is_pod_of_it = |object: &Value| {
            labels.is_some_and(|labels| {
                object["kind"] == "Pod"
                    && labels.iter().all(|(key, value)| object["metadata"]["labels"][key] == *value)
            })
        };
        let uid = &owner["metadata"]["uid"];
        let is_owned = |object: &Value| {
            let owners = object["metadata"]["ownerReferences"].as_array();
            owners.is_some_and(|owners| {
                !owners.is_empty() && owners.iter().all(|owner| owner["uid"] == *uid)
            })
        };
        self.objects.retain(|object| !is_pod_of_it(object) && !is_owned(object));
    }

    /// Stores a new state of an object, unless it is equal or this is a dry run. Returns the state with the fields of the
    /// server.
    fn write(&mut self, mut object: Value, before: Option<&Value>, is_dry_run: bool) -> Value {
        defaults::complete(&mut object);
        if let Some(before) = before {
            metadata::keep_identity(&mut object, before);
            object["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"].clone();
        }
        metadata::count_generation(&mut object, before);
        if before.is_some_and(|before| is_same(before, &object)) {
            return before.expect("an object").clone();
        }
        if is_dry_run {
            // a dry run keeps the version, and a new object has none
            if before.is_none() {
                self.numbers.clone().stamp(&mut object, &metadata::now());
                object["metadata"].as_object_mut().expect("metadata").remove("resourceVersion");
            }
            return object;
        }
        self.numbers.stamp(&mut object, &metadata::now());
        let target = kinds::path_of(&object);
        self.objects.retain(|other| kinds::path_of(other) != target);
        self.objects.push(object.clone());
        object
    }

    fn lacks_namespace(&self, target: &ResourcePath) -> Option<Reply> {
        let namespace = target.namespace.as_deref()?;
        let is_it = |object: &Value| {
            object["kind"] == "Namespace" && object["metadata"]["name"] == namespace
        };
        let lacks = self.find(target).is_none() && !self.objects.iter().any(is_it);
        lacks.then(|| {
            not_found(&ResourcePath {
                api_version: "v1".into(),
                namespace: None,
                resource: "namespaces".into(),
                name: Some(namespace.into()),
                subresource: None,
            })
        })
    }
}

/// Whether two states are equal apart from the times of their managers.
fn is_same(before: &Value, after: &Value) -> bool {
    let timeless = |object: &Value| {
        let mut object = object.clone();
        let owners = object["metadata"].get_mut("managedFields").and_then(Value::as_array_mut);
        if let Some(owners) = owners {
            owners.iter_mut().for_each(|owner| owner["time"] = Value::Null);
            owners.sort_by_key(Value::to_string);
        }
        object
    };
    timeless(before) == timeless(after)
}

fn is_dry_run(request: &Request) -> bool {
    resource_path::parameter(&request.query, "dryRun") == "All"
}

fn wants_metadata(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).map_or(&b""[..], |accept| accept.as_bytes());
    String::from_utf8_lossy(accept).contains("as=PartialObjectMetadata")
}

/// The field manager of a write: the parameter of the client, or the name of the program.
fn manager(request: &Request) -> String {
    let said = resource_path::parameter(&request.query, "fieldManager");
    let agent = request.headers.get("user-agent").and_then(|agent| agent.to_str().ok());
    match (said.is_empty(), agent) {
        (false, _) => said,
        (true, Some(agent)) => agent.split('/').next().unwrap_or_default().to_owned(),
        (true, None) => "unknown".into(),
    }
}

/// Adds the fields that follow from the path.
fn complete(object: &mut Value, target: &ResourcePath) {
    let (api_version, kind) = kinds::of(target);
    object["apiVersion"] = json!(api_version);
    object["kind"] = json!(kind);
    if let Some(namespace) = &target.namespace {
        object["metadata"]["namespace"] = json!(namespace);
    }
    if let Some(name) = &target.name {
        object["metadata"]["name"] = json!(name);
    }
}

/// The response to a write that names an outdated version.
fn lags_behind(body: &Value, before: &Value, target: &ResourcePath) -> Option<Reply> {
    let named = body["metadata"]["resourceVersion"].as_str()?;
    (before["metadata"]["resourceVersion"] != named).then(|| {
        conflict(
            target,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    })
}
