//! Damage is found, and what is intact survives a repair: `verify` and `repair` on a simulated disk.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use storage::file::FileSystem;
use storage::file::fault::{CrashMode, Fault, FaultFs, Operation};
use storage::kvs::format::{Change, Frame, FrameWriter, Header, Record, SegmentKind};
use storage::kvs::{self, Action, FindingKind, LogEngine, Options, RepairReport, Report, segment};
use storage::{Batch, Checkpoint, Direction, Engine, Error, KeyRange, Reader};

const DIR: &str = "/data";

type Pairs = BTreeMap<Bytes, Bytes>;

fn options(fs: &FaultFs) -> Options {
    Options {
        files: Arc::new(fs.clone()),
        entropy: 7,
        background: false,
        cache_bytes: 16 << 10,
        segment_bytes: 600,
        reserve_bytes: 0,
        ..Options::default()
    }
}

fn open(fs: &FaultFs) -> storage::Result<LogEngine> {
    LogEngine::open(Path::new(DIR), options(fs))
}

fn pairs(engine: &LogEngine) -> Pairs {
    let all = engine.scan(&KeyRange::all(), Direction::Forward);
    all.collect::<storage::Result<_>>().unwrap()
}

fn verify(fs: &FaultFs) -> Report {
    kvs::verify(Path::new(DIR), fs).unwrap()
}

fn repair(fs: &FaultFs) -> storage::Result<RepairReport> {
    let files: Arc<dyn FileSystem> = Arc::new(fs.clone());
    kvs::repair(Path::new(DIR), &files, &mut |_| ())
}

fn value(number: usize) -> String {
    format!("value {number} {}", "x".repeat(number % 40))
}

/// Several sealed segments, one of them compacted, deletions of both kinds, batches of three, and a tail that was not
/// closed; `closed` closes it.
fn sample(closed: bool) -> FaultFs {
    let fs = FaultFs::new();
    let engine = open(&fs).unwrap();
    for number in 0..12 {
        let mut batch = Batch::new();
        for part in ["a", "b", "c"] {
            batch.put(format!("old{number:02}{part}"), value(number));
        }
        engine.write(&batch).unwrap();
    }
    engine
        .write(Batch::new().delete_range(KeyRange::half_open("old01", "old06")))
        .unwrap();
    engine.maintain().unwrap();
    assert!(engine.stats().compacted_segments > 0, "the sample compacts");
    for number in 0..10 {
        let mut batch = Batch::new();
        batch.put(format!("new{number:02}"), value(number));
        batch.delete(format!("old{:02}a", number + 1));
        engine.write(&batch).unwrap();
    }
    engine.maintain().unwrap();
    engine
        .write(Batch::new().delete_range(KeyRange::prefix(b"old11")))
        .unwrap();
    let fork = (!closed).then(|| fs.fork());
    engine.close().unwrap();
    fork.unwrap_or(fs)
}

fn files(fs: &FaultFs) -> Vec<PathBuf> {
    let all = fs.list(Path::new(DIR)).unwrap();
    all.into_iter()
        .filter(|path| !path.ends_with("LOCK"))
        .collect()
}

fn segments(fs: &FaultFs) -> Vec<PathBuf> {
    files(fs)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "segment"))
        .collect()
}

/// The last segment of the log; compaction gives later numbers to its own.
fn tail(fs: &FaultFs) -> PathBuf {
    let is_log = |path: &PathBuf| header(&fs.read(path).unwrap()).kind == SegmentKind::Log;
    segments(fs).into_iter().rfind(is_log).unwrap()
}

fn header(bytes: &[u8]) -> Header {
    Header::decode(bytes).unwrap()
}

/// Extent of each frame of a segment.
fn frames(bytes: &[u8]) -> Vec<(u64, u64)> {
    let mut frames = Vec::new();
    segment::scan(bytes, &header(bytes), false, |frame| {
        frames.push((frame.offset, frame.offset + frame.frame_len() as u64));
    });
    frames
}

fn touches(frame: &Frame<'_>, key: &[u8]) -> bool {
    frame
        .records()
        .any(|placed| match placed.unwrap().record.change {
            Change::Put { key: at, .. } | Change::Delete { key: at } => at == key,
            Change::DeleteRange { range } => range.contains(key),
        })
}

/// The keys, of those that ever were, which the frames that `hit` accepts set or delete.
fn keys_touched(bytes: &[u8], hit: impl Fn(u64, u64) -> bool) -> BTreeSet<Bytes> {
    let old =
        (0..12).flat_map(|number| ["a", "b", "c"].map(|part| format!("old{number:02}{part}")));
    let new = (0..10).map(|number| format!("new{number:02}"));
    let keys: Vec<Bytes> = old.chain(new).map(Bytes::from).collect();
    let mut touched = BTreeSet::new();
    segment::scan(bytes, &header(bytes), false, |frame| {
        if hit(frame.offset, frame.offset + frame.frame_len() as u64) {
            touched.extend(keys.iter().filter(|key| touches(&frame, key)).cloned());
        }
    });
    touched
}

/// Whether a crash can explain damage to the byte at `offset` of the log's last segment: no other frame says that the one
/// which was hit is durable.
fn may_be_torn(bytes: &[u8], offset: u64) -> bool {
    let mut hit = None;
    let mut durable = 0;
    segment::scan(bytes, &header(bytes), false, |frame| {
        let end = frame.offset + frame.frame_len() as u64;
        match (frame.offset..end).contains(&offset) {
            true => hit = Some(frame.offset),
            false => durable = durable.max(frame.durable),
        }
    });
    hit.is_some_and(|start| durable <= start)
}

fn without(pairs: &Pairs, exempt: &BTreeSet<Bytes>) -> Pairs {
    let kept = pairs.iter().filter(|(key, _)| !exempt.contains(*key));
    kept.map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

#[test]
fn a_flipped_bit_in_any_byte_of_any_file_is_found_and_all_other_records_survive_the_repair() {
    for closed in [true, false] {
        let sample = sample(closed);
        let expected = pairs(&open(&sample.fork()).unwrap());
        let mut torn = 0;
        for path in files(&sample) {
            let bytes = sample.read(&path).unwrap();
            for offset in 0..bytes.len() as u64 {
                let fs = sample.fork();
                fs.flip_bit(&path, offset, (offset % 8) as u8);
                let context = format!("{} at {offset}, closed: {closed}", path.display());
                let is_torn = check_flip(&fs, &path, offset, &bytes, &expected, &context);
                // A clean close vouches for everything.
                let may_be = !closed && path == tail(&sample) && may_be_torn(&bytes, offset);
                assert_eq!(is_torn, may_be, "{context}: taken for a torn tail?");
                torn += usize::from(is_torn);
            }
        }
        assert!(torn > 0 || closed, "no flip hit the unconfirmed tail");
    }
}

/// Says whether the flip was taken for a torn tail.
fn check_flip(
    fs: &FaultFs,
    path: &Path,
    offset: u64,
    original: &[u8],
    expected: &Pairs,
    context: &str,
) -> bool {
    let dir = Path::new(DIR);
    let report = match kvs::verify(dir, fs) {
        Ok(report) => report,
        Err(Error::NewerFormat { .. }) => {
            // The digit of the format: nobody can know that no newer version wrote it.
            assert!(
                matches!(repair(fs), Err(Error::NewerFormat { .. })),
                "{context}"
            );
            assert!(
                matches!(open(fs), Err(Error::NewerFormat { .. })),
                "{context}"
            );
            return false;
        }
        Err(error) => panic!("{context}: {error}"),
    };
    let findings: Vec<_> = report.findings.iter().filter(|f| f.path == path).collect();
    assert!(!findings.is_empty(), "{context}: not found by verify");
    let covers = findings
        .iter()
        .any(|f| (f.offset..f.offset + f.bytes).contains(&offset));
    assert!(covers, "{context}: {findings:?}");
    let torn = findings.iter().any(|f| f.kind == FindingKind::TornTail);
    let exempt = match path.extension().and_then(|e| e.to_str()) {
        Some("segment") => keys_touched(original, |start, end| {
            (start..end).contains(&offset) || (torn && start > offset)
        }),
        _ => BTreeSet::new(),
    };
    let repaired = repair(fs).unwrap();
    assert_eq!(repaired.before, report, "{context}");
    assert!(!repaired.actions.is_empty(), "{context}");
    let after = verify(fs);
    assert_eq!(after.findings, [], "{context}");
    let engine = open(fs).unwrap_or_else(|error| panic!("{context}: {error}"));
    assert_eq!(
        without(&pairs(&engine), &exempt),
        without(expected, &exempt),
        "{context}"
    );
    torn
}

#[test]
fn a_sound_directory_is_reported_as_such_and_not_touched() {
    let fs = sample(true);
    let report = verify(&fs);
    assert_eq!(report.findings, []);
    assert!(report.is_sound());
    assert!(
        report
            .segments
            .iter()
            .any(|s| s.kind == Some(SegmentKind::Compacted))
    );
    assert!(report.segments.iter().all(|segment| segment.footer));
    let records: u64 = report.segments.iter().map(|segment| segment.records).sum();
    assert!(records >= pairs(&open(&fs.fork()).unwrap()).len() as u64);
    let before = fs.operations();
    assert_eq!(repair(&fs).unwrap().actions, []);
    let changes: Vec<_> = fs.log().into_iter().skip(before as usize).collect();
    assert!(
        changes
            .iter()
            .all(|record| matches!(record.operation, Operation::Lock { .. })),
        "{changes:?}"
    );
}

#[test]
fn one_flipped_bit_loses_its_whole_batch_and_nothing_else_and_the_report_says_so() {
    let fs = FaultFs::new();
    let big = Options {
        segment_bytes: 1 << 16,
        ..options(&fs)
    };
    let engine = LogEngine::open(Path::new(DIR), big).unwrap();
    for number in 0..5 {
        let mut batch = Batch::new();
        for part in ["a", "b", "c"] {
            batch.put(format!("{number}{part}"), value(number));
        }
        engine.write(&batch).unwrap();
    }
    engine.close().unwrap();
    let path = segments(&fs).pop().unwrap();
    let (start, end) = frames(&fs.read(&path).unwrap())[2];
    // The checksum of the frame's last value.
    fs.flip_bit(&path, end - 1, 0);
    let engine = open(&fs.fork()).unwrap();
    assert!(
        matches!(engine.get(b"2c"), Err(Error::Corrupt { .. })),
        "a read finds it"
    );
    assert_eq!(
        engine.get(b"2b").unwrap().unwrap(),
        value(2),
        "its neighbours are still readable"
    );
    let report = repair(&fs).unwrap();
    let dropped: Vec<_> = report.dropped().collect();
    assert_eq!(dropped.len(), 1);
    assert_eq!((dropped[0].offset, dropped[0].bytes), (start, end - start));
    assert_eq!(dropped[0].batches, Some(1));
    let left = pairs(&open(&fs).unwrap());
    assert_eq!(left.len(), 12);
    assert!(left.keys().all(|key| !key.starts_with(b"2")));
}

#[test]
fn a_planned_repair_reports_the_same_and_changes_nothing() {
    let fs = sample(false);
    let path = segments(&fs).remove(0);
    fs.flip_bit(&path, 70, 3);
    let before = fs.operations();
    let shared: Arc<dyn FileSystem> = Arc::new(fs.clone());
    let plan = kvs::plan_repair(Path::new(DIR), &shared, &mut |_| ()).unwrap();
    let changes = fs.log().into_iter().skip(before as usize);
    assert_eq!(
        changes
            .filter(|r| !matches!(r.operation, Operation::Lock { .. }))
            .count(),
        0
    );
    assert_eq!(repair(&fs).unwrap(), plan);
}

#[test]
fn a_header_is_restored_from_the_salt_in_the_hint() {
    let fs = sample(true);
    let expected = pairs(&open(&fs.fork()).unwrap());
    for path in segments(&fs) {
        let fs = fs.fork();
        fs.tamper(&path, |bytes| bytes[..32].fill(0));
        assert!(matches!(open(&fs.fork()), Err(Error::Corrupt { .. })));
        let report = repair(&fs).unwrap();
        assert_eq!(report.before.findings[0].kind, FindingKind::HeaderRestored);
        assert_eq!(report.dropped().count(), 0);
        assert_eq!(pairs(&open(&fs).unwrap()), expected);
    }
}

#[test]
fn a_segment_whose_salt_is_lost_is_set_aside_and_the_rest_is_served() {
    let fs = sample(true);
    let expected = pairs(&open(&fs.fork()).unwrap());
    for path in segments(&fs) {
        let fs = fs.fork();
        let exempt = keys_touched(&fs.read(&path).unwrap(), |_, _| true);
        fs.tamper(&path, |bytes| bytes[..32].fill(0));
        fs.remove(&path.with_extension("hint")).unwrap();
        let report = repair(&fs).unwrap();
        let kept = path.with_extension("segment.damaged");
        let set_aside = Action::SetAside {
            path: path.clone(),
            kept: kept.clone(),
        };
        assert!(report.actions.contains(&set_aside), "{:?}", report.actions);
        let dropped: Vec<_> = report.dropped().collect();
        assert_eq!(dropped.len(), 1);
        assert_eq!(dropped[0].kind, FindingKind::HeaderLost);
        assert_eq!(dropped[0].bytes, fs.read(&kept).unwrap().len() as u64);
        let engine = open(&fs).unwrap();
        assert_eq!(
            without(&pairs(&engine), &exempt),
            without(&expected, &exempt)
        );
    }
}

#[test]
fn a_segment_under_the_number_of_another_is_set_aside() {
    let fs = sample(true);
    let expected = pairs(&open(&fs.fork()).unwrap());
    let path = segments(&fs).remove(0);
    let copy = Path::new(DIR).join("0000009999.segment");
    fs.hard_link(&path, &copy).unwrap();
    assert!(open(&fs.fork()).is_err());
    let report = repair(&fs).unwrap();
    assert!(report.before.findings[0].what.contains("renamed or copied"));
    assert_eq!(pairs(&open(&fs).unwrap()), expected);
}

#[test]
fn a_sealed_segment_that_lost_its_end_is_found_and_its_frames_survive() {
    let fs = sample(true);
    let expected = pairs(&open(&fs.fork()).unwrap());
    for path in segments(&fs).into_iter().filter(|path| *path != tail(&fs)) {
        let fs = fs.fork();
        let bytes = fs.read(&path).unwrap();
        let (footer, _) = frames(&bytes).pop().unwrap();
        fs.truncate(&path, footer);
        let report = repair(&fs).unwrap();
        assert!(
            report
                .before
                .findings
                .iter()
                .any(|f| f.kind == FindingKind::FooterMissing)
        );
        assert_eq!(pairs(&open(&fs).unwrap()), expected);
    }
}

#[test]
fn a_missing_identity_file_is_found_and_written_again() {
    let fs = sample(true);
    let path = Path::new(DIR).join("KEYPROOF");
    let identity = fs.read(&path).unwrap();
    fs.remove(&path).unwrap();
    assert_eq!(verify(&fs).findings[0].kind, FindingKind::Identity);
    repair(&fs).unwrap();
    assert_eq!(fs.read(&path).unwrap(), identity);
}

#[test]
fn a_value_that_was_wrong_when_it_was_written_is_found_and_dropped() {
    let fs = sample(false);
    let dir = Path::new(DIR);
    let path = dir.join("0000000099.segment");
    let header = Header {
        kind: SegmentKind::Log,
        id: 99,
        salt: 5,
    };
    let mut bytes = header.encode().to_vec();
    let record = Record {
        seq: 1_000,
        change: Change::Put {
            key: b"bad",
            value: b"value",
        },
    };
    let mut frame = FrameWriter::new(Vec::new(), kvs::format::FrameKind::Batch);
    frame.push(&record);
    bytes.extend(frame.finish(5, 32, 1_000, 32));
    corrupt_value_check(&mut bytes);
    let expected = pairs(&open(&fs).unwrap());
    let file = fs.create(&path).unwrap();
    file.write_all_at(&bytes, 0).unwrap();
    let report = verify(&fs);
    let finding = report
        .findings
        .iter()
        .find(|f| f.kind == FindingKind::Value)
        .unwrap();
    assert!(finding.what.contains("\"bad\""), "{finding:?}");
    repair(&fs).unwrap();
    let mut left = pairs(&open(&fs).unwrap());
    left.remove(&b"bad"[..]);
    assert_eq!(left, expected);
}

/// Flips a bit of the checksum of the last value and makes the frame's own checksum right again: a CRC of equal
/// lengths changes by the CRC of the difference.
fn corrupt_value_check(segment: &mut [u8]) {
    let last = segment.len() - 1;
    segment[last] ^= 1;
    // Salt and offset come before the covered bytes, 16 bytes in all.
    let covered = 16 + segment.len() - 32 - 4;
    let mut difference = vec![0; covered];
    difference[covered - 1] = 1;
    let change = crc32fast::hash(&difference) ^ crc32fast::hash(&vec![0; covered]);
    let check = u32::from_le_bytes(segment[32..36].try_into().unwrap()) ^ change;
    segment[32..36].copy_from_slice(&check.to_le_bytes());
}

#[test]
fn a_hint_that_lies_under_a_good_checksum_is_found_and_removed() {
    let fs = sample(true);
    let expected = pairs(&open(&fs.fork()).unwrap());
    let path = segments(&fs).remove(0).with_extension("hint");
    fs.tamper(&path, |bytes| {
        // The last byte before the checksum belongs to a key.
        let end = bytes.len() - 4;
        bytes[end - 1] ^= 1;
        let check = crc32fast::hash(&bytes[..end]);
        bytes[end..].copy_from_slice(&check.to_le_bytes());
    });
    let report = repair(&fs).unwrap();
    assert_eq!(report.before.findings[0].kind, FindingKind::HintWrong);
    assert_eq!(report.actions, [Action::HintRemoved { path }]);
    assert_eq!(pairs(&open(&fs).unwrap()), expected);
}

#[test]
fn a_torn_tail_is_no_damage_and_is_cut_where_opening_would_cut_it() {
    let fs = sample(false);
    let path = tail(&fs);
    let len = fs.read(&path).unwrap().len() as u64;
    fs.truncate(&path, len - 3);
    let report = verify(&fs);
    assert!(report.is_sound(), "{:?}", report.findings);
    assert_eq!(report.findings.len(), 1);
    let torn = &report.findings[0];
    let opened = fs.fork();
    let cut = open(&opened).unwrap().recovery().cut.clone().unwrap();
    assert_eq!(
        (torn.offset, torn.bytes, &torn.what),
        (cut.offset, cut.bytes, &cut.what)
    );
    assert_eq!(
        repair(&fs).unwrap().actions,
        [Action::Cut {
            path,
            len: cut.offset
        }]
    );
    assert_eq!(pairs(&open(&fs).unwrap()), pairs(&open(&opened).unwrap()));
}

#[test]
fn a_directory_in_use_and_one_without_data_are_refused() {
    let fs = sample(true);
    let engine = open(&fs).unwrap();
    assert!(matches!(
        kvs::verify(Path::new(DIR), &fs),
        Err(Error::Locked { .. })
    ));
    assert!(matches!(repair(&fs), Err(Error::Locked { .. })));
    drop(engine);
    fs.create_dir_all(Path::new("/empty")).unwrap();
    let error = kvs::verify(Path::new("/empty"), &fs).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("neither a KEYPROOF file nor a segment"),
        "{error}"
    );
    assert_eq!(fs.list(Path::new("/empty")).unwrap(), [] as [PathBuf; 0]);
}

#[test]
fn after_a_repair_of_the_last_segment_no_file_that_a_checkpoint_shares_grows() {
    let fs = sample(true);
    let engine = open(&fs).unwrap();
    // A full segment, so that the checkpoint links one of the log.
    for number in 0..10 {
        let value = "y".repeat(50);
        engine
            .write(Batch::new().put(format!("more{number}"), value))
            .unwrap();
    }
    let backup = Path::new("/backup");
    engine.checkpoint(backup).unwrap();
    engine.close().unwrap();
    let shared: Vec<_> = fs.list(backup).unwrap();
    let before: Vec<_> = shared.iter().map(|path| fs.read(path).unwrap()).collect();
    fs.tamper(&tail(&fs), |bytes| bytes[..40].fill(0));
    let report = repair(&fs).unwrap();
    let roomy = Options {
        segment_bytes: 1 << 16,
        ..options(&fs)
    };
    let engine = LogEngine::open(Path::new(DIR), roomy).unwrap();
    engine.write(Batch::new().put("after", "repair")).unwrap();
    engine.close().unwrap();
    let after: Vec<_> = shared.iter().map(|path| fs.read(path).unwrap()).collect();
    assert!(before == after, "a file of the checkpoint changed");
    assert!(
        report
            .actions
            .iter()
            .any(|a| matches!(a, Action::NewSegment { .. }))
    );
    assert_eq!(open(&fs).unwrap().get(b"after").unwrap().unwrap(), "repair");
}

#[test]
fn a_repair_that_crashes_at_any_operation_can_be_run_again() {
    let sample = sample(true);
    let expected = pairs(&open(&sample.fork()).unwrap());
    let path = segments(&sample).remove(0);
    let bytes = sample.read(&path).unwrap();
    let (start, end) = frames(&bytes)[0];
    sample.flip_bit(&path, start + 40, 1);
    let last = tail(&sample);
    sample.tamper(&last, |bytes| bytes[3] ^= 1);
    sample.tamper(&Path::new(DIR).join("KEYPROOF"), |bytes| bytes[0] ^= 1);
    let exempt = keys_touched(&bytes, |at, _| (start..end).contains(&at));
    let counted = sample.fork();
    repair(&counted).unwrap();
    for number in 1..=counted.operations() {
        for mode in [
            CrashMode::LoseAll,
            CrashMode::KeepAll,
            CrashMode::Random(number),
        ] {
            let fs = sample.fork();
            fs.crash_at(number);
            let _ = repair(&fs);
            let fs = fs.crash(mode);
            repair(&fs).unwrap();
            let left = pairs(&open(&fs).unwrap());
            assert_eq!(
                without(&left, &exempt),
                without(&expected, &exempt),
                "{number} {mode:?}"
            );
        }
    }
}

#[test]
fn a_repair_that_cannot_keep_the_damaged_file_leaves_nothing_half_done_behind() {
    let fs = sample(true);
    let path = segments(&fs).remove(0);
    fs.flip_bit(&path, 70, 3);
    let damaged = fs.read(&path).unwrap();
    // Neither by a link nor by a copy.
    fs.fail_from(1, Fault::Io, |operation| match operation {
        Operation::HardLink { .. } => true,
        Operation::Create { path } => path.extension().is_some_and(|e| e == "tmp"),
        _ => false,
    });
    assert!(repair(&fs).is_err());
    fs.clear_faults();
    let is_new = |path: &PathBuf| path.extension().is_some_and(|e| e == "segment-new");
    assert!(!files(&fs).iter().any(is_new), "{:?}", files(&fs));
    assert!(fs.read(&path).unwrap() == damaged);
    repair(&fs).unwrap();
    assert!(verify(&fs).is_sound());
}

#[test]
fn a_second_repair_keeps_the_damaged_file_of_the_first() {
    let fs = sample(true);
    let path = segments(&fs).remove(0);
    for suffix in ["segment.damaged", "segment.damaged-2"] {
        fs.flip_bit(&path, 40, 2);
        let damaged = fs.read(&path).unwrap();
        repair(&fs).unwrap();
        assert_eq!(fs.read(&path.with_extension(suffix)).unwrap(), damaged);
        open(&fs).unwrap().close().unwrap();
    }
}

#[test]
fn a_hint_from_an_earlier_close_is_written_anew_once_its_segment_is_sealed_again() {
    let fs = FaultFs::new();
    let engine = open(&fs).unwrap();
    engine.write(Batch::new().put("a", "1")).unwrap();
    engine.close().unwrap();
    let engine = open(&fs).unwrap();
    for number in 0..8 {
        let value = "y".repeat(100);
        engine
            .write(Batch::new().put(format!("more{number}"), value))
            .unwrap();
    }
    engine.maintain().unwrap();
    let recovered = open(&fs.fork()).unwrap();
    assert_eq!(
        recovered.recovery().scanned,
        1,
        "all but the last segment have their hint"
    );
    assert!(recovered.recovery().hinted > 0);
}

#[test]
fn segments_of_long_keys_are_read_at_the_next_open_instead_of_having_a_hint() {
    for (key_len, hinted) in [(1024, true), (1025, false)] {
        let fs = FaultFs::new();
        let engine = open(&fs).unwrap();
        for last in 0..5 {
            let key = [&vec![b'k'; key_len - 1][..], &[last]].concat();
            engine.put(&key, b"v").unwrap();
        }
        let before = pairs(&engine);
        engine.close().unwrap();
        let engine = open(&fs).unwrap();
        assert_eq!(engine.recovery().hinted > 0, hinted, "{key_len}");
        assert_eq!(pairs(&engine), before);
    }
}

#[test]
fn a_block_that_the_disk_cannot_read_loses_its_batches_and_no_others() {
    let fs = FaultFs::new();
    let roomy = Options {
        segment_bytes: 1 << 16,
        ..options(&fs)
    };
    let engine = LogEngine::open(Path::new(DIR), roomy).unwrap();
    for number in 0..20 {
        let value = "y".repeat(1000);
        engine
            .write(Batch::new().put(format!("{number:02}"), value))
            .unwrap();
    }
    engine.close().unwrap();
    let path = segments(&fs).pop().unwrap();
    let bytes = fs.read(&path).unwrap();
    let bad = 8192..8192 + 4096;
    let lost = frames(&bytes)
        .into_iter()
        .filter(|(start, end)| *start < bad.end && *end > bad.start)
        .count();
    let damaged = bad.clone();
    let segment = path.clone();
    fs.fail_from(1, Fault::Io, move |operation| {
        matches!(operation, Operation::Read { path, offset, len }
            if *path == segment && *offset < damaged.end && offset + *len as u64 > damaged.start)
    });
    let report = repair(&fs).unwrap();
    let unreadable = &report.before.findings[0];
    assert_eq!(unreadable.kind, FindingKind::Unreadable);
    assert_eq!((unreadable.offset, unreadable.bytes), (bad.start, 4096));
    assert_eq!(report.dropped().count(), 1);
    assert_eq!(report.dropped().next().unwrap().batches, Some(lost as u64));
    // The new file under the old name stands on other blocks.
    fs.clear_faults();
    assert_eq!(pairs(&open(&fs).unwrap()).len(), 20 - lost);
}
