//! Requests that arrive together: what they see of each other, and how many batches they make.

use super::*;

/// Sends `requests`, one per line, in one piece and expects `replies`, one per line.
fn expect(stream: &mut TcpStream, requests: &[&str], replies: &[&str]) {
    let lines = |lines: &[&str]| lines.iter().map(|line| format!("{line}\r\n")).collect();
    let request: String = lines(requests);
    stream.write_all(request.as_bytes()).unwrap();
    let expected: String = lines(replies);
    receive(stream, &expected);
}

#[test]
fn commands_of_a_burst_see_everything_decided_before_them() {
    for policy in [SyncPolicy::Always, SyncPolicy::Never] {
        let server = TestServer::start(policy);
        let mut stream = server.send("");
        expect(
            &mut stream,
            &[
                "SET a 1",
                "GET a",
                "SET a 41",
                "INCR a",
                "MSET b 2 c 3",
                "SET d 4",
                "DEL b c x",
                "EXISTS a b c d",
                "SET e 5",
                "DBSIZE",
                "SET f 6",
                "SETNX f 7",
                "FLUSHALL",
                "SET g 8",
                "KEYS *",
                "SETEX h 100 9",
                "TTL h",
            ],
            &[
                "+OK",
                "$1\r\n1",
                "+OK",
                ":42",
                "+OK",
                "+OK",
                ":2",
                ":2",
                "+OK",
                ":3",
                "+OK",
                ":0",
                "+OK",
                "+OK",
                "*1\r\n$1\r\ng",
                "+OK",
                ":100",
            ],
        );
    }
}

#[test]
fn writes_that_nobody_reads_in_between_are_one_batch() {
    let server = TestServer::start(SyncPolicy::Never);
    let mut stream = server.send("");
    let sets: Vec<String> = (0..16).map(|n| format!("SET key:{n} {n}")).collect();
    let mut requests: Vec<&str> = sets.iter().map(String::as_str).collect();
    expect(&mut stream, &requests, &["+OK"; 16]);
    assert_eq!(server.engine.applied(), 1);

    // One before the read, one after it.
    requests.insert(8, "GET key:7");
    let mut replies = vec!["+OK"; 17];
    replies[8] = "$1\r\n7";
    expect(&mut stream, &requests, &replies);
    assert_eq!(server.engine.applied(), 3);

    // Neither what changes nothing nor a transaction is in the way.
    expect(
        &mut stream,
        &[
            "SET a 1", "PING", "MULTI", "SET b 2", "EXEC", "HELLO", "SET c",
        ],
        &["+OK", "+PONG", "+OK", "+QUEUED", "*1\r\n+OK", "*14"],
    );
    assert_eq!(server.engine.applied(), 4);
}

#[test]
fn a_burst_of_many_writes_is_submitted_in_bounded_batches() {
    let server = TestServer::start(SyncPolicy::Never);
    let mut stream = server.send("");
    let requests = vec!["SET k v"; 300];
    expect(&mut stream, &requests, &["+OK"; 300]);
    // 128 each, and at most one more for each time the burst was cut by the network.
    let batches = server.engine.applied();
    assert!((3..=12).contains(&batches), "{batches} batches");
}

#[test]
fn info_tells_of_the_writes_before_it() {
    let server = TestServer::start(SyncPolicy::Never);
    let mut stream = server.send("SET a 1\r\nSET b 2\r\nINFO keyspace\r\n");
    receive(
        &mut stream,
        "+OK\r\n+OK\r\n$24\r\n# Keyspace\r\ndb0:keys=2\r\n\r\n",
    );
}

#[test]
fn watch_notices_changes_within_its_burst_and_only_later_ones() {
    let server = TestServer::start(SyncPolicy::Never);
    let mut stream = server.send("");
    expect(
        &mut stream,
        &["SET k 1", "WATCH k", "MULTI", "INCR k", "EXEC", "GET k"],
        &["+OK", "+OK", "+OK", "+QUEUED", "*1\r\n:2", "$1\r\n2"],
    );
    expect(
        &mut stream,
        &["WATCH k", "SET k 5", "MULTI", "SET k 6", "EXEC", "GET k"],
        &["+OK", "+OK", "+OK", "+QUEUED", "*-1", "$1\r\n5"],
    );
    let mut watcher = server.send("");
    expect(
        &mut watcher,
        &["WATCH k", "MULTI", "SET k 7"],
        &["+OK", "+OK", "+QUEUED"],
    );
    expect(&mut stream, &["SET j 1", "SET k 8"], &["+OK", "+OK"]);
    expect(&mut watcher, &["EXEC", "GET k"], &["*-1", "$1\r\n8"]);
}

#[test]
fn on_a_full_disk_each_command_of_a_burst_gets_its_own_reply() {
    let server = TestServer::start(SyncPolicy::Never);
    let mut client = server.client();
    let value = "x".repeat(1000);
    let (stored, _) = fill_disk(&server, &mut client, &value);
    let full = "-ERR disk full: no space left on the device of /data";
    let set = format!("SET new {value}");
    // The second SET and the PING are decided while the DEL is not yet submitted.
    let request =
        format!("{set}\r\nPING\r\nDEL key:0\r\n{set}\r\nPING\r\nGET new\r\nDEL key:1\r\n{set}\r\n");
    let stream = server.send(&request);
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut replies = std::io::BufRead::lines(std::io::BufReader::new(stream));
    let expected = [full, "+PONG", ":1", full, "+PONG", "$-1", ":1", full];
    for expected in expected {
        let reply = replies.next().unwrap().unwrap();
        assert!(reply.starts_with(expected), "{reply} and not {expected}");
    }
    assert_eq!(call(&mut client, "DBSIZE"), Reply::Integer(stored - 2));
}

#[test]
fn after_a_failed_commit_each_write_of_a_burst_is_refused_and_reads_go_on() {
    let server = TestServer::start(SyncPolicy::Always);
    let mut client = server.client();
    assert_eq!(call(&mut client, "SET key safe"), Reply::OK);
    server.disk.fail_from(1, Fault::IoLosingData, is_sync);
    error_of(call(&mut client, "SET key lost"));
    let stream = server.send("SET a 1\r\nSET b 2\r\nGET key\r\nSET c 3\r\nPING\r\n");
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut replies = std::io::BufRead::lines(std::io::BufReader::new(stream));
    let refused = "-ERR the engine stopped writing";
    for expected in [refused, refused, "$4", "safe", refused, "+PONG"] {
        let reply = replies.next().unwrap().unwrap();
        assert!(reply.starts_with(expected), "{reply} and not {expected}");
    }
}
