//! Plans the term of a group day by day, and returns its events in chronological order.

use super::event::Event;
use super::learner::{LEARNERS, Learner};
use super::random::{Random, scramble};
use super::session::{Log, Session};
use super::term::{self, DAYS, Hours};

/// The number of statements of one group in its term.
pub const TERM_STATEMENTS: u64 = 22_000;

/// The number of the first learner.
const FIRST_LEARNER: u32 = 1001;

/// An infinite sequence of events, group by group.
pub struct Planner {
    seed: u64,
    group: u32,
    day: usize,
    random: Random,
    hours: Hours,
    /// The number of statements on each day of the term.
    shares: [usize; DAYS],
    learners: Vec<Learner>,
    log: Log,
    /// The number of returned events in the log.
    returned: usize,
    /// The number of events in the log that precede all events of later days.
    ready: usize,
}

impl Planner {
    pub fn new(seed: u64) -> Self {
        let mut planner = Self {
            seed,
            group: 0,
            day: 0,
            random: Random::new(0),
            hours: Hours::new(),
            shares: [0; DAYS],
            learners: Vec::with_capacity(LEARNERS),
            log: Log::default(),
            returned: 0,
            ready: 0,
        };
        planner.begin_group(0);
        planner
    }

    /// The learners of the current group.
    pub fn learners(&self) -> &[Learner] {
        &self.learners
    }

    /// Moves on to the next event.
    pub fn advance(&mut self) {
        while self.returned == self.ready {
            self.plan_day();
        }
        self.returned += 1;
    }

    /// The current event, and the watched segments of videos that it may refer to.
    pub fn current(&self) -> (&Event, &[(u32, u32)]) {
        (&self.log.events[self.returned - 1], &self.log.segments)
    }

    /// Adds the sessions of a day to those of the previous day that continue past midnight.
    fn plan_day(&mut self) {
        if self.day == DAYS {
            self.begin_group(self.group + 1);
        }
        self.log.events.drain(..self.returned);
        self.returned = 0;
        let remaining = self.log.events.len();
        let end = remaining + self.shares[self.day];
        while self.log.events.len() < end {
            self.plan_session();
            if self.day + 1 == DAYS {
                // the term ends at midnight
                self.log.events.retain(|event| event.time < term::day_start(DAYS));
            }
        }
        // the last session is truncated, so that each day has its number of statements
        self.log.events.truncate(end);
        self.log.events.sort_by_key(|event| event.time);
        self.day += 1;
        self.ready = match self.day {
            DAYS => end,
            _ => self.log.events.partition_point(|event| event.time < term::day_start(self.day)),
        };
    }

    fn plan_session(&mut self) {
        let mut total = 0;
        let totals: [u32; LEARNERS] = std::array::from_fn(|index| {
            total += self.learners[index].inclination(self.day);
            total
        });
        let index = self.random.by_totals(&totals);
        let learner = &mut self.learners[index];
        let time = learner
            .begin_session(self.day, self.hours.moment(&mut self.random, learner.habit, self.day));
        Session::new(
            &mut self.random,
            &mut self.log,
            learner,
            (self.group, index as u16),
            (self.day, time),
        )
        .run();
    }

    fn begin_group(&mut self, group: u32) {
        self.group = group;
        self.day = 0;
        self.returned = 0;
        self.ready = 0;
        self.random = Random::new(scramble(self.seed) ^ u64::from(group));
        self.shares = shares(&mut self.random);
        let first = FIRST_LEARNER + group * LEARNERS as u32;
        self.learners.clear();
        self.learners.extend(
            (0..LEARNERS as u32).map(|index| Learner::new(&mut self.random, first + index)),
        );
        self.log.clear();
    }
}

/// Distributes the statements of a term over its days, with random variation.
fn shares(random: &mut Random) -> [usize; DAYS] {
    let weights: [u64; DAYS] =
        std::array::from_fn(|day| u64::from(term::weight(day) * random.around(75, 125)));
    let whole: u64 = weights.iter().sum();
    let mut up_to = 0;
    weights.map(|weight| {
        let before = up_to * TERM_STATEMENTS / whole;
        up_to += weight;
        (up_to * TERM_STATEMENTS / whole - before) as usize
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_days_sum_to_statements_of_term() {
        assert_eq!(shares(&mut Random::new(1)).iter().sum::<usize>() as u64, TERM_STATEMENTS);
    }

    #[test]
    fn events_are_in_chronological_order() {
        let mut planner = Planner::new(5);
        let mut before = 0;
        for _ in 0..TERM_STATEMENTS {
            planner.advance();
            let (event, _) = planner.current();
            assert!(event.time >= before && event.group == 0);
            before = event.time;
        }
        assert!(before < term::day_start(DAYS));
        planner.advance();
        let (event, _) = planner.current();
        assert_eq!(event.group, 1);
        assert!(event.time < term::day_start(1));
    }
}
