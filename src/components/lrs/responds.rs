//! Whether Ralph answers, knows its administrator and reaches the data lake.

use anyhow::Result;
use async_trait::async_trait;

use crate::cluster::steps::Step;
use crate::components::model::answered;
use crate::engine::{Check, Id, Observation};
use crate::error::Failure;
use crate::stack::Stack;

use super::accounts::USER;
use super::{RELEASE, client};

/// Asks the LRS who we are and whether it is well.
pub async fn probe(stack: &Stack) -> Result<String> {
    let ralph = client(stack).await?;
    let (who, heart) = tokio::try_join!(ralph.whoami(), ralph.heartbeat())?;
    if !who.status.is_success() {
        let why = format!("Ralph answered {} to /whoami as {USER}", who.status.as_u16());
        return Err(Failure::failed(why)
            .hint("run `kubectl lastack install` to reconcile the Secret, the accounts file and the Pods")
            .into());
    }
    if !heart.status.is_success() {
        let why = format!("Ralph's heartbeat says {}: {}", heart.status.as_u16(), heart.excerpt());
        return Err(Failure::failed(why)
            .hint("it asks Elasticsearch: look at the data lake first")
            .into());
    }
    Ok("heartbeat ok".into())
}

pub struct LrsResponds;

#[async_trait]
impl Check<Stack> for LrsResponds {
    fn id(&self) -> Id {
        Id("lrs.answers")
    }

    fn needs(&self) -> &'static [Id] {
        &[Id("lrs.release")]
    }

    fn subject(&self) -> &'static str {
        "the LRS"
    }

    async fn observe(&self, stack: &Stack) -> Result<Observation> {
        answered(probe(stack).await.map(|detail| format!("whoami and {detail}")))
    }

    async fn explain(&self, stack: &Stack) -> Result<Vec<Step>> {
        Ok(vec![Step::command(format!("helm test {RELEASE} -n {}", stack.namespace()))])
    }
}
