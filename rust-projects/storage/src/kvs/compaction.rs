//! Compaction: live records of sealed segments move to a new one, the old files go.
//!
//! 1. *Copy*: each record of a victim is looked up in the index; those that some key still needs are appended to an
//!    output file, which is synced and only then gets its name.
//! 2. *Publish*: under the writer's lock, a slice at a time and without I/O, each copied version gets its new place in the
//!    index: only if the key still has exactly that version at exactly that place.
//! 3. *Unlink*: the victims leave the set and the directory. Readers that hold one keep its open file.
//! 4. *Settle*: only now, with the removal durable, do keys forget the stale records that went with the victims; a
//!    tombstone that has none left to hide is dropped.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::format::{Change, Frame, HEADER_LEN, PlacedRecord};
use super::hint::hint_path;
use super::index::{Entry, Version};
use super::output::Output;
use super::segment::{self, Segment};
use super::shared::{Shared, Writer, lock, put_len, tombstone_len};
use crate::{Error, Result, Seq};

/// Versions replaced each time the writer's lock is taken.
const PUBLISH_SLICE: usize = 256;
/// Most bytes of victims together; a single one may be larger.
const MOST_READ: u64 = 1 << 30;
/// A victim must have at least this share of garbage, in percent.
const LEAST_GARBAGE: u64 = 10;

/// Slows compaction down: gets the bytes just read or written; `false` asks to give up.
pub(super) type Pace<'a> = &'a dyn Fn(u64) -> bool;

/// A version on its way to another segment.
struct Move {
    key: Bytes,
    from: Version,
    to: Version,
}

/// A range deletion on its way to another segment.
struct RangeMove {
    id: u32,
    to: u32,
}

/// What happens once the output is durable.
#[derive(Default)]
struct Plan {
    moves: Vec<Move>,
    range_moves: Vec<RangeMove>,
    /// Keys of put records that were not copied.
    stale: Vec<Bytes>,
    /// Keys whose tombstones were not copied because they hide nothing.
    spent: Vec<(Bytes, Version)>,
    /// Bytes of superseded versions that open snapshots needed.
    pinned: u64,
}

impl Shared {
    /// Compacts once if there is enough garbage; says whether it did.
    pub(super) fn compact(&self, pace: Pace<'_>) -> Result<bool> {
        let _housekeeping = lock(&self.housekeeping);
        let victims = self.victims();
        if victims.is_empty() {
            return Ok(false);
        }
        // What is applied but not yet acknowledged would keep alive what it supersedes.
        self.commit(true)?;
        let is_full = |result: &Result<bool>| matches!(result, Err(Error::DiskFull { .. }));
        let mut compacted = self.replace(&victims, pace);
        // The first has the least to copy for what it frees.
        let first = &victims[..1];
        if is_full(&compacted) && victims.len() > 1 {
            compacted = self.replace(first, pace);
        }
        // Frames and the numbers of batches take space beyond what was asked for.
        if is_full(&compacted) && self.reserve.give_up()? {
            compacted = self.replace(first, pace);
        }
        let _ = self.reserve.take();
        compacted
    }

    fn replace(&self, victims: &[Arc<Segment>], pace: Pace<'_>) -> Result<bool> {
        let mut plan = Plan::default();
        let mut output = None;
        let copied = victims
            .iter()
            .try_fold(true, |going, victim| -> Result<bool> {
                Ok(going && self.copy_live(victims, victim, &mut output, &mut plan, pace)?)
            });
        if !matches!(copied, Ok(true)) {
            output.into_iter().for_each(Output::abandon);
            return copied;
        }
        if let Some(output) = output {
            let segment = output.finish(&self.reserve).map_err(|error| match error {
                Error::DiskFull { .. } => error,
                // Nobody knows what a failed sync left; no further write is trusted.
                error => self.poison(&error),
            })?;
            self.publish(segment, &plan);
        }
        // A record may be dropped only when the one that superseded it is durable, whatever the policy.
        self.commit(true)?;
        self.unlink(victims)?;
        self.settle(plan);
        Ok(true)
    }

    /// Begins the segment that takes what the victims have left.
    fn begin_output(&self, victims: &[Arc<Segment>]) -> Result<Output> {
        let live = victims
            .iter()
            .map(|victim| victim.live.load(Ordering::Relaxed).max(0) as u64);
        let capacity = live.sum();
        self.reserve.create_with(false, || {
            let id = self.next_segment.fetch_add(1, Ordering::Relaxed);
            Output::create(
                &self.options.files,
                &self.dir,
                id,
                self.options.entropy,
                capacity,
            )
        })
    }

    /// The segments worth compacting now: all of garbage, or many of them partly when there is too much overall.
    fn victims(&self) -> Vec<Arc<Segment>> {
        let active = lock(&self.writer).active.id();
        let oldest = self.snapshots.oldest();
        let all = self.segments.all();
        let sealed: Vec<_> = all
            .iter()
            .filter(|segment| segment.is_sealed() && segment.id() != active)
            .collect();
        let size: u64 = sealed.iter().map(|segment| segment.size()).sum();
        let garbage: u64 = sealed.iter().map(|segment| segment.garbage()).sum();
        let overall = garbage * 100 > size * self.options.garbage_percent;
        let share = |segment: &Segment| segment.garbage() * 100 / segment.size().max(1);
        let mut candidates: Vec<_> = sealed
            .into_iter()
            .filter(|segment| match segment.live.load(Ordering::Relaxed) {
                ..=0 => true,
                _ => overall && share(segment) >= LEAST_GARBAGE,
            })
            // What an open snapshot pinned last time it would pin again.
            .filter(|segment| {
                let pinned = *lock(&segment.pinned_by);
                pinned.is_none() || pinned != oldest
            })
            .cloned()
            .collect();
        candidates.sort_by_key(|segment| std::cmp::Reverse(share(segment)));
        let mut room = self.options.segment_bytes as i64;
        let mut read = 0;
        candidates
            .into_iter()
            .take_while(|segment| {
                // All of it may be needed after all, and offsets are 32 bits wide.
                read += segment.size();
                let fits = room > 0 && (read <= MOST_READ || read == segment.size());
                room -= segment.live.load(Ordering::Relaxed).max(0);
                fits
            })
            .take(64)
            .collect()
    }

    fn copy_live(
        &self,
        victims: &[Arc<Segment>],
        victim: &Segment,
        output: &mut Option<Output>,
        plan: &mut Plan,
        pace: Pace<'_>,
    ) -> Result<bool> {
        let bytes = Bytes::from(victim.read_all()?);
        let floor = self.snapshots.floor(|| self.visible());
        let ranges = self.ranges_in(victim.id());
        let mut done = HEADER_LEN as u64;
        let mut step = CopyStep {
            shared: self,
            victims,
            victim,
            bytes: &bytes,
            floor,
            ranges,
            output,
            plan,
        };
        let mut going = true;
        let mut failure = Ok(());
        let scan = segment::scan(&bytes, &victim.header, false, |frame| {
            if going && failure.is_ok() {
                failure = step.frame(&frame);
                let end = frame.offset + frame.frame_len() as u64;
                going = pace(end - done);
                done = end;
            }
        });
        failure?;
        match scan.damage {
            // Never drop what cannot be read: the directory needs a person.
            Some(damage) => Err(Error::corrupt(&victim.path, damage.offset, damage.what)),
            None => Ok(going),
        }
    }

    /// Range deletions recorded in a segment, by where their records end.
    fn ranges_in(&self, segment: u32) -> BTreeMap<u32, u32> {
        let writer = lock(&self.writer);
        let here = writer
            .ranges
            .iter()
            .filter(|(_, range)| range.segment == segment);
        here.map(|(&id, range)| (range.offset, id)).collect()
    }

    fn publish(&self, segment: Segment, plan: &Plan) {
        let segment = Arc::new(segment);
        if plan.pinned > 0 {
            *lock(&segment.pinned_by) = self.snapshots.oldest();
        }
        self.segments.insert(&segment);
        for slice in plan.moves.chunks(PUBLISH_SLICE) {
            let _writer = lock(&self.writer);
            for Move { key, from, to } in slice {
                if self.index.relocate(key, *from, *to) == Some(true) {
                    let len = from
                        .value_len()
                        .map_or(tombstone_len(key.len()), |len| put_len(key.len(), len));
                    segment.live.fetch_add(len as i64, Ordering::Relaxed);
                }
            }
        }
        let mut writer = lock(&self.writer);
        for RangeMove { id, to } in &plan.range_moves {
            if let Some(range) = writer.ranges.get_mut(id) {
                range.segment = segment.id();
                range.offset = *to;
                segment
                    .live
                    .fetch_add(range.record_len as i64, Ordering::Relaxed);
            }
        }
        self.counters
            .compacted_bytes
            .fetch_add(segment.size(), Ordering::Relaxed);
        self.counters
            .pinned_bytes
            .store(plan.pinned, Ordering::Relaxed);
    }

    fn unlink(&self, victims: &[Arc<Segment>]) -> Result<()> {
        let files = &*self.options.files;
        for victim in victims {
            self.segments.remove(victim.id());
            files.remove(&victim.path)?;
            let hint = hint_path(&victim.path);
            if files.exists(&hint)? {
                files.remove(&hint)?;
            }
        }
        files.sync_dir(&self.dir)?;
        self.counters
            .compacted_segments
            .fetch_add(victims.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    fn settle(&self, plan: Plan) {
        let mut waiting = std::mem::take(&mut *lock(&self.waiting_tombstones));
        waiting.extend(plan.spent);
        for slice in plan.stale.chunks(PUBLISH_SLICE) {
            let mut writer = lock(&self.writer);
            let floor = self.snapshots.floor(|| self.visible());
            for key in slice {
                if let Some((0, newest)) = self.index.forget_stale(key)
                    && !newest.is_put()
                    && !self.drop_tombstone(&mut writer, key, newest, floor)
                {
                    waiting.push((key.clone(), newest));
                }
            }
        }
        self.retry_tombstones(&waiting);
    }

    /// Drops the tombstones that hide nothing any more and that no snapshot can see past.
    pub(super) fn retry_tombstones(&self, waiting: &[(Bytes, Version)]) {
        let mut kept = Vec::new();
        for slice in waiting.chunks(PUBLISH_SLICE) {
            let mut writer = lock(&self.writer);
            let floor = self.snapshots.floor(|| self.visible());
            for (key, version) in slice {
                if !self.drop_tombstone(&mut writer, key, *version, floor) {
                    // A copy: the slice would keep the whole victim in memory.
                    kept.push((Bytes::copy_from_slice(key), *version));
                }
            }
        }
        lock(&self.waiting_tombstones).extend(kept);
    }

    /// Removes the key if its newest version is still the tombstone of that batch, hiding nothing. `false`: a
    /// snapshot still needs what came before it.
    fn drop_tombstone(
        &self,
        writer: &mut Writer,
        key: &[u8],
        version: Version,
        floor: Seq,
    ) -> bool {
        let entry = self.index.entry(key);
        let Some(entry) =
            entry.filter(|entry| entry.version().seq == version.seq && entry.stale == 0)
        else {
            return true;
        };
        if version.seq > floor {
            return false;
        }
        self.index.remove(key, || self.positions());
        self.record_died(writer, &entry.version(), key.len());
        true
    }
}

struct CopyStep<'a, 'o> {
    shared: &'a Shared,
    victims: &'a [Arc<Segment>],
    victim: &'a Segment,
    bytes: &'a Bytes,
    floor: Seq,
    ranges: BTreeMap<u32, u32>,
    output: &'o mut Option<Output>,
    plan: &'o mut Plan,
}

impl CopyStep<'_, '_> {
    fn frame(&mut self, frame: &Frame<'_>) -> Result<()> {
        for placed in frame.records().map_while(std::result::Result::ok) {
            self.record(&placed)?;
        }
        Ok(())
    }

    fn record(&mut self, placed: &PlacedRecord<'_>) -> Result<()> {
        let seq = placed.record.seq;
        let (segment, offset) = (self.victim.id(), placed.value_offset as u32);
        match &placed.record.change {
            Change::Put { key, value } => {
                let version = Version::put(seq, segment, offset, value.len() as u32);
                match self.shared.index.entry(key) {
                    Some(entry) if self.is_needed(&entry, &version) => {
                        if entry.version() != version {
                            self.plan.pinned += placed.len;
                        }
                        self.copy(placed, key, version)
                    }
                    _ => {
                        self.plan.stale.push(self.bytes.slice_ref(key));
                        Ok(())
                    }
                }
            }
            Change::Delete { key } => {
                let version = Version::tombstone(seq, segment, offset);
                match self.shared.index.entry(key) {
                    Some(entry) if entry.version() != version => Ok(()),
                    None => Ok(()),
                    Some(entry) if entry.stale == 0 && seq <= self.floor => {
                        self.plan.spent.push((self.bytes.slice_ref(key), version));
                        Ok(())
                    }
                    Some(_) => self.copy(placed, key, version),
                }
            }
            Change::DeleteRange { .. } => match self.ranges.get(&offset) {
                Some(&id) => {
                    let (_, to) = self.push(placed)?;
                    self.plan.range_moves.push(RangeMove { id, to });
                    Ok(())
                }
                None => Ok(()),
            },
        }
    }

    /// Whether some reader at the floor or later can see `version`.
    fn is_needed(&self, entry: &Entry, version: &Version) -> bool {
        let mut at_floor = false;
        for kept in entry.versions() {
            if kept == *version {
                return true;
            }
            at_floor |= kept.seq <= self.floor;
            if at_floor {
                return false;
            }
        }
        false
    }

    fn copy(&mut self, placed: &PlacedRecord<'_>, key: &[u8], from: Version) -> Result<()> {
        let (segment, offset) = self.push(placed)?;
        let to = from.moved_to(segment, offset);
        self.plan.moves.push(Move {
            key: self.bytes.slice_ref(key),
            from,
            to,
        });
        Ok(())
    }

    /// Appends a record to the output and returns the new place of its value.
    fn push(&mut self, placed: &PlacedRecord<'_>) -> Result<(u32, u32)> {
        if self.output.is_none() {
            *self.output = Some(self.shared.begin_output(self.victims)?);
        }
        let output = self.output.as_mut().expect("set above");
        Ok((output.header.id, output.push(&placed.record)?))
    }
}
