//! A leaf: a few dozen keys in no order, changed in place by one writer under the eyes of its readers.
//!
//! ```text
//!   cells   [ - | print|record, spot | - | - | print|record, spot | ... ]    a hash table: two words per key
//!   area    [ - | record key | record key | record | ... room ]   only ever appended to
//!   record  seq | segment, offset | length, stale | older record, key's place, key's length
//! ```
//!
//! A new key is written to the area and then to the first free cell from where its fingerprint points. A new version of
//! a key is written to the area, linked to the version before, and then its cell is made to point at it. Each of these
//! is published by one store of one word, so a reader never waits and never sees half of anything. What compaction moves
//! changes its place in the record, again one word. Nothing else that a reader can reach ever changes; when cells or area
//! are full, the leaf is replaced by a tidier one, and who still holds the old one finds there what it held.
//!
//! # The short way of a point read
//!
//! A record is one more place in memory that no cache holds, and most reads want only where the newest value stands. So
//! the cell says that too, in its [`Spot`], one word beside the other. A cell belongs to one key for as long as the leaf
//! lives, so whatever spot a reader finds there was that key's newest at some moment, and the two words need not agree.
//! Whether the reader may see it, [`Leaf::newest`] tells for the whole leaf; whether it is the right key and not another
//! with the same fingerprint, the key that stands before the value in the log. Where any of this does not hold, the reader
//! goes by the record.

mod build;
mod order;
mod sorted;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use bytes::Bytes;

pub(super) use self::build::LeafBuilder;
use self::order::Ordered;
use super::version::{Entry, Positions, Spot, Version};
use crate::Seq;

/// Cells of a leaf.
const CELLS: usize = 128;
/// Most keys in a leaf. The cells that are never used end every search.
pub(super) const LEAF_MAX: usize = CELLS * 7 / 8;
/// Keys and versions that a tidied leaf has room for: one of half the keys is tidied once before it is halved again.
const ROOM: usize = LEAF_MAX / 4;
/// Words of a record.
const RECORD: usize = 4;
/// Longest key kept in the area, in bytes; longer ones have an allocation of their own.
const INLINE_KEY: usize = 64;
/// Length that marks a key with its own allocation.
const LONG: u64 = 0xffff;
/// Bits of a position in the area. A leaf has at most `LEAF_MAX` keys, each with as many versions as positions that
/// somebody reads at, so this is more than there can be.
const POSITION_BITS: u32 = 24;

/// What a leaf says of a key, in one cache line.
#[derive(Debug, Default)]
#[repr(align(16))]
struct Cell {
    /// The fingerprint of the key and the place of its newest record, 0 after the key was removed. A cell that was never
    /// used is 0 as a whole.
    word: AtomicU64,
    /// The [`Spot`] of its newest version, 0 if it has none.
    spot: AtomicU64,
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Leaf {
    /// No version here is newer.
    newest: AtomicU64,
    /// Cells in use; the writer's.
    count: AtomicU32,
    /// Cells whose key was removed; the writer's.
    removed: AtomicU32,
    /// Words of the area in use; the writer's.
    used: AtomicU32,
    /// At least as many as there are keys whose newest version is a value.
    puts: AtomicU32,
    /// Here, not behind a pointer: a search that knows the leaf goes on to its cells at once.
    cells: [Cell; CELLS],
    area: Box<[AtomicU64]>,
    long_keys: ArcSwapOption<Vec<Bytes>>,
    /// For scans; none before the first.
    order: ArcSwapOption<Ordered>,
    /// The cells in use, in the order in which their keys came to the leaf.
    came: [AtomicU8; LEAF_MAX],
}

/// The leaf has no room for a change: tidy it first.
#[derive(Debug)]
pub(super) struct Full;

/// A record's place in the area.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct At(u32);

/// The first word of a cell.
fn cell_word(print: u32, record: At) -> u64 {
    u64::from(print) << 32 | u64::from(record.0)
}

/// The cells in which a key with fingerprint `print` may be, in the order in which they are tried.
fn probe(print: u32) -> impl Iterator<Item = usize> {
    let start = print as usize;
    (start..start + CELLS).map(|at| at % CELLS)
}

/// The bytes of a key as words that compare as the bytes do, the last one filled with zeros.
fn words_of(key: &[u8]) -> impl Iterator<Item = u64> + '_ {
    let (whole, rest) = key.as_chunks::<8>();
    let last = (!rest.is_empty()).then(|| {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        u64::from_be_bytes(word)
    });
    whole
        .iter()
        .map(|&word| u64::from_be_bytes(word))
        .chain(last)
}

/// A few bits of a key that tell most keys apart (fingerprints: Oukid et al., FPTree, SIGMOD 2016, section 4.2).
pub(super) fn fingerprint(key: &[u8]) -> u32 {
    let fold = |hash: u64, word: u64| {
        let product = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        product ^ product >> 32
    };
    let mut hash = key.len() as u64;
    if key.len() <= INLINE_KEY {
        hash = words_of(key).fold(hash, fold);
    } else {
        let ends = [&key[..INLINE_KEY / 2], &key[key.len() - INLINE_KEY / 2..]];
        hash = ends.into_iter().flat_map(words_of).fold(hash, fold);
    }
    // Never 0: that is a cell without a key.
    hash as u32 | 1 << 31
}

/// The last word of a record.
#[derive(Debug, Clone, Copy)]
struct Links {
    older: Option<At>,
    key_at: u32,
    key_len: u64,
}

impl Links {
    fn word(self) -> u64 {
        let older = self.older.map_or(0, |older| older.0);
        u64::from(older) << (POSITION_BITS + 16) | u64::from(self.key_at) << 16 | self.key_len
    }

    fn of(word: u64) -> Self {
        let mask = (1 << POSITION_BITS) - 1;
        let older = (word >> (POSITION_BITS + 16)) as u32;
        Self {
            older: (older != 0).then_some(At(older)),
            key_at: (word >> 16) as u32 & mask,
            key_len: word & LONG,
        }
    }
}

/// Reading.
impl Leaf {
    /// Keys in the leaf.
    pub(super) fn len(&self) -> usize {
        (self.count.load(Ordering::Relaxed) - self.removed.load(Ordering::Relaxed)) as usize
    }

    fn word(&self, at: u32) -> u64 {
        self.area[at as usize].load(Ordering::Relaxed)
    }

    fn links(&self, record: At) -> Links {
        Links::of(self.word(record.0 + 3))
    }

    /// The cell and the newest record of `key`, whose fingerprint is `print`.
    fn find(&self, key: &[u8], print: u32) -> Option<(usize, At)> {
        for at in probe(print) {
            let word = self.cells[at].word.load(Ordering::Acquire);
            let record = At(word as u32);
            if word == 0 {
                return None;
            }
            if (word >> 32) as u32 == print && record.0 != 0 && self.has_key(record, key) {
                return Some((at, record));
            }
        }
        None
    }

    /// Where the newest value of a key with this fingerprint stands, if all versions here are at or before `seq` and
    /// the key has such a spot. The key may be another.
    pub(super) fn spot(&self, print: u32, seq: Seq) -> Option<Spot> {
        for at in probe(print) {
            let cell = &self.cells[at];
            let word = cell.word.load(Ordering::Acquire);
            if (word >> 32) as u32 == print && word as u32 != 0 {
                let spot = Spot::of_word(cell.spot.load(Ordering::Acquire))?;
                // After the spot: whoever changed it raised this before.
                return (self.newest.load(Ordering::Acquire) <= seq).then_some(spot);
            }
            if word == 0 {
                return None;
            }
        }
        None
    }

    /// Whether a reader at `seq` surely finds no value here: so a scan passes over what was deleted and is not yet forgotten.
    pub(super) fn shows_nothing(&self, seq: Seq) -> bool {
        // In this order: whoever deleted the last value told its position before.
        self.puts.load(Ordering::Acquire) == 0 && self.newest.load(Ordering::Acquire) <= seq
    }

    /// Brings the first cell for `print` near the processor, and what says where the room of the area is.
    pub(super) fn warm_cell(&self, print: u32) {
        let cell = &self.cells[print as usize % CELLS];
        std::hint::black_box(cell.word.load(Ordering::Relaxed));
        std::hint::black_box(self.used.load(Ordering::Relaxed));
    }

    /// Brings the room at the end of the area near the processor.
    pub(super) fn warm_room(&self) {
        let used = self.used.load(Ordering::Relaxed) as usize;
        std::hint::black_box(self.area.get(used).map(|word| word.load(Ordering::Relaxed)));
    }

    /// The newest record of `key`.
    pub(super) fn newest_record(&self, key: &[u8], print: u32) -> Option<At> {
        self.find(key, print).map(|(_, record)| record)
    }

    fn has_key(&self, record: At, key: &[u8]) -> bool {
        let Links {
            key_at, key_len, ..
        } = self.links(record);
        if key_len == LONG {
            return self.long_key(key_at) == key;
        }
        let stored = self.area[key_at as usize..].iter();
        key_len == key.len() as u64
            && words_of(key)
                .zip(stored)
                .all(|(word, stored)| word == stored.load(Ordering::Relaxed))
    }

    fn long_key(&self, key_at: u32) -> Bytes {
        let at = self.word(key_at) as usize;
        let keys = self.long_keys.load();
        // It was stored before the record that speaks of it was published.
        keys.as_ref().expect("a long key was stored")[at].clone()
    }

    /// Appends the key of `record` to `out`.
    pub(super) fn copy_key(&self, record: At, out: &mut Vec<u8>) {
        let Links {
            key_at, key_len, ..
        } = self.links(record);
        if key_len == LONG {
            return out.extend_from_slice(&self.long_key(key_at));
        }
        let mut left = key_len as usize;
        let mut at = key_at;
        while left > 0 {
            let len = left.min(8);
            out.extend_from_slice(&self.word(at).to_be_bytes()[..len]);
            left -= len;
            at += 1;
        }
    }

    pub(super) fn version(&self, record: At) -> Version {
        let place = self.area[record.0 as usize + 1].load(Ordering::Acquire);
        Version::of_words([self.word(record.0), place, self.word(record.0 + 2)])
    }

    fn stale(&self, record: At) -> u32 {
        self.word(record.0 + 2) as u32
    }

    /// `record` and the records of the key's older versions, newest first.
    fn chain(&self, record: At) -> impl Iterator<Item = At> + '_ {
        std::iter::successors(Some(record), |&record| self.links(record).older)
    }

    /// The versions before the newest one that somebody at `positions` can see, newest first.
    fn seen<'a>(
        &'a self,
        newest: At,
        positions: &'a Positions,
    ) -> impl Iterator<Item = Version> + 'a {
        let mut before = self.version(newest).seq;
        let older = self.chain(newest).skip(1);
        older
            .map(|record| self.version(record))
            .filter(move |version| {
                let until = std::mem::replace(&mut before, version.seq);
                positions.any_in(version.seq, until)
            })
    }

    /// The newest version at or before `seq` of the key whose newest record is `record`.
    pub(super) fn visible_at(&self, record: At, seq: Seq) -> Option<Version> {
        self.chain(record)
            .map(|record| self.version(record))
            .find(|version| version.seq <= seq)
    }

    pub(super) fn entry(&self, record: At) -> Entry {
        let mut versions = self.chain(record).map(|record| self.version(record));
        let newest = versions.next().expect("a chain has its head");
        Entry::new(newest, versions.collect(), self.stale(record))
    }
}

/// Changing in place. One writer at a time.
impl Leaf {
    /// Makes `version` the newest of `key`; the version that was.
    pub(super) fn set(
        &self,
        key: &[u8],
        print: u32,
        version: Version,
    ) -> Result<Option<Version>, Full> {
        let Some((at, old)) = self.find(key, print) else {
            self.insert(key, print, version)?;
            return Ok(None);
        };
        let before = self.version(old);
        let links = self.links(old);
        let stale = self.stale(old) + u32::from(before.is_put());
        // Of two changes of one batch nobody may see the first.
        let older = match before.seq == version.seq {
            true => links.older,
            false => Some(old),
        };
        let record = self.append(RECORD)?;
        self.write(record, version, stale, Links { older, ..links });
        self.publish(at, print, record, version);
        if before.is_put() {
            self.puts.fetch_sub(1, Ordering::Release);
        }
        Ok(Some(before))
    }

    fn insert(&self, key: &[u8], print: u32, version: Version) -> Result<(), Full> {
        let count = self.count.load(Ordering::Relaxed);
        if count as usize == LEAF_MAX {
            return Err(Full);
        }
        let record = self.append(record_words(key.len()))?;
        let key_at = record.0 + RECORD as u32;
        let key_len = if key.len() > INLINE_KEY {
            let mut keys = self
                .long_keys
                .load()
                .as_ref()
                .map_or_else(Vec::new, |keys| keys.to_vec());
            self.area[key_at as usize].store(keys.len() as u64, Ordering::Relaxed);
            keys.push(Bytes::copy_from_slice(key));
            self.long_keys.store(Some(Arc::new(keys)));
            LONG
        } else {
            for (at, word) in words_of(key).enumerate() {
                self.area[key_at as usize + at].store(word, Ordering::Relaxed);
            }
            key.len() as u64
        };
        let links = Links {
            older: None,
            key_at,
            key_len,
        };
        self.write(record, version, 0, links);
        let free = probe(print).find(|&at| self.cells[at].word.load(Ordering::Relaxed) == 0);
        let free = free.expect("there are more cells than keys");
        self.publish(free, print, record, version);
        self.came[count as usize].store(free as u8, Ordering::Relaxed);
        // For `order`: whoever sees a later count sees this key.
        self.count.store(count + 1, Ordering::Release);
        Ok(())
    }

    /// Shows `record`, which is complete, as the newest of its key.
    fn publish(&self, at: usize, print: u32, record: At, version: Version) {
        // In this order: see [`Leaf::shows_nothing`] and [`Leaf::spot`].
        if version.is_put() {
            self.puts.fetch_add(1, Ordering::Release);
        }
        self.newest.fetch_max(version.seq, Ordering::Release);
        self.cells[at]
            .spot
            .store(Spot::word(version), Ordering::Release);
        self.cells[at]
            .word
            .store(cell_word(print, record), Ordering::Release);
    }

    fn append(&self, words: usize) -> Result<At, Full> {
        let used = self.used.load(Ordering::Relaxed);
        if used as usize + words > self.area.len() {
            return Err(Full);
        }
        self.used.store(used + words as u32, Ordering::Relaxed);
        Ok(At(used))
    }

    fn write(&self, record: At, version: Version, stale: u32, links: Links) {
        let [seq, place, len] = version.words(stale);
        for (at, word) in [seq, place, len, links.word()].into_iter().enumerate() {
            self.area[record.0 as usize + at].store(word, Ordering::Relaxed);
        }
    }

    /// Gives the version `from` of a key its new place; whether it is the newest, `None` if there is no such version.
    pub(super) fn relocate(
        &self,
        key: &[u8],
        print: u32,
        from: Version,
        to: Version,
    ) -> Option<bool> {
        let (at, newest) = self.find(key, print)?;
        let record = self
            .chain(newest)
            .find(|&record| self.version(record) == from)?;
        let [_, place, _] = to.words(0);
        self.area[record.0 as usize + 1].store(place, Ordering::Release);
        if record == newest {
            self.cells[at].spot.store(Spot::word(to), Ordering::Release);
        }
        Some(record == newest)
    }

    /// Counts one superseded put record less; how many are left.
    pub(super) fn forget_stale(&self, newest: At) -> u32 {
        let stale = self.stale(newest).saturating_sub(1);
        let [_, _, len] = self.version(newest).words(stale);
        self.area[newest.0 as usize + 2].store(len, Ordering::Relaxed);
        stale
    }

    /// Removes a key. Who found its record before still reads it.
    pub(super) fn remove(&self, key: &[u8], print: u32) -> bool {
        let Some((at, record)) = self.find(key, print) else {
            return false;
        };
        self.cells[at].spot.store(0, Ordering::Release);
        self.cells[at]
            .word
            .store(cell_word(print, At(0)), Ordering::Release);
        if self.version(record).is_put() {
            self.puts.fetch_sub(1, Ordering::Release);
        }
        self.removed.fetch_add(1, Ordering::Relaxed);
        true
    }
}

/// Words that a record with a key of `len` bytes takes in the area.
pub(super) fn record_words(len: usize) -> usize {
    RECORD + stored_key_words(if len > INLINE_KEY { LONG } else { len as u64 })
}

/// Words that a key takes in the area, by the length in its record.
fn stored_key_words(len: u64) -> usize {
    match len {
        LONG => 1,
        len => len.div_ceil(8) as usize,
    }
}
