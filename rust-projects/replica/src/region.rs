//! The region that this group of servers holds: a range of keys and an epoch that counts its changes.
//!
//! Clients keep what they know of regions and name it with each request, so that a request that rests on old knowledge is refused instead of
//! reaching keys that are elsewhere now. There is one region so far, over all keys of clients; nothing here or above counts on that.

use bytes::{BufMut, Bytes};
use storage::{Batch, Reader};

use crate::codec::{Decoder, Malformed, put_bytes};
use crate::machine::{MachineError, malformed};

/// Where the region is kept: no user key is there.
const REGION_KEY: &[u8] = b"g";

/// Where the first region ends: behind all keys of clients, which begin with `r` or `x` (API version 2 of TiKV), memory-comparable. Clients that
/// scan raw keys take a region without an end for one that they have not come to the end of, and begin anew, for ever.
const END: &[u8] = b"y\0\0\0\0\0\0\0\xf8";

/// Counts how often a region changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epoch {
    /// Changes of its range.
    pub version: u64,
    /// Changes of its members.
    pub configuration: u64,
}

/// A range of keys, held by the members of the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// Its first key, memory-comparable.
    pub start: Bytes,
    /// The first key behind it; empty if there is no end.
    pub end: Bytes,
    /// How often it changed.
    pub epoch: Epoch,
}

impl Default for Region {
    /// All keys of clients, never changed.
    fn default() -> Self {
        Self {
            start: Bytes::new(),
            end: Bytes::from_static(END),
            epoch: Epoch {
                version: 1,
                configuration: 1,
            },
        }
    }
}

impl Region {
    /// What the engine holds.
    pub(crate) fn load(reader: &dyn Reader) -> Result<Self, MachineError> {
        match reader.get(REGION_KEY)? {
            None => Ok(Self::default()),
            Some(bytes) => Self::decode(bytes).map_err(malformed("region")),
        }
    }

    /// Whether a change may have replaced it.
    pub(crate) fn is_at(key: &[u8]) -> bool {
        key == REGION_KEY
    }

    /// Whether it holds a key, memory-comparable.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        self.start <= key && (self.end.is_empty() || key < self.end)
    }

    /// Makes this the region.
    pub fn put(&self, batch: &mut Batch) {
        let mut value = Vec::new();
        value.put_u64_le(self.epoch.version);
        value.put_u64_le(self.epoch.configuration);
        put_bytes(&mut value, &self.start);
        put_bytes(&mut value, &self.end);
        batch.put(REGION_KEY, value);
    }

    fn decode(bytes: Bytes) -> Result<Self, Malformed> {
        let mut decoder = Decoder(bytes);
        let epoch = Epoch {
            version: decoder.u64()?,
            configuration: decoder.u64()?,
        };
        let region = Self {
            start: decoder.bytes()?,
            end: decoder.bytes()?,
            epoch,
        };
        decoder.end()?;
        Ok(region)
    }
}
