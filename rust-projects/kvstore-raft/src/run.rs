//! Starting a node: its directory, its replica, its services.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use raft::{Configuration, HardState, NodeId};
use raft_log::{Health, RaftLog};
use replica::{Now, OpenError, Recovered, Replica, Settings, StateEngine};
use storage::SyncPolicy;
use storage::file::{FileSystem, RealFs};
use storage::kvs::LogEngine;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;

use crate::node::{GROUP, Inbox, Node, NodeError};
use crate::resp;
use crate::transport::{Peers, Service};

/// How a node is run.
#[derive(Debug, Clone)]
pub struct Config {
    /// Names the cluster: nodes of another one are refused.
    pub cluster: String,
    /// This node.
    pub id: NodeId,
    /// Its data.
    pub data_dir: PathBuf,
    /// For clients.
    pub addr: SocketAddr,
    /// For peers.
    pub peer_addr: SocketAddr,
    /// The other nodes and their addresses for peers. With this node they are the founders of a new cluster.
    pub peers: BTreeMap<NodeId, String>,
    /// A follower that hears nothing from a leader for this long, and up to as long again, begins an election; the same on all nodes.
    pub election_timeout: Duration,
    /// Size of the files of log and state, in bytes. The log is compacted when it holds as much that is applied and safe in the state,
    /// and keeps a quarter of that for peers that are a little behind.
    pub segment_bytes: u64,
}

/// Why a node does not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Without authentication, anybody who reaches the address could read and write everything.
    #[error(
        "{0} is beyond this machine; nodes have no authentication yet and listen on loopback only"
    )]
    NotLoopback(SocketAddr),
    /// An address cannot be listened on.
    #[error("cannot listen on {addr}: {source}")]
    Listen {
        /// Which.
        addr: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The directory belongs to another node or cluster.
    #[error("{} belongs to {found}, not to {wanted}; give each node a directory of its own", dir.display())]
    ForeignDirectory {
        /// The directory.
        dir: PathBuf,
        /// Whose it is.
        found: String,
        /// Who asked.
        wanted: String,
    },
    /// The log lost what this node may have acknowledged.
    #[error(
        "{what}; this node must not vote any more: replace it by a new one with an empty directory and another id"
    )]
    Damaged {
        /// File, offset, and what does not hold there.
        what: String,
    },
    /// A file or the engine failed.
    #[error(transparent)]
    Storage(#[from] storage::Error),
    /// The log failed.
    #[error(transparent)]
    Log(#[from] raft_log::Error),
    /// The state does not fit the log.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// An address of a peer is none.
    #[error("a peer's address is not valid: {0}")]
    PeerAddress(tonic::transport::Error),
    /// A service failed.
    #[error("a service ended: {0}")]
    Service(String),
    /// The node stopped with an error.
    #[error(transparent)]
    Node(#[from] NodeError),
}

/// Runs a node until `stop` completes, or it fails.
///
/// # Errors
/// [`RunError`].
pub async fn run(config: Config, stop: impl Future<Output = ()>) -> Result<(), RunError> {
    let listener = listen(config.addr).await?;
    let peer_listener = listen(config.peer_addr).await?;
    let started = Instant::now();
    let engine = open_engine(&config)?;
    let (replica, log) = open(&config, Arc::clone(&engine))?;
    let peers =
        Peers::connect(&config.cluster, config.id, &config.peers).map_err(RunError::PeerAddress)?;
    let (inbox, receiver) = Inbox::new();
    let service = Service {
        cluster: config.cluster.clone(),
        id: config.id,
        inbox: inbox.clone(),
    };
    let node = Node::new(
        replica,
        log,
        engine,
        peers,
        inbox.clone(),
        receiver,
        started,
    );
    let thread = node
        .spawn()
        .map_err(|error| RunError::Service(error.to_string()))?;
    let mut ended = tokio::task::spawn_blocking(move || thread.join());
    tracing::info!(id = config.id, addr = %config.addr, peer_addr = %config.peer_addr, "listening");
    let grpc = tonic::transport::Server::builder()
        .tcp_nodelay(true)
        .add_service(service.server())
        .serve_with_incoming(TcpListenerStream::new(peer_listener));
    tokio::select! {
        () = stop => inbox.stop(),
        served = resp::serve(listener, inbox.clone()) => {
            inbox.stop();
            served.map_err(|error| RunError::Service(error.to_string()))?;
        }
        served = grpc => {
            inbox.stop();
            served.map_err(|error| RunError::Service(error.to_string()))?;
        }
        joined = &mut ended => return ended_with(joined),
    }
    ended_with(ended.await)
}

type Joined = Result<std::thread::Result<Result<(), NodeError>>, tokio::task::JoinError>;

fn ended_with(joined: Joined) -> Result<(), RunError> {
    match joined {
        Ok(Ok(ended)) => Ok(ended?),
        Ok(Err(_)) | Err(_) => Err(RunError::Service("the node's thread panicked".into())),
    }
}

async fn listen(addr: SocketAddr) -> Result<TcpListener, RunError> {
    if !addr.ip().is_loopback() {
        return Err(RunError::NotLoopback(addr));
    }
    let bound = TcpListener::bind(addr).await;
    bound.map_err(|source| RunError::Listen { addr, source })
}

/// The state machine's engine: never synced per write, since the log is.
fn open_engine(config: &Config) -> Result<Arc<dyn StateEngine>, RunError> {
    claim(config)?;
    let options = storage::kvs::Options {
        sync: SyncPolicy::Never,
        segment_bytes: config.segment_bytes,
        reserve_bytes: config.segment_bytes,
        ..storage::kvs::Options::default()
    };
    let engine = LogEngine::open(&config.data_dir.join("state"), options)?;
    Ok(Arc::new(engine))
}

/// Takes the directory for this node, or sees that it is this node's.
fn claim(config: &Config) -> Result<(), RunError> {
    let path = config.data_dir.join("NODE");
    let wanted = format!("cluster {} node {}\n", config.cluster, config.id);
    RealFs.create_dir_all(&config.data_dir)?;
    if !RealFs.exists(&path)? {
        return Ok(RealFs.write_durably(&path, wanted.as_bytes())?);
    }
    let found = RealFs.read(&path)?;
    if found == wanted.as_bytes() {
        return Ok(());
    }
    Err(RunError::ForeignDirectory {
        dir: config.data_dir.clone(),
        found: String::from_utf8_lossy(&found).trim().to_owned(),
        wanted: wanted.trim().to_owned(),
    })
}

fn open(config: &Config, engine: Arc<dyn StateEngine>) -> Result<(Replica, RaftLog), RunError> {
    let dir = config.data_dir.join("log");
    let seed = RandomState::new().hash_one(config.id);
    let options = raft_log::Options {
        segment_bytes: config.segment_bytes,
        ..raft_log::Options::default()
    };
    let (mut log, found) = RaftLog::open(Arc::new(RealFs), &dir, options)?;
    if let Some(cut) = &found.tail {
        tracing::warn!(file = %cut.path.display(), offset = cut.offset, bytes = cut.bytes, "an unfinished write was cut off the log");
    }
    if let Health::Damaged(damage) = found.health(GROUP) {
        let what = damage.to_string();
        return Err(RunError::Damaged { what });
    }
    let recovered = recovered(config, found);
    let boot = next_boot(&config.data_dir)?;
    let settings = settings(config);
    let (replica, anew) = Replica::open(settings, engine, recovered, boot, Now::default(), seed)?;
    if let Some(snapshot) = anew {
        let write = raft::Write {
            snapshot: Some(snapshot),
            ..raft::Write::default()
        };
        log.append(&[(GROUP, write)])?;
        log.sync()?;
    }
    Ok((replica, log))
}

fn settings(config: &Config) -> Settings {
    let defaults = Settings::new(config.id);
    let segment_bytes = usize::try_from(config.segment_bytes).unwrap_or(usize::MAX);
    Settings {
        raft: defaults.raft.with_election_timeout(config.election_timeout),
        flush_bytes: segment_bytes / 2,
        compact_bytes: segment_bytes,
        keep_bytes: segment_bytes / 4,
        ..defaults
    }
}

fn recovered(config: &Config, mut found: raft_log::Recovered) -> Recovered {
    let group = found.groups.remove(&GROUP);
    let founders = Configuration::of_voters(config.peers.keys().copied().chain([config.id]));
    let Some(group) = group else {
        return Recovered {
            hard_state: HardState::default(),
            configuration: founders,
            ..Recovered::default()
        };
    };
    let (compacted, configuration) = match group.base {
        Some(base) => (base.last, base.configuration),
        None => (raft::LogId::default(), founders),
    };
    Recovered {
        hard_state: group.hard_state,
        compacted,
        configuration,
        entries: group.entries,
    }
}

/// Counts the starts of this node, durably: requests and questions of an earlier one must not be taken for those of this.
fn next_boot(data_dir: &Path) -> Result<u64, RunError> {
    let path = data_dir.join("BOOT");
    let before = match RealFs.exists(&path)? {
        true => String::from_utf8_lossy(&RealFs.read(&path)?)
            .trim()
            .parse()
            .unwrap_or(0),
        false => 0,
    };
    let boot: u64 = before + 1;
    RealFs.write_durably(&path, format!("{boot}\n").as_bytes())?;
    Ok(boot)
}
