//! What a server answers.

use std::borrow::Cow;
use std::io::Write;

use bytes::Bytes;
use memchr::memchr2;

/// The protocol version a connection speaks; 2 until the client sends `HELLO 3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// RESP2.
    #[default]
    Resp2,
    /// RESP3.
    Resp3,
}

/// A reply, independent of the protocol version it will be encoded in.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// A status such as `OK`.
    Simple(Cow<'static, str>),
    /// An error with its code first, such as `ERR syntax error`.
    Error(Cow<'static, str>),
    /// A signed integer.
    Integer(i64),
    /// A byte string.
    Bulk(Bytes),
    /// Absence of a value: `$-1` in RESP2, `_` in RESP3.
    Null,
    /// Absence of an array, as of an aborted EXEC: `*-1` in RESP2, `_` in RESP3.
    NullArray,
    /// A sequence.
    Array(Vec<Reply>),
    /// Key-value pairs in order; RESP2 sends them flattened into an array.
    Map(Vec<(Reply, Reply)>),
    /// A sequence without order or duplicates; RESP2 sends an array.
    Set(Vec<Reply>),
    /// A message that answers no request; RESP2 sends an array.
    Push(Vec<Reply>),
    /// A floating-point number; RESP2 sends its text as a byte string.
    Double(f64),
    /// A truth value; RESP2 sends the integer 1 or 0.
    Boolean(bool),
    /// An integer of any size in decimal digits; RESP2 sends a byte string.
    BigNumber(Bytes),
    /// Text for a person, with a format of three bytes such as `txt`; RESP2 sends the text as a byte string.
    Verbatim {
        /// `txt` or `mkd`.
        format: [u8; 3],
        /// The text without its format.
        text: Bytes,
    },
}

impl Reply {
    /// The status `OK`.
    pub const OK: Self = Self::Simple(Cow::Borrowed("OK"));

    /// An error reply; `message` begins with its code.
    pub fn error(message: impl Into<Cow<'static, str>>) -> Self {
        Self::Error(message.into())
    }

    /// A byte string reply.
    pub fn bulk(bytes: impl Into<Bytes>) -> Self {
        Self::Bulk(bytes.into())
    }

    /// Appends the reply to `out` in the given protocol. Allocates nothing but what `out` needs to grow.
    ///
    /// A line break within [`Reply::Simple`] or [`Reply::Error`] is sent as a blank: it would end the reply and let
    /// whoever chose the text forge the next one.
    pub fn encode(&self, protocol: Protocol, out: &mut Vec<u8>) {
        match (self, protocol) {
            (Self::Simple(text), _) => put_line(out, b'+', text.as_bytes()),
            (Self::Error(text), _) => put_line(out, b'-', text.as_bytes()),
            (Self::Integer(value), _) => put_number(out, b':', *value),
            (Self::Bulk(bytes), _) => put_bulk(out, bytes),
            (Self::Null, Protocol::Resp2) => out.extend_from_slice(b"$-1\r\n"),
            (Self::NullArray, Protocol::Resp2) => out.extend_from_slice(b"*-1\r\n"),
            (Self::Null | Self::NullArray, Protocol::Resp3) => out.extend_from_slice(b"_\r\n"),
            (Self::Set(items), Protocol::Resp3) => put_items(out, b'~', items, protocol),
            (Self::Push(items), Protocol::Resp3) => put_items(out, b'>', items, protocol),
            (Self::Array(items) | Self::Set(items) | Self::Push(items), _) => {
                put_items(out, b'*', items, protocol);
            }
            (Self::Map(pairs), _) => put_pairs(out, pairs, protocol),
            (Self::Double(value), Protocol::Resp3) => {
                out.push(b',');
                put_double(out, *value);
                out.extend_from_slice(b"\r\n");
            }
            (Self::Double(value), Protocol::Resp2) => put_double_as_bulk(out, *value),
            (Self::Boolean(true), Protocol::Resp3) => out.extend_from_slice(b"#t\r\n"),
            (Self::Boolean(false), Protocol::Resp3) => out.extend_from_slice(b"#f\r\n"),
            (Self::Boolean(value), Protocol::Resp2) => put_number(out, b':', i64::from(*value)),
            (Self::BigNumber(digits), Protocol::Resp3) => put_line(out, b'(', digits),
            (Self::BigNumber(digits), Protocol::Resp2) => put_bulk(out, digits),
            (Self::Verbatim { format, text }, Protocol::Resp3) => {
                put_length(out, b'=', text.len() + 4);
                out.extend_from_slice(format);
                out.push(b':');
                out.extend_from_slice(text);
                out.extend_from_slice(b"\r\n");
            }
            (Self::Verbatim { text, .. }, Protocol::Resp2) => put_bulk(out, text),
        }
    }
}

fn put_number(out: &mut Vec<u8>, kind: u8, value: i64) {
    out.push(kind);
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn put_length(out: &mut Vec<u8>, kind: u8, len: usize) {
    out.push(kind);
    out.extend_from_slice(itoa::Buffer::new().format(len).as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn put_bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, b'$', bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

fn put_line(out: &mut Vec<u8>, kind: u8, mut text: &[u8]) {
    out.push(kind);
    while let Some(at) = memchr2(b'\r', b'\n', text) {
        out.extend_from_slice(&text[..at]);
        out.push(b' ');
        text = &text[at + 1..];
    }
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

fn put_items(out: &mut Vec<u8>, kind: u8, items: &[Reply], protocol: Protocol) {
    put_length(out, kind, items.len());
    for item in items {
        item.encode(protocol, out);
    }
}

fn put_pairs(out: &mut Vec<u8>, pairs: &[(Reply, Reply)], protocol: Protocol) {
    match protocol {
        Protocol::Resp2 => put_length(out, b'*', pairs.len() * 2),
        Protocol::Resp3 => put_length(out, b'%', pairs.len()),
    }
    for (key, value) in pairs {
        key.encode(protocol, out);
        value.encode(protocol, out);
    }
}

/// Shortest text that reads back as the same number; plain digits where a person would write them.
fn put_double(out: &mut Vec<u8>, value: f64) {
    let plain = value == 0.0 || (1e-5..1e17).contains(&value.abs());
    let written = if value.is_nan() {
        out.write_all(b"nan")
    } else if plain || value.is_infinite() {
        write!(out, "{value}")
    } else {
        write!(out, "{value:e}")
    };
    written.expect("writing to a vector cannot fail");
}

/// The length goes first: the text is written behind the end and moved back to its place.
fn put_double_as_bulk(out: &mut Vec<u8>, value: f64) {
    let start = out.len();
    put_double(out, value);
    let text_len = out.len() - start;
    put_length(out, b'$', text_len);
    out[start..].rotate_left(text_len);
    out.extend_from_slice(b"\r\n");
}
