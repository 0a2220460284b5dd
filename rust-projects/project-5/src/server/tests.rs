//! The server over a disk that fails, fills up and can be held: what only the faulty file system can show.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use clap::Parser;
use storage::file::fault::{Fault, FaultFs, Operation};
use storage::kvs::{LogEngine, Options};
use storage::{Durability, SyncPolicy};
use tokio::sync::{mpsc, oneshot};
use wire::{Client, Reply};

use super::*;

mod bursts;
mod wakeups;

const DEADLINE: Duration = Duration::from_secs(60);
/// How long a reply is watched not to come.
const QUIET: Duration = Duration::from_millis(100);

struct TestServer {
    addr: SocketAddr,
    engine: LogEngine,
    disk: FaultFs,
    stop: Option<oneshot::Sender<()>>,
    /// Functions to be run on the thread of the runtime, which does nothing else meanwhile.
    blocking: mpsc::UnboundedSender<Box<dyn FnOnce() + Send>>,
    thread: Option<JoinHandle<()>>,
}

fn open_engine(disk: &FaultFs, sync: SyncPolicy) -> LogEngine {
    let options = Options {
        sync,
        segment_bytes: 16 << 10,
        reserve_bytes: 64 << 10,
        background: false,
        files: Arc::new(disk.clone()),
        ..Options::default()
    };
    LogEngine::open(Path::new("/data"), options).unwrap()
}

impl TestServer {
    fn start(sync: SyncPolicy) -> Self {
        let disk = FaultFs::new();
        let engine = open_engine(&disk, sync);
        let opened = open::OpenEngine {
            engine: Arc::new(engine.clone()),
            stats: Box::new(Vec::new),
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let (blocking, mut blocks) = mpsc::unbounded_channel::<Box<dyn FnOnce() + Send>>();
        let (sender, receiver) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            let config = Config::new(&Args::parse_from(["kvs-server"])).unwrap();
            let (committer, committing) = Committer::start(Arc::clone(&opened.engine)).unwrap();
            let runtime = runtime(1).unwrap();
            runtime.block_on(async {
                let any = "127.0.0.1:0".parse().unwrap();
                let (listener, addr) = listen(bind(any).unwrap(), any).unwrap();
                let shared = share(config, opened, &committer, addr);
                tokio::spawn(Arc::clone(&committer).relay());
                tokio::spawn(async move {
                    while let Some(block) = blocks.recv().await {
                        block();
                    }
                });
                sender.send(addr).unwrap();
                let stop = async { drop(stopped.await) };
                accept(&shared, listener, stop).await;
            });
            drop(runtime);
            committer.stop(committing);
        });
        Self {
            addr: receiver.recv().unwrap(),
            engine,
            disk,
            stop: Some(stop),
            blocking,
            thread: Some(thread),
        }
    }

    fn client(&self) -> Client<TcpStream> {
        Client::connect(self.addr, DEADLINE).unwrap()
    }

    fn send(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.addr).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }

    fn wait_until_applied(&self, position: u64) {
        let began = Instant::now();
        while self.engine.applied() < position {
            assert!(began.elapsed() < DEADLINE, "{position} was never applied");
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.disk.release_syncs();
        drop(self.stop.take());
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(thread::panicking() || matches!(ended, Some(Ok(()))));
    }
}

fn call(client: &mut Client<TcpStream>, request: &str) -> Reply {
    let args: Vec<&[u8]> = request.split(' ').map(str::as_bytes).collect();
    client.call(&args).unwrap()
}

fn error_of(reply: Reply) -> String {
    match reply {
        Reply::Error(message) => message.into_owned(),
        other => panic!("no error but {other:?}"),
    }
}

fn assert_silent(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(QUIET)).unwrap();
    let error = stream.read(&mut [0]).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        "{error}"
    );
}

fn receive(stream: &mut TcpStream, expected: &str) {
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut found = vec![0; expected.len()];
    stream.read_exact(&mut found).unwrap();
    assert_eq!(String::from_utf8_lossy(&found), expected);
}

fn is_sync(operation: &Operation) -> bool {
    matches!(operation, Operation::SyncData { .. })
}

fn is_write(operation: &Operation) -> bool {
    matches!(operation, Operation::Write { .. })
}

#[test]
fn neither_a_write_nor_a_read_that_saw_it_is_answered_before_the_sync() {
    let server = TestServer::start(SyncPolicy::Always);
    server.disk.hold_syncs();
    let mut writer = server.send("SET key value\r\n");
    server.wait_until_applied(1);
    let mut reader = server.send("GET key\r\n");
    assert_silent(&mut writer);
    assert_silent(&mut reader);
    server.disk.release_syncs();
    receive(&mut writer, "+OK\r\n");
    receive(&mut reader, "$5\r\nvalue\r\n");
}

#[test]
fn commands_decided_during_a_sync_see_each_other_and_share_the_next_one() {
    const CLIENTS: u64 = 20;
    let server = TestServer::start(SyncPolicy::Always);
    server.disk.hold_syncs();
    let before = server.engine.stats().syncs;
    let mut streams: Vec<_> = (1..=CLIENTS)
        .map(|n| {
            let stream = server.send("INCR n\r\n");
            server.wait_until_applied(n);
            stream
        })
        .collect();
    server.disk.release_syncs();
    for (n, stream) in (1..=CLIENTS).zip(&mut streams) {
        receive(stream, &format!(":{n}\r\n"));
    }
    // The first has one of its own; the others were decided while it was under way.
    let syncs = server.engine.stats().syncs - before;
    assert!((1..=2).contains(&syncs), "{syncs} syncs");
}

#[test]
fn a_failed_sync_leaves_the_outcome_unknown_then_refuses_writes_and_goes_on_reading() {
    for (policy, fails) in [
        (SyncPolicy::Always, is_sync as fn(&Operation) -> bool),
        (SyncPolicy::Never, is_write),
        (SyncPolicy::Interval(DEADLINE), is_write),
    ] {
        let server = TestServer::start(policy);
        let mut client = server.client();
        assert_eq!(call(&mut client, "SET key safe"), Reply::OK);
        server.disk.fail_from(1, Fault::IoLosingData, fails);

        let message = error_of(call(&mut client, "SET key lost"));
        assert!(message.starts_with("UNKNOWN outcome: "), "{message}");
        client
            .call(&[b"PING"])
            .expect_err("closed after an unknown outcome");

        let mut client = server.client();
        // What was never acknowledged is not shown.
        assert_eq!(call(&mut client, "GET key"), Reply::bulk("safe"));
        for write in ["SET key again", "INCR n", "DEL key", "MSET a 1 b 2"] {
            let message = error_of(call(&mut client, write));
            assert!(
                message.starts_with("ERR the engine stopped writing"),
                "{message}"
            );
        }
        assert_eq!(call(&mut client, "MULTI"), Reply::OK);
        assert_eq!(
            call(&mut client, "SET key again"),
            Reply::Simple("QUEUED".into())
        );
        let message = error_of(call(&mut client, "EXEC"));
        assert!(
            message.starts_with("ERR the engine stopped writing"),
            "{message}"
        );
        assert_eq!(call(&mut client, "GET key"), Reply::bulk("safe"));
        let Reply::Bulk(info) = call(&mut client, "INFO persistence") else {
            panic!("INFO gives text");
        };
        assert!(String::from_utf8_lossy(&info).contains("writable:0\r\n"));
    }
}

/// Sets `key:0`, `key:1` and so on to `value` until the disk is full: how many were stored, and what the next one got.
fn fill_disk(server: &TestServer, client: &mut Client<TcpStream>, value: &str) -> (i64, String) {
    server
        .disk
        .set_capacity(Some(server.disk.used_bytes() + (40 << 10)));
    for stored in 0..1000 {
        match call(client, &format!("SET key:{stored} {value}")) {
            Reply::Error(message) => return (stored, message.to_string()),
            reply => assert_eq!(reply, Reply::OK),
        }
    }
    panic!("the disk never fills up");
}

#[test]
fn on_a_full_disk_writes_fail_clearly_and_reads_and_deletes_go_on() {
    for policy in [SyncPolicy::Always, SyncPolicy::Never] {
        let server = TestServer::start(policy);
        let mut client = server.client();
        let value = "x".repeat(1000);
        let (stored, message) = fill_disk(&server, &mut client, &value);
        assert!(
            message.starts_with("ERR disk full: no space left"),
            "{message}"
        );
        assert!(stored > 10);
        // The same connection, the same server.
        let last = stored - 1;
        assert_eq!(
            call(&mut client, &format!("GET key:{last}")),
            Reply::bulk(value.clone())
        );
        assert_eq!(call(&mut client, &format!("GET key:{stored}")), Reply::Null);
        for n in 0..stored {
            assert_eq!(
                call(&mut client, &format!("DEL key:{n}")),
                Reply::Integer(1)
            );
        }
        assert_eq!(call(&mut client, "DBSIZE"), Reply::Integer(0));
        server.engine.maintain().unwrap();
        assert_eq!(call(&mut client, &format!("SET again {value}")), Reply::OK);
    }
}
