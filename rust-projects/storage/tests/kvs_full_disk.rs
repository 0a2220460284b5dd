//! A full disk: what goes on, and that the space given up for deletes is there for them.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

use std::path::Path;
use std::sync::Arc;

use storage::file::FileSystem;
use storage::file::fault::{FaultFs, Operation};
use storage::kvs::{LogEngine, Options};
use storage::{Batch, Engine, Error, Reader, SyncPolicy};

const SEGMENT: u64 = 1500;
const RESERVE: u64 = 2048;
const DIR: &str = "/data";

fn options(disk: &FaultFs) -> Options {
    Options {
        sync: SyncPolicy::Always,
        segment_bytes: SEGMENT,
        reserve_bytes: RESERVE,
        garbage_percent: 20,
        background: false,
        files: Arc::new(disk.clone()),
        entropy: 42,
        ..Options::default()
    }
}

fn open(disk: &FaultFs) -> LogEngine {
    LogEngine::open(Path::new(DIR), options(disk)).unwrap()
}

fn key(number: usize) -> Vec<u8> {
    format!("key{number:03}").into_bytes()
}

/// Nothing more than `free` bytes fit on the disk from now on.
fn leave(disk: &FaultFs, free: u64) {
    disk.set_capacity(Some(disk.used_bytes() + free));
}

/// Overwrites a few keys until no segment can be made any more; how many writes that took.
fn fill_with_garbage(engine: &LogEngine) -> usize {
    let refused = (0..1000).find(|at| match engine.put(&key(at % 4), &[b'x'; 100]) {
        Ok(()) => false,
        Err(error) => {
            assert!(matches!(error, Error::DiskFull { .. }), "{error}");
            true
        }
    });
    refused.expect("the disk fills up")
}

#[test]
fn compaction_frees_garbage_however_little_space_is_left() {
    for free in (0..3 * SEGMENT).step_by(50) {
        let disk = FaultFs::new();
        let engine = open(&disk);
        leave(&disk, 4 * SEGMENT + free);
        let written = fill_with_garbage(&engine);
        assert!(written > 20, "{written}");
        engine
            .maintain()
            .unwrap_or_else(|error| panic!("{free} bytes free: {error}"));
        assert!(engine.stats().compacted_segments > 0, "{free} bytes free");
        engine
            .put(&key(0), b"again")
            .unwrap_or_else(|error| panic!("{free} bytes free: {error}"));
        assert!(engine.stats().reserve_held, "{free} bytes free");
        for number in 1..4 {
            assert_eq!(engine.get(&key(number)).unwrap().unwrap().len(), 100);
        }
    }
}

#[test]
fn compaction_of_segments_that_are_mostly_needed_works_in_the_space_of_the_reserve() {
    // The numbers of their batches, a frame and a footer come on top of what the segment counts as live.
    let put_all = |engine: &LogEngine, count: usize| {
        let mut batch = Batch::new();
        (0..count).for_each(|number| {
            batch.put(key(number), "");
        });
        engine.write(&batch).unwrap();
    };
    for free in (0..2 * SEGMENT).step_by(25) {
        let disk = FaultFs::new();
        let engine = open(&disk);
        put_all(&engine, 60);
        engine.put(b"large", &[b'x'; 400]).unwrap();
        // In the next segment: the first is the only one to compact.
        put_all(&engine, 20);
        leave(&disk, free);
        engine
            .maintain()
            .unwrap_or_else(|error| panic!("{free} bytes free: {error}"));
        assert!(engine.stats().compacted_segments > 0, "{free} bytes free");
        assert_eq!(engine.stats().keys, 61);
    }
}

#[test]
fn a_store_whose_last_segment_is_full_opens_on_a_full_disk_and_takes_deletes() {
    let disk = FaultFs::new();
    let engine = open(&disk);
    engine.put(b"large", &[b'x'; 2 * SEGMENT as usize]).unwrap();
    engine.close().unwrap();
    leave(&disk, 0);
    let engine = open(&disk);
    assert!(engine.get(b"large").unwrap().is_some());
    let error = engine.put(b"more", &[b'x'; 500]).unwrap_err();
    assert!(matches!(error, Error::DiskFull { .. }), "{error}");
    engine.write(Batch::new().delete("large")).unwrap();
    engine.maintain().unwrap();
    engine.put(b"more", &[b'x'; 500]).unwrap();
    drop(engine);
    assert_eq!(open(&disk).stats().keys, 1);
}

#[test]
fn on_a_full_disk_hints_wait_until_the_reserve_is_held_again() {
    let disk = FaultFs::new();
    let no_compaction = Options {
        garbage_percent: 100,
        ..options(&disk)
    };
    let engine = LogEngine::open(Path::new(DIR), no_compaction).unwrap();
    for number in 0..180 {
        engine.put(&key(number), b"").unwrap();
    }
    leave(&disk, 0);
    // Some of the keys of each segment, so that none is all garbage.
    let mut doomed = (0..180).step_by(3).map(key);
    while engine.stats().reserve_held {
        let key = doomed.next().expect("deletes use the reserve");
        engine.write(Batch::new().delete(key)).unwrap();
    }
    // Enough for some hints, but not for the reserve.
    leave(&disk, RESERVE - 100);
    let is_hint = |operation: &Operation| {
        let path = operation.path();
        path.extension().is_some_and(|e| e == "hint" || e == "tmp")
    };
    let before = disk.count(is_hint);
    engine.maintain().unwrap();
    assert!(!engine.stats().reserve_held);
    assert_eq!(disk.count(is_hint), before, "no hint was begun");
    leave(&disk, 100 * SEGMENT);
    engine.maintain().unwrap();
    assert!(engine.stats().reserve_held);
    let paths = disk.list(Path::new(DIR)).unwrap();
    let count = |kind: &str| {
        let of_kind = paths
            .iter()
            .filter(|p| p.extension().is_some_and(|e| e == kind));
        of_kind.count()
    };
    // All but the active one.
    assert_eq!(count("hint") + 1, count("segment"));
}
