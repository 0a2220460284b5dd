//! Who may speak to a node's port for clients, on processes.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

mod support;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use support::{Node, Place, ended, private, until};
use wire::{Client, Reply};

const MISUSE: Option<i32> = Some(2);
const PASSWORD: &str = "s3cret";

/// So many founders that want a password.
fn guarded(count: usize) -> (Place, Vec<Node>) {
    let place = Place::new(count, count);
    let file = place.path().join("password");
    private(&file, &format!("{PASSWORD}\n"));
    let option = [format!("--password-file={}", file.display())];
    let nodes = (1..=count).map(|id| place.found_with(id, &option));
    let nodes = nodes.collect();
    (place, nodes)
}

/// A connection, once the node listens.
fn connect(place: &Place, id: usize) -> Client<std::net::TcpStream> {
    until("the node listens", || {
        Client::connect(("127.0.0.1", place.port(id)), Duration::from_secs(10)).ok()
    })
}

fn call(client: &mut Client<std::net::TcpStream>, request: &[&str]) -> Reply {
    let arguments: Vec<_> = request.iter().map(|argument| argument.as_bytes()).collect();
    client.call(&arguments).unwrap()
}

fn is_error(reply: &Reply, code: &str) -> bool {
    matches!(reply, Reply::Error(text) if text.starts_with(code))
}

#[test]
fn with_a_password_every_node_serves_those_who_give_it_and_nobody_else() {
    let (place, _nodes) = guarded(3);
    for id in 1..=3 {
        let mut client = connect(&place, id);
        for request in [
            &["GET", "a"][..],
            &["SET", "a", "no"],
            &["INFO"],
            &["MULTI"],
        ] {
            let refused = call(&mut client, request);
            assert!(is_error(&refused, "NOAUTH"), "{request:?}: {refused:?}");
        }
        for attempt in [
            &["AUTH", "wrong"][..],
            &["AUTH", "somebody", PASSWORD],
            &["AUTH", ""],
        ] {
            let refused = call(&mut client, attempt);
            assert!(is_error(&refused, "WRONGPASS"), "{attempt:?}: {refused:?}");
        }
        assert!(is_error(&call(&mut client, &["GET", "a"]), "NOAUTH"));
        assert_eq!(call(&mut client, &["AUTH", PASSWORD]), Reply::OK);
        // Two of them forward it to the leader, who asks them for no password.
        until("a leader takes it", || {
            let reply = call(&mut client, &["SET", "a", &id.to_string()]);
            (reply == Reply::OK).then_some(())
        });
        let read = call(&mut client, &["GET", "a"]);
        assert_eq!(read, Reply::bulk(id.to_string()));
    }
}

#[test]
fn before_the_password_was_given_only_small_requests_are_read() {
    let (place, _nodes) = guarded(1);
    let large = "x".repeat(100_000);
    let mut stranger = connect(&place, 1);
    let refused = stranger.call(&[b"SET", b"a", large.as_bytes()]);
    assert!(
        !matches!(&refused, Ok(reply) if !is_error(reply, "ERR Protocol error")),
        "{refused:?}"
    );
    let mut client = connect(&place, 1);
    assert_eq!(call(&mut client, &["AUTH", PASSWORD]), Reply::OK);
    until("the node leads", || {
        let reply = call(&mut client, &["SET", "a", &large]);
        (reply == Reply::OK).then_some(())
    });
    assert_eq!(call(&mut client, &["STRLEN", "a"]), Reply::Integer(100_000));
}

#[test]
fn redis_cli_gives_the_password() {
    let has_redis = Command::new("redis-cli").arg("--version").output();
    if !has_redis.is_ok_and(|output| output.status.success()) {
        // Past the capture of tests that pass: it must be seen.
        let line = b"SKIPPED: redis-cli is not installed: the password from redis-cli\n";
        std::io::stderr().write_all(line).unwrap();
        return;
    }
    let (place, _nodes) = guarded(1);
    let redis = |password: Option<&str>, request: &[&str]| {
        let mut command = Command::new("redis-cli");
        command.args(["-p", &place.port(1).to_string()]);
        command.env_remove("REDISCLI_AUTH");
        if let Some(password) = password {
            command.env("REDISCLI_AUTH", password);
        }
        let output = command.args(request).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    until("redis-cli may write", || {
        (redis(Some(PASSWORD), &["SET", "a", "b"]) == "OK").then_some(())
    });
    assert_eq!(redis(Some(PASSWORD), &["GET", "a"]), "b");
    let refused = redis(None, &["GET", "a"]);
    assert!(refused.starts_with("NOAUTH"), "{refused}");
    let refused = redis(Some("wrong"), &["GET", "a"]);
    assert!(refused.contains("NOAUTH"), "{refused}");
}

#[test]
fn a_password_file_that_others_can_open_or_that_is_not_there_is_refused() {
    let place = Place::new(1, 1);
    let file = place.path().join("password");
    private(&file, "s3cret\n");
    let option = [format!("--password-file={}", file.display())];
    for mode in [0o640, 0o604] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let (code, said) = place.refusal(1, &option);
        assert_eq!(code, MISUSE, "{said}");
        assert!(said.contains("--password-file"), "{said}");
        assert!(said.contains("chmod 600"), "{said}");
        assert!(!said.contains("s3cret"), "{said}");
    }
    fs::remove_file(&file).unwrap();
    let (code, said) = place.refusal(1, &option);
    assert_eq!(code, MISUSE, "{said}");
    assert!(said.contains("cannot read"), "{said}");
    assert!(!place.data_dir(1).exists(), "nothing was begun");
}

#[test]
fn nothing_listens_beyond_the_machine_without_a_password_or_for_nodes() {
    let place = Place::new(1, 1);
    let file = place.path().join("password");
    private(&file, "s3cret\n");
    let with = |addr: &str, peer_addr: &str, guarded: bool| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kvs-node"));
        command.args(["run", "--id=1", "--addr", addr, "--peer-addr", peer_addr]);
        command.arg("--data-dir").arg(place.data_dir(1));
        if guarded {
            command.arg("--password-file").arg(&file);
        }
        ended(command)
    };
    let (local, beyond) = ("127.0.0.1:0", "0.0.0.0:0");
    let (code, said) = with(beyond, local, false);
    assert_eq!(code, MISUSE, "{said}");
    assert!(said.contains("--password-file"), "{said}");
    let (code, said) = with(local, beyond, true);
    assert_eq!(code, MISUSE, "{said}");
    assert!(said.contains("--peer-addr"), "{said}");
}
