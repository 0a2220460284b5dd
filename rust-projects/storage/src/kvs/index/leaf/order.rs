//! The order of a leaf's keys, kept from one scan to the next for as long as no key comes to the leaf.
//!
//! Most seeks are for the few versions of one key. Where the order is that of before, they look at all keys, which is less than to put them in order.

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

/// So many keys are found without an order.
const FEW: usize = 8;

impl Leaf {
    /// The newest records of the keys in `range` that were not removed, in order.
    pub(in crate::kvs::index) fn records_within(&self, range: &KeyRange) -> Vec<At> {
        // Whoever may see a key sees that it was counted.
        let count = self.count.load(Ordering::Acquire);
        let kept = self.order.load();
        if let Some(order) = kept.as_ref().filter(|order| order.count == count) {
            return self.part_of(&order.cells, range);
        }
        // A seek for a few keys in a leaf to which keys come all the time is done before all of them would be in order. Where none came since the last
        // seek, the order is worth it.
        if self.sought.swap(count + 1, Ordering::Relaxed) != count + 1 {
            let mut few = [(0, At(0), ()); FEW];
            if let Some(len) = self.find_few(range, &mut few) {
                self.sort(&mut few[..len]);
                return few[..len].iter().map(|&(_, record, ())| record).collect();
            }
        }
        self.part_of(&self.put_in_order(count).cells, range)
    }

    fn part_of(&self, cells: &[(u8, At)], range: &KeyRange) -> Vec<At> {
        let from = cells.partition_point(|&(_, key)| !self.is_from_start(key, range));
        let to = from + cells[from..].partition_point(|&(_, key)| self.is_before_end(key, range));
        let newest = cells[from..to].iter().map(|&(cell, _)| {
            let word = self.cells[usize::from(cell)].word.load(Ordering::Acquire);
            At(word as u32)
        });
        newest.filter(|record| record.0 != 0).collect()
    }

    /// Records of the keys of a range in no order, and how many there are; `None` if they are more than a few.
    fn find_few(&self, range: &KeyRange, few: &mut [(u64, At, ()); FEW]) -> Option<usize> {
        let mut len = 0;
        for cell in &self.cells {
            let record = At(cell.word.load(Ordering::Acquire) as u32);
            let is_within = record.0 != 0
                && self.is_from_start(record, range)
                && self.is_before_end(record, range);
            if is_within {
                *few.get_mut(len)? = (self.key_head(record), record, ());
                len += 1;
            }
        }
        Some(len)
    }

    fn put_in_order(&self, count: u32) -> Arc<Ordered> {
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
