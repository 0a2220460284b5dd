//! Input that is malformed, oversized, slow or too much costs its own connection at most.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::harness::{Server, secret_file, wait_for};

fn is_alive(server: &Server) {
    let mut raw = server.raw();
    raw.send(b"PING\r\n");
    raw.expect(b"+PONG\r\n");
}

fn resident_bytes(server: &Server) -> u64 {
    memory_bytes(server, "VmRSS:")
}

/// The most that was ever resident.
fn most_resident_bytes(server: &Server) -> u64 {
    memory_bytes(server, "VmHWM:")
}

fn memory_bytes(server: &Server, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .unwrap();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kib * 1024
}

#[test]
fn malformed_frames_get_an_error_and_end_the_connection() {
    let (server, _dir) = Server::in_memory(&[]);
    for frame in [
        &b"*x\r\n"[..],
        b"*1\r\n:1\r\n",
        b"*1\r\n$-1\r\n",
        b"*1\r\n$x\r\n",
        b"*1\r\n$4\r\nPINGxx",
        b"*99999999\r\n",
        b"*2147483648\r\n",
        b"*1\r\n$9999999999999\r\n",
        b"GET \"unbalanced\r\n",
        &[b'x'; 70_000],
    ] {
        let mut raw = server.raw();
        raw.send(b"PING\r\n");
        raw.expect(b"+PONG\r\n");
        raw.send(frame);
        let answer = raw.until_closed();
        assert!(
            answer.starts_with("-ERR Protocol error"),
            "{:?}: {answer:?}",
            String::from_utf8_lossy(&frame[..frame.len().min(40)])
        );
    }
    is_alive(&server);
    assert_eq!(server.info("protocol_errors"), 10);
}

#[test]
fn a_browser_cannot_be_made_to_send_commands() {
    let (server, _dir) = Server::in_memory(&[]);
    for head in ["POST / HTTP/1.1", "GET / HTTP/1.1\r\nHost: localhost"] {
        let mut raw = server.raw();
        raw.send(format!("{head}\r\nAccept: */*\r\n\r\nSET k stolen\r\n").as_bytes());
        let answer = raw.until_closed();
        assert!(
            answer.ends_with("-ERR Protocol error: this is HTTP, not RESP\r\n"),
            "{answer}"
        );
    }
    let mut raw = server.raw();
    raw.send(b"EXISTS k\r\n");
    raw.expect(b":0\r\n");
    wait_for("the warning", || {
        server
            .log()
            .contains("HTTP on the port of the server")
            .then_some(())
    });
}

#[test]
fn requests_before_a_malformed_one_are_answered() {
    let (server, _dir) = Server::in_memory(&[]);
    let mut raw = server.raw();
    raw.send(b"SET a b\r\nGET a\r\n*1\r\n!");
    let answer = raw.until_closed();
    assert!(
        answer.starts_with("+OK\r\n$1\r\nb\r\n-ERR Protocol error"),
        "{answer}"
    );
}

#[test]
fn a_value_above_the_limit_is_refused_before_it_is_read() {
    let (server, _dir) = Server::in_memory(&["--max-value-bytes", "100000"]);
    let mut raw = server.raw();
    raw.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\n");
    raw.send(&vec![b'x'; 100_000]);
    raw.send(b"\r\n");
    raw.expect(b"+OK\r\n");
    raw.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100001\r\n");
    assert!(
        raw.until_closed()
            .starts_with("-ERR Protocol error: invalid bulk length")
    );
    // Neither may it grow beyond piece by piece.
    let mut raw = server.raw();
    raw.send(b"APPEND k y\r\nSTRLEN k\r\n");
    raw.expect(b"-ERR string exceeds maximum allowed size");
    let mut raw = server.raw();
    raw.send(b"STRLEN k\r\n");
    raw.expect(b":100000\r\n");
}

#[test]
fn before_authentication_only_small_requests_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = secret_file(dir.path(), "s3cret\n");
    let flags = ["--requirepass-file", path.to_str().unwrap()];
    let (server, _dir) = Server::in_memory(&flags);
    for frame in [&b"*11\r\n"[..], b"*2\r\n$3\r\nGET\r\n$16385\r\n"] {
        let mut raw = server.raw();
        raw.send(frame);
        assert!(raw.until_closed().starts_with("-ERR Protocol error"));
    }
    let mut raw = server.raw();
    raw.send(b"AUTH s3cret\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$20000\r\n");
    raw.send(&[b'x'; 20_000]);
    raw.send(b"\r\n");
    raw.expect(b"+OK\r\n+OK\r\n");
}

#[test]
fn declared_lengths_reserve_nothing() {
    let (server, _dir) = Server::in_memory(&[]);
    let before = resident_bytes(&server);
    let half_open: Vec<_> = (0..100)
        .map(|_| {
            let mut raw = server.raw();
            raw.send(b"*1000000\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\nx");
            raw
        })
        .collect();
    is_alive(&server);
    let grown = resident_bytes(&server).saturating_sub(before);
    assert!(
        grown < 20 << 20,
        "{grown} bytes more for {} requests",
        half_open.len()
    );
}

#[test]
fn slow_senders_hold_up_nobody() {
    let (server, _dir) = Server::in_memory(&[]);
    let mut slow: Vec<_> = (0..50).map(|_| server.raw()).collect();
    for byte in b"*2\r\n$3\r\nGET\r\n$1\r\nk\r" {
        for raw in &mut slow {
            raw.send(&[*byte]);
        }
        is_alive(&server);
    }
    for raw in &mut slow {
        raw.send(b"\n");
        raw.expect(b"$-1\r\n");
    }
}

#[test]
fn replies_that_nobody_reads_are_bounded_and_hold_up_nobody() {
    let (server, _dir) = Server::in_memory(&[]);
    let mut raw = server.raw();
    raw.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\n");
    raw.send(&[b'x'; 100_000]);
    raw.send(b"\r\n");
    raw.expect(b"+OK\r\n");
    let before = resident_bytes(&server);
    // 20 GB of replies are asked for; what does not fit the sockets stays with the sender.
    raw.stream
        .set_write_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let requests = b"GET k\r\n".repeat(10_000);
    for _ in 0..20 {
        if raw.stream.write_all(&requests).is_err() {
            break;
        }
        is_alive(&server);
    }
    let grown = resident_bytes(&server).saturating_sub(before);
    assert!(grown < 32 << 20, "{grown} bytes more");
}

#[test]
fn a_reply_over_many_values_is_bounded() {
    // A reply may take 64 MiB: two of the longest values, and no less than that.
    let (server, _dir) = Server::in_memory(&["--max-value-bytes", "1000000"]);
    let mut raw = server.raw();
    raw.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000000\r\n");
    raw.send(&vec![b'x'; 1_000_000]);
    raw.send(b"\r\n");
    raw.expect(b"+OK\r\n");
    let before = most_resident_bytes(&server);
    raw.send(format!("MGET{}\r\n", " k".repeat(1000)).as_bytes());
    raw.expect(
        b"-ERR the reply would take more than 67108864 bytes: ask for fewer keys at a time\r\n",
    );
    raw.send(format!("MULTI\r\n{}EXEC\r\n", "GET k\r\n".repeat(1000)).as_bytes());
    raw.expect(format!("+OK\r\n{}", "+QUEUED\r\n".repeat(1000)).as_bytes());
    raw.expect(b"-ERR the replies would take more than 67108864 bytes: ask for less in one transaction\r\n");
    let grown = most_resident_bytes(&server) - before;
    assert!(grown < 100 << 20, "{grown} bytes more");
    // What fits is answered.
    raw.send(format!("MGET{}\r\nPING\r\n", " k".repeat(2)).as_bytes());
    raw.expect(b"*2\r\n$1000000\r\nxxx");
}

#[test]
fn ten_thousand_idle_connections_take_little_memory() {
    const CONNECTIONS: usize = 10_000;
    const BYTES_EACH: u64 = 10 << 10;
    let limit = getrlimit(Resource::Nofile);
    let needed = CONNECTIONS as u64 + 1000;
    if limit.maximum.is_some_and(|hard| hard < needed) {
        eprintln!(
            "SKIPPED: the hard limit on open files is {:?}, {needed} are needed",
            limit.maximum
        );
        return;
    }
    if limit.current.is_some_and(|soft| soft < needed) {
        let raised = Rlimit {
            current: Some(needed),
            maximum: limit.maximum,
        };
        setrlimit(Resource::Nofile, raised).unwrap();
    }
    let (server, _dir) = Server::in_memory(&["--max-connections", "10100"]);
    let before = resident_bytes(&server);
    let mut idle: Vec<TcpStream> = (0..CONNECTIONS)
        .map(|_| TcpStream::connect(server.addr).unwrap())
        .collect();
    // Each has done something once: buffers were needed and must have been given back.
    let value = [b'x'; 10_000];
    for stream in &mut idle {
        stream.write_all(b"*2\r\n$4\r\nECHO\r\n$10000\r\n").unwrap();
        stream.write_all(&value).unwrap();
        stream.write_all(b"\r\n").unwrap();
    }
    let mut reply = [0; 10_010];
    for stream in &mut idle {
        stream
            .set_read_timeout(Some(crate::harness::DEADLINE))
            .unwrap();
        stream.read_exact(&mut reply).unwrap();
    }
    wait_for("all connections", || {
        (server.info("connected_clients") as usize > CONNECTIONS).then_some(())
    });
    let grown = resident_bytes(&server).saturating_sub(before);
    eprintln!("{} bytes per idle connection", grown / CONNECTIONS as u64);
    assert!(
        grown < CONNECTIONS as u64 * BYTES_EACH,
        "{} bytes per idle connection",
        grown / CONNECTIONS as u64
    );
    is_alive(&server);
}
