//! The course's comparison: our engine against sled, 100 writes of random pairs and 1000 reads of them.
//!
//! Neither syncs on its own here; each measurement of writes ends with one sync, so that both have done the same for
//! the disk.

#![allow(missing_docs)]

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use project_3::engine::Store;
use project_3::{KvStore, KvsEngine, SledKvsEngine};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use storage::kvs::{LogEngine, Options};
use storage::{Durability, SledEngine, SyncPolicy};
use tempfile::TempDir;

const PAIRS: usize = 100;
const READS: usize = 1000;
const MAX_BYTES: usize = 100_000;

fn text(random: &mut StdRng) -> String {
    let len = random.random_range(1..=MAX_BYTES);
    (0..len)
        .map(|_| char::from(random.random_range(b'a'..=b'z')))
        .collect()
}

/// The same pairs for every engine and run. Keys are cut to what engines take.
fn pairs() -> Vec<(String, String)> {
    let mut random = StdRng::seed_from_u64(3);
    (0..PAIRS)
        .map(|_| {
            let mut key = text(&mut random);
            key.truncate(60_000);
            (key, text(&mut random))
        })
        .collect()
}

fn kvs(directory: &TempDir) -> KvStore {
    let options = Options::default().with_sync(SyncPolicy::Never);
    Store::new(LogEngine::open(directory.path(), options).expect("opens"))
}

fn sled(directory: &TempDir) -> SledKvsEngine {
    Store::new(SledEngine::open(directory.path(), SyncPolicy::Never).expect("opens"))
}

fn bench_writes<E>(c: &mut Criterion, name: &str, open: impl Fn(&TempDir) -> Store<E>)
where
    E: Durability,
{
    let pairs = pairs();
    c.bench_function(&format!("write/{name}"), |b| {
        b.iter_batched(
            || {
                let directory = tempfile::tempdir().expect("a temporary directory");
                (open(&directory), directory, pairs.clone())
            },
            |(mut store, directory, pairs)| {
                for (key, value) in pairs {
                    store.set(key, value).expect("written");
                }
                store.engine().sync().expect("synced");
                // Returned, so that closing and deleting are not measured.
                (store, directory)
            },
            BatchSize::PerIteration,
        );
    });
}

fn bench_reads<E>(c: &mut Criterion, name: &str, open: impl Fn(&TempDir) -> Store<E>)
where
    E: Durability,
{
    let pairs = pairs();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut store = open(&directory);
    for (key, value) in &pairs {
        store.set(key.clone(), value.clone()).expect("written");
    }
    let mut random = StdRng::seed_from_u64(4);
    c.bench_function(&format!("read/{name}"), |b| {
        b.iter(|| {
            for _ in 0..READS {
                let (key, value) = &pairs[random.random_range(0..PAIRS)];
                let found = store.get(key.clone()).expect("read");
                assert_eq!(found.as_deref().map(str::len), Some(value.len()));
            }
        });
    });
}

fn benches(c: &mut Criterion) {
    bench_writes(c, "kvs", kvs);
    bench_writes(c, "sled", sled);
    bench_reads(c, "kvs", kvs);
    bench_reads(c, "sled", sled);
}

criterion_group! {
    name = engines;
    config = Criterion::default().sample_size(10);
    targets = benches
}
criterion_main!(engines);
