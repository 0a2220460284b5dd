//! Applying a batch: its frame, its place in the index, and what it leaves behind.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::format::{CHECK_LEN, Change, FRAME_LEN, FrameKind, FrameWriter, Record};
use super::index::{Version, WARM};
use super::pending::{Pending, PendingFrame};
use super::read::{Scan, Step};
use super::shared::{RangeDeletion, Shared, Writer, put_len, tombstone_len};
use crate::{Batch, Direction, KeyRange, Limits, Op, Result, Seq};

/// What is written at once.
#[derive(Debug, Clone, Copy)]
pub(super) enum Work<'a> {
    /// One pair.
    Put { key: &'a [u8], value: &'a [u8] },
    /// Any changes.
    Batch(&'a Batch),
}

impl Work<'_> {
    pub(super) fn check(self, limits: &Limits) -> Result<()> {
        match self {
            Self::Put { key, value } => limits.check_put(key.len(), value.len()),
            Self::Batch(batch) => limits.check(batch),
        }
    }

    /// Whether it puts anything.
    pub(super) fn grows(self) -> bool {
        match self {
            Self::Put { .. } => true,
            Self::Batch(batch) => batch.ops().iter().any(|op| matches!(op, Op::Put { .. })),
        }
    }

    /// No frame of it is longer, in bytes.
    pub(super) fn frame_bound(self) -> u64 {
        // Tag, two lengths of at most five bytes each, checksum.
        const RECORD: usize = 1 + 2 * 5 + CHECK_LEN;
        let records: usize = match self {
            Self::Put { key, value } => RECORD + key.len() + value.len(),
            Self::Batch(batch) => batch
                .ops()
                .iter()
                .map(|op| match op {
                    Op::Put { key, value } => RECORD + key.len() + value.len(),
                    Op::Delete { key } => RECORD + key.len(),
                    Op::DeleteRange { range } => RECORD + range.encoded_len() as usize,
                })
                .sum(),
        };
        (FRAME_LEN + records) as u64
    }
}

impl Shared {
    /// Gives `work` the next position, puts it in the queue of the committer and shows it to [`Shared::applied`].
    pub(super) fn apply(&self, writer: &mut Writer, work: Work<'_>) -> Seq {
        let seq = self.applied() + 1;
        let mut buffer = std::mem::take(&mut writer.spare);
        buffer.clear();
        buffer.reserve(work.frame_bound() as usize);
        let frame = FrameWriter::new(buffer, FrameKind::Batch);
        let mut step = ApplyStep {
            shared: self,
            writer,
            seq,
            frame,
        };
        match work {
            Work::Put { key, value } => step.put(key, value),
            Work::Batch(batch) => step.batch(batch),
        }
        let ApplyStep { writer, frame, .. } = step;
        if frame.count() == 0 {
            // Deletes of what is not there change nothing and need no record.
            return seq - 1;
        }
        let segment = Arc::clone(&writer.active);
        let offset = writer.position;
        let durable = segment.synced.load(Ordering::Acquire);
        let bytes = frame.finish(segment.header.salt, offset, seq, durable);
        writer.position += bytes.len() as u64;
        writer.pending_bytes += bytes.len();
        let bytes = Bytes::from(bytes);
        let frame = Arc::new(PendingFrame {
            seq,
            segment,
            offset,
            bytes,
        });
        self.ring.put(Arc::clone(&frame));
        writer.pending.push(Pending::Frame(frame));
        self.applied.store(seq, Ordering::Release);
        seq
    }
}

/// One batch being applied.
struct ApplyStep<'a> {
    shared: &'a Shared,
    writer: &'a mut Writer,
    seq: Seq,
    frame: FrameWriter,
}

impl ApplyStep<'_> {
    fn push(&mut self, change: Change<'_>) -> u32 {
        let in_frame = self.frame.push(&Record {
            seq: self.seq,
            change,
        });
        (self.writer.position + in_frame as u64) as u32
    }

    fn add_live(&self, len: u64) {
        self.writer
            .active
            .live
            .fetch_add(len as i64, Ordering::Relaxed);
    }

    fn batch(&mut self, batch: &Batch) {
        let ops = batch.ops();
        let ranges: Vec<_> = ops.iter().enumerate().filter_map(as_range).collect();
        for (at, op) in ops.iter().enumerate() {
            // What a later range deletion of the batch removes is not written at all. So of two records with one
            // sequence number the point record is the later one, wherever compaction puts them.
            if removed_later(&ranges, at, op) {
                continue;
            }
            if at % WARM == 0
                && let Some(ahead) = ops[at..].first_chunk::<WARM>()
            {
                self.shared.index.warm(&ahead.each_ref().map(op_key));
            }
            match op {
                Op::Put { key, value } => self.put(key, value),
                Op::Delete { key } => self.delete(key),
                Op::DeleteRange { range } => self.delete_range(range),
            }
        }
    }

    fn put(&mut self, key: &[u8], value: &[u8]) {
        let offset = self.push(Change::Put { key, value });
        let version = Version::put(
            self.seq,
            self.writer.active.id(),
            offset,
            value.len() as u32,
        );
        self.add_live(put_len(key.len(), value.len()));
        self.set(key, version);
    }

    fn delete(&mut self, key: &[u8]) {
        let there = self
            .shared
            .index
            .get(key, || Seq::MAX)
            .is_some_and(|version| version.is_put());
        if there {
            let offset = self.push(Change::Delete { key });
            let version = Version::tombstone(self.seq, self.writer.active.id(), offset);
            self.add_live(tombstone_len(key.len()));
            self.set(key, version);
        }
    }

    fn delete_range(&mut self, range: &KeyRange) {
        let mut scan = Scan::new(range, Direction::Forward);
        let mut next = scan.next_put(&self.shared.index, Seq::MAX);
        if next.is_none() {
            return;
        }
        let offset = self.push(Change::DeleteRange {
            range: range.clone(),
        });
        let record_len = 1 + range.encoded_len();
        let id = self.writer.next_range;
        self.writer.next_range += 1;
        let segment = self.writer.active.id();
        let deletion = RangeDeletion {
            segment,
            offset,
            record_len,
            keys: 0,
        };
        self.writer.ranges.insert(id, deletion);
        self.add_live(record_len);
        let mut keys = 0;
        while let Some(Step { key, .. }) = next {
            self.set(&key, Version::range_tombstone(self.seq, id));
            keys += 1;
            next = scan.next_put(&self.shared.index, Seq::MAX);
        }
        self.writer
            .ranges
            .get_mut(&id)
            .expect("inserted above")
            .keys = keys;
    }

    fn set(&mut self, key: &[u8], version: Version) {
        let shared = self.shared;
        let died = shared.index.set(key, version, || shared.positions());
        let was_put = died.is_some_and(|old| old.is_put());
        if let Some(old) = died {
            self.shared.record_died(self.writer, &old, key.len());
        }
        let keys = &self.shared.counters.keys;
        match (was_put, version.is_put()) {
            (false, true) => keys.fetch_add(1, Ordering::Relaxed),
            (true, false) => keys.fetch_sub(1, Ordering::Relaxed),
            _ => 0,
        };
    }
}

/// The key that a change looks for first.
fn op_key(op: &Op) -> &[u8] {
    match op {
        Op::Put { key, .. } | Op::Delete { key } => key,
        Op::DeleteRange { .. } => &[],
    }
}

/// The range deletion that `op` is, and where it stands in its batch.
fn as_range((at, op): (usize, &Op)) -> Option<(usize, &KeyRange)> {
    match op {
        Op::DeleteRange { range } => Some((at, range)),
        Op::Put { .. } | Op::Delete { .. } => None,
    }
}

/// Does one of `ranges`, those of a batch in its order, remove what the change at `at` does? Linear in the ranges behind
/// it, at most; where each removes all keys, as a Redis client's do, the first says so.
fn removed_later(ranges: &[(usize, &KeyRange)], at: usize, op: &Op) -> bool {
    let (Op::Put { key, .. } | Op::Delete { key }) = op else {
        return false;
    };
    let later = ranges.partition_point(|(range_at, _)| *range_at <= at);
    ranges[later..].iter().any(|(_, range)| range.contains(key))
}
