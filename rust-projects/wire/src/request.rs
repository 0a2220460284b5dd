//! Requests: what a client sends, parsed as it arrives.
//!
//! A request is an array of byte strings (`*2 CRLF $3 CRLF GET CRLF $1 CRLF k CRLF`) or an inline command, a line of
//! words. Empty requests are skipped, as Redis skips them.
//!
//! What it guarantees. Every finished piece leaves the buffer at once, so nothing is scanned twice, except a length line
//! of at most 22 bytes. A length is checked against [`Limits`] when it is read, and nothing is reserved for it;
//! [`RequestParser::reserve`] never doubles more than what has arrived. An error is final: the stream has no next frame.
//!
//! What it does not. Arguments are slices of the read buffer, which lives as long as one of them: who keeps an argument
//! for long copies it.

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr;
use thiserror::Error;

use crate::Reply;
use crate::inline;
use crate::length::{Length, parse_length};
use crate::stream::{self, READ_CHUNK_BYTES};

/// A request above this may have grown the read buffer, whose memory is then given back.
const RETAINED_BYTES: usize = 64 * 1024;

/// Arguments for which room is reserved on the word of the client.
const ARGS_RESERVED: usize = 16;

/// What a client may send; checked when a length is declared, before anything is reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Arguments of one request, the command's name included.
    pub max_args: usize,
    /// Bytes of one argument.
    pub max_arg_bytes: usize,
    /// Bytes of one request as sent, length lines included.
    pub max_request_bytes: usize,
    /// Bytes of one inline command, without its line end.
    pub max_inline_bytes: usize,
}

impl Limits {
    /// What Redis allows a connection that has not yet authenticated: ten arguments of 16 KiB.
    pub const UNAUTHENTICATED: Self = Self {
        max_args: 10,
        max_arg_bytes: 16 * 1024,
        max_request_bytes: 256 * 1024,
        max_inline_bytes: 64 * 1024,
    };
}

impl Default for Limits {
    /// 1,048,576 arguments, 512 MiB per argument, 1 GiB per request, 64 KiB inline: the defaults of Redis.
    fn default() -> Self {
        Self {
            max_args: 1024 * 1024,
            max_arg_bytes: 512 * 1024 * 1024,
            max_request_bytes: 1024 * 1024 * 1024,
            max_inline_bytes: 64 * 1024,
        }
    }
}

/// Why a stream of requests cannot be read on. The text is that of Redis where Redis has one.
///
/// The server should answer with [`ProtocolError::to_reply`] and close the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ProtocolError {
    /// The number of arguments is not a number or above [`Limits::max_args`].
    #[error("Protocol error: invalid multibulk length")]
    InvalidMultibulkLength,
    /// The length of an argument is not a number, negative, or above [`Limits::max_arg_bytes`].
    #[error("Protocol error: invalid bulk length")]
    InvalidBulkLength,
    /// An argument does not begin with `$`, but with this byte.
    #[error("Protocol error: expected '$', got '{}'", printable(*.0))]
    ExpectedDollar(u8),
    /// An argument is not followed by CRLF. Redis does not look.
    #[error("Protocol error: expected CRLF after bulk")]
    ExpectedCrlf,
    /// An inline command exceeds [`Limits::max_inline_bytes`].
    #[error("Protocol error: too big inline request")]
    TooBigInline,
    /// The quotes of an inline command do not match.
    #[error("Protocol error: unbalanced quotes in request")]
    UnbalancedQuotes,
    /// An inline command is `POST` or `Host:`, so the other end speaks HTTP: a web page has its visitor's browser send commands
    /// as the body of a request (cross-protocol scripting). Redis closes the connection without a word.
    #[error("Protocol error: this is HTTP, not RESP")]
    Http,
    /// The request exceeds [`Limits::max_request_bytes`]. Redis closes the connection without a word.
    #[error("Protocol error: too big request")]
    TooBigRequest,
}

impl ProtocolError {
    /// The answer to send before closing: the text after the code `ERR`.
    pub fn to_reply(&self) -> Reply {
        Reply::error(format!("ERR {self}"))
    }
}

fn printable(byte: u8) -> String {
    if byte == b' ' || byte.is_ascii_graphic() {
        char::from(byte).to_string()
    } else {
        byte.escape_ascii().to_string()
    }
}

/// A request: the command's name and its arguments. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The name first. Slices of the read buffer.
    pub args: Vec<Bytes>,
}

/// Appends a request to `out` as an array of byte strings, the form every command has on the wire.
pub fn encode_request<A: AsRef<[u8]>>(args: &[A], out: &mut Vec<u8>) {
    let mut digits = itoa::Buffer::new();
    out.push(b'*');
    out.extend_from_slice(digits.format(args.len()).as_bytes());
    out.extend_from_slice(b"\r\n");
    for arg in args {
        let arg = arg.as_ref();
        out.push(b'$');
        out.extend_from_slice(digits.format(arg.len()).as_bytes());
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
}

/// Where the parser stands in the stream.
#[derive(Debug, Clone, Copy)]
enum State {
    /// Between requests; this many bytes of an inline command hold no line end.
    Start { scanned: usize },
    /// In an array, before the length line of an argument; this many arguments are missing.
    Header { missing: usize },
    /// In an array, before the bytes of an argument; this one included, this many arguments are missing.
    Body { missing: usize, len: usize },
    /// The stream was refused.
    Failed(ProtocolError),
}

/// Incremental parser of one connection's requests. See the module's text for what it guarantees.
#[derive(Debug)]
pub struct RequestParser {
    limits: Limits,
    state: State,
    /// Arguments of the unfinished request.
    args: Vec<Bytes>,
    /// Bytes of the unfinished request consumed or promised so far.
    request_bytes: usize,
    /// A request above [`RETAINED_BYTES`] went through the buffer, so its allocation may be large.
    oversized: bool,
    #[cfg(test)]
    examined: usize,
}

impl Default for RequestParser {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl RequestParser {
    /// A parser at the start of a stream.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: State::Start { scanned: 0 },
            args: Vec::new(),
            request_bytes: 0,
            oversized: false,
            #[cfg(test)]
            examined: 0,
        }
    }

    /// Changes the limits from the next length on, as after authentication.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Whether the stream may end here without cutting a request, given what is left in the buffer.
    pub fn is_between_requests(&self, buf: &BytesMut) -> bool {
        buf.is_empty() && matches!(self.state, State::Start { .. })
    }

    /// Takes the next request from the front of `buf`, or `None` if it has not arrived in full.
    ///
    /// Between calls bytes may only be appended to `buf`.
    ///
    /// # Errors
    ///
    /// A [`ProtocolError`] when the stream is not RESP or exceeds the limits; every later call returns the same.
    #[inline]
    pub fn parse(&mut self, buf: &mut BytesMut) -> Result<Option<Request>, ProtocolError> {
        let parsed = self.advance(buf);
        if let Err(error) = parsed {
            self.state = State::Failed(error);
            self.args = Vec::new();
        }
        parsed
    }

    /// Takes back a request that is done with, for its memory: the next one then allocates nothing.
    pub fn recycle(&mut self, request: Request) {
        let mut args = request.args;
        args.clear();
        if self.args.capacity() == 0 && args.capacity() <= ARGS_RESERVED {
            self.args = args;
        }
    }

    /// Makes room in `buf` for the next read: one chunk, or up to as much as has already arrived if a large argument
    /// is on its way. Gives back the memory of an earlier large request.
    pub fn reserve(&mut self, buf: &mut BytesMut) {
        if self.oversized && buf.len() < READ_CHUNK_BYTES {
            // Reserving in place would reuse, and so keep, the large allocation.
            let mut fresh = BytesMut::with_capacity(2 * READ_CHUNK_BYTES);
            fresh.extend_from_slice(buf);
            *buf = fresh;
            self.oversized = false;
        }
        let missing = match self.state {
            State::Body { len, .. } => (len + 2).saturating_sub(buf.len()),
            _ => 0,
        };
        stream::reserve(buf, missing);
    }

    fn advance(&mut self, buf: &mut BytesMut) -> Result<Option<Request>, ProtocolError> {
        loop {
            let progress = match self.state {
                State::Start { scanned } => match buf.first() {
                    None => return Ok(None),
                    Some(b'*') => self.multibulk_header(buf)?,
                    Some(_) => self.inline(buf, scanned)?,
                },
                State::Header { missing } => self.bulk_header(buf, missing)?,
                State::Body { missing, len } => self.bulk_body(buf, missing, len)?,
                State::Failed(error) => return Err(error),
            };
            match progress {
                Progress::Incomplete => return Ok(None),
                Progress::Step => {}
                Progress::Complete => {
                    self.oversized |= self.request_bytes > RETAINED_BYTES;
                    self.state = State::Start { scanned: 0 };
                    let args = std::mem::take(&mut self.args);
                    return Ok(Some(Request { args }));
                }
            }
        }
    }

    /// `*<number of arguments> CRLF`.
    #[inline]
    fn multibulk_header(&mut self, buf: &mut BytesMut) -> Result<Progress, ProtocolError> {
        let (count, line_len) = match self.length_line(buf) {
            Length::Incomplete => return Ok(Progress::Incomplete),
            Length::Invalid => return Err(ProtocolError::InvalidMultibulkLength),
            Length::Complete(count, line_len) => (count, line_len),
        };
        // A count of zero or below is an empty request: nothing follows.
        let count = usize::try_from(count).unwrap_or(0);
        if count > self.limits.max_args {
            return Err(ProtocolError::InvalidMultibulkLength);
        }
        buf.advance(line_len);
        if count > 0 {
            self.request_bytes = 0;
            self.promise(line_len)?;
            self.args.reserve_exact(count.min(ARGS_RESERVED));
            self.state = State::Header { missing: count };
        }
        Ok(Progress::Step)
    }

    /// `$<length> CRLF`.
    #[inline]
    fn bulk_header(
        &mut self,
        buf: &mut BytesMut,
        missing: usize,
    ) -> Result<Progress, ProtocolError> {
        match buf.first() {
            None => return Ok(Progress::Incomplete),
            Some(b'$') => {}
            Some(other) => return Err(ProtocolError::ExpectedDollar(*other)),
        }
        let (len, line_len) = match self.length_line(buf) {
            Length::Incomplete => return Ok(Progress::Incomplete),
            Length::Invalid => return Err(ProtocolError::InvalidBulkLength),
            Length::Complete(len, line_len) => (len, line_len),
        };
        let len = usize::try_from(len)
            .ok()
            .filter(|len| *len <= self.limits.max_arg_bytes)
            .ok_or(ProtocolError::InvalidBulkLength)?;
        self.promise(line_len.saturating_add(len).saturating_add(2))?;
        buf.advance(line_len);
        self.state = State::Body { missing, len };
        Ok(Progress::Step)
    }

    /// The bytes of an argument and CRLF.
    #[inline]
    fn bulk_body(
        &mut self,
        buf: &mut BytesMut,
        missing: usize,
        len: usize,
    ) -> Result<Progress, ProtocolError> {
        let Some(end) = buf.get(len..).and_then(|rest| rest.get(..2)) else {
            return Ok(Progress::Incomplete);
        };
        if end != b"\r\n" {
            return Err(ProtocolError::ExpectedCrlf);
        }
        self.args.push(buf.split_to(len).freeze());
        buf.advance(2);
        if missing == 1 {
            return Ok(Progress::Complete);
        }
        self.state = State::Header {
            missing: missing - 1,
        };
        Ok(Progress::Step)
    }

    fn inline(&mut self, buf: &mut BytesMut, scanned: usize) -> Result<Progress, ProtocolError> {
        let unseen = &buf[scanned..];
        let found = memchr(b'\n', unseen);
        #[cfg(test)]
        {
            self.examined += found.unwrap_or(unseen.len());
        }
        let Some(line_len) = found.map(|at| scanned + at) else {
            if buf.len() > self.limits.max_inline_bytes {
                return Err(ProtocolError::TooBigInline);
            }
            self.state = State::Start { scanned: buf.len() };
            return Ok(Progress::Incomplete);
        };
        if line_len > self.limits.max_inline_bytes {
            return Err(ProtocolError::TooBigInline);
        }
        let mut line = buf.split_to(line_len).freeze();
        buf.advance(1);
        if line.ends_with(b"\r") {
            line.truncate(line.len() - 1);
        }
        inline::split(&line, &mut self.args).map_err(|_| ProtocolError::UnbalancedQuotes)?;
        if self.args.len() > self.limits.max_args {
            return Err(ProtocolError::InvalidMultibulkLength);
        }
        if self.args.first().is_some_and(|word| is_http(word)) {
            return Err(ProtocolError::Http);
        }
        self.request_bytes = line_len;
        self.state = State::Start { scanned: 0 };
        Ok(if self.args.is_empty() {
            Progress::Step
        } else {
            Progress::Complete
        })
    }

    /// Reads the length line at the front, its type byte included.
    #[inline]
    fn length_line(&mut self, buf: &BytesMut) -> Length {
        let length = parse_length(&buf[1..]);
        #[cfg(test)]
        {
            self.examined += buf.len().min(1 + crate::length::MAX_LINE_BYTES);
        }
        match length {
            Length::Complete(value, line_len) => Length::Complete(value, 1 + line_len),
            other => other,
        }
    }

    /// Counts bytes that belong to the request, arrived or not.
    #[inline]
    fn promise(&mut self, bytes: usize) -> Result<(), ProtocolError> {
        self.request_bytes = self.request_bytes.saturating_add(bytes);
        if self.request_bytes > self.limits.max_request_bytes {
            return Err(ProtocolError::TooBigRequest);
        }
        Ok(())
    }
}

/// Whether a line that begins with `word` is one that browsers send and no client of Redis does.
fn is_http(word: &[u8]) -> bool {
    word.eq_ignore_ascii_case(b"POST") || word.eq_ignore_ascii_case(b"Host:")
}

enum Progress {
    /// More must arrive.
    Incomplete,
    /// The state changed.
    Step,
    /// `args` holds a request.
    Complete,
}

#[cfg(test)]
mod tests {
    use super::{RequestParser, encode_request};
    use bytes::BytesMut;

    /// Bytes the parser looked at in a stream that arrives in pieces of this length.
    fn examined(stream: &[u8], piece_len: usize) -> usize {
        let mut parser = RequestParser::default();
        let mut buf = BytesMut::new();
        for piece in stream.chunks(piece_len) {
            buf.extend_from_slice(piece);
            while parser.parse(&mut buf).expect("a valid stream").is_some() {}
        }
        parser.examined
    }

    #[test]
    fn a_large_argument_that_trickles_in_is_never_scanned() {
        let mut stream = Vec::new();
        encode_request(&[b"SET".as_slice(), b"k", &[b'v'; 1 << 20]], &mut stream);
        let whole = examined(&stream, stream.len());
        let trickled = examined(&stream, 1);
        assert!(whole < 128, "{whole} bytes");
        // A length line of n bytes is looked at n times, each time in full.
        assert!(trickled < 256, "{trickled} bytes");
    }

    #[test]
    fn many_arguments_that_trickle_in_cost_a_constant_each() {
        let args = vec![b"0123456789"; 10_000];
        let mut stream = Vec::new();
        encode_request(&args, &mut stream);
        let trickled = examined(&stream, 1);
        assert!(trickled < 32 * args.len(), "{trickled} bytes");
    }

    #[test]
    fn an_inline_request_that_trickles_in_is_scanned_once() {
        let mut stream = vec![b'a'; 60_000];
        stream.push(b'\n');
        let trickled = examined(&stream, 1);
        assert!(trickled <= stream.len(), "{trickled} bytes");
    }
}
