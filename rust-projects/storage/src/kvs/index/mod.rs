//! The ordered index in memory: key -> versions, each a place on disk.
//!
//! # What it is
//!
//! A tree of three levels. Its inner nodes never change once readers can see them: the writer makes a new node and swaps
//! one pointer (read-copy-update; McKenney and Slingwine, PDCS 1998). Leaves hold at most [`LEAF_MAX`](leaf::LEAF_MAX)
//! keys and change in place by stores of single words, until they are full and are replaced too (see [`leaf`]).
//!
//! ```text
//!   top    [ ""            ...           "m" ... ]      lower bound of each child
//!            |                            |
//!   mids   [ "" "c" "f" ]               [ "m" "q" ]     at most MID_MAX leaves each
//!            |   |   |                    |   |
//!   leaves [b a] [e c d] ...             ...            keys in no order, one cell each
//! ```
//!
//! # What it guarantees
//!
//! Readers take no lock and never wait. A point read sees, for its key, at least every version published before it
//! began. Versions that somebody can see are kept (the caller tells [`Positions`]).
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
mod leaf;
mod node;
mod version;
mod view;

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;

pub(super) use self::builder::Builder;
use self::leaf::{LEAF_MAX, Leaf, fingerprint};
use self::node::{Mid, Top};
pub(super) use self::version::{Entry, Found, Positions, Spot, Version};
pub(super) use self::view::LeafView;
use crate::{KeyRange, Seq};

/// Most leaves in a mid. Copied once per leaf split.
const MID_MAX: usize = 128;
/// A leaf that cannot be given so much room is split.
const SPLIT_AT: usize = LEAF_MAX - LEAF_MAX / 8;

/// Keys that are looked for at once. Each holds a leaf meanwhile, and arc-swap has eight cheap holds per thread.
pub(super) const WARM: usize = 4;

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

/// The shortest bytes that are greater than `before` and at most `first` (suffix truncation; Bayer and Unterauer,
/// Prefix B-trees, TODS 1977).
fn separator<'a>(before: &[u8], first: &'a [u8]) -> &'a [u8] {
    let common = before.iter().zip(first).take_while(|(a, b)| a == b).count();
    &first[..first.len().min(common + 1)]
}

/// Reading.
impl Index {
    /// Looks at what [`Index::set`] of these keys will look at, for all of them at once: memory answers several questions
    /// in hardly more time than one.
    pub(super) fn warm(&self, keys: &[&[u8]; WARM]) {
        let top = self.top.load();
        let leaves = keys.map(|key| {
            let mid = top.children[top.child_for(key)].load();
            (mid.children[mid.child_for(key)].load(), fingerprint(key))
        });
        for (leaf, print) in &leaves {
            leaf.warm_cell(*print);
        }
        for (leaf, _) in &leaves {
            leaf.warm_room();
        }
    }

    fn with_leaf<T>(&self, key: &[u8], f: impl FnOnce(&Leaf) -> T) -> T {
        let top = self.top.load();
        let mid = top.children[top.child_for(key)].load();
        let leaf = mid.children[mid.child_for(key)].load();
        f(&leaf)
    }

    /// The version of `key` that `visible_at` allows. The position is asked for after the leaf was loaded, so that
    /// no version it admits can be missing there.
    pub(super) fn get(&self, key: &[u8], visible_at: impl FnOnce() -> Seq) -> Option<Version> {
        self.with_leaf(key, |leaf| {
            let seq = visible_at();
            leaf.visible_at(leaf.newest_record(key, fingerprint(key))?, seq)
        })
    }

    /// As [`Index::get`], but where the value stands is enough if nothing in the leaf is newer than `settled`, which
    /// is asked after the position.
    pub(super) fn find(
        &self,
        key: &[u8],
        visible_at: impl FnOnce() -> Seq,
        settled: impl FnOnce() -> Seq,
    ) -> Option<Found> {
        let print = fingerprint(key);
        self.with_leaf(key, |leaf| {
            let seq = visible_at();
            if let Some(spot) = leaf.spot(print, seq.min(settled())) {
                return Some(Found::Spot(spot));
            }
            let version = leaf.visible_at(leaf.newest_record(key, print)?, seq)?;
            Some(Found::Version(version))
        })
    }

    /// The entry of `key`.
    pub(super) fn entry(&self, key: &[u8]) -> Option<Entry> {
        self.with_leaf(key, |leaf| {
            leaf.newest_record(key, fingerprint(key))
                .map(|record| leaf.entry(record))
        })
    }

    /// The leaf whose range holds `key`, with its keys of `range` for a reader at `seq`, and the lower bound of the leaf after it.
    pub(super) fn leaf_from(
        &self,
        key: &[u8],
        range: &KeyRange,
        seq: Seq,
    ) -> (LeafView, Option<Box<[u8]>>) {
        let top = self.top.load();
        let mid_at = top.child_for(key);
        let mid = top.children[mid_at].load();
        let leaf_at = mid.child_for(key);
        let next = if leaf_at + 1 < mid.children.len() {
            Some(mid.bound(leaf_at + 1).into())
        } else {
            (mid_at + 1 < top.children.len()).then(|| top.bound(mid_at + 1).into())
        };
        (
            LeafView::new(mid.children[leaf_at].load_full(), range, seq),
            next,
        )
    }

    /// The last leaf that can hold keys below `key` (`None`: any), with its keys of `range` for a reader at `seq`, and its lower bound unless it is the
    /// first leaf.
    pub(super) fn leaf_before(
        &self,
        key: Option<&[u8]>,
        range: &KeyRange,
        seq: Seq,
    ) -> (LeafView, Option<Box<[u8]>>) {
        let top = self.top.load();
        let mid_at = top.child_before(key);
        let mid = top.children[mid_at].load();
        let leaf_at = mid.child_before(key);
        let first = mid_at == 0 && leaf_at == 0;
        // The first leaf of a mid starts where the mid does.
        let bound = match leaf_at {
            0 => top.bound(mid_at),
            _ => mid.bound(leaf_at),
        };
        let bound = (!first).then(|| bound.into());
        (
            LeafView::new(mid.children[leaf_at].load_full(), range, seq),
            bound,
        )
    }
}

/// Writing. One writer at a time.
impl Index {
    /// Makes `version` the newest of `key`; the version that was. `positions` is asked when older versions may go.
    pub(super) fn set(
        &self,
        key: &[u8],
        version: Version,
        positions: impl Fn() -> Positions,
    ) -> Option<Version> {
        let print = fingerprint(key);
        loop {
            match self.with_leaf(key, |leaf| leaf.set(key, print, version)) {
                Ok(old) => return old,
                Err(leaf::Full) => self.make_room(key, &positions),
            }
        }
    }

    /// Gives the version `from` of `key` its new place; whether it is the newest, `None` if there is no such version.
    pub(super) fn relocate(&self, key: &[u8], from: Version, to: Version) -> Option<bool> {
        self.with_leaf(key, |leaf| leaf.relocate(key, fingerprint(key), from, to))
    }

    /// Counts one superseded put record of `key` less; how many are left, and its newest version.
    pub(super) fn forget_stale(&self, key: &[u8]) -> Option<(u32, Version)> {
        self.with_leaf(key, |leaf| {
            let record = leaf.newest_record(key, fingerprint(key))?;
            Some((leaf.forget_stale(record), leaf.version(record)))
        })
    }

    /// Removes `key` and all its versions.
    pub(super) fn remove(&self, key: &[u8], positions: impl Fn() -> Positions) {
        let removed = self.with_leaf(key, |leaf| {
            leaf.remove(key, fingerprint(key)).then(|| leaf.len())
        });
        if removed.is_some_and(|left| left <= LEAF_MAX / 2) {
            self.shrink(key, &positions);
        }
    }

    /// Replaces the full leaf of `key` by a tidy one, or by two.
    fn make_room(&self, key: &[u8], positions: &dyn Fn() -> Positions) {
        let top = self.top.load();
        let mid_at = top.child_for(key);
        let mid = top.children[mid_at].load();
        let leaf_at = mid.child_for(key);
        let leaf = mid.children[leaf_at].load();
        let listed = leaf.listed();
        let positions = match listed.has_chains() {
            true => positions(),
            false => Positions::default(),
        };
        let len = listed.len();
        if len < SPLIT_AT {
            let tidy = listed.leaf(0, len, &positions);
            return mid.children[leaf_at].store(Arc::new(tidy));
        }
        let sorted = leaf.sorted();
        let middle = len / 2;
        let right_bound = separator(&sorted.key(middle - 1), &sorted.key(middle)).into();
        let [left, right] = [(0, middle), (middle, len)]
            .map(|(from, to)| Arc::new(sorted.leaf(from, to, &positions)));
        let cells = [(mid.bound(leaf_at).into(), left), (right_bound, right)];
        let new = mid.splice(leaf_at, 1, &cells);
        if new.children.len() <= MID_MAX {
            return top.children[mid_at].store(Arc::new(new));
        }
        let (left, right_bound, right) = new.halves();
        let cells = [
            (top.bound(mid_at).into(), Arc::new(left)),
            (right_bound, Arc::new(right)),
        ];
        self.top.store(Arc::new(top.splice(mid_at, 1, &cells)));
    }

    /// Removes the leaf of `key` if it is empty, or joins it with its right neighbour if both are small.
    fn shrink(&self, key: &[u8], positions: &dyn Fn() -> Positions) {
        let top = self.top.load();
        let mid_at = top.child_for(key);
        let mid = top.children[mid_at].load();
        let leaf_at = mid.child_for(key);
        let leaf = mid.children[leaf_at].load();
        let replace = |new: Mid| top.children[mid_at].store(Arc::new(new));
        if leaf.len() == 0 && mid.children.len() > 1 {
            // The left neighbour (or, for the first leaf, the right one) takes over the range.
            return replace(mid.splice(leaf_at, 1, &[]));
        }
        if leaf.len() == 0 && top.children.len() > 1 {
            return self.top.store(Arc::new(top.splice(mid_at, 1, &[])));
        }
        let Some(right) = mid.children.get(leaf_at + 1) else {
            return;
        };
        let right = right.load();
        if leaf.len() + right.len() <= LEAF_MAX / 2 {
            let joined = leaf.sorted().joined(&right.sorted(), &positions());
            let child = (mid.bound(leaf_at).into(), Arc::new(joined));
            replace(mid.splice(leaf_at, 2, &[child]));
        }
    }
}

#[cfg(test)]
pub(super) fn fingerprint_of(key: &[u8]) -> u32 {
    fingerprint(key)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicU64, Ordering};

    use proptest::prelude::*;

    use super::*;

    fn all_forward(index: &Index) -> Vec<(Vec<u8>, Version)> {
        all_forward_at(index, Seq::MAX)
    }

    /// All keys that have a value at `seq`.
    fn all_forward_at(index: &Index, seq: Seq) -> Vec<(Vec<u8>, Version)> {
        let mut found = Vec::new();
        let mut from: Box<[u8]> = Box::default();
        loop {
            let (leaf, next) = index.leaf_from(&from, &KeyRange::all(), seq);
            for at in leaf.lower_bound(&from)..leaf.len() {
                let version = leaf.visible_at(at, seq).filter(Version::is_put);
                found.extend(version.map(|version| (leaf.key(at).to_vec(), version)));
            }
            match next {
                Some(next) => from = next,
                None => return found,
            }
        }
    }

    fn all_reverse(index: &Index) -> Vec<(Vec<u8>, Version)> {
        let seq = Seq::MAX;
        let mut found = Vec::new();
        let mut before: Option<Box<[u8]>> = None;
        loop {
            let (leaf, low) = index.leaf_before(before.as_deref(), &KeyRange::all(), seq);
            let end = before
                .as_deref()
                .map_or(leaf.len(), |key| leaf.lower_bound(key));
            for at in (0..end).rev() {
                let version = leaf.visible_at(at, seq).filter(Version::is_put);
                found.extend(version.map(|version| (leaf.key(at).to_vec(), version)));
            }
            match low {
                Some(low) => before = Some(low),
                None => return found,
            }
        }
    }

    fn nobody_before(seq: Seq) -> impl Fn() -> Positions {
        move || Positions {
            open: Vec::new(),
            visible: seq,
        }
    }

    fn put(index: &Index, key: &[u8], seq: Seq) {
        index.set(key, Version::put(seq, 1, seq as u32, 5), nobody_before(seq));
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
    fn a_version_is_kept_while_somebody_may_read_it() {
        let index = Index::default();
        let seen = |at| index.get(b"k", || at).map(|version| version.seq);
        let positions = || Positions {
            open: vec![5, 20],
            visible: 90,
        };
        for seq in 1..=100 {
            index.set(b"k", Version::put(seq, 1, 0, 1), positions);
        }
        index.make_room(b"k", &positions);
        let kept = index.entry(b"k").unwrap();
        let mut expected = vec![5, 20];
        expected.extend(90..=100);
        expected.reverse();
        let kept_seqs: Vec<Seq> = kept.versions().map(|version| version.seq).collect();
        assert_eq!(kept_seqs, expected);
        assert_eq!(kept.stale, 99);
        assert_eq!(
            [seen(4), seen(5), seen(20), seen(95), seen(200)],
            [None, Some(5), Some(20), Some(95), Some(100)]
        );
        index.make_room(b"k", &nobody_before(100));
        assert_eq!([seen(99), seen(100)], [None, Some(100)]);
    }

    #[test]
    fn a_version_moves_only_while_it_is_still_the_same() {
        let index = Index::default();
        let (old, new) = (Version::put(3, 1, 40, 5), Version::put(7, 1, 80, 5));
        for version in [old, new] {
            index.set(b"k", version, nobody_before(0));
        }
        assert_eq!(index.relocate(b"k", old, old.moved_to(2, 10)), Some(false));
        assert_eq!(index.get(b"k", || 3), Some(old.moved_to(2, 10)));
        assert_eq!(index.get(b"k", || 9), Some(new));
        assert_eq!(index.relocate(b"k", old, old.moved_to(3, 0)), None);
        assert_eq!(index.relocate(b"k", new, new.moved_to(3, 0)), Some(true));
    }

    #[test]
    fn of_two_changes_of_one_batch_only_the_second_is_there() {
        let index = Index::default();
        put(&index, b"k", 3);
        for offset in [1, 2] {
            index.set(b"k", Version::put(4, 1, offset, 1), nobody_before(0));
        }
        let seqs = index.entry(b"k").unwrap();
        let seqs: Vec<Seq> = seqs.versions().map(|version| version.seq).collect();
        assert_eq!(seqs, [4, 3]);
        assert_eq!(index.get(b"k", || 4), Some(Version::put(4, 1, 2, 1)));
        assert_eq!(index.entry(b"k").unwrap().stale, 2);
    }

    /// What a reader finds to whom everything up to `seq` is visible and everything up to `settled` is in its file.
    fn found(index: &Index, key: &[u8], seq: Seq, settled: Seq) -> Option<Found> {
        index.find(key, || seq, || settled)
    }

    #[test]
    fn a_spot_is_enough_unless_the_leaf_has_something_newer_than_the_reader_may_see() {
        let index = Index::default();
        let old = Version::put(3, 1, 40, 5);
        let spot = Some(Found::Spot(Spot {
            segment: 1,
            offset: 40,
            len: 5,
        }));
        index.set(b"k", old, nobody_before(0));
        assert_eq!(found(&index, b"k", 3, 3), spot);
        assert_eq!(found(&index, b"k", 2, 2), None);
        index.set(b"other", Version::put(9, 1, 80, 5), nobody_before(0));
        for (seq, settled) in [(8, 9), (9, 8)] {
            let version = Some(Found::Version(old));
            assert_eq!(found(&index, b"k", seq, settled), version);
        }
        assert_eq!(found(&index, b"k", 9, 9), spot);
        // A tidied leaf and a rebuilt one know it too.
        index.make_room(b"k", &nobody_before(9));
        assert_eq!(found(&index, b"k", 8, 8), Some(Found::Version(old)));
        assert_eq!(found(&index, b"k", 9, 9), spot);
    }

    #[test]
    fn a_spot_follows_its_key_through_new_versions_moves_and_removal() {
        let index = Index::default();
        let spot = |segment, offset| {
            Some(Found::Spot(Spot {
                segment,
                offset,
                len: 5,
            }))
        };
        let [old, new] = [(3, 40), (4, 80)].map(|(seq, at)| Version::put(seq, 1, at, 5));
        for version in [old, new] {
            index.set(b"k", version, nobody_before(0));
        }
        assert_eq!(found(&index, b"k", 9, 9), spot(1, 80));
        index.relocate(b"k", old, old.moved_to(2, 10));
        assert_eq!(found(&index, b"k", 9, 9), spot(1, 80));
        index.relocate(b"k", new, new.moved_to(2, 20));
        assert_eq!(found(&index, b"k", 9, 9), spot(2, 20));
        index.remove(b"k", nobody_before(9));
        assert_eq!(found(&index, b"k", 9, 9), None);
        index.set(b"k", Version::put(5, 1, 120, 5), nobody_before(0));
        assert_eq!(found(&index, b"k", 9, 9), spot(1, 120));
    }

    #[test]
    fn what_has_no_spot_is_found_by_its_record() {
        let far = Version::put(1, 1 << 20, 40, 5);
        let without = [
            Version::put(1, 1, 40, 1 << 12),
            Version::tombstone(1, 1, 40),
            Version::range_tombstone(1, 7),
            far,
        ];
        for version in without {
            let index = Index::default();
            index.set(b"k", Version::put(1, 1, 40, 5), nobody_before(0));
            index.set(b"k", version, nobody_before(0));
            assert_eq!(found(&index, b"k", 9, 9), Some(Found::Version(version)));
        }
        let index = Index::default();
        let most = Version::put(1, (1 << 20) - 1, u32::MAX, (1 << 12) - 1);
        index.set(b"k", most, nobody_before(0));
        let spot = Spot {
            segment: (1 << 20) - 1,
            offset: u32::MAX,
            len: (1 << 12) - 1,
        };
        assert_eq!(found(&index, b"k", 9, 9), Some(Found::Spot(spot)));
        let moved = most.moved_to(1 << 20, 40);
        index.relocate(b"k", most, moved);
        assert_eq!(found(&index, b"k", 9, 9), Some(Found::Version(moved)));
    }

    #[test]
    fn stale_records_are_counted_down() {
        let index = Index::default();
        for seq in 1..=3 {
            put(&index, b"k", seq);
        }
        let newest = index.entry(b"k").unwrap().version();
        assert_eq!(index.forget_stale(b"k"), Some((1, newest)));
        assert_eq!(index.forget_stale(b"k"), Some((0, newest)));
        assert_eq!(index.forget_stale(b"k"), Some((0, newest)));
        assert_eq!(index.forget_stale(b"other"), None);
    }

    #[test]
    fn keys_of_all_lengths_with_common_beginnings_are_told_apart() {
        let index = Index::default();
        let mut model = BTreeMap::new();
        let mut seq = 0;
        for len in (0..80).chain([300, 70_000]) {
            for last in [0, 1, 7, 255] {
                let mut key = vec![0; len];
                key.extend((len > 0).then_some(last));
                seq += 1;
                put(&index, &key, seq);
                model.insert(key, seq);
            }
        }
        let found: Vec<_> = all_forward(&index)
            .into_iter()
            .map(|(key, version)| (key, version.seq))
            .collect();
        assert_eq!(found, model.clone().into_iter().collect::<Vec<_>>());
        for (key, seq) in model {
            assert_eq!(index.get(&key, || Seq::MAX).unwrap().seq, seq);
        }
    }

    #[test]
    fn a_scan_looks_at_no_key_where_all_are_deleted() {
        let index = Index::default();
        for key in 0..1000_u32 {
            put(&index, &key.to_be_bytes(), 1);
        }
        for key in 0..1000_u32 {
            index.set(&key.to_be_bytes(), Version::tombstone(2, 1, 0), || {
                Positions {
                    open: vec![1],
                    visible: 2,
                }
            });
        }
        let keys_seen_at = |seq| index.leaf_from(b"", &KeyRange::all(), seq).0.len();
        assert_eq!(keys_seen_at(2), 0);
        assert!(keys_seen_at(1) > 0, "they are there for who reads before");
        put(&index, b"\0\0", 3);
        assert!(keys_seen_at(3) > 0);
    }

    #[test]
    fn readers_beside_the_writer_see_all_that_was_published_before() {
        const KEYS: u64 = 1000;
        const SEQS: u64 = 60_000;
        let index = Index::default();
        let published = AtomicU64::new(0);
        let newest_at = |key: u64, seq: u64| seq - (seq + KEYS - key) % KEYS;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for seq in 1..=SEQS {
                    put(&index, &(seq % KEYS).to_be_bytes(), seq);
                    published.store(seq, Ordering::Release);
                }
            });
            for reader in 0..2u64 {
                let (index, published) = (&index, &published);
                scope.spawn(move || {
                    let mut key = reader;
                    let mut seen = 0;
                    while seen < SEQS {
                        seen = published.load(Ordering::Acquire);
                        key = (key * 5 + 7) % KEYS;
                        let found = index.get(&key.to_be_bytes(), || Seq::MAX);
                        let found = found.map_or(0, |version| version.seq);
                        let expected = newest_at(key, seen.max(KEYS));
                        assert!(
                            found >= expected || expected > seen,
                            "{key}: {found} of {seen}"
                        );
                        if key == 0 && seen >= KEYS {
                            assert_eq!(all_forward(index).len() as u64, KEYS);
                        }
                    }
                });
            }
        });
    }

    #[derive(Clone, Debug)]
    enum Step {
        Put(u16),
        Delete(u16, u16),
        /// Forgets a key of which nobody sees a value.
        Remove(u16),
        Seek(u16, u16),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            12 => (0u16..600).prop_map(Step::Put),
            4 => (0u16..600).prop_map(|key| Step::Delete(key, key + 1)),
            1 => (0u16..600, 0u16..200).prop_map(|(from, len)| Step::Delete(from, from + len)),
            4 => (0u16..600).prop_map(Step::Remove),
            6 => (0u16..600, 0u16..6).prop_map(|(from, more)| Step::Seek(from, from + more)),
        ]
    }

    type Model = BTreeMap<Vec<u8>, Seq>;

    /// An index and what should be in it, now and at a position that somebody reads at.
    struct Compared {
        index: Index,
        model: Model,
        pinned_at: Seq,
        pinned: Option<Model>,
    }

    impl Compared {
        fn step(&mut self, step: &Step, seq: Seq) {
            let positions = || Positions {
                open: vec![self.pinned_at],
                visible: seq,
            };
            match *step {
                Step::Put(key) => {
                    let key = key.to_be_bytes();
                    let version = Version::put(seq, 1, seq as u32, 5);
                    self.index.set(&key, version, positions);
                    self.model.insert(key.to_vec(), seq);
                }
                Step::Delete(from, to) => {
                    for key in (from..to).map(u16::to_be_bytes) {
                        let version = Version::tombstone(seq, 1, seq as u32);
                        self.index.set(&key, version, positions);
                        self.model.remove(&key[..]);
                    }
                }
                Step::Remove(key) => {
                    let key = key.to_be_bytes();
                    let is_seen = |model: &Model| model.contains_key(&key[..]);
                    if !is_seen(&self.model) && !self.pinned.as_ref().is_some_and(is_seen) {
                        self.index.remove(&key, positions);
                    }
                }
                Step::Seek(from, to) => {
                    let [from, to] = [from, to].map(|key| key.to_be_bytes().to_vec());
                    let range = KeyRange::half_open(from.clone(), to.clone());
                    let (leaf, next) = self.index.leaf_from(&from, &range, seq);
                    let with_value = (0..leaf.len())
                        .filter(|&at| leaf.visible_at(at, seq).is_some_and(|found| found.is_put()));
                    let found: Vec<_> = with_value.map(|at| leaf.key(at).to_vec()).collect();
                    let until = next.map_or(to.clone(), |next| to.min(next.into()));
                    let expected = self.model.range(from.clone()..until.max(from));
                    assert_eq!(
                        found,
                        expected.map(|(key, _)| key.clone()).collect::<Vec<_>>()
                    );
                }
            }
            if seq == self.pinned_at {
                self.pinned = Some(self.model.clone());
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_set_removed_and_sought_agrees_with_an_ordered_map(
            steps in prop::collection::vec(step(), 1..3000),
            built in 0u16..600,
            pinned_at in 2u64..3000,
        ) {
            let mut model = Model::new();
            let mut builder = Builder::default();
            for i in 0..built {
                let key = i.to_be_bytes();
                builder.push(&key, Version::put(1, 1, 0, 1), 0);
                model.insert(key.to_vec(), 1);
            }
            let mut compared = Compared { index: builder.finish(), model, pinned_at, pinned: None };
            for (step, seq) in steps.into_iter().zip(2..) {
                compared.step(&step, seq);
            }
            let Compared { index, model, pinned, .. } = compared;
            let seqs = |found: Vec<(Vec<u8>, Version)>| -> Vec<_> {
                found.into_iter().map(|(key, version)| (key, version.seq)).collect()
            };
            let listed = |model: Model| model.into_iter().collect::<Vec<_>>();
            prop_assert_eq!(seqs(all_reverse(&index)), model.clone().into_iter().rev().collect::<Vec<_>>());
            prop_assert_eq!(seqs(all_forward(&index)), listed(model.clone()));
            let is_pinned = seqs(all_forward_at(&index, pinned_at));
            prop_assert_eq!(is_pinned, listed(pinned.unwrap_or(model)));
        }
    }
}
