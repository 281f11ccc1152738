//! Pseudo-random choices with integers only, so that a seed gives the same choices on every platform.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

pub struct Random(Xoshiro256PlusPlus);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    /// A number from 0 to `bound`, exclusive.
    pub fn below(&mut self, bound: u32) -> u32 {
        let wide = (self.0.next_u64() >> 32) * u64::from(bound);
        (wide >> 32) as u32
    }

    /// A number from `low` to `high`, inclusive.
    pub fn between(&mut self, low: u32, high: u32) -> u32 {
        low + self.below(high - low + 1)
    }

    /// A number from `low` to `high`, inclusive, with a triangular distribution.
    pub fn around(&mut self, low: u32, high: u32) -> u32 {
        let half = (high - low) / 2;
        low + self.below(half + 1) + self.below(high - low - half + 1)
    }

    /// True with a probability in percent.
    pub fn percent(&mut self, chance: u32) -> bool {
        self.below(100) < chance
    }

    /// An index into `weights`, with a probability proportional to its weight.
    pub fn weighted(&mut self, weights: &[u32]) -> usize {
        let mut rest = self.below(weights.iter().sum());
        for (index, &weight) in weights.iter().enumerate() {
            if rest < weight {
                return index;
            }
            rest -= weight;
        }
        unreachable!("the rest is below the sum of the weights")
    }

    /// The same for cumulative weights.
    pub fn by_totals(&mut self, totals: &[u32]) -> usize {
        let point = self.below(totals.last().copied().unwrap_or(0));
        totals.partition_point(|&total| total <= point)
    }

    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u32) as usize]
    }
}

/// Mixes the bits of a number. Different numbers give different results.
pub fn scramble(number: u64) -> u64 {
    let mut x = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_a_seed_are_stable() {
        let mut random = Random::new(1);
        let numbers: Vec<u32> = (0..5).map(|_| random.below(1000)).collect();
        assert_eq!(numbers, [811, 747, 100, 746, 184]);
    }

    #[test]
    fn choices_are_within_bounds() {
        let mut random = Random::new(2);
        for _ in 0..10_000 {
            assert!((3..=9).contains(&random.between(3, 9)));
            assert!((3..=9).contains(&random.around(3, 9)));
            assert_ne!(random.weighted(&[1, 0, 5]), 1);
            assert_ne!(random.by_totals(&[1, 1, 6]), 1);
        }
    }
}
