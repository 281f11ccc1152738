//! Authorization by one Role, as the API server does it.

use http::Method;
use serde_json::Value;

use super::resource_path::ResourcePath;
use crate::support::server::Request;

/// The rejection of a request that the Role does not allow. `exists`: whether the object of the request exists.
pub fn rejection(role: &Value, request: &Request, exists: bool) -> Option<String> {
    let target = ResourcePath::parse(&request.path)?;
    // every user may ask about itself
    if target.resource.starts_with("selfsubject") {
        return None;
    }
    let verb = match (&request.method, &target.name) {
        (&Method::GET, Some(_)) => "get",
        (&Method::GET, None) => "list",
        (&Method::POST, _) => "create",
        (&Method::PATCH, _) => "patch",
        (&Method::DELETE, Some(_)) => "delete",
        (&Method::DELETE, None) => "deletecollection",
        _ => "update",
    };
    let resource = match &target.subresource {
        Some(sub) => format!("{}/{sub}", target.resource),
        None => target.resource.clone(),
    };
    let group = target.api_version.split_once('/').map_or("", |(group, _)| group);
    let name = target.name.as_deref().unwrap_or_default();
    // an apply that creates the object needs both verbs
    let verbs: &[&str] = if verb == "patch" && !exists { &["patch", "create"] } else { &[verb] };
    let is_allowed = |verb: &&str| {
        target.namespace.is_some() && allows(role, verb, group, &resource, Some(name))
    };
    let lacking = verbs.iter().find(|verb| !is_allowed(verb))?;
    let place = match &target.namespace {
        Some(namespace) => format!("in the namespace \"{namespace}\""),
        None => "at the cluster scope".into(),
    };
    Some(format!(
        "{} \"{name}\" is forbidden: User \"alice\" cannot {lacking} resource \"{resource}\" in API group \"{group}\" {place}",
        target.resource
    ))
}

/// Whether the Role allows a verb. A rule with names allows it for these objects only.
pub fn allows(role: &Value, verb: &str, group: &str, resource: &str, name: Option<&str>) -> bool {
    let has = |rule: &Value, key: &str, word: &str| {
        rule[key].as_array().into_iter().flatten().any(|found| found == word)
    };
    role["rules"].as_array().expect("the rules of a Role").iter().any(|rule| {
        let is_named = rule["resourceNames"].is_array();
        has(rule, "verbs", verb)
            && has(rule, "apiGroups", group)
            && has(rule, "resources", resource)
            && (!is_named || name.is_some_and(|name| has(rule, "resourceNames", name)))
    })
}
