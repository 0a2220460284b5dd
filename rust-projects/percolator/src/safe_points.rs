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

use bytes::{Buf, BufMut};

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

/// Version of the stored form.
const FORM: u8 = 1;

/// The stored form.
impl SafePoints {
    /// A version, the safe point, and each service with what it holds; numbers big-endian.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![FORM];
        out.put_u64(self.safe_point.0);
        for (service, hold) in &self.services {
            out.put_u64(hold.safe_point.0);
            out.put_u64(hold.expires_at_ms);
            out.put_u32(u32::try_from(service.len()).unwrap_or(u32::MAX));
            out.put_slice(service.as_bytes());
        }
        out
    }

    /// What [`Self::encode`] wrote; `None` if these bytes are something else.
    #[must_use]
    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
        if bytes.try_get_u8().ok()? != FORM {
            return None;
        }
        let mut points = Self {
            safe_point: Timestamp(bytes.try_get_u64().ok()?),
            services: BTreeMap::new(),
        };
        while !bytes.is_empty() {
            let hold = Hold {
                safe_point: Timestamp(bytes.try_get_u64().ok()?),
                expires_at_ms: bytes.try_get_u64().ok()?,
            };
            let len = usize::try_from(bytes.try_get_u32().ok()?).ok()?;
            let service = bytes.split_off(..len)?;
            let service = std::str::from_utf8(service).ok()?;
            points.services.insert(service.to_owned(), hold);
        }
        Some(points)
    }

    /// The lowest timestamp that a living service holds; the safe point if none does.
    #[must_use]
    pub fn lowest(&self, now_ms: u64) -> Timestamp {
        let living = self
            .services
            .values()
            .filter(|hold| hold.expires_at_ms > now_ms);
        let held = living.map(|hold| hold.safe_point).min();
        held.unwrap_or(self.safe_point)
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
    fn what_is_stored_comes_back_and_no_part_of_it_is_taken_for_it() {
        let mut points = SafePoints::new();
        points.advance(at(10), 0);
        points.hold("backup", at(30), 1000, 0).unwrap();
        points.hold("", at(20), 2000, 0).unwrap();
        let bytes = points.encode();
        assert_eq!(SafePoints::decode(&bytes), Some(points.clone()));
        for len in 0..bytes.len() {
            assert_ne!(SafePoints::decode(&bytes[..len]), Some(points.clone()));
        }
        assert_eq!(SafePoints::decode(&[2; 9]), None);
        assert_eq!((points.lowest(0), points.lowest(1000)), (at(20), at(20)));
        assert_eq!((points.lowest(1999), points.lowest(2000)), (at(20), at(10)));
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
