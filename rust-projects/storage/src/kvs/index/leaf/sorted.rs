//! A leaf's keys, in order where that matters: for scans, and for the tidy leaf or the two that replace a full one.

use std::cmp::Ordering as Order;
use std::sync::atomic::Ordering;

use super::super::version::Positions;
use super::{At, LEAF_MAX, LONG, Leaf, LeafBuilder, RECORD, ROOM, stored_key_words, words_of};

/// The keys of a leaf.
#[derive(Debug)]
pub(in crate::kvs::index) struct Listed<'a> {
    leaf: &'a Leaf,
    records: [(At, u32); LEAF_MAX],
    len: usize,
}

impl Leaf {
    /// The keys in no order, which is enough for a leaf that replaces this one alone.
    pub(in crate::kvs::index) fn listed(&self) -> Listed<'_> {
        let mut records = [(At(0), 0); LEAF_MAX];
        let mut len = 0;
        for cell in &self.cells {
            let word = cell.word.load(Ordering::Acquire);
            let record = At(word as u32);
            if record.0 != 0 {
                records[len] = (record, (word >> 32) as u32);
                len += 1;
            }
        }
        Listed {
            leaf: self,
            records,
            len,
        }
    }

    /// The keys in order.
    pub(in crate::kvs::index) fn sorted(&self) -> Listed<'_> {
        let mut listed = self.listed();
        let records = &mut listed.records[..listed.len];
        let mut keyed = [(0, At(0), 0); LEAF_MAX];
        let keyed = &mut keyed[..records.len()];
        for (keyed, &(record, print)) in keyed.iter_mut().zip(&*records) {
            *keyed = (self.key_head(record), record, print);
        }
        self.sort(keyed);
        for (to, &(_, record, print)) in records.iter_mut().zip(&*keyed) {
            *to = (record, print);
        }
        listed
    }

    /// Sorts records by their keys, whose [`Leaf::key_head`] is beside them.
    pub(super) fn sort<T>(&self, keyed: &mut [(u64, At, T)]) {
        keyed.sort_unstable_by(|(head, record, _), (other, other_record, _)| {
            head.cmp(other)
                .then_with(|| self.compare_keys(*record, *other_record))
        });
    }

    pub(super) fn compare_keys(&self, one: At, other: At) -> Order {
        let [a, b] = [one, other].map(|record| self.links(record));
        if a.key_len == LONG || b.key_len == LONG {
            let [mut a, mut b] = [Vec::new(), Vec::new()];
            self.copy_key(one, &mut a);
            self.copy_key(other, &mut b);
            return a.cmp(&b);
        }
        let words = a.key_len.min(b.key_len).div_ceil(8) as u32;
        (0..words)
            .map(|word| self.word(a.key_at + word))
            .cmp((0..words).map(|word| self.word(b.key_at + word)))
            .then(a.key_len.cmp(&b.key_len))
    }

    /// Where the key of `record` stands to `key`.
    pub(super) fn compare_key(&self, record: At, key: &[u8]) -> Order {
        let links = self.links(record);
        if links.key_len == LONG {
            return self.long_key(links.key_at)[..].cmp(key);
        }
        let len = key.len() as u64;
        let words = links.key_len.min(len).div_ceil(8) as usize;
        let stored = (links.key_at..).map(|at| self.word(at));
        stored
            .take(words)
            .cmp(words_of(key).take(words))
            .then(links.key_len.cmp(&len))
    }

    /// The first bytes of a key, as a number that compares as they do.
    pub(super) fn key_head(&self, record: At) -> u64 {
        let links = self.links(record);
        match links.key_len {
            0 => 0,
            LONG => words_of(&self.long_key(links.key_at)).next().unwrap_or(0),
            _ => self.word(links.key_at),
        }
    }
}

impl Listed<'_> {
    pub(in crate::kvs::index) fn len(&self) -> usize {
        self.len
    }

    pub(in crate::kvs::index) fn records(&self) -> impl Iterator<Item = At> + '_ {
        self.records[..self.len].iter().map(|&(record, _)| record)
    }

    pub(in crate::kvs::index) fn key(&self, at: usize) -> Vec<u8> {
        let mut key = Vec::new();
        self.leaf.copy_key(self.records[at].0, &mut key);
        key
    }

    /// Whether some key has older versions.
    pub(in crate::kvs::index) fn has_chains(&self) -> bool {
        self.records()
            .any(|record| self.leaf.links(record).older.is_some())
    }

    /// Words that the keys `from..to` take with their newest records.
    pub(in crate::kvs::index) fn words(&self, from: usize, to: usize) -> usize {
        self.records[from..to]
            .iter()
            .map(|(record, _)| RECORD + stored_key_words(self.leaf.links(*record).key_len))
            .sum()
    }

    /// A tidy leaf with the keys `from..to` and of their versions those that somebody at `positions` can see.
    pub(in crate::kvs::index) fn leaf(
        &self,
        from: usize,
        to: usize,
        positions: &Positions,
    ) -> Leaf {
        let mut leaf = LeafBuilder::new(to - from, self.words(from, to), ROOM);
        self.copy_to(from, to, &mut leaf, positions);
        leaf.finish()
    }

    /// Both leaves in one, this one's keys being the smaller ones.
    pub(in crate::kvs::index) fn joined(&self, right: &Self, positions: &Positions) -> Leaf {
        let words = self.words(0, self.len) + right.words(0, right.len);
        let mut leaf = LeafBuilder::new(self.len + right.len, words, ROOM);
        self.copy_to(0, self.len, &mut leaf, positions);
        right.copy_to(0, right.len, &mut leaf, positions);
        leaf.finish()
    }

    fn copy_to(&self, from: usize, to: usize, leaf: &mut LeafBuilder, positions: &Positions) {
        for &(record, print) in &self.records[from..to] {
            leaf.push_record(self.leaf, record, print, positions);
        }
    }
}
