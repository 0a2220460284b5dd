//! A blocking client.
//!
//! [`Client::call`] sends one request and waits for its reply. For a pipeline call [`Client::send`] several times, then
//! [`Client::receive`] as often: replies come in the order of their requests.
//!
//! What it does not. It neither reconnects nor repeats: after a failure nobody knows whether the server acted, and a late
//! reply would be taken for that of the next request. So any failure ends the connection, and later calls say
//! [`ClientError::Closed`]. A pipeline is written in full before a reply is read: keep it to what both sides' socket
//! buffers can hold of requests or of replies, some hundred kilobytes.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use bytes::BytesMut;
use thiserror::Error;

use crate::request::encode_request;
use crate::stream;
use crate::{Reply, ReplyError, ReplyLimits, ReplyParser};

/// Why a call has no reply.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The stream failed. Whether the server acted on the request is unknown.
    #[error("connection failed: {0}")]
    Io(#[source] io::Error),
    /// The other end did not take or send anything for as long as the stream waits. Whether the server acted on the request is
    /// unknown.
    #[error("no answer in time")]
    TimedOut,
    /// What the server sent is not RESP, or exceeds the limits.
    #[error("{0}")]
    Protocol(#[from] ReplyError),
    /// The server closed the connection, or an earlier failure did.
    #[error("connection closed")]
    Closed,
    /// [`Client::call`] while this many replies of a pipeline were not yet received. Nothing was sent.
    #[error("{0} replies of a pipeline must be received first")]
    Unreceived(usize),
}

impl From<io::Error> for ClientError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // A socket's timeout comes as the first of these, that of connecting as the second.
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Self::TimedOut,
            _ => Self::Io(error),
        }
    }
}

/// A connection to a server, over any blocking stream.
#[derive(Debug)]
pub struct Client<S> {
    stream: S,
    parser: ReplyParser,
    input: BytesMut,
    output: Vec<u8>,
    unreceived: usize,
    broken: bool,
}

impl Client<TcpStream> {
    /// Connects to the first address that answers. `timeout` bounds each attempt to connect, each read and each write.
    ///
    /// # Errors
    ///
    /// [`ClientError::Io`] or [`ClientError::TimedOut`] for the last address tried; [`ClientError::Io`] if there is none.
    /// `timeout` must not be zero.
    pub fn connect(addr: impl ToSocketAddrs, timeout: Duration) -> Result<Self, ClientError> {
        let mut failure = io::Error::new(io::ErrorKind::InvalidInput, "no address to connect to");
        for addr in addr.to_socket_addrs()? {
            match TcpStream::connect_timeout(&addr, timeout) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(timeout))?;
                    stream.set_write_timeout(Some(timeout))?;
                    stream.set_nodelay(true)?;
                    return Ok(Self::new(stream));
                }
                Err(error) => failure = error,
            }
        }
        Err(failure.into())
    }
}

impl<S: Read + Write> Client<S> {
    /// A client on a stream that is connected, with the default limits.
    pub fn new(stream: S) -> Self {
        Self::with_limits(stream, ReplyLimits::default())
    }

    /// A client on a stream that is connected.
    pub fn with_limits(stream: S, limits: ReplyLimits) -> Self {
        Self {
            stream,
            parser: ReplyParser::new(limits),
            input: BytesMut::new(),
            output: Vec::new(),
            unreceived: 0,
            broken: false,
        }
    }

    /// Sends a request, the command's name first, and waits for its reply. An error the server answers with is a
    /// [`Reply::Error`]. Push messages that arrive meanwhile are dropped.
    ///
    /// # Errors
    ///
    /// [`ClientError::Unreceived`] if a pipeline is not finished; any other error ends the connection.
    pub fn call(&mut self, args: &[&[u8]]) -> Result<Reply, ClientError> {
        self.check()?;
        if self.unreceived > 0 {
            return Err(ClientError::Unreceived(self.unreceived));
        }
        self.send(args)?;
        loop {
            match self.receive()? {
                Reply::Push(_) => {}
                reply => return Ok(reply),
            }
        }
    }

    /// Adds a request, the command's name first, to the pipeline. [`Client::receive`] and [`Client::flush`] write it.
    ///
    /// # Errors
    ///
    /// [`ClientError::Closed`] after an earlier failure.
    pub fn send(&mut self, args: &[&[u8]]) -> Result<(), ClientError> {
        self.check()?;
        encode_request(args, &mut self.output);
        self.unreceived += 1;
        Ok(())
    }

    /// Writes all requests sent so far.
    ///
    /// # Errors
    ///
    /// Any error ends the connection.
    pub fn flush(&mut self) -> Result<(), ClientError> {
        self.check()?;
        if self.output.is_empty() {
            return Ok(());
        }
        let written = self
            .stream
            .write_all(&self.output)
            .and_then(|()| self.stream.flush());
        self.output.clear();
        self.or_broken(written.map_err(ClientError::from))
    }

    /// Waits for the next reply or push message, writing what is not yet written.
    ///
    /// # Errors
    ///
    /// Any error ends the connection.
    pub fn receive(&mut self) -> Result<Reply, ClientError> {
        self.flush()?;
        let received = self.read_reply();
        let reply = self.or_broken(received)?;
        if !matches!(reply, Reply::Push(_)) {
            self.unreceived = self.unreceived.saturating_sub(1);
        }
        Ok(reply)
    }

    /// The stream, as for changing its timeouts.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    fn read_reply(&mut self) -> Result<Reply, ClientError> {
        loop {
            if let Some(reply) = self.parser.parse(&mut self.input)? {
                return Ok(reply);
            }
            self.parser.reserve(&mut self.input);
            if stream::read_some(&mut self.stream, &mut self.input)? == 0 {
                return Err(ClientError::Closed);
            }
        }
    }

    fn check(&self) -> Result<(), ClientError> {
        if self.broken {
            return Err(ClientError::Closed);
        }
        Ok(())
    }

    fn or_broken<T>(&mut self, result: Result<T, ClientError>) -> Result<T, ClientError> {
        self.broken |= result.is_err();
        result
    }
}
