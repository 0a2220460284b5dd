//! What the index knows of a key: its versions, newest first.

use crate::Seq;

/// `len` of a version that deletes its key.
const TOMBSTONE: u32 = u32::MAX;
/// `len` of a version that deletes its key through a range deletion; `segment` is the range's id.
const RANGE_TOMBSTONE: u32 = u32::MAX - 1;

/// One version of a key: since when, and where its value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version {
    /// Position of the batch that wrote it.
    pub(crate) seq: Seq,
    /// Segment of the record, or the id of the range deletion.
    pub(crate) segment: u32,
    /// Offset of the value in the segment.
    pub(crate) offset: u32,
    len: u32,
}

impl Version {
    pub(crate) fn put(seq: Seq, segment: u32, offset: u32, len: u32) -> Self {
        debug_assert!(len < RANGE_TOMBSTONE);
        Self {
            seq,
            segment,
            offset,
            len,
        }
    }

    pub(crate) fn tombstone(seq: Seq, segment: u32, offset: u32) -> Self {
        Self {
            seq,
            segment,
            offset,
            len: TOMBSTONE,
        }
    }

    pub(crate) fn range_tombstone(seq: Seq, range_id: u32) -> Self {
        Self {
            seq,
            segment: range_id,
            offset: 0,
            len: RANGE_TOMBSTONE,
        }
    }

    /// Length of the value in bytes, or `None` for a deletion.
    pub(crate) fn value_len(&self) -> Option<usize> {
        (self.len < RANGE_TOMBSTONE).then_some(self.len as usize)
    }

    pub(crate) fn is_put(&self) -> bool {
        self.len < RANGE_TOMBSTONE
    }

    /// The id of the range deletion, if this version is one.
    pub(crate) fn range_id(&self) -> Option<u32> {
        (self.len == RANGE_TOMBSTONE).then_some(self.segment)
    }

    /// The same version at another place.
    pub(crate) fn moved_to(self, segment: u32, offset: u32) -> Self {
        Self {
            segment,
            offset,
            ..self
        }
    }

    /// The first words of the record of this version in a leaf: sequence number, place, length and `stale`.
    pub(super) fn words(self, stale: u32) -> [u64; 3] {
        let pair = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
        [
            self.seq,
            pair(self.segment, self.offset),
            pair(self.len, stale),
        ]
    }

    /// The version with these [`Version::words`].
    pub(super) fn of_words([seq, place, len]: [u64; 3]) -> Self {
        Self {
            seq,
            segment: (place >> 32) as u32,
            offset: place as u32,
            len: (len >> 32) as u32,
        }
    }
}

/// What the index knew of a key when it was asked.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    newest: Version,
    older: Vec<Version>,
    /// Superseded put records of this key that are still on disk. A tombstone may go only when there are none.
    pub(crate) stale: u32,
}

impl Entry {
    pub(super) fn new(newest: Version, older: Vec<Version>, stale: u32) -> Self {
        Self {
            newest,
            older,
            stale,
        }
    }

    /// The newest version.
    pub(crate) fn version(&self) -> Version {
        self.newest
    }

    /// All versions kept, newest first.
    pub(crate) fn versions(&self) -> impl Iterator<Item = Version> + '_ {
        std::iter::once(self.newest).chain(self.older.iter().copied())
    }
}

/// Where somebody reads, or may begin to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Positions {
    /// Where snapshots and scans read, in ascending order.
    pub(crate) open: Vec<Seq>,
    /// Anyone may begin to read here or later.
    pub(crate) visible: Seq,
}

impl Positions {
    /// Whether one of them is in `from..until`.
    pub(super) fn any_in(&self, from: Seq, until: Seq) -> bool {
        let first = self.open.partition_point(|&seq| seq < from);
        until > self.visible || self.open.get(first).is_some_and(|&seq| seq < until)
    }
}
