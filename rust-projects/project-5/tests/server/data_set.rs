//! A data set is imported, served, and the server killed under load over and over.
//!
//! The short run is part of the suite. The long one, on any file of pairs that `kvs-client import` reads:
//!
//! ```console
//! $ KEYPROOF_KILLS=100 KEYPROOF_PAIRS=pairs.jsonl cargo test --release -p project-5 --test server data_set -- --nocapture
//! ```

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{CLIENT, Server};

const WRITERS: usize = 8;

/// What one writer did in one round.
struct Round {
    /// Last acknowledged value of each key it wrote.
    acknowledged: HashMap<String, String>,
    /// What it was writing when the server went away.
    in_flight: Option<(String, String)>,
    writes: u64,
}

/// Overwrites the keys of one writer, from `from` on, until the server is gone.
fn write_until_killed(addr: SocketAddr, keys: &[String], from: usize, round: u64) -> Round {
    let mut done = Round {
        acknowledged: HashMap::new(),
        in_flight: None,
        writes: 0,
    };
    let client = redis::Client::open(format!("redis://{addr}/")).unwrap();
    let Ok(mut db) = client.get_connection() else {
        return done;
    };
    for key in keys.iter().cycle().skip(from) {
        let value = format!("round {round}, write {}", done.writes);
        let answer: redis::RedisResult<()> = redis::cmd("SET").arg(key).arg(&value).query(&mut db);
        if answer.is_err() {
            done.in_flight = Some((key.clone(), value));
            break;
        }
        done.acknowledged.insert(key.clone(), value);
        done.writes += 1;
    }
    done
}

fn kvs_client(addr: SocketAddr, verb: &str, file: &Path) {
    let output = Command::new(CLIENT)
        .args([verb, "--addr", &addr.to_string()])
        .arg(file)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn pairs(file: &Path) -> HashMap<String, String> {
    let text = std::fs::read_to_string(file).unwrap();
    let pair = |line: &str| {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |field: &str| value[field].as_str().unwrap().to_owned();
        (text("key"), text("value"))
    };
    text.lines().map(pair).collect()
}

fn small_data_set(dir: &Path) -> PathBuf {
    let file = dir.join("pairs.jsonl");
    let line = |i: u32| {
        format!(
            "{{\"key\":\"city:{i:05}\",\"value\":\"{}\"}}\n",
            "x".repeat(i as usize % 200)
        )
    };
    std::fs::write(&file, (0..5_000).map(line).collect::<String>()).unwrap();
    file
}

#[test]
fn a_data_set_survives_every_kill_of_the_server_under_load() {
    let kills: u64 = std::env::var("KEYPROOF_KILLS").map_or(5, |kills| kills.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let file = std::env::var_os("KEYPROOF_PAIRS")
        .map_or_else(|| small_data_set(dir.path()), PathBuf::from);
    let data = dir.path().join("data");
    let flags = ["--sync", "always"];
    let server = Server::start(&data, &flags);
    let began = Instant::now();
    kvs_client(server.addr, "import", &file);
    let mut expected = pairs(&file);
    let mut keys: Vec<String> = expected.keys().cloned().collect();
    keys.sort();
    eprintln!("imported {} pairs in {:?}", keys.len(), began.elapsed());
    let shares: Vec<Vec<String>> = (0..WRITERS)
        .map(|writer| keys.iter().skip(writer).step_by(WRITERS).cloned().collect())
        .collect();
    let mut server = server;
    let mut writes = 0;
    let mut slowest = Duration::ZERO;
    for round in 0..kills {
        let (addr, from) = (server.addr, (round * 7919) as usize);
        let rounds: Vec<Round> = thread::scope(|scope| {
            let mut writers = Vec::new();
            for keys in &shares {
                writers.push(scope.spawn(move || write_until_killed(addr, keys, from, round)));
            }
            thread::sleep(Duration::from_millis(50 + 17 * (round % 20)));
            server.kill();
            writers
                .into_iter()
                .map(|writer| writer.join().unwrap())
                .collect()
        });
        let began = Instant::now();
        server = Server::start(&data, &flags);
        slowest = slowest.max(began.elapsed());
        let mut db = server.connect();
        for done in rounds {
            writes += done.writes;
            expected.extend(done.acknowledged);
            if let Some((key, value)) = done.in_flight {
                let found: String = redis::cmd("GET").arg(&key).query(&mut db).unwrap();
                assert!(
                    found == value || found == expected[&key],
                    "kill {round}: {key} holds {found:?}, acknowledged was {:?}",
                    expected[&key]
                );
                expected.insert(key, found);
            }
        }
        let exported = dir.path().join("export.jsonl");
        let _ = std::fs::remove_file(&exported);
        kvs_client(server.addr, "export", &exported);
        assert!(
            pairs(&exported) == expected,
            "kill {round}: the export differs from what was acknowledged"
        );
    }
    assert!(
        writes > kills * WRITERS as u64,
        "hardly any load: {writes} writes"
    );
    eprintln!("{kills} kills, {writes} acknowledged writes, slowest restart {slowest:?}");
}
