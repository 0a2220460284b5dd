//! Writers, readers, snapshots and scans against the compaction thread (bug class S6); writers against a close, and syncs
//! against each other (S1).

// The lint's exception for tests covers functions with `#[test]` only.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use storage::file::fault::{CrashMode, Fault, FaultFs, Operation};
use storage::kvs::{LogEngine, Options};
use storage::{Batch, Direction, Durability, Engine, KeyRange, Reader, Snapshots, SyncPolicy};

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

/// Compaction is held between copying and publishing; what is written meanwhile must win.
#[test]
fn a_write_between_the_copy_and_its_publication_is_not_replaced_by_the_copy() {
    let disk = FaultFs::new();
    let open = || {
        let options = Options {
            background: false,
            files: Arc::new(disk.clone()),
            ..options()
        };
        LogEngine::open(Path::new("/data"), options).unwrap()
    };
    let engine = open();
    for round in 1..=5 {
        let mut batch = Batch::new();
        // Half of the first round stays, to be copied.
        for at in 0..if round == 1 { 100 } else { 50 } {
            batch.put(key(0, at), value(100 + round));
        }
        engine.write(&batch).unwrap();
    }
    // The next segment has room for what follows, and nothing is left to sync but what compaction writes.
    engine.put(b"filler", &[0; 8 << 10]).unwrap();
    engine.sync().unwrap();
    disk.hold_syncs();
    let is_copy = |operation: &Operation| {
        matches!(operation, Operation::Write { path, offset, .. }
            if *offset > 0 && path.extension().is_some_and(|e| e == "segment-new"))
    };
    let before = disk.count(is_copy);
    thread::scope(|scope| {
        let compaction = scope.spawn(|| engine.maintain().unwrap());
        while disk.count(is_copy) == before && !compaction.is_finished() {
            thread::yield_now();
        }
        assert!(!compaction.is_finished(), "there was nothing to copy");
        let mut batch = Batch::new();
        for at in 0..100 {
            match at % 2 {
                0 => batch.put(key(0, at), value(7)),
                _ => batch.delete(key(0, at)),
            };
        }
        engine.write(&batch).unwrap();
        disk.release_syncs();
        compaction.join().unwrap();
    });
    assert!(engine.stats().compacted_segments > 0);
    let check = |engine: &LogEngine, what: &str| {
        for at in 0..100 {
            let found = engine.get(&key(0, at)).unwrap();
            let expected = (at % 2 == 0).then(|| value(7));
            assert_eq!(found, expected, "{what}: key {at}");
        }
    };
    check(&engine, "after compaction");
    engine.close().unwrap();
    check(&open(), "after a restart");
}

#[test]
fn a_close_beside_writers_keeps_what_it_acknowledged_and_leaves_a_log_that_opens() {
    for round in 0..200 {
        let disk = FaultFs::new();
        let open = || {
            let options = Options {
                sync: SyncPolicy::Always,
                segment_bytes: 300,
                background: false,
                files: Arc::new(disk.clone()),
                ..options()
            };
            LogEngine::open(Path::new("/data"), options)
        };
        let engine = open().unwrap();
        let written = AtomicU64::new(0);
        let acknowledged: Vec<u64> = thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS)
                .map(|writer| {
                    let (engine, written) = (engine.clone(), &written);
                    scope.spawn(move || {
                        let rounds = (1..).take_while(|round| {
                            let done = engine.put(&key(writer, 0), &value(*round)).is_ok();
                            written.fetch_add(1, Ordering::Relaxed);
                            done
                        });
                        rounds.last().unwrap_or(0)
                    })
                })
                .collect();
            while written.load(Ordering::Relaxed) < 5 + round % 20 {
                thread::yield_now();
            }
            engine.close().unwrap();
            writers.into_iter().map(|w| w.join().unwrap()).collect()
        });
        let engine = open().unwrap_or_else(|error| panic!("round {round}: {error}"));
        assert!(engine.recovery().cut.is_none(), "round {round}");
        for (writer, last) in (0..).zip(acknowledged) {
            let found = engine.get(&key(writer, 0)).unwrap();
            let found = found.map_or(0, |value| round_of(&value));
            assert!(
                found >= last,
                "round {round}: {last} was acknowledged, {found} is there"
            );
        }
    }
}

/// Linux tells of a failed writeback once per open file, and takes the data for written.
#[test]
fn of_two_syncs_at_once_the_second_does_not_take_for_durable_what_the_first_lost() {
    for round in 0..300 {
        let disk = FaultFs::new();
        let open = |disk: &FaultFs| {
            let options = Options {
                background: false,
                files: Arc::new(disk.clone()),
                ..options()
            };
            LogEngine::open(Path::new("/data"), options).unwrap()
        };
        let engine = open(&disk);
        engine.put(b"key", b"value").unwrap();
        disk.fail_nth(1, Fault::IoLosingData, |operation| {
            matches!(operation, Operation::SyncData { .. })
        });
        disk.hold_syncs();
        let begun = AtomicU64::new(0);
        let promised = thread::scope(|scope| {
            let syncs = [(); 2].map(|()| {
                scope.spawn(|| {
                    begun.fetch_add(1, Ordering::Relaxed);
                    engine.sync().is_ok()
                })
            });
            while begun.load(Ordering::Relaxed) < 2 {
                thread::yield_now();
            }
            // Some rounds let both get as far as they can.
            (0..round).for_each(|_| thread::yield_now());
            disk.release_syncs();
            syncs.map(|sync| sync.join().unwrap()).contains(&true)
        });
        let left = open(&disk.crash(CrashMode::LoseAll));
        assert!(
            !promised || left.get(b"key").unwrap().is_some(),
            "round {round}: a sync succeeded and the key is gone"
        );
    }
}
