//! The inner nodes of the tree. A node never changes once readers can see it, except for which child a slot holds.

use std::cmp::Ordering;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::leaf::Leaf;
use crate::kvs::codec::head;

const PREFIX_MAX: usize = 28;

/// The lower bounds of a node's children in order, except for the first child's: that one stands for "everything
/// below".
///
/// What all bounds begin with, at most [`PREFIX_MAX`] bytes of it, is looked at once; of the rest, the first eight bytes of each stand together as numbers,
/// so that a search touches few cache lines and seldom the bounds themselves (Graefe and Larson, B-tree indexes and CPU
/// caches, ICDE 2001).
#[derive(Debug)]
pub(super) struct Bounds {
    prefix: [u8; PREFIX_MAX],
    prefix_len: u32,
    heads: Box<[u64]>,
    /// Where each bound ends, as little-endian `u32`, and then the bounds.
    bytes: Box<[u8]>,
}

fn common_prefix(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(a, b)| a == b).count()
}

impl Bounds {
    fn get(&self, at: usize) -> &[u8] {
        let (ends, bounds) = self.bytes.split_at(self.heads.len() * 4);
        let ends = ends.as_chunks::<4>().0;
        let start = match at {
            0 => 0,
            _ => u32::from_le_bytes(ends[at - 1]) as usize,
        };
        &bounds[start..u32::from_le_bytes(ends[at]) as usize]
    }

    /// How many bounds are less than `key`; with `or_equal`, less or equal.
    fn count_below(&self, key: &[u8], or_equal: bool) -> usize {
        let len = self.heads.len();
        if len == 0 {
            return 0;
        }
        let prefix_len = self.prefix_len as usize;
        match key[..key.len().min(prefix_len)].cmp(&self.prefix[..prefix_len]) {
            Ordering::Less => return 0,
            Ordering::Greater => return len,
            Ordering::Equal => {}
        }
        let head = head(&key[prefix_len..]);
        let sure = self.heads.partition_point(|&other| other < head);
        let alike = self.heads[sure..].partition_point(|&other| other == head);
        // Those whose heads are alike, by their bytes.
        let (mut low, mut high) = (sure, sure + alike);
        while low < high {
            let middle = low.midpoint(high);
            match self.get(middle).cmp(key) {
                Ordering::Less => low = middle + 1,
                Ordering::Equal if or_equal => low = middle + 1,
                _ => high = middle,
            }
        }
        low
    }
}

impl<'a> FromIterator<&'a [u8]> for Bounds {
    fn from_iter<I: IntoIterator<Item = &'a [u8]>>(bounds: I) -> Self {
        let mut ends: Vec<u32> = Vec::new();
        let mut packed = Vec::new();
        for bound in bounds {
            packed.extend_from_slice(bound);
            ends.push(packed.len() as u32);
        }
        let at = |nth: usize| {
            let start = if nth == 0 { 0 } else { ends[nth - 1] as usize };
            &packed[start..ends[nth] as usize]
        };
        let prefix_len = match ends.len() {
            0 => 0,
            len => common_prefix(at(0), at(len - 1)).min(PREFIX_MAX),
        };
        let mut prefix = [0; PREFIX_MAX];
        if prefix_len > 0 {
            prefix[..prefix_len].copy_from_slice(&at(0)[..prefix_len]);
        }
        let heads = (0..ends.len())
            .map(|nth| head(&at(nth)[prefix_len..]))
            .collect();
        let mut bytes = Vec::with_capacity(ends.len() * 4 + packed.len());
        bytes.extend(ends.iter().flat_map(|end| end.to_le_bytes()));
        bytes.extend_from_slice(&packed);
        Self {
            prefix,
            prefix_len: prefix_len as u32,
            heads,
            bytes: bytes.into(),
        }
    }
}

pub(super) type Mid = Node<Leaf>;
pub(super) type Top = Node<Mid>;

/// An inner node.
#[derive(Debug)]
pub(super) struct Node<T> {
    bounds: Bounds,
    pub(super) children: Box<[ArcSwap<T>]>,
}

/// A child and its lower bound, which is ignored for the first child of a node.
pub(super) type Child<T> = (Box<[u8]>, Arc<T>);

impl<T> Node<T> {
    pub(super) fn of(children: Vec<Child<T>>) -> Self {
        let bounds: Bounds = children
            .iter()
            .skip(1)
            .map(|(bound, _)| &bound[..])
            .collect();
        Self::assemble(bounds, children.into_iter().map(|(_, child)| child))
    }

    fn assemble(bounds: Bounds, children: impl Iterator<Item = Arc<T>>) -> Self {
        Self {
            bounds,
            children: children.map(ArcSwap::new).collect(),
        }
    }

    /// The lower bound of child `at`; nothing for the first.
    pub(super) fn bound(&self, at: usize) -> &[u8] {
        at.checked_sub(1).map_or(&[], |at| self.bounds.get(at))
    }

    /// The child whose range holds `key`.
    pub(super) fn child_for(&self, key: &[u8]) -> usize {
        self.bounds.count_below(key, true)
    }

    /// The last child that can hold keys below `key`.
    pub(super) fn child_before(&self, key: Option<&[u8]>) -> usize {
        key.map_or(self.children.len() - 1, |key| {
            self.bounds.count_below(key, false)
        })
    }

    /// The node with children `at..at + removed` replaced by `new`.
    pub(super) fn splice(&self, at: usize, removed: usize, new: &[Child<T>]) -> Self {
        let rest = at + removed..self.children.len();
        let bounds = (0..at)
            .map(|child| self.bound(child))
            .chain(new.iter().map(|(bound, _)| &bound[..]))
            .chain(rest.clone().map(|child| self.bound(child)));
        let children = self.children[..at]
            .iter()
            .map(ArcSwap::load_full)
            .chain(new.iter().map(|(_, child)| Arc::clone(child)))
            .chain(self.children[rest].iter().map(ArcSwap::load_full));
        Self::assemble(bounds.skip(1).collect(), children)
    }

    /// Two nodes, and the lower bound of the second.
    pub(super) fn halves(&self) -> (Self, Box<[u8]>, Self) {
        let middle = self.children.len() / 2;
        let part = |from: usize, to: usize| {
            Self::assemble(
                (from + 1..to).map(|at| self.bound(at)).collect(),
                self.children[from..to].iter().map(ArcSwap::load_full),
            )
        };
        let right = part(middle, self.children.len());
        (part(0, middle), self.bound(middle).into(), right)
    }
}
