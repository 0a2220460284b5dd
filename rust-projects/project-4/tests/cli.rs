//! The program: flags, log line, and data that outlives a kill.

#![allow(clippy::unwrap_used)] // clippy exempts test functions only, not their helpers

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use wire::{Client, Reply};

fn command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kvs-server-4"));
    command
        .args(arguments)
        .current_dir(directory)
        .env_remove("RUST_LOG");
    command
}

/// A running server, killed when dropped.
struct ServerProcess {
    child: Child,
    addr: SocketAddr,
    first_line: String,
}

impl ServerProcess {
    fn start(directory: &Path, arguments: &[&str]) -> Self {
        let mut child = command(directory, arguments)
            .args(["--addr", "127.0.0.1:0"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let first_line = lines
            .find_map(|line| line.ok().filter(|line| line.contains("listening")))
            .expect("the server listens");
        // What it logs later must not fill the pipe and stop it.
        std::thread::spawn(move || lines.for_each(drop));
        let addr = first_line
            .split_whitespace()
            .find_map(|word| word.strip_prefix("addr=")?.parse().ok())
            .expect("the line says where");
        Self {
            child,
            addr,
            first_line,
        }
    }

    fn call(&self, args: &[&[u8]]) -> Reply {
        let mut client: Client<TcpStream> =
            Client::connect(self.addr, Duration::from_secs(30)).unwrap();
        client.call(args).unwrap()
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn every_pool_and_engine_serves_and_the_data_outlives_a_kill() {
    for engine in ["kvs", "sled"] {
        let directory = tempfile::tempdir().unwrap();
        for pool in ["naive", "shared-queue", "rayon"] {
            let arguments = ["--engine", engine, "--pool", pool, "--threads", "2"];
            let server = ServerProcess::start(directory.path(), &arguments);
            let set = server.call(&[b"SET", pool.as_bytes(), b"was here"]);
            assert_eq!(set, Reply::OK);
        }
        let server = ServerProcess::start(directory.path(), &[]);
        assert!(server.first_line.contains(&format!("engine={engine}")));
        for pool in ["naive", "shared-queue", "rayon"] {
            let value = server.call(&[b"GET", pool.as_bytes()]);
            assert_eq!(value, Reply::bulk("was here"));
        }
    }
}

#[test]
fn misuse_exits_with_2_and_a_wrong_engine_with_1_and_both_name_what_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("KEYPROOF"), "keyproof sled 1\n").unwrap();
    for (arguments, code, named) in [
        (&["--addr", "nonsense"][..], 2, "--addr"),
        (&["--addr", "0.0.0.0:4000"], 2, "loopback"),
        (&["--engine", "nonsense"], 2, "--engine"),
        (&["--pool", "nonsense"], 2, "--pool"),
        (&["--threads", "0"], 2, "--threads"),
        (&["--engine", "kvs"], 1, "--engine sled"),
    ] {
        let output = command(directory.path(), arguments).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert!(stderr.contains(named), "{arguments:?}: {stderr}");
    }
}
