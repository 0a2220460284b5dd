//! What all parts of the engine share, and the write path: apply now, commit in groups.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;

use super::apply::Work;
use super::cache::Cache;
use super::codec::varint_len;
use super::format::{CHECK_LEN, Change, FRAME_LEN, HEADER_LEN};
use super::index::{Index, Positions, Version};
use super::maintenance::Signal;
use super::options::{Options, Recovery};
use super::pending::{Pending, PendingFrame, Ring};
use super::reserve::Reserve;
use super::segment::{Segment, SegmentSet};
use super::snapshot::Registry;
use crate::file::DirLock;
use crate::{Error, Result, Seq, SyncPolicy};

/// Frames from this length on are worth keeping their memory for: it comes from the operating system, page by page.
const SPARE_FROM: usize = 16 << 10;
/// But not more than this.
const SPARE_MOST: usize = 1 << 20;
/// Under the weaker policies the disk begins to write after so many bytes, so that a later sync is short.
const WRITE_BEHIND: u64 = 8 << 20;
/// Most bytes that may wait for the committer before a writer commits them itself.
const PENDING_BYTES: usize = 8 << 20;

/// The engine behind every handle, snapshot and thread.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) dir: PathBuf,
    pub(super) options: Options,
    pub(super) recovery: Recovery,
    pub(super) index: Index,
    pub(super) segments: SegmentSet,
    pub(super) ring: Ring,
    pub(super) cache: Cache,
    pub(super) snapshots: Registry,
    pub(super) reserve: Reserve,
    pub(super) writer: Mutex<Writer>,
    pub(super) committer: Mutex<Committer>,
    pub(super) group: Group,
    /// How the background thread is called.
    pub(super) signal: Signal,
    /// Held during each sync of a segment. Of two at once on one file only one would be told of a failure (Linux
    /// reports it once per open file), and the other would take what was lost for durable (bug class S1).
    pub(super) syncing: Mutex<()>,
    /// Held by whoever creates the next segment.
    pub(super) rotation: Mutex<()>,
    /// Held by whoever replaces segments: compaction and checkpoints.
    pub(super) housekeeping: Mutex<()>,
    /// Tombstones that hide nothing any more but that an open snapshot needs, by key.
    pub(super) waiting_tombstones: Mutex<Vec<(Bytes, Version)>>,
    /// Why the last round of background work failed.
    pub(super) maintenance_error: Mutex<Option<String>>,
    pub(super) next_segment: AtomicU32,
    pub(super) applied: AtomicU64,
    /// What ordinary readers see: all that is as durable as the policy promises.
    pub(super) visible: AtomicU64,
    pub(super) poison: OnceLock<String>,
    pub(super) counters: Counters,
    /// Given up on close, though snapshots may live on.
    pub(super) dir_lock: Mutex<Option<Box<dyn DirLock>>>,
}

/// Counters behind [`super::Stats`].
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) keys: AtomicU64,
    pub(super) syncs: AtomicU64,
    pub(super) batches: AtomicU64,
    pub(super) compacted_segments: AtomicU64,
    pub(super) compacted_bytes: AtomicU64,
    pub(super) pinned_bytes: AtomicU64,
}

/// The state of whoever applies batches.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) active: Arc<Segment>,
    /// Where the next frame goes in the active segment.
    pub(super) position: u64,
    pub(super) pending: Vec<Pending>,
    pub(super) pending_bytes: usize,
    pub(super) ranges: BTreeMap<u32, RangeDeletion>,
    pub(super) next_range: u32,
    /// The memory of a large frame that was written, for the next one.
    pub(super) spare: Vec<u8>,
}

/// A range deletion whose record some key's tombstone still points at.
#[derive(Debug, Clone)]
pub(super) struct RangeDeletion {
    pub(super) segment: u32,
    /// Offset of the record's end in the segment.
    pub(super) offset: u32,
    pub(super) record_len: u64,
    /// Keys of the index whose newest version is this deletion.
    pub(super) keys: u64,
}

/// Those who wait for their batch to be acknowledged.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// Whether one of them is committing.
    led: Mutex<bool>,
    done: Condvar,
}

/// The state of whoever writes to the log.
#[derive(Debug)]
pub(super) struct Committer {
    /// The segment written to last.
    pub(super) last: Option<Arc<Segment>>,
    pub(super) buffer: Vec<u8>,
}

/// Locks a mutex. Its data is consistent at every point where a panic is possible.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes that the record of a put takes.
pub(super) fn put_len(key_len: usize, value_len: usize) -> u64 {
    let lengths = varint_len(key_len as u64) + varint_len(value_len as u64);
    1 + lengths + (key_len + value_len + CHECK_LEN) as u64
}

/// Bytes that the record of a tombstone takes.
pub(super) fn tombstone_len(key_len: usize) -> u64 {
    1 + varint_len(key_len as u64) + key_len as u64
}

/// Bytes that a record takes, without the sequence number that compaction adds.
pub(super) fn record_len(change: &Change<'_>) -> u64 {
    match change {
        Change::Put { key, value } => put_len(key.len(), value.len()),
        Change::Delete { key } => tombstone_len(key.len()),
        Change::DeleteRange { range } => 1 + range.encoded_len(),
    }
}

impl Shared {
    pub(super) fn applied(&self) -> Seq {
        self.applied.load(Ordering::Acquire)
    }

    pub(super) fn visible(&self) -> Seq {
        self.visible.load(Ordering::Acquire)
    }

    /// Where somebody reads, or may begin to.
    pub(super) fn positions(&self) -> Positions {
        self.snapshots.positions(|| self.visible())
    }

    /// Refuses writing after a failure, with its cause.
    pub(super) fn check_poison(&self) -> Result<()> {
        match self.poison.get() {
            None => Ok(()),
            Some(cause) => Err(Error::Poisoned {
                cause: cause.clone(),
            }),
        }
    }

    /// Stops all writing: after a failed write or sync nobody knows what the disk holds (bug class S1).
    pub(super) fn poison(&self, error: &Error) -> Error {
        let cause = self.poison.get_or_init(|| error.to_string());
        Error::Poisoned {
            cause: cause.clone(),
        }
    }

    /// Applies `work` and returns its position, without waiting for the disk.
    pub(super) fn submit(&self, work: Work<'_>) -> Result<Seq> {
        work.check(&self.options.limits)?;
        let most = work.frame_bound();
        loop {
            self.check_poison()?;
            let mut writer = lock(&self.writer);
            if writer.position + most + FRAME_LEN as u64 > writer.active.capacity {
                drop(writer);
                self.rotate(work, most)?;
                continue;
            }
            let waiting = self.applied() - self.visible();
            if waiting + 1 >= Ring::FRAMES || writer.pending_bytes > PENDING_BYTES {
                drop(writer);
                self.commit(false)?;
                continue;
            }
            return Ok(self.apply(&mut writer, work));
        }
    }

    /// Brings everything applied so far to the durability of the policy; with `force`, to the disk.
    pub(super) fn commit(&self, force: bool) -> Result<Seq> {
        let always = self.options.sync == SyncPolicy::Always;
        let mut committer = lock(&self.committer);
        self.check_poison()?;
        let (pending, target) = {
            let mut writer = lock(&self.writer);
            writer.pending_bytes = 0;
            (std::mem::take(&mut writer.pending), self.applied())
        };
        self.write_out(&mut committer, &pending)
            .map_err(|error| self.poison(&error))?;
        if let Some(segment) = committer.last.as_ref().filter(|_| always) {
            self.sync_segment(segment)?;
        }
        // Before `visible` moves on: from then on the writer may use the slots again.
        let batches = pending.len() as u64;
        let spare = self.clear_ring(pending);
        self.visible.store(target, Ordering::Release);
        self.counters.batches.fetch_add(batches, Ordering::Relaxed);
        let last = committer.last.clone();
        drop(committer);
        if let Some(spare) = spare {
            lock(&self.writer).spare = spare;
        }
        if !always
            && last
                .as_ref()
                .is_some_and(|last| last.unsynced() >= WRITE_BEHIND)
        {
            self.signal.write_behind();
        }
        // Nobody waits for a sync that the policy does not promise: it holds no lock.
        if let Some(segment) = last.filter(|_| force && !always) {
            self.sync_segment(&segment)?;
        }
        Ok(target)
    }

    /// Makes everything applied durable, ends the log with a footer and refuses all writing from then on. Returns the
    /// last segment unless it ended with a footer before.
    pub(super) fn finish(&self) -> Result<Option<Arc<Segment>>> {
        // Both locks until the end: a frame of another thread must come before the footer or not at all.
        let mut committer = lock(&self.committer);
        let mut writer = lock(&self.writer);
        self.check_poison()?;
        let pending = std::mem::take(&mut writer.pending);
        let target = self.applied();
        self.write_out(&mut committer, &pending)
            .map_err(|error| self.poison(&error))?;
        let was_sealed = writer.active.is_sealed();
        self.seal_segment(&writer.active, target)?;
        self.clear_ring(pending);
        self.visible.store(target, Ordering::Release);
        let _ = self.poison.set("it was closed".into());
        Ok((!was_sealed).then(|| Arc::clone(&writer.active)))
    }

    /// Takes written frames out of the ring; the memory of one, if it is worth keeping and nobody reads it.
    fn clear_ring(&self, written: Vec<Pending>) -> Option<Vec<u8>> {
        let mut spare = None;
        for item in written {
            let Pending::Frame(frame) = item else {
                continue;
            };
            self.ring.clear(frame.seq);
            if (SPARE_FROM..=SPARE_MOST).contains(&frame.bytes.len())
                && let Some(frame) = Arc::into_inner(frame)
                && let Ok(mut bytes) = frame.bytes.try_into_mut()
            {
                bytes.clear();
                spare = Some(Vec::from(bytes));
            }
        }
        spare
    }

    /// Syncs what the weaker policies have not synced yet.
    pub(super) fn sync_behind(&self) {
        let last = lock(&self.committer).last.clone();
        if let Some(segment) = last {
            // A failure poisons the engine, and that is how callers learn of it.
            let _ = self.sync_segment(&segment);
        }
    }

    /// Syncs a segment that has unsynced bytes. A failure poisons.
    fn sync_segment(&self, segment: &Segment) -> Result<()> {
        let _syncing = lock(&self.syncing);
        self.check_poison()?;
        if segment.unsynced() > 0 {
            segment.sync().map_err(|error| self.poison(&error))?;
            self.counters.syncs.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Ends a segment with a durable footer. A failure poisons.
    fn seal_segment(&self, segment: &Segment, seq: Seq) -> Result<()> {
        let _syncing = lock(&self.syncing);
        self.check_poison()?;
        if !segment.is_sealed() {
            segment.seal(seq).map_err(|error| self.poison(&error))?;
            self.counters.syncs.fetch_add(2, Ordering::Relaxed);
        }
        Ok(())
    }

    fn write_out(&self, committer: &mut Committer, pending: &[Pending]) -> Result<()> {
        let mut rest = pending;
        while let Some(first) = rest.first() {
            match first {
                Pending::Seal(segment) => {
                    self.seal_segment(segment, self.visible())?;
                    rest = &rest[1..];
                }
                Pending::Frame(frame) => {
                    let run = self.write_run(committer, frame, rest)?;
                    committer.last = Some(Arc::clone(&frame.segment));
                    rest = &rest[run..];
                }
            }
        }
        Ok(())
    }

    /// Writes the frames at the start of `rest` that follow each other in one segment, with one call.
    fn write_run(
        &self,
        committer: &mut Committer,
        first: &PendingFrame,
        rest: &[Pending],
    ) -> Result<usize> {
        let frames = || {
            rest.iter().map_while(|item| match item {
                Pending::Frame(frame) => Some(frame),
                Pending::Seal(_) => None,
            })
        };
        let run = frames().count();
        if run == 1 {
            first.segment.write(&first.bytes, first.offset)?;
            return Ok(1);
        }
        committer.buffer.clear();
        for frame in frames() {
            committer.buffer.extend_from_slice(&frame.bytes);
        }
        first.segment.write(&committer.buffer, first.offset)?;
        if committer.buffer.capacity() > PENDING_BYTES {
            committer.buffer = Vec::new();
        }
        Ok(run)
    }

    /// Applies `work` and waits until it is as durable as the policy promises.
    pub(super) fn write(&self, work: Work<'_>) -> Result<()> {
        let seq = self.submit(work)?;
        self.wait_for(seq)
    }

    /// Group commit: one of those who wait commits for all of them, the others sleep until it is done. (The committer's
    /// mutex would not do as the queue: it is unfair, and whoever just committed would take it again.)
    fn wait_for(&self, seq: Seq) -> Result<()> {
        loop {
            {
                let mut led = lock(&self.group.led);
                while *led && self.visible() < seq {
                    led = self
                        .group
                        .done
                        .wait(led)
                        .unwrap_or_else(PoisonError::into_inner);
                }
                if self.visible() >= seq {
                    return Ok(());
                }
                *led = true;
            }
            let committed = self.commit(false);
            *lock(&self.group.led) = false;
            self.group.done.notify_all();
            // A close may have made it durable, after which it lets nobody commit.
            if self.visible() < seq {
                committed?;
            }
        }
    }

    /// Makes a segment with room for `needed` bytes the active one.
    fn rotate(&self, work: Work<'_>, needed: u64) -> Result<()> {
        let _rotation = lock(&self.rotation);
        let wanted = needed + (HEADER_LEN + 2 * FRAME_LEN) as u64;
        {
            let writer = lock(&self.writer);
            if writer.position + needed + FRAME_LEN as u64 <= writer.active.capacity {
                return Ok(());
            }
        }
        let capacity = wanted.max(self.options.segment_bytes);
        let (files, entropy) = (&*self.options.files, self.options.entropy);
        let segment = self.reserve.create_with(work.grows(), || {
            let id = self.next_segment.fetch_add(1, Ordering::Relaxed);
            Segment::create_log(files, &self.dir, id, entropy, capacity)
        })?;
        let segment = Arc::new(segment);
        self.segments.insert(&segment);
        let mut writer = lock(&self.writer);
        let full = std::mem::replace(&mut writer.active, segment);
        writer.pending.push(Pending::Seal(full));
        writer.position = HEADER_LEN as u64;
        Ok(())
    }

    /// Takes the bytes of a record that nobody needs any more off its segment's live bytes.
    pub(super) fn record_died(&self, writer: &mut Writer, version: &Version, key_len: usize) {
        let (segment, len) = match (version.value_len(), version.range_id()) {
            (Some(value_len), _) => (version.segment, put_len(key_len, value_len)),
            (None, None) => (version.segment, tombstone_len(key_len)),
            (None, Some(id)) => {
                let Some(range) = writer.ranges.get_mut(&id) else {
                    return;
                };
                range.keys -= 1;
                if range.keys > 0 {
                    return;
                }
                let range = writer.ranges.remove(&id).expect("it was just there");
                (range.segment, range.record_len)
            }
        };
        self.add_live(segment, -(len as i64));
    }

    pub(super) fn add_live(&self, segment: u32, bytes: i64) {
        self.segments.with(segment, |segment| {
            segment.live.fetch_add(bytes, Ordering::Relaxed)
        });
    }
}
