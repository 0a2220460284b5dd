//! Small values read lately.
//!
//! A table of slots, each for the last value that was read through it (a direct-mapped cache). A value is known by its
//! place on disk, which never holds anything else, so nothing is ever invalidated; what is no longer reached through
//! the index is overwritten in time. Readers take no lock.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use bytes::Bytes;

use super::index::Version;

/// Bytes reckoned for a slot and what it holds.
const SLOT_BYTES: usize = 512;
/// Longest value kept: with its bookkeeping it fits the reckoning.
const VALUE_BYTES: usize = 400;

#[derive(Debug)]
struct Cached {
    segment: u32,
    offset: u32,
    value: Bytes,
}

/// Values by their place on disk.
#[derive(Debug)]
pub(super) struct Cache {
    slots: Box<[ArcSwapOption<Cached>]>,
}

impl Cache {
    /// A cache of at most about `bytes`; 0 for none.
    pub(super) fn new(bytes: usize) -> Self {
        let slots = match bytes / SLOT_BYTES {
            0 => 0,
            slots => 1 << slots.ilog2(),
        };
        Self {
            slots: (0..slots).map(|_| ArcSwapOption::empty()).collect(),
        }
    }

    fn slot(&self, version: &Version) -> Option<&ArcSwapOption<Cached>> {
        let place = u64::from(version.segment) << 32 | u64::from(version.offset);
        // Fibonacci hashing (Knuth, TAOCP volume 3, section 6.4): neighbours in the log spread over the slots.
        let hash = place.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        self.slots
            .get(hash as usize & self.slots.len().wrapping_sub(1))
    }

    /// The value of `version`, if it was kept.
    pub(super) fn get(&self, version: &Version) -> Option<Bytes> {
        let slot = self.slot(version)?.load();
        let cached = slot.as_ref()?;
        let same = (cached.segment, cached.offset) == (version.segment, version.offset);
        same.then(|| cached.value.clone())
    }

    /// Keeps a value that was just read.
    pub(super) fn put(&self, version: &Version, value: &Bytes) {
        if value.len() > VALUE_BYTES {
            return;
        }
        if let Some(slot) = self.slot(version) {
            let (segment, offset) = (version.segment, version.offset);
            let value = value.clone();
            slot.store(Some(Arc::new(Cached {
                segment,
                offset,
                value,
            })));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_at_its_place_only_and_long_values_are_not_kept() {
        let cache = Cache::new(1 << 20);
        let version = |segment, offset| Version::put(9, segment, offset, 3);
        cache.put(&version(1, 32), &Bytes::from_static(b"abc"));
        assert_eq!(cache.get(&version(1, 32)).as_deref(), Some(&b"abc"[..]));
        assert_eq!(cache.get(&version(2, 32)), None);
        assert_eq!(cache.get(&version(1, 33)), None);
        cache.put(&version(3, 32), &Bytes::from(vec![0; VALUE_BYTES + 1]));
        assert_eq!(cache.get(&version(3, 32)), None);
        let none = Cache::new(0);
        none.put(&version(1, 32), &Bytes::from_static(b"abc"));
        assert_eq!(none.get(&version(1, 32)), None);
    }
}
