//! A leaf as a scan sees it: its keys of the range in order, as they were when the scan came by.

use std::sync::Arc;

use super::leaf::{At, Leaf};
use super::version::Version;
use crate::{KeyRange, Seq};

/// The keys of a leaf in a range, in order, with all versions that were published before.
#[derive(Debug)]
pub(crate) struct LeafView {
    leaf: Arc<Leaf>,
    records: Vec<At>,
    keys: Vec<u8>,
    ends: Vec<usize>,
}

impl LeafView {
    /// For a reader at `seq`: none of them where it finds no value anyway.
    pub(super) fn new(leaf: Arc<Leaf>, range: &KeyRange, seq: Seq) -> Self {
        let records = match leaf.shows_nothing(seq) {
            true => Vec::new(),
            false => leaf.records_within(range),
        };
        let mut keys = Vec::new();
        let mut ends = Vec::with_capacity(records.len());
        for &record in &records {
            leaf.copy_key(record, &mut keys);
            ends.push(keys.len());
        }
        Self {
            leaf,
            records,
            keys,
            ends,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn key(&self, at: usize) -> &[u8] {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.keys[start..self.ends[at]]
    }

    /// The version of key `at` that a reader at `seq` sees.
    pub(crate) fn visible_at(&self, at: usize, seq: Seq) -> Option<Version> {
        self.leaf.visible_at(self.records[at], seq)
    }

    /// Index of the first key at or after `key`.
    pub(crate) fn lower_bound(&self, key: &[u8]) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.key(middle) < key {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}
