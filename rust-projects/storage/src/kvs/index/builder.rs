//! Building the tree from sorted entries.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::leaf::{LEAF_MAX, Leaf, LeafBuilder, record_words};
use super::node::{Child, Mid, Node};
use super::version::Version;
use super::{Index, MID_MAX, separator};

/// Builds an index from keys in ascending order, for recovery.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    mids: Vec<Child<Mid>>,
    leaves: Vec<Child<Leaf>>,
    /// The keys of the next leaf, where each ends, and what is known of each.
    bytes: Vec<u8>,
    ends: Vec<usize>,
    versions: Vec<(Version, u32)>,
    /// The last key of the leaf before.
    before: Vec<u8>,
}

impl Builder {
    /// Leaves are left with room for a sixth more, mids for a third.
    const LEAF_FILL: usize = LEAF_MAX * 6 / 7;
    const MID_FILL: usize = MID_MAX * 3 / 4;
    /// Cells left in a leaf, so that not every first write copies one.
    const ROOM: usize = 2;

    /// Appends a key greater than all before.
    pub(crate) fn push(&mut self, key: &[u8], version: Version, stale: u32) {
        self.bytes.extend_from_slice(key);
        self.ends.push(self.bytes.len());
        self.versions.push((version, stale));
        if self.ends.len() == Self::LEAF_FILL {
            self.end_leaf();
        }
    }

    fn end_leaf(&mut self) {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let spans: Vec<(usize, usize)> = starts.zip(self.ends.iter().copied()).collect();
        let words = spans.iter().map(|(start, end)| record_words(end - start));
        let mut leaf = LeafBuilder::new(spans.len(), words.sum(), Self::ROOM);
        for (&(start, end), &(version, stale)) in spans.iter().zip(&self.versions) {
            leaf.push(&self.bytes[start..end], version, stale);
        }
        let first = spans
            .first()
            .map_or(&[][..], |&(_, end)| &self.bytes[..end]);
        let bound = separator(&self.before, first).into();
        if let Some(&(start, end)) = spans.last() {
            self.before.clear();
            self.before.extend_from_slice(&self.bytes[start..end]);
        }
        self.bytes.clear();
        self.ends.clear();
        self.versions.clear();
        self.leaves.push((bound, Arc::new(leaf.finish())));
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
        if !self.ends.is_empty() || nothing {
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
