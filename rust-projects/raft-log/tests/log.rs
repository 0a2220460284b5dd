//! What the log takes, refuses and gives back.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

mod support;

use std::path::Path;
use std::sync::Arc;

use raft::{HardState, Write};
use raft_log::{Error, Options, RaftLog};
use storage::file::fault::{CrashMode, Fault, FaultFs, Operation};
use storage::file::{FileSystem, RealFs};
use storage::{EngineKind, Owner};
use support::{
    SEGMENT_BYTES, content, dir, entries, id, last_segment, members, open, segments, vote,
};

fn invalid(log: &mut RaftLog, write: Write) -> &'static str {
    let before = log.appended();
    match log.append(&[(1, write)]) {
        Err(Error::Invalid { group: 1, what }) => {
            assert_eq!(log.appended(), before);
            what
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_was_appended_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let open = || RaftLog::open(Arc::new(RealFs), dir.path(), Options::default()).unwrap();
    let (mut log, recovered) = open();
    assert!(recovered.groups.is_empty());
    log.append(&[
        (1, vote(3, 2)),
        (7, entries(1, 1..=2)),
        (1, entries(3, 1..=3)),
    ])
    .unwrap();
    log.append(&[(1, entries(4, 3..=3))]).unwrap();
    let number = log.purge(&[(1, id(3, 1), members([1, 2, 3]))]).unwrap();
    assert_eq!(log.sync().unwrap(), number);
    drop(log);
    let (log, recovered) = open();
    let group = &recovered.groups[&1];
    assert_eq!(
        group.hard_state,
        HardState {
            term: 3,
            voted_for: Some(2)
        }
    );
    assert_eq!(group.base.as_ref().unwrap().last, id(3, 1));
    assert_eq!(
        group.base.as_ref().unwrap().configuration,
        members([1, 2, 3])
    );
    let ids: Vec<_> = group.entries.iter().map(|entry| entry.id).collect();
    assert_eq!(ids, [id(3, 2), id(4, 3)]);
    assert_eq!(recovered.groups[&7].entries, entries(1, 1..=2).entries);
    log.close().unwrap();
    assert_eq!(open().1, recovered);
}

#[test]
fn a_write_that_no_member_may_make_is_refused_whole() {
    let disk = FaultFs::new();
    let mut log = open(&disk).unwrap().0;
    log.append(&[(1, vote(5, 2)), (1, entries(5, 1..=4))])
        .unwrap();
    log.purge(&[(1, id(5, 2), members([1]))]).unwrap();
    let before = log.appended();
    assert_eq!(invalid(&mut log, vote(4, 2)), "the term goes back");
    assert_eq!(
        invalid(&mut log, vote(5, 3)),
        "the vote changes within a term"
    );
    assert!(invalid(&mut log, entries(5, 6..=6)).contains("gap"));
    assert!(invalid(&mut log, entries(5, 2..=5)).contains("purged"));
    assert!(invalid(&mut log, entries(5, [5, 7])).contains("follow"));
    let error = log.append(&[(2, vote(1, 1)), (1, vote(4, 1))]).unwrap_err();
    assert!(matches!(error, Error::Invalid { group: 1, .. }));
    let error = log.purge(&[(1, id(5, 5), members([1]))]).unwrap_err();
    assert!(matches!(error, Error::Invalid { group: 1, .. }));
    // What is purged already is passed over, and so is what writes nothing.
    assert_eq!(log.purge(&[(1, id(5, 1), members([1]))]).unwrap(), before);
    assert_eq!(log.append(&[(3, Write::default())]).unwrap(), before);
    log.sync().unwrap();
    drop(log);
    let found = content(&open(&disk).unwrap().1);
    assert_eq!(found.keys().collect::<Vec<_>>(), [&1]);
    assert_eq!(found[&1].entries, entries(5, 3..=4).entries);
}

#[test]
fn one_sync_serves_all_groups_and_none_is_made_for_nothing() {
    let disk = FaultFs::new();
    let mut log = open(&disk).unwrap().0;
    let is_sync = |operation: &Operation| matches!(operation, Operation::SyncData { .. });
    log.sync().unwrap();
    let before = disk.count(is_sync);
    let batch: Vec<_> = (0..8).map(|group| (group, entries(1, 1..=2))).collect();
    log.append(&batch).unwrap();
    let number = log.append(&[(3, entries(1, 3..=3))]).unwrap();
    assert!(log.durable() < number);
    assert!(!disk.is_durable(&last_segment(&disk)));
    assert_eq!(log.sync().unwrap(), number);
    assert_eq!(log.durable(), number);
    assert_eq!(disk.count(is_sync) - before, 1);
    assert!(disk.is_durable(&last_segment(&disk)));
    log.sync().unwrap();
    assert_eq!(disk.count(is_sync) - before, 1);
}

#[test]
fn a_failed_sync_poisons_the_log_and_is_never_tried_again() {
    for fault in [Fault::Io, Fault::IoLosingData] {
        let disk = FaultFs::new();
        let mut log = open(&disk).unwrap().0;
        log.append(&[(1, entries(1, 1..=1))]).unwrap();
        log.sync().unwrap();
        let is_sync = |operation: &Operation| matches!(operation, Operation::SyncData { .. });
        disk.fail_nth(1, fault, is_sync);
        log.append(&[(1, entries(1, 2..=2))]).unwrap();
        assert!(matches!(log.sync(), Err(Error::Poisoned { .. })));
        let operations = disk.operations();
        // The fault is gone, and still nothing is written: a retry could "succeed" with the data lost.
        assert!(matches!(log.sync(), Err(Error::Poisoned { .. })));
        assert!(matches!(
            log.append(&[(1, entries(1, 3..=3))]),
            Err(Error::Poisoned { .. })
        ));
        assert!(matches!(log.reclaim(), Err(Error::Poisoned { .. })));
        assert!(matches!(log.close(), Err(Error::Poisoned { .. })));
        assert_eq!(disk.operations(), operations);
        let found = content(&open(&disk.crash(CrashMode::LoseAll)).unwrap().1);
        assert_eq!(found[&1].entries, entries(1, 1..=1).entries);
    }
}

#[test]
fn a_failed_write_poisons_the_log() {
    let disk = FaultFs::new();
    let mut log = open(&disk).unwrap().0;
    log.append(&[(1, entries(1, 1..=1))]).unwrap();
    log.sync().unwrap();
    disk.fail_nth(1, Fault::Io, |operation| {
        matches!(operation, Operation::Write { .. })
    });
    let error = log.append(&[(1, entries(1, 2..=2))]).unwrap_err();
    assert!(matches!(error, Error::Poisoned { .. }), "{error}");
    assert!(matches!(
        log.append(&[(1, entries(1, 2..=2))]),
        Err(Error::Poisoned { .. })
    ));
    let found = content(&open(&disk.crash(CrashMode::KeepAll)).unwrap().1);
    assert_eq!(found[&1].entries, entries(1, 1..=1).entries);
}

/// A crash took what the first start wrote into the segment, and its reserved space.
#[test]
fn a_log_that_never_synced_says_that_the_disk_is_full_when_it_cannot_begin_again() {
    let disk = FaultFs::new();
    drop(open(&disk).unwrap());
    let disk = disk.crash(CrashMode::LoseAll);
    disk.set_capacity(Some(disk.used_bytes()));
    let refused = open(&disk);
    assert!(
        matches!(&refused, Err(Error::DiskFull { .. })),
        "{refused:?}"
    );
    disk.set_capacity(None);
    open(&disk).unwrap();
}

/// After a crash there may be no space behind the last frame, and the segment created ahead is needed: then the footer has no space.
#[test]
fn a_full_disk_without_space_for_a_footer_is_no_failed_write() {
    let disk = FaultFs::new();
    let mut log = open(&disk).unwrap().0;
    while log.stats().segments < 3 {
        let last = log.appended();
        log.append(&[(1, entries(1, last + 1..=last + 1))]).unwrap();
    }
    log.sync().unwrap();
    drop(log);
    let crashed = disk.crash(CrashMode::KeepAll);
    let mut refusals = 0;
    for free in 0..SEGMENT_BYTES {
        let disk = crashed.fork();
        disk.set_capacity(Some(disk.used_bytes() + free));
        let mut log = open(&disk).unwrap().0;
        let appended = log.append(&[(1, vote(2, 1))]);
        let is_full = matches!(&appended, Err(Error::DiskFull { .. }));
        assert!(is_full || appended.is_ok(), "{free} bytes: {appended:?}");
        refusals += u64::from(is_full);
        disk.set_capacity(None);
        log.append(&[(1, vote(2, 1))]).unwrap();
        log.sync().unwrap();
    }
    assert!(0 < refusals && refusals < SEGMENT_BYTES);
}

/// Appends entries to group 1 until the disk is full, and returns how many went in.
fn fill(log: &mut RaftLog) -> u64 {
    let refused = (1..5000).find(|&index| {
        let appended = log.append(&[(1, entries(1, index..=index))]);
        let is_full = matches!(appended, Err(Error::DiskFull { .. }));
        assert!(is_full || appended.is_ok(), "{appended:?}");
        is_full
    });
    refused.expect("the disk fills up") - 1
}

#[test]
fn a_full_disk_refuses_entries_whole_and_still_takes_votes_and_purges_that_free_space() {
    let disk = FaultFs::new();
    let mut log = open(&disk).unwrap().0;
    log.append(&[(1, entries(1, 1..=1))]).unwrap();
    disk.set_capacity(Some(disk.used_bytes() + 20_000));
    let last = fill(&mut log);
    assert!(last > 200, "{last}");
    let (number, stats) = (log.appended(), log.stats());
    let error = log
        .append(&[(1, entries(1, last + 1..=last + 1))])
        .unwrap_err();
    assert!(matches!(&error, Error::DiskFull { path } if *path == dir()));
    assert!(
        error
            .to_string()
            .contains("purge groups or free some space")
    );
    assert_eq!((log.appended(), log.stats()), (number, stats));
    // Neither poisoned, nor anything half written.
    log.append(&[(1, vote(2, 1))]).unwrap();
    log.sync().unwrap();
    log.purge(&[(1, id(1, last - 1), members([1]))]).unwrap();
    assert!(log.reclaim().unwrap() > 5);
    let next = entries(2, last + 1..=last + 40);
    log.append(&[(1, next.clone())]).unwrap();
    log.sync().unwrap();
    drop(log);
    let found = content(&open(&disk.crash(CrashMode::LoseAll)).unwrap().1);
    assert_eq!(found[&1].entries[1..], next.entries);
    assert_eq!(found[&1].hard_state.term, 2);
}

#[test]
fn a_full_disk_leaves_room_for_the_purge_even_when_the_segment_is_full_too() {
    let disk = FaultFs::new();
    let mut log = open(&disk).unwrap().0;
    disk.set_capacity(Some(disk.used_bytes() + 9000));
    let last = fill(&mut log);
    // Votes go on until nothing of the active segment is left, and into the one created ahead.
    let before = log.stats().segments;
    let mut term = 2;
    while log.stats().segments == before {
        log.append(&[(1, vote(term, 1))]).unwrap();
        term += 1;
    }
    log.purge(&[(1, id(1, last), members([1]))]).unwrap();
    assert!(log.reclaim().unwrap() > 3);
    log.append(&[(1, entries(term, last + 1..=last + 1))])
        .unwrap();
}

#[test]
fn a_full_disk_is_no_reason_not_to_open() {
    let disk = FaultFs::new();
    let mut log = open(&disk).unwrap().0;
    disk.set_capacity(Some(disk.used_bytes() + 9000));
    let last = fill(&mut log);
    drop(log);
    disk.set_capacity(Some(disk.used_bytes()));
    let (mut log, recovered) = open(&disk).unwrap();
    assert_eq!(content(&recovered)[&1].entries.len() as u64, last);
    log.purge(&[(1, id(1, last), members([1]))]).unwrap();
    log.sync().unwrap();
}

#[test]
fn the_files_of_purged_entries_go_and_a_group_that_lags_does_not_keep_them() {
    let disk = FaultFs::new();
    let mut log = open(&disk).unwrap().0;
    log.append(&[(9, vote(4, 1)), (9, entries(4, 1..=3))])
        .unwrap();
    let mut most = 0;
    for index in 1..2000 {
        log.append(&[(1, entries(1, index..=index))]).unwrap();
        if index % 20 == 0 {
            log.purge(&[(1, id(1, index - 1), members([1]))]).unwrap();
            log.reclaim().unwrap();
        }
        most = most.max(log.stats().segments);
    }
    log.sync().unwrap();
    assert!(most < 10, "{most} segments at once");
    let numbers: Vec<_> = segments(&disk);
    assert!(!numbers.contains(&Path::new("/raft/0000000001.segment").to_owned()));
    drop(log);
    let found = content(&open(&disk).unwrap().1);
    assert_eq!(found[&9].entries, entries(4, 1..=3).entries);
    assert_eq!(found[&9].hard_state, vote(4, 1).hard_state.unwrap());
}

#[test]
fn a_batch_larger_than_a_segment_gets_one_of_its_own_size() {
    let disk = FaultFs::new();
    let mut log = open(&disk).unwrap().0;
    for _ in 0..3 {
        log.append(&[(1, entries(1, 1..=1000))]).unwrap();
        log.append(&[(1, entries(1, 1..=1))]).unwrap();
    }
    log.append(&[(1, entries(1, 2..=1000))]).unwrap();
    log.sync().unwrap();
    drop(log);
    let found = content(&open(&disk.crash(CrashMode::LoseAll)).unwrap().1);
    assert_eq!(found[&1].entries, entries(1, 1..=1000).entries);
}

#[test]
fn the_directory_is_refused_to_a_second_log_and_to_others() {
    let disk = FaultFs::new();
    let log = open(&disk).unwrap().0;
    let error = open(&disk).unwrap_err();
    assert!(
        matches!(error, Error::Storage(storage::Error::Locked { .. })),
        "{error}"
    );
    drop(log);
    let path = dir().join("KEYPROOF");
    disk.tamper(&path, |bytes| *bytes = b"keyproof kvs 1\n".to_vec());
    let error = open(&disk).unwrap_err();
    let Error::Storage(storage::Error::NotRaftLog { found, .. }) = &error else {
        panic!("{error}");
    };
    assert_eq!(*found, Owner::Engine(EngineKind::Kvs));
    assert!(error.to_string().contains("`kvs`"));
    disk.tamper(&path, |bytes| *bytes = b"keyproof raft-log 2\n".to_vec());
    let error = open(&disk).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Storage(storage::Error::NewerFormat { found: 2, .. })
        ),
        "{error}"
    );
    disk.tamper(&path, |bytes| *bytes = b"keyproof raft-log 1\n".to_vec());
    assert!(open(&disk).is_ok());
    assert!(disk.exists(&path).unwrap());
}
