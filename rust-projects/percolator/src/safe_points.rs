//! Up to where old versions may be removed.
//!
//! # What it is
//!
//! What the placement driver of a TiKV cluster knows of garbage collection: the safe point, and the services (backups, long readers, change
//! feeds) that hold it back, each with a time to live.
//!
//! # What it guarantees
//!
//! The safe point never goes back, and never passes a service that lives. Who reads below it is told so, rather than shown a snapshot with holes
//! (bug class P7).
//!
//! # What it does not
//!
//! It removes nothing and persists nothing. Reads are checked where they are served, against the safe point known there.
//!
//! # How it works
//!
//! ```text
//!   safe point 10    backup holds 30 until 5000 ms
//!   advance to 50 at 4000 ms:  30       advance to 50 at 6000 ms:  50       backup asks for 40: refused, it is too late
//! ```

use std::collections::BTreeMap;

use crate::{Refusal, Timestamp};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hold {
    safe_point: Timestamp,
    expires_at_ms: u64,
}

/// The safe point, and who holds it back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SafePoints {
    safe_point: Timestamp,
    services: BTreeMap<String, Hold>,
}

impl SafePoints {
    /// Nothing may be removed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Below it nobody may read.
    #[must_use]
    pub const fn safe_point(&self) -> Timestamp {
        self.safe_point
    }

    /// Moves the safe point up to `wanted`, or as far as the services that live at the time `now_ms` let it. Gives where it is.
    pub fn advance(&mut self, wanted: Timestamp, now_ms: u64) -> Timestamp {
        self.services.retain(|_, hold| hold.expires_at_ms > now_ms);
        let held = self.services.values().map(|hold| hold.safe_point).min();
        let allowed = held.map_or(wanted, |held| held.min(wanted));
        self.safe_point = self.safe_point.max(allowed);
        self.safe_point
    }

    /// A service needs all versions from `wanted` on, for `ttl_ms` from `now_ms`; it asks again before that is over. A time to live of 0 ends it.
    ///
    /// # Errors
    /// [`Refusal::BelowSafePoint`]: they may be gone already. What the service held before, it holds still.
    pub fn hold(
        &mut self,
        service: &str,
        wanted: Timestamp,
        ttl_ms: u64,
        now_ms: u64,
    ) -> Result<(), Refusal> {
        if ttl_ms == 0 {
            self.services.remove(service);
            return Ok(());
        }
        self.check(wanted)?;
        let hold = Hold {
            safe_point: wanted,
            expires_at_ms: now_ms.saturating_add(ttl_ms),
        };
        self.services.insert(service.to_owned(), hold);
        Ok(())
    }

    /// Whether a read at `ts` finds all versions that it needs.
    ///
    /// # Errors
    /// [`Refusal::BelowSafePoint`].
    pub fn check(&self, ts: Timestamp) -> Result<(), Refusal> {
        match ts < self.safe_point {
            true => Err(Refusal::BelowSafePoint {
                ts,
                safe_point: self.safe_point,
            }),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ts: u64) -> Timestamp {
        Timestamp(ts)
    }

    #[test]
    fn the_safe_point_never_goes_back_and_never_passes_a_service_that_lives() {
        let mut points = SafePoints::new();
        assert_eq!(points.advance(at(10), 0), at(10));
        points.hold("backup", at(30), 5000, 0).unwrap();
        points.hold("reader", at(20), 1000, 0).unwrap();
        assert_eq!(points.advance(at(50), 999), at(20));
        assert_eq!(points.advance(at(50), 1000), at(30));
        assert_eq!(points.advance(at(5), 1000), at(30));
        assert_eq!(points.advance(at(50), 5000), at(50));
    }

    #[test]
    fn a_service_that_asks_again_holds_on_and_one_that_ends_does_not() {
        let mut points = SafePoints::new();
        points.hold("backup", at(30), 1000, 0).unwrap();
        points.hold("backup", at(40), 1000, 900).unwrap();
        assert_eq!(points.advance(at(50), 1500), at(40));
        points.hold("backup", at(0), 0, 1500).unwrap();
        assert_eq!(points.advance(at(50), 1500), at(50));
    }

    #[test]
    fn what_may_be_gone_is_neither_held_nor_read() {
        let mut points = SafePoints::new();
        points.hold("backup", at(30), 1000, 0).unwrap();
        points.advance(at(50), 10);
        let refused = Refusal::BelowSafePoint {
            ts: at(29),
            safe_point: at(30),
        };
        assert_eq!(points.check(at(29)), Err(refused.clone()));
        assert_eq!(points.check(at(30)), Ok(()));
        assert_eq!(points.hold("backup", at(29), 1000, 20), Err(refused));
        assert_eq!(points.advance(at(50), 30), at(30), "what it held before");
        assert_eq!(points.hold("late", at(30), 1000, 40), Ok(()));
    }
}
