//! The command line: what it prints, and how it exits.

use std::process::{Command, Output};

fn kvs(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kvs-1"))
        .args(arguments)
        .output()
        .expect("kvs-1 starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_version_flag_prints_the_version_of_the_package() {
    let output = kvs(&["-V"]);
    assert!(output.status.success());
    assert_eq!(
        stdout(&output).trim(),
        concat!("kvs-1 ", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn misuse_exits_with_2_and_prints_to_stderr_only() {
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
        let output = kvs(misuse);
        assert_eq!(output.status.code(), Some(2), "{misuse:?}");
        assert!(output.stdout.is_empty(), "{misuse:?}");
        assert!(!output.stderr.is_empty(), "{misuse:?}");
    }
}

#[test]
fn set_prints_nothing() {
    let output = kvs(&["set", "key", "value"]);
    assert!(output.status.success());
    assert_eq!(stdout(&output), "");
}

#[test]
fn nothing_outlives_the_process() {
    assert!(kvs(&["set", "key", "value"]).status.success());
    let get = kvs(&["get", "key"]);
    assert!(get.status.success());
    assert_eq!(stdout(&get), "Key not found\n");
    let rm = kvs(&["rm", "key"]);
    assert_eq!(rm.status.code(), Some(1));
    assert_eq!(stdout(&rm), "Key not found\n");
}
