//! Grants the role of teachers read access to the data lake, through dashboards only.

use anyhow::Result;
use async_trait::async_trait;

use crate::engine::{Id, Observation, Progress, Reconciled, Resource, Scope};
use crate::error::Failure;
use crate::stack::Stack;

use super::client::{Kind, Superset};
use super::{client, database};

/// Created by the chart, which defines its other permissions.
const ROLE: &str = "Teacher";

pub struct Teacher;

struct Grant {
    role: u64,
    has: Vec<u64>,
    permission: u64,
}

async fn look(superset: &Superset) -> Result<Grant> {
    let database = database::ours()?;
    let live = superset.find(Kind::Database, database.uuid).await?;
    let resource =
        live.map(|live| format!("[{}].(id:{})", live.title, live.id)).unwrap_or_default();
    let Some((role, has)) = superset.role(ROLE).await? else {
        return Err(Failure::failed(format!("Superset has no role {ROLE}"))
            .hint("run `kubectl lastack install --only dataviz` to create the role")
            .into());
    };
    let Some(permission) = superset.permission("database_access", &resource).await? else {
        return Err(Failure::failed(format!(
            "Superset has no permission database_access on {resource}"
        ))
        .into());
    };
    Ok(Grant { role, has, permission })
}

#[async_trait]
impl Resource<Stack> for Teacher {
    fn id(&self) -> Id {
        Id("dataviz.teacher")
    }

    fn needs(&self) -> &'static [Id] {
        &[Id("dataviz.database")]
    }

    fn scope(&self) -> Scope {
        Scope::Setting
    }

    async fn observe(&self, stack: &Stack) -> Result<Observation> {
        let grant = look(&client(stack).await?).await?;
        Ok(match grant.has.contains(&grant.permission) {
            true => Observation::Equal(format!("role {ROLE} reads the data lake")),
            false => Observation::Missing(format!("access of role {ROLE} to the data lake")),
        })
    }

    async fn reconcile(&self, stack: &Stack, _: &Progress<'_>) -> Result<Reconciled> {
        let superset = client(stack).await?;
        let grant = look(&superset).await?;
        let permissions: Vec<u64> = grant.has.into_iter().chain([grant.permission]).collect();
        superset.set_permissions(grant.role, &permissions).await?;
        Ok(Reconciled::Done(format!("role {ROLE} reads the data lake")))
    }
}
