//! Starting a node: its directory, its replica, its services.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use raft::{Configuration, HardState, NodeId};
use raft_log::{Health, RaftLog};
use replica::{
    MachineError, Now, OpenError, Recovered, Registry, Replica, Settings, StateEngine, Stop,
};
use storage::SyncPolicy;
use storage::file::{FileSystem, RealFs};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinSet;
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;

use crate::access::{Access, AccessError};
use crate::admin::AdminService;
use crate::client::AdminError;
use crate::handshake;
use crate::identity::Identity;
use crate::node::{Bounds, GROUP, Inbox, Incoming, Node, NodeError, Surroundings};
use crate::resp;
use crate::secret::{Token, TokenError};
use crate::settle::{member, settle};
use crate::states::{StateError, States};
use crate::tikv::{self, Api};
use crate::tls::{AddressError, Credentials};
use crate::transport::{Peers, Service};
use crate::view::{Shared, Standing, View};
use crate::watch;

/// Connections that wait to be accepted. Of more the kernel drops the first packet, and who sent it tries again after a second.
const BACKLOG: u32 = 4096;

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
    /// Other nodes and their addresses for peers. With this node they are the founders of a new cluster; later these addresses count, whatever
    /// the nodes say of themselves.
    pub peers: BTreeMap<NodeId, String>,
    /// A follower that hears nothing from a leader for this long, and up to as long again, begins an election; the same on all nodes.
    pub election_timeout: Duration,
    /// Size of the files of log and state, in bytes. The log is compacted when it holds as much that is applied and safe in the state,
    /// and keeps a quarter of that for peers that are a little behind; up to four times as much while a peer gets a snapshot.
    pub segment_bytes: u64,
    /// A node of a cluster that this one is to join, unless it belongs to one already.
    pub join: Option<String>,
    /// For metrics and health, if they are wanted.
    pub metrics_addr: Option<SocketAddr>,
    /// Metrics ask for no password; beyond this machine they are shown only if this is set.
    pub metrics_for_anybody: bool,
    /// The files that guard it.
    pub access: Access,
    /// Holds the cluster's token. Without it founders make one, and later it is found in the data directory.
    pub token_file: Option<PathBuf>,
    /// The version of TiKV's API that a new cluster gets if this node is its first leader; later the one that it got counts.
    pub api: Api,
}

/// Why a node does not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The files that guard the node cannot be used, or an address is not guarded.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// Metrics have no authentication, so showing them to other machines is to be chosen.
    #[error(
        "--metrics-addr {0} is beyond this machine, and metrics ask for no password: use a loopback address, or add --metrics-for-anybody if whoever reaches it may see them"
    )]
    MetricsNotLoopback(SocketAddr),
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
    /// The directory has data and does not say whose.
    #[error(
        "{} has a log but no file NODE that says whose it is: bring that file back, or replace the node by a new one with an empty directory and another id",
        .0.display()
    )]
    Nobodys(PathBuf),
    /// What stands in the file is not of this version.
    #[error("{} is not of a kind that this version knows", .0.display())]
    Identity(PathBuf),
    /// The operating system gives no random numbers.
    #[error("cannot read random numbers: {0}")]
    Random(io::Error),
    /// A file cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The token cannot be used.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Nobody joins without a token.
    #[error(
        "--join needs --token-file: the file TOKEN of a member's data directory, or a copy of it"
    )]
    TokenNeeded,
    /// The cluster, or a founder, takes this node for no member.
    #[error("{0}")]
    Refused(String),
    /// The cluster does not let this node in.
    #[error("this node could not join: {0}")]
    Join(AdminError),
    /// This node was removed from its cluster.
    #[error(
        "node {0} was removed from its cluster; its data directory is of no use any more: delete it, and start a new node under a new number with --join"
    )]
    Removed(NodeId),
    /// There is something already.
    #[error("{} exists and is not empty: choose another directory, or move it away", .0.display())]
    NotEmpty(PathBuf),
    /// A backup cannot be read.
    #[error("cannot read the backup: {0}")]
    Backup(io::Error),
    /// No node of a cluster has its data there.
    #[error("{} is not the data directory of a node that belongs to a cluster", .0.display())]
    NoNode(PathBuf),
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
    /// The state cannot be opened.
    #[error(transparent)]
    States(#[from] StateError),
    /// The log failed.
    #[error(transparent)]
    Log(#[from] raft_log::Error),
    /// The state is of another version.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The state does not fit the log.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// An address of a peer is none.
    #[error("a peer cannot be reached: {0}")]
    PeerAddress(AddressError),
    /// A service failed.
    #[error("a service ended: {0}")]
    Service(String),
    /// The node stopped with an error.
    #[error(transparent)]
    Node(#[from] NodeError),
}

/// Runs a node until `stop` completes, or it fails. Leadership is handed over before it ends.
///
/// # Errors
/// [`RunError`].
pub async fn run(config: Config, stop: impl Future<Output = ()>) -> Result<(), RunError> {
    let mut stop = pin!(stop);
    let guard = config.access.guard(config.addr, config.peer_addr)?;
    for address in config.peers.values().chain(&config.join) {
        guard
            .credentials
            .endpoint(address)
            .map_err(AccessError::from)?;
    }
    let listener = listen(config.addr)?;
    let peer_listener = listen(config.peer_addr)?;
    let metrics_listener = match config.metrics_addr {
        Some(addr) => Some(watch::listen(addr, config.metrics_for_anybody)?),
        None => None,
    };
    RealFs.create_dir_all(&config.data_dir)?;
    let _lock = RealFs.lock_dir(&config.data_dir)?;
    let identity = Identity::claim(&config)?;
    let given = config.token_file.as_deref().map(Token::read).transpose()?;
    let shared = view(&config, &identity, given.as_ref(), &guard.credentials);
    let (inbox, incoming) = Inbox::new(Bounds::default());
    // Aborted with this future.
    let mut services = JoinSet::new();
    let states = Arc::new(OnceLock::new());
    let peer = Service::new(shared.clone(), inbox.clone(), &states);
    let pages = watch::pages(inbox.clone(), config.election_timeout);
    services.spawn(serve_peers(peer_listener, peer, pages.clone()));
    if let Some(listener) = metrics_listener {
        let watched = watch::serve(listener, pages);
        services.spawn(async { watched.await.map_err(|error| error.to_string()) });
    }
    tracing::info!(id = config.id, addr = %config.addr, peer_addr = %config.peer_addr, "listening");
    let identity = tokio::select! {
        () = &mut stop => return Ok(()),
        settled = settle(&config, identity, given, &shared) => settled?,
    };
    let node = start(&config, &identity, shared, inbox.clone(), incoming, &states)?;
    let thread = node
        .spawn()
        .map_err(|error| RunError::Service(error.to_string()))?;
    let mut ended = tokio::task::spawn_blocking(move || thread.join());
    let clients = resp::serve(listener, inbox.clone(), guard);
    services.spawn(async { clients.await.map_err(|error| error.to_string()) });
    // The services go on until the node has handed over.
    let failed = tokio::select! {
        () = stop => None,
        served = services.join_next() => Some(format!("{served:?}")),
        joined = &mut ended => return ended_with(joined, config.id),
    };
    inbox.stop();
    let ended = ended_with(ended.await, config.id);
    services.shutdown().await;
    match (ended, failed) {
        (Ok(()), Some(what)) => Err(RunError::Service(what)),
        (ended, _) => ended,
    }
}

fn view(
    config: &Config,
    identity: &Identity,
    given: Option<&Token>,
    credentials: &Credentials,
) -> Shared {
    Shared::new(View {
        identity: identity.clone(),
        cluster: identity.cluster_text(),
        token: None,
        registry: Arc::new(Registry::default()),
        standing: Standing::default(),
        founders: config.peers.keys().copied().chain([config.id]).collect(),
        given: given.cloned(),
        credentials: credentials.clone(),
        api: config.api,
    })
}

/// Everything that other nodes, operators and clients of transactions ask, and the pages.
async fn serve_peers(
    listener: TcpListener,
    peer: Service,
    pages: axum::Router,
) -> Result<(), String> {
    let acceptor = peer.shared.look().credentials.acceptor();
    let admin = AdminService {
        shared: peer.shared.clone(),
        inbox: peer.inbox.clone(),
    };
    let (shared, inbox) = (peer.shared.clone(), peer.inbox.clone());
    let routes = Routes::new(peer.server()).add_service(admin.server());
    let routes = tikv::add_services(routes, &shared, &inbox);
    let server = tonic::transport::Server::builder()
        .accept_http1(true)
        .add_routes(Routes::from(routes.into_axum_router().merge(pages)));
    let served = match acceptor {
        None => {
            // Here, as the server's own setting is only for connections that it accepts itself.
            let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
            server.serve_with_incoming(incoming).await
        }
        Some(acceptor) => {
            server
                .serve_with_incoming(handshake::incoming(listener, acceptor))
                .await
        }
    };
    served.map_err(|error| error.to_string())
}

/// A node with what its directory holds, ready to run.
fn start(
    config: &Config,
    identity: &Identity,
    shared: Shared,
    inbox: Inbox,
    incoming: Incoming,
    found: &OnceLock<States>,
) -> Result<Node, RunError> {
    let started = Instant::now();
    let (dir, segment_bytes) = (&config.data_dir, config.segment_bytes);
    let states = open_states(dir, segment_bytes)?;
    let settings = settings(config, identity);
    let (replica, log) = open(dir, identity, settings, segment_bytes, states.engine())?;
    // From now on snapshots can be received.
    let _ = found.set(states);
    let peers = Peers::connect(
        &identity.cluster_text(),
        config.id,
        inbox.clone(),
        &identity.places,
        &config.peers,
        shared.look().credentials.clone(),
    );
    let around = Surroundings {
        peers: peers.map_err(RunError::PeerAddress)?,
        shared,
        inbox,
        incoming,
        started,
    };
    Ok(Node::new(replica, log, around))
}

type Joined = Result<std::thread::Result<Result<Stop, NodeError>>, tokio::task::JoinError>;

fn ended_with(joined: Joined, node: NodeId) -> Result<(), RunError> {
    match joined {
        Ok(Ok(ended)) => match ended? {
            Stop::Asked => Ok(()),
            Stop::Removed => Err(RunError::Removed(node)),
        },
        Ok(Err(_)) | Err(_) => Err(RunError::Service("the node's thread panicked".into())),
    }
}

/// Must be called within a runtime.
pub(crate) fn listen(addr: SocketAddr) -> Result<TcpListener, RunError> {
    let listening = || {
        let socket = match addr {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        }?;
        // As `TcpListener::bind` has it: a node that was killed can start again at once.
        socket.set_reuseaddr(true)?;
        socket.bind(addr)?;
        socket.listen(BACKLOG)
    };
    listening().map_err(|source| RunError::Listen { addr, source })
}

/// The state machine's engines: never synced per write, since the log is.
pub(crate) fn open_states(dir: &Path, segment_bytes: u64) -> Result<States, StateError> {
    let options = storage::kvs::Options {
        sync: SyncPolicy::Never,
        segment_bytes,
        reserve_bytes: segment_bytes,
        ..storage::kvs::Options::default()
    };
    States::open(dir, options)
}

pub(crate) fn log_dir(dir: &Path) -> PathBuf {
    dir.join("log")
}

/// The replica of a data directory, and its log.
///
/// # Errors
/// [`RunError`].
pub(crate) fn open(
    dir: &Path,
    identity: &Identity,
    settings: Settings,
    segment_bytes: u64,
    engine: Arc<dyn StateEngine>,
) -> Result<(Replica, RaftLog), RunError> {
    let seed = RandomState::new().hash_one(identity.node);
    let options = raft_log::Options {
        segment_bytes,
        ..raft_log::Options::default()
    };
    let (mut log, found) = RaftLog::open(Arc::new(RealFs), &log_dir(dir), options)?;
    if let Some(cut) = &found.tail {
        tracing::warn!(file = %cut.path.display(), offset = cut.offset, bytes = cut.bytes, "an unfinished write was cut off the log");
    }
    if let Health::Damaged(damage) = found.health(GROUP) {
        let what = damage.to_string();
        return Err(RunError::Damaged { what });
    }
    let recovered = recovered(identity, found);
    let boot = next_boot(dir)?;
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

fn settings(config: &Config, identity: &Identity) -> Settings {
    let defaults = Settings::new(config.id);
    let segment_bytes = usize::try_from(config.segment_bytes).unwrap_or(usize::MAX);
    Settings {
        raft: defaults.raft.with_election_timeout(config.election_timeout),
        flush_bytes: segment_bytes / 2,
        compact_bytes: segment_bytes,
        keep_bytes: segment_bytes / 4,
        pin_bytes: segment_bytes.saturating_mul(4),
        member: Some(member(config, identity)),
        ..defaults
    }
}

fn recovered(identity: &Identity, mut found: raft_log::Recovered) -> Recovered {
    let group = found.groups.remove(&GROUP);
    // Of a node that joined: nobody. The log tells.
    let founders = Configuration::of_voters(identity.founders.keys().copied());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_burst_of_connections_waits_until_it_is_accepted() {
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let addr = listener.local_addr().unwrap();
        let patience = Duration::from_millis(900);
        let burst: Vec<_> = (0..300)
            .map(|_| std::net::TcpStream::connect_timeout(&addr, patience).unwrap())
            .collect();
        for _ in burst {
            listener.accept().await.unwrap();
        }
    }
}
