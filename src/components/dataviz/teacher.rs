//! Grants the role of teachers the data sets of the dashboards. `charts/superset/files/lastack_access.py` limits their
//! queries to those of stored charts.

use anyhow::Result;
use async_trait::async_trait;

use crate::engine::{Id, Observation, Progress, Reconciled, Resource, Scope};
use crate::error::Failure;
use crate::stack::Stack;

use super::client;
use super::client::{Kind, Listed, Permission, Role, Superset};
use super::dashboards::bundle::Bundle;

/// Created by the chart, which defines its other permissions.
const ROLE: &str = "Teacher";

pub struct Teacher;

/// The role as it is, and the access to data that it lacks or has in excess.
struct Access {
    role: Role,
    missing: Vec<Permission>,
    /// Access to the whole connection, which includes every index that its account reads.
    excessive: Vec<Permission>,
}

/// Superset's name of a data set in its permissions.
fn of_dataset(database: &Listed, dataset: &Listed) -> String {
    format!("[{}].[{}](id:{})", database.title, dataset.title, dataset.id)
}

async fn look(superset: &Superset) -> Result<Access> {
    let Some(role) = superset.role(ROLE).await? else {
        return Err(Failure::failed(format!("Superset has no role {ROLE}"))
            .hint("run `kubectl lastack install --only dataviz` to create the role")
            .into());
    };
    let bundle = Bundle::ours()?;
    let databases = superset.list(Kind::Database).await?;
    let datasets = superset.list(Kind::Dataset).await?;
    let (mut missing, mut excessive) = (Vec::new(), Vec::new());
    for database in databases.iter().filter(|database| bundle.contains(database)) {
        let resource = format!("[{}].(id:{})", database.title, database.id);
        excessive.extend(role.permission("database_access", &resource).cloned());
        let is_in = |dataset: &&Listed| dataset.database == Some(database.uuid);
        for dataset in datasets.iter().filter(is_in).filter(|dataset| bundle.contains(dataset)) {
            let (name, resource) = ("datasource_access", of_dataset(database, dataset));
            if role.permission(name, &resource).is_some() {
                continue;
            }
            let Some(permission) = superset.permission(name, &resource).await? else {
                let why = format!("Superset has no permission {name} on {resource}");
                return Err(Failure::failed(why).into());
            };
            missing.push(permission);
        }
    }
    Ok(Access { role, missing, excessive })
}

#[async_trait]
impl Resource<Stack> for Teacher {
    fn id(&self) -> Id {
        Id("dataviz.teacher")
    }

    fn needs(&self) -> &'static [Id] {
        &[Id("dataviz.dashboards")]
    }

    fn scope(&self) -> Scope {
        Scope::Setting
    }

    async fn observe(&self, stack: &Stack) -> Result<Observation> {
        let superset = client(stack).await?;
        let access = look(&superset).await?;
        let names = |permissions: &[Permission]| {
            permissions.iter().map(Permission::to_string).collect::<Vec<_>>().join(", ")
        };
        let role = format!("role {ROLE}");
        Ok(match (&access.missing[..], &access.excessive[..]) {
            ([], []) => Observation::Equal(format!("{role} reads the dashboards")),
            (missing, []) => Observation::Missing(format!("{role}: {}", names(missing))),
            (_, excessive) => Observation::drifted(role, names(excessive), "only its data sets"),
        })
    }

    async fn reconcile(&self, stack: &Stack, _: &Progress<'_>) -> Result<Reconciled> {
        let superset = client(stack).await?;
        let Access { role, missing, excessive } = look(&superset).await?;
        let kept = role.permissions.iter().filter(|permission| !excessive.contains(permission));
        let ids: Vec<u64> = kept.chain(&missing).map(|permission| permission.id).collect();
        superset.set_permissions(role.id, &ids).await?;
        Ok(Reconciled::Done(format!("role {ROLE} reads the dashboards")))
    }
}
