//! What the API server makes of a request about objects: the verbs of the API, one function each.

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, Method};
use serde_json::{Value, json};

use super::metadata;
use super::ownership;
use super::place::{self, Place};
use super::rejections::{
    already_exists, conflict, details, invalid, not_found, rejected_conflicts,
};
use super::selectors::Selector;
use super::{World, defaults, failure, kinds};
use crate::support::server::{Answer, Request};

impl World {
    /// The answer to a request about objects; None when it is about something of them, such as a log.
    pub(super) fn of_objects(&mut self, request: &Request, place: &Place) -> Option<Answer> {
        if place.subresource.is_some() {
            return None;
        }
        Some(match (&request.method, place.name.is_some()) {
            (&Method::GET, false) => self.list(request, place),
            (&Method::GET, true) => match self.find(place) {
                Some(object) if wants_metadata(&request.headers) => {
                    Answer::ok(metadata::partial(object))
                }
                Some(object) => Answer::ok(object.clone()),
                None => not_found(place),
            },
            (&Method::POST, false) => self.create(request, place),
            (&Method::PUT, true) => self.replace(request, place),
            (&Method::PATCH, true) => self.patch(request, place),
            (&Method::DELETE, true) => self.delete(request, place),
            (&Method::DELETE, false) => self.delete_selected(request, place),
            _ => failure(
                405,
                "MethodNotAllowed",
                "the server does not allow this method on the requested resource",
            ),
        })
    }

    fn list(&self, request: &Request, place: &Place) -> Answer {
        let selected = match self.selected(request, place) {
            Ok(selected) => selected,
            Err(answer) => return answer,
        };
        let (_, kind) = kinds::of(place);
        let metadata = json!({"resourceVersion": self.numbers.newest()});
        Answer::ok(match wants_metadata(&request.headers) {
            true => json!({
                "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
                "items": selected.into_iter().map(metadata::partial).collect::<Vec<_>>(),
            }),
            false => json!({
                "kind": format!("{kind}List"), "apiVersion": place.api_version, "metadata": metadata,
                "items": selected.into_iter().map(metadata::item).collect::<Vec<_>>(),
            }),
        })
    }

    /// The objects of a collection that both selectors select, in the order of namespaces and names.
    fn selected(&self, request: &Request, place: &Place) -> Result<Vec<&Value>, Answer> {
        let (labels, fields) = (
            place::parameter(&request.query, "labelSelector"),
            place::parameter(&request.query, "fieldSelector"),
        );
        let bad = |why: String| failure(400, "BadRequest", &why);
        let by_labels = Selector::of_labels(&labels).map_err(bad)?;
        let by_fields = Selector::of_fields(&fields, kinds::of(place)).map_err(bad)?;
        let mut selected: Vec<&Value> = self
            .objects
            .iter()
            .filter(|object| {
                kinds::place_of(object).is_in(place)
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

    fn create(&mut self, request: &Request, place: &Place) -> Answer {
        let mut object = request.json();
        if object["metadata"]["name"].is_null() {
            let Some(prefix) = object["metadata"]["generateName"].as_str() else {
                return invalid(
                    place,
                    kinds::of(place).1,
                    "metadata.name",
                    "name or generateName is required",
                );
            };
            object["metadata"]["name"] = json!(self.numbers.name(prefix));
        }
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let place = Place { name: Some(name), ..place.clone() };
        if let Some(answer) = self.lacks_namespace(&place) {
            return answer;
        }
        if self.find(&place).is_some() {
            return already_exists(&place);
        }
        let manager = manager(request);
        let nothing = json!({"metadata": {}});
        complete(&mut object, &place);
        defaults::complete(&mut object);
        ownership::update(&mut object, &nothing, &manager);
        let object = self.write(object, None, is_dry_run(request));
        Answer::Json(201, object)
    }

    fn replace(&mut self, request: &Request, place: &Place) -> Answer {
        let Some(before) = self.find(place).cloned() else { return not_found(place) };
        let mut object = request.json();
        if let Some(answer) = lags_behind(&object, &before, place) {
            return answer;
        }
        complete(&mut object, place);
        defaults::complete(&mut object);
        ownership::update(&mut object, &before, &manager(request));
        Answer::ok(self.write(object, Some(&before), is_dry_run(request)))
    }

    fn patch(&mut self, request: &Request, place: &Place) -> Answer {
        let before = self.find(place).cloned();
        let body = request.json();
        let kind = request.headers.get(CONTENT_TYPE).map_or(&b""[..], |kind| kind.as_bytes());
        if kind.starts_with(b"application/apply-patch") {
            return self.apply(request, place, before, &body);
        }
        if !kind.starts_with(b"application/merge-patch") {
            return failure(
                415,
                "UnsupportedMediaType",
                "the body of the request was in an unknown format - accepted media types include: \
                 application/merge-patch+json, application/apply-patch+yaml",
            );
        }
        let Some(before) = before else { return not_found(place) };
        if let Some(answer) = lags_behind(&body, &before, place) {
            return answer;
        }
        let mut object = before.clone();
        ownership::merge_patch(&mut object, &body);
        complete(&mut object, place);
        defaults::complete(&mut object);
        ownership::update(&mut object, &before, &manager(request));
        Answer::ok(self.write(object, Some(&before), is_dry_run(request)))
    }

    /// Server-side apply: the one patch that makes what is not there.
    fn apply(
        &mut self,
        request: &Request,
        place: &Place,
        before: Option<Value>,
        configuration: &Value,
    ) -> Answer {
        let manager = place::parameter(&request.query, "fieldManager");
        if manager.is_empty() {
            return invalid(
                place,
                "PatchOptions.meta.k8s.io",
                "fieldManager",
                "is required for apply patch",
            );
        }
        if let Some(answer) = self.lacks_namespace(place) {
            return answer;
        }
        if let Some(answer) =
            before.as_ref().and_then(|before| lags_behind(configuration, before, place))
        {
            return answer;
        }
        let force = place::parameter(&request.query, "force") == "true";
        match ownership::apply(before.as_ref(), configuration, &manager, force) {
            Ok(mut object) => {
                complete(&mut object, place);
                let object = self.write(object, before.as_ref(), is_dry_run(request));
                Answer::Json(if before.is_none() { 201 } else { 200 }, object)
            }
            Err(conflicts) => rejected_conflicts(&conflicts),
        }
    }

    fn delete(&mut self, request: &Request, place: &Place) -> Answer {
        let Some(object) = self.find(place).cloned() else { return not_found(place) };
        let options: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        for (key, name) in [("uid", "UID"), ("resourceVersion", "ResourceVersion")] {
            let (wanted, found) = (&options["preconditions"][key], &object["metadata"][key]);
            if !wanted.is_null() && wanted != found {
                return conflict(
                    place,
                    &format!(
                        "the {name} in the precondition ({wanted}) does not match the {name} in record ({found})"
                    ),
                );
            }
        }
        if !is_dry_run(request) && options["dryRun"].is_null() {
            self.objects.retain(|other| kinds::place_of(other) != *place);
            if options["propagationPolicy"] != "Orphan" {
                self.collect_garbage(&object);
            }
        }
        // some kinds are given back
        const GIVEN: [&str; 4] = ["Pod", "Service", "ServiceAccount", "PersistentVolumeClaim"];
        if GIVEN.iter().any(|kind| object["kind"] == *kind) {
            let mut object = object;
            self.numbers.stamp(&mut object, "");
            return Answer::ok(object);
        }
        Answer::ok(json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
            "details": details(place, Some(&object["metadata"]["uid"])),
        }))
    }

    fn delete_selected(&mut self, request: &Request, place: &Place) -> Answer {
        let places: Vec<Place> = match self.selected(request, place) {
            Ok(selected) => selected.into_iter().map(kinds::place_of).collect(),
            Err(answer) => return answer,
        };
        let given = self.list(request, place);
        self.objects.retain(|object| !places.contains(&kinds::place_of(object)));
        given
    }

    /// The pods of a workload go with it, and so does what names it as its owner.
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

    /// Stores a new state of an object, unless nothing differs or this is a dry run, and gives it with what the server
    /// adds.
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
            // the version stays, and an object that is not made has none
            if before.is_none() {
                self.numbers.clone().stamp(&mut object, &metadata::now());
                object["metadata"].as_object_mut().expect("metadata").remove("resourceVersion");
            }
            return object;
        }
        self.numbers.stamp(&mut object, &metadata::now());
        let place = kinds::place_of(&object);
        self.objects.retain(|other| kinds::place_of(other) != place);
        self.objects.push(object.clone());
        object
    }

    fn lacks_namespace(&self, place: &Place) -> Option<Answer> {
        let namespace = place.namespace.as_deref()?;
        let is_it = |object: &Value| {
            object["kind"] == "Namespace" && object["metadata"]["name"] == namespace
        };
        let lacks = self.find(place).is_none() && !self.objects.iter().any(is_it);
        lacks.then(|| {
            not_found(&Place {
                api_version: "v1".into(),
                namespace: None,
                resource: "namespaces".into(),
                name: Some(namespace.into()),
                subresource: None,
            })
        })
    }
}

/// Whether two states differ in nothing but the times of their owners.
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
    place::parameter(&request.query, "dryRun") == "All"
}

fn wants_metadata(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).map_or(&b""[..], |accept| accept.as_bytes());
    String::from_utf8_lossy(accept).contains("as=PartialObjectMetadata")
}

/// Who writes: what the client says, or the program's name.
fn manager(request: &Request) -> String {
    let said = place::parameter(&request.query, "fieldManager");
    let agent = request.headers.get("user-agent").and_then(|agent| agent.to_str().ok());
    match (said.is_empty(), agent) {
        (false, _) => said,
        (true, Some(agent)) => agent.split('/').next().unwrap_or_default().to_owned(),
        (true, None) => "unknown".into(),
    }
}

/// What the API server knows of an object from its path.
fn complete(object: &mut Value, place: &Place) {
    let (api_version, kind) = kinds::of(place);
    object["apiVersion"] = json!(api_version);
    object["kind"] = json!(kind);
    if let Some(namespace) = &place.namespace {
        object["metadata"]["namespace"] = json!(namespace);
    }
    if let Some(name) = &place.name {
        object["metadata"]["name"] = json!(name);
    }
}

/// The answer to a write that names another version than the one that is there.
fn lags_behind(body: &Value, before: &Value, place: &Place) -> Option<Answer> {
    let named = body["metadata"]["resourceVersion"].as_str()?;
    (before["metadata"]["resourceVersion"] != named).then(|| {
        conflict(
            place,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    })
}
