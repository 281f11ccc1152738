//! Whether Superset answers and lets the tool's own account in.

use anyhow::Result;
use async_trait::async_trait;

use crate::clients::superset;
use crate::clients::wait;
use crate::error::{forbidden, one_line};
use crate::output::progress::Progress;
use crate::stack::Stack;
use crate::stack::step::{Converged, Observed, Step, StepId};

use super::{NAME, client, http};

pub struct Answers;

async fn probe(stack: &Stack) -> Result<String> {
    superset::health(&http(stack)?).await?;
    client(stack).await?;
    Ok("health and login ok".into())
}

#[async_trait]
impl Step for Answers {
    fn id(&self) -> StepId {
        "dataviz.answers"
    }

    fn needs(&self) -> &'static [StepId] {
        &["dataviz.release"]
    }

    async fn observe(&self, stack: &Stack) -> Result<Observed> {
        Ok(match probe(stack).await {
            Ok(detail) => Observed::Ok(detail),
            // what the user may not ask of it says nothing about it
            Err(error) if forbidden(&error).is_some() => return Err(error),
            Err(error) => Observed::drifted("health and login", one_line(&error), "ok"),
        })
    }

    async fn converge(&self, stack: &Stack, progress: &Progress) -> Result<Converged> {
        wait::until_answered(stack, "Superset", progress, || probe(stack)).await
    }

    fn explain(&self, stack: &Stack) -> Vec<String> {
        vec![
            format!("kubectl port-forward -n {} service/{NAME} 8088:80", stack.namespace()),
            "curl http://localhost:8088/health".into(),
        ]
    }
}
