//! Replies as a client reads them, RESP2 and RESP3 alike.
//!
//! What it guarantees. A server that lies cannot make the client recurse, hang on a scan or reserve memory: nesting is a
//! stack of bounded depth, every finished piece leaves the buffer at once, and all lengths are checked against
//! [`ReplyLimits`] when read. An error is final: the stream has no next reply.
//!
//! What it does not. Attributes (`|`) are read and dropped. Text that is not UTF-8 in a status or an error is read
//! with replacement characters. Streamed strings and aggregates (`?` for a length) are refused: Redis sends none.

use std::borrow::Cow;

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr;
use thiserror::Error;

use crate::Reply;
use crate::length::{Length, parse_length};
use crate::stream;

/// Elements for which room is reserved on the word of the server.
const ELEMENTS_RESERVED: usize = 16;

/// What a server may answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyLimits {
    /// Aggregates within one another.
    pub max_depth: usize,
    /// Elements of one reply, those of nested aggregates included.
    pub max_elements: usize,
    /// Bytes of one byte string.
    pub max_bulk_bytes: usize,
    /// Bytes of one line, as of a status, an error or a number, without its line end.
    pub max_line_bytes: usize,
    /// Bytes of one reply as sent.
    pub max_reply_bytes: usize,
}

impl Default for ReplyLimits {
    /// Depth 32, 16,777,216 elements, 512 MiB per string, 64 KiB per line, 1 GiB per reply.
    fn default() -> Self {
        Self {
            max_depth: 32,
            max_elements: 16 * 1024 * 1024,
            max_bulk_bytes: 512 * 1024 * 1024,
            max_line_bytes: 64 * 1024,
            max_reply_bytes: 1024 * 1024 * 1024,
        }
    }
}

/// Why a stream of replies cannot be read on. The connection is of no further use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ReplyError {
    /// No type of reply begins with this byte.
    #[error("malformed reply: unknown type '{}'", .0.escape_ascii())]
    UnknownType(u8),
    /// A length is not a number, or negative where nothing may be absent.
    #[error("malformed reply: invalid length")]
    InvalidLength,
    /// An integer, double, boolean, big number or null that is none.
    #[error("malformed reply: invalid {0}")]
    InvalidValue(&'static str),
    /// A line or byte string does not end with CRLF.
    #[error("malformed reply: expected CRLF")]
    ExpectedCrlf,
    /// A streamed string or aggregate.
    #[error("unsupported reply: streamed strings and aggregates are not read")]
    Streamed,
    /// More aggregates within one another than [`ReplyLimits::max_depth`].
    #[error("reply too big: nested too deeply")]
    TooDeep,
    /// More elements than [`ReplyLimits::max_elements`].
    #[error("reply too big: too many elements")]
    TooManyElements,
    /// More bytes than one of [`ReplyLimits`] allows.
    #[error("reply too big: too many bytes")]
    TooManyBytes,
}

/// An aggregate whose elements have not all arrived.
#[derive(Debug)]
struct Frame {
    kind: Aggregate,
    missing: usize,
    items: Vec<Reply>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aggregate {
    Array,
    Map,
    Set,
    Push,
    Attribute,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blob {
    Bulk,
    Error,
    Verbatim,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Before a type byte; this many bytes after it hold no line end.
    Start {
        scanned: usize,
    },
    /// Before the bytes of a byte string.
    Body {
        kind: Blob,
        len: usize,
    },
    Failed(ReplyError),
}

/// A step of the parser.
enum Piece {
    Value(Reply),
    Open(Aggregate, usize),
    /// A byte string's length was read: its bytes are next.
    Body,
}

/// Incremental parser of one connection's replies. See the module's text for what it guarantees.
#[derive(Debug)]
pub struct ReplyParser {
    limits: ReplyLimits,
    state: State,
    open: Vec<Frame>,
    elements: usize,
    reply_bytes: usize,
    #[cfg(test)]
    examined: usize,
}

impl Default for ReplyParser {
    fn default() -> Self {
        Self::new(ReplyLimits::default())
    }
}

impl ReplyParser {
    /// A parser at the start of a stream.
    pub fn new(limits: ReplyLimits) -> Self {
        Self {
            limits,
            state: State::Start { scanned: 0 },
            open: Vec::new(),
            elements: 0,
            reply_bytes: 0,
            #[cfg(test)]
            examined: 0,
        }
    }

    /// Takes the next reply from the front of `buf`, or `None` if it has not arrived in full.
    ///
    /// Between calls bytes may only be appended to `buf`. Byte strings are slices of `buf`.
    ///
    /// # Errors
    ///
    /// A [`ReplyError`] when the stream is not RESP or exceeds the limits; every later call returns the same.
    pub fn parse(&mut self, buf: &mut BytesMut) -> Result<Option<Reply>, ReplyError> {
        let parsed = self.advance(buf);
        match parsed {
            Ok(Some(_)) => {
                self.elements = 0;
                self.reply_bytes = 0;
            }
            Ok(None) => {}
            Err(error) => {
                self.state = State::Failed(error);
                self.open = Vec::new();
            }
        }
        parsed
    }

    /// Makes room in `buf` for the next read: one chunk, or up to as much as has already arrived if a large byte string
    /// is on its way.
    pub fn reserve(&self, buf: &mut BytesMut) {
        let missing = match self.state {
            State::Body { len, .. } => (len + 2).saturating_sub(buf.len()),
            _ => 0,
        };
        stream::reserve(buf, missing);
    }

    fn advance(&mut self, buf: &mut BytesMut) -> Result<Option<Reply>, ReplyError> {
        loop {
            let piece = match self.state {
                State::Start { scanned } => self.piece(buf, scanned)?,
                State::Body { kind, len } => self.body(buf, kind, len)?.map(Piece::Value),
                State::Failed(error) => return Err(error),
            };
            let finished = match piece {
                None => return Ok(None),
                Some(Piece::Body) => continue,
                Some(Piece::Open(kind, count)) => self.open(kind, count)?,
                Some(Piece::Value(value)) => Some(value),
            };
            if let Some(reply) = finished.and_then(|value| self.attach(value)) {
                return Ok(Some(reply));
            }
        }
    }

    /// Reads a whole line reply, or the length line of anything longer.
    fn piece(&mut self, buf: &mut BytesMut, scanned: usize) -> Result<Option<Piece>, ReplyError> {
        let Some(&kind) = buf.first() else {
            return Ok(None);
        };
        match kind {
            b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' => {
                let line = self.line(buf, scanned)?;
                line.map(|line| line_value(kind, &line).map(Piece::Value))
                    .transpose()
            }
            b'$' | b'!' | b'=' => self.blob_header(buf, kind),
            b'*' | b'%' | b'~' | b'>' | b'|' => self.aggregate_header(buf, kind),
            other => Err(ReplyError::UnknownType(other)),
        }
    }

    /// Takes the type byte and a line, and returns the line without its end.
    fn line(&mut self, buf: &mut BytesMut, scanned: usize) -> Result<Option<Bytes>, ReplyError> {
        let unseen = &buf[1 + scanned..];
        let found = memchr(b'\r', unseen);
        #[cfg(test)]
        {
            self.examined += found.unwrap_or(unseen.len());
        }
        let len = scanned + found.unwrap_or(unseen.len());
        if len > self.limits.max_line_bytes {
            return Err(ReplyError::TooManyBytes);
        }
        match (found, buf.get(1 + len + 1)) {
            (None, _) | (_, None) => {
                self.state = State::Start { scanned: len };
                Ok(None)
            }
            (Some(_), Some(b'\n')) => {
                self.promise(1 + len + 2)?;
                self.state = State::Start { scanned: 0 };
                buf.advance(1);
                let line = buf.split_to(len).freeze();
                buf.advance(2);
                Ok(Some(line))
            }
            (Some(_), Some(_)) => Err(ReplyError::ExpectedCrlf),
        }
    }

    fn blob_header(&mut self, buf: &mut BytesMut, kind: u8) -> Result<Option<Piece>, ReplyError> {
        let Some(len) = self.length_line(buf)? else {
            return Ok(None);
        };
        if kind == b'$' && len == -1 {
            return Ok(Some(Piece::Value(Reply::Null)));
        }
        let len = usize::try_from(len).map_err(|_| ReplyError::InvalidLength)?;
        if len > self.limits.max_bulk_bytes {
            return Err(ReplyError::TooManyBytes);
        }
        self.promise(len.saturating_add(2))?;
        let kind = match kind {
            b'$' => Blob::Bulk,
            b'!' => Blob::Error,
            _ => Blob::Verbatim,
        };
        self.state = State::Body { kind, len };
        Ok(Some(Piece::Body))
    }

    fn body(
        &mut self,
        buf: &mut BytesMut,
        kind: Blob,
        len: usize,
    ) -> Result<Option<Reply>, ReplyError> {
        let Some(end) = buf.get(len..).and_then(|rest| rest.get(..2)) else {
            return Ok(None);
        };
        if end != b"\r\n" {
            return Err(ReplyError::ExpectedCrlf);
        }
        let bytes = buf.split_to(len).freeze();
        buf.advance(2);
        self.state = State::Start { scanned: 0 };
        match kind {
            Blob::Bulk => Ok(Some(Reply::Bulk(bytes))),
            Blob::Error => Ok(Some(Reply::Error(owned_text(&bytes)))),
            Blob::Verbatim => match bytes.as_ref() {
                [a, b, c, b':', ..] => Ok(Some(Reply::Verbatim {
                    format: [*a, *b, *c],
                    text: bytes.slice(4..),
                })),
                _ => Err(ReplyError::InvalidValue("verbatim string")),
            },
        }
    }

    fn aggregate_header(
        &mut self,
        buf: &mut BytesMut,
        kind: u8,
    ) -> Result<Option<Piece>, ReplyError> {
        let Some(count) = self.length_line(buf)? else {
            return Ok(None);
        };
        if kind == b'*' && count == -1 {
            return Ok(Some(Piece::Value(Reply::NullArray)));
        }
        let count = usize::try_from(count).map_err(|_| ReplyError::InvalidLength)?;
        let (kind, per_entry) = match kind {
            b'*' => (Aggregate::Array, 1),
            b'%' => (Aggregate::Map, 2),
            b'~' => (Aggregate::Set, 1),
            b'>' => (Aggregate::Push, 1),
            _ => (Aggregate::Attribute, 2),
        };
        Ok(Some(Piece::Open(kind, count.saturating_mul(per_entry))))
    }

    /// Takes a type byte and the length line behind it.
    fn length_line(&mut self, buf: &mut BytesMut) -> Result<Option<i64>, ReplyError> {
        #[cfg(test)]
        {
            self.examined += buf.len().min(1 + crate::length::MAX_LINE_BYTES);
        }
        match parse_length(&buf[1..]) {
            Length::Incomplete => Ok(None),
            Length::Invalid if buf.get(1) == Some(&b'?') => Err(ReplyError::Streamed),
            Length::Invalid => Err(ReplyError::InvalidLength),
            Length::Complete(value, line_len) => {
                self.promise(1 + line_len)?;
                buf.advance(1 + line_len);
                Ok(Some(value))
            }
        }
    }

    /// Begins an aggregate; one without elements is finished at once.
    fn open(&mut self, kind: Aggregate, count: usize) -> Result<Option<Reply>, ReplyError> {
        if self.open.len() >= self.limits.max_depth {
            return Err(ReplyError::TooDeep);
        }
        self.elements = self.elements.saturating_add(count);
        if self.elements > self.limits.max_elements {
            return Err(ReplyError::TooManyElements);
        }
        let frame = Frame {
            kind,
            missing: count,
            items: Vec::with_capacity(count.min(ELEMENTS_RESERVED)),
        };
        if count == 0 {
            return Ok(frame.close());
        }
        self.open.push(frame);
        Ok(None)
    }

    /// Puts a finished value into the innermost open aggregate, and closes those that are complete with it. Returns the
    /// value if no aggregate is left open.
    fn attach(&mut self, mut value: Reply) -> Option<Reply> {
        while let Some(mut frame) = self.open.pop() {
            frame.items.push(value);
            frame.missing -= 1;
            if frame.missing > 0 {
                self.open.push(frame);
                return None;
            }
            value = frame.close()?;
        }
        Some(value)
    }

    /// Counts bytes that belong to the reply, arrived or not.
    fn promise(&mut self, bytes: usize) -> Result<(), ReplyError> {
        self.reply_bytes = self.reply_bytes.saturating_add(bytes);
        if self.reply_bytes > self.limits.max_reply_bytes {
            return Err(ReplyError::TooManyBytes);
        }
        Ok(())
    }
}

impl Frame {
    /// The finished aggregate; none for an attribute, which says something about the value behind it.
    fn close(self) -> Option<Reply> {
        match self.kind {
            Aggregate::Array => Some(Reply::Array(self.items)),
            Aggregate::Set => Some(Reply::Set(self.items)),
            Aggregate::Push => Some(Reply::Push(self.items)),
            Aggregate::Map => {
                let mut items = self.items.into_iter();
                let pairs = std::iter::from_fn(|| Some((items.next()?, items.next()?)));
                Some(Reply::Map(pairs.collect()))
            }
            Aggregate::Attribute => None,
        }
    }
}

/// The reply of a type that is one line long.
fn line_value(kind: u8, line: &Bytes) -> Result<Reply, ReplyError> {
    let text = std::str::from_utf8(line);
    match kind {
        b'+' if line.as_ref() == b"OK" => Ok(Reply::OK),
        b'+' => Ok(Reply::Simple(owned_text(line))),
        b'-' => Ok(Reply::Error(owned_text(line))),
        b':' => match text.map(str::parse) {
            Ok(Ok(value)) => Ok(Reply::Integer(value)),
            _ => Err(ReplyError::InvalidValue("integer")),
        },
        b',' => match text.map(str::parse) {
            Ok(Ok(value)) => Ok(Reply::Double(value)),
            _ => Err(ReplyError::InvalidValue("double")),
        },
        b'#' => match line.as_ref() {
            b"t" => Ok(Reply::Boolean(true)),
            b"f" => Ok(Reply::Boolean(false)),
            _ => Err(ReplyError::InvalidValue("boolean")),
        },
        b'(' => {
            let digits = line.strip_prefix(b"-").unwrap_or(line);
            if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
                return Err(ReplyError::InvalidValue("big number"));
            }
            Ok(Reply::BigNumber(line.clone()))
        }
        _ if line.is_empty() => Ok(Reply::Null),
        _ => Err(ReplyError::InvalidValue("null")),
    }
}

fn owned_text(bytes: &[u8]) -> Cow<'static, str> {
    Cow::Owned(String::from_utf8_lossy(bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::ReplyParser;
    use crate::{Protocol, Reply};
    use bytes::BytesMut;

    /// Bytes the parser looked at in a reply that arrives byte by byte.
    fn examined(reply: &Reply) -> (usize, usize) {
        let mut stream = Vec::new();
        reply.encode(Protocol::Resp3, &mut stream);
        let mut parser = ReplyParser::default();
        let mut buf = BytesMut::new();
        for byte in &stream[..stream.len() - 1] {
            buf.extend_from_slice(&[*byte]);
            assert_eq!(parser.parse(&mut buf), Ok(None));
        }
        buf.extend_from_slice(&stream[stream.len() - 1..]);
        assert_eq!(parser.parse(&mut buf).as_ref(), Ok(&Some(reply.clone())));
        (parser.examined, stream.len())
    }

    #[test]
    fn a_large_byte_string_that_trickles_in_is_never_scanned() {
        let (examined, _) = examined(&Reply::bulk(vec![b'v'; 1 << 20]));
        assert!(examined < 128, "{examined} bytes");
    }

    #[test]
    fn a_long_line_that_trickles_in_is_scanned_once() {
        let (examined, sent) = examined(&Reply::error("e".repeat(60_000)));
        assert!(examined <= sent, "{examined} of {sent} bytes");
    }

    #[test]
    fn many_elements_that_trickle_in_cost_a_constant_each() {
        let (examined, _) = examined(&Reply::Array(vec![Reply::bulk("0123456789"); 10_000]));
        assert!(examined < 32 * 10_000, "{examined} bytes");
    }
}
