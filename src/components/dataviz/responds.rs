//! Whether Superset responds and accepts the tool's own account.

use anyhow::Result;
use async_trait::async_trait;

use crate::cluster::steps::Step;
use crate::components::model::responded;
use crate::engine::{Check, Id, Observation};
use crate::stack::Stack;

use super::client::health;
use super::{RELEASE, client, http};

pub struct SupersetResponds;

async fn probe(stack: &Stack) -> Result<String> {
    health(&http(stack)?).await?;
    client(stack).await?;
    Ok("health and login ok".into())
}

#[async_trait]
impl Check<Stack> for SupersetResponds {
    fn id(&self) -> Id {
        Id("dataviz.responds")
    }

    fn needs(&self) -> &'static [Id] {
        &[Id("dataviz.release")]
    }

    fn subject(&self) -> &'static str {
        "Superset"
    }

    async fn observe(&self, stack: &Stack) -> Result<Observation> {
        responded(probe(stack).await)
    }

    async fn explain(&self, stack: &Stack) -> Result<Vec<Step>> {
        Ok(vec![Step::command(format!("helm test {RELEASE} -n {}", stack.namespace()))])
    }
}
