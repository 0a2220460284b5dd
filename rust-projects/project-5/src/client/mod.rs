//! The client: single commands, scans, import and export of pairs, and a load generator.
//!
//! One blocking connection does all but [`bench`], which drives many at a time on tokio.

mod args;
mod bench;
mod transfer;

use std::ffi::OsString;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use secrets::{Secret, SecretError};
use wire::{Client, Reply};

pub use args::{Action, Args, BenchArgs};
pub use commands::pairs::{Pair, PairError};

/// Keys asked for at a time.
const SCAN_COUNT: &[u8] = b"512";

/// Why a command failed. Its text is for the person at the terminal.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// `rm` of a key that is not there.
    #[error("Key not found")]
    KeyNotFound,
    /// There is no server.
    #[error("cannot connect to {addr}: {source}; is kvs-server running there?")]
    Connect {
        /// The address.
        addr: SocketAddr,
        /// What went wrong.
        source: wire::ClientError,
    },
    /// The connection broke.
    #[error("{0}; whether the server did what it was asked is unknown")]
    Connection(#[from] wire::ClientError),
    /// The server answered with an error.
    #[error("the server answered: {0}")]
    Refused(String),
    /// The server answered what no server should.
    #[error("the server answered in an unexpected form: {0}")]
    Unexpected(String),
    /// The password file cannot be used.
    #[error("--password-file: {0}")]
    Password(#[from] SecretError),
    /// A file cannot be read or written.
    #[error("cannot {op} {path}: {source}")]
    File {
        /// What was attempted, as a verb.
        op: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Standard output is gone.
    #[error("cannot write to standard output: {0}")]
    Output(#[source] io::Error),
    /// A line of an import is not a pair.
    #[error("{path}, line {line}: {source}; {stored}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: u64,
        /// What is wrong with it.
        source: PairError,
        /// What has been stored.
        stored: Stored,
    },
    /// A pair of an import was refused by the server.
    #[error("{path}, line {line}: the server answered: {message}; {stored}")]
    LineRefused {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: u64,
        /// What the server said.
        message: String,
        /// What has been stored.
        stored: Stored,
    },
    /// The connection broke during an import.
    #[error("{source}; {stored}; importing the file again is safe")]
    ImportCut {
        /// What went wrong.
        source: wire::ClientError,
        /// What is known to be stored.
        stored: Stored,
    },
    /// The load generator could not start or lost a connection.
    #[error("bench against {addr}: {source}")]
    Bench {
        /// Where the server is, or should be.
        addr: SocketAddr,
        /// What went wrong.
        source: io::Error,
    },
}

/// How many pairs of an import the server has acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored(pub u64);

impl std::fmt::Display for Stored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            0 => f.write_str("nothing was stored"),
            1 => f.write_str("1 pair was stored"),
            n => write!(f, "{n} pairs were stored"),
        }
    }
}

type Server = Client<TcpStream>;

/// Does what `args` ask for and prints results to `out`.
///
/// # Errors
/// See [`Failure`].
pub fn run(args: Args, out: &mut dyn Write) -> Result<(), Failure> {
    let password = args
        .password_file
        .as_deref()
        .map(Secret::read)
        .transpose()?;
    let timeout = Duration::from_secs(args.timeout_s);
    let connect = || connect(args.addr, timeout, password.as_ref());
    match args.action {
        Action::Set { key, value } => {
            let (key, value) = (key.into_vec(), value.into_vec());
            checked(connect()?.call(&[b"SET", &key, &value])?).map(drop)
        }
        Action::Get { key } => get(&mut connect()?, &key.into_vec(), out),
        Action::Rm { key } => match checked(connect()?.call(&[b"DEL", &key.into_vec()])?)? {
            Reply::Integer(0) => Err(Failure::KeyNotFound),
            Reply::Integer(_) => Ok(()),
            other => Err(unexpected(&other)),
        },
        Action::Scan {
            pattern,
            limit,
            json,
        } => scan(
            &mut connect()?,
            pattern,
            limit.unwrap_or(usize::MAX),
            json,
            out,
        ),
        Action::Import { file } => transfer::import(&mut connect()?, &file),
        Action::Export { file, pattern } => {
            transfer::export(&mut connect()?, &file, pattern.map(OsString::into_vec), out)
        }
        Action::Bench(bench) => bench::run(&bench, args.addr, timeout, password.as_ref(), out),
        Action::Completions { shell } => {
            use clap::CommandFactory;
            clap_complete::generate(shell, &mut Args::command(), "kvs-client", &mut { out });
            Ok(())
        }
    }
}

fn connect(
    addr: SocketAddr,
    timeout: Duration,
    password: Option<&Secret>,
) -> Result<Server, Failure> {
    let mut server =
        Client::connect(addr, timeout).map_err(|source| Failure::Connect { addr, source })?;
    if let Some(password) = password {
        checked(server.call(&[b"AUTH", password.as_bytes()])?)?;
    }
    Ok(server)
}

fn get(server: &mut Server, key: &[u8], out: &mut dyn Write) -> Result<(), Failure> {
    let value = match checked(server.call(&[b"GET", key])?)? {
        Reply::Bulk(value) => value,
        Reply::Null => Bytes::from_static(b"Key not found"),
        other => return Err(unexpected(&other)),
    };
    print(out, &value)
}

fn scan(
    server: &mut Server,
    pattern: Option<OsString>,
    limit: usize,
    json: bool,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let pattern = pattern.map(OsString::into_vec);
    let mut cursor = Cursor::new(pattern);
    let mut left = limit;
    while left > 0
        && let Some(mut keys) = cursor.next(server)?
    {
        keys.truncate(left);
        if json {
            left -= transfer::fetch(server, &keys, |pair| print(out, pair.to_json().as_bytes()))?;
        } else {
            for key in &keys {
                print(out, key)?;
            }
            left -= keys.len();
        }
    }
    out.flush().map_err(Failure::Output)
}

/// A SCAN under way.
struct Cursor {
    pattern: Vec<u8>,
    /// What to continue from; `None` at the end.
    at: Option<Bytes>,
}

impl Cursor {
    fn new(pattern: Option<Vec<u8>>) -> Self {
        Self {
            pattern: pattern.unwrap_or_else(|| b"*".to_vec()),
            at: Some(Bytes::from_static(b"0")),
        }
    }

    /// Some more keys, possibly none; `None` after the last.
    fn next(&mut self, server: &mut Server) -> Result<Option<Vec<Bytes>>, Failure> {
        let Some(at) = self.at.take() else {
            return Ok(None);
        };
        let reply = server.call(&[b"SCAN", &at, b"MATCH", &self.pattern, b"COUNT", SCAN_COUNT])?;
        let reply = checked(reply)?;
        let Reply::Array(parts) = &reply else {
            return Err(unexpected(&reply));
        };
        let [Reply::Bulk(next), Reply::Array(keys)] = &parts[..] else {
            return Err(unexpected(&reply));
        };
        if &next[..] != b"0" {
            self.at = Some(next.clone());
        }
        keys.iter()
            .map(|key| match key {
                Reply::Bulk(key) => Ok(key.clone()),
                other => Err(unexpected(other)),
            })
            .collect::<Result<_, _>>()
            .map(Some)
    }
}

fn print(out: &mut dyn Write, line: &[u8]) -> Result<(), Failure> {
    out.write_all(line)
        .and_then(|()| out.write_all(b"\n"))
        .map_err(Failure::Output)
}

/// Turns an error reply into a failure.
fn checked(reply: Reply) -> Result<Reply, Failure> {
    match reply {
        Reply::Error(message) => Err(Failure::Refused(message.into_owned())),
        other => Ok(other),
    }
}

fn unexpected(reply: &Reply) -> Failure {
    const LONGEST: usize = 200;
    let mut text = format!("{reply:?}");
    if text.len() > LONGEST {
        text.truncate(text.floor_char_boundary(LONGEST));
        text.push_str(" ...");
    }
    Failure::Unexpected(text)
}
