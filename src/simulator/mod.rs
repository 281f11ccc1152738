//! Generates the statements of a term at a fictional university, as its Moodle and its video player would send them.
//!
//! A seed determines an infinite sequence of statements, independent of their number and of the batch size. Each 22,000
//! statements are the term of one group of 300 learners, in chronological order. The next 22,000 are the same term of
//! another group. A shift moves the term to other dates. Memory does not grow with the number of statements.

mod cases;
mod catalogue;
pub mod dataset;
mod event;
mod expected;
mod learner;
mod names;
mod planner;
mod random;
mod render;
mod session;
mod shapes;
mod shift;
mod template;
mod term;
mod viewing;
mod vocabulary;

#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::sync::Arc;

use crate::xapi::batch::{Added, Batch, Position, Source};

pub use cases::MAILBOXES;
pub use planner::TERM_STATEMENTS;
pub use shapes::SITE;
pub use shift::Shift;

use cases::PlantedCases;
use dataset::DataSet;
use event::Event;
use learner::Profile;
use planner::Planner;
use render::Renderer;

/// Generates the statements of a seed in batches.
pub struct Generator {
    name: Arc<str>,
    planner: Planner,
    renderer: Renderer,
    generated: u64,
}

impl Generator {
    pub fn new(seed: u64, shift: Shift) -> Self {
        Self {
            name: format!("generated from seed {seed}").into(),
            planner: Planner::new(seed),
            renderer: Renderer::new(seed, shift),
            generated: 0,
        }
    }

    /// Replaces the content of the batch with the next statements.
    pub fn fill(&mut self, batch: &mut Batch, statements: usize) {
        self.fill_and_observe(batch, statements, |_, _| {});
    }

    /// The same, and passes each event with its learner to `observe`.
    fn fill_and_observe(
        &mut self,
        batch: &mut Batch,
        statements: usize,
        mut observe: impl FnMut(&Event, &Profile),
    ) {
        batch.clear();
        batch.begin_source(&self.name);
        for _ in 0..statements {
            self.push_next(batch);
            let (event, _) = self.planner.current();
            observe(event, &self.planner.learners()[usize::from(event.learner)].profile);
        }
    }

    fn push_next(&mut self, batch: &mut Batch) {
        let id = self.renderer.id(self.generated);
        self.generated += 1;
        self.planner.advance();
        let (event, segments) = self.planner.current();
        let learners = self.planner.learners().iter().map(|learner| &learner.profile);
        self.renderer.set_group(event.group, learners);
        let position = Position { statement: self.generated, byte: None };
        batch.push(id, position, Added::default(), |body| {
            self.renderer.write(body, id, event, segments)
        });
    }
}

/// The statements of a data set, in batches of a given size.
pub struct Generated {
    generator: Generator,
    remaining: u64,
    batch_size: usize,
    /// The cases to send after the term.
    cases: Option<PlantedCases>,
}

impl Generated {
    pub fn new(data_set: DataSet, batch_size: usize) -> Self {
        let DataSet { seed, count, shift, .. } = data_set;
        let cases = data_set.planted_cases();
        Self { generator: Generator::new(seed, shift), remaining: count, batch_size, cases }
    }
}

impl Source for Generated {
    type Error = Infallible;

    fn fill(&mut self, batch: &mut Batch) -> Result<bool, Infallible> {
        if self.remaining == 0
            && let Some(cases) = &mut self.cases
        {
            return Ok(cases.fill(batch, self.batch_size));
        }
        let statements = self.remaining.min(self.batch_size as u64);
        self.remaining -= statements;
        self.generator.fill(batch, statements as usize);
        Ok(statements > 0)
    }
}
