//! What a session keeps in memory, and what it does when reading fails.

#![allow(clippy::unwrap_used)] // clippy exempts test functions only, not their helpers

mod support;

use bytes::Bytes;
use commands::{Context, Decision, Env, Result, Route, ScanCursors, Session, WatchTable};
use storage::{Batch, Direction, Entries, KeyRange, Limits, Reader};
use support::MapReader;
use support::script::TestHost;
use wire::Reply;

/// A reader whose disk has gone.
struct Broken;

impl Reader for Broken {
    fn get(&self, _: &[u8]) -> storage::Result<Option<Bytes>> {
        Err(error())
    }

    fn multi_get(&self, _: &[&[u8]]) -> storage::Result<Vec<Option<Bytes>>> {
        Err(error())
    }

    fn scan(&self, _: &KeyRange, _: Direction) -> Entries<'_> {
        Box::new(std::iter::once(Err(error())))
    }

    fn approximate_size(&self, _: &KeyRange) -> storage::Result<u64> {
        Err(error())
    }
}

fn error() -> storage::Error {
    storage::Error::KeyTooLarge { len: 2, max: 1 }
}

fn handle(
    session: &mut Session,
    reader: &dyn Reader,
    batch: &mut Batch,
    args: &[Bytes],
) -> Result<Reply> {
    let mut env = Env {
        context: Context {
            reader,
            now_ms: 0,
            limits: Limits::default(),
            max_reply_bytes: usize::MAX,
            cursors: &ScanCursors::default(),
        },
        batch,
        watches: &mut WatchTable::new(),
        host: &TestHost::default(),
    };
    Ok(session.handle(args, &mut env)?.into_reply())
}

fn words(line: &str) -> Vec<Bytes> {
    line.split(' ')
        .map(|word| Bytes::copy_from_slice(word.as_bytes()))
        .collect()
}

#[test]
fn what_a_session_keeps_does_not_hold_on_to_the_read_buffer() {
    let mut session = Session::new(1);
    let data = MapReader::default();
    for line in ["CLIENT SETNAME me", "WATCH key", "MULTI", "SET key value"] {
        let buffer = Bytes::from(vec![b'x'; 64 << 10]);
        let buffer = Bytes::from([line.as_bytes(), &buffer].concat());
        let mut at = 0;
        let args: Vec<Bytes> = line
            .split(' ')
            .map(|word| {
                at += word.len() + 1;
                buffer.slice(at - word.len() - 1..at - 1)
            })
            .collect();
        handle(&mut session, &data, &mut Batch::new(), &args).unwrap();
        drop(args);
        assert!(buffer.is_unique(), "after {line}");
    }
}

#[test]
fn what_a_connection_watches_is_bounded_in_memory() {
    let data = MapReader::default();
    let watch = |session: &mut Session, keys: &[Bytes]| {
        let args = [&[Bytes::from_static(b"WATCH")], keys].concat();
        handle(session, &data, &mut Batch::new(), &args).unwrap()
    };
    let is_refused = |reply: &Reply| matches!(reply, Reply::Error(message) if message.starts_with("ERR the watched keys take"));
    let mut session = Session::new(1);
    // One long key, whether or not the engine would take it ...
    let endless = Bytes::from(vec![b'x'; 9 << 20]);
    assert!(is_refused(&watch(&mut session, &[endless])));
    // ... and many.
    let key = |n: usize| Bytes::from(format!("{n:060000}"));
    let accepted = (0..1000).take_while(|&n| watch(&mut session, &[key(n)]) == Reply::OK);
    assert_eq!(accepted.count(), (8 << 20) / 60_128);
    let short: Vec<Bytes> = (0..70_000).map(|n| Bytes::from(n.to_string())).collect();
    let mut session = Session::new(2);
    assert!(is_refused(&watch(&mut session, &short)));
    // What is no longer watched makes room.
    assert_eq!(watch(&mut session, &short[..50_000]), Reply::OK);
    assert!(is_refused(&watch(&mut session, &short[50_000..])));
    handle(&mut session, &data, &mut Batch::new(), &words("UNWATCH")).unwrap();
    assert_eq!(watch(&mut session, &short[50_000..]), Reply::OK);
}

#[test]
fn when_reading_fails_nothing_is_written_and_the_transaction_is_over() {
    let mut session = Session::new(1);
    let mut batch = Batch::new();
    for line in [
        "GET a",
        "INCR a",
        "DEL a",
        "SET a 1 NX",
        "MSETNX a 1",
        "DBSIZE",
        "KEYS *",
        "SCAN 0",
        "WATCH a",
    ] {
        let result = handle(&mut session, &Broken, &mut batch, &words(line));
        let reply = result.expect_err(line).to_reply();
        assert!(
            matches!(&reply, Reply::Error(text) if text.starts_with("ERR ")),
            "{reply:?}"
        );
    }
    for line in ["MULTI", "SET a 1", "INCR b"] {
        handle(&mut session, &Broken, &mut batch, &words(line)).unwrap();
    }
    handle(&mut session, &Broken, &mut batch, &words("EXEC")).unwrap_err();
    assert!(
        batch.is_empty(),
        "the SET before the failing INCR is not there"
    );
    let reply = handle(&mut session, &Broken, &mut batch, &words("EXEC")).unwrap();
    assert_eq!(reply, Reply::error("ERR EXEC without MULTI"));
}

#[test]
fn values_of_a_newer_version_are_refused_by_name() {
    let mut data = MapReader::default();
    data.entries
        .insert(Bytes::from_static(b"rnew"), Bytes::from_static(b"\x80v"));
    data.entries
        .insert(Bytes::from_static(b"rcut"), Bytes::from_static(b"\x01abc"));
    data.entries
        .insert(Bytes::from_static(b"rnil"), Bytes::new());
    let mut session = Session::new(1);
    let mut text = |line| {
        let result = handle(&mut session, &data, &mut Batch::new(), &words(line));
        result.unwrap_err().to_string()
    };
    assert!(text("GET new").contains("\"new\" has unknown flags 0x80"));
    assert!(text("GET cut").contains("\"cut\" is 4 bytes long"));
    assert!(text("MGET a nil").contains("\"nil\" is 0 bytes long"));
}

#[test]
fn a_client_of_a_replicated_store_chooses_stale_reads_until_it_takes_that_back() {
    let mut session = Session::new(1);
    let mut route = |line: &str| {
        let routed = session.route(&words(line), &TestHost::default());
        let reply = match routed {
            Route::Decided(Decision::Reply(reply)) => reply,
            other => panic!("{line}: {other:?}"),
        };
        (reply, session.reads_stale())
    };
    assert_eq!(route("READONLY"), (Reply::OK, true));
    assert_eq!(route("SELECT 0"), (Reply::OK, true));
    assert_eq!(route("READWRITE"), (Reply::OK, false));
    assert_eq!(route("READONLY"), (Reply::OK, true));
    assert_eq!(route("RESET"), (Reply::Simple("RESET".into()), false));
    // Not in the middle of a transaction, which is then spoiled.
    assert_eq!(route("MULTI"), (Reply::OK, false));
    let (refused, stale) = route("READONLY");
    assert!(matches!(refused, Reply::Error(_)), "{refused:?}");
    assert!(!stale);
    let (spoiled, _) = route("EXEC");
    assert!(
        matches!(&spoiled, Reply::Error(text) if text.starts_with("EXECABORT")),
        "{spoiled:?}"
    );
}
