//! The examples, run as a user would, and README.md, which shows one of them.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use support::{Cluster, wait_for};

const README: &str = include_str!("../../../README.md");
const GREETING: &str = include_str!("../examples/greeting.rs");

/// `cargo test` builds examples beside the programs.
fn example(name: &str) -> PathBuf {
    let programs = Path::new(env!("CARGO_BIN_EXE_compat-node")).parent();
    let path = programs.expect("a program is in a folder").join("examples");
    let path = path.join(name);
    assert!(
        path.exists(),
        "build it first: cargo build --workspace --example {name}"
    );
    path
}

/// What an example prints; `None` if it fails, as before the nodes have a leader.
fn prints(name: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(example(name)).args(arguments).output();
    let output = output.expect("the example is there");
    let said = String::from_utf8(output.stdout).expect("it prints text");
    output.status.success().then_some(said)
}

#[test]
fn the_readme_shows_the_greeting_as_it_is() {
    let (_, code) = GREETING.split_once("\n\n").expect("a line of docs first");
    assert!(README.contains(&format!("```rust\n{code}```\n")));
}

#[test]
fn the_greeting_is_read_through_every_node() {
    let cluster = Cluster::start(3);
    for node in cluster.endpoints() {
        let said = wait_for("a greeting", || prints("greeting", &[&node]));
        assert_eq!(said, "greeting/en hello\ngreeting/fr salut\n");
    }
}

#[test]
fn a_notebook_is_the_same_in_a_directory_and_in_a_cluster() {
    let cluster = Cluster::start(3);
    let dir = tempfile::tempdir().expect("there is room for a directory");
    let there = dir.path().join("notes").display().to_string();
    let address = format!("tikv://{}/notes", cluster.endpoints().join(","));
    for store in [there, address] {
        let notebook = |words: &[&str]| {
            let arguments = [&["--store", &store], words].concat();
            wait_for("a notebook answers", || prints("notebook", &arguments))
        };
        notebook(&["put", "monday", "plant beans"]);
        notebook(&["put", "sunday", "eat"]);
        notebook(&["put", "monday", "water beans"]);
        assert_eq!(notebook(&["get", "monday"]), "water beans\n");
        let all = notebook(&["list"]);
        assert_eq!(all.lines().count(), 2, "{all}");
        assert!(all.contains("monday") && all.contains("water beans"));
        assert!(prints("notebook", &["--store", &store, "get", "tuesday"]).is_none());
    }
}
