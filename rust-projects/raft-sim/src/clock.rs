//! A server's clocks: one for timeouts that never goes back but may be fast or slow, one on the wall that may say anything.

use raft::Time;
use replica::Now;

/// What the wall shows when a simulation begins: some day in 2023, in milliseconds since 1970.
const WALL_START_MS: u64 = 1_700_000_000_000;
/// The rate of a true clock.
pub const TRUE_RATE: u64 = 1000;

/// The clocks of one server.
#[derive(Clone, Debug)]
pub struct Clock {
    /// True time when `local` was noted.
    since: Time,
    /// What the clock showed then.
    local: Time,
    /// Thousandths of a true clock.
    rate: u64,
    wall_offset_ms: i64,
}

impl Clock {
    /// A clock that is right.
    #[must_use]
    pub fn new() -> Self {
        Self {
            since: Time::ZERO,
            local: Time::ZERO,
            rate: TRUE_RATE,
            wall_offset_ms: 0,
        }
    }

    /// What the clocks show at a true time, no earlier than that of the last change.
    #[must_use]
    pub fn now(&self, at: Time) -> Now {
        let time = self.local + scale(at.saturating_sub(self.since), self.rate, TRUE_RATE);
        let wall = WALL_START_MS + u64::try_from(time.as_millis()).unwrap_or(u64::MAX >> 1);
        Now {
            time,
            wall_ms: wall.saturating_add_signed(self.wall_offset_ms),
        }
    }

    /// The first true time at which the clock for timeouts shows `local` or more.
    #[must_use]
    pub fn when(&self, local: Time) -> Time {
        let ahead = local.saturating_sub(self.local);
        // One more, as both ways round down.
        self.since + scale(ahead, TRUE_RATE, self.rate) + Time::from_nanos(1)
    }

    /// From now on the clock runs at `rate` thousandths of a true one.
    pub fn set_rate(&mut self, at: Time, rate: u64) {
        self.local = self.now(at).time;
        self.since = at;
        self.rate = rate.max(1);
    }

    /// The clock on the wall jumps.
    pub fn jump_wall(&mut self, by_ms: i64) {
        self.wall_offset_ms = self.wall_offset_ms.saturating_add(by_ms);
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

fn scale(time: Time, by: u64, of: u64) -> Time {
    let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    Time::from_nanos(nanos.saturating_mul(by) / of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_never_goes_back_and_is_due_when_it_says() {
        let mut clock = Clock::new();
        let mut last = Time::ZERO;
        for (step, rate) in [1000, 700, 1300, 999, 1].into_iter().enumerate() {
            let at = Time::from_millis(100 * (step as u64 + 1));
            clock.set_rate(at, rate);
            assert!(clock.now(at).time >= last);
            let due = clock.now(at).time + Time::from_micros(1234);
            assert!(clock.now(clock.when(due)).time >= due);
            last = clock.now(at + Time::from_millis(100)).time;
        }
    }

    #[test]
    fn a_jump_of_the_wall_leaves_timeouts_alone() {
        let mut clock = Clock::new();
        let at = Time::from_secs(5);
        let before = clock.now(at);
        clock.jump_wall(-3_600_000);
        assert_eq!(clock.now(at).time, before.time);
        assert_eq!(clock.now(at).wall_ms + 3_600_000, before.wall_ms);
    }
}
