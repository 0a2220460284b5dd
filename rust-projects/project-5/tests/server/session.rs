//! What clients see over one or a few connections.

use std::thread;
use std::time::Duration;

use redis::{Commands, RedisResult};

use crate::harness::{Server, client, secret_file, stderr, stdout, wait_for};

#[test]
fn the_redis_crate_works_against_every_engine() {
    for engine in ["kvs", "sled", "fjall", "memory"] {
        for sync in ["always", "interval", "never"] {
            let dir = tempfile::tempdir().unwrap();
            let server = Server::start(dir.path(), &["--engine", engine, "--sync", sync]);
            let mut db = server.connect();
            let () = db.set("greeting", "hello").unwrap();
            assert_eq!(db.get::<_, String>("greeting").unwrap(), "hello");
            assert_eq!(db.get::<_, Option<String>>("absent").unwrap(), None);
            assert_eq!(db.incr::<_, _, i64>("counter", 41).unwrap(), 41);
            assert_eq!(db.incr::<_, _, i64>("counter", 1).unwrap(), 42);
            let () = db.mset(&[("a", "1"), ("b", "2")]).unwrap();
            let values: Vec<Option<String>> = db.mget(&["a", "absent", "b"]).unwrap();
            assert_eq!(values, [Some("1".into()), None, Some("2".into())]);
            assert_eq!(db.del::<_, i64>(&["a", "b", "absent"]).unwrap(), 2);
            let mut keys: Vec<String> = db.scan().unwrap().map(Result::unwrap).collect();
            keys.sort();
            assert_eq!(keys, ["counter", "greeting"]);
            let refused: RedisResult<i64> = db.incr("greeting", 1);
            assert!(refused.unwrap_err().to_string().contains("not an integer"));
        }
    }
}

#[test]
fn pipelined_requests_are_answered_in_order_and_see_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    let mut raw = server.raw();
    let mut requests = Vec::new();
    let mut expected = Vec::new();
    for n in 1..=5000 {
        requests.extend_from_slice(b"INCR n\r\nGET n\r\n");
        let digits = n.to_string();
        expected.extend_from_slice(format!(":{n}\r\n${}\r\n{n}\r\n", digits.len()).as_bytes());
    }
    let mut writer = raw.stream.try_clone().unwrap();
    let writing = thread::spawn(move || std::io::Write::write_all(&mut writer, &requests).unwrap());
    raw.expect(&expected);
    writing.join().unwrap();
}

#[test]
fn a_request_may_arrive_byte_by_byte() {
    let (server, _dir) = Server::in_memory(&[]);
    let mut raw = server.raw();
    raw.stream.set_nodelay(true).unwrap();
    for byte in b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nva\r\nl\r\nGET key\r\n" {
        raw.send(&[*byte]);
    }
    raw.expect(b"+OK\r\n$5\r\nva\r\nl\r\n");
}

#[test]
fn requests_before_the_end_of_the_stream_are_answered() {
    let (server, _dir) = Server::in_memory(&[]);
    let mut raw = server.raw();
    raw.send(b"PING\r\nSET a b\r\nGET a\r\n*2\r\n$3\r\nGE");
    raw.stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(raw.until_closed(), "+PONG\r\n+OK\r\n$1\r\nb\r\n");
}

#[test]
fn quit_is_answered_and_ends_the_connection() {
    let (server, _dir) = Server::in_memory(&[]);
    let mut raw = server.raw();
    raw.send(b"PING\r\nQUIT\r\nPING\r\n");
    assert_eq!(raw.until_closed(), "+PONG\r\n+OK\r\n");
}

#[test]
fn hello_switches_to_resp3() {
    let (server, _dir) = Server::in_memory(&[]);
    let mut raw = server.raw();
    raw.send(b"GET absent\r\n");
    raw.expect(b"$-1\r\n");
    raw.send(b"HELLO 3\r\n");
    raw.expect(b"%");
    let mut raw = server.raw();
    raw.send(b"HELLO 3\r\nPING\r\nGET absent\r\nQUIT\r\n");
    let all = raw.until_closed();
    assert!(all.ends_with("+PONG\r\n_\r\n+OK\r\n"), "{all}");
}

#[test]
fn a_transaction_is_all_or_nothing_across_connections() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--sync", "never"]);
    let transfers = 200;
    let () = server
        .connect()
        .mset(&[("from", transfers), ("to", 0)])
        .unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut db = server.connect();
            for _ in 0..transfers {
                let moved: (i64, i64) = redis::pipe()
                    .atomic()
                    .decr("from", 1)
                    .incr("to", 1)
                    .query(&mut db)
                    .unwrap();
                assert_eq!(moved.0 + moved.1, transfers);
            }
        });
        scope.spawn(|| {
            let mut db = server.connect();
            loop {
                let (from, to): (i64, i64) = db.mget(&["from", "to"]).unwrap();
                assert_eq!(from + to, transfers);
                if from == 0 {
                    break;
                }
            }
        });
    });
}

#[test]
fn watch_makes_exec_fail_when_another_connection_wrote() {
    let (server, _dir) = Server::in_memory(&[]);
    let (mut one, mut two) = (server.raw(), server.raw());
    one.send(b"SET k 1\r\nWATCH k\r\nGET k\r\nMULTI\r\nSET k 2\r\n");
    one.expect(b"+OK\r\n+OK\r\n$1\r\n1\r\n+OK\r\n+QUEUED\r\n");
    two.send(b"SET k 3\r\n");
    two.expect(b"+OK\r\n");
    one.send(b"EXEC\r\nGET k\r\n");
    one.expect(b"*-1\r\n$1\r\n3\r\n");
    // Undisturbed it goes through, also after the other connection has left.
    one.send(b"WATCH k\r\nMULTI\r\nSET k 4\r\n");
    one.expect(b"+OK\r\n+OK\r\n+QUEUED\r\n");
    drop(two);
    one.send(b"EXEC\r\nGET k\r\n");
    one.expect(b"*1\r\n+OK\r\n$1\r\n4\r\n");
}

#[test]
fn watched_increments_of_many_connections_are_all_counted() {
    let (server, _dir) = Server::in_memory(&["--threads", "2"]);
    let (connections, rounds) = (8, 25);
    thread::scope(|scope| {
        for _ in 0..connections {
            scope.spawn(|| {
                let mut db = server.connect();
                for _ in 0..rounds {
                    let _: (i64,) = redis::transaction(&mut db, &["n"], |db, pipe| {
                        let n: i64 = db.get("n").unwrap_or(0);
                        pipe.set("n", n + 1).ignore().get("n").query(db)
                    })
                    .unwrap();
                }
            });
        }
    });
    let total: i64 = server.connect().get("n").unwrap();
    assert_eq!(total, connections * rounds);
}

#[test]
fn expired_keys_are_unseen_at_once_and_removed_in_the_background() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--sync", "never"]);
    let mut db = server.connect();
    for n in 0..1000 {
        let () = redis::cmd("SET")
            .arg(format!("short:{n}"))
            .arg("v")
            .arg("PX")
            .arg(1)
            .query(&mut db)
            .unwrap();
    }
    let () = redis::cmd("SET")
        .arg("long")
        .arg("v")
        .arg("EX")
        .arg(100)
        .query(&mut db)
        .unwrap();
    wait_for("the background removal", || {
        (server.info("expired_keys") == 1000).then_some(())
    });
    assert_eq!(redis::cmd("DBSIZE").query::<i64>(&mut db).unwrap(), 1);
    assert!(server.terminate().success());
    let server = Server::start(dir.path(), &[]);
    let left: i64 = server.connect().ttl("long").unwrap();
    assert!((1..=100).contains(&left), "{left}");
}

#[test]
fn a_password_is_needed_before_anything_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = secret_file(dir.path(), "s3cret\n");
    let path = path.to_str().unwrap();
    let (server, _dir) = Server::in_memory(&["--requirepass-file", path]);
    let mut raw = server.raw();
    raw.send(b"GET a\r\n");
    raw.expect(b"-NOAUTH Authentication required.\r\n");
    raw.send(b"AUTH wrong\r\n");
    raw.expect(b"-WRONGPASS");
    let mut raw = server.raw();
    raw.send(b"AUTH s3cret\r\nSET a b\r\n");
    raw.expect(b"+OK\r\n+OK\r\n");
    let mut raw = server.raw();
    raw.send(b"HELLO 3 AUTH default s3cret\r\nGET a\r\nQUIT\r\n");
    assert!(raw.until_closed().ends_with("$1\r\nb\r\n+OK\r\n"));
    let mut raw = server.raw();
    raw.send(b"AUTH nobody s3cret\r\n");
    raw.expect(b"-WRONGPASS");

    let refused = client(&server, &["get", "a"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("NOAUTH"));
    let allowed = client(&server, &["get", "a", "--password-file", path]);
    assert_eq!(stdout(&allowed), "b\n");
    let bench = client(&server, &["bench", "-n", "100", "--password-file", path]);
    assert!(bench.status.success(), "{}", stderr(&bench));
}

#[test]
fn info_and_config_answer_what_clients_ask() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    let mut db = server.connect();
    let () = db.set("a", "b").unwrap();
    let info: String = redis::cmd("INFO").query(&mut db).unwrap();
    for part in [
        "# Server\r\n",
        "# Clients\r\n",
        "# Memory\r\n",
        "# Persistence\r\n",
        "# Stats\r\n",
        "engine:kvs",
        "sync:always",
        "syncs_total:",
    ] {
        assert!(info.contains(part), "no {part} in {info}");
    }
    let keyspace: String = redis::cmd("INFO").arg("keyspace").query(&mut db).unwrap();
    assert_eq!(keyspace, "# Keyspace\r\ndb0:keys=1\r\n");
    let save: Vec<String> = redis::cmd("CONFIG")
        .arg("GET")
        .arg("save")
        .query(&mut db)
        .unwrap();
    assert_eq!(save, ["save", ""]);
}

#[test]
fn too_many_connections_are_turned_away_and_the_others_stay() {
    let (server, _dir) = Server::in_memory(&["--max-connections", "2"]);
    let (mut one, mut two) = (server.raw(), server.raw());
    for raw in [&mut one, &mut two] {
        raw.send(b"PING\r\n");
        raw.expect(b"+PONG\r\n");
    }
    assert_eq!(
        server.raw().until_closed(),
        "-ERR max number of clients reached\r\n"
    );
    one.send(b"PING\r\n");
    one.expect(b"+PONG\r\n");
    drop(two);
    wait_for("a place", || {
        let mut raw = server.raw();
        raw.send(b"QUIT\r\n");
        (raw.until_closed() == "+OK\r\n").then_some(())
    });
}

#[test]
fn a_silent_connection_is_closed_after_the_idle_timeout() {
    let (server, _dir) = Server::in_memory(&["--idle-timeout-s", "1"]);
    let mut silent = server.raw();
    let began = std::time::Instant::now();
    assert_eq!(silent.until_closed(), "");
    assert!(began.elapsed() >= Duration::from_millis(900));
}
