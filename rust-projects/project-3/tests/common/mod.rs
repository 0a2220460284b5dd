//! A server process for tests, on a port that the system picks.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;

pub(crate) fn server_command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kvs-server-3"));
    command
        .args(arguments)
        .current_dir(directory)
        .env_remove("RUST_LOG");
    command
}

/// A server that must refuse to start.
pub(crate) fn failed_server(directory: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = server_command(directory, arguments)
        .output()
        .expect("kvs-server-3 starts");
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

/// A running server, killed when dropped.
pub(crate) struct ServerProcess {
    child: Child,
    pub(crate) addr: SocketAddr,
    /// The line it logged when it was ready.
    pub(crate) first_line: String,
}

impl ServerProcess {
    pub(crate) fn start(directory: &Path, arguments: &[&str]) -> Self {
        let mut child = server_command(directory, arguments)
            .args(["--addr", "127.0.0.1:0"])
            .stderr(Stdio::piped())
            .spawn()
            .expect("kvs-server-3 starts");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let mut seen = Vec::new();
        let first_line = loop {
            match lines.next() {
                Some(Ok(line)) if line.contains("listening") => break line,
                Some(Ok(line)) => seen.push(line),
                _ => panic!("the server ended before it listened: {seen:?}"),
            }
        };
        // What it logs later must not fill the pipe and stop it.
        thread::spawn(move || lines.for_each(drop));
        let addr = first_line
            .split_whitespace()
            .find_map(|word| word.strip_prefix("addr="))
            .and_then(|addr| addr.parse().ok())
            .unwrap_or_else(|| panic!("no address in {first_line:?}"));
        Self {
            child,
            addr,
            first_line,
        }
    }

    /// Kills it as `kill -9` does and waits until it is gone.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    /// Runs the client program against it.
    pub(crate) fn client(&self, arguments: &[&str]) -> Output {
        client(&[arguments, &["--addr", &self.addr.to_string()]].concat())
    }

    /// Exit code, standard output and standard error of the client program.
    pub(crate) fn said(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let output = self.client(arguments);
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.end();
    }
}

pub(crate) fn client(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kvs-client-3"))
        .args(arguments)
        .output()
        .expect("kvs-client-3 starts")
}
