//! The other end of the server, or of any server that speaks Redis' protocol.

use std::net::SocketAddr;
use std::net::TcpStream;
use std::time::Duration;

use wire::{Client, Reply};

/// Longest wait for the server.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Why a request has no result.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The key to remove is not there. Nothing was changed.
    #[error("Key not found")]
    KeyNotFound,
    /// No connection, or it failed. Whether the server acted on the request is unknown.
    #[error("server at {addr}: {source}")]
    Connection {
        /// Where the server is, or should be.
        addr: SocketAddr,
        /// What went wrong.
        source: wire::ClientError,
    },
    /// The server refused the request, in its own words.
    #[error("the server says: {0}")]
    Refused(String),
    /// The value is not text. Read it with a client that takes bytes.
    #[error("the value is not UTF-8 text")]
    NotText,
    /// The server sent what no request of ours asks for: it may not be one of this kind.
    #[error("unexpected reply: {0:?}")]
    Unexpected(Reply),
}

/// A connection to a server.
pub struct KvsClient {
    addr: SocketAddr,
    client: Client<TcpStream>,
}

impl KvsClient {
    /// Connects to the server at `addr`.
    ///
    /// # Errors
    /// [`ClientError::Connection`] when nobody listens there.
    pub fn connect(addr: SocketAddr) -> Result<Self, ClientError> {
        let client = Client::connect(addr, TIMEOUT)
            .map_err(|source| ClientError::Connection { addr, source })?;
        Ok(Self { addr, client })
    }

    /// Sets `key` to `value`, whether or not it had one.
    ///
    /// # Errors
    /// All of [`ClientError`] but [`ClientError::KeyNotFound`].
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), ClientError> {
        match self.call(&[b"SET", key.as_bytes(), value.as_bytes()])? {
            Reply::Simple(_) => Ok(()),
            other => Err(ClientError::Unexpected(other)),
        }
    }

    /// The value of `key`, or `None`.
    ///
    /// # Errors
    /// All of [`ClientError`] but [`ClientError::KeyNotFound`].
    pub fn get(&mut self, key: &str) -> Result<Option<String>, ClientError> {
        match self.call(&[b"GET", key.as_bytes()])? {
            Reply::Null => Ok(None),
            Reply::Bulk(value) => String::from_utf8(value.into())
                .map(Some)
                .map_err(|_| ClientError::NotText),
            other => Err(ClientError::Unexpected(other)),
        }
    }

    /// Removes `key`.
    ///
    /// # Errors
    /// All of [`ClientError`].
    pub fn remove(&mut self, key: &str) -> Result<(), ClientError> {
        match self.call(&[b"DEL", key.as_bytes()])? {
            Reply::Integer(0) => Err(ClientError::KeyNotFound),
            Reply::Integer(_) => Ok(()),
            other => Err(ClientError::Unexpected(other)),
        }
    }

    fn call(&mut self, args: &[&[u8]]) -> Result<Reply, ClientError> {
        match self.client.call(args) {
            Ok(Reply::Error(message)) => Err(ClientError::Refused(message.into_owned())),
            Ok(reply) => Ok(reply),
            Err(source) => Err(ClientError::Connection {
                addr: self.addr,
                source,
            }),
        }
    }
}
