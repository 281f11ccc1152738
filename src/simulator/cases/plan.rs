//! A list of sessions, from which the statements of the cases follow.

use std::ops::Range;

use crate::simulator::event::{Action, Details, Event};
use crate::simulator::learner::{Identity, PLANTED, Profile};
use crate::simulator::term::{MINUTE, Time};

/// The course of all cases.
const COURSE: u8 = 0;

/// When a statement is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Delivery {
    /// In chronological order.
    InOrder,
    /// After all statements in order, although it is older than most of them.
    Late,
    /// At the end, with the id and the content of a statement that was sent before.
    Repeated,
}

/// A statement of a case.
#[derive(Debug, Clone)]
pub struct Planted {
    pub event: Event,
    pub delivery: Delivery,
    /// Determines the id.
    pub number: u64,
}

/// The index of a learner in [`Plan::learners`].
pub type LearnerIndex = u16;

#[derive(Default)]
pub struct Plan {
    pub learners: Vec<Profile>,
    /// Sorted by [`Plan::sort`].
    pub statements: Vec<Planted>,
    sessions: u32,
    numbers: u64,
}

impl Plan {
    /// Adds a learner. The same name with two identities is the same learner.
    pub fn add_learner(&mut self, name: String, identity: Identity) -> LearnerIndex {
        self.learners.push(Profile { identity, name, cohort: PLANTED, device: 0, speed: 4 });
        self.learners.len() as LearnerIndex - 1
    }

    /// Adds a session with one action per minute. Returns its statements, as long as the plan is not sorted.
    pub fn add_session(
        &mut self,
        learner: LearnerIndex,
        begin: Time,
        delivery: Delivery,
        actions: &[Action],
    ) -> Range<usize> {
        self.sessions += 1;
        let first = self.statements.len();
        for (minute, &action) in actions.iter().enumerate() {
            let event = Event {
                time: begin + minute as Time * MINUTE,
                group: 0,
                learner,
                session: self.sessions,
                course: COURSE,
                action,
                details: Details::None,
            };
            self.push(event, delivery);
        }
        first..self.statements.len()
    }

    /// Adds the same activity again, with another id. Returns the numbers of both statements.
    pub fn add_copy(&mut self, index: usize) -> [u64; 2] {
        let Planted { event, delivery, number } = self.statements[index].clone();
        self.push(event, delivery);
        [number, self.numbers - 1]
    }

    /// Sends a statement again. Returns its number.
    pub fn repeat(&mut self, index: usize) -> u64 {
        let planted = Planted { delivery: Delivery::Repeated, ..self.statements[index].clone() };
        let number = planted.number;
        self.statements.push(planted);
        number
    }

    /// Sorts the statements in the order of sending.
    pub fn sort(&mut self) {
        self.statements.sort_by_key(|planted| (planted.delivery, planted.event.time));
    }

    pub fn learner(&self, planted: &Planted) -> &Profile {
        &self.learners[usize::from(planted.event.learner)]
    }

    /// The statements with an id of their own.
    pub fn stored(&self) -> impl Iterator<Item = &Planted> {
        self.statements.iter().filter(|planted| planted.delivery != Delivery::Repeated)
    }

    fn push(&mut self, event: Event, delivery: Delivery) {
        self.statements.push(Planted { event, delivery, number: self.numbers });
        self.numbers += 1;
    }
}
