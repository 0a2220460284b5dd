//! `kvs-admin cluster` on nodes that run in this process.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

#[path = "../../kvstore-raft/tests/support/ports.rs"]
mod ports;
mod support;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use kvstore_raft::{Config, RunError};
use ports::free_ports;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use wire::{Client, Reply};

use support::{assert_code, stderr, stdout};

const DEADLINE: Duration = Duration::from_secs(30);

struct Node {
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<(), RunError>>,
}

struct Place {
    dir: TempDir,
    addrs: Vec<SocketAddr>,
    runtime: Runtime,
}

impl Place {
    /// For so many nodes.
    fn new(nodes: usize) -> Self {
        let ports = free_ports(u16::try_from(2 * nodes).unwrap());
        Self {
            dir: tempfile::tempdir().unwrap(),
            addrs: ports.map(|port| ([127, 0, 0, 1], port).into()).collect(),
            runtime: Runtime::new().unwrap(),
        }
    }

    fn peer_addr(&self, id: usize) -> SocketAddr {
        self.addrs[2 * id - 1]
    }

    fn data_dir(&self, id: usize) -> PathBuf {
        self.dir.path().join(id.to_string())
    }

    fn path(&self, name: &str) -> String {
        let path = self.dir.path().join(name);
        path.to_str().expect("temporary paths are UTF-8").to_owned()
    }

    fn start(&self, id: usize, founders: usize) -> Node {
        self.start_in(id, founders, self.data_dir(id))
    }

    fn start_in(&self, id: usize, founders: usize, data_dir: PathBuf) -> Node {
        let peers: BTreeMap<_, _> = (1..=founders)
            .filter(|&peer| peer != id)
            .map(|peer| (peer as u64, self.peer_addr(peer).to_string()))
            .collect();
        let config = Config {
            cluster: "keyproof".to_owned(),
            id: id as u64,
            data_dir,
            addr: self.addrs[2 * id - 2],
            peer_addr: self.peer_addr(id),
            peers,
            join: None,
            metrics_addr: None,
            metrics_for_anybody: false,
            token_file: None,
            api: kvstore_raft::Api::V2,
            access: kvstore_raft::Access::default(),
            election_timeout: Duration::from_millis(150),
            segment_bytes: 1 << 20,
        };
        let (stop, stopped) = oneshot::channel();
        let run = kvstore_raft::run(config, async {
            let _ = stopped.await;
        });
        let ended = self.runtime.spawn(run);
        Node { stop, ended }
    }

    fn stop(&self, node: Node) {
        node.stop.send(()).unwrap();
        self.runtime.block_on(node.ended).unwrap().unwrap();
    }

    /// Runs a verb that speaks to node `id`.
    fn cluster(&self, id: usize, arguments: &[&str]) -> Output {
        let addr = self.peer_addr(id).to_string();
        let token_file = kvstore_raft::token_file(&self.data_dir(id));
        let token_file = token_file.to_str().expect("temporary paths are UTF-8");
        let target = ["--addr", &addr, "--token-file", token_file];
        run(&[arguments, &target].concat())
    }

    fn status(&self, id: usize) -> Value {
        let began = Instant::now();
        loop {
            let output = self.cluster(id, &["status", "--json"]);
            if let Ok(status) = serde_json::from_slice::<Value>(&output.stdout)
                && status["leader"].is_u64()
            {
                return status;
            }
            assert!(began.elapsed() < DEADLINE, "{output:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn ask(&self, id: usize, request: &[&str]) -> Reply {
        let arguments: Vec<_> = request.iter().map(|argument| argument.as_bytes()).collect();
        let began = Instant::now();
        loop {
            let answer = Client::connect(self.addrs[2 * id - 2], Duration::from_secs(10))
                .and_then(|mut client| client.call(&arguments));
            match answer {
                Ok(Reply::Error(error)) => assert!(began.elapsed() < DEADLINE, "{error}"),
                Ok(reply) => return reply,
                Err(error) => assert!(began.elapsed() < DEADLINE, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn run(arguments: &[&str]) -> Output {
    support::run(&[&["cluster"], arguments].concat())
}

#[test]
fn status_and_orders_reach_the_leader_from_any_node_and_errors_say_what_to_do() {
    let place = Place::new(3);
    let nodes: Vec<_> = (1..=3).map(|id| place.start(id, 3)).collect();
    assert_eq!(place.ask(1, &["SET", "a", "1"]), Reply::OK);
    let status = place.status(1);
    assert_eq!(status["members"].as_array().unwrap().len(), 3);
    let leader = status["leader"].as_u64().unwrap() as usize;
    let other = leader % 3 + 1;

    let to = other.to_string();
    let output = place.cluster(other, &["transfer", "--to", &to]);
    assert_code(&output, 0);
    assert_eq!(place.status(leader)["leader"], other);
    let table = stdout(&place.cluster(leader, &["status"]));
    assert!(table.contains(&format!("node {other} leads")), "{table}");

    let output = place.cluster(leader, &["promote", "9"]);
    assert_code(&output, 1);
    assert!(
        stderr(&output).contains("node 9 is no member"),
        "{output:?}"
    );
    let addr = place.peer_addr(1).to_string();
    let output = run(&["status", "--addr", &addr]);
    assert_code(&output, 1);
    assert!(stderr(&output).contains("--token-file"), "{output:?}");
    nodes.into_iter().for_each(|node| place.stop(node));
    let output = place.cluster(1, &["status"]);
    assert_code(&output, 1);
    assert!(stderr(&output).contains("no node answers on"), "{output:?}");
}

#[test]
fn a_place_is_kept_for_a_node_that_was_added_and_taken_away_when_it_is_removed() {
    let place = Place::new(2);
    let node = place.start(1, 1);
    place.status(1);
    let addr = place.peer_addr(2).to_string();
    assert_code(&place.cluster(1, &["add", "2", "--peer-addr", &addr]), 0);
    let member = &place.status(1)["members"][1];
    assert_eq!(
        (&member["node"], &member["votes"]),
        (&2.into(), &false.into())
    );
    assert_eq!(member["reachable"], false);
    let output = place.cluster(1, &["promote", "2"]);
    assert_code(&output, 1);
    assert!(stderr(&output).contains("behind"), "{output:?}");
    assert_code(&place.cluster(1, &["remove", "2"]), 0);
    let output = place.cluster(1, &["add", "2", "--peer-addr", &addr]);
    assert_code(&output, 1);
    assert!(stderr(&output).contains("never used"), "{output:?}");
    place.stop(node);
}

#[test]
fn a_backup_becomes_a_new_cluster_with_all_that_was_acknowledged() {
    let place = Place::new(3);
    let nodes: Vec<_> = (1..=3).map(|id| place.start(id, 3)).collect();
    assert_eq!(place.ask(2, &["SET", "kept", "yes"]), Reply::OK);
    place.status(3);
    let file = place.path("monday.backup");
    assert_code(&place.cluster(3, &["backup", &file]), 0);
    let output = place.cluster(3, &["backup", &file]);
    assert_code(&output, 1);
    assert!(stderr(&output).contains("exists"), "{output:?}");
    assert_eq!(place.ask(2, &["SET", "kept", "no"]), Reply::OK);
    let before = place.status(1)["cluster"].clone();
    nodes.into_iter().for_each(|node| place.stop(node));

    let new = place.path("new");
    let restore = ["restore", &file, "--id", "1", "--data-dir", &new];
    assert_code(&run(&restore), 0);
    assert_code(&run(&restore), 1);
    let node = place.start_in(1, 1, Path::new(&new).to_owned());
    assert_eq!(place.ask(1, &["GET", "kept"]), Reply::bulk("yes"));
    assert_eq!(place.ask(1, &["SET", "new", "too"]), Reply::OK);
    place.stop(node);
    std::fs::remove_dir_all(place.data_dir(1)).unwrap();
    std::fs::rename(&new, place.data_dir(1)).unwrap();
    let node = place.start(1, 1);
    assert_eq!(place.ask(1, &["GET", "new"]), Reply::bulk("too"));
    let after = place.status(1);
    assert_ne!(after["cluster"], before);
    assert_eq!(after["members"].as_array().unwrap().len(), 1);
    place.stop(node);
}

#[test]
fn a_backup_that_is_cut_or_damaged_is_not_restored() {
    let place = Place::new(1);
    let node = place.start(1, 1);
    assert_eq!(place.ask(1, &["SET", "kept", "yes"]), Reply::OK);
    let file = place.path("monday.backup");
    assert_code(&place.cluster(1, &["backup", &file]), 0);
    place.stop(node);
    let whole = std::fs::read(&file).unwrap();
    let text = whole.iter().position(|&byte| byte == b'\n').unwrap();
    let new = place.path("new");
    let restore = ["restore", &file, "--id", "1", "--data-dir", &new];
    let cuts = [0, text, text + 1, text + 20, whole.len() - 1];
    let cut = cuts.map(|cut| whole[..cut].to_vec());
    let flips = [text + 2, text + 20, whole.len() - 40, whole.len() - 1];
    let flipped = flips.map(|at| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    });
    for bytes in cut.into_iter().chain(flipped) {
        std::fs::write(&file, bytes).unwrap();
        let output = run(&restore);
        assert_code(&output, 1);
        assert!(stderr(&output).contains("not a backup"), "{output:?}");
        assert!(!Path::new(&new).exists());
    }
    // What failed is not in the way.
    std::fs::write(&file, whole).unwrap();
    assert_code(&run(&restore), 0);
}

#[test]
fn one_node_goes_on_alone_when_it_is_told_so_and_the_others_are_strangers_to_it() {
    let place = Place::new(3);
    let nodes: Vec<_> = (1..=3).map(|id| place.start(id, 3)).collect();
    assert_eq!(place.ask(1, &["SET", "kept", "yes"]), Reply::OK);
    // So the entry is on every node.
    assert_eq!(place.ask(2, &["GET", "kept"]), Reply::bulk("yes"));
    let before = place.status(1)["cluster"].clone();
    let dir = place.path("2");
    let confirmed = "--acknowledged-writes-may-be-lost";
    let output = run(&["unsafe-recover", "--data-dir", &dir, confirmed]);
    assert_code(&output, 1);
    assert!(stderr(&output).contains("in use"), "{output:?}");
    nodes.into_iter().for_each(|node| place.stop(node));
    assert_code(&run(&["unsafe-recover", "--data-dir", &dir]), 2);
    let output = run(&["unsafe-recover", "--data-dir", &dir, confirmed, "--json"]);
    assert_code(&output, 0);
    let forced: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(forced["members_before"], serde_json::json!([1, 2, 3]));

    let node = place.start(2, 1);
    assert_eq!(place.ask(2, &["GET", "kept"]), Reply::bulk("yes"));
    assert_eq!(place.ask(2, &["SET", "alone", "yes"]), Reply::OK);
    let after = place.status(2);
    assert_ne!(after["cluster"], before);
    assert_eq!(after["members"].as_array().unwrap().len(), 1);
    place.stop(node);
}
