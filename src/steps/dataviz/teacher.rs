//! The role of teachers may read the data lake, through dashboards only.

use anyhow::Result;
use async_trait::async_trait;

use crate::clients::superset::{Kind, Superset};
use crate::error::Failure;
use crate::output::progress::Progress;
use crate::stack::Stack;
use crate::stack::step::{Converged, Observed, Step, StepId};

use super::{client, database};

/// Made by the chart, which says what else it may do.
const ROLE: &str = "Teacher";

pub struct Teacher;

struct Grant {
    role: u64,
    has: Vec<u64>,
    permission: u64,
}

async fn look(superset: &Superset) -> Result<Grant> {
    let database = database::ours()?;
    let there = superset.find(Kind::Database, database.uuid).await?;
    let resource =
        there.map(|there| format!("[{}].(id:{})", there.title, there.id)).unwrap_or_default();
    let Some((role, has)) = superset.role(ROLE).await? else {
        return Err(Failure::failed(format!("Superset has no role {ROLE}"))
            .hint("`kubectl lastack install --only dataviz` runs the job again that makes it")
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
impl Step for Teacher {
    fn id(&self) -> StepId {
        "dataviz.teacher"
    }

    fn needs(&self) -> &'static [StepId] {
        &["dataviz.database"]
    }

    fn configures(&self) -> bool {
        true
    }

    async fn observe(&self, stack: &Stack) -> Result<Observed> {
        let grant = look(&client(stack).await?).await?;
        Ok(match grant.has.contains(&grant.permission) {
            true => Observed::Ok(format!("role {ROLE} reads the data lake")),
            false => Observed::Missing(format!("access of role {ROLE} to the data lake")),
        })
    }

    async fn converge(&self, stack: &Stack, _: &Progress) -> Result<Converged> {
        let superset = client(stack).await?;
        let grant = look(&superset).await?;
        let permissions: Vec<u64> = grant.has.into_iter().chain([grant.permission]).collect();
        superset.set_permissions(grant.role, &permissions).await?;
        Ok(Converged::Done(format!("role {ROLE} reads the data lake")))
    }
}
