//! Engine `tikv` of `storage`: the contract suites of what it claims, and what only an engine over a network can meet.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../../storage/tests/contract/core.rs"]
mod core;
#[path = "../../storage/tests/contract/snapshots.rs"]
mod snapshots;
#[path = "../../storage/tests/contract/subject.rs"]
#[allow(dead_code, reason = "this engine has no directory to open anew")]
mod subject;
#[path = "../../storage/tests/contract/suite.rs"]
#[allow(dead_code, reason = "this engine has no directory to open anew")]
mod suite;
mod support;

use std::cell::RefCell;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use storage::tikv::{Address, Options, TikvEngine};
use storage::{
    Batch, Direction, Engine, EngineKind, Error, KeyRange, Op, Reader, Result, Snapshots,
    SyncPolicy,
};
use subject::Subject;
use suite::{all, cases, contract, fresh, get, keys, pairs, put};
use support::{Cluster, DEADLINE, wait_for};

contract!(tikv: Tikv => core, snapshots);

/// A namespace for each directory, in one cluster.
struct Tikv;

impl Subject for Tikv {
    type Engine = TikvEngine;

    const KIND: EngineKind = EngineKind::Tikv;

    fn open(dir: &Path, _policy: SyncPolicy) -> Result<TikvEngine> {
        let name = dir.file_name().unwrap().to_str().unwrap();
        Ok(shared_cluster().engine(name))
    }
}

/// A cluster of one node for all tests that are under way; it ends with the last of them.
fn shared_cluster() -> Arc<Cluster> {
    static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
    thread_local! {
        /// Each test has a thread of its own.
        static HELD: RefCell<Option<Arc<Cluster>>> = const { RefCell::new(None) };
    }
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    let cluster = shared.upgrade().unwrap_or_else(|| {
        let cluster = Arc::new(Cluster::start(1));
        *shared = Arc::downgrade(&cluster);
        cluster
    });
    HELD.set(Some(Arc::clone(&cluster)));
    cluster
}

fn numbered(count: u32) -> Batch {
    let mut batch = Batch::new();
    for number in 0..count {
        batch.put(number.to_be_bytes().to_vec(), "");
    }
    batch
}

fn pair_of(name: &[u8], value: &[u8]) -> Batch {
    let mut batch = Batch::new();
    for side in [&b"left/"[..], b"right/"] {
        batch.put([side, name].concat(), value.to_vec());
    }
    batch
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    wait_for(what, || holds().then_some(()));
}

#[test]
fn namespaces_do_not_see_each_other() {
    let cluster = shared_cluster();
    let names = ["apart", "apart/within", "apart-"];
    let engines = names.map(|name| cluster.engine(name));
    for (engine, name) in engines.iter().zip(names) {
        put(engine, b"", name.as_bytes());
        put(engine, b"\xff\xff", name.as_bytes());
    }
    for (engine, name) in engines.iter().zip(names) {
        assert_eq!(all(engine).len(), 2);
        assert_eq!(get(engine, b"").unwrap(), name.as_bytes());
        let reverse = pairs(engine, &KeyRange::all(), Direction::Reverse);
        assert_eq!(reverse.len(), 2);
    }
    let deletion = Batch::from_iter([Op::DeleteRange {
        range: KeyRange::all(),
    }]);
    engines[0].write(&deletion).unwrap();
    let left = engines.each_ref().map(|engine| all(engine).len());
    assert_eq!(left, [0, 2, 2]);
}

#[test]
fn pages_fit_replies_whatever_the_values_take() {
    let engine = shared_cluster().engine("pages");
    // Small ones first, after which a page would be of thousands.
    let mut expected: Vec<_> = (0..200_u32)
        .map(|number| (number.to_be_bytes().to_vec(), vec![1]))
        .collect();
    let large = (200..212_u32).map(|number| {
        let value = vec![number as u8; 1_000_000];
        (number.to_be_bytes().to_vec(), value)
    });
    expected.extend(large);
    for part in expected.chunks(206) {
        let mut batch = Batch::new();
        for (key, value) in part {
            batch.put(key.clone(), value.clone());
        }
        engine.write(&batch).unwrap();
    }
    assert!(all(&engine) == expected);
    let asked: Vec<_> = expected.iter().map(|(key, _)| &key[..]).collect();
    let found = engine.multi_get(&asked).unwrap();
    for (found, (_, value)) in found.iter().zip(&expected) {
        assert!(found.as_ref().unwrap() == value);
    }
    let size = engine.approximate_size(&KeyRange::all()).unwrap();
    assert_eq!(size, 212 * 4 + 200 + 12_000_000);
    expected.reverse();
    assert!(pairs(&engine, &KeyRange::all(), Direction::Reverse) == expected);
}

#[test]
fn a_batch_of_too_many_keys_is_refused_and_changes_nothing() {
    let engine = shared_cluster().engine("many");
    let too_many = |batch: &Batch| {
        let error = engine.write(batch).unwrap_err();
        assert!(
            matches!(error, Error::TooManyKeys { max: 16_384 }),
            "{error}"
        );
    };
    too_many(&numbered(16_385));
    assert!(all(&engine).is_empty());
    let (low, high) = (KeyRange::half_open("", "a"), KeyRange::half_open("a", "b"));
    for prefix in ["", "a"] {
        let mut batch = Batch::new();
        for number in 0..9000_u32 {
            let key = [prefix.as_bytes(), &number.to_be_bytes()].concat();
            batch.put(key, "");
        }
        engine.write(&batch).unwrap();
    }
    let count = || keys(&engine, &KeyRange::all(), Direction::Forward).len();
    too_many(Batch::new().delete_range(KeyRange::all()).put("c", ""));
    assert_eq!(count(), 18_000);
    engine.write(Batch::new().delete_range(low)).unwrap();
    engine.write(Batch::new().delete_range(high)).unwrap();
    assert_eq!(count(), 0);
}

#[test]
fn of_several_that_put_what_is_absent_one_does_and_the_others_see_it() {
    let cluster = shared_cluster();
    let engines: Vec<_> = (0..4).map(|_| cluster.engine("absent")).collect();
    let first = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for (number, engine) in (0_u8..).zip(&engines) {
            let first = &first;
            scope.spawn(
                move || match engine.put_if_absent(b"owner", &[number]).unwrap() {
                    None => first.lock().unwrap().push(number),
                    Some(found) => assert_eq!(&found, &engine.get(b"owner").unwrap().unwrap()),
                },
            );
        }
    });
    let first = first.into_inner().unwrap();
    assert_eq!(first.len(), 1);
    assert_eq!(get(&engines[0], b"owner").unwrap(), first);
}

#[test]
fn writers_of_one_key_in_several_connections_all_get_through() {
    let cluster = shared_cluster();
    let engines: Vec<_> = (0..3).map(|_| cluster.engine("contended")).collect();
    std::thread::scope(|scope| {
        for (writer, engine) in (0_u8..).zip(&engines) {
            scope.spawn(move || {
                for number in 0..20_u8 {
                    engine.write(&pair_of(b"key", &[writer, number])).unwrap();
                }
            });
        }
    });
    let value = get(&engines[0], b"left/key").unwrap();
    assert_eq!(get(&engines[1], b"right/key").unwrap(), value);
    assert_eq!(value[1], 19, "the last is the last of somebody");
}

#[tokio::test(flavor = "current_thread")]
async fn calls_from_an_async_runtime_work() {
    let engine = shared_cluster().engine("async");
    engine.put(b"k", b"v").unwrap();
    assert_eq!(get(&engine, b"k").unwrap(), b"v");
    let shared = engine.clone();
    let spawned = tokio::spawn(async move { all(&shared).len() });
    assert_eq!(spawned.await.unwrap(), 1);
}

#[test]
fn a_moment_below_the_safe_point_is_refused_in_every_way_of_reading() {
    // One of its own: a safe point is everybody's.
    let cluster = Cluster::start(1);
    let engine = cluster.engine("old");
    let mut batch = Batch::new();
    for number in 0..100_u32 {
        batch.put(number.to_be_bytes().to_vec(), "old");
    }
    engine.write(&batch).unwrap();
    let snapshot = engine.snapshot().unwrap();
    let all = KeyRange::all();
    let mut scan = engine.scan(&all, Direction::Forward);
    scan.next().unwrap().unwrap();
    put(&engine, b"k", b"new");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let client = cluster.transactions().await;
        let now = client.current_timestamp().await.unwrap();
        client.gc(now).await.unwrap();
    });
    let refused = |error: Option<Error>| {
        let error = error.unwrap();
        let is_ours = matches!(
            error,
            Error::Backend {
                engine: EngineKind::Tikv,
                ..
            }
        );
        assert!(
            is_ours && error.to_string().contains("safe point"),
            "{error}"
        );
    };
    refused(snapshot.get(b"k").err());
    refused(snapshot.multi_get(&[b"k"]).err());
    for direction in [Direction::Forward, Direction::Reverse] {
        refused(snapshot.scan(&all, direction).find_map(Result::err));
        refused(snapshot.scan_keys(&all, direction).find_map(Result::err));
    }
    refused(snapshot.approximate_size(&all).err());
    refused(scan.find_map(Result::err));
    assert_eq!(get(&engine, b"k").unwrap(), b"new");
}

#[test]
fn an_address_where_nobody_answers_is_named_quickly() {
    let refusing = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = refusing.local_addr().unwrap().port();
    drop(refusing);
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_port = silent.local_addr().unwrap().port();
    let options = Options {
        connect_patience: Duration::from_millis(300),
        ..Options::default()
    };
    for port in [port, silent_port] {
        let text = format!("tikv://127.0.0.1:{port}/nobody");
        let address: Address = text.parse().unwrap();
        let began = Instant::now();
        let error = TikvEngine::connect_with(&address, &options).unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(5), "{error}");
        assert!(matches!(error, Error::Unreachable { .. }), "{error}");
        let said = error.to_string();
        assert!(
            said.contains(&text) && said.contains("kvs-node dev"),
            "{said}"
        );
    }
}

#[test]
fn what_was_acknowledged_is_there_when_nodes_are_killed_in_mid_writing() {
    let mut cluster = Cluster::start(3);
    let engine = cluster.engine("killed");
    let (over, written) = (AtomicBool::new(false), AtomicU32::new(0));
    let acknowledged = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for writer in 0..3_u8 {
            let (engine, over, written) = (&engine, &over, &written);
            let acknowledged = &acknowledged;
            scope.spawn(move || {
                for number in 0_u32.. {
                    if over.load(Ordering::Relaxed) {
                        return;
                    }
                    let name = [&[writer][..], &number.to_be_bytes()].concat();
                    match engine.write(&pair_of(&name, &name)) {
                        Ok(()) => {
                            acknowledged.lock().unwrap().push(name);
                            written.fetch_add(1, Ordering::Relaxed);
                        }
                        // It says so, and the sides are compared below.
                        Err(Error::Undetermined { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
        for id in [1, 2, 3] {
            let more = || {
                let before = written.load(Ordering::Relaxed);
                let grown = || written.load(Ordering::Relaxed) >= before + 20;
                wait_until("writes go on", grown);
            };
            more();
            cluster.kill(id);
            more();
            cluster.run(id);
            more();
        }
        over.store(true, Ordering::Relaxed);
    });
    for name in acknowledged.into_inner().unwrap() {
        for side in [&b"left/"[..], b"right/"] {
            let found = get(&engine, &[side, &name].concat());
            assert_eq!(found.as_ref(), Some(&name), "acknowledged");
        }
    }
    let sides = ["left/", "right/"].map(|side| {
        let pairs = pairs(
            &engine,
            &KeyRange::prefix(side.as_bytes()),
            Direction::Forward,
        );
        pairs
            .into_iter()
            .map(|(_, value)| value)
            .collect::<Vec<_>>()
    });
    assert!(
        sides[0] == sides[1],
        "every batch is there whole or not at all"
    );
}

#[test]
fn a_cluster_that_dies_in_a_commit_leaves_it_undetermined_and_whole() {
    let mut cluster = Cluster::start(1);
    let options = Options {
        patience: Duration::from_millis(700),
        ..Options::default()
    };
    let began = Instant::now();
    let mut doubtful = Vec::new();
    for round in 0_u8.. {
        assert!(began.elapsed() < DEADLINE, "no commit was hit");
        let engine = cluster.patient_engine("doubtful", &options);
        let (errors, started) = (Mutex::new(Vec::new()), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for writer in 0..8_u8 {
                let (engine, errors, started) = (&engine, &errors, &started);
                scope.spawn(move || {
                    for number in 0_u32.. {
                        let name = [&[round, writer][..], &number.to_be_bytes()].concat();
                        if let Err(error) = engine.write(&pair_of(&name, &name)) {
                            return errors.lock().unwrap().push((name, error));
                        }
                        started.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            wait_until("writes go on", || started.load(Ordering::Relaxed) > 16);
            cluster.kill(1);
        });
        cluster.run(1);
        for (name, error) in errors.into_inner().unwrap() {
            match error {
                Error::Undetermined { ref address, .. } => {
                    assert!(error.to_string().contains(address));
                    doubtful.push(name);
                }
                Error::Unreachable { .. } => {}
                error => panic!("{error}"),
            }
        }
        if !doubtful.is_empty() {
            break;
        }
    }
    let engine = cluster.engine("doubtful");
    for name in doubtful {
        let sides = [&b"left/"[..], b"right/"].map(|side| get(&engine, &[side, &name].concat()));
        assert_eq!(sides[0], sides[1], "whole or not at all");
    }
}
