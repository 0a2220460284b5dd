//! The core's own source of random election timeouts, part of its state so that a run can be repeated.

use std::time::Duration;

/// `SplitMix64` (Steele, Lea, Flood 2014): small, good enough to spread timeouts, never for secrets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A time from zero up to, not including, `limit`. Draws nothing when there is only one, so that a state in which timeouts do
    /// not vary does not change by drawing.
    pub(crate) fn below(&mut self, limit: Duration) -> Duration {
        let limit = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
        if limit <= 1 {
            return Duration::ZERO;
        }
        Duration::from_nanos(self.next() % limit)
    }
}
