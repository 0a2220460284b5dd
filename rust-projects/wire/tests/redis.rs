//! The same bytes to a real redis-server: its errors are the ones here, and its replies of every type are read.
//!
//! Skips, visibly, where redis-server is not installed.

#![cfg(unix)]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tempfile::TempDir;
use wire::{Client, Reply, RequestParser};

const TIMEOUT: Duration = Duration::from_secs(20);

/// A redis-server of our own on a Unix socket in a temporary directory; it listens on no port.
struct Redis {
    process: Child,
    directory: TempDir,
}

impl Redis {
    /// `None`, and a line that says so, if the program is not installed.
    fn start() -> Option<Self> {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let process = Command::new("redis-server")
            .current_dir(directory.path())
            .args(["--port", "0", "--unixsocket", "socket", "--save", ""])
            .args(["--enable-debug-command", "yes"])
            .stdout(Stdio::null())
            .spawn();
        let process = match process {
            Ok(process) => process,
            Err(error) => {
                eprintln!("SKIPPED: redis-server cannot be started: {error}");
                return None;
            }
        };
        Some(Self { process, directory })
    }

    fn connect(&self) -> UnixStream {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            match UnixStream::connect(self.directory.path().join("socket")) {
                Ok(stream) => {
                    stream
                        .set_read_timeout(Some(TIMEOUT))
                        .expect("a timeout above zero");
                    return stream;
                }
                Err(error) => assert!(Instant::now() < deadline, "no redis-server: {error}"),
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing else to do about it here.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn malformed_requests_get_the_errors_of_a_real_redis() {
    let Some(redis) = Redis::start() else { return };
    let too_long = vec![b'a'; 64 * 1024 + 1];
    let streams: [&[u8]; 14] = [
        b"*a\r\n",
        b"*\r\n",
        b"*1x\r\n",
        b"*+1\r\n",
        b"*01\r\n",
        b"*99999999999999999999\r\n",
        b"*1\r\n:1\r\n",
        b"*1\r\nPING\r\n",
        b"*1\r\n$-1\r\n",
        b"*1\r\n$\r\n",
        b"*1\r\n$536870913\r\n",
        b"SET \"a\r\n",
        b"SET 'a'b\r\n",
        &too_long,
    ];
    for stream in streams {
        let error = RequestParser::default()
            .parse(&mut BytesMut::from(stream))
            .expect_err("a malformed request");
        let mut ours = Vec::new();
        error.to_reply().encode(wire::Protocol::Resp2, &mut ours);

        let mut connection = redis.connect();
        connection.write_all(stream).unwrap();
        let mut theirs = Vec::new();
        connection.read_to_end(&mut theirs).unwrap();
        assert_eq!(
            ours.escape_ascii().to_string(),
            theirs.escape_ascii().to_string(),
            "{}",
            stream.escape_ascii()
        );
    }
}

#[test]
fn inline_words_are_those_of_a_real_redis() {
    let Some(redis) = Redis::start() else { return };
    let lines: [&[u8]; 8] = [
        b"ECHO plain\n",
        b"  ECHO \t 'a \\' \\n b' \r\n",
        b"ECHO \"\\x00\\xfF\\n\\r\\t\\b\\a\\\\ \\\" \\q\\xZZ\"\r\n",
        b"ECHO pre\"mid dle\"\r\n",
        b"ECHO pre'x'\r\n",
        b"ECHO ''\r\n",
        b"ECHO a\\nb\r\n",
        b"\r\n\r\nECHO \"after empty lines\"\r\n",
    ];
    for line in lines {
        let ours = RequestParser::default()
            .parse(&mut BytesMut::from(line))
            .unwrap()
            .expect("a request");
        let mut connection = redis.connect();
        connection.write_all(line).unwrap();
        let theirs = Client::new(connection).receive().unwrap();
        assert_eq!(
            theirs,
            Reply::Bulk(ours.args[1].clone()),
            "{}",
            line.escape_ascii()
        );
    }
}

#[test]
#[expect(clippy::approx_constant, reason = "the number redis-server sends")]
fn replies_of_every_type_of_a_real_redis_are_read() {
    let Some(redis) = Redis::start() else { return };
    let mut client = Client::new(redis.connect());
    let hello = client.call(&[b"HELLO", b"3"]).unwrap();
    let Reply::Map(pairs) = hello else {
        panic!("not a map: {hello:?}");
    };
    assert!(pairs.contains(&(Reply::bulk("proto"), Reply::Integer(3))));

    let numbers = || (0..3).map(Reply::Integer);
    let table = [
        ("string", Reply::bulk("Hello World")),
        ("integer", Reply::Integer(12345)),
        ("double", Reply::Double(3.141)),
        ("null", Reply::Null),
        ("array", Reply::Array(numbers().collect())),
        ("set", Reply::Set(numbers().collect())),
        (
            "map",
            Reply::Map(
                numbers()
                    .zip([false, true, false].map(Reply::Boolean))
                    .collect(),
            ),
        ),
        (
            "attrib",
            Reply::bulk("Some real reply following the attribute"),
        ),
        ("true", Reply::Boolean(true)),
        ("false", Reply::Boolean(false)),
        (
            "bignum",
            Reply::BigNumber("1234567999999999999999999999999999999".into()),
        ),
        (
            "verbatim",
            Reply::Verbatim {
                format: *b"txt",
                text: "This is a verbatim\nstring".into(),
            },
        ),
    ];
    for (name, expected) in table {
        let reply = client
            .call(&[b"DEBUG", b"PROTOCOL", name.as_bytes()])
            .unwrap();
        assert_eq!(reply, expected, "{name}");
    }
}
