//! Three nodes as processes: any of them serves any client, and the death of the leader loses nothing.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use wire::{Client, Reply};

const DEADLINE: Duration = Duration::from_secs(30);

/// A node that is killed at the end of the test.
struct Node(Child);

impl Drop for Node {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Ports that were free a moment ago.
fn free_ports(count: usize) -> Vec<u16> {
    let listeners: Vec<_> = (0..count)
        .map(|_| TcpListener::bind("127.0.0.1:0").expect("loopback has a free port"))
        .collect();
    let ports = listeners
        .iter()
        .map(|listener| listener.local_addr().expect("it is bound").port());
    ports.collect()
}

fn start(dir: &Path, id: usize, ports: &[u16]) -> Node {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kvs-node"));
    command
        .arg("run")
        .arg(format!("--id={id}"))
        .arg(format!("--data-dir={}", dir.join(id.to_string()).display()))
        .arg(format!("--addr=127.0.0.1:{}", ports[id - 1]))
        .arg(format!("--peer-addr=127.0.0.1:{}", ports[id + 2]))
        .stderr(Stdio::null());
    for peer in (1..=3).filter(|&peer| peer != id) {
        command.arg(format!("--peer={peer}=127.0.0.1:{}", ports[peer + 2]));
    }
    Node(command.spawn().expect("cargo has built the program"))
}

/// Asks until the node answers without an error: it may not listen yet, or know no leader.
fn ask(port: u16, request: &[&str]) -> Reply {
    let began = Instant::now();
    let arguments: Vec<_> = request.iter().map(|argument| argument.as_bytes()).collect();
    loop {
        let answer = Client::connect(("127.0.0.1", port), Duration::from_secs(10))
            .and_then(|mut client| client.call(&arguments));
        match answer {
            Ok(Reply::Error(error)) => assert!(began.elapsed() < DEADLINE, "{error}"),
            Ok(reply) => return reply,
            Err(error) => assert!(began.elapsed() < DEADLINE, "{error}"),
        }
        std::thread::yield_now();
    }
}

fn leader(port: u16) -> usize {
    let Reply::Bulk(info) = ask(port, &["INFO"]) else {
        panic!("INFO is text");
    };
    let info = String::from_utf8_lossy(&info).into_owned();
    let leader = info
        .lines()
        .find_map(|line| line.strip_prefix("raft_leader:"));
    let leader = leader.expect("INFO tells the leader");
    leader.parse().expect("a leader is known")
}

#[test]
fn any_node_serves_any_client_and_the_death_of_the_leader_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let ports = free_ports(6);
    let mut nodes: Vec<_> = (1..=3).map(|id| start(dir.path(), id, &ports)).collect();
    assert_eq!(ask(ports[0], &["SET", "greeting", "hello"]), Reply::OK);
    for port in &ports[..3] {
        assert_eq!(ask(*port, &["GET", "greeting"]), Reply::bulk("hello"));
    }
    let dead = leader(ports[0]);
    nodes[dead - 1].0.kill().unwrap();
    nodes[dead - 1].0.wait().unwrap();
    let alive: Vec<_> = (1..=3)
        .filter(|&id| id != dead)
        .map(|id| ports[id - 1])
        .collect();
    assert_eq!(ask(alive[0], &["SET", "after", "it"]), Reply::OK);
    for key in [("greeting", "hello"), ("after", "it")] {
        assert_eq!(ask(alive[1], &["GET", key.0]), Reply::bulk(key.1));
    }
    // What it missed comes to it, and it serves again.
    nodes[dead - 1] = start(dir.path(), dead, &ports);
    assert_eq!(ask(ports[dead - 1], &["GET", "after"]), Reply::bulk("it"));
}
