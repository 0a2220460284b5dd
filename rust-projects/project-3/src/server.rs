//! One thread, one connection at a time.

use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use commands::plain::Request;
use tracing::warn;
use wire::{Connection, ConnectionError, Limits, Reply};

use crate::{KvsEngine, KvsError, Result};

/// How long a client may keep silent before its connection is closed: meanwhile all others wait.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(5);

/// Pause after a failed accept. The usual cause, too many open files, does not pass by trying harder.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Smaller than Redis': this bounds the memory that a client can make the server use.
const LIMITS: Limits = Limits {
    max_args: 1 << 10,
    max_arg_bytes: 16 << 20,
    max_request_bytes: 32 << 20,
    max_inline_bytes: 64 << 10,
};

/// Answers requests from an engine.
pub struct Server<E> {
    engine: E,
    idle_timeout: Duration,
}

impl<E: KvsEngine> Server<E> {
    /// A server over `engine`.
    pub fn new(engine: E) -> Self {
        Self {
            engine,
            idle_timeout: IDLE_TIMEOUT,
        }
    }

    /// The same server with another timeout, which must not be zero.
    #[must_use]
    pub fn with_idle_timeout(self, idle_timeout: Duration) -> Self {
        Self {
            idle_timeout,
            ..self
        }
    }

    /// Serves one connection after another, for as long as the process lives.
    pub fn run(mut self, listener: &TcpListener) -> ! {
        loop {
            match listener.accept() {
                Ok((stream, peer)) => {
                    if let Err(error) = self.serve(stream) {
                        warn!(%peer, %error, "connection ended");
                    }
                }
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    std::thread::sleep(ACCEPT_PAUSE);
                }
            }
        }
    }

    /// Answers requests in their order until the client closes.
    fn serve(&mut self, stream: TcpStream) -> std::result::Result<(), ConnectionError> {
        stream.set_read_timeout(Some(self.idle_timeout))?;
        stream.set_write_timeout(Some(self.idle_timeout))?;
        stream.set_nodelay(true)?;
        let mut connection = Connection::new(stream, LIMITS);
        loop {
            match connection.read_request() {
                Ok(Some(request)) => connection.write_reply(&self.answer(&request.args))?,
                Ok(None) => return connection.flush(),
                Err(error) => {
                    // After bytes that make no sense nothing tells where the next request begins.
                    if let ConnectionError::Protocol(error) = &error {
                        connection.write_reply(&error.to_reply())?;
                        connection.flush()?;
                    }
                    return Err(error);
                }
            }
        }
    }

    /// The reply to one request, whatever it is.
    fn answer(&mut self, args: &[Bytes]) -> Reply {
        match Request::parse(args) {
            Ok(request) => self
                .execute(request)
                .unwrap_or_else(|error| Reply::error(format!("ERR {error}"))),
            Err(refusal) => refusal,
        }
    }

    fn execute(&mut self, request: Request) -> Result<Reply> {
        Ok(match request {
            Request::Ping(None) => Reply::Simple("PONG".into()),
            Request::Ping(Some(message)) => Reply::Bulk(message),
            Request::Set(key, value) => {
                self.engine.set(key, value)?;
                Reply::OK
            }
            Request::Get(key) => self.engine.get(key)?.map_or(Reply::Null, Reply::bulk),
            Request::Remove(keys) => {
                let mut removed = 0;
                for key in keys {
                    match self.engine.remove(key) {
                        Ok(()) => removed += 1,
                        Err(KvsError::KeyNotFound) => {}
                        Err(error) => return Err(error),
                    }
                }
                Reply::Integer(removed)
            }
        })
    }
}
