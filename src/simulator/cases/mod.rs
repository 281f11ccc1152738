//! Planted cases: a small set of statements with known properties, which follow those of the term.
//!
//! Dashboards and analyses must handle each case. The statements belong to a cohort of their own, so that a query can
//! select them. They are the same for each seed, apart from their ids.

mod plan;
mod results;
mod script;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::xapi::batch::{Added, Batch, Position};

use super::event::Event;
use super::learner::Profile;
use super::random::scramble;
use super::render::Renderer;
use super::shift::Shift;

pub use results::{DEFINITION, PlantedResults};
pub use script::MAILBOXES;

use plan::{Delivery, Planted};
use script::Script;

/// Mixed into the seed, so that ids differ from those of the term.
const SALT: u64 = 0x0063_6173_6573;

/// The statements of all cases, in the order of sending.
pub struct PlantedCases {
    script: Script,
    renderer: Renderer,
    shift: Shift,
    name: Arc<str>,
    sent: usize,
}

impl PlantedCases {
    pub fn new(seed: u64, shift: Shift) -> Self {
        let script = Script::new();
        let mut renderer = Renderer::new(scramble(seed ^ SALT), shift);
        renderer.set_group(0, script.plan.learners.iter());
        Self { script, renderer, shift, name: "planted cases".into(), sent: 0 }
    }

    /// The number of statements to send, in which some ids are repeated.
    pub fn statements() -> u64 {
        Script::new().plan.statements.len() as u64
    }

    /// Replaces the content of the batch with at most `statements`. A batch contains each id once, because an LRS
    /// rejects a request with a repeated id. False: all statements are sent.
    pub fn fill(&mut self, batch: &mut Batch, statements: usize) -> bool {
        batch.clear();
        batch.begin_source(&self.name);
        let rest = &self.script.plan.statements[self.sent..];
        let Some(first) = rest.first() else { return false };
        let is_repeated = |planted: &Planted| planted.delivery == Delivery::Repeated;
        let same = rest.iter().take_while(|planted| is_repeated(planted) == is_repeated(first));
        for planted in same.take(statements) {
            self.sent += 1;
            let id = self.renderer.id(planted.number);
            let position = Position { statement: self.sent as u64, byte: None };
            batch.push(id, position, Added::default(), |body| {
                self.renderer.write(body, id, &planted.event, &[])
            });
        }
        true
    }

    /// The events that an LRS stores, with their learners.
    pub fn stored(&self) -> impl Iterator<Item = (&Event, &Profile)> {
        let plan = &self.script.plan;
        plan.stored().map(|planted| (&planted.event, plan.learner(planted)))
    }

    pub fn expected_results(&self) -> PlantedResults {
        PlantedResults::of(&self.script, self.shift, |number| self.renderer.id(number))
    }
}
