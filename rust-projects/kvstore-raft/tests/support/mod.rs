//! Nodes as processes.

#![allow(dead_code, reason = "not every test uses everything")]

mod ports;
mod wait;

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use ports::free_ports;
use wire::{Client, Reply};

/// For whatever has to happen in the end.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// A node that is killed at the end of the test.
pub(crate) struct Node(pub(crate) Child);

impl Drop for Node {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Node {
    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.0.kill().expect("it is a child of this process");
        self.0.wait().expect("it is a child of this process");
    }

    /// SIGTERM.
    pub(crate) fn terminate(&self) {
        let id = i32::try_from(self.0.id()).ok();
        let id = id.and_then(rustix::process::Pid::from_raw);
        let id = id.expect("processes have numbers above 0");
        rustix::process::kill_process(id, rustix::process::Signal::TERM)
            .expect("it is a child of this process");
    }

    /// How it ended, and what it said at last.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        until("the node ends", || {
            self.0.try_wait().expect("it is a child of this process")
        })
    }
}

/// Tries until there is a result.
pub(crate) fn until<T>(what: &str, attempt: impl FnMut() -> Option<T>) -> T {
    wait::within(DEADLINE, what, attempt)
}

/// A directory and ports for nodes numbered from 1.
pub(crate) struct Place {
    dir: tempfile::TempDir,
    ports: Vec<u16>,
    founders: usize,
}

impl Place {
    /// For so many nodes, of which the first are the founders.
    pub(crate) fn new(nodes: usize, founders: usize) -> Self {
        Self {
            dir: tempfile::tempdir().expect("there is room for a directory"),
            ports: free_ports(u16::try_from(2 * nodes).expect("clusters are small")).collect(),
            founders,
        }
    }

    /// Port for clients.
    pub(crate) fn port(&self, id: usize) -> u16 {
        self.ports[2 * id - 2]
    }

    /// Address for other nodes.
    pub(crate) fn peer_addr(&self, id: usize) -> String {
        format!("127.0.0.1:{}", self.ports[2 * id - 1])
    }

    pub(crate) fn data_dir(&self, id: usize) -> PathBuf {
        self.dir.path().join(id.to_string())
    }

    pub(crate) fn token_file(&self, id: usize) -> PathBuf {
        self.data_dir(id).join("TOKEN")
    }

    /// What a node has logged.
    pub(crate) fn log(&self, id: usize) -> PathBuf {
        self.dir.path().join(format!("{id}.log"))
    }

    /// Waits until a node has logged this.
    pub(crate) fn logs(&self, id: usize, text: &str) {
        until(&format!("node {id} logs {text:?}"), || {
            let log = fs::read_to_string(self.log(id)).ok()?;
            log.contains(text).then_some(())
        });
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// With the addresses of number `at`; what it logs is kept.
    fn command(&self, id: usize, at: usize) -> Command {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.log(id));
        let mut command = Command::new(env!("CARGO_BIN_EXE_kvs-node"));
        command
            .arg("run")
            .arg(format!("--id={id}"))
            .arg(format!("--data-dir={}", self.data_dir(id).display()))
            .arg(format!("--addr=127.0.0.1:{}", self.port(at)))
            .arg(format!("--peer-addr={}", self.peer_addr(at)))
            .env_remove("RUST_LOG")
            .stderr(log.expect("the directory can be written"));
        command
    }

    /// Starts a node with these arguments besides.
    pub(crate) fn start_with(&self, id: usize, arguments: &[String]) -> Node {
        let mut command = self.command(id, id);
        let child = command.args(arguments).spawn();
        Node(child.expect("cargo has built the program"))
    }

    /// What a node says that does not run with these arguments, and its exit code.
    pub(crate) fn refusal(&self, id: usize, arguments: &[String]) -> (Option<i32>, String) {
        let mut command = self.command(id, id);
        command.args(arguments);
        ended(command)
    }

    /// Starts a node that belongs to a cluster, on the addresses of number `at`.
    pub(crate) fn start_at(&self, id: usize, at: usize) -> Node {
        let child = self.command(id, at).spawn();
        Node(child.expect("cargo has built the program"))
    }

    /// Starts a founder.
    pub(crate) fn start(&self, id: usize) -> Node {
        self.found_with(id, &[])
    }

    /// Starts a founder with these arguments besides.
    pub(crate) fn found_with(&self, id: usize, arguments: &[String]) -> Node {
        let others = (1..=self.founders).filter(|&peer| peer != id);
        let peers = others.map(|peer| format!("--peer={peer}={}", self.peer_addr(peer)));
        let all: Vec<_> = peers.chain(arguments.iter().cloned()).collect();
        self.start_with(id, &all)
    }

    /// Starts a node that joins.
    pub(crate) fn join(&self, id: usize, by: usize, token_file: &Path) -> Node {
        self.join_with(id, by, token_file, &[])
    }

    /// Starts a node that joins, with these arguments besides.
    pub(crate) fn join_with(
        &self,
        id: usize,
        by: usize,
        token_file: &Path,
        arguments: &[String],
    ) -> Node {
        let joining = [
            format!("--join={}", self.peer_addr(by)),
            format!("--token-file={}", token_file.display()),
        ];
        self.start_with(id, &[&joining, arguments].concat())
    }
}

/// The exit code of a program that ends by itself, and what it said.
pub(crate) fn ended(mut command: Command) -> (Option<i32>, String) {
    let child = command.stderr(Stdio::piped()).spawn();
    let mut node = Node(child.expect("cargo has built the program"));
    let code = node.ended().code();
    let mut said = String::new();
    let stderr = node.0.stderr.as_mut().expect("it is piped");
    stderr.read_to_string(&mut said).expect("stderr is text");
    (code, said)
}

/// Writes a file that only its owner can open.
pub(crate) fn private(path: &Path, text: &str) {
    fs::write(path, text).expect("the directory can be written");
    let owner_only = fs::Permissions::from_mode(0o600);
    fs::set_permissions(path, owner_only).expect("the file is ours");
}

/// Asks until the node answers without an error: it may not listen yet, or know no leader.
pub(crate) fn ask(port: u16, request: &[&str]) -> Reply {
    let arguments: Vec<_> = request.iter().map(|argument| argument.as_bytes()).collect();
    until(&format!("{request:?} is answered"), || {
        let answer = Client::connect(("127.0.0.1", port), Duration::from_secs(10))
            .and_then(|mut client| client.call(&arguments));
        answer
            .ok()
            .filter(|reply| !matches!(reply, Reply::Error(_)))
    })
}

/// Who leads, as a node has it.
pub(crate) fn leader(port: u16) -> usize {
    until("a leader is known", || {
        let Reply::Bulk(info) = ask(port, &["INFO"]) else {
            panic!("INFO is text");
        };
        let info = String::from_utf8_lossy(&info).into_owned();
        let leader = info
            .lines()
            .find_map(|line| line.strip_prefix("raft_leader:"));
        leader.expect("INFO tells the leader").parse().ok()
    })
}
