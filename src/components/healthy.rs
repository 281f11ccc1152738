//! The check that a component is healthy, beyond what the nodes of the graph observe: all its Pods, and its data.

use anyhow::Result;
use async_trait::async_trait;

use crate::engine::{Check, Id, Observation};
use crate::error::Diagnosis;
use crate::stack::Stack;

use super::model::Component;

pub struct Healthy {
    pub component: &'static dyn Component,
    pub id: Id,
    /// The nodes that name the cause themselves when they are not as desired.
    pub needs: &'static [Id],
}

#[async_trait]
impl Check<Stack> for Healthy {
    fn id(&self) -> Id {
        self.id
    }

    fn needs(&self) -> &'static [Id] {
        self.needs
    }

    async fn observe(&self, stack: &Stack) -> Result<Observation> {
        let health = self.component.health(stack).await;
        let aspects = health.aspects();
        let observed = aspects.iter().filter_map(|(aspect, seen)| Some((aspect, (*seen)?)));
        if let Some((aspect, fault)) = observed.clone().find(|(_, seen)| seen.is_fault()) {
            let hint =
                "run `kubectl lastack status` for all facts, and read the section of this check";
            return Ok(Observation::Blocked(Diagnosis::new(fault.text(), hint).of(*aspect)));
        }
        let unknown =
            observed.clone().find(|(_, seen)| matches!(seen, Observation::Unknown { .. }));
        Ok(match unknown {
            Some((_, unknown)) => unknown.clone(),
            None => {
                let data = health.data.or(health.pods).map(|seen| seen.text());
                Observation::Equal(data.unwrap_or_default())
            }
        })
    }
}
