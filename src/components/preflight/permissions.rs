//! The check that the user has the permissions for an install.

use std::collections::BTreeSet;

use anyhow::Result;
use futures::stream::{self, StreamExt, TryStreamExt};

use crate::cluster::access::{Permission, may};
use crate::cluster::tunnel;
use crate::components::access::{DISRUPTION_BUDGETS, INGRESSES, INSTALL, OF_SOME_HELMS};
use crate::components::model::Components;
use crate::engine::Observation;
use crate::stack::Stack;
use crate::stack::profiles::Profile;
use crate::stack::settings::{Expose, Settings};

/// The number of concurrent requests.
const AT_ONCE: usize = 8;

/// The permissions that an install with these settings needs, each once. Helm needs some only in certain versions, and
/// reports them itself.
fn needed(settings: &Settings, components: Components) -> Vec<Permission> {
    let mut rules = vec![INSTALL, tunnel::RULES];
    if settings.expose() == Expose::Ingress {
        rules.push(INGRESSES);
    }
    // charts create disruption budgets for several replicas
    if settings.profile() != Profile::Laptop {
        rules.push(DISRUPTION_BUDGETS);
    }
    let declarations = components.iter().map(|component| component.declaration());
    let of_the_stack = declarations.filter(|declared| settings.has(declared.name));
    rules.extend(of_the_stack.flat_map(|declared| declared.access.install));
    let mut seen = BTreeSet::new();
    let permissions = rules.into_iter().flatten().flat_map(|rule| rule.permissions());
    permissions
        .filter(|permission| !OF_SOME_HELMS.contains(&permission.verb) && seen.insert(*permission))
        .collect()
}

pub async fn check(stack: &Stack, components: Components) -> Result<Observation> {
    let namespace = stack.namespace();
    let reviews = needed(&stack.settings, components).into_iter().map(|permission| async move {
        let allowed = may(&stack.cluster, Some(namespace), permission).await?;
        anyhow::Ok((!allowed).then(|| permission.to_string()))
    });
    let lacking: Vec<Option<String>> =
        stream::iter(reviews).buffered(AT_ONCE).try_collect().await?;
    let lacking: Vec<String> = lacking.into_iter().flatten().collect();
    if lacking.is_empty() {
        return Ok(Observation::Equal(format!(
            "all permissions for install in namespace {namespace}"
        )));
    }
    Ok(Observation::not_permitted(
        format!("you may not {} in namespace {namespace}", lacking.join(", ")),
        format!(
            "ask your cluster administrator for the Role that `kubectl lastack rbac install` prints, in namespace {namespace}"
        ),
    ))
}
