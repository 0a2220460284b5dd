//! The course's comparisons: pool against pool, and engine against engine, over 1, 2 and 4 threads.
//!
//! One measurement is 32 connections, opened by four client threads, with 16 requests each. Nothing syncs on its own:
//! under `Always` all of them would measure the disk.

#![allow(missing_docs)]

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use project_4::engine::Store;
use project_4::thread_pool::{NaiveThreadPool, RayonThreadPool, SharedQueueThreadPool};
use project_4::{KvsEngine, Server, ThreadPool};
use storage::kvs::{LogEngine, Options};
use storage::{SledEngine, SyncPolicy};
use tempfile::TempDir;
use wire::Client;

const THREADS: [u32; 3] = [1, 2, 4];
const CLIENT_THREADS: usize = 4;
const CONNECTIONS_EACH: usize = 8;
const REQUESTS_EACH: usize = 16;

/// Runs `measure` with the address of a server.
fn with_server<P: ThreadPool>(
    engine: impl KvsEngine,
    threads: u32,
    measure: impl FnOnce(SocketAddr),
) {
    let pool = P::new(threads).expect("starts");
    let addr = "127.0.0.1:0".parse().expect("an address");
    let server = Server::bind(addr, engine, pool).expect("listens");
    let (addr, stop) = (server.addr(), server.stop_handle());
    let running = thread::spawn(move || server.run());
    measure(addr);
    stop.stop();
    running.join().expect("ends");
}

fn load(addr: SocketAddr, command: &str) {
    thread::scope(|scope| {
        for number in 0..CLIENT_THREADS {
            scope.spawn(move || {
                for connection in 0..CONNECTIONS_EACH {
                    let mut client =
                        Client::connect(addr, Duration::from_secs(30)).expect("connects");
                    for request in 0..REQUESTS_EACH {
                        let key = format!("key {number} {connection} {request}");
                        let args: &[&[u8]] = match command {
                            "set" => &[b"SET", key.as_bytes(), b"value"],
                            _ => &[b"GET", key.as_bytes()],
                        };
                        client.call(args).expect("answers");
                    }
                }
            });
        }
    });
}

fn bench<P: ThreadPool>(c: &mut Criterion, name: &str, engine: &impl KvsEngine) {
    for command in ["set", "get"] {
        let mut group = c.benchmark_group(command);
        for threads in THREADS {
            with_server::<P>(engine.clone(), threads, |addr| {
                group.bench_function(BenchmarkId::new(name, threads), |b| {
                    b.iter(|| load(addr, command));
                });
            });
        }
        group.finish();
    }
}

fn kvs(directory: &TempDir) -> impl KvsEngine {
    let options = Options::default().with_sync(SyncPolicy::Never);
    Store::new(LogEngine::open(directory.path(), options).expect("opens"))
}

fn sled(directory: &TempDir) -> impl KvsEngine {
    Store::new(SledEngine::open(directory.path(), SyncPolicy::Never).expect("opens"))
}

fn benches(c: &mut Criterion) {
    let directory = || tempfile::tempdir().expect("a temporary directory");
    let (first, second) = (directory(), directory());
    let engine = kvs(&first);
    bench::<NaiveThreadPool>(c, "naive/kvs", &engine);
    bench::<SharedQueueThreadPool>(c, "shared-queue/kvs", &engine);
    bench::<RayonThreadPool>(c, "rayon/kvs", &engine);
    bench::<SharedQueueThreadPool>(c, "shared-queue/sled", &sled(&second));
}

criterion_group! {
    name = pools;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = benches
}
criterion_main!(pools);
