//! Power is cut at every file operation of a workload and after every byte of the log: what was synced is there, no batch
//! is there by half, and each sync that returned came after the last write (bug classes S1 to S5, R6).

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

mod support;

use storage::file::FileSystem;
use storage::file::fault::{CrashMode, FaultFs, Operation, SplitMix64, Tearing};
use support::{Model, Outcome, Pick, content, last_segment, open, workload};

/// Opens what the crash left and checks it against the states the workload went through.
fn check(disk: &FaultFs, outcome: &Outcome, what: &str) {
    let (mut log, recovered) = open(disk).unwrap_or_else(|error| panic!("{what}: {error}"));
    let found = content(&recovered);
    let matches = |at: &usize| outcome.states[*at] == found;
    let tried = outcome.states.len() - 1;
    assert!(
        (outcome.synced..=tried).any(|at| matches(&at)),
        "{what}: {} synced, {tried} tried, found the state after {:?}",
        outcome.synced,
        (0..=tried).find(matches),
    );
    // What was recovered takes more, and is the same after another restart.
    let mut expected = found;
    let pick = Pick {
        group: 1,
        kind: 19,
        a: 2,
        len: 700,
    };
    for step in 0..3 {
        let op = Pick::resolve(&[pick], &expected, step).unwrap();
        op.apply(&mut expected);
        op.run(&mut log).unwrap();
    }
    log.sync().unwrap();
    log.reclaim().unwrap();
    drop(log);
    let disk = disk.crash(CrashMode::LoseAll);
    let (_, recovered) = open(&disk).unwrap();
    assert_eq!(content(&recovered), expected, "{what}: after more");
}

/// How many segments were removed.
fn reclaimed(disk: &FaultFs) -> usize {
    disk.count(|operation| {
        let is_segment = operation.path().extension().is_some_and(|e| e == "segment");
        is_segment && matches!(operation, Operation::Remove { .. })
    })
}

#[test]
fn power_lost_at_every_file_operation_loses_nothing_synced_and_halves_no_batch() {
    cut_everywhere(7, 120, 8);
}

#[test]
fn power_lost_at_every_file_operation_while_the_entries_of_a_group_that_lags_move_loses_nothing() {
    // The oldest segment goes only after the laggard's entries moved.
    cut_everywhere(8, 120, 3);
}

fn cut_everywhere(seed: u64, steps: u64, least_reclaimed: usize) {
    let whole = FaultFs::new();
    let outcome = workload(&whole, seed, steps);
    assert!(outcome.finished);
    let removed = reclaimed(&whole);
    assert!(removed >= least_reclaimed, "{removed} segments removed");
    let operations = whole.operations();
    assert!(operations > 300, "{operations} operations");
    for at in 1..=operations {
        let disk = FaultFs::new();
        disk.crash_at(at);
        let outcome = workload(&disk, seed, steps);
        assert!(disk.is_crashed(), "operation {at} was never reached");
        let modes = [
            CrashMode::LoseAll,
            CrashMode::KeepAll,
            CrashMode::Random(at),
            CrashMode::Random(at + 1_000_000),
        ];
        for mode in modes {
            let what = format!("crash at operation {at}, {mode:?}");
            check(&disk.crash(mode), &outcome, &what);
        }
    }
}

#[test]
fn torn_writes_of_other_workloads_lose_nothing_synced() {
    for seed in 100..160 {
        let whole = FaultFs::new();
        assert!(workload(&whole, seed, 60).finished, "seed {seed}");
        let operations = whole.operations();
        let mut random = SplitMix64::new(seed);
        for _ in 0..12 {
            let at = 1 + random.below(operations);
            let disk = FaultFs::new();
            disk.crash_at_torn(at, random.below(300) as usize);
            let outcome = workload(&disk, seed, 60);
            assert!(disk.is_crashed());
            for tearing in [Tearing::Sector, Tearing::Byte] {
                let found = disk.crash_torn(CrashMode::Random(seed * at), tearing);
                check(
                    &found,
                    &outcome,
                    &format!("seed {seed}, operation {at}, {tearing:?}"),
                );
            }
        }
    }
}

#[test]
fn power_lost_while_recovering_loses_nothing_either() {
    let crash = |at| {
        let disk = FaultFs::new();
        disk.crash_at_torn(at, 20);
        let outcome = workload(&disk, 7, 120);
        (outcome, disk.crash_torn(CrashMode::KeepAll, Tearing::Byte))
    };
    // A crash late in the workload that leaves something to cut.
    let leaves_a_tail = |at: &u64| open(&crash(*at).1).unwrap().1.tail.is_some();
    let at = (200..).find(leaves_a_tail).unwrap();
    let (outcome, left) = crash(at);
    let whole = left.fork();
    drop(open(&whole).unwrap());
    for at in 1..=whole.operations() {
        let again = left.fork();
        again.crash_at(at);
        assert!(open(&again).is_err(), "operation {at}");
        for mode in [
            CrashMode::LoseAll,
            CrashMode::KeepAll,
            CrashMode::Random(at),
        ] {
            check(
                &again.crash(mode),
                &outcome,
                &format!("operation {at} of opening, {mode:?}"),
            );
        }
    }
}

#[test]
fn the_last_segment_cut_after_every_byte_holds_a_prefix_of_the_batches() {
    let disk = FaultFs::new();
    let mut log = open(&disk).unwrap().0;
    let mut random = SplitMix64::new(3);
    let mut states = vec![Model::new()];
    for step in 1..=60 {
        let picks = [Pick::random(&mut random), Pick::random(&mut random)];
        let mut model = states.last().unwrap().clone();
        let Some(op) = Pick::resolve(&picks, &model, step) else {
            continue;
        };
        op.apply(&mut model);
        op.run(&mut log).unwrap();
        states.push(model);
    }
    // The process is killed; power stays on.
    let killed = disk.fork();
    drop(log);
    let segment = last_segment(&killed);
    let len = killed.read(&segment).unwrap().len() as u64;
    assert!(len > 500, "{len} bytes");
    let mut at = 0;
    let mut cuts = 0;
    for cut in 32..=len {
        let disk = killed.fork();
        disk.truncate(&segment, cut);
        let (_, recovered) = open(&disk).unwrap();
        let found = content(&recovered);
        cuts += usize::from(recovered.tail.is_some());
        let next = (at..states.len()).find(|&at| states[at] == found);
        at =
            next.unwrap_or_else(|| panic!("cut at {cut}: a state that never was, or an older one"));
    }
    assert_eq!(at, states.len() - 1, "the whole log holds every batch");
    assert!(cuts > 400, "a cut within a frame is reported: {cuts}");
}
