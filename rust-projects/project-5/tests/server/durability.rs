//! What survives, and what it costs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use redis::Commands;
use rustix::process::Signal;

use crate::harness::{Server, wait_for};

#[test]
fn increments_of_64_clients_are_exact_and_share_syncs() {
    const CLIENTS: u64 = 64;
    const ROUNDS: u64 = 50;
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--sync", "always"]);
    let before = server.info("syncs_total");
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut db = server.connect();
                let mut last = 0;
                for _ in 0..ROUNDS {
                    let n: u64 = db.incr("n", 1).unwrap();
                    assert!(n > last, "{n} after {last}");
                    last = n;
                }
            });
        }
    });
    let syncs = server.info("syncs_total") - before;
    let total: u64 = server.connect().get("n").unwrap();
    assert_eq!(total, CLIENTS * ROUNDS);
    assert!(syncs > 0, "nothing was synced");
    assert!(
        syncs * 2 < total,
        "{syncs} syncs for {total} acknowledged increments"
    );
    server.kill();
    let server = Server::start(dir.path(), &[]);
    let after: u64 = server.connect().get("n").unwrap();
    assert_eq!(after, total);
}

/// Writers count up, each its own key, until the server is gone; the last acknowledged number of each.
fn count_up_until_killed(server: Server, writers: usize, run_for: Duration) -> Vec<u64> {
    let addr = server.addr;
    let counting: Vec<_> = (0..writers)
        .map(|writer| {
            thread::spawn(move || {
                let client = redis::Client::open(format!("redis://{addr}/")).unwrap();
                let Ok(mut db) = client.get_connection() else {
                    return 0;
                };
                let key = format!("writer:{writer}");
                let mut acknowledged = 0;
                while let Ok(n) = db.incr::<_, _, u64>(&key, 1) {
                    acknowledged = n;
                }
                acknowledged
            })
        })
        .collect();
    thread::sleep(run_for);
    server.kill();
    counting
        .into_iter()
        .map(|writer| writer.join().unwrap())
        .collect()
}

#[test]
fn sigkill_under_load_loses_no_acknowledged_write() {
    const KILLS: u64 = 10;
    const WRITERS: usize = 8;
    for sync in ["always", "interval", "never"] {
        let dir = tempfile::tempdir().unwrap();
        let mut progress = 0;
        for round in 0..KILLS {
            let server = Server::start(dir.path(), &["--sync", sync]);
            let run_for = Duration::from_millis(20 + 13 * round);
            let acknowledged = count_up_until_killed(server, WRITERS, run_for);
            let server = Server::start(dir.path(), &["--sync", sync]);
            let mut db = server.connect();
            for (writer, acknowledged) in acknowledged.into_iter().enumerate() {
                let stored: Option<u64> = db.get(format!("writer:{writer}")).unwrap();
                let stored = stored.unwrap_or(0);
                // One more may have been written than its client heard of.
                assert!(
                    stored >= acknowledged,
                    "{sync}, kill {round}: writer {writer} heard {acknowledged}, found {stored}"
                );
                progress = progress.max(acknowledged);
            }
            server.kill();
        }
        assert!(progress > KILLS, "the writers hardly wrote: {progress}");
    }
}

#[test]
fn sigterm_and_ctrl_c_answer_what_was_decided_and_keep_everything() {
    for signal in [Signal::TERM, Signal::INT] {
        let dir = tempfile::tempdir().unwrap();
        let mut server = Server::start(dir.path(), &["--sync", "never"]);
        let addr = server.addr;
        let stopped = AtomicBool::new(false);
        let acknowledged = thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let client = redis::Client::open(format!("redis://{addr}/")).unwrap();
                let mut db = client.get_connection().unwrap();
                let mut acknowledged = 0;
                while let Ok(n) = db.incr::<_, _, u64>("n", 1) {
                    acknowledged = n;
                }
                assert!(stopped.load(Ordering::Acquire), "cut off before the signal");
                acknowledged
            });
            let mut idle = server.raw();
            let mut observer = server.connect();
            wait_for("the writer to be under way", || {
                let n: Option<u64> = observer.get("n").unwrap();
                n.filter(|&n| n > 10)
            });
            stopped.store(true, Ordering::Release);
            let began = Instant::now();
            server.signal(signal);
            assert!(server.wait().success());
            // Idle connections hold nothing up.
            assert!(began.elapsed() < Duration::from_secs(5));
            assert_eq!(idle.until_closed(), "");
            writer.join().unwrap()
        });
        assert!(acknowledged > 10);
        let server = Server::start(dir.path(), &[]);
        let stored: u64 = server.connect().get("n").unwrap();
        assert_eq!(stored, acknowledged);
    }
}

#[test]
fn a_client_that_takes_no_replies_does_not_hold_up_the_stop() {
    let (mut server, _dir) = Server::in_memory(&[]);
    let mut raw = server.raw();
    raw.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000000\r\n");
    raw.send(&vec![b'x'; 1_000_000]);
    raw.send(b"\r\n");
    raw.expect(b"+OK\r\n");
    // More than the sockets between the two can hold.
    for _ in 0..100 {
        raw.send(b"GET k\r\n");
    }
    let mut before = 0;
    wait_for("the replies to fill the sockets", || {
        let sent = server.info("total_net_output_bytes");
        let has_stalled = sent > 1_000_000 && sent - before < 100_000;
        before = sent;
        thread::sleep(Duration::from_millis(50));
        has_stalled.then_some(())
    });
    let began = Instant::now();
    server.signal(Signal::TERM);
    assert!(server.wait().success());
    // Long enough for a client that takes them, not for ever.
    assert!(began.elapsed() > Duration::from_secs(4));
    assert!(began.elapsed() < Duration::from_secs(30));
    wait_for("the log to say so", || {
        server
            .log()
            .contains("did not finish in time")
            .then_some(())
    });
}
