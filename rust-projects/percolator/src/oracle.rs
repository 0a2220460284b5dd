//! The timestamp oracle.
//!
//! # What it is
//!
//! What gives every transaction its place (paper, section 2.3): timestamps that rise, in milliseconds and a counter, several at a time. To
//! need no write for each of them the oracle persists a *window*, a time that it will stay below, and renews it ahead of time.
//!
//! # What it guarantees
//!
//! Each timestamp is given once and is above all given before, also when the clock jumps back, and after a restart or by another
//! server that recovered the window (bug class P5).
//!
//! # What it does not
//!
//! It does not write: [`Oracle::allocate`] asks for a window, and the caller says when that is durable. It trusts the clock for the time
//! only, never for the order, and after a restart its time stands still until the clock has come to the end of the old window; a clock that jumps far ahead takes the timestamps with it for good. Of two servers that both believe to be in
//! charge one could give lower timestamps than the other gave before: whoever serves it must make sure that it still leads.
//!
//! # How it works
//!
//! ```text
//!   time    1000   1001  ...   2500  ...   4000         8500
//!   window  |---------------------------------| 4000
//!   given   1000.0 1000.1 1001.0 ...  2501.0 |
//!                                      renew: persist 5501, go on meanwhile
//!   crash: the next one begins at 5501.0, whatever its clock says
//! ```

use crate::{LOGICAL_BITS, Timestamp};

/// How far a window reaches, in milliseconds: what a restart may waste.
pub const WINDOW_MS: u64 = 3000;
/// The most timestamps given at once: those of one millisecond.
pub const MAX_BATCH: u64 = 1 << LOGICAL_BITS;
/// Times from here on do not fit into a timestamp.
const END_OF_TIME_MS: u64 = u64::MAX >> LOGICAL_BITS;

/// Several timestamps in a row, all of one millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamps {
    /// The lowest.
    pub first: Timestamp,
    /// How many.
    pub count: u64,
}

impl Timestamps {
    /// The highest; it is what TiKV's protocol tells.
    #[must_use]
    pub const fn last(self) -> Timestamp {
        Timestamp(self.first.0 + self.count - 1)
    }
}

/// Why there are no timestamps now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OracleError {
    /// Persist this window, say so by [`Oracle::window_persisted`], and ask again.
    #[error("the window must be persisted up to {upto_ms} ms first")]
    NeedsWindow {
        /// The end of the window, in milliseconds since 1970.
        upto_ms: u64,
    },
    /// Ask for at least one and at most [`MAX_BATCH`].
    #[error("cannot give {count} timestamps at once, only 1 to {MAX_BATCH}")]
    BatchSize {
        /// How many were asked for.
        count: u64,
    },
    /// The clock shows a time that no timestamp can hold. Set it right.
    #[error("the clock shows {now_ms} ms since 1970, beyond what a timestamp can hold")]
    EndOfTime {
        /// What it shows, or where the window had come to.
        now_ms: u64,
    },
}

/// Gives timestamps that rise, whatever the clock does, and asks for windows to be persisted.
#[derive(Clone, Debug)]
pub struct Oracle {
    /// The lowest that was not given.
    next: Timestamp,
    /// All that are given lie below this time, which is durable.
    window_ms: u64,
}

impl Oracle {
    /// An oracle that follows all that persisted a window up to `window_ms`, 0 if none did.
    #[must_use]
    pub const fn recover(window_ms: u64) -> Self {
        Self {
            next: Timestamp::new(window_ms, 0),
            window_ms,
        }
    }

    /// `count` timestamps above all given before, at or after the time `now_ms`.
    ///
    /// # Errors
    /// [`OracleError::NeedsWindow`], [`OracleError::BatchSize`], [`OracleError::EndOfTime`]. Nothing is given then.
    pub fn allocate(&mut self, now_ms: u64, count: u64) -> Result<Timestamps, OracleError> {
        if count == 0 || count > MAX_BATCH {
            return Err(OracleError::BatchSize { count });
        }
        let mut physical_ms = self.next.physical_ms();
        let mut logical = self.next.logical();
        if now_ms > physical_ms {
            (physical_ms, logical) = (now_ms, 0);
        }
        if logical + count > MAX_BATCH {
            (physical_ms, logical) = (physical_ms + 1, 0);
        }
        if physical_ms >= self.window_ms {
            return Err(self.needs_window(physical_ms));
        }
        let first = Timestamp::new(physical_ms, logical);
        self.next = Timestamp(first.0 + count);
        Ok(Timestamps { first, count })
    }

    /// Whether `ts` was given, here or by an earlier oracle, or passed over.
    #[must_use]
    pub fn has_given(&self, ts: Timestamp) -> bool {
        ts < self.next
    }

    /// A window worth persisting at the time `now_ms`, before anybody must wait for it: less than half of the old one is left.
    #[must_use]
    pub fn renewal(&self, now_ms: u64) -> Option<u64> {
        let at_ms = now_ms.max(self.next.physical_ms());
        let upto_ms = at_ms.checked_add(WINDOW_MS)?;
        let left_ms = self.window_ms.saturating_sub(at_ms);
        (left_ms < WINDOW_MS / 2 && upto_ms < END_OF_TIME_MS).then_some(upto_ms)
    }

    /// The window up to `upto_ms` is durable now. One that ends below another that is changes nothing.
    pub fn window_persisted(&mut self, upto_ms: u64) {
        self.window_ms = self.window_ms.max(upto_ms);
    }

    const fn needs_window(&self, physical_ms: u64) -> OracleError {
        match physical_ms.checked_add(WINDOW_MS) {
            Some(upto_ms) if upto_ms < END_OF_TIME_MS => OracleError::NeedsWindow { upto_ms },
            _ => OracleError::EndOfTime {
                now_ms: physical_ms,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Gives timestamps, persisting windows at once.
    fn take(oracle: &mut Oracle, disk: &mut u64, now_ms: u64, count: u64) -> Timestamps {
        match oracle.allocate(now_ms, count) {
            Ok(given) => given,
            Err(OracleError::NeedsWindow { upto_ms }) => {
                *disk = upto_ms;
                oracle.window_persisted(upto_ms);
                oracle.allocate(now_ms, count).unwrap()
            }
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn what_was_given_is_known_also_of_those_before() {
        let mut oracle = Oracle::recover(100);
        oracle.window_persisted(200);
        assert!(oracle.has_given(Timestamp::new(99, 5)));
        assert!(!oracle.has_given(Timestamp::new(100, 0)));
        let given = oracle.allocate(120, 10).unwrap();
        assert!(oracle.has_given(given.last()));
        assert!(!oracle.has_given(Timestamp(given.last().0 + 1)));
    }

    #[test]
    fn no_timestamp_is_given_before_a_window_that_covers_it_is_durable() {
        let mut oracle = Oracle::recover(0);
        let asked = oracle.allocate(1000, 1);
        assert_eq!(asked, Err(OracleError::NeedsWindow { upto_ms: 4000 }));
        oracle.window_persisted(4000);
        let first = Timestamp::new(1000, 0);
        assert_eq!(oracle.allocate(1000, 3), Ok(Timestamps { first, count: 3 }));
        assert_eq!(
            oracle.allocate(3999, 1).unwrap().last(),
            Timestamp::new(3999, 0)
        );
        assert_eq!(
            oracle.allocate(4000, 1),
            Err(OracleError::NeedsWindow { upto_ms: 7000 })
        );
        assert_eq!(
            oracle.allocate(3999, 1).unwrap().first,
            Timestamp::new(3999, 1)
        );
    }

    #[test]
    fn a_restart_begins_above_all_that_was_given_even_if_the_clock_was_set_back() {
        let mut oracle = Oracle::recover(0);
        let mut disk = 0;
        let last = take(&mut oracle, &mut disk, 5000, 10).last();
        let mut oracle = Oracle::recover(disk);
        let first = take(&mut oracle, &mut disk, 17, 1).first;
        assert!(first > last);
        assert_eq!(first, Timestamp::new(8000, 0));
    }

    #[test]
    fn a_clock_that_stands_still_or_goes_back_does_not_stop_the_counter() {
        let mut oracle = Oracle::recover(0);
        let mut disk = 0;
        let given: Vec<_> = [50, 50, 20, 49, 51]
            .map(|now| take(&mut oracle, &mut disk, now, 1).first)
            .to_vec();
        let of = Timestamp::new;
        assert_eq!(
            given,
            [of(50, 0), of(50, 1), of(50, 2), of(50, 3), of(51, 0)]
        );
    }

    #[test]
    fn a_batch_lies_within_one_millisecond_and_goes_to_the_next_if_it_must() {
        let mut oracle = Oracle::recover(0);
        let mut disk = 0;
        take(&mut oracle, &mut disk, 50, MAX_BATCH - 1);
        let given = take(&mut oracle, &mut disk, 50, 2);
        assert_eq!(given.first, Timestamp::new(51, 0));
        let full = take(&mut oracle, &mut disk, 52, MAX_BATCH);
        assert_eq!(full.last(), Timestamp::new(52, MAX_BATCH - 1));
        assert_eq!(
            take(&mut oracle, &mut disk, 52, 1).first,
            Timestamp::new(53, 0)
        );
        for count in [0, MAX_BATCH + 1] {
            assert_eq!(
                oracle.allocate(50, count),
                Err(OracleError::BatchSize { count })
            );
        }
    }

    #[test]
    fn a_window_is_renewed_before_it_is_needed() {
        let mut oracle = Oracle::recover(0);
        oracle.window_persisted(4000);
        assert_eq!(oracle.renewal(1000), None);
        assert_eq!(oracle.renewal(2500), None);
        assert_eq!(oracle.renewal(2501), Some(5501));
        oracle.window_persisted(5501);
        oracle.window_persisted(4500);
        assert!(oracle.allocate(5500, 1).is_ok());
    }

    #[test]
    fn a_time_that_no_timestamp_can_hold_is_refused() {
        let mut oracle = Oracle::recover(0);
        for now_ms in [u64::MAX, END_OF_TIME_MS, END_OF_TIME_MS - 1] {
            assert_eq!(
                oracle.allocate(now_ms, 1),
                Err(OracleError::EndOfTime { now_ms })
            );
            assert_eq!(oracle.renewal(now_ms), None);
        }
    }

    proptest! {
        /// Clocks that jump, crashes with windows that were asked for and not written, windows written whose oracle did not hear of it.
        #[test]
        fn timestamps_rise_whatever_clock_and_crashes_do(
            steps in proptest::collection::vec((0..20_000_u64, 1..MAX_BATCH, 0..4_u8), 1..60)
        ) {
            let (mut oracle, mut disk, mut last) = (Oracle::recover(0), 0, Timestamp::ZERO);
            for (now_ms, count, fate) in steps {
                match oracle.allocate(now_ms, count) {
                    Ok(given) => {
                        prop_assert!(given.first > last);
                        prop_assert_eq!(given.first.physical_ms(), given.last().physical_ms());
                        prop_assert!(given.first.physical_ms() >= now_ms);
                        last = given.last();
                    }
                    Err(OracleError::NeedsWindow { upto_ms }) if fate > 0 => {
                        disk = upto_ms;
                        if fate > 1 {
                            oracle.window_persisted(upto_ms);
                        }
                    }
                    Err(_) => {}
                }
                if fate == 3 {
                    oracle = Oracle::recover(disk);
                }
            }
        }
    }
}
