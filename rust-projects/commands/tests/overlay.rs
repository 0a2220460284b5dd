//! An overlay with changes shows what the reader below would after them.

#![allow(clippy::unwrap_used)] // clippy exempts test functions only, not their helpers

mod support;

use std::ops::Bound;

use bytes::Bytes;
use commands::Overlay;
use proptest::collection::vec;
use proptest::prelude::*;
use storage::{Batch, Direction, KeyRange, Op, Reader};
use support::MapReader;

/// Short keys over few bytes, so that changes meet, with the empty one and 0xff, where prefixes end differently.
fn key() -> impl Strategy<Value = Bytes> {
    vec(
        prop_oneof![Just(b'a'), Just(b'b'), Just(0), Just(0xff)],
        0..4,
    )
    .prop_map(Bytes::from)
}

fn bound() -> impl Strategy<Value = Bound<Bytes>> {
    prop_oneof![
        3 => key().prop_map(Bound::Included),
        3 => key().prop_map(Bound::Excluded),
        1 => Just(Bound::Unbounded),
    ]
}

/// Any range, empty and inverted ones included.
fn range() -> impl Strategy<Value = KeyRange> {
    prop_oneof![
        (bound(), bound()).prop_map(|(start, end)| KeyRange { start, end }),
        key().prop_map(|prefix| KeyRange::prefix(&prefix)),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (key(), key()).prop_map(|(key, value)| Op::Put { key, value }),
        3 => key().prop_map(|key| Op::Delete { key }),
        2 => range().prop_map(|range| Op::DeleteRange { range }),
    ]
}

fn applied(data: &MapReader, ops: &[Op]) -> MapReader {
    let mut data = data.clone();
    data.apply(&ops.iter().cloned().collect::<Batch>());
    data
}

fn pairs(reader: &dyn Reader, range: &KeyRange, direction: Direction) -> Vec<(Bytes, Bytes)> {
    reader.scan(range, direction).map(Result::unwrap).collect()
}

fn keys(reader: &dyn Reader, range: &KeyRange, direction: Direction) -> Vec<Bytes> {
    let keys = reader.scan_keys(range, direction);
    keys.map(Result::unwrap).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn an_overlay_shows_what_applying_its_changes_would(
        stored in vec((key(), key()), 0..20),
        steps in vec(vec(op(), 0..6), 0..4),
        ranges in vec(range(), 1..6),
        probes in vec(key(), 1..12),
    ) {
        let below = MapReader { entries: stored.into_iter().collect() };
        let mut overlay = Overlay::new(&below);
        let mut expected = below.clone();
        for ops in steps {
            overlay.apply(&ops);
            expected = applied(&expected, &ops);
            for range in &ranges {
                for direction in [Direction::Forward, Direction::Reverse] {
                    prop_assert_eq!(pairs(&overlay, range, direction), pairs(&expected, range, direction));
                    prop_assert_eq!(keys(&overlay, range, direction), keys(&expected, range, direction));
                }
            }
            for key in &probes {
                prop_assert_eq!(overlay.get(key).unwrap(), expected.get(key).unwrap());
                prop_assert_eq!(overlay.contains(key).unwrap(), expected.contains(key).unwrap());
            }
            let probes: Vec<&[u8]> = probes.iter().map(|key| &key[..]).collect();
            prop_assert_eq!(overlay.multi_get(&probes).unwrap(), expected.multi_get(&probes).unwrap());
        }
    }

    #[test]
    fn overlays_stack(
        stored in vec((key(), key()), 0..20),
        first in vec(op(), 0..6),
        second in vec(op(), 0..6),
    ) {
        let below = MapReader { entries: stored.into_iter().collect() };
        let mut lower = Overlay::new(&below);
        lower.apply(&first);
        let mut upper = Overlay::new(&lower);
        upper.apply(&second);
        let expected = applied(&applied(&below, &first), &second);
        for direction in [Direction::Forward, Direction::Reverse] {
            prop_assert_eq!(
                pairs(&upper, &KeyRange::all(), direction),
                pairs(&expected, &KeyRange::all(), direction)
            );
        }
    }
}
