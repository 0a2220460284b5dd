//! Scenarios: requests of several connections with the replies they got, as text.
//!
//! ```text
//! # comment
//! > SET a 1 EX 10      a request of connection 1, in the quoting of redis-cli
//!   +OK                its reply, two blanks in front; byte strings quoted, items of arrays two blanks further in
//! 2> GET a             a request of connection 2, which begins with its first request
//! @ +10001             the given time advances by so many milliseconds
//! @ sweep              removes what has expired and says how many entries and keys went
//! @ stored             says how many entries the engine holds
//! @ close 2            connection 2 closes
//! @ password secret    from now on clients must authenticate
//! @ limit 100          from now on values longer than that are refused
//! @ batch-limit 1000   from now on an engine takes batches of that many bytes
//! @ reply-limit 1000   from now on a reply may take so many bytes
//! ```

use std::collections::BTreeMap;
use std::fmt::Write;

use bytes::{Bytes, BytesMut};
use commands::{Context, Decision, Env, Host, ScanCursors, Session, WatchTable, keyspace};
use storage::{Batch, Limits};
use wire::{Protocol, Reply, RequestParser};

use crate::support::MapReader;

/// When every scenario begins, in milliseconds since 1970.
const START_MS: u64 = 1_700_000_000_000;

#[derive(Default)]
pub(crate) struct TestHost {
    password: Option<Vec<u8>>,
}

impl Host for TestHost {
    fn requires_password(&self) -> bool {
        self.password.is_some()
    }

    fn authenticate(&self, user: &[u8], password: &[u8]) -> bool {
        user == b"default" && self.password.as_deref() == Some(password)
    }

    fn info(&self, sections: &[String]) -> String {
        format!("# {}\r\n", sections.join(","))
    }

    fn config(&self) -> Vec<(&'static str, String)> {
        vec![
            ("appendonly", "no".to_owned()),
            ("databases", "1".to_owned()),
            ("save", String::new()),
        ]
    }

    fn version(&self) -> &'static str {
        "7.0.15"
    }
}

struct World {
    data: MapReader,
    now_ms: u64,
    limits: Limits,
    max_reply_bytes: usize,
    cursors: ScanCursors,
    watches: WatchTable,
    sessions: BTreeMap<u64, Session>,
    host: TestHost,
}

/// `script` with the replies that it gets now.
pub(crate) fn play(script: &str) -> String {
    let mut world = World {
        data: MapReader::default(),
        now_ms: START_MS,
        limits: Limits::default(),
        max_reply_bytes: usize::MAX,
        cursors: ScanCursors::new(1),
        watches: WatchTable::new(),
        sessions: BTreeMap::new(),
        host: TestHost::default(),
    };
    let mut played = String::new();
    for line in script.lines().filter(|line| !line.starts_with("  ")) {
        played += line;
        played.push('\n');
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        played += &match line.strip_prefix("@ ") {
            Some(directive) => world.direct(directive),
            None => world.request(line),
        };
    }
    played
}

impl World {
    fn direct(&mut self, directive: &str) -> String {
        match directive.split_once(' ').unwrap_or((directive, "")) {
            ("sweep", "") => return self.sweep(),
            ("stored", "") => return format!("  {} entries\n", self.data.entries.len()),
            ("close", id) => {
                let session = self.sessions.remove(&id.parse().unwrap()).unwrap();
                session.end(&mut self.watches);
            }
            ("password", password) => self.host.password = Some(password.into()),
            ("limit", bytes) => {
                self.limits.value_bytes =
                    bytes.parse::<usize>().unwrap() + keyspace::VALUE_OVERHEAD_BYTES;
            }
            ("batch-limit", bytes) => self.limits.batch_bytes = bytes.parse().unwrap(),
            ("reply-limit", bytes) => self.max_reply_bytes = bytes.parse().unwrap(),
            (advance, "") if advance.starts_with('+') => {
                self.now_ms += advance[1..].parse::<u64>().unwrap();
            }
            _ => panic!("unknown directive {directive}"),
        }
        String::new()
    }

    fn sweep(&mut self) -> String {
        let mut batch = Batch::new();
        let swept = keyspace::expire_due(&self.data, self.now_ms, 1000, &mut batch).unwrap();
        self.data.apply(&batch);
        format!("  {} entries, {} keys\n", swept.entries, swept.keys)
    }

    fn request(&mut self, line: &str) -> String {
        let (id, request) = line.split_once("> ").unwrap_or_else(|| panic!("{line}"));
        let id = if id.is_empty() {
            1
        } else {
            id.parse().unwrap()
        };
        let args = parse(request);
        let mut batch = Batch::new();
        let session = self.sessions.entry(id).or_insert_with(|| Session::new(id));
        let mut env = Env {
            context: Context {
                reader: &self.data,
                now_ms: self.now_ms,
                limits: self.limits,
                max_reply_bytes: self.max_reply_bytes,
                cursors: &self.cursors,
            },
            batch: &mut batch,
            watches: &mut self.watches,
            host: &self.host,
        };
        let decision = session.handle(&args, &mut env).unwrap();
        let protocol = session.protocol();
        self.data.apply(&batch);
        let closes = matches!(decision, Decision::Close(_));
        let mut text = show(&decision.into_reply(), protocol);
        if closes {
            text += "  (closed)\n";
            self.sessions.remove(&id).unwrap().end(&mut self.watches);
        }
        text
    }
}

/// The words of a request, in the quoting of redis-cli.
fn parse(request: &str) -> Vec<Bytes> {
    let mut line = BytesMut::from(request.as_bytes());
    line.extend_from_slice(b"\r\n");
    let mut parser = RequestParser::new(wire::Limits::default());
    parser.parse(&mut line).unwrap().unwrap().args
}

/// A reply as it goes over the wire, a line each.
pub(crate) fn show(reply: &Reply, protocol: Protocol) -> String {
    let mut wire = Vec::new();
    reply.encode(protocol, &mut wire);
    let (mut rest, mut text) = (&wire[..], String::new());
    show_item(&mut rest, 1, &mut text);
    assert!(rest.is_empty());
    text
}

fn show_item(wire: &mut &[u8], depth: usize, text: &mut String) {
    let end = wire.windows(2).position(|pair| pair == b"\r\n").unwrap();
    let (line, rest) = (&wire[..end], &wire[end + 2..]);
    *wire = rest;
    let header = std::str::from_utf8(line).unwrap();
    let number = || header[1..].parse::<i64>().unwrap();
    text.extend(std::iter::repeat_n("  ", depth));
    if matches!(line[0], b'$' | b'=') && number() >= 0 {
        let (body, rest) = wire.split_at(number() as usize);
        *wire = &rest[2..];
        let kind = if line[0] == b'=' { "=" } else { "" };
        writeln!(text, "{kind}\"{}\"", body.escape_ascii()).unwrap();
        return;
    }
    writeln!(text, "{header}").unwrap();
    let items = match line[0] {
        b'*' | b'~' | b'>' => number(),
        b'%' => number() * 2,
        _ => 0,
    };
    for _ in 0..items {
        show_item(wire, depth + 1, text);
    }
}
