//! The bodies of the rejections of the API server.

use serde_json::{Value, json};

use super::ownership::Conflict;
use super::resource_path::ResourcePath;
use crate::support::server::Reply;

pub fn rejected_conflicts(conflicts: &[Conflict]) -> Reply {
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
    Reply::Json(
        409,
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "reason": "Conflict", "code": 409, "message": message, "details": {"causes": causes},
        }),
    )
}

fn qualified(target: &ResourcePath) -> String {
    let group = target.api_version.split_once('/').map(|(group, _)| group);
    group.map_or_else(|| target.resource.clone(), |group| format!("{}.{group}", target.resource))
}

pub fn details(target: &ResourcePath, uid: Option<&Value>) -> Value {
    let mut details = json!({"name": target.name, "kind": target.resource});
    if let Some((group, _)) = target.api_version.split_once('/') {
        details["group"] = json!(group);
    }
    if let Some(uid) = uid {
        details["uid"] = uid.clone();
    }
    details
}

fn rejected(code: u16, reason: &str, message: &str, target: &ResourcePath) -> Reply {
    Reply::Json(
        code,
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "reason": reason, "code": code, "message": message, "details": details(target, None),
        }),
    )
}

/// The response to a write that lacks a field.
pub fn invalid(target: &ResourcePath, kind: &str, field: &str, why: &str) -> Reply {
    let why = format!("Required value: {why}");
    let (kind_only, group) = kind.split_once('.').unwrap_or((kind, ""));
    let mut details = json!({
        "kind": kind_only,
        "causes": [{"reason": "FieldValueRequired", "message": why, "field": field}],
    });
    let group = if group.is_empty() {
        target.api_version.split_once('/').map_or("", |(group, _)| group)
    } else {
        group
    };
    if !group.is_empty() {
        details["group"] = json!(group);
    }
    Reply::Json(
        422,
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Invalid",
            "code": 422, "message": format!("{kind} \"\" is invalid: {field}: {why}"), "details": details,
        }),
    )
}

fn named(target: &ResourcePath) -> String {
    format!("{} \"{}\"", qualified(target), target.name.as_deref().unwrap_or_default())
}

pub fn not_found(target: &ResourcePath) -> Reply {
    rejected(404, "NotFound", &format!("{} not found", named(target)), target)
}

pub fn already_exists(target: &ResourcePath) -> Reply {
    rejected(409, "AlreadyExists", &format!("{} already exists", named(target)), target)
}

pub fn conflict(target: &ResourcePath, why: &str) -> Reply {
    let message = format!("Operation cannot be fulfilled on {}: {why}", named(target));
    rejected(409, "Conflict", &message, target)
}
