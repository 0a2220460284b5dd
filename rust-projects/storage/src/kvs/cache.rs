//! Blocks of segment files read lately, so that reading a value again costs no file operation.
//!
//! # What it is
//!
//! Each segment has a table with one slot for each 4 KiB of its file; a slot holds the bytes of its block once they were
//! read. All tables share one budget, and CLOCK decides which block goes (Corbató, *A Paging Experiment with the Multics
//! System*, 1968): a hand turns over the loaded blocks and takes the first that was not used since it came by last.
//!
//! # What it guarantees
//!
//! - A value is found without a lock, a file operation or hashing of its place; its checksum is compared all the same.
//! - Nothing cached is ever wrong: a segment only grows, so bytes once written stay. A block read while the segment ended
//!   within it holds what there was; whoever needs more of it reads it again.
//! - Blocks take no more than the budget, beyond it only those that readers are just using. A segment that compaction
//!   removed takes its blocks with it.
//!
//! # What it does not
//!
//! - The tables are beyond the budget: 8 bytes for each 4 KiB of a segment that was read through the cache, 0.2 %.
//! - Values longer than 16 KiB pass it by, as does all that reads whole segments: compaction, recovery, verification.
//! - The places that a removed segment had on the clock are reused only when the hand comes by, until then fewer blocks
//!   are kept than could be.
//!
//! # How it works
//!
//! ```text
//!  segment 7:  slots  [ . | b1 | . | b3 ]   hit: load the slot, copy the value out of the block
//!  segment 9:  slots  [ b0 | . ]            miss: read the block, then, under the clock's lock:
//!  clock:      (7, 1) (9, 0) (7, 3)               at the hand: used since? spare it : empty its slot
//!                      ^ hand                     put (segment, block) there, the block into its slot
//! ```

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};

use arc_swap::{ArcSwapOption, Guard};
use bytes::Bytes;

use super::format::CHECK_LEN;
use super::index::{Spot, Version};
use super::segment::{Segment, record_value, value_matches};
use super::shared::lock;
use crate::Result;

/// Bytes of a file that are read and dropped together: a page of most systems.
const BLOCK: usize = 4096;
/// Longest value kept, with its checksum.
const LONGEST: usize = 4 * BLOCK;
/// Bytes that a kept block takes: it, the counts of its `Arc`, its place on the clock.
const COST: usize = size_of::<Block>() + 2 * size_of::<usize>() + size_of::<Place>();
/// Blocks in a row that the hand may spare, so that nobody waits long for its lock.
const SPARED: usize = 64;

/// What a segment held in one block of its file when that was read.
#[derive(Debug)]
struct Block {
    /// Whether it was used since the hand came by.
    used: AtomicBool,
    /// Bytes held; fewer than all when the segment ended here.
    len: u32,
    bytes: [u8; BLOCK],
}

impl Block {
    fn read(segment: &Segment, number: usize) -> Result<Self> {
        let start = (number * BLOCK) as u64;
        let len = segment.size().saturating_sub(start).min(BLOCK as u64);
        let mut bytes = [0; BLOCK];
        segment.read_at(&mut bytes[..len as usize], start)?;
        Ok(Self {
            used: AtomicBool::new(false),
            len: len as u32,
            bytes,
        })
    }

    fn get(&self, range: Range<usize>) -> Option<&[u8]> {
        self.bytes[..self.len as usize].get(range)
    }

    fn set_used(&self) {
        // A store that changes nothing would still take the line away from the other processors.
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
    }
}

/// The blocks of one segment by their number.
pub(super) struct Blocks {
    slots: Box<[ArcSwapOption<Block>]>,
}

impl Blocks {
    /// Room for the blocks of a file of `bytes`.
    pub(super) fn new(bytes: u64) -> Self {
        let slots = bytes.div_ceil(BLOCK as u64);
        Self {
            slots: (0..slots).map(|_| ArcSwapOption::empty()).collect(),
        }
    }
}

impl fmt::Debug for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocks")
            .field("slots", &self.slots.len())
            .finish_non_exhaustive()
    }
}

/// The blocks of all segments.
#[derive(Debug)]
pub(super) struct Cache {
    /// Most blocks kept.
    limit: usize,
    clock: Mutex<Clock>,
}

impl Cache {
    /// A cache of at most `bytes`; none if that is less than a block takes.
    pub(super) fn new(bytes: usize) -> Self {
        Self {
            limit: bytes / COST,
            clock: Mutex::default(),
        }
    }

    /// The value of `version`, which `segment` holds, checked against its checksum.
    ///
    /// # Errors
    /// As [`Segment::read_value`]; then nothing is kept.
    pub(super) fn read_value(
        &self,
        segment: &Segment,
        key: &[u8],
        version: &Version,
    ) -> Result<Bytes> {
        let len = version.value_len().unwrap_or(0) + CHECK_LEN;
        if self.limit > 0 && len <= LONGEST {
            let start = version.offset as usize;
            let value = match start % BLOCK + len {
                ..=BLOCK => self.in_one(segment, key, start, len)?,
                _ => self.in_many(segment, key, start, len)?,
            };
            if let Some(value) = value {
                return Ok(value);
            }
            // It does not match its checksum: the file says whether it or the memory is damaged.
        }
        segment.read_value(key, version)
    }

    /// The value at `spot` if it stands there behind `key`, matches its checksum, and the cache can hold it in one
    /// block.
    ///
    /// # Errors
    /// If the block cannot be read; then nothing is kept.
    pub(super) fn read_spot(
        &self,
        segment: &Segment,
        key: &[u8],
        spot: Spot,
    ) -> Result<Option<Bytes>> {
        let len = key.len() + spot.len as usize + CHECK_LEN;
        let Some(start) = (spot.offset as usize).checked_sub(key.len()) else {
            return Ok(None);
        };
        let within = start % BLOCK..start % BLOCK + len;
        if self.limit == 0 || within.end > BLOCK {
            return Ok(None);
        }
        let block = self.block(segment, start / BLOCK, within.end)?;
        let bytes = block.as_ref().and_then(|block| block.get(within));
        let value = bytes.and_then(|bytes| record_value(key, bytes));
        Ok(value.map(Bytes::copy_from_slice))
    }

    /// A value that lies within one block.
    fn in_one(
        &self,
        segment: &Segment,
        key: &[u8],
        start: usize,
        len: usize,
    ) -> Result<Option<Bytes>> {
        let within = start % BLOCK..start % BLOCK + len;
        let block = self.block(segment, start / BLOCK, within.end)?;
        let bytes = block.as_ref().and_then(|block| block.get(within));
        let intact = bytes.filter(|bytes| value_matches(key, bytes));
        Ok(intact.map(|bytes| Bytes::copy_from_slice(&bytes[..len - CHECK_LEN])))
    }

    /// A value that goes on in the next block or further.
    fn in_many(
        &self,
        segment: &Segment,
        key: &[u8],
        start: usize,
        len: usize,
    ) -> Result<Option<Bytes>> {
        let mut bytes = Vec::with_capacity(len);
        while bytes.len() < len {
            let at = start + bytes.len();
            let within = at % BLOCK..BLOCK.min(at % BLOCK + len - bytes.len());
            let block = self.block(segment, at / BLOCK, within.end)?;
            match block.as_ref().and_then(|block| block.get(within)) {
                Some(part) => bytes.extend_from_slice(part),
                None => return Ok(None),
            }
        }
        Ok(value_matches(key, &bytes).then(|| Bytes::from(bytes).slice(..len - CHECK_LEN)))
    }

    /// Block `number` of `segment` with at least its first `wanted` bytes. `None`: the segment has none there.
    fn block(
        &self,
        segment: &Segment,
        number: usize,
        wanted: usize,
    ) -> Result<Guard<Option<Arc<Block>>>> {
        let blocks = segment.blocks();
        let Some(slot) = blocks.slots.get(number) else {
            return Ok(Guard::from_inner(None));
        };
        let found = slot.load();
        if let Some(block) = found.as_ref().filter(|block| block.len as usize >= wanted) {
            block.set_used();
            return Ok(found);
        }
        let block = Arc::new(Block::read(segment, number)?);
        self.keep(blocks, number, &block);
        Ok(Guard::from_inner(Some(block)))
    }

    /// Puts a block that was just read into its slot.
    fn keep(&self, blocks: &Arc<Blocks>, number: usize, block: &Arc<Block>) {
        let slot = &blocks.slots[number];
        // Slots are filled and emptied under this lock only: each full one has exactly one place on the clock.
        let mut clock = lock(&self.clock);
        match slot.load().as_ref() {
            // Another reader was faster.
            Some(kept) if kept.len >= block.len => return,
            // The segment has grown since.
            Some(_) => {}
            None => {
                let blocks = Arc::downgrade(blocks);
                clock.admit(Place { blocks, number }, self.limit);
            }
        }
        slot.store(Some(Arc::clone(block)));
    }
}

/// The full slots, in the order in which they may be emptied.
#[derive(Debug, Default)]
struct Clock {
    places: Vec<Place>,
    hand: usize,
}

impl Clock {
    /// Gives `place` a place among at most `limit`, which costs another its own when all are taken.
    fn admit(&mut self, place: Place, limit: usize) {
        if self.places.len() < limit {
            self.places.push(place);
            return;
        }
        let mut spared = 0;
        while spared < SPARED && self.places[self.hand].was_used() {
            spared += 1;
            self.hand = (self.hand + 1) % limit;
        }
        self.places[self.hand].empty();
        self.places[self.hand] = place;
        self.hand = (self.hand + 1) % limit;
    }
}

/// A slot of a segment, which may be gone by now.
#[derive(Debug)]
struct Place {
    blocks: Weak<Blocks>,
    number: usize,
}

impl Place {
    /// Whether its block was used since this was asked last.
    fn was_used(&self) -> bool {
        self.blocks.upgrade().is_some_and(|blocks| {
            let slot = blocks.slots[self.number].load();
            slot.as_ref()
                .is_some_and(|block| block.used.swap(false, Ordering::Relaxed))
        })
    }

    fn empty(&self) {
        if let Some(blocks) = self.blocks.upgrade() {
            blocks.slots[self.number].store(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::AtomicUsize;
    use std::thread;

    use super::super::format::value_check;
    use super::super::{LogEngine, Options};
    use super::*;
    use crate::file::fault::{Fault, FaultFs, Operation, SplitMix64};
    use crate::{Engine, Error, Reader};

    fn is_read(operation: &Operation) -> bool {
        matches!(operation, Operation::Read { .. })
    }

    /// A disk, and how often its files were read.
    fn disk() -> (FaultFs, Arc<AtomicUsize>) {
        let (fs, reads) = (FaultFs::new(), Arc::new(AtomicUsize::new(0)));
        let counter = Arc::clone(&reads);
        // A rule that fails nothing sees every operation.
        fs.fail_from(1, Fault::Io, move |operation| {
            counter.fetch_add(usize::from(is_read(operation)), Ordering::Relaxed);
            false
        });
        (fs, reads)
    }

    fn segment(fs: &FaultFs, id: u32) -> Segment {
        Segment::create_log(fs, Path::new("/"), id, 0, 1 << 20).unwrap()
    }

    /// Puts a value that starts with `mark` at the end of the segment.
    fn append(segment: &Segment, mark: u8, len: usize) -> (Version, Vec<u8>) {
        let offset = segment.size();
        let mut value: Vec<u8> = (0..len).map(|at| mark.wrapping_add(at as u8)).collect();
        let check = value_check(b"key", &value);
        value.extend(check.to_le_bytes());
        segment.write(&value, offset).unwrap();
        value.truncate(len);
        (
            Version::put(1, segment.id(), offset as u32, len as u32),
            value,
        )
    }

    /// `count` values, each of which fills the rest of a block.
    fn spread(segment: &Segment, count: u8) -> Vec<(Version, Vec<u8>)> {
        let rest = || BLOCK - segment.size() as usize % BLOCK - CHECK_LEN;
        let marks = 0..count;
        marks.map(|mark| append(segment, mark, rest())).collect()
    }

    fn check(cache: &Cache, segment: &Segment, (version, value): &(Version, Vec<u8>)) {
        assert_eq!(cache.read_value(segment, b"key", version).unwrap(), value);
    }

    fn full_slots(segment: &Segment) -> usize {
        let slots = segment.blocks().slots.iter();
        slots.filter(|slot| slot.load().is_some()).count()
    }

    fn places(cache: &Cache) -> usize {
        lock(&cache.clock).places.len()
    }

    #[test]
    fn a_block_is_read_once_and_then_serves_all_its_values() {
        let (fs, reads) = disk();
        let (segment, cache) = (segment(&fs, 1), Cache::new(1 << 20));
        let values: Vec<_> = (0..30).map(|mark| append(&segment, mark, 100)).collect();
        for value in values.iter().chain(&values) {
            check(&cache, &segment, value);
        }
        assert_eq!(reads.load(Ordering::Relaxed), 1);
        assert_eq!((places(&cache), full_slots(&segment)), (1, 1));
    }

    #[test]
    fn a_value_across_blocks_is_put_together_and_a_long_one_is_not_kept() {
        let (fs, reads) = disk();
        let (segment, cache) = (segment(&fs, 1), Cache::new(1 << 20));
        let lens = [4000, 100, BLOCK, LONGEST - CHECK_LEN, BLOCK - 3, 0, 5];
        let marks = (0..).zip(lens);
        let values: Vec<_> = marks
            .map(|(mark, len)| append(&segment, mark, len))
            .collect();
        let blocks = segment.size().div_ceil(BLOCK as u64) as usize;
        for value in values.iter().chain(&values) {
            check(&cache, &segment, value);
        }
        assert_eq!(reads.load(Ordering::Relaxed), blocks);
        let long = append(&segment, 9, LONGEST - CHECK_LEN + 1);
        check(&cache, &segment, &long);
        check(&cache, &segment, &long);
        assert_eq!(reads.load(Ordering::Relaxed), blocks + 2);
        assert_eq!(places(&cache), blocks);
    }

    #[test]
    fn the_last_block_of_a_growing_segment_is_read_again_for_what_is_new() {
        let (fs, reads) = disk();
        let (segment, cache) = (segment(&fs, 1), Cache::new(1 << 20));
        let mut values = Vec::new();
        for mark in 0..3 {
            values.push(append(&segment, mark, 100));
            values
                .iter()
                .for_each(|value| check(&cache, &segment, value));
            assert_eq!(reads.load(Ordering::Relaxed), values.len());
            assert_eq!((places(&cache), full_slots(&segment)), (1, 1));
        }
    }

    #[test]
    fn the_budget_holds_and_what_is_used_again_stays() {
        let (fs, reads) = disk();
        let (segment, cache) = (segment(&fs, 1), Cache::new(3 * COST + COST / 2));
        let values = spread(&segment, 20);
        for value in &values {
            check(&cache, &segment, value);
            check(&cache, &segment, &values[0]);
            assert!(places(&cache) <= 3);
            assert_eq!(full_slots(&segment), places(&cache));
        }
        assert_eq!(reads.load(Ordering::Relaxed), values.len());
    }

    #[test]
    fn the_hand_spares_only_so_many_blocks_at_a_time() {
        let (fs, reads) = disk();
        let (segment, cache) = (segment(&fs, 1), Cache::new(2 * SPARED * COST));
        let values = spread(&segment, 2 * SPARED as u8 + 1);
        let (last, used) = values.split_last().unwrap();
        for value in used.iter().chain(used) {
            check(&cache, &segment, value);
        }
        check(&cache, &segment, last);
        assert_eq!(reads.load(Ordering::Relaxed), values.len());
        let is_full = |number: usize| segment.blocks().slots[number].load().is_some();
        assert!(is_full(0) && !is_full(SPARED) && is_full(SPARED + 1));
    }

    #[test]
    fn a_removed_segment_takes_its_blocks_along_and_its_places_are_used_again() {
        let (fs, _) = disk();
        let (old, new) = (segment(&fs, 1), segment(&fs, 2));
        let cache = Cache::new(4 * COST);
        spread(&old, 4)
            .iter()
            .for_each(|value| check(&cache, &old, value));
        let block = Arc::downgrade(&old.blocks().slots[2].load_full().unwrap());
        drop(old);
        assert!(block.upgrade().is_none());
        spread(&new, 4)
            .iter()
            .for_each(|value| check(&cache, &new, value));
        assert_eq!((places(&cache), full_slots(&new)), (4, 4));
    }

    #[test]
    fn without_a_budget_every_read_goes_to_the_file() {
        let (fs, reads) = disk();
        let (segment, cache) = (segment(&fs, 1), Cache::new(COST - 1));
        let value = append(&segment, 1, 100);
        check(&cache, &segment, &value);
        check(&cache, &segment, &value);
        assert_eq!(reads.load(Ordering::Relaxed), 2);
        assert_eq!(places(&cache), 0);
    }

    #[test]
    fn a_failed_read_is_an_error_and_leaves_nothing_behind() {
        let (fs, reads) = disk();
        let (segment, cache) = (segment(&fs, 1), Cache::new(1 << 20));
        let values = spread(&segment, 1);
        fs.fail_nth(1, Fault::Io, is_read);
        let failed = cache.read_value(&segment, b"key", &values[0].0);
        assert!(matches!(failed, Err(Error::Io { .. })), "{failed:?}");
        assert_eq!((places(&cache), full_slots(&segment)), (0, 0));
        check(&cache, &segment, &values[0]);
        check(&cache, &segment, &values[0]);
        assert_eq!(reads.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_value_that_does_not_match_its_checksum_is_as_damaged_as_its_file() {
        let (fs, _) = disk();
        let (segment, cache) = (segment(&fs, 1), Cache::new(1 << 20));
        let (damaged, other) = (append(&segment, 1, 100), append(&segment, 2, 100));
        let flip = || fs.flip_bit(&segment.path, u64::from(damaged.0.offset), 3);
        flip();
        for _ in 0..2 {
            let found = cache.read_value(&segment, b"key", &damaged.0);
            assert!(matches!(found, Err(Error::Corrupt { .. })), "{found:?}");
            check(&cache, &segment, &other);
        }
        // Now only the memory is damaged.
        flip();
        check(&cache, &segment, &damaged);
    }

    #[test]
    fn a_spot_gives_only_the_whole_value_of_its_key_from_one_block() {
        let (fs, _) = disk();
        let (segment, cache) = (segment(&fs, 1), Cache::new(1 << 20));
        let place = |(version, value): &(Version, Vec<u8>)| Spot {
            segment: 1,
            offset: version.offset,
            len: value.len() as u32,
        };
        let read = |cache: &Cache, key: &[u8], spot| cache.read_spot(&segment, key, spot).unwrap();
        let pair = |mark: u8, len: usize| {
            segment.write(b"key", segment.size()).unwrap();
            append(&segment, mark, len)
        };
        let (damaged, whole) = (pair(1, 100), pair(2, 100));
        let across = pair(3, BLOCK);
        fs.flip_bit(&segment.path, u64::from(damaged.0.offset) + 50, 3);
        fs.fail_nth(1, Fault::Io, is_read);
        let failed = cache.read_spot(&segment, b"key", place(&whole));
        assert!(matches!(failed, Err(Error::Io { .. })), "{failed:?}");
        assert_eq!(read(&cache, b"key", place(&whole)).unwrap(), whole.1);
        assert_eq!(read(&cache, b"key", place(&damaged)), None);
        assert_eq!(read(&Cache::new(0), b"key", place(&whole)), None);
        assert_eq!(read(&cache, b"other key", place(&whole)), None);
        assert_eq!(read(&cache, &[0; BLOCK], place(&whole)), None);
        assert_eq!(read(&cache, b"key", place(&across)), None);
        let beyond = Spot {
            offset: segment.size() as u32,
            ..place(&whole)
        };
        assert_eq!(read(&cache, b"key", beyond), None);
    }

    #[test]
    fn threads_that_miss_at_once_keep_each_block_once() {
        let (fs, _) = disk();
        let (segment, cache) = (segment(&fs, 1), Cache::new(5 * COST));
        let values = spread(&segment, 12);
        thread::scope(|scope| {
            for seed in 0..4 {
                let (cache, segment, values) = (&cache, &segment, &values);
                scope.spawn(move || {
                    let mut random = SplitMix64::new(seed);
                    for _ in 0..3000 {
                        let at = random.below(values.len() as u64) as usize;
                        check(cache, segment, &values[at]);
                    }
                });
            }
        });
        assert_eq!((places(&cache), full_slots(&segment)), (5, 5));
    }

    #[test]
    fn an_engine_reads_a_working_set_that_fits_only_once_and_forgets_compacted_segments() {
        let (fs, reads) = disk();
        let options = Options {
            segment_bytes: 64 << 10,
            reserve_bytes: 0,
            background: false,
            files: Arc::new(fs),
            ..Options::default()
        };
        let engine = LogEngine::open(Path::new("/data"), options).unwrap();
        let key = |at: u32| Bytes::from(format!("{at:05}"));
        let fill = |round: u8| {
            for at in 0..2000 {
                engine.put(&key(at), &[round; 100]).unwrap();
            }
        };
        let read = |round: u8| {
            let before = reads.load(Ordering::Relaxed);
            // A stride visits all keys far from the order of writing.
            for at in 0..2000 {
                let value = engine.get(&key(at * 777 % 2000)).unwrap().unwrap();
                assert_eq!(value, vec![round; 100]);
            }
            reads.load(Ordering::Relaxed) - before
        };
        fill(1);
        let blocks = engine.stats().disk_bytes as usize / BLOCK + engine.stats().segments;
        assert!((1..=blocks).contains(&read(1)));
        assert_eq!(read(1), 0);
        let old: Vec<_> = engine
            .shared
            .segments
            .all()
            .iter()
            .map(Arc::downgrade)
            .collect();
        fill(2);
        engine.maintain().unwrap();
        assert!(engine.stats().compacted_segments > 0);
        assert!(old.iter().any(|segment| segment.upgrade().is_none()));
        assert!((1..=blocks).contains(&read(2)));
        assert_eq!(read(2), 0);
    }
}
