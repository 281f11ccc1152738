//! The ids of a run with the hashes of their statements, in bounded memory.
//!
//! At least the last 100,000 ids are known. The LRS detects repetitions of older ids, because it has stored their first
//! statement.

use std::collections::HashMap;

use uuid::Uuid;

/// The size of a generation. Two generations take about 7 MB.
const GENERATION: usize = 100_000;

/// Two generations of ids. When the younger is full, the older is discarded.
#[derive(Default)]
pub struct SeenIds {
    young: HashMap<Uuid, u64>,
    old: HashMap<Uuid, u64>,
}

/// An occurrence of an id.
#[derive(Debug, PartialEq, Eq)]
pub enum Occurrence {
    New,
    /// With the bytes of the first occurrence.
    Repeated,
    /// With different bytes.
    Variant,
}

impl SeenIds {
    /// Compares the hash with that of the first occurrence of the id. Records a new id.
    pub fn record(&mut self, id: Uuid, hash: u64) -> Occurrence {
        match self.young.get(&id).or_else(|| self.old.get(&id)) {
            Some(&first) if first == hash => return Occurrence::Repeated,
            Some(_) => return Occurrence::Variant,
            None => {}
        }
        if self.young.len() >= GENERATION {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        self.young.insert(id, hash);
        Occurrence::New
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seen_id_is_compared_with_its_first_hash() {
        let mut seen = SeenIds::default();
        let id = Uuid::from_u128(7);
        assert_eq!(seen.record(id, 1), Occurrence::New);
        assert_eq!(seen.record(id, 2), Occurrence::Variant);
        assert_eq!(seen.record(id, 1), Occurrence::Repeated);
    }

    #[test]
    fn seen_ids_are_bounded_and_retain_the_newest() {
        let mut seen = SeenIds::default();
        for id in 0..5 * GENERATION as u128 / 2 {
            seen.record(Uuid::from_u128(id), 1);
        }
        assert!(seen.young.len() + seen.old.len() <= 2 * GENERATION);
        let hundred_thousand_ago = Uuid::from_u128(3 * GENERATION as u128 / 2);
        assert_eq!(seen.record(hundred_thousand_ago, 2), Occurrence::Variant);
    }
}
