//! The ordered index in memory: key -> versions, each a place on disk.
//!
//! # What it is
//!
//! A tree of three levels whose nodes never change once readers can see them: the writer copies a node, changes the
//! copy and swaps one pointer (read-copy-update; McKenney and Slingwine, PDCS 1998). Leaves hold at most
//! [`LEAF_MAX`] keys, packed into one allocation.
//!
//! ```text
//!   top    [ ""            ...           "m" ... ]      lower bound of each child
//!            |                            |
//!   mids   [ "" "c" "f" ]               [ "m" "q" ]     at most MID_MAX leaves each
//!            |   |   |                    |   |
//!   leaves [a b] [c d e] ...             ...            keys packed, one entry each
//! ```
//!
//! # What it guarantees
//!
//! Readers take no lock. A point read sees, for its key, at least every version published before it began. Versions
//! that a registered snapshot can see are kept (the caller passes the floor below which only the newest is needed).
//!
//! # What it does not
//!
//! It has one writer at a time; the engine's writer lock provides that. Nodes are not rebalanced when they empty, only
//! merged with their right neighbour or removed.
//!
//! # How a split stays invisible
//!
//! A leaf that overflows is replaced by two in a *new* mid; the old mid is not changed any more. A reader that still
//! holds it finds there everything that was published before the reader began, which is all it may rely on: it runs
//! at the same time as whatever came later.

mod builder;
mod node;
mod version;

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;

pub(super) use self::builder::Builder;
pub(super) use self::node::Leaf;
use self::node::{Mid, Top};
pub(super) use self::version::{Entry, Update, Version};
use crate::Seq;

/// Most keys in a leaf. Small, because each write copies one.
const LEAF_MAX: usize = 32;
/// Most leaves in a mid. Copied once per leaf split.
const MID_MAX: usize = 256;

/// The index. See the module's documentation.
pub(super) struct Index {
    top: ArcSwap<Top>,
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index").finish_non_exhaustive()
    }
}

impl Default for Index {
    fn default() -> Self {
        Builder::default().finish()
    }
}

impl Index {
    /// The version of `key` that `visible_at` allows. The position is asked for after the leaf was loaded, so that
    /// no version it admits can have been pruned from it.
    pub(super) fn get(&self, key: &[u8], visible_at: impl FnOnce() -> Seq) -> Option<Version> {
        let top = self.top.load();
        let mid = top.children[top.child_for(key)].load();
        let leaf = mid.children[mid.child_for(key)].load();
        let at = leaf.keys.search(key).ok()?;
        leaf.entries[at].visible_at(visible_at())
    }

    /// The entry of `key`.
    pub(super) fn entry(&self, key: &[u8]) -> Option<Entry> {
        let top = self.top.load();
        let mid = top.children[top.child_for(key)].load();
        let leaf = mid.children[mid.child_for(key)].load();
        let at = leaf.keys.search(key).ok()?;
        Some(leaf.entries[at].clone())
    }

    /// The leaf whose range holds `key`, and the lower bound of the leaf after it.
    pub(super) fn leaf_from(&self, key: &[u8]) -> (Arc<Leaf>, Option<Box<[u8]>>) {
        let top = self.top.load();
        let mid_at = top.child_for(key);
        let mid = top.children[mid_at].load();
        let leaf_at = mid.child_for(key);
        let next = if leaf_at + 1 < mid.children.len() {
            Some(mid.bounds.get(leaf_at + 1).into())
        } else {
            (mid_at + 1 < top.children.len()).then(|| top.bounds.get(mid_at + 1).into())
        };
        (mid.children[leaf_at].load_full(), next)
    }

    /// The last leaf that can hold keys below `key` (`None`: any), and its lower bound unless it is the first leaf.
    pub(super) fn leaf_before(&self, key: Option<&[u8]>) -> (Arc<Leaf>, Option<Box<[u8]>>) {
        let top = self.top.load();
        let mid_at = top.child_before(key);
        let mid = top.children[mid_at].load();
        let leaf_at = mid.child_before(key);
        let first = mid_at == 0 && leaf_at == 0;
        // The first leaf of a mid starts where the mid does; its own stored bound may be lower.
        let bound = if leaf_at == 0 {
            top.bounds.get(mid_at)
        } else {
            mid.bounds.get(leaf_at)
        };
        let bound = (!first).then(|| bound.into());
        (mid.children[leaf_at].load_full(), bound)
    }

    /// Changes the entry of `key`. One writer at a time. `floor`: no reader reads at an earlier position.
    pub(super) fn update(
        &self,
        key: &[u8],
        floor: Seq,
        change: impl FnOnce(Option<&Entry>) -> Update,
    ) {
        let top = self.top.load();
        let mid_at = top.child_for(key);
        let mid = top.children[mid_at].load();
        let leaf_at = mid.child_for(key);
        let cell = &mid.children[leaf_at];
        let leaf = cell.load();
        let at = leaf.keys.search(key);
        match (change(at.ok().map(|at| &leaf.entries[at])), at) {
            (Update::Keep, _) | (Update::Remove, Err(_)) => {}
            (Update::Set(entry), at) => {
                let new = leaf.with_set(at, key, entry, floor);
                if new.len() <= LEAF_MAX {
                    cell.store(Arc::new(new));
                } else {
                    self.split_leaf(&top, mid_at, &mid, leaf_at, &new);
                }
            }
            (Update::Remove, Ok(at)) => {
                let new = leaf.without(at);
                self.shrink_leaf(&top, mid_at, &mid, leaf_at, new);
            }
        }
    }

    fn split_leaf(&self, top: &Top, mid_at: usize, mid: &Mid, leaf_at: usize, full: &Leaf) {
        let middle = full.len() / 2;
        let bound = mid.bounds.get(leaf_at).into();
        let left = full.slice(0, middle);
        let right = full.slice(middle, full.len());
        let right_bound = right.key(0).into();
        let cells = vec![(bound, Arc::new(left)), (right_bound, Arc::new(right))];
        let new = mid.splice(leaf_at, 1, &cells);
        if new.children.len() <= MID_MAX {
            return top.children[mid_at].store(Arc::new(new));
        }
        let (left, right_bound, right) = new.halves();
        let cells = vec![
            (top.bounds.get(mid_at).into(), Arc::new(left)),
            (right_bound, Arc::new(right)),
        ];
        self.top.store(Arc::new(top.splice(mid_at, 1, &cells)));
    }

    /// Publishes a leaf that lost a key; an empty one goes, a small one joins its right neighbour.
    fn shrink_leaf(&self, top: &Top, mid_at: usize, mid: &Mid, leaf_at: usize, new: Leaf) {
        if new.len() == 0 && mid.children.len() > 1 {
            // The left neighbour (or, for the first leaf, the right one) takes over the range.
            let mid_new = if leaf_at > 0 {
                mid.splice(leaf_at, 1, &[])
            } else {
                let bound = mid.bounds.get(0).into();
                mid.splice(0, 2, &[(bound, mid.children[1].load_full())])
            };
            return top.children[mid_at].store(Arc::new(mid_new));
        }
        if new.len() == 0 && top.children.len() > 1 && mid_at > 0 {
            return self.top.store(Arc::new(top.splice(mid_at, 1, &[])));
        }
        if let Some(right) = mid.children.get(leaf_at + 1) {
            let right = right.load();
            if new.len() + right.len() <= LEAF_MAX / 2 {
                let bound = mid.bounds.get(leaf_at).into();
                let joined = Arc::new(new.concat(&right));
                let mid_new = mid.splice(leaf_at, 2, &[(bound, joined)]);
                return top.children[mid_at].store(Arc::new(mid_new));
            }
        }
        mid.children[leaf_at].store(Arc::new(new));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn all_forward(index: &Index) -> Vec<(Vec<u8>, Version)> {
        let mut found = Vec::new();
        let mut from: Box<[u8]> = Box::default();
        loop {
            let (leaf, next) = index.leaf_from(&from);
            for at in leaf.lower_bound(&from)..leaf.len() {
                found.push((leaf.key(at).to_vec(), leaf.entry(at).version()));
            }
            match next {
                Some(next) => from = next,
                None => return found,
            }
        }
    }

    fn all_reverse(index: &Index) -> Vec<(Vec<u8>, Version)> {
        let mut found = Vec::new();
        let mut before: Option<Box<[u8]>> = None;
        loop {
            let (leaf, low) = index.leaf_before(before.as_deref());
            let end = before
                .as_deref()
                .map_or(leaf.len(), |key| leaf.lower_bound(key));
            for at in (0..end).rev() {
                found.push((leaf.key(at).to_vec(), leaf.entry(at).version()));
            }
            match low {
                Some(low) => before = Some(low),
                None => return found,
            }
        }
    }

    fn put(index: &Index, key: &[u8], seq: Seq) {
        index.update(key, seq, |old| {
            let version = Version::put(seq, 1, seq as u32, 5);
            Update::Set(match old {
                Some(old) => old.superseded_by(version),
                None => Entry::new(version, 0),
            })
        });
    }

    #[test]
    fn keys_in_ascending_descending_and_mixed_order_are_found_in_order_both_ways() {
        let n = 20_000u32;
        let orders: [fn(u32) -> u32; 3] =
            [|i| i, |i| 20_000 - i, |i| i.wrapping_mul(2_654_435_761)];
        for order in orders {
            let index = Index::default();
            let mut model = BTreeMap::new();
            for i in 0..n {
                let key = order(i).to_be_bytes();
                put(&index, &key, u64::from(i) + 1);
                model.insert(key.to_vec(), u64::from(i) + 1);
            }
            let expected: Vec<_> = model.into_iter().collect();
            let seqs = |found: Vec<(Vec<u8>, Version)>| -> Vec<_> {
                found
                    .into_iter()
                    .map(|(key, version)| (key, version.seq))
                    .collect()
            };
            assert_eq!(seqs(all_forward(&index)), expected);
            let reversed: Vec<_> = expected.into_iter().rev().collect();
            assert_eq!(seqs(all_reverse(&index)), reversed);
        }
    }

    #[test]
    fn a_version_is_kept_while_the_floor_allows_reading_it() {
        let index = Index::default();
        let write = |seq, floor| {
            index.update(b"k", floor, |old| {
                let version = Version::put(seq, 1, 0, 1);
                Update::Set(old.map_or(Entry::new(version, 0), |old| old.superseded_by(version)))
            });
        };
        write(5, 0);
        write(8, 5);
        write(9, 6);
        let seen = |at| index.get(b"k", || at).map(|version| version.seq);
        assert_eq!(
            [seen(4), seen(6), seen(8), seen(9)],
            [None, Some(5), Some(8), Some(9)]
        );
        write(12, 9);
        assert_eq!([seen(8), seen(9), seen(12)], [None, Some(9), Some(12)]);
        assert_eq!(index.entry(b"k").unwrap().stale, 3);
    }

    #[test]
    fn a_version_moves_only_while_it_is_still_the_same() {
        let old = Version::put(3, 1, 40, 5);
        let entry = Entry::new(old, 0).superseded_by(Version::put(7, 1, 80, 5));
        let moved = entry.relocated(old, old.moved_to(2, 10)).unwrap();
        assert_eq!(moved.visible_at(3), Some(old.moved_to(2, 10)));
        assert_eq!(moved.visible_at(9), Some(Version::put(7, 1, 80, 5)));
        assert!(moved.relocated(old, old.moved_to(3, 0)).is_none());
    }

    proptest! {
        #[test]
        fn updates_and_removals_agree_with_an_ordered_map(
            steps in prop::collection::vec((0u16..600, prop::bool::weighted(0.6)), 1..3000),
            built in 0u16..600,
        ) {
            let mut model = BTreeMap::new();
            let mut builder = Builder::default();
            for i in 0..built {
                let key = i.to_be_bytes();
                builder.push(&key, Entry::new(Version::put(1, 1, 0, 1), 0));
                model.insert(key.to_vec(), 1);
            }
            let index = builder.finish();
            for (step, (key, is_put)) in steps.into_iter().enumerate() {
                let key = key.to_be_bytes();
                let seq = step as u64 + 2;
                if is_put {
                    put(&index, &key, seq);
                    model.insert(key.to_vec(), seq);
                } else {
                    index.update(&key, seq, |_| Update::Remove);
                    model.remove(&key[..]);
                }
            }
            let forward: Vec<_> = all_forward(&index).into_iter().map(|(k, v)| (k, v.seq)).collect();
            let reverse: Vec<_> = all_reverse(&index).into_iter().map(|(k, v)| (k, v.seq)).collect();
            prop_assert_eq!(&forward, &model.clone().into_iter().collect::<Vec<_>>());
            prop_assert_eq!(reverse, model.into_iter().rev().collect::<Vec<_>>());
        }
    }
}
