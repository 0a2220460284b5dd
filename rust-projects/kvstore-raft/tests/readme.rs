//! The tour of three nodes in README.md: its commands are run by one shell, and what they print is compared.
//!
//! The programs are those of this build, the directory is empty and the ports are free ones.

#![allow(clippy::unwrap_used)] // clippy exempts test functions only, not their helpers

#[path = "support/ports.rs"]
mod ports;

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ports::free_ports;

const README: &str = include_str!("../../../README.md");
const NODE: &str = env!("CARGO_BIN_EXE_kvs-node");

/// Before the output of each command.
const MARK: &str = "@@ next";

/// The whole tour takes a few seconds.
const DEADLINE: Duration = Duration::from_secs(60);

/// The commands of the marked blocks, each with what it should print.
fn steps() -> Vec<(&'static str, String)> {
    let mut steps: Vec<(&str, String)> = Vec::new();
    let mut inside = false;
    for line in README.lines() {
        if let Some(marker) = line.strip_prefix("```") {
            inside = marker == "console tour of three nodes";
        } else if let Some(command) = line.strip_prefix("$ ").filter(|_| inside) {
            steps.push((command, String::new()));
        } else if inside {
            let (_, expected) = steps.last_mut().expect("a block begins with a command");
            expected.push_str(line);
            expected.push('\n');
        }
    }
    steps
}

/// Whether `text` is `pattern`, line by line; `...` stands for anything within a line.
fn matches(pattern: &str, text: &str) -> bool {
    let line_matches = |(pattern, line): (&str, &str)| {
        let mut parts = pattern.split("...");
        let mut rest = line.strip_prefix(parts.next().unwrap_or_default());
        for part in parts {
            rest = rest.and_then(|rest| Some(&rest[rest.find(part)? + part.len()..]));
        }
        rest.is_some_and(|rest| rest.is_empty() || pattern.ends_with("..."))
    };
    let (pattern, text) = (pattern.trim_end(), text.trim_end());
    pattern.lines().count() == text.lines().count()
        && pattern.lines().zip(text.lines()).all(line_matches)
}

/// The shell, and whatever it started; killed when dropped.
struct Shell(Child);

impl Drop for Shell {
    fn drop(&mut self) {
        let group = i32::try_from(self.0.id()).ok();
        if let Some(group) = group.and_then(rustix::process::Pid::from_raw) {
            // Nobody may be left in it.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.0.wait();
    }
}

/// What each command printed, one after the other.
fn run(script: &str, dir: &Path) -> Vec<String> {
    let programs = Path::new(NODE).parent().unwrap().display();
    let path = std::env::var("PATH").unwrap_or_default();
    let output = dir.join("output.txt");
    let mut shell = Shell(
        Command::new("sh")
            .args(["-c", script])
            .current_dir(dir)
            .env("PATH", format!("{programs}:{path}"))
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(&output).unwrap())
            // What nodes log is not part of the tour.
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap(),
    );
    let began = Instant::now();
    while shell.0.try_wait().unwrap().is_none() {
        let printed = std::fs::read_to_string(&output).unwrap();
        assert!(
            began.elapsed() < DEADLINE,
            "the tour does not end: {printed}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    let printed = std::fs::read_to_string(&output).unwrap();
    printed.split(MARK).skip(1).map(str::to_owned).collect()
}

#[test]
fn the_tour_of_three_nodes_prints_what_the_readme_says() {
    let steps = steps();
    assert!(
        steps.len() > 8,
        "the tour was not found in README.md: {steps:?}"
    );
    let has_redis = Command::new("redis-cli").arg("--version").output();
    if !has_redis.is_ok_and(|output| output.status.success()) {
        // Past the capture of tests that pass: it must be seen.
        let line = b"SKIPPED: redis-cli is not installed: the README's tour of three nodes\n";
        std::io::stderr().write_all(line).unwrap();
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let [port, peer_port] = [3, 3].map(|nodes| free_ports(nodes).start);
    let mut script = String::new();
    for (command, _) in &steps {
        let mut command = command
            .replace(
                "kvs-node dev",
                &format!("kvs-node dev --port {port} --peer-port {peer_port}"),
            )
            // What redis-cli prints at a terminal.
            .replace("redis-cli", "redis-cli --no-raw");
        for offset in 0..3 {
            command = command.replace(&format!("{}", 4000 + offset), &format!("{}", port + offset));
        }
        script.push_str(&format!("echo '{MARK}'\n{command}\n"));
    }
    let printed = run(&script, dir.path());
    for (position, (command, expected)) in steps.iter().enumerate() {
        let printed = printed
            .get(position)
            .map_or("", String::as_str)
            .trim_start_matches('\n');
        let printed = (0..3).fold(printed.to_owned(), |text, offset| {
            text.replace(
                &format!("-p {}", port + offset),
                &format!("-p {}", 4000 + offset),
            )
            .replace(
                &format!("127.0.0.1:{}", peer_port + offset),
                &format!("127.0.0.1:{}", 2379 + offset),
            )
        });
        assert!(
            matches(expected, &printed),
            "$ {command}\n{printed}instead of\n{expected}"
        );
    }
}

#[test]
fn a_pattern_stands_for_whole_lines() {
    assert!(matches("a (...) b\n", "a (x y) b\n"));
    assert!(matches("", ""));
    assert!(matches("a...\nb", "a x\nb\n"));
    assert!(!matches("a", "a b"));
    assert!(!matches("a", "a\nb"));
    assert!(!matches("a ... c", "a b d"));
}
