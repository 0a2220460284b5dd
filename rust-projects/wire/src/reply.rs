//! What a server answers.

use std::borrow::Cow;

use bytes::Bytes;

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
}
