//! The two programs together: flags, what they print, how they exit, and what is left after a kill.

#![allow(clippy::unwrap_used)] // clippy exempts test functions only, not their helpers

mod common;

use common::{ServerProcess, client, failed_server};
use tempfile::TempDir;

fn directory() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn said(code: i32, stdout: &str, stderr: &str) -> (Option<i32>, String, String) {
    (Some(code), stdout.to_owned(), stderr.to_owned())
}

fn a_session_with(engine: &str) {
    let directory = directory();
    let server = ServerProcess::start(directory.path(), &["--engine", engine]);
    assert_eq!(server.said(&["get", "a"]), said(0, "Key not found\n", ""));
    assert_eq!(server.said(&["set", "a", "1"]), said(0, "", ""));
    assert_eq!(server.said(&["get", "a"]), said(0, "1\n", ""));
    assert_eq!(server.said(&["set", "a", "2"]), said(0, "", ""));
    assert_eq!(server.said(&["set", "b", "3"]), said(0, "", ""));
    server.kill();

    // Without a flag: the engine whose data is there.
    let server = ServerProcess::start(directory.path(), &[]);
    assert!(server.first_line.contains(&format!("engine={engine}")));
    assert_eq!(server.said(&["get", "a"]), said(0, "2\n", ""));
    assert_eq!(server.said(&["rm", "a"]), said(0, "", ""));
    assert_eq!(server.said(&["rm", "a"]), said(1, "", "Key not found\n"));
    assert_eq!(server.said(&["get", "a"]), said(0, "Key not found\n", ""));
    assert_eq!(server.said(&["get", "b"]), said(0, "3\n", ""));
}

#[test]
fn a_session_with_kvs_goes_on_after_a_kill() {
    a_session_with("kvs");
}

#[test]
fn a_session_with_sled_goes_on_after_a_kill() {
    a_session_with("sled");
}

#[test]
fn the_server_logs_version_address_and_engine_to_standard_error() {
    let directory = directory();
    let server = ServerProcess::start(directory.path(), &[]);
    let line = &server.first_line;
    assert!(line.contains(env!("CARGO_PKG_VERSION")), "{line}");
    assert!(line.contains(&server.addr.to_string()), "{line}");
    assert!(line.contains("engine=kvs"), "{line}");
}

#[test]
fn the_server_refuses_data_of_another_engine_by_name() {
    let directory = directory();
    ServerProcess::start(directory.path(), &["--engine", "sled"]).kill();
    let (code, stderr) = failed_server(directory.path(), &["--engine", "kvs"]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("--engine sled"), "{stderr}");
}

#[test]
fn a_second_server_on_the_same_directory_or_address_is_refused() {
    let (first, second) = (directory(), directory());
    let server = ServerProcess::start(first.path(), &[]);
    let (code, stderr) = failed_server(first.path(), &["--addr", "127.0.0.1:0"]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("in use"), "{stderr}");

    let addr = server.addr.to_string();
    let (code, stderr) = failed_server(second.path(), &["--addr", &addr]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains(&addr), "{stderr}");
}

#[test]
fn misuse_of_the_server_exits_with_2_and_names_what_is_wrong() {
    let directory = directory();
    for (arguments, named) in [
        (&["--addr", "nonsense"][..], "--addr"),
        (&["--addr", "0.0.0.0:4000"], "loopback"),
        (&["--engine", "nonsense"], "--engine"),
        (&["extra"], "extra"),
    ] {
        let (code, stderr) = failed_server(directory.path(), arguments);
        assert_eq!(code, Some(2), "{arguments:?}");
        assert!(stderr.contains(named), "{arguments:?}: {stderr}");
    }
}

#[test]
fn misuse_of_the_client_exits_with_2_and_prints_to_standard_error_only() {
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
        &["get", "key", "--addr", "nonsense"],
        &["get", "key", "--unknown"],
    ];
    for misuse in misuses {
        let output = client(misuse);
        assert_eq!(output.status.code(), Some(2), "{misuse:?}");
        assert!(output.stdout.is_empty(), "{misuse:?}");
        assert!(!output.stderr.is_empty(), "{misuse:?}");
    }
}

#[test]
fn the_client_says_where_nobody_listens() {
    // A port that was free a moment ago.
    let addr = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let output = client(&["get", "key", "--addr", &addr]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains(&addr));
}

#[test]
fn both_programs_print_their_version() {
    let version = env!("CARGO_PKG_VERSION");
    let output = client(&["-V"]);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        format!("kvs-client-3 {version}\n")
    );
    let output = common::server_command(directory().path(), &["-V"])
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        format!("kvs-server-3 {version}\n")
    );
}
