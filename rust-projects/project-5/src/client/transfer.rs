//! Import and export of pairs.
//!
//! Both go in groups: the requests of one group are written together and their replies read together, so the time for a
//! round trip, or for a sync of the server's disk, is paid once per group.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, IsTerminal, Read, Write};
use std::path::Path;

use bytes::Bytes;
use indicatif::{ProgressBar, ProgressStyle};
use wire::Reply;

use super::{Cursor, Failure, Pair, PairError, Server, Stored, checked, print, unexpected};

/// A group of an import ends at either.
const GROUP_PAIRS: usize = 1000;
const GROUP_BYTES: usize = 1 << 20;
/// Requests of an export written before replies are read; they must fit the socket's buffers.
const FETCH_REQUEST_BYTES: usize = 32 << 10;
/// Longest line of an import: the largest key and value in base64, and then some.
const MAX_LINE_BYTES: u64 = 1 << 30;

/// Stores the pairs of `path`.
pub(super) fn import(server: &mut Server, path: &Path) -> Result<(), Failure> {
    let read_error = |source| Failure::File {
        op: "read",
        path: path.to_owned(),
        source,
    };
    if path == Path::new("-") {
        let bar = progress(None);
        return Import::new(server, path, bar).run(&mut io::stdin().lock());
    }
    let mut file = File::open(path).map_err(read_error)?;
    let metadata = file.metadata().map_err(read_error)?;
    if metadata.is_file() {
        check(path, &mut BufReader::new(&file))?;
        io::Seek::rewind(&mut file).map_err(read_error)?;
    }
    let bar = progress(metadata.is_file().then_some(metadata.len()));
    Import::new(server, path, bar).run(&mut BufReader::new(file))
}

/// Reads all lines and keeps none, so that a file with a bad line changes nothing.
fn check(path: &Path, input: &mut dyn BufRead) -> Result<(), Failure> {
    let mut lines = Lines::new(path);
    while let Some(line) = lines.next(input)? {
        if let Err(source) = Pair::from_json(line) {
            return Err(lines.error(source, Stored(0)));
        }
    }
    Ok(())
}

/// The lines of a file that are not blank, with their numbers.
struct Lines<'a> {
    path: &'a Path,
    number: u64,
    line: Vec<u8>,
}

impl<'a> Lines<'a> {
    fn new(path: &'a Path) -> Self {
        Self {
            path,
            number: 0,
            line: Vec::new(),
        }
    }

    fn next(&mut self, input: &mut dyn BufRead) -> Result<Option<&[u8]>, Failure> {
        let read_error = |source| Failure::File {
            op: "read",
            path: self.path.to_owned(),
            source,
        };
        loop {
            self.line.clear();
            let read = (&mut *input)
                .take(MAX_LINE_BYTES)
                .read_until(b'\n', &mut self.line)
                .map_err(read_error)?;
            if read == 0 {
                return Ok(None);
            }
            self.number += 1;
            if read as u64 == MAX_LINE_BYTES {
                let message = format!("line {} is too long", self.number);
                return Err(read_error(io::Error::other(message)));
            }
            if !self.line.iter().all(u8::is_ascii_whitespace) {
                return Ok(Some(&self.line));
            }
        }
    }

    fn error(&self, source: PairError, stored: Stored) -> Failure {
        Failure::Line {
            path: self.path.to_owned(),
            line: self.number,
            source,
            stored,
        }
    }
}

struct Import<'a> {
    server: &'a mut Server,
    path: &'a Path,
    bar: ProgressBar,
    stored: u64,
    /// Lines whose replies have not been read.
    group: Vec<u64>,
    group_bytes: usize,
}

impl<'a> Import<'a> {
    fn new(server: &'a mut Server, path: &'a Path, bar: ProgressBar) -> Self {
        Self {
            server,
            path,
            bar,
            stored: 0,
            group: Vec::new(),
            group_bytes: 0,
        }
    }

    fn run(mut self, input: &mut dyn BufRead) -> Result<(), Failure> {
        let mut lines = Lines::new(self.path);
        while let Some(line) = lines.next(input)? {
            let len = line.len();
            match Pair::from_json(line) {
                Ok(pair) => self.send(&pair, lines.number)?,
                Err(source) => {
                    // What came before the bad line is stored, and counted.
                    self.finish_group()?;
                    return Err(lines.error(source, Stored(self.stored)));
                }
            }
            self.bar.inc(len as u64);
            self.group_bytes += len;
            if self.group.len() >= GROUP_PAIRS || self.group_bytes >= GROUP_BYTES {
                self.finish_group()?;
            }
        }
        self.finish_group()?;
        self.bar.finish_and_clear();
        if io::stderr().is_terminal() {
            eprintln!("{}", Stored(self.stored));
        }
        Ok(())
    }

    fn send(&mut self, pair: &Pair, line: u64) -> Result<(), Failure> {
        let sent = match pair.expires_at_ms {
            None => self.server.send(&[b"SET", &pair.key, &pair.value]),
            Some(at) => {
                let at = at.to_string();
                self.server
                    .send(&[b"SET", &pair.key, &pair.value, b"PXAT", at.as_bytes()])
            }
        };
        sent.map_err(|source| self.cut(source))?;
        self.group.push(line);
        Ok(())
    }

    /// Reads the replies of all that was sent; the first refusal is the failure.
    fn finish_group(&mut self) -> Result<(), Failure> {
        let mut refused = None;
        for line in std::mem::take(&mut self.group) {
            match self.server.receive() {
                Ok(Reply::Error(message)) => {
                    refused.get_or_insert((line, message.into_owned()));
                }
                Ok(_) => self.stored += 1,
                Err(source) => return Err(self.cut(source)),
            }
        }
        self.group_bytes = 0;
        match refused {
            None => Ok(()),
            Some((line, message)) => Err(Failure::LineRefused {
                path: self.path.to_owned(),
                line,
                message,
                stored: Stored(self.stored),
            }),
        }
    }

    fn cut(&self, source: wire::ClientError) -> Failure {
        Failure::ImportCut {
            source,
            stored: Stored(self.stored),
        }
    }
}

/// Writes all pairs whose key matches to `path`.
pub(super) fn export(
    server: &mut Server,
    path: &Path,
    pattern: Option<Vec<u8>>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    if path == Path::new("-") {
        export_to(server, pattern, out)?;
        return out.flush().map_err(Failure::Output);
    }
    let write_error = |source| Failure::File {
        op: "write",
        path: path.to_owned(),
        source,
    };
    // Whoever exports over an older file keeps that one until the new one is complete and on disk.
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    let partial = Path::new(&name);
    let file = File::create(partial).map_err(write_error)?;
    let written = export_to(server, pattern, &mut BufWriter::new(&file)).and_then(|()| {
        file.sync_all()
            .and_then(|()| std::fs::rename(partial, path))
            .map_err(write_error)
    });
    if written.is_err() {
        // The failure to report is the first one.
        let _ = std::fs::remove_file(partial);
    }
    written
}

fn export_to(
    server: &mut Server,
    pattern: Option<Vec<u8>>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let bar = counter();
    let mut cursor = Cursor::new(pattern);
    while let Some(keys) = cursor.next(server)? {
        fetch(server, &keys, |pair| {
            bar.inc(1);
            print(out, pair.to_json().as_bytes())
        })?;
    }
    bar.finish_and_clear();
    out.flush().map_err(Failure::Output)
}

/// How many of `keys` to ask for together.
fn fetch_group(keys: &[Bytes]) -> usize {
    const OVERHEAD_BYTES: usize = 100;
    let mut bytes = 0;
    let fit = keys
        .iter()
        .take_while(|key| {
            bytes += 2 * key.len() + OVERHEAD_BYTES;
            bytes <= FETCH_REQUEST_BYTES
        })
        .count();
    fit.max(1)
}

/// Gives the pairs of `keys` to `take`, one after another, and says how many; without those that are gone by now. Value and
/// expiry of a pair belong together.
pub(super) fn fetch(
    server: &mut Server,
    keys: &[Bytes],
    mut take: impl FnMut(&Pair) -> Result<(), Failure>,
) -> Result<usize, Failure> {
    let mut taken = 0;
    let mut rest = keys;
    while !rest.is_empty() {
        let (group, later) = rest.split_at(fetch_group(rest));
        rest = later;
        for key in group {
            server.send(&[b"MULTI"])?;
            server.send(&[b"GET", key])?;
            server.send(&[b"PEXPIRETIME", key])?;
            server.send(&[b"EXEC"])?;
        }
        for key in group {
            if let Some(pair) = receive_pair(server, key)? {
                take(&pair)?;
                taken += 1;
            }
        }
    }
    Ok(taken)
}

/// The replies to the four requests for `key`.
fn receive_pair(server: &mut Server, key: &[u8]) -> Result<Option<Pair>, Failure> {
    for _ in 0..3 {
        checked(server.receive()?)?;
    }
    let reply = checked(server.receive()?)?;
    let Reply::Array(parts) = &reply else {
        return Err(unexpected(&reply));
    };
    match &parts[..] {
        [Reply::Bulk(value), Reply::Integer(at)] => Ok(Some(Pair {
            key: key.to_vec(),
            value: value.to_vec(),
            // -1 for never.
            expires_at_ms: u64::try_from(*at).ok(),
        })),
        [Reply::Null, Reply::Integer(_)] => Ok(None),
        _ => Err(unexpected(&reply)),
    }
}

/// A bar over the bytes of a file, or a counter of bytes; nothing unless a person is watching.
fn progress(len: Option<u64>) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    match len {
        Some(len) => ProgressBar::new(len).with_style(style(
            "{bar:40} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left",
        )),
        None => ProgressBar::no_length().with_style(style("{spinner} {bytes} {bytes_per_sec}")),
    }
}

fn counter() -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    ProgressBar::no_length().with_style(style("{spinner} {pos} pairs {per_sec}"))
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates are constant and well-formed")
}
