//! Power is cut at every file operation of a workload and after every byte of the log: what was acknowledged is there,
//! no batch is there by half, and each acknowledgement came after an fdatasync (bug classes S2, S3, S4, S5, S6).

// The lint's exception for tests covers functions with `#[test]` only.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use storage::file::FileSystem;
use storage::file::fault::{CrashMode, Fault, FaultFs, Operation, Tearing};
use storage::kvs::{LogEngine, Options};
use storage::{
    Batch, Checkpoint, Direction, Durability, Engine, Error, KeyRange, Op, Reader, Snapshots,
    SyncPolicy,
};

type State = BTreeMap<Vec<u8>, Vec<u8>>;

fn dir() -> PathBuf {
    PathBuf::from("/data")
}

fn options(disk: &FaultFs) -> Options {
    Options {
        sync: SyncPolicy::Always,
        segment_bytes: 1500,
        reserve_bytes: 1024,
        garbage_percent: 20,
        cache_bytes: 16 << 10,
        background: false,
        files: Arc::new(disk.clone()),
        entropy: 42,
        ..Options::default()
    }
}

/// A small deterministic generator (splitmix64), so that a failing case is named by its number.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    fn key(&mut self) -> Bytes {
        Bytes::from(format!("key{:02}", self.below(24)))
    }
}

fn random_batch(random: &mut Random, step: u64) -> Batch {
    let mut batch = Batch::new();
    for _ in 0..1 + random.below(4) {
        match random.below(10) {
            0..6 => {
                let mut value = format!("step{step}:").into_bytes();
                value.resize(value.len() + random.below(90) as usize, b'v');
                batch.put(random.key(), value);
            }
            6..9 => {
                batch.delete(random.key());
            }
            _ => {
                let (a, b) = (random.key(), random.key());
                batch.delete_range(KeyRange::half_open(a.clone().min(b.clone()), a.max(b)));
            }
        }
    }
    batch
}

fn apply(state: &mut State, batch: &Batch) {
    for op in batch.ops() {
        match op {
            Op::Put { key, value } => {
                state.insert(key.to_vec(), value.to_vec());
            }
            Op::Delete { key } => {
                state.remove(&key[..]);
            }
            Op::DeleteRange { range } => state.retain(|key, _| !range.contains(key)),
        }
    }
}

fn content(reader: &dyn Reader) -> State {
    let entries = reader.scan(&KeyRange::all(), Direction::Forward);
    entries
        .map(|entry| entry.map(|(key, value)| (key.to_vec(), value.to_vec())))
        .collect::<storage::Result<_>>()
        .expect("every value reads back with its checksum")
}

/// What the workload got done before the disk failed it.
struct Outcome {
    /// States after each batch tried, from the empty one on.
    states: Vec<State>,
    /// Index of the last state that no power cut may take.
    promised: usize,
    finished: bool,
    /// Segments that compaction replaced.
    compacted: u64,
}

/// Writes, compacts, holds snapshots over compactions, closes and reopens; stops at the first error.
fn workload(disk: &FaultFs, seed: u64, steps: u64, sync: SyncPolicy) -> Outcome {
    let options = || Options {
        sync,
        ..options(disk)
    };
    let mut random = Random(seed);
    let states = vec![State::new()];
    let mut outcome = Outcome {
        states,
        promised: 0,
        finished: false,
        compacted: 0,
    };
    let Ok(mut engine) = LogEngine::open(&dir(), options()) else {
        return outcome;
    };
    let mut snapshot = None;
    for step in 1..=steps {
        let batch = random_batch(&mut random, step);
        let mut state = outcome.states[outcome.states.len() - 1].clone();
        apply(&mut state, &batch);
        outcome.states.push(state);
        if let Err(error) = engine.write(&batch) {
            assert!(disk.is_crashed(), "step {step}: {error}");
            return outcome;
        }
        let last = outcome.states.len() - 1;
        if sync == SyncPolicy::Always {
            outcome.promised = last;
        }
        match random.below(12) {
            0..3 => {
                if let Err(error) = engine.maintain() {
                    assert!(disk.is_crashed(), "maintenance after step {step}: {error}");
                    return outcome;
                }
            }
            3 => {
                snapshot = engine.snapshot().ok().map(|view| (view, last));
            }
            4 => {
                if let Some((view, at)) = snapshot.take()
                    && !disk.is_crashed()
                {
                    assert_eq!(content(&*view), outcome.states[at], "a snapshot changed");
                }
            }
            5 => {
                outcome.compacted += engine.stats().compacted_segments;
                snapshot = None;
                let reopened = engine.close().and_then(|()| {
                    outcome.promised = last;
                    LogEngine::open(&dir(), options())
                });
                match reopened {
                    Ok(reopened) => engine = reopened,
                    Err(error) => {
                        assert!(disk.is_crashed(), "reopening after step {step}: {error}");
                        return outcome;
                    }
                }
            }
            _ => {}
        }
    }
    outcome.compacted += engine.stats().compacted_segments;
    let closed = engine.close();
    assert!(closed.is_ok() || disk.is_crashed(), "{closed:?}");
    outcome.finished = closed.is_ok();
    outcome
}

/// Opens what the crash left and checks it against the states the workload went through.
fn check(disk: &FaultFs, outcome: &Outcome, what: &str) {
    let opened = LogEngine::open(&dir(), options(disk));
    let engine = opened.unwrap_or_else(|error| panic!("{what}: {error}"));
    let found = content(&engine);
    let tried = outcome.states.len() - 1;
    let matches = |at: &usize| outcome.states[*at] == found;
    assert!(
        (outcome.promised..=tried).any(|at| matches(&at)),
        "{what}: {} promised, {tried} tried, found the state after {:?}",
        outcome.promised,
        (0..=tried).find(matches),
    );
    // What was recovered takes writes and compaction, and is the same after another restart.
    let mut expected = found;
    let mut batch = Batch::new();
    batch.put("after", "crash").delete("key01");
    apply(&mut expected, &batch);
    engine.write(&batch).unwrap();
    engine.maintain().unwrap();
    assert_eq!(content(&engine), expected, "{what}: after compaction");
    let keys = engine.stats().keys;
    assert_eq!(keys as usize, expected.len(), "{what}: the count of keys");
    drop(engine);
    let engine = LogEngine::open(&dir(), options(disk)).unwrap();
    assert_eq!(content(&engine), expected, "{what}: after a second restart");
}

#[test]
fn power_lost_at_every_file_operation_loses_nothing_acknowledged_and_halves_no_batch() {
    let seed = 7;
    let steps = 60;
    let whole = FaultFs::new();
    let outcome = workload(&whole, seed, steps, SyncPolicy::Always);
    assert!(outcome.finished);
    assert!(
        outcome.compacted > 5,
        "compaction is part of it: {}",
        outcome.compacted
    );
    let operations = whole.operations();
    assert!(operations > 300, "{operations} operations");
    for at in 1..=operations {
        let disk = FaultFs::new();
        disk.crash_at(at);
        let outcome = workload(&disk, seed, steps, SyncPolicy::Always);
        assert!(disk.is_crashed(), "operation {at} was never reached");
        let modes = [
            CrashMode::LoseAll,
            CrashMode::KeepAll,
            CrashMode::Random(at),
            CrashMode::Random(at + 1_000_000),
        ];
        for mode in modes {
            check(
                &disk.crash(mode),
                &outcome,
                &format!("crash at operation {at}, {mode:?}"),
            );
        }
    }
}

#[test]
fn torn_writes_of_other_workloads_lose_nothing_acknowledged() {
    for seed in 100..140 {
        let whole = FaultFs::new();
        assert!(workload(&whole, seed, 40, SyncPolicy::Always).finished);
        let operations = whole.operations();
        let mut random = Random(seed);
        for _ in 0..12 {
            let at = 1 + random.below(operations);
            let disk = FaultFs::new();
            disk.crash_at_torn(at, random.below(300) as usize);
            let outcome = workload(&disk, seed, 40, SyncPolicy::Always);
            assert!(disk.is_crashed());
            let found = disk.crash_torn(CrashMode::Random(seed * at), Tearing::Sector);
            check(&found, &outcome, &format!("seed {seed}, operation {at}"));
        }
    }
}

#[test]
fn power_lost_at_every_file_operation_without_syncs_leaves_a_state_that_was() {
    let (seed, steps) = (21, 60);
    let whole = FaultFs::new();
    let outcome = workload(&whole, seed, steps, SyncPolicy::Never);
    assert!(outcome.finished && outcome.compacted > 5);
    for at in 1..=whole.operations() {
        let disk = FaultFs::new();
        disk.crash_at(at);
        let outcome = workload(&disk, seed, steps, SyncPolicy::Never);
        assert!(disk.is_crashed(), "operation {at} was never reached");
        // Pieces smaller than a segment: its frames and its footer share a page.
        for (mode, tearing) in [
            (CrashMode::LoseAll, Tearing::Page),
            (CrashMode::Random(at), Tearing::Sector),
            (CrashMode::Random(at), Tearing::Byte),
            (CrashMode::Random(at + 1_000_000), Tearing::Byte),
        ] {
            check(
                &disk.crash_torn(mode, tearing),
                &outcome,
                &format!("crash at operation {at}, {mode:?}, {tearing:?}"),
            );
        }
    }
}

#[test]
fn the_log_cut_after_every_byte_holds_a_prefix_of_the_batches() {
    let disk = FaultFs::new();
    let big = |disk: &FaultFs| Options {
        segment_bytes: 1 << 20,
        ..options(disk)
    };
    let engine = LogEngine::open(&dir(), big(&disk)).unwrap();
    let mut random = Random(3);
    let mut states = vec![State::new()];
    for step in 1..=25 {
        let batch = random_batch(&mut random, step);
        let mut state = states[states.len() - 1].clone();
        apply(&mut state, &batch);
        engine.write(&batch).unwrap();
        states.push(state);
    }
    // The process is killed; power stays on.
    let killed = disk.fork();
    drop(engine);
    let segment = last_segment(&killed);
    let len = killed.read(&segment).unwrap().len() as u64;
    let mut at = 0;
    for cut in 32..=len {
        let disk = killed.fork();
        disk.truncate(&segment, cut);
        let engine = LogEngine::open(&dir(), big(&disk)).unwrap();
        let found = content(&engine);
        let next = (at..states.len()).find(|&at| states[at] == found);
        at =
            next.unwrap_or_else(|| panic!("cut at {cut}: a state that never was, or an older one"));
    }
    assert_eq!(
        states[at],
        states[states.len() - 1],
        "the whole log holds every batch"
    );
}

fn last_segment(disk: &FaultFs) -> PathBuf {
    let files = disk.list(&dir()).unwrap();
    let is_segment = |path: &PathBuf| path.extension().is_some_and(|e| e == "segment");
    files
        .into_iter()
        .filter(is_segment)
        .max()
        .expect("a segment")
}

/// Whether power loss would change nothing about any segment.
fn is_synced(disk: &FaultFs) -> bool {
    let files = disk.list(&dir()).unwrap();
    let mut segments = files
        .iter()
        .filter(|path| path.extension().is_some_and(|e| e == "segment"));
    segments.all(|path| disk.is_durable(path))
}

#[test]
fn an_acknowledged_batch_was_synced_before_its_acknowledgement() {
    let disk = FaultFs::new();
    let engine = LogEngine::open(&dir(), options(&disk)).unwrap();
    let mut random = Random(5);
    let mut checked = 0;
    for step in 1..=80 {
        let before = engine.applied();
        engine.write(&random_batch(&mut random, step)).unwrap();
        if engine.applied() > before {
            assert!(is_synced(&disk), "step {step}");
            checked += 1;
        }
    }
    assert!(checked > 40);
}

#[test]
fn what_was_submitted_is_decided_upon_at_once_and_shown_to_readers_only_when_durable() {
    let disk = FaultFs::new();
    let engine = LogEngine::open(&dir(), options(&disk)).unwrap();
    let mut batch = Batch::new();
    batch.put("k", "v");
    let seq = engine.submit(&batch).unwrap();
    assert_eq!(
        engine.latest().get(b"k").unwrap().as_deref(),
        Some(&b"v"[..])
    );
    assert_eq!(engine.get(b"k").unwrap(), None);
    assert!(engine.acknowledged() < seq);
    let syncs = |operation: &Operation| matches!(operation, Operation::SyncData { .. });
    let before = disk.count(syncs);
    engine.commit().unwrap();
    assert_eq!(disk.count(syncs), before + 1);
    assert_eq!(engine.get(b"k").unwrap().as_deref(), Some(&b"v"[..]));
    assert_eq!(engine.acknowledged(), seq);
    assert!(is_synced(&disk));
}

#[test]
fn a_failed_sync_poisons_the_engine_and_reads_go_on() {
    let disk = FaultFs::new();
    let engine = LogEngine::open(&dir(), options(&disk)).unwrap();
    let mut batch = Batch::new();
    batch.put("a", "1");
    engine.write(&batch).unwrap();
    disk.fail_nth(1, Fault::Io, |operation| {
        matches!(operation, Operation::SyncData { .. })
    });
    batch.put("b", "2");
    let error = engine.write(&batch).unwrap_err();
    assert!(matches!(error, Error::Poisoned { .. }), "{error}");
    // The fault is gone, and still nothing is written: a retry could "succeed" with the data lost.
    let error = engine.write(&batch).unwrap_err();
    assert!(matches!(error, Error::Poisoned { .. }), "{error}");
    assert!(engine.poisoned().is_some());
    assert_eq!(engine.get(b"a").unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(
        engine.get(b"b").unwrap(),
        None,
        "never acknowledged, never shown"
    );
}

#[test]
fn damage_below_the_durable_point_is_an_error_and_above_it_is_cut() {
    let disk = FaultFs::new();
    let engine = LogEngine::open(&dir(), options(&disk)).unwrap();
    for i in 0..4 {
        let mut batch = Batch::new();
        batch.put(format!("k{i}"), "value");
        engine.write(&batch).unwrap();
    }
    let killed = disk.fork();
    drop(engine);
    let segment = last_segment(&killed);
    let len = killed.read(&segment).unwrap().len() as u64;
    // Every later frame vouches for the first one.
    let early = killed.fork();
    early.flip_bit(&segment, 40, 1);
    let error = LogEngine::open(&dir(), options(&early)).unwrap_err();
    assert!(
        matches!(error, Error::Corrupt { offset: 32, .. }),
        "{error}"
    );
    // Nobody vouches for the last one.
    let late = killed.fork();
    late.flip_bit(&segment, len - 2, 1);
    let engine = LogEngine::open(&dir(), options(&late)).unwrap();
    assert!(engine.recovery().cut.is_some());
    assert_eq!(engine.stats().keys, 3);
}

/// Segments that hold some hundred of the records below.
fn roomy(disk: &FaultFs) -> Options {
    Options {
        segment_bytes: 4096,
        ..options(disk)
    }
}

fn put_all(engine: &LogEngine, prefix: &str, count: usize) {
    let mut batch = Batch::new();
    for number in 0..count {
        batch.put(format!("{prefix}{number:03}"), vec![b'v'; 25]);
    }
    engine.write(&batch).unwrap();
}

#[test]
fn a_tombstone_stays_while_an_older_segment_holds_a_value_that_it_hides() {
    let disk = FaultFs::new();
    let engine = LogEngine::open(&dir(), roomy(&disk)).unwrap();
    engine.put(b"doomed", &[b'v'; 60]).unwrap();
    // They fill the segment and keep it from being worth compacting.
    put_all(&engine, "kept", 80);
    engine.put(b"kept", &[b'v'; 700]).unwrap();
    engine.write(Batch::new().delete("doomed")).unwrap();
    for _ in 0..4 {
        put_all(&engine, "overwritten", 60);
    }
    engine.maintain().unwrap();
    assert!(engine.stats().compacted_segments > 0);
    let first = dir().join("0000000001.segment");
    assert!(disk.exists(&first).unwrap(), "the value's segment is there");
    engine.close().unwrap();
    let engine = LogEngine::open(&dir(), roomy(&disk)).unwrap();
    assert_eq!(engine.get(b"doomed").unwrap(), None, "it came back");
}

#[test]
fn compaction_keeps_what_an_open_snapshot_sees_and_drops_it_afterwards() {
    let disk = FaultFs::new();
    let engine = LogEngine::open(&dir(), roomy(&disk)).unwrap();
    put_all(&engine, "key", 60);
    let expected = content(&engine);
    let snapshot = engine.snapshot().unwrap();
    engine
        .write(Batch::new().delete_range(KeyRange::all()))
        .unwrap();
    for _ in 0..4 {
        put_all(&engine, "other", 60);
    }
    engine.maintain().unwrap();
    assert!(engine.stats().compacted_segments > 0);
    assert!(engine.stats().pinned_bytes > 0, "superseded records moved");
    assert_eq!(content(&*snapshot), expected);
    drop(snapshot);
    let before = engine.stats().disk_bytes;
    engine.maintain().unwrap();
    assert!(engine.stats().disk_bytes + 1000 < before);
    assert_eq!(engine.stats().keys, 60);
}

#[test]
fn a_full_disk_refuses_what_grows_and_lets_deletes_compaction_and_reads_go_on() {
    let disk = FaultFs::new();
    let roomy = Options {
        reserve_bytes: 16_384,
        ..options(&disk)
    };
    let engine = LogEngine::open(&dir(), roomy).unwrap();
    disk.set_capacity(Some(disk.used_bytes() + 16_000));
    let put = |i: u32| {
        let mut batch = Batch::new();
        batch.put(format!("key{i:04}"), vec![b'x'; 200]);
        engine.write(&batch)
    };
    let refused = (0..1000)
        .find(|&i| put(i).is_err())
        .expect("the disk fills up");
    let error = put(refused).unwrap_err();
    assert!(matches!(error, Error::DiskFull { .. }), "{error}");
    assert!(engine.poisoned().is_none());
    assert_eq!(engine.stats().keys, u64::from(refused));
    assert!(engine.get(b"key0000").unwrap().is_some());
    for i in 0..refused {
        let mut batch = Batch::new();
        batch.delete(format!("key{i:04}"));
        engine
            .write(&batch)
            .unwrap_or_else(|error| panic!("delete {i}: {error}"));
    }
    assert!(!engine.stats().reserve_held, "the deletes used the reserve");
    engine.maintain().unwrap();
    assert!(engine.stats().reserve_held, "compaction brought it back");
    put(0).expect("there is space again");
    assert_eq!(engine.stats().keys, 1);
}

#[test]
fn the_directory_is_refused_to_a_second_engine_while_the_first_lives() {
    let disk = FaultFs::new();
    let engine = LogEngine::open(&dir(), options(&disk)).unwrap();
    let error = LogEngine::open(&dir(), options(&disk)).unwrap_err();
    assert!(matches!(error, Error::Locked { .. }), "{error}");
    let snapshot = engine.snapshot().unwrap();
    drop(engine);
    LogEngine::open(&dir(), options(&disk)).expect("a snapshot does not hold the directory");
    assert_eq!(content(&*snapshot), State::new());
}

#[test]
fn a_checkpoint_interrupted_at_any_file_operation_opens_whole_or_not_at_all() {
    let original = FaultFs::new();
    let engine = LogEngine::open(&dir(), options(&original)).unwrap();
    let mut random = Random(11);
    for step in 1..=40 {
        engine.write(&random_batch(&mut random, step)).unwrap();
    }
    let expected = content(&engine);
    engine.close().unwrap();
    let copy = PathBuf::from("/copy");
    let (mut whole, mut refused) = (0, 0);
    for at in 1.. {
        let disk = original.fork();
        let engine = LogEngine::open(&dir(), options(&disk)).unwrap();
        disk.crash_at(disk.operations() + at);
        let done = engine.checkpoint(&copy).is_ok();
        for mode in [
            CrashMode::LoseAll,
            CrashMode::KeepAll,
            CrashMode::Random(at),
        ] {
            let disk = disk.crash(mode);
            let begun = disk.list(&copy).is_ok_and(|paths| !paths.is_empty());
            match LogEngine::open(&copy, options(&disk)) {
                Ok(engine) if begun || done => {
                    assert_eq!(content(&engine), expected, "operation {at}, {mode:?}");
                    whole += 1;
                }
                Ok(engine) => assert_eq!(content(&engine), State::new()),
                Err(error) => {
                    assert!(!done && matches!(error, Error::Corrupt { .. }), "{error}");
                    refused += 1;
                }
            }
        }
        if done {
            break;
        }
    }
    assert!(
        whole > 0 && refused > 10,
        "{whole} whole, {refused} refused"
    );
}
