//! Writes rules as a Role, with the reason for each.

use std::collections::{BTreeMap, BTreeSet};

use super::access::{Permission, Rule};

/// The permissions of a rule in a Role, which has a list of names and one of verbs.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Grant {
    group: &'static str,
    resource: &'static str,
    has_names: bool,
    verbs: BTreeSet<&'static str>,
    why: BTreeSet<&'static str>,
}

/// The manifest of a Role with these rules: sorted, each permission once. Without a namespace, `kubectl apply -n` gives it.
pub fn manifest(name: &str, namespace: Option<&str>, rules: &[Rule]) -> String {
    let namespace =
        namespace.map(|namespace| format!("  namespace: {namespace}\n")).unwrap_or_default();
    let mut text = format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata:\n  name: {name}\n{namespace}rules:\n"
    );
    for (grant, names) in grants(rules) {
        for why in &grant.why {
            text.push_str(&format!("  # {why}\n"));
        }
        let group = if grant.group.is_empty() { "\"\"" } else { grant.group };
        text.push_str(&format!("  - apiGroups: [{group}]\n    resources: [{}]\n", grant.resource));
        if grant.has_names {
            text.push_str(&format!("    resourceNames: [{}]\n", joined(&names)));
        }
        text.push_str(&format!("    verbs: [{}]\n", joined(&grant.verbs)));
    }
    text
}

fn joined(words: &BTreeSet<&str>) -> String {
    words.iter().copied().collect::<Vec<_>>().join(", ")
}

/// The grants with the names of their objects.
fn grants(rules: &[Rule]) -> BTreeMap<Grant, BTreeSet<&'static str>> {
    let mut reasons: BTreeMap<Permission, BTreeSet<&str>> = BTreeMap::new();
    for rule in rules {
        for permission in rule.permissions() {
            reasons.entry(permission).or_default().insert(rule.why);
        }
    }
    // a permission for all objects includes the one for a name
    let all: BTreeSet<Permission> = reasons.keys().copied().collect();
    reasons.retain(|permission, _| {
        permission.name.is_none() || !all.contains(&Permission { name: None, ..*permission })
    });
    let mut by_object: BTreeMap<_, (BTreeSet<&str>, BTreeSet<&str>)> = BTreeMap::new();
    for (Permission { group, resource, name, verb }, why) in reasons {
        let (verbs, all) = by_object.entry((group, resource, name)).or_default();
        verbs.insert(verb);
        all.extend(why);
    }
    let mut grants: BTreeMap<Grant, BTreeSet<&str>> = BTreeMap::new();
    for ((group, resource, name), (verbs, why)) in by_object {
        let grant = Grant { group, resource, has_names: name.is_some(), verbs, why };
        grants.entry(grant).or_default().extend(name);
    }
    grants
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn role_contains_each_permission_once_with_its_reasons() {
        let read = |names| Rule::new("", "secrets", &["get"], "passwords").named(names);
        let rules = [
            read(&["b"]),
            read(&["a"]),
            Rule::new("apps", "deployments", &["list", "get"], "workloads"),
            Rule::new("apps", "deployments", &["get"], "versions").named(&["web"]),
            Rule::new("", "secrets", &["get"], "the certificate").named(&["c"]),
        ];
        assert_eq!(
            manifest("lastack-test", Some("alice"), &rules),
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata:\n  name: lastack-test\n  namespace: alice\nrules:\n\
             \x20 # passwords\n  - apiGroups: [\"\"]\n    resources: [secrets]\n    resourceNames: [a, b]\n    verbs: [get]\n\
             \x20 # the certificate\n  - apiGroups: [\"\"]\n    resources: [secrets]\n    resourceNames: [c]\n    verbs: [get]\n\
             \x20 # workloads\n  - apiGroups: [apps]\n    resources: [deployments]\n    verbs: [get, list]\n"
        );
    }
}
