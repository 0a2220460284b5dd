//! The order of a leaf's keys, kept from one scan to the next for as long as no key comes to the leaf.
//!
//! A seek that found the keys in no order would have to look at all of them; most seeks are for the few versions of one key.

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{At, LEAF_MAX, Leaf};
use crate::KeyRange;

/// Cells in the order of their keys.
#[derive(Debug)]
pub(super) struct Ordered {
    /// The leaf's count of cells when it was made: the same count, the same keys.
    count: u32,
    /// A cell, and a record of its key: the key of a record never changes, and the newest record is found in the cell.
    cells: Box<[(u8, At)]>,
}

impl Leaf {
    /// The newest records of the keys in `range` that were not removed, in order.
    pub(in crate::kvs::index) fn records_within(&self, range: &KeyRange) -> Vec<At> {
        let order = self.order();
        let cells = &order.cells;
        let from = cells.partition_point(|&(_, key)| !self.is_from_start(key, range));
        let to = from + cells[from..].partition_point(|&(_, key)| self.is_before_end(key, range));
        let newest = cells[from..to].iter().map(|&(cell, _)| {
            let word = self.cells[usize::from(cell)].word.load(Ordering::Acquire);
            At(word as u32)
        });
        newest.filter(|record| record.0 != 0).collect()
    }

    fn order(&self) -> Arc<Ordered> {
        // Whoever may see a key sees that it was counted.
        let count = self.count.load(Ordering::Acquire);
        if let Some(order) = &*self.order.load()
            && order.count == count
        {
            return Arc::clone(order);
        }
        let mut keyed = [(0, At(0), 0); LEAF_MAX];
        let mut len = 0;
        for (cell, at) in self.cells.iter().zip(0..) {
            let record = At(cell.word.load(Ordering::Acquire) as u32);
            if record.0 != 0 {
                keyed[len] = (self.key_head(record), record, at);
                len += 1;
            }
        }
        let keyed = &mut keyed[..len];
        self.sort(keyed);
        let order = Arc::new(Ordered {
            count,
            cells: keyed.iter().map(|&(_, record, at)| (at, record)).collect(),
        });
        self.order.store(Some(Arc::clone(&order)));
        order
    }

    fn is_from_start(&self, record: At, range: &KeyRange) -> bool {
        match &range.start {
            Bound::Included(start) => self.compare_key(record, start).is_ge(),
            Bound::Excluded(start) => self.compare_key(record, start).is_gt(),
            Bound::Unbounded => true,
        }
    }

    fn is_before_end(&self, record: At, range: &KeyRange) -> bool {
        match &range.end {
            Bound::Included(end) => self.compare_key(record, end).is_le(),
            Bound::Excluded(end) => self.compare_key(record, end).is_lt(),
            Bound::Unbounded => true,
        }
    }
}
