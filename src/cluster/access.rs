//! Permissions in the terms of RBAC, and whether the user has them.

use std::fmt;

use anyhow::{Context, Result};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::Api;
use kube::api::PostParams;

use super::Cluster;

/// A verb, an API group, a resource and the name of an object in the terms of RBAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    pub group: &'static str,
    pub resource: &'static str,
    /// None: all objects of the resource.
    pub name: Option<&'static str>,
    pub verb: &'static str,
}

impl Permission {
    /// For all objects of a resource.
    pub const fn new(verb: &'static str, group: &'static str, resource: &'static str) -> Self {
        Self { group, resource, name: None, verb }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.group {
            "" => write!(f, "{} {}", self.verb, self.resource),
            group => write!(f, "{} {}.{group}", self.verb, self.resource),
        }?;
        self.name.map_or(Ok(()), |name| write!(f, " {name}"))
    }
}

/// Permissions for objects of one resource, and the reason for them.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    group: &'static str,
    /// The plural name, which may contain a subresource: `pods/exec`.
    resource: &'static str,
    /// The names of the objects. Empty: all objects.
    names: &'static [&'static str],
    verbs: &'static [&'static str],
    /// The verbs that remain. None: all. Verbs of a subresource, such as `pods/exec`, connect and always remain.
    only: Option<&'static [&'static str]>,
    /// In a few words, for the comment in a Role.
    pub why: &'static str,
}

/// Rules that are used together.
pub type Rules = &'static [Rule];

impl Rule {
    pub const fn new(
        group: &'static str,
        resource: &'static str,
        verbs: &'static [&'static str],
        why: &'static str,
    ) -> Self {
        Self { group, resource, names: &[], verbs, only: None, why }
    }

    /// The same for the objects with these names. Kubernetes cannot restrict `create` and `list` to names.
    pub const fn named(self, names: &'static [&'static str]) -> Self {
        Self { names, ..self }
    }

    /// The part of the rule that an observation needs. To find a difference it applies the desired object in a dry run,
    /// for which the API server requires `patch`.
    pub const fn to_observe(self) -> Self {
        Self { only: Some(&["get", "list", "patch"]), ..self }
    }

    /// Each single permission.
    pub fn permissions(&self) -> Vec<Permission> {
        let names: Vec<_> = match self.names {
            [] => vec![None],
            names => names.iter().copied().map(Some).collect(),
        };
        let Self { group, resource, .. } = *self;
        let of = |verb: &'static str| {
            names.iter().map(move |name| Permission { group, resource, name: *name, verb })
        };
        let remains = |verb: &&str| {
            self.only.is_none_or(|only| only.contains(verb)) || self.resource.contains('/')
        };
        self.verbs.iter().copied().filter(remains).flat_map(of).collect()
    }
}

/// Whether the user has a permission, in a namespace or in the whole cluster.
///
/// # Errors
/// When the API server does not review the permission.
pub async fn may(
    cluster: &Cluster,
    namespace: Option<&str>,
    permission: Permission,
) -> Result<bool> {
    let Permission { group, resource, name, verb } = permission;
    let (resource, subresource) = match resource.split_once('/') {
        Some((resource, sub)) => (resource, Some(sub.to_string())),
        None => (resource, None),
    };
    let attributes = ResourceAttributes {
        namespace: namespace.map(Into::into),
        verb: Some(verb.into()),
        group: Some(group.into()),
        resource: Some(resource.into()),
        subresource,
        name: name.map(Into::into),
        ..Default::default()
    };
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            ..Default::default()
        },
        ..Default::default()
    };
    let api: Api<SelfSubjectAccessReview> = Api::all(cluster.client.clone());
    let review = api
        .create(&PostParams::default(), &review)
        .await
        .context("cannot review your permissions")?;
    Ok(review.status.is_some_and(|status| status.allowed))
}
