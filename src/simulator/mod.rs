//! Makes statements: a term at an invented university, as its Moodle and its video player would report it.
//!
//! A seed stands for one endless row of statements: the first ones are the same however many are made and
//! however large the batches are. Every 22,000 statements are the term of one group of 300 learners, in the order
//! of time; the next 22,000 are the same term of another group. Memory does not grow with their number.

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
mod template;
mod term;
mod viewing;
mod vocabulary;

#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::sync::Arc;

use crate::xapi::batch::{Added, Batch, Position, Source};

pub use planner::TERM_STATEMENTS;

use event::Event;
use learner::Learner;
use planner::Planner;
use render::Renderer;

/// The statements of a seed, one batch after the other.
pub struct Generator {
    name: Arc<str>,
    planner: Planner,
    renderer: Renderer,
    made: u64,
}

impl Generator {
    pub fn new(seed: u64) -> Self {
        Self {
            name: format!("generated from seed {seed}").into(),
            planner: Planner::new(seed),
            renderer: Renderer::new(seed),
            made: 0,
        }
    }

    /// Replaces the batch's content by the next statements.
    pub fn fill(&mut self, batch: &mut Batch, statements: usize) {
        self.fill_and_observe(batch, statements, |_, _| {});
    }

    /// The same, and shows each event and whose it is.
    fn fill_and_observe(
        &mut self,
        batch: &mut Batch,
        statements: usize,
        mut observe: impl FnMut(&Event, &Learner),
    ) {
        batch.clear();
        batch.begin_source(&self.name);
        for _ in 0..statements {
            self.make(batch);
            let (event, _) = self.planner.current();
            observe(event, &self.planner.learners()[usize::from(event.learner)]);
        }
    }

    fn make(&mut self, batch: &mut Batch) {
        let id = self.renderer.id(self.made);
        self.made += 1;
        self.planner.advance();
        let (event, segments) = self.planner.current();
        self.renderer.meet(event.group, self.planner.learners());
        let position = Position { statement: self.made, byte: None };
        batch.push(id, position, Added::default(), |body| {
            self.renderer.write(body, id, event, segments)
        });
    }
}

/// A given number of generated statements, in batches of a given size.
pub struct Generated {
    generator: Generator,
    left: u64,
    batch_size: usize,
}

impl Generated {
    pub fn new(seed: u64, count: u64, batch_size: usize) -> Self {
        Self { generator: Generator::new(seed), left: count, batch_size }
    }
}

impl Source for Generated {
    type Error = Infallible;

    fn fill(&mut self, batch: &mut Batch) -> Result<bool, Infallible> {
        let statements = self.left.min(self.batch_size as u64);
        self.left -= statements;
        self.generator.fill(batch, statements as usize);
        Ok(statements > 0)
    }
}
