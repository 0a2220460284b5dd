//! Building a leaf, from keys in order or from another leaf's records.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64};

use arc_swap::ArcSwapOption;
use bytes::Bytes;

use super::super::version::{Positions, Version};
use super::{
    At, CELLS, Cell, INLINE_KEY, LEAF_MAX, LONG, Leaf, Links, POSITION_BITS, RECORD, Spot,
    cell_word, fingerprint, probe, record_words, stored_key_words, words_of,
};
use crate::Seq;

/// Builds a leaf key by key.
#[derive(Debug)]
pub(in crate::kvs::index) struct LeafBuilder {
    cells: [Cell; CELLS],
    came: [AtomicU8; LEAF_MAX],
    count: usize,
    puts: u32,
    newest: Seq,
    area: Vec<AtomicU64>,
    long_keys: Vec<Bytes>,
    room_words: usize,
}

impl LeafBuilder {
    /// For about `keys` keys that take `words` words, and room for more of the kind.
    pub(in crate::kvs::index) fn new(keys: usize, words: usize, room: usize) -> Self {
        // A leaf full of old versions is copied less often.
        let usual = words.div_ceil(keys.max(1)) * room;
        let room_words = usual.max(words / 8).max(record_words(INLINE_KEY));
        let mut builder = Self {
            cells: std::array::from_fn(|_| Cell::default()),
            came: std::array::from_fn(|_| AtomicU8::default()),
            count: 0,
            puts: 0,
            newest: 0,
            // Place 0 means none.
            area: Vec::with_capacity(1 + words + room_words),
            long_keys: Vec::new(),
            room_words,
        };
        builder.push_words([0]);
        builder
    }

    fn push_words(&mut self, words: impl IntoIterator<Item = u64>) {
        self.area.extend(words.into_iter().map(AtomicU64::new));
    }

    /// Adds a key with one version.
    pub(in crate::kvs::index) fn push(&mut self, key: &[u8], version: Version, stale: u32) {
        let record = At(self.area.len() as u32);
        let is_long = key.len() > INLINE_KEY;
        let links = Links {
            older: None,
            key_at: record.0 + RECORD as u32,
            key_len: if is_long { LONG } else { key.len() as u64 },
        };
        self.push_words(version.words(stale));
        self.push_words([links.word()]);
        if is_long {
            self.push_words([self.long_keys.len() as u64]);
            self.long_keys.push(Bytes::copy_from_slice(key));
        } else {
            self.push_words(words_of(key));
        }
        self.push_cell(fingerprint(key), record, version);
    }

    fn push_cell(&mut self, print: u32, record: At, version: Version) {
        let free = probe(print).find(|&at| *self.cells[at].word.get_mut() == 0);
        let free = free.expect("there are more cells than keys");
        self.cells[free] = Cell {
            word: cell_word(print, record).into(),
            spot: Spot::word(version).into(),
        };
        self.came[self.count] = AtomicU8::new(free as u8);
        self.count += 1;
        self.puts += u32::from(version.is_put());
        self.newest = self.newest.max(version.seq);
    }

    pub(super) fn push_record(
        &mut self,
        leaf: &Leaf,
        newest: At,
        print: u32,
        positions: &Positions,
    ) {
        let at = At(self.area.len() as u32);
        let links = leaf.links(newest);
        let mut kept = Links {
            older: None,
            key_at: at.0 + RECORD as u32,
            key_len: links.key_len,
        };
        // The key goes behind its newest record, the older versions behind the key.
        let older: Vec<Version> = leaf.seen(newest, positions).collect();
        let words = stored_key_words(links.key_len);
        let after_key = kept.key_at + words as u32;
        kept.older = (!older.is_empty()).then_some(At(after_key));
        let version = leaf.version(newest);
        self.push_words(version.words(leaf.stale(newest)));
        self.push_words([kept.word()]);
        if links.key_len == LONG {
            self.push_words([self.long_keys.len() as u64]);
            self.long_keys.push(leaf.long_key(links.key_at));
        } else {
            self.push_words((0..words).map(|word| leaf.word(links.key_at + word as u32)));
        }
        for (nth, version) in older.iter().enumerate() {
            let next = after_key + ((nth + 1) * RECORD) as u32;
            kept.older = (nth + 1 < older.len()).then_some(At(next));
            self.push_words(version.words(0));
            self.push_words([kept.word()]);
        }
        self.push_cell(print, at, version);
    }

    /// The leaf.
    pub(in crate::kvs::index) fn finish(mut self) -> Leaf {
        let used = self.area.len();
        let words = used + self.room_words;
        assert!(words < 1 << POSITION_BITS, "a leaf of {words} words");
        self.area.resize_with(words, AtomicU64::default);
        Leaf {
            newest: AtomicU64::new(self.newest),
            count: AtomicU32::new(self.count as u32),
            removed: AtomicU32::new(0),
            used: AtomicU32::new(used as u32),
            puts: AtomicU32::new(self.puts),
            cells: self.cells,
            area: self.area.into(),
            order: ArcSwapOption::empty(),
            came: self.came,
            long_keys: ArcSwapOption::from(
                (!self.long_keys.is_empty()).then(|| Arc::new(self.long_keys)),
            ),
        }
    }
}
