//! The server's end of a connection over a blocking stream.
//!
//! Replies are collected and written when the next request has not yet arrived, so that a pipeline of requests is
//! answered with few writes. Before dropping a connection call [`Connection::flush`].

use std::io::{self, Read, Write};

use bytes::BytesMut;
use thiserror::Error;

use crate::stream;
use crate::{Limits, Protocol, ProtocolError, Reply, Request, RequestParser};

/// Replies collected before they are written although more requests are waiting.
const MAX_OUTPUT_BYTES: usize = 64 * 1024;

/// Why a connection cannot be served on.
#[derive(Debug, Error)]
pub enum ConnectionError {
    /// The stream failed. After a timeout of a read the call may be repeated, and nothing is lost.
    #[error("connection failed: {0}")]
    Io(#[from] io::Error),
    /// What the client sent is not RESP, or exceeds the limits. Answer with [`ProtocolError::to_reply`] and close.
    #[error("{0}")]
    Protocol(#[from] ProtocolError),
    /// The client closed the connection in the middle of a request.
    #[error("connection closed in the middle of a request")]
    Closed,
}

/// A connection to a client, over any blocking stream.
#[derive(Debug)]
pub struct Connection<S> {
    stream: S,
    parser: RequestParser,
    protocol: Protocol,
    input: BytesMut,
    output: Vec<u8>,
}

impl<S: Read + Write> Connection<S> {
    /// A connection that speaks RESP2 until [`Connection::set_protocol`].
    pub fn new(stream: S, limits: Limits) -> Self {
        Self {
            stream,
            parser: RequestParser::new(limits),
            protocol: Protocol::default(),
            input: BytesMut::new(),
            output: Vec::new(),
        }
    }

    /// Waits for the next request; `None` when the client has closed the connection between requests. Writes the
    /// collected replies before it waits.
    ///
    /// # Errors
    ///
    /// See [`ConnectionError`].
    pub fn read_request(&mut self) -> Result<Option<Request>, ConnectionError> {
        loop {
            if let Some(request) = self.parser.parse(&mut self.input)? {
                return Ok(Some(request));
            }
            self.flush()?;
            self.parser.reserve(&mut self.input);
            if stream::read_some(&mut self.stream, &mut self.input)? == 0 {
                return if self.parser.is_between_requests(&self.input) {
                    Ok(None)
                } else {
                    Err(ConnectionError::Closed)
                };
            }
        }
    }

    /// Adds a reply to those collected; writes them if they are many.
    ///
    /// # Errors
    ///
    /// [`ConnectionError::Io`] if writing fails: the connection is of no further use.
    pub fn write_reply(&mut self, reply: &Reply) -> Result<(), ConnectionError> {
        reply.encode(self.protocol, &mut self.output);
        if self.output.len() >= MAX_OUTPUT_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    /// Writes the collected replies.
    ///
    /// # Errors
    ///
    /// [`ConnectionError::Io`] if writing fails: the connection is of no further use.
    pub fn flush(&mut self) -> Result<(), ConnectionError> {
        if self.output.is_empty() {
            return Ok(());
        }
        let written = self
            .stream
            .write_all(&self.output)
            .and_then(|()| self.stream.flush());
        self.output.clear();
        self.output.shrink_to(MAX_OUTPUT_BYTES);
        Ok(written?)
    }

    /// The protocol replies are written in.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Changes the protocol from the next reply on, as after `HELLO`.
    pub fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    /// Changes the limits from the next length on, as after authentication.
    pub fn set_limits(&mut self, limits: Limits) {
        self.parser.set_limits(limits);
    }

    /// The stream, as for changing its timeouts.
    pub fn stream(&self) -> &S {
        &self.stream
    }
}
