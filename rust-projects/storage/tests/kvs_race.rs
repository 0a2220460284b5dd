//! Writers, readers, snapshots and scans against the compaction thread (bug class S6).

// The lint's exception for tests covers functions with `#[test]` only.
#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use storage::kvs::{LogEngine, Options};
use storage::{Batch, Direction, Engine, KeyRange, Reader, Snapshots, SyncPolicy};

const WRITERS: u64 = 3;
const KEYS: u64 = 40;
/// Segments that compaction must have replaced before the race may end.
const COMPACTED: u64 = 30;
const DEADLINE: Duration = Duration::from_secs(60);

fn options() -> Options {
    Options {
        sync: SyncPolicy::Never,
        segment_bytes: 16 << 10,
        reserve_bytes: 0,
        garbage_percent: 20,
        cache_bytes: 16 << 10,
        ..Options::default()
    }
}

fn key(writer: u64, at: u64) -> Bytes {
    Bytes::from(format!("{writer}/{at:03}"))
}

/// A value that names its round; odd lengths make records of many sizes.
fn value(round: u64) -> Bytes {
    let mut value = round.to_be_bytes().to_vec();
    value.resize(8 + (round % 150) as usize, b'.');
    Bytes::from(value)
}

fn round_of(value: &[u8]) -> u64 {
    u64::from_be_bytes(value[..8].try_into().unwrap())
}

/// Each round sets all keys of the writer to the round in one batch; every third deletes some of them, every seventh
/// all at once. Says how far it got.
fn write(engine: &LogEngine, writer: u64, done: &AtomicU64, stop: &AtomicBool) -> u64 {
    let mut round = 0;
    while !stop.load(Ordering::Relaxed) {
        round += 1;
        let mut batch = Batch::new();
        if round % 7 == 0 {
            batch.delete_range(KeyRange::prefix(format!("{writer}/").as_bytes()));
        }
        for at in 0..KEYS {
            match round % 3 == 0 && at % 4 == 1 {
                true => batch.delete(key(writer, at)),
                false => batch.put(key(writer, at), value(round)),
            };
        }
        engine.write(&batch).unwrap();
        done.store(round, Ordering::Release);
    }
    round
}

/// What a writer's keys must look like after a round.
fn check_round(rounds: &[Option<u64>], what: &str) -> u64 {
    let round = rounds.iter().flatten().copied().max().unwrap();
    for (at, found) in rounds.iter().enumerate() {
        let expected = (round % 3 != 0 || at % 4 != 1).then_some(round);
        assert_eq!(*found, expected, "{what}: key {at} in round {round}");
    }
    round
}

fn rounds(reader: &dyn Reader, writer: u64) -> Vec<Option<u64>> {
    let keys: Vec<Bytes> = (0..KEYS).map(|at| key(writer, at)).collect();
    let keys: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
    let values = reader.multi_get(&keys).unwrap();
    values
        .into_iter()
        .map(|value| value.map(|value| round_of(&value)))
        .collect()
}

fn read(engine: &LogEngine, done: &[AtomicU64], stop: &AtomicBool) -> u64 {
    let mut reads = 0;
    while !stop.load(Ordering::Relaxed) {
        for (writer, done) in (0..).zip(done) {
            let before = done.load(Ordering::Acquire);
            if before == 0 {
                continue;
            }
            let seen = check_round(&rounds(engine, writer), "multi_get");
            assert!(
                seen >= before,
                "acknowledged round {before} was not seen, but {seen}"
            );
            let one = engine.get(&key(writer, 0)).unwrap().unwrap();
            assert!(round_of(&one) >= seen, "a read went back in time");
            reads += 1;
        }
    }
    reads
}

/// Holds snapshots over compactions: they must not change, forward, backward or key by key.
fn hold_snapshots(engine: &LogEngine, stop: &AtomicBool) -> u64 {
    let mut held = 0;
    while !stop.load(Ordering::Relaxed) {
        let snapshot = engine.snapshot().unwrap();
        let all = |direction| -> Vec<(Bytes, Bytes)> {
            let entries = snapshot.scan(&KeyRange::all(), direction);
            entries.collect::<storage::Result<_>>().unwrap()
        };
        let first = all(Direction::Forward);
        let compacted = engine.stats().compacted_segments;
        let began = Instant::now();
        while engine.stats().compacted_segments < compacted + 3
            && began.elapsed() < DEADLINE
            && !stop.load(Ordering::Relaxed)
        {
            thread::yield_now();
        }
        let mut reverse = all(Direction::Reverse);
        reverse.reverse();
        assert!(first == reverse, "a snapshot changed under compaction");
        for (key, value) in &first {
            assert_eq!(snapshot.get(key).unwrap().as_ref(), Some(value));
        }
        held += 1;
    }
    held
}

#[test]
fn compaction_loses_no_write_and_brings_nothing_back_under_readers_writers_and_snapshots() {
    let dir = tempfile::tempdir().unwrap();
    let engine = LogEngine::open(dir.path(), options()).unwrap();
    let done: Vec<AtomicU64> = (0..WRITERS).map(|_| AtomicU64::new(0)).collect();
    let stop = AtomicBool::new(false);
    let finals = thread::scope(|scope| {
        let (engine, done, stop) = (&engine, &done, &stop);
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| scope.spawn(move || write(engine, writer, &done[writer as usize], stop)))
            .collect();
        let readers = [
            scope.spawn(|| read(engine, done, stop)),
            scope.spawn(|| read(engine, done, stop)),
        ];
        let holder = scope.spawn(|| hold_snapshots(engine, stop));
        let began = Instant::now();
        while engine.stats().compacted_segments < COMPACTED
            && began.elapsed() < DEADLINE
            && !readers.iter().any(thread::ScopedJoinHandle::is_finished)
        {
            thread::sleep(Duration::from_millis(5));
        }
        stop.store(true, Ordering::Relaxed);
        for reader in readers {
            assert!(reader.join().unwrap() > 0, "a reader that read nothing");
        }
        assert!(holder.join().unwrap() > 0);
        writers
            .into_iter()
            .map(|writer| writer.join().unwrap())
            .collect::<Vec<_>>()
    });
    let stats = engine.stats();
    assert!(stats.compacted_segments >= COMPACTED, "{stats:?}");
    let check = |engine: &LogEngine, what: &str| {
        for (writer, last) in (0..).zip(&finals) {
            assert_eq!(check_round(&rounds(engine, writer), what), *last, "{what}");
        }
    };
    check(&engine, "after the race");
    engine.close().unwrap();
    let engine = LogEngine::open(dir.path(), options()).unwrap();
    check(&engine, "after a restart");
    engine.maintain().unwrap();
    check(&engine, "after more compaction");
}
