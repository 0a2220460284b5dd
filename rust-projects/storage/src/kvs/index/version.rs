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

/// Where a short value stands, in one word. It is preceded by its key and followed by its checksum.
///
/// ```text
///   segment: 20 bits | offset of the value: 32 bits | length of the value: 12 bits
/// ```
///
/// Versions that are too long for this, or in a segment with too large a number (after 64 TiB were written), have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) segment: u32,
    pub(crate) offset: u32,
    pub(crate) len: u32,
}

impl Spot {
    const SEGMENT_BITS: u32 = 20;
    const LEN_BITS: u32 = 12;

    /// The word for `version`; 0 for none. (No value stands at the start of a file.)
    pub(super) fn word(version: Version) -> u64 {
        if version.segment >> Self::SEGMENT_BITS != 0 || version.len >> Self::LEN_BITS != 0 {
            return 0;
        }
        u64::from(version.segment) << (64 - Self::SEGMENT_BITS)
            | u64::from(version.offset) << Self::LEN_BITS
            | u64::from(version.len)
    }

    pub(super) fn of_word(word: u64) -> Option<Self> {
        (word != 0).then_some(Self {
            segment: (word >> (64 - Self::SEGMENT_BITS)) as u32,
            offset: (word >> Self::LEN_BITS) as u32,
            len: word as u32 & ((1 << Self::LEN_BITS) - 1),
        })
    }
}

/// What a point read found in the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// Where the value of the key stands, or that of another key with the same fingerprint.
    Spot(Spot),
    /// The version.
    Version(Version),
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
