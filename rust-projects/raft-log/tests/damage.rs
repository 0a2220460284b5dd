//! Damage below the last durable marker is reported for the groups that it concerns and for no other, whatever byte it
//! hits; above it, it is cut and reported (bug classes S3, R6).

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

mod support;

use std::path::PathBuf;

use raft::{SnapshotMeta, Write};
use raft_log::{Error, GroupId, Health, RaftLog, Recovered};
use storage::file::FileSystem;
use storage::file::fault::{CrashMode, FaultFs};
use support::{
    Model, content, dir, entries, id, last_segment, members, name, open, segments, vote, workload,
};

fn damaged(recovered: &Recovered) -> Vec<GroupId> {
    let groups = recovered.groups.iter();
    groups
        .filter(|(_, group)| group.health != Health::Intact)
        .map(|(group, _)| *group)
        .collect()
}

/// What the log gave back of the groups that are intact.
fn intact(recovered: &Recovered) -> Model {
    let mut recovered = recovered.clone();
    recovered.damage.clear();
    recovered.unlisted = Health::Intact;
    recovered
        .groups
        .retain(|_, group| group.health == Health::Intact);
    content(&recovered)
}

/// A log of one segment; `batches` are synced one by one, then the process is killed. Returns where each begins.
fn killed_after(batches: &[&[(GroupId, Write)]]) -> (FaultFs, Vec<u64>) {
    let disk = FaultFs::new();
    let mut log = open(&disk).unwrap().0;
    let mut offsets = Vec::new();
    for batch in batches {
        offsets.push(disk.read(&last_segment(&disk)).unwrap().len() as u64);
        log.append(batch).unwrap();
        log.sync().unwrap();
    }
    (disk.fork(), offsets)
}

fn first_segment() -> PathBuf {
    dir().join("0000000001.segment")
}

#[test]
fn damage_concerns_the_groups_whose_next_record_misses_one_and_those_without_a_next_record() {
    let (disk, offsets) = killed_after(&[
        &[
            (1, entries(1, 1..=1)),
            (2, entries(1, 1..=1)),
            (3, entries(1, 1..=1)),
        ],
        &[(1, entries(1, 2..=2)), (4, entries(1, 1..=1))],
        &[(1, entries(1, 3..=3)), (2, entries(1, 2..=2))],
        &[(5, entries(1, 1..=1))],
    ]);
    disk.flip_bit(&first_segment(), offsets[1] + 40, 3);
    let (mut log, recovered) = open(&disk).unwrap();
    // 1 lost a record; 3 may have, for all that is known; 2 and 5 say themselves that they did not.
    assert_eq!(damaged(&recovered), [1, 3]);
    assert_eq!(recovered.tail, None);
    let Health::Damaged(damage) = recovered.health(1) else {
        panic!("it is intact");
    };
    assert_eq!(
        (&damage.path, damage.offset),
        (&first_segment(), offsets[1])
    );
    assert_eq!(recovered.damage, std::slice::from_ref(damage));
    // 4 is nowhere, and may have voted.
    assert!(!recovered.groups.contains_key(&4));
    assert_eq!(recovered.health(4), recovered.health(1));
    assert_eq!(recovered.groups[&2].entries, entries(1, 1..=2).entries);
    let error = log
        .append(&[(2, entries(1, 3..=3)), (1, vote(2, 1))])
        .unwrap_err();
    assert!(
        matches!(&error, Error::GroupDamaged { group: 1, damage: found } if found == damage),
        "{error}"
    );
    assert!(error.to_string().contains("0000000001.segment"));
    let error = log.append(&[(4, vote(1, 1))]).unwrap_err();
    assert!(
        matches!(error, Error::GroupDamaged { group: 4, .. }),
        "{error}"
    );
    log.append(&[(2, entries(1, 3..=3))]).unwrap();
}

#[test]
fn damage_stays_known_until_the_group_is_begun_anew_also_when_its_file_is_gone() {
    let (disk, offsets) = killed_after(&[
        &[(1, entries(1, 1..=2)), (2, entries(1, 1..=1))],
        &[(1, vote(7, 3))],
        &[(1, entries(7, 3..=3)), (2, entries(1, 2..=2))],
    ]);
    disk.flip_bit(&first_segment(), offsets[1] + 33, 0);
    let (mut log, recovered) = open(&disk).unwrap();
    assert_eq!(damaged(&recovered), [1]);
    let health = recovered.health(1).clone();
    // The rest of the log goes on for long.
    for index in 3..400 {
        log.append(&[(2, entries(1, index..=index))]).unwrap();
        if index % 50 == 0 {
            log.purge(&[(2, id(1, index - 1), members([1]))]).unwrap();
            log.reclaim().unwrap();
            log.sync().unwrap();
            drop(log);
            let (opened, recovered) = open(&disk).unwrap();
            assert_eq!(damaged(&recovered), [1], "after {index}");
            assert_eq!(recovered.health(1), &health);
            log = opened;
        }
    }
    let snapshot = Write {
        snapshot: Some(SnapshotMeta {
            id: 5,
            last: id(8, 20),
            configuration: members([1, 2]),
        }),
        ..vote(8, 2)
    };
    log.restart(1, &snapshot).unwrap();
    log.append(&[(1, entries(8, 21..=21))]).unwrap();
    log.accept_unlisted().unwrap();
    log.append(&[(4, vote(1, 1))]).unwrap();
    log.sync().unwrap();
    log.reclaim().unwrap();
    let disk = disk.crash(CrashMode::LoseAll);
    let (_, recovered) = open(&disk).unwrap();
    let found = content(&recovered);
    assert_eq!(found[&1].hard_state, vote(8, 2).hard_state.unwrap());
    assert_eq!(found[&1].base.as_ref().unwrap().last, id(8, 20));
    assert_eq!(found[&1].entries, entries(8, 21..=21).entries);
    assert!(
        !disk.exists(&first_segment()).unwrap(),
        "nobody needs it any more"
    );
}

#[test]
fn a_group_that_lost_records_which_later_ones_repeat_is_intact() {
    let snapshot = Write {
        snapshot: Some(SnapshotMeta {
            id: 1,
            last: id(3, 9),
            configuration: members([1]),
        }),
        ..vote(3, 1)
    };
    let (disk, offsets) = killed_after(&[
        &[(1, entries(1, 1..=2))],
        &[(1, entries(1, 3..=3))],
        &[(1, snapshot)],
        &[(1, entries(3, 10..=10))],
    ]);
    disk.flip_bit(&first_segment(), offsets[1] + 35, 0);
    let (_, recovered) = open(&disk).unwrap();
    assert_eq!(damaged(&recovered), []);
    assert_eq!(recovered.damage.len(), 1, "it is reported all the same");
    assert_eq!(recovered.groups[&1].entries, entries(3, 10..=10).entries);
}

#[test]
fn a_flipped_bit_in_the_last_frame_is_cut_as_a_torn_tail_unless_the_log_was_closed() {
    let batches: [&[_]; 2] = [&[(1, entries(1, 1..=1))], &[(1, entries(1, 2..=2))]];
    let (disk, offsets) = killed_after(&batches);
    let closed = disk.fork();
    open(&closed).unwrap().0.close().unwrap();
    for disk in [&disk, &closed] {
        disk.flip_bit(&first_segment(), offsets[1] + 35, 0);
    }
    let (mut log, recovered) = open(&disk).unwrap();
    let tail = recovered.tail.clone().unwrap();
    assert_eq!((&tail.path, tail.offset), (&first_segment(), offsets[1]));
    assert!(tail.bytes > 32, "{tail:?}");
    assert_eq!(content(&recovered)[&1].entries, entries(1, 1..=1).entries);
    log.append(&[(1, entries(1, 2..=2))]).unwrap();

    let (_, recovered) = open(&closed).unwrap();
    assert_eq!(recovered.tail, None);
    assert_eq!(damaged(&recovered), [1]);
    // The list of all groups at the end says that there is no other.
    assert_eq!(recovered.health(2), &Health::Intact);
}

/// A log of several segments, some of them begun after a clean close, and the groups in it.
fn long_log() -> (FaultFs, Model) {
    let disk = FaultFs::new();
    let outcome = workload(&disk, 24, 45);
    assert!(outcome.finished);
    assert!(segments(&disk).len() > 4, "{:?}", segments(&disk));
    (disk, outcome.states.last().unwrap().clone())
}

#[test]
fn a_flipped_bit_in_any_byte_of_any_file_is_found_and_no_group_is_wrong_and_called_intact() {
    let (disk, expected) = long_log();
    let clean = open(&disk.fork()).unwrap().1;
    assert_eq!(content(&clean), expected);
    let mut flips = 0;
    let mut spared = 0;
    let mut files = segments(&disk);
    files.push(dir().join("KEYPROOF"));
    for path in files {
        for offset in 0..disk.read(&path).unwrap().len() as u64 {
            let what = format!("{} at {offset}", name(&path));
            let disk = disk.fork();
            disk.flip_bit(&path, offset, (offset % 8) as u8);
            flips += 1;
            let (log, recovered) = match open(&disk) {
                Err(error) => {
                    // Whose directory it is cannot be told.
                    assert!(path.ends_with("KEYPROOF"), "{what}: {error}");
                    continue;
                }
                Ok(opened) => opened,
            };
            assert!(
                !recovered.damage.is_empty() || recovered.tail.is_some(),
                "{what}"
            );
            for (group, found) in intact(&recovered) {
                assert_eq!(Some(&found), expected.get(&group), "{what}: group {group}");
            }
            for group in expected.keys() {
                let is_known = recovered.groups.contains_key(group);
                assert!(is_known || recovered.unlisted != Health::Intact, "{what}");
            }
            spared +=
                usize::from(!damaged(&recovered).is_empty() && !intact(&recovered).is_empty());
            // And it is found again, or it is mended.
            let (again, mended) = reopen(log, &disk);
            drop(again);
            assert_eq!(damaged(&mended), damaged(&recovered), "{what}");
            assert_eq!(intact(&mended), intact(&recovered), "{what}");
        }
    }
    assert!(flips > 3000, "{flips} bits flipped");
    assert!(
        spared > 100,
        "damage to one group mostly leaves others: {spared}"
    );
}

fn reopen(log: RaftLog, disk: &FaultFs) -> (RaftLog, Recovered) {
    drop(log);
    open(&disk.crash(CrashMode::LoseAll)).unwrap()
}

#[test]
fn a_segment_that_is_missing_is_noticed_and_no_group_is_wrong_and_called_intact() {
    let (disk, expected) = long_log();
    let all = segments(&disk);
    let with_frames: Vec<_> = all
        .iter()
        .filter(|path| disk.read(path).unwrap().len() > 32)
        .collect();
    let mut harmful = 0;
    // Of the last nothing behind it tells.
    for path in &with_frames[..with_frames.len() - 1] {
        let disk = disk.fork();
        disk.remove(path).unwrap();
        disk.sync_dir(&dir()).unwrap();
        let (log, recovered) = open(&disk).unwrap();
        let is_noticed = !damaged(&recovered).is_empty() || !recovered.damage.is_empty();
        assert!(is_noticed, "{}", name(path));
        harmful += usize::from(!damaged(&recovered).is_empty());
        for (group, found) in intact(&recovered) {
            assert_eq!(
                Some(&found),
                expected.get(&group),
                "{}: group {group}",
                name(path)
            );
        }
        let (_, again) = reopen(log, &disk);
        assert_eq!(damaged(&again), damaged(&recovered), "{}", name(path));
    }
    assert!(harmful > 1, "{harmful} of them held what groups need");
}

#[test]
fn damage_that_moving_meets_is_an_error_and_drops_nothing() {
    let disk = FaultFs::new();
    let mut log = open(&disk).unwrap().0;
    log.append(&[(9, entries(1, 1..=3))]).unwrap();
    let mut index = 0;
    while log.stats().segments < 10 {
        index += 1;
        log.append(&[(1, entries(1, index..=index))]).unwrap();
    }
    log.purge(&[(1, id(1, index), members([1]))]).unwrap();
    disk.flip_bit(&first_segment(), 100, 1);
    let error = log.reclaim().unwrap_err();
    assert!(
        matches!(&error, Error::Damaged(damage) if damage.path == first_segment()),
        "{error}"
    );
    assert!(disk.exists(&first_segment()).unwrap());
    log.append(&[(1, entries(1, index + 1..=index + 1))])
        .unwrap();
    log.sync().unwrap();
    drop(log);
    assert_eq!(damaged(&open(&disk).unwrap().1), [9]);
}
