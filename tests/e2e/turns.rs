//! Tests that work on the same lab do so one after the other.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Of those that wait the first by its name is next, so that what a test leaves behind is met by the same test in every run.
pub struct Turns {
    queue: Mutex<Queue>,
    over: Condvar,
}

struct Queue {
    waiting: BTreeSet<String>,
    working: Option<String>,
}

impl Turns {
    pub const fn new() -> Self {
        Self {
            queue: Mutex::new(Queue { waiting: BTreeSet::new(), working: None }),
            over: Condvar::new(),
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for this test's turn, which lasts until the test ends. Others may come to wait while `prepare` goes on.
    pub fn take(&'static self, prepare: impl FnOnce()) {
        // a test has a thread of its own, with its name
        thread_local! { static TURNS: std::cell::RefCell<Vec<Turn>> = const { std::cell::RefCell::new(Vec::new()) } }
        let name = std::thread::current().name().expect("the name of a test").to_string();
        if self.queue().working.as_ref() == Some(&name) {
            return;
        }
        self.queue().waiting.insert(name.clone());
        let turn = Turn { turns: self, name };
        prepare();
        let is_next = |queue: &mut Queue| {
            queue.working.is_none() && queue.waiting.first() == Some(&turn.name)
        };
        let mut queue = self
            .over
            .wait_while(self.queue(), |queue| !is_next(queue))
            .unwrap_or_else(PoisonError::into_inner);
        queue.working = queue.waiting.pop_first();
        drop(queue);
        TURNS.with_borrow_mut(|turns| turns.push(turn));
    }
}

struct Turn {
    turns: &'static Turns,
    name: String,
}

/// Also when the test failed, or what it waited for could not be prepared.
impl Drop for Turn {
    fn drop(&mut self) {
        let mut queue = self.turns.queue();
        queue.waiting.remove(&self.name);
        queue.working.take_if(|working| *working == self.name);
        drop(queue);
        self.turns.over.notify_all();
    }
}
