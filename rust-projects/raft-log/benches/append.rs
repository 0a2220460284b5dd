//! What an append with its sync costs, beside the disk's own price for the same bytes: `cargo bench -p raft-log`.

#![allow(
    missing_docs,
    reason = "criterion's macros make undocumented public functions"
)]
#![allow(clippy::unwrap_used, reason = "a benchmark that fails has no result")]

use std::fs::OpenOptions;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use raft::{Entry, LogId, Payload, Write};
use raft_log::{Options, RaftLog};
use storage::file::{FileSystem, RealFs};

const COMMAND_BYTES: usize = 100;

/// Entry `index` for each of `groups` groups.
fn batch(groups: u64, index: u64) -> Vec<(u64, Write)> {
    let write = || Write {
        entries: vec![Entry {
            id: LogId { term: 1, index },
            payload: Payload::Command(vec![b'x'; COMMAND_BYTES].into()),
        }],
        ..Write::default()
    };
    (1..=groups).map(|group| (group, write())).collect()
}

fn appends(criterion: &mut Criterion) {
    let mut measured = criterion.benchmark_group("append");
    for groups in [1, 16] {
        let dir = tempfile::tempdir().unwrap();
        let files = Arc::new(RealFs);
        let mut log = RaftLog::open(files, dir.path(), Options::default())
            .unwrap()
            .0;
        let mut index = 0;
        measured.bench_function(format!("100 B for {groups} groups, synced"), |bencher| {
            bencher.iter(|| {
                index += 1;
                log.append(&batch(groups, index)).unwrap();
                log.sync().unwrap();
            });
        });
    }
    measured.finish();
}

/// The same number of bytes as the frame of one entry, written into reserved space and synced.
fn floor(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("floor");
    RealFs.create(&path).unwrap().allocate(64 << 20).unwrap();
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    let bytes = [b'x'; COMMAND_BYTES + 40];
    let mut offset = 0;
    criterion.bench_function("write and fdatasync of 140 B", |bencher| {
        bencher.iter(|| {
            file.write_all_at(black_box(&bytes), offset).unwrap();
            file.sync_data().unwrap();
            offset += bytes.len() as u64;
        });
    });
}

criterion_group!(benches, floor, appends);
criterion_main!(benches);
