//! The components of a stack, a folder each: declaration, resources, client, health, credentials.
//!
//! A new component is a new folder, its line in [`all`], and its data in `manifests/versions.yaml` and
//! `manifests/profiles.yaml`. Everything else is derived from its [`Declaration`](model::Declaration).

#[macro_use]
mod cluster_check;

pub mod access;
mod accounts;
pub mod conditions;
pub mod datalake;
pub mod dataviz;
pub mod external_database;
mod healthy;
pub mod lms;
pub mod lrs;
pub mod model;
pub mod namespace;
pub mod operator;
mod ownership;
pub mod paused;
mod postgresql;
mod preflight;
mod release;
mod remains;
pub mod secrets;

use std::collections::BTreeSet;

use anyhow::Result;

use crate::engine::graph::Graph;
use crate::engine::{Id, Node};
use crate::stack::Stack;
use crate::stack::component::ComponentName;
use crate::stack::settings::Settings;

use model::{Component, Components, DataStore};

pub use release::{has_migrated, port};

/// The components in the order in which data flows.
pub const fn all() -> Components {
    &[&lms::Lms, &lrs::Lrs, &datalake::Datalake, &dataviz::Dataviz, &operator::Operator]
}

/// The component of this name.
pub fn get(name: ComponentName) -> Option<&'static dyn Component> {
    all().iter().copied().find(|component| component.declaration().name == name)
}

/// Everything that must be true for the whole stack.
///
/// # Errors
/// When nodes need absent nodes or each other.
pub fn graph() -> Result<Graph<Stack>> {
    Graph::new(nodes())
}

fn nodes() -> Vec<Node<Stack>> {
    let mut nodes = preflight::nodes(all());
    nodes.extend(namespace::nodes(all()));
    nodes.extend(all().iter().flat_map(|component| component.nodes()));
    nodes
}

/// The same, and the checks that `install` does not wait for, with those of `others`.
///
/// # Errors
/// When nodes need absent nodes or each other.
pub fn graph_with_checks(others: Vec<Node<Stack>>) -> Result<Graph<Stack>> {
    let of_components = all().iter().flat_map(|component| component.checks());
    let checks = conditions::nodes(all()).into_iter().chain(of_components).chain(others);
    Graph::new(nodes().into_iter().chain(checks).collect())
}

/// The check that the user may do what `install` does.
pub const PERMISSIONS_OF_INSTALL: Id = Id("preflight.permissions");

/// Whether the node is about the cluster, and not about the stack in it.
pub fn is_of_the_cluster(id: Id) -> bool {
    id.group() == "preflight"
}

/// The nodes of the components of this stack.
pub fn of_stack(graph: Graph<Stack>, stack: &Stack) -> Graph<Stack> {
    match &stack.settings.components {
        Some(components) => of_components(graph, components),
        None => graph,
    }
}

/// The stores of data of these components, with the components that they belong to.
pub fn data(settings: &Settings) -> impl Iterator<Item = (ComponentName, Id, DataStore)> {
    let included = all().iter().filter(|one| settings.has(one.declaration().name));
    included.flat_map(|one| {
        let name = one.declaration().name;
        one.data(settings).into_iter().map(move |(id, store)| (name, id, store))
    })
}

/// The nodes of these components, and all their dependencies.
pub fn of_components(graph: Graph<Stack>, wanted: &BTreeSet<ComponentName>) -> Graph<Stack> {
    let is_wanted = |node: &Node<Stack>| {
        ComponentName::of(node.id()).is_some_and(|name| wanted.contains(&name))
    };
    // the operator serves the whole cluster; the settings are those of a stack
    let has_settings = wanted.iter().any(|component| *component != operator::COMPONENT);
    let is_setting = |node: &Node<Stack>| node.id().group() == namespace::STORED_SETTINGS.group();
    graph.only(|node| is_wanted(node) || has_settings && is_setting(node))
}

#[cfg(test)]
mod tests {
    use crate::stack::profiles::Profile;
    use crate::stack::resources::Resources;
    use crate::stack::settings::Settings;

    use super::*;

    #[test]
    fn registry_and_versions_file_name_the_same_components() {
        let registered: BTreeSet<_> = all().iter().map(|one| one.declaration().name).collect();
        assert_eq!(registered, ComponentName::all().collect());
    }

    #[test]
    fn graph_holds_nodes_of_every_component_and_no_other_group() {
        let graph = graph().unwrap();
        let groups: BTreeSet<&str> = graph.ids().map(|id| id.group()).collect();
        let mut wanted = BTreeSet::from(["namespace", "preflight", "settings"]);
        wanted.extend(ComponentName::all().map(ComponentName::as_str));
        assert_eq!(groups, wanted);
    }

    #[test]
    fn every_component_has_a_size_in_every_profile() {
        use clap::ValueEnum;
        for profile in Profile::value_variants() {
            for component in all() {
                let pods =
                    component.pods(&Settings { profile: Some(*profile), ..Settings::default() });
                let asks = |(requests, count): &(Resources, u32)| {
                    *requests > Resources::default() && *count > 0
                };
                let name = component.declaration().name;
                assert!(pods.iter().all(asks), "{name} in profile {}", profile.name());
                let is_operator = name == operator::COMPONENT;
                assert_eq!(pods.is_empty(), is_operator, "{name} in profile {}", profile.name());
            }
        }
    }

    #[test]
    fn uninstall_may_list_and_delete_every_kind_of_object_in_the_charts() {
        let allowed: BTreeSet<String> = access::UNINSTALL
            .iter()
            .flat_map(|rule| rule.permissions())
            .map(|permission| permission.to_string())
            .collect();
        for kind in all().iter().flat_map(|component| component.declaration().kinds) {
            let kind = kind();
            let suffix =
                if kind.group.is_empty() { String::new() } else { format!(".{}", kind.group) };
            for verb in ["list", "delete"] {
                let permission = format!("{verb} {}{suffix}", kind.plural);
                assert!(allowed.contains(&permission), "{permission}");
            }
        }
    }
}
