//! The check that Ralph responds, accepts its administrator and reaches the data lake.

use anyhow::Result;
use async_trait::async_trait;

use crate::cluster::steps::Step;
use crate::components::model::responded;
use crate::engine::{Check, Id, Observation};
use crate::error::Failure;
use crate::stack::Stack;

use super::users::USER;
use super::{RELEASE, client};

/// Requests `/whoami` and the heartbeat of the LRS.
///
/// # Errors
/// When the LRS does not respond to both with success.
pub async fn probe(stack: &Stack) -> Result<String> {
    let ralph = client(stack).await?;
    let (whoami, heartbeat) = tokio::try_join!(ralph.whoami(), ralph.heartbeat())?;
    if !whoami.status.is_success() {
        let why = format!("Ralph responded with {} to /whoami as {USER}", whoami.status.as_u16());
        return Err(Failure::failed(why)
            .hint("run `kubectl lastack install` to reconcile the Secret, the accounts file and the Pods")
            .into());
    }
    if !heartbeat.status.is_success() {
        let why = format!(
            "Ralph's heartbeat responded with {}: {}",
            heartbeat.status.as_u16(),
            heartbeat.excerpt()
        );
        return Err(Failure::failed(why)
            .hint("check the data lake, on which the heartbeat depends")
            .into());
    }
    Ok("heartbeat ok".into())
}

pub struct LrsResponds;

#[async_trait]
impl Check<Stack> for LrsResponds {
    fn id(&self) -> Id {
        Id("lrs.responds")
    }

    fn needs(&self) -> &'static [Id] {
        &[Id("lrs.release")]
    }

    fn subject(&self) -> &'static str {
        "the LRS"
    }

    async fn observe(&self, stack: &Stack) -> Result<Observation> {
        responded(probe(stack).await.map(|detail| format!("whoami and {detail}")))
    }

    async fn explain(&self, stack: &Stack) -> Result<Vec<Step>> {
        Ok(vec![Step::command(format!("helm test {RELEASE} -n {}", stack.namespace()))])
    }
}
