//! RESP, the protocol of Redis, versions 2 and 3.
//!
//! What it guarantees. Parsers are incremental: they take what has arrived, keep their place, and give the same result
//! wherever the stream was cut. Work is linear in the bytes received, and memory is bounded by [`Limits`] or
//! [`ReplyLimits`] before any is reserved: a declared length reserves nothing. No input panics.
//!
//! What it does not. It knows no command, no clock and no async runtime; RESP3's streamed strings and streamed
//! aggregates (`$?`, `*?`), which Redis never sends, are refused.
//!
//! How it works. A server reads into a [`bytes::BytesMut`], calls [`RequestParser::parse`] until it yields `None`, and
//! appends answers with [`Reply::encode`]. [`Connection`] does so over any blocking stream, [`Client`] is the other end.
//! A request is an array of byte strings, and an argument is a slice of the read buffer, not a copy:
//!
//! ```text
//! *2 CRLF $3 CRLF GET CRLF $1 CRLF k CRLF
//! |       |       |        |       `- argument 1
//! |       |       `- argument 0     `- one byte follows
//! |       `- three bytes follow
//! `- two arguments follow
//! ```

mod client;
mod connection;
mod inline;
mod length;
mod reply;
mod reply_parser;
mod request;
mod stream;

pub use client::{Client, ClientError};
pub use connection::{Connection, ConnectionError};
pub use reply::{Protocol, Reply};
pub use reply_parser::{ReplyError, ReplyLimits, ReplyParser};
pub use request::{Limits, ProtocolError, Request, RequestParser, encode_request};
