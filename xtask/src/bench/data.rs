//! The pairs that are written and read: the same for every engine of a run, another set for each run.

use std::collections::HashSet;

use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{Rng, RngCore, SeedableRng};

/// Length of the keys of [`Pairs`], in bytes.
pub(crate) const KEY_BYTES: usize = 24;
/// Length of the values of [`Pairs`], in bytes.
pub(crate) const VALUE_BYTES: usize = 100;
/// Values are windows into so many random bytes: no engine can compress them, and they take no memory worth counting.
const POOL_BYTES: usize = 1 << 20;

/// Random keys of 24 bytes with values of 100 bytes.
pub(crate) struct Pairs {
    keys: Vec<u8>,
    pool: Vec<u8>,
}

impl Pairs {
    /// `count` pairs that `seed` decides.
    pub(crate) fn new(count: usize, seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut keys = vec![0; count * KEY_BYTES];
        rng.fill_bytes(&mut keys);
        let mut pool = vec![0; POOL_BYTES];
        rng.fill_bytes(&mut pool);
        Self { keys, pool }
    }

    /// Number of pairs.
    pub(crate) fn len(&self) -> usize {
        self.keys.len() / KEY_BYTES
    }

    /// Key number `index`.
    pub(crate) fn key(&self, index: usize) -> &[u8] {
        &self.keys[index * KEY_BYTES..][..KEY_BYTES]
    }

    /// Value number `index` when written for the `round`-th time.
    pub(crate) fn value(&self, index: usize, round: usize) -> &[u8] {
        let at = (index + round).wrapping_mul(7919) % (POOL_BYTES - VALUE_BYTES);
        &self.pool[at..][..VALUE_BYTES]
    }

    /// All indexes in random order.
    pub(crate) fn shuffled(&self, seed: u64) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.len() as u32).collect();
        order.shuffle(&mut SmallRng::seed_from_u64(seed));
        order
    }
}

/// The course's pairs: keys and values of 1 to `longest` random bytes, no two keys alike.
pub(crate) fn large_pairs(count: usize, longest: usize, seed: u64) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut seen = HashSet::new();
    let mut pairs = Vec::with_capacity(count);
    while pairs.len() < count {
        let [key, value] = [(); 2].map(|()| {
            let mut bytes = vec![0; rng.random_range(1..=longest)];
            rng.fill_bytes(&mut bytes);
            bytes
        });
        if seen.insert(key.clone()) {
            pairs.push((key, value));
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_the_pairs() {
        let [one, again, other] = [1, 1, 2].map(|seed| Pairs::new(100, seed));
        assert_eq!(one.key(99), again.key(99));
        assert_eq!(one.value(99, 3), again.value(99, 3));
        assert_ne!(one.key(99), other.key(99));
        assert_ne!(one.value(99, 3), one.value(99, 4));
    }

    #[test]
    fn large_pairs_have_the_lengths_of_the_course_and_distinct_keys() {
        let pairs = large_pairs(300, 2, 1);
        let keys: HashSet<_> = pairs.iter().map(|(key, _)| key).collect();
        assert_eq!(keys.len(), 300);
        assert!(
            pairs
                .iter()
                .all(|(key, value)| (1..=2).contains(&key.len()) && (1..=2).contains(&value.len()))
        );
    }
}
