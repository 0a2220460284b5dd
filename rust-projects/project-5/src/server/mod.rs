//! The server: accepts connections, serves them, and leaves everything on disk when told to stop.
//!
//! One task per connection; decisions one after another (`decider`); durability in groups (`committer`). SIGTERM and
//! Ctrl-C end the accepting, let each connection finish the burst it is in, then commit, sync and close the engine.

mod committer;
mod config;
mod connection;
mod decider;
mod host;
mod open;
mod pending;
mod resources;
mod stats;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tokio::time;

pub use config::{Args, Config, ConfigError, DEFAULT_ADDR, Sync, resolve_addr};

use committer::Committer;
use connection::Connection;
use decider::Decider;
use host::ServerHost;
use stats::{Stats, add};

/// How long connections may take to finish what they are in when the server stops.
const DRAIN: Duration = Duration::from_secs(5);
/// Connections the operating system keeps ready to be accepted.
const BACKLOG: u32 = 1024;
/// How often expired keys are looked for, and how many are removed under one lock.
const EXPIRE_PERIOD: Duration = Duration::from_millis(100);
const EXPIRE_SLICE: usize = 128;
/// A peer that has silently gone is noticed after roughly the sum of these.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(300);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_PROBES: u32 = 4;

/// Why a server did not start or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The engine does not open or close.
    #[error(transparent)]
    Storage(#[from] storage::Error),
    /// The address cannot be listened on.
    #[error("cannot listen on {addr}: {source}")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// The operating system grants no thread, timer or signal handler.
    #[error("cannot start: {0}")]
    Start(io::Error),
    /// At the end not everything could be made durable.
    #[error("{0}")]
    NotSynced(String),
}

/// What all connections share.
struct Shared {
    decider: Decider,
    committer: Arc<Committer>,
    host: ServerHost,
    stats: Arc<Stats>,
    /// Of requests, for those who may send large ones.
    limits: wire::Limits,
    stopping: AtomicBool,
    stop: Notify,
    /// Told when the last connection leaves while stopping.
    drained: Notify,
}

/// Runs a server until SIGTERM or Ctrl-C.
///
/// # Errors
/// See [`ServerError`].
pub fn run(config: Config) -> Result<(), ServerError> {
    let config = fit_resources(config);
    // A taken address is found out before anything is made in the directory; clients are let in once the data is open.
    let socket = bind(config.addr)?;
    let opened = open::open(config.engine, &config.data_dir, config.sync)?;
    let engine = Arc::clone(&opened.engine);
    let (committer, thread) = Committer::start(Arc::clone(&engine)).map_err(ServerError::Start)?;
    let served = runtime(config.threads)
        .map_err(ServerError::Start)
        .and_then(|runtime| {
            let served = runtime.block_on(serve(socket, config, opened, &committer));
            // Ends the tasks that did not finish in time; none of them holds the engine any more.
            runtime.shutdown_timeout(DRAIN);
            served
        });
    committer.stop(thread);
    let synced = committer.sync();
    drop(committer);
    drop(engine);
    served?;
    synced.map_err(|unknown| ServerError::NotSynced(unknown.to_string()))?;
    tracing::info!("stopped");
    Ok(())
}

fn fit_resources(mut config: Config) -> Config {
    if let Some(fit) = resources::raise_file_limit(config.max_connections) {
        tracing::warn!(
            wanted = config.max_connections,
            granted = fit,
            "the limit on open files (ulimit -n) allows fewer connections"
        );
        config.max_connections = fit;
    }
    config
}

fn runtime(threads: usize) -> io::Result<Runtime> {
    if threads == 1 {
        Builder::new_current_thread().enable_all().build()
    } else {
        Builder::new_multi_thread()
            .worker_threads(threads)
            .enable_all()
            .build()
    }
}

async fn serve(
    socket: TcpSocket,
    config: Config,
    opened: open::OpenEngine,
    committer: &Arc<Committer>,
) -> Result<(), ServerError> {
    let signals = (
        signal(SignalKind::terminate()).map_err(ServerError::Start)?,
        signal(SignalKind::interrupt()).map_err(ServerError::Start)?,
    );
    let (listener, addr) = listen(socket, config.addr)?;
    let shared = share(config, opened, committer, addr);
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        %addr,
        engine = %shared.host.engine.kind(),
        data_dir = %shared.host.config.data_dir.display(),
        sync = config::sync_name(shared.host.engine.sync_policy()),
        "listening"
    );
    tokio::spawn(Arc::clone(committer).relay());
    let expiry = tokio::spawn(expire(Arc::clone(&shared)));
    accept(&shared, listener, signalled(signals)).await;
    expiry.abort();
    drain(&shared).await;
    Ok(())
}

/// Takes `addr`, at which nobody can connect before [`listen`].
fn bind(addr: SocketAddr) -> Result<TcpSocket, ServerError> {
    let bound = || {
        let socket = match addr {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        // A restarted server must not wait for connections of its predecessor to time out.
        socket.set_reuseaddr(true)?;
        socket.bind(addr)?;
        Ok(socket)
    };
    bound().map_err(|source| ServerError::Listen { addr, source })
}

/// Lets clients in; the address has the port that the system picked.
fn listen(socket: TcpSocket, addr: SocketAddr) -> Result<(TcpListener, SocketAddr), ServerError> {
    let listening = || {
        let listener = socket.listen(BACKLOG)?;
        let addr = listener.local_addr()?;
        Ok((listener, addr))
    };
    listening().map_err(|source| ServerError::Listen { addr, source })
}

fn share(
    config: Config,
    opened: open::OpenEngine,
    committer: &Arc<Committer>,
    addr: SocketAddr,
) -> Arc<Shared> {
    let stats = Arc::new(Stats::new());
    Arc::new(Shared {
        decider: Decider::new(Arc::clone(&opened.engine), Arc::clone(committer), &config),
        committer: Arc::clone(committer),
        limits: wire::Limits {
            // Names of commands, keys and options may be longer than a small value limit.
            max_arg_bytes: config.max_value_bytes.max(64 << 10),
            max_request_bytes: config.max_message_bytes(),
            ..wire::Limits::default()
        },
        host: ServerHost {
            config,
            port: addr.port(),
            engine: opened.engine,
            engine_stats: opened.stats,
            committer: Arc::clone(committer),
            stats: Arc::clone(&stats),
        },
        stats,
        stopping: AtomicBool::new(false),
        stop: Notify::new(),
        drained: Notify::new(),
    })
}

/// Completes when either signal comes.
async fn signalled((mut terminate, mut interrupt): (Signal, Signal)) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Accepts until `stop` completes.
async fn accept(shared: &Arc<Shared>, listener: TcpListener, stop: impl Future<Output = ()>) {
    let mut stop = pin!(stop);
    let mut id = 0;
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.as_mut() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                id += 1;
                admit(shared, stream, id);
            }
            Err(error) => {
                // Out of files or memory, or a peer already gone: others must go on being served.
                tracing::warn!(%error, "cannot accept a connection");
                time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Serves `stream` in a task of its own, or turns it away.
fn admit(shared: &Arc<Shared>, stream: TcpStream, id: u64) {
    add(&shared.stats.accepted, 1);
    let connected = shared.stats.connected.fetch_add(1, Ordering::AcqRel);
    let guard = Guard(Arc::clone(shared));
    if connected >= shared.host.config.max_connections {
        add(&shared.stats.rejected, 1);
        // A new connection has room for so few bytes.
        let _ = stream.try_write(b"-ERR max number of clients reached\r\n");
        return;
    }
    if let Err(error) = prepare(&stream) {
        tracing::debug!(%error, "cannot set options of a connection");
    }
    let connection = Connection::new(stream, Arc::clone(shared), id);
    tokio::spawn(async move {
        connection.serve(guard.0.stopped()).await;
        drop(guard);
    });
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    use rustix::net::sockopt;
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(stream, KEEPALIVE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(stream, KEEPALIVE_PROBES)?;
    Ok(())
}

/// Counts a connection while it lives, also if its task panics.
struct Guard(Arc<Shared>);

impl Drop for Guard {
    fn drop(&mut self) {
        let before = self.0.stats.connected.fetch_sub(1, Ordering::AcqRel);
        if before == 1 && self.0.stopping.load(Ordering::Acquire) {
            self.0.drained.notify_one();
        }
    }
}

impl Shared {
    /// Completes when the server stops.
    fn stopped(&self) -> impl Future<Output = ()> {
        // Made before looking, or a stop between the two would be missed.
        let notified = self.stop.notified();
        async move {
            if !self.stopping.load(Ordering::Acquire) {
                notified.await;
            }
        }
    }
}

/// Lets connections finish, up to a limit.
async fn drain(shared: &Shared) {
    shared.stopping.store(true, Ordering::Release);
    shared.stop.notify_waiters();
    let connected = || shared.stats.connected.load(Ordering::Acquire);
    tracing::info!(connections = connected(), "stopping");
    let all_left = async {
        let mut drained = pin!(shared.drained.notified());
        while connected() > 0 {
            drained.as_mut().await;
            drained.set(shared.drained.notified());
        }
    };
    if time::timeout(DRAIN, all_left).await.is_err() {
        tracing::warn!(
            connections = connected(),
            "closing connections that did not finish in time"
        );
    }
}

/// Removes expired keys in slices, so that commands wait for a slice at most.
async fn expire(shared: Arc<Shared>) {
    let mut ticks = time::interval(EXPIRE_PERIOD);
    ticks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    let mut is_failing = false;
    loop {
        ticks.tick().await;
        loop {
            let swept = shared.decider.burst().expire(EXPIRE_SLICE);
            match swept {
                Ok((more, keys)) => {
                    is_failing = false;
                    add(&shared.stats.expired, keys as u64);
                    shared.committer.nudge();
                    if !more {
                        break;
                    }
                }
                Err(error) => {
                    if !is_failing {
                        tracing::warn!(%error, "cannot remove expired keys");
                    }
                    is_failing = true;
                    break;
                }
            }
            tokio::task::yield_now().await;
        }
    }
}
