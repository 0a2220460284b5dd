//! Merkle trees of fixed depth that grow by appending.
//!
//! # What it is
//!
//! A node is the [`hash`] of its two or four children; a leaf that is not there yet is 0, so that the empty tree of each height has a
//! known root. [`Shape`] decides which nodes an append writes and which siblings a path has; where nodes are kept is the caller's
//! business ([`Tree`] keeps them in memory). [`path_root`] is the circuit.
//!
//! # What it guarantees
//!
//! All paths have the same length, so an inner node never passes for a leaf. A leaf passes for a node only if it can be chosen as a
//! hash of four numbers (of two in a binary tree): a statement makes its leaves with another number of inputs.
//!
//! # What it does not
//!
//! It cannot change or remove a leaf. 0 is in every tree that is not full: no statement may accept 0 as a leaf.
//!
//! # How it works
//!
//! ```text
//! arity 4, depth 2, six leaves appended            what is written when a seventh comes
//!
//! level 2              root                        node (2, 0)
//! level 1     n0     n1     0'     0'              node (1, 1) = hash(l4, l5, l6, 0)
//! level 0    0..3   4 5 - - - - - -                node (0, 6) = l6
//! ```
//!
//! The position of a leaf, two bits for each level (one in a binary tree), lowest first, says which child to go to.

mod circuit;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::OnceLock;

use ark_bn254::Fr;
use ark_ff::AdditiveGroup;

pub use circuit::{PathWires, path_root};

use crate::poseidon::hash;

/// A tree in which each node has two children.
pub type Binary = Shape<1>;
/// A tree in which each node has four children.
pub type Quaternary = Shape<3>;

/// Bits of a position, of which there are at most 2^32.
const MOST_BITS: u32 = 32;

/// How many children a node has (`SIBLINGS` + 1, two or four), and how many levels are above the leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape<const SIBLINGS: usize> {
    depth: u32,
}

/// A node: its level (leaves are on 0), its position from the left, and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// Levels above the leaves.
    pub level: u32,
    /// Position among the nodes of the level.
    pub position: u64,
    /// Hash of its children, or the leaf.
    pub value: Fr,
}

/// What leads from a leaf to the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path<const SIBLINGS: usize> {
    /// Position of the leaf.
    pub position: u64,
    /// From the leaf's level up: the other children of the node above, in their order.
    pub siblings: Vec<[Fr; SIBLINGS]>,
}

/// Why an append or a path was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MerkleError<E> {
    /// More leaves than the tree can hold.
    #[error("the tree is full: it holds {capacity} leaves")]
    Full {
        /// Most leaves.
        capacity: u64,
    },
    /// There is no such leaf.
    #[error("there is no leaf {position}: the tree has {leaves}")]
    NoLeaf {
        /// The one asked for.
        position: u64,
        /// How many there are.
        leaves: u64,
    },
    /// A node below the tree's count of leaves is not where it should be.
    #[error("node {position} of level {level} is missing")]
    Missing {
        /// Its level.
        level: u32,
        /// Its position on the level.
        position: u64,
    },
    /// The place where nodes are kept failed.
    #[error(transparent)]
    Nodes(#[from] E),
}

/// A path that is none of the tree, whatever its numbers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It is too short or too long.
    #[error("has {levels} levels, the tree {depth}")]
    Levels {
        /// Of the path.
        levels: usize,
        /// Of the tree.
        depth: u32,
    },
    /// It begins beyond the last leaf that there is room for.
    #[error("the tree has {capacity} leaves")]
    Position {
        /// Most leaves.
        capacity: u64,
    },
}

impl PathError {
    /// The field that is wrong, as the documents of the statements name it.
    #[must_use]
    pub const fn field(self) -> &'static str {
        match self {
            Self::Levels { .. } => "path",
            Self::Position { .. } => "position",
        }
    }
}

impl<const SIBLINGS: usize> Shape<SIBLINGS> {
    const ARITY: u64 = SIBLINGS as u64 + 1;
    const BITS: u32 = {
        assert!(SIBLINGS == 1 || SIBLINGS == 3, "arity 2 or 4");
        Self::ARITY.ilog2()
    };

    /// A tree with `depth` levels above the leaves.
    ///
    /// # Panics
    ///
    /// If there would be more than 2^32 leaves, or no level.
    #[must_use]
    pub const fn new(depth: u32) -> Self {
        assert!(
            0 < depth && depth * Self::BITS <= MOST_BITS,
            "at most 2^32 leaves"
        );
        Self { depth }
    }

    /// Levels above the leaves.
    #[must_use]
    pub const fn depth(self) -> u32 {
        self.depth
    }

    /// Most leaves.
    #[must_use]
    pub const fn capacity(self) -> u64 {
        1 << (self.depth * Self::BITS)
    }

    /// Whether a leaf at `position` can have a path of as many levels as `siblings`: the shape only, not where it leads.
    ///
    /// # Errors
    ///
    /// [`PathError`]. It names no position: where a leaf is may be secret.
    pub fn check_path(self, position: u64, siblings: &[[Fr; SIBLINGS]]) -> Result<(), PathError> {
        let (levels, depth) = (siblings.len(), self.depth);
        if levels != depth as usize {
            return Err(PathError::Levels { levels, depth });
        }
        if position >= self.capacity() {
            let capacity = self.capacity();
            return Err(PathError::Position { capacity });
        }
        Ok(())
    }

    /// Roots of the trees without leaves, of height 0 (an empty leaf) to the tree's depth.
    #[must_use]
    pub fn zeros(self) -> &'static [Fr] {
        // Hashed once for each arity: every append, path and check of a root asks for them.
        static BINARY: OnceLock<Vec<Fr>> = OnceLock::new();
        static QUATERNARY: OnceLock<Vec<Fr>> = OnceLock::new();
        let zeros = match SIBLINGS {
            1 => &BINARY,
            _ => &QUATERNARY,
        };
        &zeros.get_or_init(Self::all_zeros)[..=self.depth as usize]
    }

    /// The same up to the greatest depth.
    fn all_zeros() -> Vec<Fr> {
        let up = |zero: &Fr| Some(hash(&[*zero; 4][..=SIBLINGS]));
        let zeros = std::iter::successors(Some(Fr::ZERO), up);
        zeros.take((MOST_BITS / Self::BITS) as usize + 1).collect()
    }

    /// What to write when `leaves` are appended to a tree of `count` leaves, in the order of the levels, the root last; nothing for no
    /// leaves. `node` gives nodes of the tree as it is. Each node is hashed once, however many leaves come below it.
    ///
    /// # Errors
    ///
    /// [`MerkleError::Full`], [`MerkleError::Missing`], [`MerkleError::Nodes`].
    pub fn append<E>(
        self,
        count: u64,
        leaves: &[Fr],
        mut node: impl FnMut(u32, u64) -> Result<Option<Fr>, E>,
    ) -> Result<Vec<Node>, MerkleError<E>> {
        if leaves.len() as u64 > self.capacity().saturating_sub(count) {
            return Err(MerkleError::Full {
                capacity: self.capacity(),
            });
        }
        let mut nodes = Vec::new();
        let (mut first, mut new) = (count, leaves.to_vec());
        for (level, zero) in (0..).zip(self.zeros().iter().copied()) {
            let placed = (first..).zip(&new);
            nodes.extend(placed.map(|(position, value)| Node {
                level,
                position,
                value: *value,
            }));
            if level == self.depth || new.is_empty() {
                break;
            }
            // The first new node may have older ones to its left below the same parent.
            let left = first % Self::ARITY;
            let mut children = Vec::with_capacity(new.len() + SIBLINGS);
            for position in first - left..first {
                children
                    .push(node(level, position)?.ok_or(MerkleError::Missing { level, position })?);
            }
            children.append(&mut new);
            children.resize(children.len().next_multiple_of(SIBLINGS + 1), zero);
            new = children.chunks_exact(SIBLINGS + 1).map(hash).collect();
            first /= Self::ARITY;
        }
        Ok(nodes)
    }

    /// The path of a leaf in a tree of `count` leaves.
    ///
    /// # Errors
    ///
    /// [`MerkleError::NoLeaf`], [`MerkleError::Missing`], [`MerkleError::Nodes`].
    pub fn path<E>(
        self,
        count: u64,
        position: u64,
        mut node: impl FnMut(u32, u64) -> Result<Option<Fr>, E>,
    ) -> Result<Path<SIBLINGS>, MerkleError<E>> {
        if position >= count.min(self.capacity()) {
            return Err(MerkleError::NoLeaf {
                position,
                leaves: count,
            });
        }
        let mut siblings = Vec::with_capacity(self.depth as usize);
        for (level, zero) in (0..self.depth).zip(self.zeros().iter().copied()) {
            let own = position >> (level * Self::BITS);
            // Nodes from here on are roots of trees without leaves.
            let end = ((count - 1) >> (level * Self::BITS)) + 1;
            let family = own - own % Self::ARITY;
            let others = (family..family + Self::ARITY).filter(|position| *position != own);
            let mut row = [Fr::ZERO; SIBLINGS];
            for (sibling, position) in row.iter_mut().zip(others) {
                *sibling = match position < end {
                    true => {
                        node(level, position)?.ok_or(MerkleError::Missing { level, position })?
                    }
                    false => zero,
                };
            }
            siblings.push(row);
        }
        Ok(Path { position, siblings })
    }
}

impl<const SIBLINGS: usize> Path<SIBLINGS> {
    /// The root that the path leads to from a leaf.
    #[must_use]
    pub fn root(&self, leaf: Fr) -> Fr {
        let rows = self.children(leaf);
        rows.last().map_or(leaf, |row| hash(row))
    }

    /// The children of each node on the path, from the bottom up.
    fn children(&self, leaf: Fr) -> Vec<Vec<Fr>> {
        let mut node = leaf;
        let mut position = self.position;
        let rows = self.siblings.iter().map(|siblings| {
            let mut row = siblings.to_vec();
            row.insert((position % Shape::<SIBLINGS>::ARITY) as usize, node);
            node = hash(&row);
            position >>= Shape::<SIBLINGS>::BITS;
            row
        });
        rows.collect()
    }
}

/// A tree in memory.
#[derive(Debug, Clone)]
pub struct Tree<const SIBLINGS: usize> {
    shape: Shape<SIBLINGS>,
    leaves: u64,
    nodes: BTreeMap<(u32, u64), Fr>,
}

impl<const SIBLINGS: usize> Tree<SIBLINGS> {
    /// A tree without leaves.
    #[must_use]
    pub fn new(shape: Shape<SIBLINGS>) -> Self {
        Self {
            shape,
            leaves: 0,
            nodes: BTreeMap::new(),
        }
    }

    /// How many leaves there are.
    #[must_use]
    pub fn leaves(&self) -> u64 {
        self.leaves
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> Fr {
        let depth = self.shape.depth;
        let root = self.nodes.get(&(depth, 0)).copied();
        root.unwrap_or_else(|| self.shape.zeros()[depth as usize])
    }

    /// Appends leaves; returns the position of the first.
    ///
    /// # Errors
    ///
    /// [`MerkleError::Full`].
    pub fn append(&mut self, leaves: &[Fr]) -> Result<u64, MerkleError<Infallible>> {
        let node = |level, position| Ok(self.nodes.get(&(level, position)).copied());
        let nodes = self.shape.append(self.leaves, leaves, node)?;
        let placed = nodes.into_iter();
        self.nodes
            .extend(placed.map(|node| ((node.level, node.position), node.value)));
        let first = self.leaves;
        self.leaves += leaves.len() as u64;
        Ok(first)
    }

    /// The path of a leaf.
    ///
    /// # Errors
    ///
    /// [`MerkleError::NoLeaf`].
    pub fn path(&self, position: u64) -> Result<Path<SIBLINGS>, MerkleError<Infallible>> {
        let node = |level, position| Ok(self.nodes.get(&(level, position)).copied());
        self.shape.path(self.leaves, position, node)
    }
}
