//! The nodes of the tree. A node never changes once readers can see it, except for which child a slot holds.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::version::Entry;
use crate::Seq;

/// Sorted keys in one allocation: where each ends, as little-endian `u32`, and then the keys.
#[derive(Debug, Clone, Default)]
pub(super) struct PackedKeys {
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

    pub(super) fn get(&self, at: usize) -> &[u8] {
        let (ends, keys) = self.ends();
        &keys[start_of(ends, at)..start_of(ends, at + 1)]
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|at| self.get(at))
    }

    /// Index of `key`, or of the first key greater than it.
    pub(super) fn search(&self, key: &[u8]) -> Result<usize, usize> {
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
pub(crate) struct Leaf {
    pub(super) keys: PackedKeys,
    pub(super) entries: Box<[Entry]>,
}

impl Leaf {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn key(&self, at: usize) -> &[u8] {
        self.keys.get(at)
    }

    pub(crate) fn entry(&self, at: usize) -> &Entry {
        &self.entries[at]
    }

    /// Index of the first key at or after `key`.
    pub(crate) fn lower_bound(&self, key: &[u8]) -> usize {
        self.keys.search(key).unwrap_or_else(|at| at)
    }

    pub(super) fn with_set(
        &self,
        at: Result<usize, usize>,
        key: &[u8],
        entry: Entry,
        floor: Seq,
    ) -> Self {
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

    pub(super) fn slice(&self, from: usize, to: usize) -> Self {
        Self {
            keys: (from..to).map(|at| self.key(at)).collect(),
            entries: self.entries[from..to].into(),
        }
    }

    pub(super) fn without(&self, at: usize) -> Self {
        let others = || (0..self.len()).filter(|&other| other != at);
        Self {
            keys: others().map(|other| self.key(other)).collect(),
            entries: others().map(|other| self.entries[other].clone()).collect(),
        }
    }

    pub(super) fn concat(&self, right: &Self) -> Self {
        Self {
            keys: self.keys.iter().chain(right.keys.iter()).collect(),
            entries: self.entries.iter().chain(&right.entries).cloned().collect(),
        }
    }
}

pub(super) type Mid = Node<Leaf>;
pub(super) type Top = Node<Mid>;

/// An inner node: the lower bound of each child, and the children. The first bound stands for "everything below".
#[derive(Debug)]
pub(super) struct Node<T> {
    pub(super) bounds: PackedKeys,
    pub(super) children: Box<[ArcSwap<T>]>,
}

impl<T> Node<T> {
    pub(super) fn of(children: Vec<(Box<[u8]>, Arc<T>)>) -> Self {
        Self {
            bounds: children.iter().map(|(bound, _)| &bound[..]).collect(),
            children: children
                .into_iter()
                .map(|(_, child)| ArcSwap::new(child))
                .collect(),
        }
    }

    /// The child whose range holds `key`.
    pub(super) fn child_for(&self, key: &[u8]) -> usize {
        match self.bounds.search(key) {
            Ok(at) => at,
            Err(at) => at.saturating_sub(1),
        }
    }

    /// The last child that can hold keys below `key`.
    pub(super) fn child_before(&self, key: Option<&[u8]>) -> usize {
        match key {
            None => self.children.len() - 1,
            Some(key) => {
                let (Ok(at) | Err(at)) = self.bounds.search(key);
                at.saturating_sub(1)
            }
        }
    }

    /// The node with children `at..at + removed` replaced by `new`.
    pub(super) fn splice(&self, at: usize, removed: usize, new: &[(Box<[u8]>, Arc<T>)]) -> Self {
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

    pub(super) fn halves(&self) -> (Self, Box<[u8]>, Self) {
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
