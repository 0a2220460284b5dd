use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{CrashMode, Fault, FaultFs, Operation, SplitMix64, Tearing};
use crate::Error;
use crate::file::{File, FileSystem};

fn path(name: &str) -> PathBuf {
    Path::new("/").join(name)
}

/// A disk with the durable file `/a` of `len` bytes 1.
fn with_file(len: usize) -> (FaultFs, Arc<dyn File>) {
    let fs = FaultFs::new();
    let file = fs.create(&path("a")).unwrap();
    file.write_all_at(&vec![1; len], 0).unwrap();
    file.sync_data().unwrap();
    fs.sync_dir(Path::new("/")).unwrap();
    (fs, file)
}

fn names(fs: &FaultFs) -> Vec<PathBuf> {
    fs.list(Path::new("/")).unwrap()
}

fn is_write(operation: &Operation) -> bool {
    matches!(operation, Operation::Write { .. })
}

fn is_sync(operation: &Operation) -> bool {
    matches!(operation, Operation::SyncData { .. })
}

#[test]
fn what_was_written_is_read_back_across_pages_and_holes() {
    let fs = FaultFs::new();
    let file = fs.create(&path("a")).unwrap();
    let data: Vec<u8> = (0..10_000).map(|at| at as u8).collect();
    file.write_all_at(&data, 5_000).unwrap();
    assert_eq!(file.len().unwrap(), 15_000);
    let bytes = fs.read(&path("a")).unwrap();
    assert!(bytes[..5_000].iter().all(|&byte| byte == 0));
    assert_eq!(bytes[5_000..], data);
    let error = file.read_exact_at(&mut [0; 2], 14_999).unwrap_err();
    assert!(matches!(error, Error::Io { source, .. }
        if source.kind() == std::io::ErrorKind::UnexpectedEof));
}

#[test]
fn a_cut_file_reads_as_zeros_where_it_grows_again() {
    let (fs, file) = with_file(5_000);
    file.set_len(10).unwrap();
    file.set_len(5_000).unwrap();
    let bytes = fs.read(&path("a")).unwrap();
    assert_eq!(bytes[..10], [1; 10]);
    assert!(bytes[10..].iter().all(|&byte| byte == 0));
    file.allocate(20).unwrap();
    file.allocate(50_000).unwrap();
    assert_eq!(file.len().unwrap(), 5_000, "allocating keeps the length");
}

#[test]
fn synced_bytes_survive_every_crash_and_unsynced_ones_only_some() {
    let (fs, file) = with_file(3 * 4096);
    file.write_all_at(&[2; 2 * 4096], 2 * 4096).unwrap();
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        let bytes = fs.crash(CrashMode::Random(seed)).read(&path("a")).unwrap();
        assert_eq!(bytes[..2 * 4096], [1; 2 * 4096]);
        assert!((3 * 4096..=4 * 4096).contains(&bytes.len()));
        let third: BTreeSet<u8> = bytes[2 * 4096..3 * 4096].iter().copied().collect();
        assert_eq!(third.len(), 1, "a page is not torn");
        let fourth: BTreeSet<u8> = bytes[3 * 4096..].iter().copied().collect();
        seen.insert((third.first().copied(), fourth.first().copied()));
    }
    for third in [1, 2] {
        for fourth in [None, Some(0), Some(2)] {
            assert!(seen.contains(&(Some(third), fourth)), "{third} {fourth:?}");
        }
    }
    let lost = fs.crash(CrashMode::LoseAll).read(&path("a")).unwrap();
    assert_eq!(lost, [1; 3 * 4096]);
    let kept = fs.crash(CrashMode::KeepAll).read(&path("a")).unwrap();
    assert_eq!(kept[2 * 4096..], [2; 2 * 4096]);
}

#[test]
fn a_page_written_twice_survives_in_any_of_its_versions() {
    let (fs, file) = with_file(100);
    file.write_all_at(&[2; 50], 0).unwrap();
    file.write_all_at(&[3; 50], 50).unwrap();
    let seen: BTreeSet<(u8, u8)> = (0..100)
        .map(|seed| {
            let bytes = fs.crash(CrashMode::Random(seed)).read(&path("a")).unwrap();
            (bytes[0], bytes[99])
        })
        .collect();
    // The third without the second was never in the cache.
    assert_eq!(seen, [(1, 1), (2, 1), (2, 3)].into());
}

#[test]
fn tearing_cuts_within_a_page_and_within_a_sector() {
    let (fs, file) = with_file(4096);
    file.write_all_at(&[2; 4096], 0).unwrap();
    let cuts = |tearing| -> BTreeSet<usize> {
        (0..50)
            .flat_map(|seed| {
                let disk = fs.crash_torn(CrashMode::Random(seed), tearing);
                let bytes = disk.read(&path("a")).unwrap();
                (1..bytes.len()).filter(move |&at| bytes[at] != bytes[at - 1])
            })
            .collect()
    };
    assert!(cuts(Tearing::Page).is_empty());
    let sectors = cuts(Tearing::Sector);
    assert!(!sectors.is_empty() && sectors.iter().all(|at| at % 512 == 0));
    assert!(cuts(Tearing::Byte).iter().any(|at| at % 512 != 0));
}

#[test]
fn what_was_written_after_a_cut_never_survives_without_it() {
    let (fs, _file) = with_file(2 * 4096);
    let file = fs.create(&path("a")).unwrap();
    file.write_all_at(&[2; 4096], 4096).unwrap();
    let (mut uncut, mut cut) = (0, 0);
    for seed in 0..100 {
        let bytes = fs.crash(CrashMode::Random(seed)).read(&path("a")).unwrap();
        if bytes.first() == Some(&1) {
            assert_eq!(bytes, [1; 2 * 4096]);
            uncut += 1;
        } else {
            assert!(bytes.iter().all(|byte| [0, 2].contains(byte)));
            cut += 1;
        }
    }
    assert!(uncut > 0 && cut > 0);
}

#[test]
fn names_survive_once_their_directory_is_synced() {
    let (fs, _file) = with_file(1);
    fs.create(&path("b")).unwrap();
    fs.remove(&path("a")).unwrap();
    let lost = fs.crash(CrashMode::LoseAll);
    assert_eq!(names(&lost), [path("a")]);
    assert_eq!(lost.read(&path("a")).unwrap(), [1]);
    assert_eq!(names(&fs.crash(CrashMode::KeepAll)), [path("b")]);
    let seen: BTreeSet<usize> = (0..50)
        .map(|seed| names(&fs.crash(CrashMode::Random(seed))).len())
        .collect();
    assert_eq!(seen, [0, 1, 2].into());
}

#[test]
fn syncing_a_file_does_not_sync_its_name_nor_the_other_way_round() {
    let fs = FaultFs::new();
    let file = fs.create(&path("a")).unwrap();
    file.write_all_at(b"x", 0).unwrap();
    file.sync_data().unwrap();
    assert!(names(&fs.fork().crash(CrashMode::LoseAll)).is_empty());
    fs.sync_dir(Path::new("/")).unwrap();
    file.write_all_at(b"y", 1).unwrap();
    let lost = fs.crash(CrashMode::LoseAll);
    assert_eq!(lost.read(&path("a")).unwrap(), b"x");
}

#[test]
fn a_rename_survives_whole_or_not_at_all() {
    let (fs, _file) = with_file(1);
    let file = fs.create(&path("b")).unwrap();
    file.write_all_at(&[2], 0).unwrap();
    file.sync_data().unwrap();
    fs.sync_dir(Path::new("/")).unwrap();
    fs.rename(&path("b"), &path("a")).unwrap();
    let mut seen = BTreeSet::new();
    for seed in 0..50 {
        let disk = fs.crash(CrashMode::Random(seed));
        seen.insert((names(&disk).len(), disk.read(&path("a")).unwrap()));
    }
    assert_eq!(seen, [(1, vec![2]), (2, vec![1])].into());
}

#[test]
fn a_link_is_a_second_name_of_the_same_bytes() {
    let (fs, file) = with_file(1);
    fs.hard_link(&path("a"), &path("b")).unwrap();
    assert!(fs.hard_link(&path("a"), &path("b")).is_err());
    fs.remove(&path("a")).unwrap();
    file.write_all_at(&[7], 0).unwrap();
    assert_eq!(fs.read(&path("b")).unwrap(), [7]);
}

#[test]
fn a_removed_file_is_read_through_its_handle_and_then_freed() {
    let (fs, file) = with_file(1000);
    fs.remove(&path("a")).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 999).unwrap();
    assert_eq!((byte, fs.used_bytes()), ([1], 1000));
    drop(file);
    assert_eq!(fs.used_bytes(), 0);
    assert!(fs.open(&path("a")).is_err());
}

#[test]
fn power_fails_at_the_operation_asked_for_and_stays_off() {
    let (fs, file) = with_file(1);
    let next = fs.operations() + 2;
    fs.crash_at_torn(next, 3);
    file.write_all_at(b"first", 1).unwrap();
    assert!(file.write_all_at(b"second", 6).is_err());
    assert!(fs.is_crashed());
    assert!(file.sync_data().is_err());
    assert!(file.read_exact_at(&mut [0], 0).is_err());
    assert!(fs.list(Path::new("/")).is_err());
    let kept = fs.crash(CrashMode::KeepAll);
    assert_eq!(kept.read(&path("a")).unwrap(), b"\x01firstsec");
    assert!(!kept.is_crashed());
}

#[test]
fn the_same_seed_gives_the_same_disk() {
    let run = || {
        let (fs, file) = with_file(9000);
        file.write_all_at(&[2; 9000], 3000).unwrap();
        fs.create(&path("b")).unwrap();
        let disk = fs.crash_torn(CrashMode::Random(7), Tearing::Byte);
        (names(&disk), disk.read(&path("a")).unwrap())
    };
    assert_eq!(run(), run());
    let mut random = SplitMix64::new(0);
    // First output of the reference implementation for seed 0.
    assert_eq!(random.next_u64(), 0xe220_a839_7b1d_cdaf);
}

#[test]
fn faults_hit_the_nth_matching_operation_once_or_from_then_on() {
    let (fs, file) = with_file(1);
    fs.fail_nth(2, Fault::Io, is_write);
    file.write_all_at(b"x", 0).unwrap();
    assert!(matches!(
        file.write_all_at(b"y", 0),
        Err(Error::Io { op: "write", .. })
    ));
    file.write_all_at(b"z", 0).unwrap();
    fs.fail_from(1, Fault::NoSpace, is_write);
    fs.fail_nth(1, Fault::Io, |operation| {
        matches!(operation, Operation::Read { offset: 0, .. })
    });
    for _ in 0..2 {
        assert!(matches!(
            file.write_all_at(b"x", 0),
            Err(Error::DiskFull { .. })
        ));
    }
    assert!(file.read_exact_at(&mut [0], 0).is_err());
    file.read_exact_at(&mut [0], 0).unwrap();
    fs.clear_faults();
    file.write_all_at(b"x", 0).unwrap();
}

#[test]
fn a_short_write_leaves_its_prefix() {
    let (fs, file) = with_file(1);
    fs.fail_nth(1, Fault::ShortWrite(2), is_write);
    assert!(file.write_all_at(b"abc", 0).is_err());
    assert_eq!(fs.read(&path("a")).unwrap(), b"ab");
}

#[test]
fn a_failed_sync_makes_nothing_durable_but_may_be_tried_again() {
    let (fs, file) = with_file(1);
    file.write_all_at(&[2], 0).unwrap();
    fs.fail_nth(1, Fault::Io, is_sync);
    assert!(file.sync_data().is_err());
    assert!(!fs.is_durable(&path("a")));
    file.sync_data().unwrap();
    assert_eq!(fs.crash(CrashMode::LoseAll).read(&path("a")).unwrap(), [2]);
}

#[test]
fn after_a_failed_sync_that_loses_data_the_next_one_succeeds_and_writes_nothing() {
    let (fs, file) = with_file(1);
    file.write_all_at(&[2], 0).unwrap();
    fs.fail_nth(1, Fault::IoLosingData, is_sync);
    assert!(file.sync_data().is_err());
    file.sync_data().unwrap();
    assert!(!fs.is_durable(&path("a")));
    assert_eq!(fs.read(&path("a")).unwrap(), [2]);
    assert_eq!(fs.crash(CrashMode::KeepAll).read(&path("a")).unwrap(), [1]);
}

#[test]
fn a_full_disk_takes_what_fits_and_allocated_space_stays_usable() {
    let (fs, file) = with_file(10);
    fs.set_capacity(Some(100));
    assert!(matches!(file.allocate(101), Err(Error::DiskFull { .. })));
    file.allocate(60).unwrap();
    let other = fs.create(&path("b")).unwrap();
    let error = other.write_all_at(&[2; 50], 0).unwrap_err();
    assert!(matches!(error, Error::DiskFull { path: full } if full == path("b")));
    assert_eq!(other.len().unwrap(), 40);
    file.write_all_at(&[3; 60], 0).unwrap();
    fs.remove(&path("b")).unwrap();
    drop(other);
    assert_eq!(fs.used_bytes(), 60);
    file.write_all_at(&[3; 40], 60).unwrap();
}

#[test]
fn a_lock_excludes_until_dropped_and_dies_with_the_crash() {
    let fs = FaultFs::new();
    let dir = Path::new("/");
    let lock = fs.lock_dir(dir).unwrap();
    assert!(matches!(fs.lock_dir(dir), Err(Error::Locked { .. })));
    drop(lock);
    let _lock = fs.lock_dir(dir).unwrap();
    fs.fork().lock_dir(dir).unwrap();
    fs.crash(CrashMode::LoseAll).lock_dir(dir).unwrap();
}

#[test]
fn a_fork_keeps_what_is_unsynced_and_shares_nothing() {
    let (fs, file) = with_file(1);
    file.write_all_at(&[2], 0).unwrap();
    let fork = fs.fork();
    file.write_all_at(&[3], 0).unwrap();
    assert_eq!(fork.read(&path("a")).unwrap(), [2]);
    assert_eq!(
        fork.crash(CrashMode::LoseAll).read(&path("a")).unwrap(),
        [1]
    );
    assert_eq!(fs.read(&path("a")).unwrap(), [3]);
}

#[test]
fn the_log_says_whether_a_sync_followed_the_last_write() {
    let (fs, file) = with_file(1);
    assert!(fs.synced_after_last_write(&path("a")));
    assert!(fs.is_durable(&path("a")));
    file.write_all_at(&[2; 5], 0).unwrap();
    assert!(!fs.synced_after_last_write(&path("a")));
    fs.fail_nth(1, Fault::Io, is_sync);
    assert!(file.sync_data().is_err());
    assert!(!fs.synced_after_last_write(&path("a")));
    assert_eq!(fs.synced_len(&path("a")), Some(1));
    file.sync_data().unwrap();
    assert!(fs.synced_after_last_write(&path("a")));
    assert_eq!(fs.synced_len(&path("a")), Some(5));
    assert_eq!(fs.count(is_sync), 2);
    assert_eq!(fs.log().iter().filter(|record| !record.ok).count(), 1);
    let write = Operation::Write {
        path: path("a"),
        offset: 0,
        len: 5,
    };
    assert!(fs.log().iter().any(|record| record.operation == write));
}

#[test]
fn decay_reaches_the_disk_past_the_cache() {
    let (fs, _file) = with_file(3);
    let operations = fs.operations();
    fs.flip_bit(&path("a"), 1, 7);
    fs.truncate(&path("a"), 2);
    assert_eq!(fs.operations(), operations);
    let bytes = fs.crash(CrashMode::LoseAll).read(&path("a")).unwrap();
    assert_eq!(bytes, [1, 0x81]);
}

#[test]
fn held_syncs_wait_for_their_release_or_the_crash() {
    let (fs, file) = with_file(1);
    for crash in [false, true] {
        fs.hold_syncs();
        let syncs = fs.count(is_sync);
        let waiting = Arc::clone(&file);
        let thread = std::thread::spawn(move || waiting.sync_data());
        file.write_all_at(&[2], 0).unwrap();
        assert_eq!(fs.count(is_sync), syncs);
        match crash {
            true => drop(fs.crash(CrashMode::LoseAll)),
            false => fs.release_syncs(),
        }
        assert_eq!(thread.join().unwrap().is_err(), crash);
    }
}

#[test]
fn files_need_their_directory() {
    let fs = FaultFs::new();
    let file = Path::new("/db/data/a");
    assert!(fs.create(file).is_err());
    assert!(fs.list(Path::new("/db")).is_err());
    fs.create_dir_all(Path::new("/db/data")).unwrap();
    fs.write_durably(file, b"x").unwrap();
    assert!(fs.is_durable(file));
    let lost = fs.crash(CrashMode::LoseAll);
    assert_eq!(lost.read(file).unwrap(), b"x");
    assert!(lost.list(Path::new("/db")).unwrap().is_empty());
    assert!(lost.exists(Path::new("/db")).unwrap());
    assert!(!lost.exists(Path::new("/db/data/a.tmp")).unwrap());
}
