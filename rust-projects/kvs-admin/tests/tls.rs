//! `kvs-admin cluster` on a node that wants certificates.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

#[path = "../../kvstore-raft/tests/support/certificates.rs"]
mod certificates;
#[path = "../../kvstore-raft/tests/support/ports.rs"]
mod ports;
mod support;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use certificates::{Authority, Files};
use kvstore_raft::{Access, Config, RunError, TlsFiles};
use ports::free_ports;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use support::{assert_code, stderr, stdout};

const DEADLINE: Duration = Duration::from_secs(30);

struct Node {
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<(), RunError>>,
}

/// A cluster of one in this process until it is told to stop, and its address for operators.
fn node(runtime: &Runtime, dir: &Path, files: &Files) -> (Node, SocketAddr) {
    let first = free_ports(2).start;
    let [addr, peer_addr] = [first, first + 1].map(|port| ([127, 0, 0, 1], port).into());
    let config = Config {
        cluster: "keyproof".to_owned(),
        id: 1,
        data_dir: dir.join("1"),
        addr,
        peer_addr,
        peers: BTreeMap::new(),
        join: None,
        token_file: None,
        api: kvstore_raft::Api::V2,
        metrics_addr: None,
        metrics_for_anybody: false,
        access: Access {
            tls: TlsFiles {
                tls_cert: Some(files.cert.clone()),
                tls_key: Some(files.key.clone()),
                tls_ca: Some(files.ca.clone()),
            },
            ..Access::default()
        },
        election_timeout: Duration::from_millis(150),
        segment_bytes: 1 << 20,
    };
    let (stop, stopped) = oneshot::channel();
    let run = kvstore_raft::run(config, async {
        let _ = stopped.await;
    });
    let ended = runtime.spawn(run);
    (Node { stop, ended }, peer_addr)
}

#[test]
fn a_node_with_certificates_is_spoken_to_with_one_of_its_ca_only() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = Runtime::new().unwrap();
    let authority = Authority::new("this cluster");
    let (node, addr) = node(&runtime, dir.path(), &authority.issue(dir.path(), "node-1"));
    let token_file = kvstore_raft::token_file(&dir.path().join("1"));
    let status = |options: &[String]| -> Output {
        let addr = addr.to_string();
        let token_file = token_file.to_str().expect("temporary paths are UTF-8");
        let arguments = [
            "cluster",
            "status",
            "--addr",
            &addr,
            "--token-file",
            token_file,
        ];
        let options: Vec<_> = options.iter().map(String::as_str).collect();
        support::run(&[&arguments, &options[..]].concat())
    };
    let operator = authority.issue(dir.path(), "operator");
    let began = Instant::now();
    let known = loop {
        let output = status(&operator.options());
        if output.status.success() {
            break output;
        }
        assert!(began.elapsed() < DEADLINE, "{output:?}");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(stdout(&known).contains("cluster keyproof"), "{known:?}");

    let plain = status(&[]);
    assert_code(&plain, 1);
    assert!(stderr(&plain).contains("--tls-cert"), "{plain:?}");
    let foreign = Authority::new("another").issue(dir.path(), "foreign");
    let distrustful = status(&foreign.options());
    assert_code(&distrustful, 1);
    assert!(
        stderr(&distrustful).contains("its certificate is not taken"),
        "{distrustful:?}"
    );
    let incomplete = status(&operator.options()[..2]);
    assert_code(&incomplete, 2);
    assert!(
        stderr(&incomplete).contains("belong together"),
        "{incomplete:?}"
    );
    node.stop.send(()).unwrap();
    runtime.block_on(node.ended).unwrap().unwrap();
}

#[test]
fn the_token_is_not_sent_to_another_machine_in_the_clear() {
    let output = support::run(&["cluster", "status", "--addr", "node-1.example:2379"]);
    assert_code(&output, 1);
    assert!(stderr(&output).contains("--tls-cert"), "{output:?}");
}
