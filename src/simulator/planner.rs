//! Plans a group's term day by day, and gives its events in the order of time.

use super::event::Event;
use super::learner::{LEARNERS, Learner};
use super::random::{Random, scramble};
use super::session::{Log, Session};
use super::term::{self, DAYS, Hours};

/// Statements of one group of learners in its term.
pub const TERM_STATEMENTS: u64 = 22_000;

/// The accounts of generated learners begin with this number.
const FIRST_LEARNER: u32 = 1001;

/// The events of one group after the other, without end.
pub struct Planner {
    seed: u64,
    group: u32,
    day: usize,
    random: Random,
    hours: Hours,
    /// Statements of each day of the term.
    shares: [usize; DAYS],
    learners: Vec<Learner>,
    log: Log,
    /// Events given out of those in the log.
    given: usize,
    /// Events of the log that no later day can come before.
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
            given: 0,
            ready: 0,
        };
        planner.begin_group(0);
        planner
    }

    /// The learners of the group whose events are given.
    pub fn learners(&self) -> &[Learner] {
        &self.learners
    }

    /// Moves on to the next event.
    pub fn advance(&mut self) {
        while self.given == self.ready {
            self.plan_day();
        }
        self.given += 1;
    }

    /// The event moved on to last, and the parts of videos that it may refer to.
    pub fn current(&self) -> (&Event, &[(u32, u32)]) {
        (&self.log.events[self.given - 1], &self.log.segments)
    }

    /// Adds the sittings of a day to those of the day before that went on past midnight.
    fn plan_day(&mut self) {
        if self.day == DAYS {
            self.begin_group(self.group + 1);
        }
        self.log.events.drain(..self.given);
        self.given = 0;
        let left_over = self.log.events.len();
        let end = left_over + self.shares[self.day];
        while self.log.events.len() < end {
            self.plan_session();
        }
        // The day's last learner loses the connection: each day has the statements it must have.
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
            .sits_down(self.day, self.hours.moment(&mut self.random, learner.habit, self.day));
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
        self.given = 0;
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

/// Shares the term's statements out to its days: no two terms are quite alike.
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
    fn the_days_share_the_terms_statements() {
        assert_eq!(shares(&mut Random::new(1)).iter().sum::<usize>() as u64, TERM_STATEMENTS);
    }

    #[test]
    fn events_come_in_the_order_of_time() {
        let mut planner = Planner::new(5);
        let mut before = 0;
        for _ in 0..TERM_STATEMENTS {
            planner.advance();
            let (event, _) = planner.current();
            assert!(event.time >= before && event.group == 0);
            before = event.time;
        }
        planner.advance();
        let (event, _) = planner.current();
        assert_eq!(event.group, 1);
        assert!(event.time < term::day_start(1));
    }
}
