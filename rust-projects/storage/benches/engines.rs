//! The course's comparison: kvs against sled, 100 writes of random pairs of 1 to 100,000 bytes, and 1000 reads of them.
//!
//! `cargo bench -p storage`. Writes are made durable once, at the end. For the full comparison, with more engines and
//! with figures to keep, see `cargo run --release -p xtask -- bench`.

#![allow(
    missing_docs,
    reason = "criterion's macros make undocumented public functions"
)]
#![allow(clippy::unwrap_used, reason = "a benchmark that fails has no result")]

use std::time::Duration;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use rand::rngs::SmallRng;
use rand::{Rng, RngCore, SeedableRng};
use storage::kvs::{LogEngine, Options};
use storage::{Batch, Durability, Engine, Limits, Reader, SyncPolicy};
use tempfile::TempDir;

const PAIRS: usize = 100;
const READS: usize = 1000;
const LONGEST: usize = 100_000;

type Pair = (Bytes, Bytes);

/// The same pairs in every run: figures of two runs can be compared.
fn pairs() -> Vec<Pair> {
    let mut rng = SmallRng::seed_from_u64(1);
    let mut bytes = || {
        let mut bytes = vec![0; rng.random_range(1..=LONGEST)];
        rng.fill_bytes(&mut bytes);
        Bytes::from(bytes)
    };
    (0..PAIRS).map(|_| (bytes(), bytes())).collect()
}

fn reads() -> Vec<usize> {
    let mut rng = SmallRng::seed_from_u64(2);
    (0..READS).map(|_| rng.random_range(0..PAIRS)).collect()
}

fn open_kvs(dir: &TempDir) -> LogEngine {
    let options = Options {
        limits: Limits {
            key_bytes: LONGEST,
            ..Limits::default()
        },
        ..Options::default().with_sync(SyncPolicy::Never)
    };
    LogEngine::open(dir.path(), options).unwrap()
}

fn open_sled(dir: &TempDir) -> sled::Db {
    let config = sled::Config::new().path(dir.path()).flush_every_ms(None);
    config.open().unwrap()
}

fn fill_kvs(engine: &LogEngine, pairs: &[Pair]) {
    for (key, value) in pairs {
        let mut batch = Batch::new();
        batch.put(key.clone(), value.clone());
        engine.write(&batch).unwrap();
    }
    engine.sync().unwrap();
}

fn fill_sled(engine: &sled::Db, pairs: &[Pair]) {
    for (key, value) in pairs {
        engine.insert(key, &value[..]).unwrap();
    }
    engine.flush().unwrap();
}

/// A new directory and what `open` makes of it. The engine comes first: it must go before its directory.
fn fresh<T>(open: fn(&TempDir) -> T) -> (T, TempDir) {
    // Below the build folder: the disk, where the system may keep its temporary files in memory.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    (open(&dir), dir)
}

fn writes(criterion: &mut Criterion) {
    let pairs = pairs();
    let mut group = criterion.benchmark_group("write 100 pairs and sync");
    group.bench_function("kvs", |bencher| {
        let write = |store: (LogEngine, TempDir)| {
            fill_kvs(&store.0, &pairs);
            store
        };
        bencher.iter_batched(|| fresh(open_kvs), write, BatchSize::PerIteration);
    });
    group.bench_function("sled", |bencher| {
        let write = |store: (sled::Db, TempDir)| {
            fill_sled(&store.0, &pairs);
            store
        };
        bencher.iter_batched(|| fresh(open_sled), write, BatchSize::PerIteration);
    });
    group.finish();
}

fn read(criterion: &mut Criterion) {
    let (pairs, order) = (pairs(), reads());
    let mut group = criterion.benchmark_group("read 1000 times at random");
    let (kvs, _kvs_dir) = fresh(open_kvs);
    fill_kvs(&kvs, &pairs);
    group.bench_function("kvs", |bencher| {
        bencher.iter(|| {
            for &index in &order {
                let (key, value) = &pairs[index];
                assert_eq!(kvs.get(key).unwrap().as_ref(), Some(value));
            }
        });
    });
    let (sled, _sled_dir) = fresh(open_sled);
    fill_sled(&sled, &pairs);
    group.bench_function("sled", |bencher| {
        bencher.iter(|| {
            for &index in &order {
                let (key, value) = &pairs[index];
                let read = sled.get(key).unwrap();
                assert_eq!(read.as_deref(), Some(&value[..]));
            }
        });
    });
    group.finish();
}

criterion_group! {
    name = engines;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(5));
    targets = writes, read
}
criterion_main!(engines);
