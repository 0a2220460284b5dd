//! What opening costs, bounded: bytes read and memory taken (bug class S7). How long it takes is measured, not tested.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use storage::file::fault::{Fault, FaultFs, Operation};
use storage::kvs::{LogEngine, Options};
use storage::{Batch, Engine, SyncPolicy};

const KEY_BYTES: u64 = 24;
/// Most bytes of memory for a key beyond the key.
const OVERHEAD_BYTES: u64 = 96;

fn key(number: u64) -> Vec<u8> {
    // Scattered, so that the index is filled in no order.
    let scattered = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("{scattered:016x}{number:08}").into_bytes()
}

fn fill(engine: &LogEngine, keys: u64, value: &[u8]) {
    for first in (0..keys).step_by(1000) {
        let mut batch = Batch::new();
        for number in first..keys.min(first + 1000) {
            batch.put(key(number), value.to_vec());
        }
        engine.write(&batch).unwrap();
    }
}

#[test]
fn opening_reads_keys_and_not_values() {
    const KEYS: u64 = 20_000;
    const VALUE: usize = 1000;
    const SEGMENT: u64 = 1 << 20;
    let fs = FaultFs::new();
    let options = |files: &FaultFs| Options {
        files: Arc::new(files.clone()),
        segment_bytes: SEGMENT,
        background: false,
        reserve_bytes: 0,
        ..Options::default().with_sync(SyncPolicy::Never)
    };
    let dir = Path::new("/data");
    let engine = LogEngine::open(dir, options(&fs)).unwrap();
    fill(&engine, KEYS, &[7; VALUE]);
    engine.maintain().unwrap();
    let crashed = fs.fork();
    engine.close().unwrap();
    // Sequence number, place, lengths, and the head of each file.
    let keys = KEYS * (KEY_BYTES + 20) + 40 * 100;
    assert!(keys * 10 < KEYS * VALUE as u64);
    for (disk, most) in [(fs, keys), (crashed, keys + 2 * SEGMENT)] {
        let read = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&read);
        // A rule that fails nothing sees every operation.
        disk.fail_from(1, Fault::Io, move |operation| {
            if let Operation::Read { len, .. } = operation {
                counter.fetch_add(*len as u64, Ordering::Relaxed);
            }
            false
        });
        let engine = LogEngine::open(dir, options(&disk)).unwrap();
        assert_eq!(engine.stats().keys, KEYS);
        let read = read.load(Ordering::Relaxed);
        assert!(
            read > KEYS * KEY_BYTES,
            "{read} bytes are less than the keys"
        );
        assert!(read <= most, "{read} bytes read, at most {most} expected");
    }
}

/// Memory of this process in bytes, where the system tells.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kib: u64 = line.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(kib << 10)
}

const OPEN_THIS: &str = "KEYPROOF_TEST_OPEN_THIS";

/// In a process of its own, whose allocator has nothing left over from other tests.
#[test]
fn an_open_store_takes_at_most_96_bytes_for_a_key_beyond_the_key() {
    const KEYS: u64 = 300_000;
    let options = || Options {
        background: false,
        ..Options::default().with_sync(SyncPolicy::Never)
    };
    if let Some(dir) = std::env::var_os(OPEN_THIS) {
        let before = resident_bytes().unwrap();
        let engine = LogEngine::open(Path::new(&dir), options()).unwrap();
        let taken = resident_bytes().unwrap() - before;
        assert_eq!(engine.stats().keys, KEYS);
        let most = KEYS * (KEY_BYTES + OVERHEAD_BYTES);
        assert!(taken > KEYS * KEY_BYTES, "{taken} bytes cannot be all");
        assert!(taken <= most, "{taken} bytes taken, at most {most} allowed");
        return;
    }
    if resident_bytes().is_none() {
        eprintln!("SKIPPED: this system does not tell how much memory a process has");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let engine = LogEngine::open(dir.path(), options()).unwrap();
    fill(&engine, KEYS, b"value");
    engine.close().unwrap();
    let name = "an_open_store_takes_at_most_96_bytes_for_a_key_beyond_the_key";
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env(OPEN_THIS, dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
}
