//! Directories written by earlier versions, and the bytes that `docs/format-raft-log.md` shows.
//!
//! `BLESS=1 cargo test -p raft-log --test fixtures` writes the fixtures of the current format anew. Those of older
//! formats are never written again.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use raft::{Configuration, Entry, Payload, SnapshotMeta, Write};
use raft_log::{FORMAT, Health, Options, RaftLog, Recovered};
use storage::file::fault::FaultFs;
use storage::file::{FileSystem, RealFs};
use support::{Model, Op, command, content, dir, entries, id, last_segment, members, vote};

fn options(segment_bytes: u64) -> Options {
    Options {
        segment_bytes,
        entropy: 0x6b65_7970_726f_6f66,
    }
}

fn open(disk: &FaultFs, segment_bytes: u64) -> RaftLog {
    let files = Arc::new(disk.clone());
    RaftLog::open(files, &dir(), options(segment_bytes))
        .unwrap()
        .0
}

/// What the fixtures hold: every kind of record, of entry and of frame.
fn batches() -> Vec<Op> {
    let joint = Configuration {
        outgoing: [1, 2, 3].into(),
        learners: [5].into(),
        incoming_learners: [3].into(),
        ..members([1, 2, 4])
    };
    let mut mixed = vote(2, 3);
    mixed.entries = vec![
        Entry {
            id: id(2, 1),
            payload: Payload::Noop,
        },
        Entry {
            id: id(2, 2),
            payload: Payload::Configuration(joint.clone()),
        },
        command(2, 3, "set x"),
    ];
    let snapshot = |last| Write {
        snapshot: Some(SnapshotMeta {
            id: 77,
            last,
            configuration: joint.clone(),
        }),
        ..Write::default()
    };
    let mut batches = vec![
        Op::Append(vec![
            (1, mixed),
            (2, entries(1, 1..=3)),
            (300, vote(1, 300)),
        ]),
        Op::Append(vec![(3, entries(1, 1..=4)), (4, entries(1, 1..=2))]),
        Op::Append(vec![(3, snapshot(id(6, 40))), (3, entries(6, 41..=42))]),
    ];
    for index in 4..60 {
        batches.push(Op::Append(vec![(1, entries(2, index..=index))]));
        if index % 10 == 0 {
            batches.push(Op::Purge(vec![(1, id(2, index - 1), members([1, 2, 4]))]));
        }
    }
    batches.extend([
        Op::Append(vec![(1, entries(4, 58..=58)), (5, snapshot(id(7, 7)))]),
        Op::Remove(4),
        Op::Restart(2, snapshot(id(9, 9))),
        Op::Append(vec![(2, entries(9, 10..=10))]),
    ]);
    batches
}

fn expected() -> Model {
    let mut model = Model::new();
    for batch in batches() {
        batch.apply(&mut model);
    }
    model
}

fn write_closed() -> FaultFs {
    let disk = FaultFs::new();
    let mut log = open(&disk, 700);
    for batch in batches() {
        batch.run(&mut log).unwrap();
        // Moves the entries of the other groups where the segments hold too much.
        log.reclaim().unwrap();
    }
    log.close().unwrap();
    disk
}

/// The same and one batch, behind the footer, then the first half of another.
fn write_torn() -> FaultFs {
    let disk = write_closed();
    let mut log = open(&disk, 4096);
    log.append(&[(1, entries(4, 59..=59))]).unwrap();
    log.sync().unwrap();
    log.append(&[(1, entries(4, 60..=60))]).unwrap();
    let torn = disk.fork();
    let last = last_segment(&torn);
    let len = torn.read(&last).unwrap().len() as u64;
    torn.truncate(&last, len - 10);
    torn
}

/// The same with a flipped bit in the batch behind the footer.
fn write_damaged() -> FaultFs {
    let disk = write_torn();
    let len = disk.read(&last_segment(&disk)).unwrap().len() as u64;
    drop(open(&disk, 4096));
    let mut log = open(&disk, 4096);
    log.append(&[(2, entries(9, 11..=11))]).unwrap();
    drop(log);
    // The torn half, which was cut, took as much as the one that is still there less ten bytes.
    disk.flip_bit(&last_segment(&disk), len - 60, 0);
    disk
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn bless(disk: &FaultFs, to: &Path) {
    if to.exists() {
        std::fs::remove_dir_all(to).unwrap();
    }
    std::fs::create_dir_all(to).unwrap();
    for path in disk.list(&dir()).unwrap() {
        if !path.ends_with("LOCK") {
            let bytes = disk.read(&path).unwrap();
            std::fs::write(to.join(path.file_name().unwrap()), bytes).unwrap();
        }
    }
}

fn bless_if_asked() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        if std::env::var_os("BLESS").is_some() {
            let current = fixtures().join(format!("format-{FORMAT}"));
            bless(&write_closed(), &current.join("closed"));
            bless(&write_torn(), &current.join("torn"));
            bless(&write_damaged(), &current.join("damaged"));
        }
    });
}

/// Opens a copy of a fixture, since opening writes.
fn recovered(format: u32, name: &str) -> Recovered {
    bless_if_asked();
    let copy = tempfile::tempdir().unwrap();
    let from = fixtures().join(format!("format-{format}/{name}"));
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    let opened = RaftLog::open(Arc::new(RealFs), copy.path(), options(4096));
    opened.unwrap().1
}

#[test]
fn a_log_that_was_closed_reads_the_same_in_every_format() {
    for format in 1..=FORMAT {
        let recovered = recovered(format, "closed");
        assert_eq!(recovered.tail, None, "format {format}");
        assert_eq!(content(&recovered), expected(), "format {format}");
    }
}

#[test]
fn a_torn_tail_is_cut_in_every_format() {
    let mut expected = expected();
    Op::Append(vec![(1, entries(4, 59..=59))]).apply(&mut expected);
    for format in 1..=FORMAT {
        let recovered = recovered(format, "torn");
        assert!(recovered.tail.is_some(), "format {format}");
        assert_eq!(content(&recovered), expected, "format {format}");
    }
}

#[test]
fn damage_is_found_in_every_format() {
    for format in 1..=FORMAT {
        let recovered = recovered(format, "damaged");
        let damaged = recovered.groups.iter();
        let damaged = damaged.filter(|(_, group)| group.health != Health::Intact);
        let damaged: Vec<_> = damaged.map(|(group, _)| *group).collect();
        // Group 2 has a record behind it that says it lost none.
        assert_eq!(damaged, [1, 3, 5, 300], "format {format}");
        assert_eq!(recovered.damage.len(), 1);
    }
}

/// Sixteen bytes a line: offset, hex, text.
fn hex_dump(bytes: &[u8]) -> String {
    let line = |(at, chunk): (usize, &[u8])| {
        let hex: Vec<_> = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
        let text = chunk.iter().map(|&byte| match byte.is_ascii_graphic() {
            true => char::from(byte),
            false => '.',
        });
        let text: String = text.collect();
        format!("{:04x}  {:47}  {text}", at * 16, hex.join(" "))
    };
    let lines: Vec<_> = bytes.chunks(16).enumerate().map(line).collect();
    lines.join("\n")
}

#[test]
fn the_bytes_in_the_page_of_the_format_are_those_that_are_written() {
    let disk = FaultFs::new();
    let mut log = open(&disk, 1 << 20);
    let mut first = vote(2, 3);
    first.entries = vec![command(2, 1, "plum")];
    log.append(&[(1, first), (7, vote(1, 1))]).unwrap();
    log.sync().unwrap();
    log.purge(&[(1, id(2, 1), members([1, 2, 3]))]).unwrap();
    log.close().unwrap();
    let page = include_str!("../../../docs/format-raft-log.md");
    let dump = hex_dump(&disk.read(&dir().join("0000000001.segment")).unwrap());
    assert!(
        page.contains(&dump),
        "docs/format-raft-log.md should show the segment as\n{dump}"
    );
    let identity = disk.read(&dir().join("KEYPROOF")).unwrap();
    assert!(page.contains(String::from_utf8(identity).unwrap().trim_end()));
}
