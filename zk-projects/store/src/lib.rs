//! What the zero-knowledge applications keep: trees, the roots they had, sets of numbers, and secrets as text.
//!
//! # What it is
//!
//! [`TreeStore`] keeps a tree of [`gadgets::merkle`] in an engine of `storage`; [`NumberSet`] keeps used nullifiers and the like. Both only
//! add to a [`Batch`] that their application writes, so that what belongs together is on disk together or not at all.
//!
//! # What it guarantees
//!
//! After a crash the tree is that of some completed batch: leaves, inner nodes, count and root agree. Every root that a batch led to
//! stays known, with the number of leaves it stands for.
//!
//! # What it does not
//!
//! Paths lead to the latest root only. There is one writer for each tree: two batches made from the same state would overwrite each
//! other (applications hold the directory alone and take `&mut self`).
//!
//! # How it works
//!
//! ```text
//! NAME/leaves                     number of leaves, 8 bytes
//! NAME/node/LEVEL POSITION        number, 32 bytes           LEVEL 1 byte, POSITION 8 bytes
//! NAME/leaf/NUMBER                position of its first appearance, 8 bytes
//! NAME/root/LEAVES                root after so many leaves
//! NAME/known/ROOT                 how many leaves it stands for
//! NAME/NUMBER                     (a set) empty
//! ```
//!
//! All integers are big-endian, so that scans are in their order.

mod numbers;
mod text;
mod tree;

pub use numbers::{NumberSet, number_bytes, read_number};
pub use storage::Batch;
pub use text::{TextError, decode_text, encode_text};
pub use tree::TreeStore;

use gadgets::merkle::MerkleError;

/// Why a store cannot do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The engine failed.
    #[error(transparent)]
    Storage(#[from] storage::Error),
    /// The tree is full or has no such leaf, or a node of it is lost.
    #[error("{0}")]
    Tree(MerkleError<std::convert::Infallible>),
    /// A value is not what is written under such a key.
    #[error(
        "the value of `{key}` is damaged: restore the directory from a backup, or build it anew from the chain's events"
    )]
    Damaged {
        /// The key, with bytes that are not printable escaped.
        key: String,
    },
}

impl StoreError {
    /// A value that cannot be read.
    #[must_use]
    pub fn damaged(key: &[u8]) -> Self {
        Self::Damaged {
            key: key.escape_ascii().to_string(),
        }
    }
}

impl From<MerkleError<Self>> for StoreError {
    fn from(error: MerkleError<Self>) -> Self {
        match error {
            MerkleError::Full { capacity } => Self::Tree(MerkleError::Full { capacity }),
            MerkleError::NoLeaf { position, leaves } => {
                Self::Tree(MerkleError::NoLeaf { position, leaves })
            }
            MerkleError::Missing { level, position } => {
                Self::Tree(MerkleError::Missing { level, position })
            }
            MerkleError::Nodes(error) => error,
        }
    }
}
