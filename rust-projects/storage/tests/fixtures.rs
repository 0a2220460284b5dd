//! Directories written by earlier versions, and the bytes that `docs/format-kvs.md` shows.
//!
//! `BLESS=1 cargo test -p storage --test fixtures` writes the fixtures of the current format anew. Those of older
//! formats are never written again.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use storage::file::FileSystem;
use storage::file::fault::FaultFs;
use storage::kvs::format::{FORMAT, Header, SegmentKind};
use storage::kvs::{self, FindingKind, LogEngine, Options};
use storage::{Batch, Direction, Engine, KeyRange, Reader};

const DIR: &str = "/data";

fn options(fs: &FaultFs, segment_bytes: u64) -> Options {
    Options {
        files: Arc::new(fs.clone()),
        entropy: 0x6b65_7970_726f_6f66,
        background: false,
        segment_bytes,
        reserve_bytes: 0,
        ..Options::default()
    }
}

/// What the fixtures hold: a compacted segment, superseded values, deletions of one key and of a range, an empty
/// value, and a batch of several records.
fn write_closed() -> FaultFs {
    let fs = FaultFs::new();
    let engine = LogEngine::open(Path::new(DIR), options(&fs, 500)).unwrap();
    for round in 0..3 {
        for number in 0..6 {
            let mut batch = Batch::new();
            batch.put(
                format!("key{number}"),
                format!("value {number} of round {round}"),
            );
            batch.put(format!("range{number}"), format!("{round}"));
            engine.write(&batch).unwrap();
        }
    }
    engine.maintain().unwrap();
    assert!(engine.stats().compacted_segments > 0);
    let mut batch = Batch::new();
    batch
        .delete("key0")
        .delete_range(KeyRange::half_open("range2", "range5"))
        .put("empty", "");
    engine.write(&batch).unwrap();
    engine
        .write(Batch::new().put(&b"\x00\xff"[..], &b"\xff\x00"[..]))
        .unwrap();
    engine.maintain().unwrap();
    engine.close().unwrap();
    fs
}

/// The same, then two batches, of which power loss left one and a half.
fn write_torn() -> FaultFs {
    let fs = write_closed();
    let engine = LogEngine::open(Path::new(DIR), options(&fs, 4096)).unwrap();
    engine
        .write(Batch::new().put("last", "acknowledged"))
        .unwrap();
    engine
        .write(Batch::new().put("torn", "never acknowledged"))
        .unwrap();
    let torn = fs.fork();
    drop(engine);
    let files = torn.list(Path::new(DIR)).unwrap();
    let is_log = |path: &&PathBuf| {
        let header = Header::decode(&torn.read(path).unwrap());
        header.is_ok_and(|header| header.kind == SegmentKind::Log)
    };
    let last = files.iter().rfind(is_log).unwrap();
    let len = torn.read(last).unwrap().len() as u64;
    torn.truncate(last, len - 10);
    torn
}

fn expected_closed() -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut pairs = BTreeMap::new();
    for number in 1..6 {
        pairs.insert(
            format!("key{number}").into_bytes(),
            format!("value {number} of round 2").into_bytes(),
        );
    }
    for number in [0, 1, 5] {
        pairs.insert(format!("range{number}").into_bytes(), b"2".to_vec());
    }
    pairs.insert(b"empty".to_vec(), Vec::new());
    pairs.insert(b"\x00\xff".to_vec(), b"\xff\x00".to_vec());
    pairs
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn bless(fs: &FaultFs, to: &Path) {
    if to.exists() {
        std::fs::remove_dir_all(to).unwrap();
    }
    std::fs::create_dir_all(to).unwrap();
    for path in fs.list(Path::new(DIR)).unwrap() {
        if !path.ends_with("LOCK") {
            std::fs::write(to.join(path.file_name().unwrap()), fs.read(&path).unwrap()).unwrap();
        }
    }
}

/// A copy of a fixture that a test may open, since opening writes.
fn copy(format: u32, name: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let from = fixtures().join(format!("format-{format}/{name}"));
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, dir.path().join(path.file_name().unwrap())).unwrap();
    }
    dir
}

fn bless_if_asked() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        if std::env::var_os("BLESS").is_some() {
            let current = fixtures().join(format!("format-{FORMAT}"));
            bless(&write_closed(), &current.join("closed"));
            bless(&write_torn(), &current.join("torn"));
        }
    });
}

fn pairs(engine: &LogEngine) -> BTreeMap<Vec<u8>, Vec<u8>> {
    engine
        .scan(&KeyRange::all(), Direction::Forward)
        .map(|entry| {
            entry
                .map(|(key, value)| (key.to_vec(), value.to_vec()))
                .unwrap()
        })
        .collect()
}

fn plain() -> Options {
    Options {
        background: false,
        ..Options::small()
    }
}

#[test]
fn a_directory_that_was_closed_reads_the_same_in_every_format() {
    bless_if_asked();
    for format in 1..=FORMAT {
        let dir = copy(format, "closed");
        let report = kvs::verify(dir.path(), &storage::file::RealFs).unwrap();
        assert_eq!(report.findings, [], "format {format}");
        assert!(
            report
                .segments
                .iter()
                .any(|s| s.kind == Some(SegmentKind::Compacted))
        );
        let engine = LogEngine::open(dir.path(), plain()).unwrap();
        assert_eq!(engine.recovery().scanned, 0, "every segment has its hint");
        assert_eq!(pairs(&engine), expected_closed());
        engine.close().unwrap();
    }
}

#[test]
fn a_directory_is_read_without_its_hints_too() {
    bless_if_asked();
    for format in 1..=FORMAT {
        let dir = copy(format, "closed");
        for entry in std::fs::read_dir(dir.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "hint") {
                std::fs::remove_file(path).unwrap();
            }
        }
        let engine = LogEngine::open(dir.path(), plain()).unwrap();
        assert_eq!(engine.recovery().hinted, 0);
        assert_eq!(pairs(&engine), expected_closed());
    }
}

#[test]
fn a_directory_with_a_torn_tail_opens_up_to_the_last_whole_batch() {
    bless_if_asked();
    for format in 1..=FORMAT {
        let dir = copy(format, "torn");
        let report = kvs::verify(dir.path(), &storage::file::RealFs).unwrap();
        assert!(report.is_sound());
        assert!(
            report
                .findings
                .iter()
                .any(|f| f.kind == FindingKind::TornTail)
        );
        let engine = LogEngine::open(dir.path(), plain()).unwrap();
        assert!(engine.recovery().cut.is_some());
        let mut expected = expected_closed();
        expected.insert(b"last".to_vec(), b"acknowledged".to_vec());
        assert_eq!(pairs(&engine), expected);
        engine.write(Batch::new().put("after", "reopen")).unwrap();
    }
}

/// Sixteen bytes a line: offset, hex, text.
fn hex_dump(bytes: &[u8]) -> String {
    let line = |(at, chunk): (usize, &[u8])| {
        let hex: Vec<_> = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
        let text: String = chunk
            .iter()
            .map(|&byte| {
                if byte.is_ascii_graphic() {
                    char::from(byte)
                } else {
                    '.'
                }
            })
            .collect();
        format!("{:04x}  {:47}  {text}", at * 16, hex.join(" "))
    };
    let lines: Vec<_> = bytes.chunks(16).enumerate().map(line).collect();
    lines.join("\n")
}

#[test]
fn the_bytes_in_the_page_of_the_format_are_those_that_are_written() {
    let fs = FaultFs::new();
    let engine = LogEngine::open(Path::new(DIR), options(&fs, 1 << 20)).unwrap();
    let mut batch = Batch::new();
    batch.put("apple", "red").put("plum", "blue");
    engine.write(&batch).unwrap();
    engine.write(Batch::new().delete("apple")).unwrap();
    engine.close().unwrap();
    let page = include_str!("../../../docs/format-kvs.md");
    let segment = fs.read(&Path::new(DIR).join("0000000001.segment")).unwrap();
    let hint = fs.read(&Path::new(DIR).join("0000000001.hint")).unwrap();
    for (name, bytes) in [("segment", segment), ("hint", hint)] {
        let dump = hex_dump(&bytes);
        assert!(
            page.contains(&dump),
            "docs/format-kvs.md should show the {name} as\n{dump}"
        );
    }
    let identity = fs.read(&Path::new(DIR).join("KEYPROOF")).unwrap();
    assert!(page.contains(String::from_utf8(identity).unwrap().trim_end()));
}
