//! What the server answers on the wire, to good input and to bad.

#![allow(clippy::unwrap_used)] // clippy exempts test functions only, not their helpers

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use project_3::{KvStore, Server};
use wire::{Client, Reply};

const PATIENCE: Duration = Duration::from_secs(30);

/// A server that lives as long as the test process, with a short idle timeout.
fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        let directory = tempfile::tempdir().unwrap();
        let store = KvStore::open(directory.path()).unwrap();
        Server::new(store)
            .with_idle_timeout(Duration::from_millis(200))
            .run(&listener)
    });
    addr
}

fn client(addr: SocketAddr) -> Client<TcpStream> {
    Client::connect(addr, PATIENCE).unwrap()
}

fn error(reply: Reply) -> String {
    match reply {
        Reply::Error(message) => message.into_owned(),
        other => panic!("not an error: {other:?}"),
    }
}

/// Sends `bytes`, says that no more come, and returns everything the server answers until it closes.
fn exchange(addr: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(bytes).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_four_commands_are_answered_as_redis_does() {
    let mut client = client(server());
    let mut call = |args: &[&[u8]]| client.call(args).unwrap();
    assert_eq!(call(&[b"PING"]), Reply::Simple("PONG".into()));
    assert_eq!(call(&[b"ping", b"hello"]), Reply::bulk("hello"));
    assert_eq!(call(&[b"GET", b"k"]), Reply::Null);
    assert_eq!(call(&[b"SET", b"k", b"v"]), Reply::OK);
    assert_eq!(call(&[b"GET", b"k"]), Reply::bulk("v"));
    assert_eq!(call(&[b"DEL", b"k", b"k", b"other"]), Reply::Integer(1));
    assert_eq!(call(&[b"GET", b"k"]), Reply::Null);
}

#[test]
fn a_request_that_is_refused_changes_nothing_and_the_connection_goes_on() {
    let mut client = client(server());
    let mut call = |args: &[&[u8]]| client.call(args).unwrap();
    assert!(error(call(&[b"NONSENSE"])).starts_with("ERR unknown command"));
    assert!(error(call(&[b"GET"])).starts_with("ERR wrong number of arguments"));
    assert!(error(call(&[b"SET", b"k", b"v", b"EX", b"1"])).contains("kvs-server"));
    assert!(error(call(&[b"SET", b"k", b"\xff"])).contains("UTF-8"));
    let too_long = vec![b'k'; 1 << 20];
    assert!(error(call(&[b"SET", &too_long, b"v"])).contains("limit"));
    assert_eq!(call(&[b"GET", b"k"]), Reply::Null);
}

#[test]
fn a_pipeline_is_answered_in_order() {
    let mut client = client(server());
    for i in 0..100 {
        let value = i.to_string();
        client.send(&[b"SET", b"k", value.as_bytes()]).unwrap();
        client.send(&[b"GET", b"k"]).unwrap();
    }
    for i in 0..100 {
        assert_eq!(client.receive().unwrap(), Reply::OK);
        assert_eq!(client.receive().unwrap(), Reply::bulk(i.to_string()));
    }
}

#[test]
fn what_is_no_request_gets_an_error_and_the_next_connection_is_served() {
    let addr = server();
    for bytes in [
        &b"*1\r\n$nonsense\r\n"[..],
        b"*-99999999999999999999\r\n",
        b"*1\r\n$999999999999\r\n",
        b"*99999999\r\n",
    ] {
        let answer = exchange(addr, bytes);
        assert!(answer.starts_with("-ERR"), "{bytes:?} gave {answer:?}");
    }
    // Cut off in the middle: nothing to answer.
    assert_eq!(exchange(addr, b"*2\r\n$3\r\nGET\r\n$5\r\nab"), "");
    assert_eq!(exchange(addr, b"*1\r\n$4\r\nPING\r\n"), "+PONG\r\n");
}

#[test]
fn a_silent_connection_does_not_keep_the_next_one_waiting_for_ever() {
    let addr = server();
    let silent = TcpStream::connect(addr).unwrap();
    let mut half_open = TcpStream::connect(addr).unwrap();
    half_open.write_all(b"*2\r\n$3\r\nGE").unwrap();
    assert_eq!(
        client(addr).call(&[b"PING"]).unwrap(),
        Reply::Simple("PONG".into())
    );
    drop((silent, half_open));
}
