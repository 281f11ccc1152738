//! Turns: tests with the same namespace run one after the other, in any order.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A queue of waiting tests. The order only affects speed: first the group that worked last, then the lower rank, then the
/// order of arrival. LASTACK_E2E_SHUFFLE=SEED uses a random order, to show that no test depends on another.
pub struct Turns {
    queue: Mutex<Queue>,
    over: Condvar,
}

struct Queue {
    /// By the name of the test.
    waiting: BTreeMap<String, Ticket>,
    working: Option<String>,
    last_group: &'static str,
    arrivals: u64,
}

struct Ticket {
    group: &'static str,
    rank: u64,
    arrival: u64,
}

/// Tests with concurrent commands run last, because they keep all cores busy after the others end. The test that empties
/// the index runs before those that need the statements.
fn rank(test: &str) -> u64 {
    match test.split_once("::") {
        Some(("repairs", "install_adds_a_missing_field_to_the_mapping")) => 1,
        Some(("repairs", _)) => 2,
        Some(("superset" | "whole_life", _)) => 3,
        _ => 0,
    }
}

/// Whether a call started the turn of its test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    Began,
    GoesOn,
}

impl Queue {
    fn next(&self) -> Option<&String> {
        let seed = std::env::var("LASTACK_E2E_SHUFFLE").ok();
        let key = |(name, ticket): &(&String, &Ticket)| match &seed {
            Some(seed) => {
                let mut hasher = DefaultHasher::new();
                (seed, name).hash(&mut hasher);
                (false, hasher.finish(), 0)
            }
            None => (ticket.group != self.last_group, ticket.rank, ticket.arrival),
        };
        self.waiting.iter().min_by_key(key).map(|(name, _)| name)
    }
}

impl Turns {
    pub const fn new() -> Self {
        Self {
            queue: Mutex::new(Queue {
                waiting: BTreeMap::new(),
                working: None,
                last_group: "",
                arrivals: 0,
            }),
            over: Condvar::new(),
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the turn of this test, which lasts until the test ends. Other tests can join the queue during `prepare`.
    pub fn take(&'static self, group: &'static str, prepare: impl FnOnce()) -> Turn {
        // each test has its own thread with its name
        thread_local! { static TURNS: std::cell::RefCell<Vec<Held>> = const { std::cell::RefCell::new(Vec::new()) } }
        let name = std::thread::current().name().expect("the name of a test").to_string();
        if self.queue().working.as_ref() == Some(&name) {
            return Turn::GoesOn;
        }
        let mut queue = self.queue();
        queue.arrivals += 1;
        let ticket = Ticket { group, rank: rank(&name), arrival: queue.arrivals };
        queue.waiting.insert(name.clone(), ticket);
        drop(queue);
        let held = Held { turns: self, name };
        prepare();
        let is_next =
            |queue: &mut Queue| queue.working.is_none() && queue.next() == Some(&held.name);
        let mut queue = self
            .over
            .wait_while(self.queue(), |queue| !is_next(queue))
            .unwrap_or_else(PoisonError::into_inner);
        queue.waiting.remove(&held.name);
        queue.working = Some(held.name.clone());
        queue.last_group = group;
        drop(queue);
        TURNS.with_borrow_mut(|turns| turns.push(held));
        Turn::Began
    }
}

struct Held {
    turns: &'static Turns,
    name: String,
}

/// Ends the turn, also after a failed test or a failed `prepare`.
impl Drop for Held {
    fn drop(&mut self) {
        let mut queue = self.turns.queue();
        queue.waiting.remove(&self.name);
        queue.working.take_if(|working| *working == self.name);
        drop(queue);
        self.turns.over.notify_all();
    }
}
