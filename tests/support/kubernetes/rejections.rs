//! How the API server says no: the bodies of its rejections.

use serde_json::{Value, json};

use super::ownership::Conflict;
use super::place::Place;
use crate::support::server::Answer;

pub fn rejected_conflicts(conflicts: &[Conflict]) -> Answer {
    let causes: Vec<Value> = conflicts
        .iter()
        .map(|conflict| json!({"reason": "FieldManagerConflict", "message": conflict.with(), "field": conflict.field}))
        .collect();
    let message = match conflicts {
        [one] => format!("Apply failed with 1 conflict: {}: {}", one.with(), one.field),
        several => {
            let fields: String =
                several.iter().map(|conflict| format!("\n- {}", conflict.field)).collect();
            format!("Apply failed with {} conflicts: {}:{fields}", several.len(), several[0].with())
        }
    };
    Answer::Json(
        409,
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "reason": "Conflict", "code": 409, "message": message, "details": {"causes": causes},
        }),
    )
}

fn qualified(place: &Place) -> String {
    let group = place.api_version.split_once('/').map(|(group, _)| group);
    group.map_or_else(|| place.resource.clone(), |group| format!("{}.{group}", place.resource))
}

pub fn details(place: &Place, uid: Option<&Value>) -> Value {
    let mut details = json!({"name": place.name, "kind": place.resource});
    if let Some((group, _)) = place.api_version.split_once('/') {
        details["group"] = json!(group);
    }
    if let Some(uid) = uid {
        details["uid"] = uid.clone();
    }
    details
}

fn rejected(code: u16, reason: &str, message: &str, place: &Place) -> Answer {
    Answer::Json(
        code,
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "reason": reason, "code": code, "message": message, "details": details(place, None),
        }),
    )
}

/// The answer to a write that lacks a field.
pub fn invalid(place: &Place, kind: &str, field: &str, why: &str) -> Answer {
    let why = format!("Required value: {why}");
    let (kind_only, group) = kind.split_once('.').unwrap_or((kind, ""));
    let mut details = json!({
        "kind": kind_only,
        "causes": [{"reason": "FieldValueRequired", "message": why, "field": field}],
    });
    let group = if group.is_empty() {
        place.api_version.split_once('/').map_or("", |(group, _)| group)
    } else {
        group
    };
    if !group.is_empty() {
        details["group"] = json!(group);
    }
    Answer::Json(
        422,
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Invalid",
            "code": 422, "message": format!("{kind} \"\" is invalid: {field}: {why}"), "details": details,
        }),
    )
}

fn named(place: &Place) -> String {
    format!("{} \"{}\"", qualified(place), place.name.as_deref().unwrap_or_default())
}

pub fn not_found(place: &Place) -> Answer {
    rejected(404, "NotFound", &format!("{} not found", named(place)), place)
}

pub fn already_exists(place: &Place) -> Answer {
    rejected(409, "AlreadyExists", &format!("{} already exists", named(place)), place)
}

pub fn conflict(place: &Place, why: &str) -> Answer {
    let message = format!("Operation cannot be fulfilled on {}: {why}", named(place));
    rejected(409, "Conflict", &message, place)
}
