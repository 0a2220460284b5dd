//! A batch: the unit of atomicity.

use bytes::Bytes;

use crate::KeyRange;

/// One change in a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Sets `key` to `value`.
    Put {
        /// The key.
        key: Bytes,
        /// The value, possibly empty.
        value: Bytes,
    },
    /// Removes `key`; no error when absent.
    Delete {
        /// The key.
        key: Bytes,
    },
    /// Removes every key of a range.
    DeleteRange {
        /// The range.
        range: KeyRange,
    },
}

/// Changes that are applied all together or not at all, in order: of two that touch one key the later wins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    ops: Vec<Op>,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets `key` to `value`.
    pub fn put(&mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) -> &mut Self {
        self.push(Op::Put {
            key: key.into(),
            value: value.into(),
        })
    }

    /// Removes `key`.
    pub fn delete(&mut self, key: impl Into<Bytes>) -> &mut Self {
        self.push(Op::Delete { key: key.into() })
    }

    /// Removes every key of `range`.
    pub fn delete_range(&mut self, range: KeyRange) -> &mut Self {
        self.push(Op::DeleteRange { range })
    }

    /// Appends one change.
    pub fn push(&mut self, op: Op) -> &mut Self {
        self.ops.push(op);
        self
    }

    /// The changes in order.
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// Number of changes.
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Empties the batch and keeps its memory.
    pub fn clear(&mut self) {
        self.ops.clear();
    }
}

impl FromIterator<Op> for Batch {
    fn from_iter<I: IntoIterator<Item = Op>>(ops: I) -> Self {
        Self {
            ops: ops.into_iter().collect(),
        }
    }
}

impl IntoIterator for Batch {
    type Item = Op;
    type IntoIter = std::vec::IntoIter<Op>;

    fn into_iter(self) -> Self::IntoIter {
        self.ops.into_iter()
    }
}

impl Extend<Op> for Batch {
    fn extend<I: IntoIterator<Item = Op>>(&mut self, ops: I) {
        self.ops.extend(ops);
    }
}
