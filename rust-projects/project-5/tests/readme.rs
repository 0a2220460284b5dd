//! The tour in README.md: every command of its blocks marked `console tour` is run, and its output compared. And the
//! tests that docs/security.md names exist.
//!
//! The programs are those of this build, the directory is empty and the server's port is one that the system picks.

#![allow(clippy::unwrap_used)] // clippy exempts test functions only, not their helpers

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

const README: &str = include_str!("../../../README.md");
const SECURITY: &str = include_str!("../../../docs/security.md");
const SERVER: &str = env!("CARGO_BIN_EXE_kvs-server");

/// The port that the tour names.
const PORT: &str = "4000";

#[derive(Debug)]
struct Step {
    command: &'static str,
    expected: String,
}

/// The commands of the marked blocks, each with what it should print.
fn steps() -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    for line in README.lines() {
        if let Some(marker) = line.strip_prefix("```") {
            inside = marker == "console tour";
        } else if let Some(command) = line.strip_prefix("$ ").filter(|_| inside) {
            steps.push(Step {
                command,
                expected: String::new(),
            });
        } else if inside {
            let step = steps.last_mut().expect("a block begins with a command");
            step.expected.push_str(line);
            step.expected.push('\n');
        }
    }
    steps
}

/// Whether `text` is `pattern`, in which `...` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.trim_end().split("...");
    let first = parts.next().unwrap();
    let Some(mut rest) = text.trim_end().strip_prefix(first) else {
        return false;
    };
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some((_, after)) = rest.split_once(part) else {
            return false;
        };
        rest = after;
    }
    rest.is_empty()
}

/// The server of the tour; killed when dropped.
struct Server {
    child: Child,
    port: String,
}

impl Server {
    /// Starts the server on a free port; what it logged until it listened comes with the port of the tour.
    fn start(flags: &[&str], dir: &Path) -> (Self, String) {
        let mut child = Command::new(SERVER)
            .args(flags)
            .args(["--addr", "127.0.0.1:0"])
            .current_dir(dir)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut printed = String::new();
        while !printed.contains(" listening ") {
            let more = log.read_line(&mut printed).unwrap();
            assert!(more > 0, "the server ended: {printed}");
        }
        // Nobody may block on a full pipe.
        thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        let (_, rest) = printed.split_once("addr=127.0.0.1:").expect("its address");
        let port = rest.split(' ').next().unwrap().to_owned();
        let printed = printed.replace(&format!(":{port} "), &format!(":{PORT} "));
        (Self { child, port }, printed)
    }

    /// `command` with this server in place of the tour's.
    fn fit(&self, command: &str) -> String {
        command
            .replace(
                "kvs-client ",
                &format!("kvs-client --addr 127.0.0.1:{} ", self.port),
            )
            // What redis-cli prints at a terminal.
            .replace(
                &format!("redis-cli -p {PORT}"),
                &format!("redis-cli --no-raw -p {}", self.port),
            )
            .replace("$!", &self.child.id().to_string())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where cargo puts programs.
fn programs() -> &'static Path {
    Path::new(SERVER).parent().expect("a file has a folder")
}

fn skip(why: &str, command: &str) {
    // Past the capture of tests that pass: it must be seen.
    let line = format!("SKIPPED: {why}: {command}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

fn shell(command: &str, dir: &Path) -> String {
    let programs = programs().display();
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("sh")
        .args(["-c", &format!("exec 2>&1\n{command}")])
        .current_dir(dir)
        .env("PATH", format!("{programs}:{path}"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn is_installed(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output();
    found.is_ok_and(|output| output.status.success())
}

#[test]
fn every_command_of_the_tour_prints_what_the_readme_says() {
    let dir = tempfile::tempdir().unwrap();
    let steps = steps();
    assert!(
        steps.len() > 10,
        "the tour was not found in README.md: {steps:?}"
    );
    let has_redis = is_installed("redis-cli");
    let mut server = None;
    for step in steps {
        let words: Vec<_> = step.command.split(' ').collect();
        let printed = match &words[..] {
            ["kvs-server", flags @ .., "&"] => {
                let (started, printed) = Server::start(flags, dir.path());
                server = Some(started);
                printed
            }
            ["redis-cli", ..] if !has_redis => {
                skip("redis-cli is not installed", step.command);
                continue;
            }
            ["kvs-admin", ..] if !programs().join("kvs-admin").exists() => {
                // Of another package: `cargo test --workspace` builds it, `-p project-5` does not.
                skip("kvs-admin is not built", step.command);
                continue;
            }
            ["kill", ..] => {
                let mut ended = server.take().expect("a server to end");
                let printed = shell(&ended.fit(step.command), dir.path());
                ended.child.wait().unwrap();
                printed
            }
            _ => {
                let command = match &server {
                    Some(server) => server.fit(step.command),
                    None => step.command.to_owned(),
                };
                shell(&command, dir.path())
            }
        };
        assert!(
            matches(&step.expected, &printed),
            "$ {}\n{printed}instead of\n{}",
            step.command,
            step.expected
        );
    }
}

#[test]
fn the_two_commands_and_the_tours_programs_are_those_of_the_workspace() {
    for command in [
        "cargo run --release --bin kvs-server",
        "cargo test --workspace",
    ] {
        assert!(README.lines().any(|line| line == command), "{command}");
    }
    let build = README
        .lines()
        .find_map(|line| line.strip_prefix("$ cargo build --release "))
        .expect("the tour says how to build");
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for program in build.split("--bin ").map(str::trim).skip(1) {
        let is_a_crate = crates.join(program).join("Cargo.toml").exists();
        assert!(is_a_crate || programs().join(program).exists(), "{program}");
    }
    assert!(README.contains("export PATH=\"$PWD/target/release:$PATH\""));
}

/// The Rust code of all crates in a directory.
fn code(dir: &Path, into: &mut String) {
    const FOREIGN: [&str; 2] = ["target", "node_modules"];
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().and_then(|name| name.to_str());
        if path.is_dir() && name.is_some_and(|name| !FOREIGN.contains(&name)) {
            code(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn the_tests_that_the_page_on_security_names_exist() {
    let mut all = String::new();
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for crates in ["rust-projects", "zk-projects", "smart-contracts"] {
        code(&workspace.join(crates), &mut all);
    }
    // Code stands between every first and second backtick; a name may be cut short with dots.
    let named = SECURITY.split('`').skip(1).step_by(2);
    let mut count = 0;
    for name in named.filter_map(|code| code.split_once("::").map(|(_, name)| name)) {
        if name == "test" {
            continue;
        }
        let (start, end) = match name.strip_suffix("...") {
            Some(cut) => (cut, ""),
            None => (name, "("),
        };
        let generic = format!("fn {start}<");
        let plain = format!("fn {start}{end}");
        assert!(
            all.contains(&plain) || all.contains(&generic),
            "docs/security.md names the test {name}, which is not there"
        );
        count += 1;
    }
    assert!(count > 20, "only {count} names were found");
}

#[test]
fn a_pattern_stands_for_the_whole_output() {
    assert!(matches("a ... c ...\n", "a b c d\n"));
    assert!(matches("", ""));
    assert!(matches("...b", "a\nb\n"));
    assert!(!matches("a", "a b\n"));
    assert!(!matches("", "noise\n"));
    assert!(!matches("a ... c", "a b d\n"));
}
