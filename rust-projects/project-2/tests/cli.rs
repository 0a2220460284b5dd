//! The command line: what it prints, how it exits, and that the next run finds what this one wrote.

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

fn kvs(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kvs-2"))
        .args(arguments)
        .current_dir(directory)
        .output()
        .expect("kvs-2 starts")
}

/// Exit code and standard output.
fn outcome(directory: &TempDir, arguments: &[&str]) -> (Option<i32>, String) {
    let output = kvs(directory.path(), arguments);
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), stdout)
}

fn directory() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn said(code: i32, stdout: &str) -> (Option<i32>, String) {
    (Some(code), stdout.to_owned())
}

#[test]
fn what_one_run_sets_the_next_one_gets() {
    let directory = directory();
    assert_eq!(outcome(&directory, &["set", "a", "1"]), said(0, ""));
    assert_eq!(outcome(&directory, &["get", "a"]), said(0, "1\n"));
    assert_eq!(outcome(&directory, &["set", "a", "2"]), said(0, ""));
    assert_eq!(outcome(&directory, &["get", "a"]), said(0, "2\n"));
}

#[test]
fn getting_an_absent_key_prints_so_and_succeeds() {
    let directory = directory();
    let absent = said(0, "Key not found\n");
    assert_eq!(outcome(&directory, &["get", "a"]), absent);
}

#[test]
fn removing_an_absent_key_prints_so_and_fails() {
    let directory = directory();
    let absent = said(1, "Key not found\n");
    assert_eq!(outcome(&directory, &["rm", "a"]), absent);
    assert_eq!(outcome(&directory, &["set", "a", "1"]), said(0, ""));
    assert_eq!(outcome(&directory, &["rm", "a"]), said(0, ""));
    assert_eq!(outcome(&directory, &["rm", "a"]), absent);
    assert_eq!(outcome(&directory, &["get", "a"]).1, "Key not found\n");
}

#[test]
fn misuse_exits_with_2_and_creates_nothing() {
    let directory = directory();
    let misuses: &[&[&str]] = &[
        &[],
        &["set"],
        &["set", "key"],
        &["set", "key", "value", "extra"],
        &["get"],
        &["get", "key", "extra"],
        &["rm"],
        &["rm", "key", "extra"],
        &["unknown", "key"],
    ];
    for misuse in misuses {
        assert_eq!(outcome(&directory, misuse), said(2, ""), "{misuse:?}");
    }
    let mut left = directory.path().read_dir().expect("readable");
    assert!(left.next().is_none());
}

#[test]
fn the_version_flag_prints_the_version_of_the_package() {
    let version = concat!("kvs-2 ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(outcome(&directory(), &["-V"]), said(0, version));
}

#[test]
fn a_directory_of_another_engine_is_refused_by_name() {
    let directory = directory();
    std::fs::write(directory.path().join("KEYPROOF"), "keyproof sled 1\n").expect("writable");
    let output = kvs(directory.path(), &["get", "a"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).contains("sled"));
}
