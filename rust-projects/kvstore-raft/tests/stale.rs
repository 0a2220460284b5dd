//! READONLY on processes: a node that has lost the majority still shows what it has, to those who asked for that.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

mod support;

use std::net::TcpStream;
use std::time::Duration;

use support::{Place, ask, leader, until};
use wire::{Client, Reply};

fn call(client: &mut Client<TcpStream>, words: &[&str]) -> Reply {
    let words: Vec<_> = words.iter().map(|word| word.as_bytes()).collect();
    client.call(&words).unwrap()
}

#[test]
fn a_node_without_a_majority_answers_stale_reads_and_no_others() {
    let place = Place::new(3, 3);
    let mut nodes: Vec<_> = (1..=3).map(|id| Some(place.start(id))).collect();
    assert_eq!(ask(place.port(1), &["SET", "key", "value"]), Reply::OK);
    let survivor = leader(place.port(1)) % 3 + 1;
    assert_eq!(
        ask(place.port(survivor), &["GET", "key"]),
        Reply::bulk("value")
    );
    let patience = Duration::from_secs(30);
    let mut stale = Client::connect(("127.0.0.1", place.port(survivor)), patience).unwrap();
    assert_eq!(call(&mut stale, &["READONLY"]), Reply::OK);
    for other in (1..=3).filter(|&id| id != survivor) {
        nodes[other - 1].take().unwrap().kill();
    }
    let mut strict = Client::connect(("127.0.0.1", place.port(survivor)), patience).unwrap();
    let is_refused =
        |reply: &Reply| matches!(reply, Reply::Error(text) if text.starts_with("CLUSTERDOWN"));
    until("the node notices that nobody leads", || {
        is_refused(&call(&mut strict, &["GET", "key"])).then_some(())
    });
    assert_eq!(call(&mut stale, &["GET", "key"]), Reply::bulk("value"));
    assert_eq!(call(&mut stale, &["MULTI"]), Reply::OK);
    call(&mut stale, &["GET", "key"]);
    call(&mut stale, &["EXISTS", "other"]);
    assert_eq!(
        call(&mut stale, &["EXEC"]),
        Reply::Array(vec![Reply::bulk("value"), Reply::Integer(0)])
    );
    let written = call(&mut stale, &["SET", "key", "other"]);
    assert!(is_refused(&written), "{written:?}");
    assert_eq!(call(&mut stale, &["READWRITE"]), Reply::OK);
    let read = call(&mut stale, &["GET", "key"]);
    assert!(is_refused(&read), "{read:?}");
}
