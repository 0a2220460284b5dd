//! [`storage::Snapshots`].

use storage::{Batch, Direction, Engine, KeyRange, Snapshots};

use crate::{Subject, all, fresh, get, pairs, put};

macro_rules! tests {
    ($subject:ty) => {
        $crate::cases!($subject, snapshots:
            a_snapshot_does_not_see_later_writes,
            snapshots_of_several_moments_stay_apart,
            a_snapshot_reads_in_every_way_an_engine_does,
            a_snapshot_outlives_its_engine,
            a_snapshot_holds_whole_batches,
        );
    };
}
pub(crate) use tests;

pub(crate) fn a_snapshot_does_not_see_later_writes<S: Subject>()
where
    S::Engine: Snapshots,
{
    let (_dir, engine) = fresh::<S>();
    for key in [b"a", b"b", b"c", b"d"] {
        put(&engine, key, b"old");
    }
    let before = all(&engine);
    let snapshot = engine.snapshot().unwrap();
    put(&engine, b"a", b"new");
    engine.write(Batch::new().delete("b")).unwrap();
    let range = KeyRange::half_open("c", "d");
    engine.write(Batch::new().delete_range(range)).unwrap();
    put(&engine, b"e", b"new");
    assert_eq!(all(&*snapshot), before);
    assert_eq!(get(&*snapshot, b"b").unwrap(), b"old");
    assert_eq!(get(&*snapshot, b"e"), None);
    assert_eq!(get(&engine, b"c"), None);
    drop(snapshot);
    assert_eq!(all(&engine).len(), 3);
}

pub(crate) fn snapshots_of_several_moments_stay_apart<S: Subject>()
where
    S::Engine: Snapshots,
{
    let (_dir, engine) = fresh::<S>();
    let snapshots: Vec<_> = (0..20_u8)
        .map(|number| {
            put(&engine, b"key", &[number]);
            put(&engine, &[number], b"");
            engine.snapshot().unwrap()
        })
        .collect();
    engine
        .write(Batch::new().delete_range(KeyRange::all()))
        .unwrap();
    // Dropped in an order that is neither that of their making nor its reverse.
    let order = (0..20).filter(|n| n % 3 == 0);
    for number in order.chain((0..20).rev()) {
        let snapshot = &snapshots[number];
        assert_eq!(get(&**snapshot, b"key").unwrap(), [number as u8]);
        assert_eq!(all(&**snapshot).len(), number + 2);
    }
    assert!(all(&engine).is_empty());
}

pub(crate) fn a_snapshot_reads_in_every_way_an_engine_does<S: Subject>()
where
    S::Engine: Snapshots,
{
    let (_dir, engine) = fresh::<S>();
    put(&engine, b"", b"0");
    put(&engine, b"a", b"1");
    put(&engine, b"b", b"2");
    let snapshot = engine.snapshot().unwrap();
    engine
        .write(Batch::new().delete_range(KeyRange::all()))
        .unwrap();
    let found = snapshot.multi_get(&[b"b", b"x", b""]).unwrap();
    assert_eq!(found, [Some("2".into()), None, Some("0".into())]);
    assert!(snapshot.contains(b"a").unwrap());
    let range = KeyRange::half_open("", "b");
    let reverse = pairs(&*snapshot, &range, Direction::Reverse);
    assert_eq!(reverse[0], (b"a".to_vec(), b"1".to_vec()));
    assert_eq!(reverse.len(), 2);
    assert!(snapshot.approximate_size(&range).unwrap() > 0);
    assert_eq!(snapshot.scan_keys(&range, Direction::Forward).count(), 2);
}

pub(crate) fn a_snapshot_outlives_its_engine<S: Subject>()
where
    S::Engine: Snapshots,
{
    let (_dir, engine) = fresh::<S>();
    let value = vec![7; 10_000];
    put(&engine, b"a", &value);
    let snapshot = engine.snapshot().unwrap();
    engine.write(Batch::new().delete("a")).unwrap();
    drop(engine);
    assert_eq!(get(&*snapshot, b"a").unwrap(), value);
    // Also on another thread than the one that opened it.
    std::thread::spawn(move || assert_eq!(all(&*snapshot).len(), 1))
        .join()
        .unwrap();
}

pub(crate) fn a_snapshot_holds_whole_batches<S: Subject>()
where
    S::Engine: Snapshots,
{
    let (_dir, engine) = fresh::<S>();
    let write = |number: u32| {
        let value = number.to_be_bytes().to_vec();
        let mut batch = Batch::new();
        batch.put("left", value.clone()).put("right", value);
        engine.write(&batch).unwrap();
    };
    write(0);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut last = Vec::new();
            while last != 200_u32.to_be_bytes() {
                let snapshot = engine.snapshot().unwrap();
                last = get(&*snapshot, b"left").unwrap();
                assert_eq!(get(&*snapshot, b"right").unwrap(), last);
            }
        });
        (1..=200).for_each(write);
        reader.join().unwrap();
    });
}
