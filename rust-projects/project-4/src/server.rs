//! One thread accepts; each connection is a job of the pool.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use commands::plain::Request;
use tracing::{debug, warn};
use wire::{Connection, ConnectionError, Limits, Reply};

use crate::{KvsEngine, KvsError, Result, ThreadPool};

/// How long a client may keep silent before its connection, and with it a thread, is given up.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// More connections than these, queued ones included, are refused by default: the queues of the pools have no bound.
pub const MAX_CONNECTIONS: usize = 1024;

/// How often a waiting connection looks whether the server is to stop.
const TICK: Duration = Duration::from_millis(100);

/// Pause after a failed accept. The usual cause, too many open files, does not pass by trying harder.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Smaller than Redis': with the number of threads this bounds the memory that clients can make the server use.
const LIMITS: Limits = Limits {
    max_args: 1 << 10,
    max_arg_bytes: 16 << 20,
    max_request_bytes: 32 << 20,
    max_inline_bytes: 64 << 10,
};

/// A server that listens.
pub struct Server<E, P> {
    engine: E,
    pool: P,
    listener: TcpListener,
    max_connections: usize,
    stop: StopHandle,
}

/// Ends a server from another thread.
#[derive(Clone)]
pub struct StopHandle {
    addr: SocketAddr,
    stopping: Arc<AtomicBool>,
}

impl StopHandle {
    /// Has [`Server::run`] return once each connection has got the replies to the requests that have arrived.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        // Ends the wait for the next connection. If nobody listens any more, it has ended already.
        let _ = TcpStream::connect(self.addr);
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }
}

impl<E: KvsEngine, P: ThreadPool> Server<E, P> {
    /// Listens on `addr`; port 0 has the system pick one. Clients can connect from now on and are served by
    /// [`Server::run`].
    ///
    /// # Errors
    /// The address is in use, or not one of this machine.
    pub fn bind(addr: SocketAddr, engine: E, pool: P) -> io::Result<Self> {
        let listener = TcpListener::bind(addr)?;
        let stop = StopHandle {
            addr: listener.local_addr()?,
            stopping: Arc::default(),
        };
        Ok(Self {
            engine,
            pool,
            listener,
            max_connections: MAX_CONNECTIONS,
            stop,
        })
    }

    /// The same server with room for another number of connections.
    #[must_use]
    pub fn with_max_connections(self, max_connections: usize) -> Self {
        Self {
            max_connections,
            ..self
        }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.stop.addr
    }

    /// What ends it.
    pub fn stop_handle(&self) -> StopHandle {
        self.stop.clone()
    }

    /// Serves connections until told to stop, then waits for those that are open.
    pub fn run(self) {
        let open = Arc::new(AtomicUsize::new(0));
        while !self.stop.is_stopping() {
            match self.listener.accept() {
                Ok((stream, _)) if open.load(Ordering::Relaxed) >= self.max_connections => {
                    refuse(stream);
                }
                Ok((stream, peer)) => self.spawn(stream, peer, OpenConnection::new(&open)),
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    std::thread::sleep(ACCEPT_PAUSE);
                }
            }
        }
        // Dropping the pool waits for the connections.
    }

    fn spawn(&self, stream: TcpStream, peer: SocketAddr, open: OpenConnection) {
        let job = Job {
            engine: self.engine.clone(),
            stop: self.stop.clone(),
        };
        self.pool.spawn(move || {
            // Counted until the job ends, also by a panic.
            let _open = open;
            if let Err(error) = job.serve(stream) {
                debug!(%peer, %error, "connection ended");
            }
        });
    }
}

/// One connection more, until dropped.
struct OpenConnection {
    open: Arc<AtomicUsize>,
}

impl OpenConnection {
    fn new(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self {
            open: Arc::clone(open),
        }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Says so and closes, without waiting for a client that does not read.
fn refuse(stream: TcpStream) {
    let told = stream.set_nonblocking(true).and_then(|()| {
        let mut connection = Connection::new(stream, LIMITS);
        let refusal = Reply::error("ERR max number of clients reached");
        let written = connection.write_reply(&refusal);
        written
            .and_then(|()| connection.flush())
            .map_err(io::Error::other)
    });
    if let Err(error) = told {
        debug!(%error, "cannot refuse a connection");
    }
}

/// What a connection's thread works with.
struct Job<E> {
    engine: E,
    stop: StopHandle,
}

impl<E: KvsEngine> Job<E> {
    /// Answers requests in their order until the client closes, keeps silent too long, or the server stops.
    fn serve(&self, stream: TcpStream) -> std::result::Result<(), ConnectionError> {
        stream.set_read_timeout(Some(TICK))?;
        stream.set_write_timeout(Some(IDLE_TIMEOUT))?;
        stream.set_nodelay(true)?;
        let mut connection = Connection::new(stream, LIMITS);
        let mut silent_since = Instant::now();
        loop {
            match connection.read_request() {
                Ok(Some(request)) => {
                    connection.write_reply(&self.answer(&request.args))?;
                    silent_since = Instant::now();
                }
                Ok(None) => return connection.flush(),
                Err(ConnectionError::Io(error)) if is_timeout(&error) => {
                    if self.stop.is_stopping() || silent_since.elapsed() >= IDLE_TIMEOUT {
                        return Ok(());
                    }
                }
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
    fn answer(&self, args: &[Bytes]) -> Reply {
        match Request::parse(args) {
            Ok(request) => self
                .execute(request)
                .unwrap_or_else(|error| Reply::error(format!("ERR {error}"))),
            Err(refusal) => refusal,
        }
    }

    fn execute(&self, request: Request) -> Result<Reply> {
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

fn is_timeout(error: &io::Error) -> bool {
    // Systems differ in which of the two they report.
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
