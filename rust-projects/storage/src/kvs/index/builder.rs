//! Building the tree from sorted entries.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::node::{Leaf, Mid, Node, PackedKeys};
use super::version::Entry;
use super::{Index, LEAF_MAX, MID_MAX};

/// Builds an index from entries in ascending key order, for recovery.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    mids: Vec<(Box<[u8]>, Arc<Mid>)>,
    leaves: Vec<(Box<[u8]>, Arc<Leaf>)>,
    ends: Vec<usize>,
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

impl Builder {
    /// Leaves and mids are left with room for a third more.
    const LEAF_FILL: usize = LEAF_MAX * 3 / 4;
    const MID_FILL: usize = MID_MAX * 3 / 4;

    /// Appends a key greater than all before.
    pub(crate) fn push(&mut self, key: &[u8], entry: Entry) {
        self.bytes.extend_from_slice(key);
        self.ends.push(self.bytes.len());
        self.entries.push(entry);
        if self.entries.len() == Self::LEAF_FILL {
            self.end_leaf();
        }
    }

    fn end_leaf(&mut self) {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let spans = starts.zip(&self.ends);
        let keys: PackedKeys = spans.map(|(start, &end)| &self.bytes[start..end]).collect();
        let first = self.mids.is_empty() && self.leaves.is_empty();
        let bound = if first {
            Box::default()
        } else {
            keys.get(0).into()
        };
        let entries = std::mem::take(&mut self.entries).into();
        self.ends.clear();
        self.bytes.clear();
        self.leaves.push((bound, Arc::new(Leaf { keys, entries })));
        if self.leaves.len() == Self::MID_FILL {
            self.end_mid();
        }
    }

    fn end_mid(&mut self) {
        let leaves = std::mem::take(&mut self.leaves);
        let bound = leaves[0].0.clone();
        self.mids.push((bound, Arc::new(Node::of(leaves))));
    }

    /// The index.
    pub(crate) fn finish(mut self) -> Index {
        let nothing = self.mids.is_empty() && self.leaves.is_empty();
        if !self.entries.is_empty() || nothing {
            self.end_leaf();
        }
        if !self.leaves.is_empty() {
            self.end_mid();
        }
        Index {
            top: ArcSwap::from_pointee(Node::of(self.mids)),
        }
    }
}
