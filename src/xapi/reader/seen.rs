//! The ids of a run and what each says, in bounded memory.
//!
//! At least the last 100,000 ids are known. By the time an older one comes again, an LRS finds its first statement
//! and compares it itself.

use std::collections::HashMap;

use uuid::Uuid;

/// An id and a number take about 7 MB in two such tables.
const GENERATION: usize = 100_000;

/// Two generations of ids: when the younger one is full, the older one is forgotten.
#[derive(Default)]
pub struct Seen {
    young: HashMap<Uuid, u64>,
    old: HashMap<Uuid, u64>,
}

/// What is known of an id.
#[derive(Debug, PartialEq, Eq)]
pub enum Sight {
    New,
    Same,
    Other,
}

impl Seen {
    /// Compares with what the id said first, and remembers a new one.
    pub fn look(&mut self, id: Uuid, content: u64) -> Sight {
        match self.young.get(&id).or_else(|| self.old.get(&id)) {
            Some(&first) if first == content => return Sight::Same,
            Some(_) => return Sight::Other,
            None => {}
        }
        if self.young.len() >= GENERATION {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        self.young.insert(id, content);
        Sight::New
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seen_id_is_compared_with_its_first_content() {
        let mut seen = Seen::default();
        let id = Uuid::from_u128(7);
        assert_eq!(seen.look(id, 1), Sight::New);
        assert_eq!(seen.look(id, 2), Sight::Other);
        assert_eq!(seen.look(id, 1), Sight::Same);
    }

    #[test]
    fn seen_ids_keep_their_bound_and_the_newest() {
        let mut seen = Seen::default();
        for id in 0..5 * GENERATION as u128 / 2 {
            seen.look(Uuid::from_u128(id), 1);
        }
        assert!(seen.young.len() + seen.old.len() <= 2 * GENERATION);
        let hundred_thousand_ago = Uuid::from_u128(3 * GENERATION as u128 / 2);
        assert_eq!(seen.look(hundred_thousand_ago, 2), Sight::Other);
    }
}
