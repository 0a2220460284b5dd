//! Scan, import, export and bench of `kvs-client`.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use redis::Commands;

use crate::harness::{CLIENT, Server, client, stderr, stdout};

#[test]
fn what_is_exported_can_be_imported_elsewhere() {
    let (from, dir) = Server::in_memory(&[]);
    let mut db = from.connect();
    for n in 0..3000 {
        let () = db
            .set(format!("key:{n:05}"), format!("value {n}\n"))
            .unwrap();
    }
    let () = db.set(&b"\xff\x00raw"[..], &b"\x80\x81"[..]).unwrap();
    let () = db.set_ex("temporary", "v", 1000).unwrap();
    let file = dir.path().join("pairs.jsonl");
    let file = file.to_str().unwrap();
    let export = client(&from, &["export", file]);
    assert!(export.status.success(), "{}", stderr(&export));
    assert_eq!(fs::read_to_string(file).unwrap().lines().count(), 3002);

    let (to, _dir) = Server::in_memory(&[]);
    let import = client(&to, &["import", file]);
    assert!(import.status.success(), "{}", stderr(&import));
    assert!(
        import.stdout.is_empty() && import.stderr.is_empty(),
        "quiet in a pipe"
    );
    let mut db = to.connect();
    assert_eq!(redis::cmd("DBSIZE").query::<i64>(&mut db).unwrap(), 3002);
    assert_eq!(db.get::<_, String>("key:02999").unwrap(), "value 2999\n");
    assert_eq!(
        db.get::<_, Vec<u8>>(&b"\xff\x00raw"[..]).unwrap(),
        b"\x80\x81"
    );
    assert!(db.ttl::<_, i64>("temporary").unwrap() > 900);

    let sorted = |server: &Server| {
        let export = client(server, &["export", "-"]);
        let mut lines: Vec<String> = stdout(&export).lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&from), sorted(&to));
}

#[test]
fn a_bad_line_is_named_and_nothing_of_the_file_is_stored() {
    let (server, dir) = Server::in_memory(&[]);
    let file = dir.path().join("pairs.jsonl");
    fs::write(
        &file,
        "{\"key\":\"a\",\"value\":\"1\"}\n\n{\"key\":\"b\"}\n",
    )
    .unwrap();
    let import = client(&server, &["import", file.to_str().unwrap()]);
    assert_eq!(import.status.code(), Some(1));
    let message = stderr(&import);
    assert!(
        message.contains("line 3") && message.contains("nothing was stored"),
        "{message}"
    );
    assert_eq!(
        redis::cmd("DBSIZE")
            .query::<i64>(&mut server.connect())
            .unwrap(),
        0
    );
}

#[test]
fn of_standard_input_everything_before_a_bad_line_is_stored_and_counted() {
    let (server, _dir) = Server::in_memory(&[]);
    let mut import = Command::new(CLIENT)
        .args(["import", "-", "--addr", &server.addr.to_string()])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = import.stdin.take().unwrap();
    for n in 1..=2500 {
        writeln!(input, "{{\"key\":\"{n}\",\"value\":\"v\"}}").unwrap();
    }
    writeln!(input, "nonsense").unwrap();
    drop(input);
    let output = import.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let message = stderr(&output);
    assert!(
        message.contains("line 2501") && message.contains("2500 pairs were stored"),
        "{message}"
    );
    assert_eq!(
        redis::cmd("DBSIZE")
            .query::<i64>(&mut server.connect())
            .unwrap(),
        2500
    );
}

#[test]
fn a_line_that_the_server_refuses_is_named() {
    let (server, dir) = Server::in_memory(&[]);
    let file = dir.path().join("pairs.jsonl");
    let long_key = "k".repeat(70_000);
    fs::write(
        &file,
        format!("{{\"key\":\"a\",\"value\":\"1\"}}\n{{\"key\":\"{long_key}\",\"value\":\"2\"}}\n{{\"key\":\"c\",\"value\":\"3\"}}\n"),
    )
    .unwrap();
    let import = client(&server, &["import", file.to_str().unwrap()]);
    assert_eq!(import.status.code(), Some(1));
    let message = stderr(&import);
    assert!(
        message.contains("line 2") && message.contains("2 pairs were stored"),
        "{message}"
    );
}

#[test]
fn an_export_that_fails_keeps_the_older_file() {
    let (server, dir) = Server::in_memory(&[]);
    let file = dir.path().join("pairs.jsonl");
    fs::write(&file, "older").unwrap();
    drop(server);
    let (gone, _dir) = Server::in_memory(&[]);
    let addr = gone.addr.to_string();
    gone.kill();
    let export = Command::new(CLIENT)
        .args(["export", file.to_str().unwrap(), "--addr", &addr])
        .output()
        .unwrap();
    assert_eq!(export.status.code(), Some(1));
    assert_eq!(fs::read_to_string(&file).unwrap(), "older");
}

#[test]
fn scan_prints_keys_or_pairs_up_to_a_limit() {
    let (server, _dir) = Server::in_memory(&[]);
    let mut db = server.connect();
    for key in ["user:1", "user:2", "user:3", "other"] {
        let () = db.set(key, "v").unwrap();
    }
    let lines = |args: &[&str]| {
        let output = client(&server, args);
        assert!(output.status.success(), "{}", stderr(&output));
        let mut lines: Vec<String> = stdout(&output).lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(lines(&["scan"]), ["other", "user:1", "user:2", "user:3"]);
    assert_eq!(lines(&["scan", "user:*"]), ["user:1", "user:2", "user:3"]);
    assert_eq!(lines(&["scan", "user:*", "--limit", "2"]).len(), 2);
    assert_eq!(
        lines(&["scan", "oth*", "--json"]),
        [r#"{"key":"other","value":"v"}"#]
    );
    assert_eq!(lines(&["scan", "none*"]).len(), 0);
}

#[test]
fn pairs_longer_than_the_sockets_between_are_scanned_and_exported() {
    const PAIRS: usize = 300;
    let (server, _dir) = Server::in_memory(&[]);
    let mut db = server.connect();
    // Requests and replies for one page of keys exceed by far what buffers hold on the way, so neither side may write all
    // of its part before it reads.
    let key = |n: usize| format!("{n:03}{}", "k".repeat(60_000));
    for n in 0..PAIRS {
        let () = db.set(key(n), "v".repeat(100_000)).unwrap();
    }
    for args in [
        &["scan", "--json", "--timeout-s", "20"][..],
        &["export", "-", "--timeout-s", "20"],
    ] {
        let output = client(&server, args);
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(stdout(&output).lines().count(), PAIRS);
    }
}

#[test]
fn bench_gives_up_on_a_server_that_does_not_answer() {
    // The system accepts for it, but nobody reads.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = silent.local_addr().unwrap().to_string();
    let output = Command::new(CLIENT)
        .args(["bench", "-c", "2", "--timeout-s", "1", "--addr", &addr])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let message = stderr(&output);
    assert!(message.contains("did not answer within 1 s"), "{message}");
}

#[test]
fn bench_counts_every_request_as_text_and_as_json() {
    let (server, _dir) = Server::in_memory(&[]);
    let before = server.info("total_commands_processed");
    let bench = client(
        &server,
        &["bench", "-n", "5000", "-c", "10", "-P", "7", "--json"],
    );
    assert!(bench.status.success(), "{}", stderr(&bench));
    let after = server.info("total_commands_processed");
    assert!(after - before >= 5000);
    let report: serde_json::Value = serde_json::from_slice(&bench.stdout).unwrap();
    assert_eq!(report["requests"], 5000);
    assert_eq!(report["errors"], 0);
    let buckets = report["histogram"].as_array().unwrap();
    let sum: u64 = buckets
        .iter()
        .map(|bucket| bucket["requests"].as_u64().unwrap())
        .sum();
    assert_eq!(sum, 5000);
    let text = client(&server, &["bench", "-n", "1000", "-c", "2"]);
    assert!(stdout(&text).contains("p99.9") && stdout(&text).contains('#'));
}
