//! [`storage::Reader`] and [`storage::Engine`].

use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use storage::{Batch, Direction, Engine, Error, KeyRange, Reader};

use crate::{Subject, all, fresh, get, keys, pairs, put};

macro_rules! tests {
    ($subject:ty) => {
        $crate::cases!($subject, core:
            a_value_is_read_back_until_replaced_or_deleted,
            an_empty_batch_does_nothing,
            later_changes_of_a_batch_win,
            a_range_deletion_takes_earlier_puts_of_its_batch_and_spares_later_ones,
            range_deletion_honours_every_kind_of_bound,
            scans_honour_every_kind_of_bound_in_both_directions,
            empty_keys_and_values_are_keys_and_values,
            keys_are_ordered_as_bytes,
            a_prefix_selects_its_keys_even_at_0xff,
            empty_and_inverted_ranges_hold_nothing,
            multi_get_answers_in_the_order_asked,
            a_scan_shows_the_moment_of_its_call,
            many_pairs_are_scanned_in_order_both_ways,
            large_values_are_kept_whole,
            what_exceeds_a_limit_is_refused_and_leaves_all_as_it_was,
            a_batch_is_seen_whole,
            writes_of_many_threads_all_arrive,
            approximate_size_is_within_a_factor_of_two,
        );
    };
}
pub(crate) use tests;

/// Every pair of bounds over some keys, keys not stored among them.
fn ranges() -> Vec<KeyRange> {
    let bounds: Vec<Bound<Bytes>> = [&b""[..], b"\0", b"a", b"b", b"b\0", b"c", b"d", b"\xff"]
        .into_iter()
        .flat_map(|key| {
            let key = Bytes::from_static(key);
            [Bound::Included(key.clone()), Bound::Excluded(key)]
        })
        .chain([Bound::Unbounded])
        .collect();
    let ranges = bounds.iter().flat_map(|start| {
        bounds.iter().map(|end| KeyRange {
            start: start.clone(),
            end: end.clone(),
        })
    });
    ranges.collect()
}

const STORED: [&[u8]; 7] = [b"", b"\0", b"a", b"b", b"b\0", b"c", b"\xff\xff"];

fn stored() -> Batch {
    let mut batch = Batch::new();
    for key in STORED {
        batch.put(key, [key, b"!"].concat());
    }
    batch
}

pub(crate) fn a_value_is_read_back_until_replaced_or_deleted<S: Subject>() {
    let (_dir, engine) = fresh::<S>();
    assert_eq!(engine.kind(), S::KIND);
    assert_eq!(get(&engine, b"key"), None);
    assert!(!engine.contains(b"key").unwrap());
    put(&engine, b"key", b"one");
    assert_eq!(get(&engine, b"key").unwrap(), b"one");
    put(&engine, b"key", b"two");
    assert_eq!(get(&engine, b"key").unwrap(), b"two");
    assert!(engine.contains(b"key").unwrap());
    assert!(!engine.contains(b"ke").unwrap());
    for _ in 0..2 {
        engine.write(Batch::new().delete("key")).unwrap();
        assert_eq!(get(&engine, b"key"), None);
    }
    assert!(all(&engine).is_empty());
}

pub(crate) fn an_empty_batch_does_nothing<S: Subject>() {
    let (_dir, engine) = fresh::<S>();
    put(&engine, b"a", b"1");
    engine.write(&Batch::new()).unwrap();
    assert_eq!(all(&engine).len(), 1);
}

pub(crate) fn later_changes_of_a_batch_win<S: Subject>() {
    let (_dir, engine) = fresh::<S>();
    let mut batch = Batch::new();
    batch.put("a", "1").put("a", "2");
    batch.put("b", "1").delete("b");
    batch.delete("c").put("c", "1");
    engine.write(&batch).unwrap();
    let expected = [
        (b"a".to_vec(), b"2".to_vec()),
        (b"c".to_vec(), b"1".to_vec()),
    ];
    assert_eq!(all(&engine), expected);
}

pub(crate) fn a_range_deletion_takes_earlier_puts_of_its_batch_and_spares_later_ones<S: Subject>() {
    let (_dir, engine) = fresh::<S>();
    put(&engine, b"a", b"old");
    put(&engine, b"d", b"old");
    let mut batch = Batch::new();
    batch.put("b", "earlier").put("d", "earlier");
    batch.delete_range(KeyRange::half_open("a", "d"));
    batch.put("c", "later");
    engine.write(&batch).unwrap();
    let expected = [
        (b"c".to_vec(), b"later".to_vec()),
        (b"d".to_vec(), b"earlier".to_vec()),
    ];
    assert_eq!(all(&engine), expected);
    let mut batch = Batch::new();
    batch.delete_range(KeyRange::all()).put("e", "1");
    batch.delete_range(KeyRange::all()).put("f", "1");
    engine.write(&batch).unwrap();
    assert_eq!(all(&engine), [(b"f".to_vec(), b"1".to_vec())]);
}

pub(crate) fn range_deletion_honours_every_kind_of_bound<S: Subject>() {
    let (_dir, engine) = fresh::<S>();
    for range in ranges() {
        engine.write(&stored()).unwrap();
        engine
            .write(Batch::new().delete_range(range.clone()))
            .unwrap();
        let expected: Vec<&[u8]> = STORED.into_iter().filter(|k| !range.contains(k)).collect();
        let left = keys(&engine, &KeyRange::all(), Direction::Forward);
        assert_eq!(left, expected, "{range:?}");
        engine.write(stored().delete_range(range.clone())).unwrap();
        let left = keys(&engine, &KeyRange::all(), Direction::Forward);
        assert_eq!(left, expected, "{range:?} in the batch of the puts");
    }
}

pub(crate) fn scans_honour_every_kind_of_bound_in_both_directions<S: Subject>() {
    let (_dir, engine) = fresh::<S>();
    engine.write(&stored()).unwrap();
    for range in ranges() {
        let mut expected: Vec<_> = STORED
            .into_iter()
            .filter(|key| range.contains(key))
            .map(|key| (key.to_vec(), [key, b"!"].concat()))
            .collect();
        for direction in [Direction::Forward, Direction::Reverse] {
            assert_eq!(pairs(&engine, &range, direction), expected, "{range:?}");
            let expected_keys: Vec<_> = expected.iter().map(|(key, _)| key).collect();
            assert_eq!(keys(&engine, &range, direction), expected_keys, "{range:?}");
            expected.reverse();
        }
    }
}

pub(crate) fn empty_keys_and_values_are_keys_and_values<S: Subject>() {
    let (_dir, engine) = fresh::<S>();
    put(&engine, b"", b"");
    put(&engine, b"a", b"");
    assert_eq!(get(&engine, b""), Some(Vec::new()));
    assert!(engine.contains(b"").unwrap());
    assert_eq!(get(&engine, b"a"), Some(Vec::new()));
    assert_eq!(all(&engine).len(), 2);
    engine.write(Batch::new().delete("")).unwrap();
    assert_eq!(get(&engine, b""), None);
    assert_eq!(all(&engine), [(b"a".to_vec(), Vec::new())]);
}

pub(crate) fn keys_are_ordered_as_bytes<S: Subject>() {
    let (_dir, engine) = fresh::<S>();
    let mut sorted: Vec<Vec<u8>> = (0..=255)
        .flat_map(|byte| [vec![byte], vec![byte, 0], vec![byte, 0xff]])
        .collect();
    sorted.sort();
    let mut batch = Batch::new();
    for key in sorted.iter().rev() {
        batch.put(key.clone(), key.clone());
    }
    engine.write(&batch).unwrap();
    for key in &sorted {
        assert_eq!(get(&engine, key).as_ref(), Some(key));
    }
    let forward = keys(&engine, &KeyRange::all(), Direction::Forward);
    assert_eq!(forward, sorted);
    sorted.reverse();
    let reverse = keys(&engine, &KeyRange::all(), Direction::Reverse);
    assert_eq!(reverse, sorted);
}

pub(crate) fn a_prefix_selects_its_keys_even_at_0xff<S: Subject>() {
    let (_dir, engine) = fresh::<S>();
    let stored: [&[u8]; 7] = [
        b"a",
        b"a\0",
        b"a\xff",
        b"a\xff\xff",
        b"b",
        b"\xff",
        b"\xff\xff",
    ];
    let mut batch = Batch::new();
    for key in stored {
        batch.put(key, "");
    }
    engine.write(&batch).unwrap();
    for prefix in [&b""[..], b"a", b"a\xff", b"b", b"\xff", b"\xff\xff", b"c"] {
        let expected: Vec<_> = stored.iter().filter(|k| k.starts_with(prefix)).collect();
        let found = keys(&engine, &KeyRange::prefix(prefix), Direction::Forward);
        assert_eq!(found, expected, "{prefix:?}");
    }
}

pub(crate) fn empty_and_inverted_ranges_hold_nothing<S: Subject>() {
    let (_dir, engine) = fresh::<S>();
    engine.write(&stored()).unwrap();
    let successor = KeyRange {
        start: Bound::Excluded(Bytes::from("a")),
        end: Bound::Excluded(Bytes::from("a\0")),
    };
    let empty = [
        KeyRange::half_open("a", "a"),
        KeyRange::half_open("c", "a"),
        successor,
    ];
    for range in empty {
        for direction in [Direction::Forward, Direction::Reverse] {
            assert!(pairs(&engine, &range, direction).is_empty());
            assert!(keys(&engine, &range, direction).is_empty());
        }
        assert_eq!(engine.approximate_size(&range).unwrap(), 0);
        engine.write(Batch::new().delete_range(range)).unwrap();
        assert_eq!(all(&engine).len(), STORED.len());
    }
}

pub(crate) fn multi_get_answers_in_the_order_asked<S: Subject>() {
    let (_dir, engine) = fresh::<S>();
    engine.write(&stored()).unwrap();
    let asked: [&[u8]; 5] = [b"c", b"absent", b"", b"c", b"a"];
    let found = engine.multi_get(&asked).unwrap();
    let expected = [Some("c!"), None, Some("!"), Some("c!"), Some("a!")];
    assert_eq!(found, expected.map(|value| value.map(Bytes::from)));
    assert!(engine.multi_get(&[]).unwrap().is_empty());
}

pub(crate) fn a_scan_shows_the_moment_of_its_call<S: Subject>() {
    let (_dir, engine) = fresh::<S>();
    engine.write(&stored()).unwrap();
    for direction in [Direction::Forward, Direction::Reverse] {
        let before = pairs(&engine, &KeyRange::all(), direction);
        let mut scan = engine.scan(&KeyRange::all(), direction);
        let first = scan.next().unwrap().unwrap();
        let mut batch = Batch::new();
        batch.delete_range(KeyRange::all()).put("new", "new");
        engine.write(&batch).unwrap();
        let rest = scan.map(|pair| pair.unwrap());
        let seen: Vec<_> = [first]
            .into_iter()
            .chain(rest)
            .map(|(key, value)| (key.to_vec(), value.to_vec()))
            .collect();
        assert_eq!(seen, before);
        engine.write(stored().delete("new")).unwrap();
    }
}

pub(crate) fn many_pairs_are_scanned_in_order_both_ways<S: Subject>() {
    let (_dir, engine) = fresh::<S>();
    let mut expected: Vec<Vec<u8>> = (0..5000_u32).map(|n| n.to_be_bytes().to_vec()).collect();
    let mut batch = Batch::new();
    for key in &expected {
        batch.put(key.clone(), key.clone());
    }
    engine.write(&batch).unwrap();
    assert_eq!(
        keys(&engine, &KeyRange::all(), Direction::Forward),
        expected
    );
    expected.reverse();
    assert_eq!(
        keys(&engine, &KeyRange::all(), Direction::Reverse),
        expected
    );
    let part = KeyRange::half_open(expected[4000].clone(), expected[500].clone());
    assert_eq!(keys(&engine, &part, Direction::Forward).len(), 3500);
}

pub(crate) fn large_values_are_kept_whole<S: Subject>() {
    let (_dir, engine) = fresh::<S>();
    let value: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    put(&engine, b"large", &value);
    assert!(get(&engine, b"large").unwrap() == value);
    let longest = vec![b'k'; engine.limits().key_bytes];
    put(&engine, &longest, b"longest");
    assert_eq!(get(&engine, &longest).unwrap(), b"longest");
    assert_eq!(keys(&engine, &KeyRange::all(), Direction::Forward).len(), 2);
}

pub(crate) fn what_exceeds_a_limit_is_refused_and_leaves_all_as_it_was<S: Subject>() {
    let (_dir, engine) = fresh::<S>();
    put(&engine, b"a", b"1");
    let limits = engine.limits();
    let refused = |batch: &mut Batch| {
        let error = engine.write(batch).unwrap_err();
        assert_eq!(all(&engine), [(b"a".to_vec(), b"1".to_vec())]);
        error
    };
    let start = || {
        let mut batch = Batch::new();
        batch.put("b", "2").delete_range(KeyRange::all());
        batch
    };

    let key = vec![0; limits.key_bytes + 1];
    let error = refused(start().put(key.clone(), ""));
    assert!(
        matches!(error, Error::KeyTooLarge { len, max } if max == limits.key_bytes && len > max)
    );
    let error = refused(start().delete(key.clone()));
    assert!(matches!(error, Error::KeyTooLarge { .. }));
    // Reading such a key is no error: it is not there.
    assert_eq!(get(&engine, &key), None);

    // Zeroed memory that nobody touches costs nothing.
    let value = Bytes::from(vec![0; limits.value_bytes + 1]);
    let error = refused(start().put("c", value.clone()));
    assert!(
        matches!(error, Error::ValueTooLarge { len, max } if max == limits.value_bytes && len > max)
    );

    let value = value.slice(..limits.value_bytes.min(limits.batch_bytes));
    let mut batch = start();
    for number in 0..=limits.batch_bytes / value.len() {
        batch.put(number.to_be_bytes().to_vec(), value.clone());
    }
    let error = refused(&mut batch);
    assert!(matches!(error, Error::BatchTooLarge { len, max } if len > max));
    put(&engine, b"a", b"2");
}

pub(crate) fn a_batch_is_seen_whole<S: Subject>() {
    let (_dir, engine) = fresh::<S>();
    let write = |number: u32| {
        let value = number.to_be_bytes().to_vec();
        let mut batch = Batch::new();
        batch.delete_range(KeyRange::all());
        batch.put("left", value.clone()).put("right", value);
        engine.write(&batch).unwrap();
    };
    write(0);
    let done = AtomicBool::new(false);
    let whole = |values: &[Vec<u8>]| {
        assert_eq!(values.len(), 2, "both are there at any moment");
        assert_eq!(values[0], values[1], "both are of one batch");
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let found = engine.multi_get(&[b"left", b"right"]).unwrap();
                let found: Vec<_> = found.into_iter().flatten().map(Vec::from).collect();
                whole(&found);
            }
        });
        for direction in [Direction::Forward, Direction::Reverse] {
            let (engine, done, whole) = (&engine, &done, &whole);
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    let found = pairs(engine, &KeyRange::all(), direction);
                    let found: Vec<_> = found.into_iter().map(|(_, value)| value).collect();
                    whole(&found);
                }
            });
        }
        (1..=300).for_each(write);
        done.store(true, Ordering::Relaxed);
    });
}

pub(crate) fn writes_of_many_threads_all_arrive<S: Subject>() {
    let (_dir, engine) = fresh::<S>();
    std::thread::scope(|scope| {
        for thread in 0..8_u8 {
            let engine = &engine;
            scope.spawn(move || {
                for number in 0..25_u8 {
                    put(engine, &[thread, number], &[number]);
                    // A thread reads what it has written.
                    assert_eq!(get(engine, &[thread, number]).unwrap(), [number]);
                }
            });
        }
    });
    assert_eq!(all(&engine).len(), 200);
}

pub(crate) fn approximate_size_is_within_a_factor_of_two<S: Subject>() {
    let (_dir, engine) = fresh::<S>();
    assert_eq!(engine.approximate_size(&KeyRange::all()).unwrap(), 0);
    let mut batch = Batch::new();
    for number in 0..8000_u64 {
        batch.put(number.to_be_bytes().to_vec(), vec![1; 100]);
    }
    engine.write(&batch).unwrap();
    let range = |from: u64, to: u64| {
        KeyRange::half_open(from.to_be_bytes().to_vec(), to.to_be_bytes().to_vec())
    };
    for (range, count) in [(KeyRange::all(), 8000), (range(1000, 5000), 4000)] {
        let size = engine.approximate_size(&range).unwrap();
        let exact = count * 108;
        assert!(
            (exact / 2..=exact * 2).contains(&size),
            "{size} against {exact}"
        );
    }
    let never_held = range(1 << 40, 1 << 50);
    assert_eq!(engine.approximate_size(&never_held).unwrap(), 0);
}
