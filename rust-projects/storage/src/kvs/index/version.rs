//! What the index knows of a key: its versions, newest first.

use std::sync::Arc;

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
}

/// A superseded version that some reader may still need.
#[derive(Debug)]
pub(crate) struct Older {
    version: Version,
    older: Option<Arc<Older>>,
}

/// What the index knows of a key.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    seq: Seq,
    segment: u32,
    offset: u32,
    len: u32,
    /// Superseded put records of this key that are still on disk. A tombstone may go only when there are none.
    pub(crate) stale: u32,
    older: Option<Arc<Older>>,
}

impl Entry {
    pub(crate) fn new(version: Version, stale: u32) -> Self {
        let Version {
            seq,
            segment,
            offset,
            len,
        } = version;
        Self {
            seq,
            segment,
            offset,
            len,
            stale,
            older: None,
        }
    }

    /// The newest version.
    pub(crate) fn version(&self) -> Version {
        Version {
            seq: self.seq,
            segment: self.segment,
            offset: self.offset,
            len: self.len,
        }
    }

    /// The newest version written at or before `seq`.
    pub(crate) fn visible_at(&self, seq: Seq) -> Option<Version> {
        self.versions().find(|version| version.seq <= seq)
    }

    /// All versions kept, newest first.
    pub(crate) fn versions(&self) -> impl Iterator<Item = Version> + '_ {
        let mut next = self.older.as_deref();
        std::iter::once(self.version()).chain(std::iter::from_fn(move || {
            let older = next?;
            next = older.older.as_deref();
            Some(older.version)
        }))
    }

    /// This key after `version` was written over it.
    pub(crate) fn superseded_by(&self, version: Version) -> Self {
        if version.seq == self.seq {
            // Two changes of one batch: nobody may see the first, but its record is on disk.
            let stale = self.stale + u32::from(self.version().is_put());
            return Self {
                older: self.older.clone(),
                ..Self::new(version, stale)
            };
        }
        let older = Older {
            version: self.version(),
            older: self.older.clone(),
        };
        let stale = self.stale + u32::from(self.version().is_put());
        Self {
            older: Some(Arc::new(older)),
            ..Self::new(version, stale)
        }
    }

    /// This key with the version `from` at another place, or `None` when it no longer has that version.
    pub(crate) fn relocated(&self, from: Version, to: Version) -> Option<Self> {
        let mut versions: Vec<Version> = self.versions().collect();
        let place = versions.iter().position(|version| *version == from)?;
        versions[place] = to;
        Some(self.with_versions(&versions))
    }

    /// Drops versions that nobody who reads at `floor` or later can see.
    pub(super) fn prune(&mut self, floor: Seq) {
        if self.older.is_none() {
            return;
        }
        if self.seq <= floor {
            self.older = None;
            return;
        }
        let versions: Vec<Version> = self.versions().collect();
        if let Some(last) = versions.iter().position(|version| version.seq <= floor)
            && last + 1 < versions.len()
        {
            *self = self.with_versions(&versions[..=last]);
        }
    }

    fn with_versions(&self, versions: &[Version]) -> Self {
        let (newest, rest) = versions.split_first().expect("an entry has a version");
        let older = rest.iter().rev().fold(None, |older, &version| {
            Some(Arc::new(Older { version, older }))
        });
        Self {
            older,
            ..Self::new(*newest, self.stale)
        }
    }
}

/// What an update does with a key.
#[derive(Debug)]
pub(crate) enum Update {
    /// Leaves it as it is.
    Keep,
    /// Sets its entry.
    Set(Entry),
    /// Removes it from the index.
    Remove,
}
