//! Range deletions over keys that come in order: a sweep line.

use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::ops::Bound;

use super::hint::{Hint, HintRange};
use super::shared::RangeDeletion;
use crate::Seq;

/// The range deletions over the current key, as keys ascend. Each is looked at once per key whose newest version it is,
/// and once when it has ended: however many overlap, the work is linear in keys and deletions, times a logarithm.
pub(super) struct RangeSweep<'a> {
    /// By where they begin.
    sorted: Vec<&'a HintRange>,
    /// Keys whose newest version is each deletion.
    keys: Vec<u64>,
    /// The first that has not begun.
    next: usize,
    /// Those that have begun, newest first. One that has ended stays until it is the first.
    begun: BinaryHeap<(Seq, usize)>,
    #[cfg(test)]
    looks: usize,
}

impl<'a> RangeSweep<'a> {
    pub(super) fn new(hints: &'a [Hint]) -> Self {
        Self::of(hints.iter().flat_map(|hint| &hint.ranges).collect())
    }

    fn of(mut sorted: Vec<&'a HintRange>) -> Self {
        sorted.sort_by(|a, b| start(a).cmp(&start(b)));
        Self {
            keys: vec![0; sorted.len()],
            sorted,
            next: 0,
            begun: BinaryHeap::new(),
            #[cfg(test)]
            looks: 0,
        }
    }

    /// The newest deletion that covers `key`, which must be greater than the one before, and its number.
    pub(super) fn newest_over(&mut self, key: &[u8]) -> Option<(usize, &'a HintRange)> {
        while let Some(range) = self.sorted.get(self.next)
            && start(range) <= (key, false)
        {
            self.begun.push((range.seq, self.next));
            self.next += 1;
        }
        while let Some(&(_, at)) = self.begun.peek() {
            #[cfg(test)]
            {
                self.looks += 1;
            }
            let range = self.sorted[at];
            if range.range.contains(key) {
                return Some((at, range));
            }
            // It has begun, so it has ended, and covers no later key either.
            self.begun.pop();
        }
        None
    }

    /// Says that the newest version of a key is deletion `id`; returns its sequence number.
    pub(super) fn take_key(&mut self, id: usize) -> Seq {
        self.keys[id] += 1;
        self.sorted[id].seq
    }

    /// The deletions that some key needs, by number; their records count as `live`.
    pub(super) fn finish(self, live: &mut HashMap<u32, i64>) -> BTreeMap<u32, RangeDeletion> {
        let used = self.sorted.iter().zip(self.keys).enumerate();
        used.filter(|(_, (_, keys))| *keys > 0)
            .map(|(id, (range, keys))| {
                *live.entry(range.segment).or_default() += range.record_len as i64;
                let deletion = RangeDeletion {
                    segment: range.segment,
                    offset: range.offset,
                    record_len: range.record_len,
                    keys,
                };
                (id as u32, deletion)
            })
            .collect()
    }
}

/// Where a deletion begins: a key, and whether it begins only behind it.
fn start(range: &HintRange) -> (&[u8], bool) {
    match &range.range.start {
        Bound::Included(key) => (key, false),
        Bound::Excluded(key) => (key, true),
        Bound::Unbounded => (&[], false),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::KeyRange;

    fn deletion(seq: Seq, range: KeyRange) -> HintRange {
        HintRange {
            seq,
            segment: 1,
            offset: 0,
            record_len: 1,
            range,
        }
    }

    fn bound() -> impl Strategy<Value = Bound<Bytes>> {
        let key = (0..20_u8).prop_map(|byte| Bytes::from(vec![byte]));
        prop_oneof![
            4 => key.clone().prop_map(Bound::Included),
            4 => key.prop_map(Bound::Excluded),
            1 => Just(Bound::Unbounded),
        ]
    }

    proptest! {
        #[test]
        fn the_newest_of_all_that_cover_a_key_is_found(
            bounds in prop::collection::vec((bound(), bound()), 0..30),
        ) {
            let ranges: Vec<_> = (1..)
                .zip(bounds)
                .map(|(seq, (start, end))| deletion(seq, KeyRange { start, end }))
                .collect();
            let mut sweep = RangeSweep::of(ranges.iter().collect());
            for byte in 0..20_u8 {
                let found = sweep.newest_over(&[byte]).map(|(_, range)| range.seq);
                let covering = ranges.iter().filter(|range| range.range.contains(&[byte]));
                prop_assert_eq!(found, covering.map(|range| range.seq).max());
            }
        }
    }

    #[test]
    fn the_work_is_linear_however_many_deletions_overlap() {
        const COUNT: usize = 2000;
        let key = |number: usize| format!("{number:06}").into_bytes();
        // Each lies within the one before, so that in the middle all of them cover the key.
        let ranges: Vec<_> = (0..COUNT)
            .map(|at| deletion(at as Seq, KeyRange::half_open(key(at), key(2 * COUNT - at))))
            .collect();
        let mut sweep = RangeSweep::of(ranges.iter().collect());
        for number in 0..2 * COUNT {
            let found = sweep.newest_over(&key(number)).map(|(_, range)| range.seq);
            let expected = number.min(2 * COUNT - 1 - number);
            assert_eq!(found, Some(expected as Seq));
        }
        assert!(
            sweep.looks <= 3 * COUNT,
            "{} looks for {COUNT} deletions and {} keys",
            sweep.looks,
            2 * COUNT
        );
    }
}
