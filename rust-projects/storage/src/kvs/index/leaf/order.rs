//! The order of a leaf's keys, kept from one scan to the next. Of keys that came since, a few are looked at one by one.

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{At, LEAF_MAX, Leaf};
use crate::KeyRange;

/// Cells in the order of their keys.
#[derive(Debug)]
pub(super) struct Ordered {
    /// So many keys had come to the leaf when it was made.
    count: u32,
    /// A cell, and a record of its key: the key of a record never changes, and the newest record is found in the cell.
    cells: Box<[(u8, At)]>,
}

/// When so many keys came since, all are put in order anew.
const FRESH: usize = 16;

impl Leaf {
    /// The newest records of the keys in `range` that were not removed, in order.
    pub(in crate::kvs::index) fn records_within(&self, range: &KeyRange) -> Vec<At> {
        // Whoever may see a key sees that it was counted.
        let count = self.count.load(Ordering::Acquire);
        let kept = self.order.load();
        // An order that another reader made meanwhile may know later keys, too.
        let known = kept.as_ref().map_or(0, |order| order.count.min(count));
        if count - known >= FRESH as u32 {
            return self.part_of(&self.put_in_order(count).cells, range);
        }
        let mut records = kept
            .as_ref()
            .map_or_else(Vec::new, |order| self.part_of(&order.cells, range));
        for came in known..count {
            let record = self.newest_in(self.came(came));
            if let Some(record) = record.filter(|&record| self.is_within(record, range)) {
                let at = records.partition_point(|&other| self.compare_keys(other, record).is_lt());
                records.insert(at, record);
            }
        }
        records
    }

    /// The cell of the key that came after so many others.
    fn came(&self, nth: u32) -> u8 {
        self.came[nth as usize].load(Ordering::Relaxed)
    }

    /// The newest record of a cell's key; none if it was removed.
    fn newest_in(&self, cell: u8) -> Option<At> {
        let word = self.cells[usize::from(cell)].word.load(Ordering::Acquire);
        Some(At(word as u32)).filter(|record| record.0 != 0)
    }

    fn part_of(&self, cells: &[(u8, At)], range: &KeyRange) -> Vec<At> {
        let from = cells.partition_point(|&(_, key)| !self.is_from_start(key, range));
        let to = from + cells[from..].partition_point(|&(_, key)| self.is_before_end(key, range));
        let cells = cells[from..to].iter();
        cells
            .filter_map(|&(cell, _)| self.newest_in(cell))
            .collect()
    }

    fn put_in_order(&self, count: u32) -> Arc<Ordered> {
        let mut keyed = [(0, At(0), 0); LEAF_MAX];
        let mut len = 0;
        for cell in (0..count).map(|nth| self.came(nth)) {
            if let Some(record) = self.newest_in(cell) {
                keyed[len] = (self.key_head(record), record, cell);
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

    fn is_within(&self, record: At, range: &KeyRange) -> bool {
        self.is_from_start(record, range) && self.is_before_end(record, range)
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
