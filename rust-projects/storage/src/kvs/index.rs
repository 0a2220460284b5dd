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

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::Seq;

/// Most keys in a leaf. Small, because each write copies one.
const LEAF_MAX: usize = 32;
/// Most leaves in a mid. Copied once per leaf split.
const MID_MAX: usize = 256;

/// `len` of a version that deletes its key.
const TOMBSTONE: u32 = u32::MAX;
/// `len` of a version that deletes its key through a range deletion; `segment` is the range's id.
const RANGE_TOMBSTONE: u32 = u32::MAX - 1;

/// One version of a key: since when, and where its value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version {
    /// Position of the batch that wrote it.
    pub(super) seq: Seq,
    /// Segment of the record, or the id of the range deletion.
    pub(super) segment: u32,
    /// Offset of the value in the segment.
    pub(super) offset: u32,
    len: u32,
}

impl Version {
    pub(super) fn put(seq: Seq, segment: u32, offset: u32, len: u32) -> Self {
        debug_assert!(len < RANGE_TOMBSTONE);
        Self {
            seq,
            segment,
            offset,
            len,
        }
    }

    pub(super) fn tombstone(seq: Seq, segment: u32, offset: u32) -> Self {
        Self {
            seq,
            segment,
            offset,
            len: TOMBSTONE,
        }
    }

    pub(super) fn range_tombstone(seq: Seq, range_id: u32) -> Self {
        Self {
            seq,
            segment: range_id,
            offset: 0,
            len: RANGE_TOMBSTONE,
        }
    }

    /// Length of the value in bytes, or `None` for a deletion.
    pub(super) fn value_len(&self) -> Option<usize> {
        (self.len < RANGE_TOMBSTONE).then_some(self.len as usize)
    }

    pub(super) fn is_put(&self) -> bool {
        self.len < RANGE_TOMBSTONE
    }

    /// The id of the range deletion, if this version is one.
    pub(super) fn range_id(&self) -> Option<u32> {
        (self.len == RANGE_TOMBSTONE).then_some(self.segment)
    }

    /// The same version at another place.
    pub(super) fn moved_to(self, segment: u32, offset: u32) -> Self {
        Self {
            segment,
            offset,
            ..self
        }
    }
}

/// A superseded version that some reader may still need.
#[derive(Debug)]
pub(super) struct Older {
    version: Version,
    older: Option<Arc<Older>>,
}

/// What the index knows of a key.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    seq: Seq,
    segment: u32,
    offset: u32,
    len: u32,
    /// Superseded put records of this key that are still on disk. A tombstone may go only when there are none.
    pub(super) stale: u32,
    older: Option<Arc<Older>>,
}

impl Entry {
    pub(super) fn new(version: Version, stale: u32) -> Self {
        let Version {
            seq,
            segment,
            offset,
            len,
        } = version;
        Self {
            seq,
            segment,
            offset,
            len,
            stale,
            older: None,
        }
    }

    /// The newest version.
    pub(super) fn version(&self) -> Version {
        Version {
            seq: self.seq,
            segment: self.segment,
            offset: self.offset,
            len: self.len,
        }
    }

    /// The newest version written at or before `seq`.
    pub(super) fn visible_at(&self, seq: Seq) -> Option<Version> {
        self.versions().find(|version| version.seq <= seq)
    }

    /// All versions kept, newest first.
    pub(super) fn versions(&self) -> impl Iterator<Item = Version> + '_ {
        let mut next = self.older.as_deref();
        std::iter::once(self.version()).chain(std::iter::from_fn(move || {
            let older = next?;
            next = older.older.as_deref();
            Some(older.version)
        }))
    }

    /// This key after `version` was written over it.
    pub(super) fn superseded_by(&self, version: Version) -> Self {
        if version.seq == self.seq {
            // Two changes of one batch: nobody may see the first, but its record is on disk.
            let stale = self.stale + u32::from(self.version().is_put());
            return Self {
                older: self.older.clone(),
                ..Self::new(version, stale)
            };
        }
        let older = Older {
            version: self.version(),
            older: self.older.clone(),
        };
        let stale = self.stale + u32::from(self.version().is_put());
        Self {
            older: Some(Arc::new(older)),
            ..Self::new(version, stale)
        }
    }

    /// This key with the version `from` at another place, or `None` when it no longer has that version.
    pub(super) fn relocated(&self, from: Version, to: Version) -> Option<Self> {
        let mut versions: Vec<Version> = self.versions().collect();
        let place = versions.iter().position(|version| *version == from)?;
        versions[place] = to;
        Some(self.with_versions(&versions))
    }

    /// Drops versions that nobody who reads at `floor` or later can see.
    fn prune(&mut self, floor: Seq) {
        if self.older.is_none() {
            return;
        }
        if self.seq <= floor {
            self.older = None;
            return;
        }
        let versions: Vec<Version> = self.versions().collect();
        if let Some(last) = versions.iter().position(|version| version.seq <= floor)
            && last + 1 < versions.len()
        {
            *self = self.with_versions(&versions[..=last]);
        }
    }

    fn with_versions(&self, versions: &[Version]) -> Self {
        let (newest, rest) = versions.split_first().expect("an entry has a version");
        let older = rest.iter().rev().fold(None, |older, &version| {
            Some(Arc::new(Older { version, older }))
        });
        Self {
            older,
            ..Self::new(*newest, self.stale)
        }
    }
}

/// What an update does with a key.
#[derive(Debug)]
pub(super) enum Update {
    /// Leaves it as it is.
    Keep,
    /// Sets its entry.
    Set(Entry),
    /// Removes it from the index.
    Remove,
}

/// Sorted keys in one allocation: where each ends, as little-endian `u32`, and then the keys.
#[derive(Debug, Clone, Default)]
struct PackedKeys {
    len: u32,
    bytes: Box<[u8]>,
}

impl PackedKeys {
    fn len(&self) -> usize {
        self.len as usize
    }

    fn ends(&self) -> (&[[u8; 4]], &[u8]) {
        let (ends, keys) = self.bytes.split_at(self.len() * 4);
        (ends.as_chunks().0, keys)
    }

    fn get(&self, at: usize) -> &[u8] {
        let (ends, keys) = self.ends();
        &keys[start_of(ends, at)..start_of(ends, at + 1)]
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|at| self.get(at))
    }

    /// Index of `key`, or of the first key greater than it.
    fn search(&self, key: &[u8]) -> Result<usize, usize> {
        let (ends, keys) = self.ends();
        let (mut low, mut high) = (0, ends.len());
        while low < high {
            let middle = low.midpoint(high);
            let other = &keys[start_of(ends, middle)..start_of(ends, middle + 1)];
            match other.cmp(key) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Ok(middle),
            }
        }
        Err(low)
    }

    fn with_inserted(&self, at: usize, key: &[u8]) -> Self {
        let (ends, keys) = self.ends();
        let start = start_of(ends, at);
        let mut bytes = Vec::with_capacity(self.bytes.len() + 4 + key.len());
        bytes.extend_from_slice(ends[..at].as_flattened());
        let grown = |end: usize| ((end + key.len()) as u32).to_le_bytes();
        bytes.extend_from_slice(&grown(start));
        for later in at + 1..=ends.len() {
            bytes.extend_from_slice(&grown(start_of(ends, later)));
        }
        bytes.extend_from_slice(&keys[..start]);
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(&keys[start..]);
        Self {
            len: self.len + 1,
            bytes: bytes.into(),
        }
    }
}

/// Where key `at` starts, which is where the one before it ends.
fn start_of(ends: &[[u8; 4]], at: usize) -> usize {
    at.checked_sub(1)
        .map_or(0, |before| u32::from_le_bytes(ends[before]) as usize)
}

impl<'a> FromIterator<&'a [u8]> for PackedKeys {
    fn from_iter<I: IntoIterator<Item = &'a [u8]>>(keys: I) -> Self {
        let mut ends = Vec::new();
        let mut packed = Vec::new();
        let mut len = 0;
        for key in keys {
            packed.extend_from_slice(key);
            ends.extend_from_slice(&(packed.len() as u32).to_le_bytes());
            len += 1;
        }
        ends.extend_from_slice(&packed);
        Self {
            len,
            bytes: ends.into(),
        }
    }
}

/// A run of keys with their entries; immutable.
#[derive(Debug, Default)]
pub(super) struct Leaf {
    keys: PackedKeys,
    entries: Box<[Entry]>,
}

impl Leaf {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn key(&self, at: usize) -> &[u8] {
        self.keys.get(at)
    }

    pub(super) fn entry(&self, at: usize) -> &Entry {
        &self.entries[at]
    }

    /// Index of the first key at or after `key`.
    pub(super) fn lower_bound(&self, key: &[u8]) -> usize {
        self.keys.search(key).unwrap_or_else(|at| at)
    }

    fn with_set(&self, at: Result<usize, usize>, key: &[u8], entry: Entry, floor: Seq) -> Self {
        let mut entries = Vec::with_capacity(self.len() + 1);
        entries.extend(self.entries.iter().cloned());
        let keys = match at {
            Ok(at) => {
                entries[at] = entry;
                self.keys.clone()
            }
            Err(at) => {
                entries.insert(at, entry);
                self.keys.with_inserted(at, key)
            }
        };
        for entry in &mut entries {
            entry.prune(floor);
        }
        Self {
            keys,
            entries: entries.into(),
        }
    }

    fn slice(&self, from: usize, to: usize) -> Self {
        Self {
            keys: (from..to).map(|at| self.key(at)).collect(),
            entries: self.entries[from..to].into(),
        }
    }

    fn without(&self, at: usize) -> Self {
        let others = || (0..self.len()).filter(|&other| other != at);
        Self {
            keys: others().map(|other| self.key(other)).collect(),
            entries: others().map(|other| self.entries[other].clone()).collect(),
        }
    }

    fn concat(&self, right: &Self) -> Self {
        Self {
            keys: self.keys.iter().chain(right.keys.iter()).collect(),
            entries: self.entries.iter().chain(&right.entries).cloned().collect(),
        }
    }
}

type Mid = Node<Leaf>;
type Top = Node<Mid>;

/// An inner node: the lower bound of each child, and the children. The first bound stands for "everything below".
#[derive(Debug)]
struct Node<T> {
    bounds: PackedKeys,
    children: Box<[ArcSwap<T>]>,
}

impl<T> Node<T> {
    fn of(children: Vec<(Box<[u8]>, Arc<T>)>) -> Self {
        Self {
            bounds: children.iter().map(|(bound, _)| &bound[..]).collect(),
            children: children
                .into_iter()
                .map(|(_, child)| ArcSwap::new(child))
                .collect(),
        }
    }

    /// The child whose range holds `key`.
    fn child_for(&self, key: &[u8]) -> usize {
        match self.bounds.search(key) {
            Ok(at) => at,
            Err(at) => at.saturating_sub(1),
        }
    }

    /// The last child that can hold keys below `key`.
    fn child_before(&self, key: Option<&[u8]>) -> usize {
        match key {
            None => self.children.len() - 1,
            Some(key) => {
                let (Ok(at) | Err(at)) = self.bounds.search(key);
                at.saturating_sub(1)
            }
        }
    }

    /// The node with children `at..at + removed` replaced by `new`.
    fn splice(&self, at: usize, removed: usize, new: &[(Box<[u8]>, Arc<T>)]) -> Self {
        let bounds = || (0..self.children.len()).map(|other| self.bounds.get(other));
        let children = || self.children.iter().map(ArcSwap::load_full);
        let rest = at + removed;
        Self {
            bounds: bounds()
                .take(at)
                .chain(new.iter().map(|(bound, _)| &bound[..]))
                .chain(bounds().skip(rest))
                .collect(),
            children: children()
                .take(at)
                .chain(new.iter().map(|(_, child)| Arc::clone(child)))
                .chain(self.children[rest..].iter().map(ArcSwap::load_full))
                .map(ArcSwap::new)
                .collect(),
        }
    }

    fn halves(&self) -> (Self, Box<[u8]>, Self) {
        let middle = self.children.len() / 2;
        let part = |from: usize, to: usize| Self {
            bounds: (from..to).map(|at| self.bounds.get(at)).collect(),
            children: self.children[from..to]
                .iter()
                .map(|child| ArcSwap::new(child.load_full()))
                .collect(),
        };
        let right = part(middle, self.children.len());
        (part(0, middle), self.bounds.get(middle).into(), right)
    }
}

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

/// Builds an index from entries in ascending key order, for recovery.
#[derive(Debug, Default)]
pub(super) struct Builder {
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
    pub(super) fn push(&mut self, key: &[u8], entry: Entry) {
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
    pub(super) fn finish(mut self) -> Index {
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
