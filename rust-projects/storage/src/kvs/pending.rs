//! Frames that are applied but not yet in their file.
//!
//! A ring of slots, one per sequence number: the writer puts a frame in, the committer clears its slot once the bytes
//! are in the file, and readers find the frame of a version by its number without a lock.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use bytes::Bytes;

use super::index::Version;
use super::segment::Segment;
use crate::Seq;

/// A frame on its way to the disk.
#[derive(Debug)]
pub(super) struct PendingFrame {
    pub(super) seq: Seq,
    pub(super) segment: Arc<Segment>,
    /// Offset of the frame in its segment.
    pub(super) offset: u64,
    pub(super) bytes: Bytes,
}

/// What the committer does next.
#[derive(Debug)]
pub(super) enum Pending {
    /// Writes a frame.
    Frame(Arc<PendingFrame>),
    /// Ends a segment: all its frames came before.
    Seal(Arc<Segment>),
}

/// The frames between `written` and `applied`.
#[derive(Debug)]
pub(super) struct Ring {
    slots: Box<[ArcSwapOption<PendingFrame>]>,
}

impl Ring {
    /// Most frames that may wait; the writer commits before it exceeds them.
    pub(super) const FRAMES: u64 = 1 << 12;

    pub(super) fn new() -> Self {
        Self {
            slots: (0..Self::FRAMES).map(|_| ArcSwapOption::empty()).collect(),
        }
    }

    fn slot(&self, seq: Seq) -> &ArcSwapOption<PendingFrame> {
        &self.slots[(seq % Self::FRAMES) as usize]
    }

    pub(super) fn put(&self, frame: Arc<PendingFrame>) {
        self.slot(frame.seq).store(Some(frame));
    }

    pub(super) fn clear(&self, seq: Seq) {
        self.slot(seq).store(None);
    }

    /// The value of `version`, if its frame still waits.
    pub(super) fn read_value(&self, version: &Version) -> Option<Bytes> {
        let slot = self.slot(version.seq).load();
        let frame = slot.as_ref()?;
        if (frame.seq, frame.segment.id()) != (version.seq, version.segment) {
            return None;
        }
        let start = (u64::from(version.offset) - frame.offset) as usize;
        Some(frame.bytes.slice(start..start + version.value_len()?))
    }
}
