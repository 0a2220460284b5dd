//! `kvs-node`: a node of the replicated store, or a whole cluster for development.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::num::NonZero;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use kvstore_raft::{Access, AdminError, Api, Config, Dev, NodeError, RunError, StateError};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// The exit code after a failure of the disk or the state: starting again at once will not help.
const FATAL: u8 = 3;
/// The exit code of a node that its cluster takes for no member, or no longer: starting again will never help.
const NO_MEMBER: u8 = 4;

const RUN_HELP: &str = "\
Examples:
  kvs-node run --id 1 --data-dir /var/lib/node-1 --peer 2=127.0.0.1:2380 --peer 3=127.0.0.1:2381
  kvs-node run --id 4 --data-dir /var/lib/node-4 --addr 127.0.0.1:4003 --peer-addr 127.0.0.1:2382 \\
    --join 127.0.0.1:2379 --token-file /var/lib/node-1/TOKEN
  kvs-node run --id 1 --data-dir /var/lib/node-1 --metrics-addr 127.0.0.1:9400    then: curl 127.0.0.1:9400/metrics
  kvs-node run --id 1 --data-dir /var/lib/node-1 --addr 10.0.0.1:4000 --password-file password --peer-addr 10.0.0.1:2379 \\
    --tls-cert node-1.crt --tls-key node-1.key --tls-ca ca.crt --peer 2=10.0.0.2:2379 --peer 3=10.0.0.3:2379

Exit codes: 0 stopped as asked, 1 failed, 2 wrong command line, 3 disk or data failed, 4 not a member of the cluster, or no longer.";

/// A store that is replicated by Raft and speaks Redis' protocol.
#[derive(Parser)]
#[command(
    version,
    after_help = "Examples:\n  kvs-node dev --data-dir /tmp/cluster\n  redis-cli -p 4001 SET greeting hello\n  redis-cli -p 4002 GET greeting"
)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run a cluster on this machine, each node in a process of its own
    Dev(DevArguments),
    /// Run one node
    ///
    /// A new cluster begins once all its founders run, each with --peer for every other. A node joins a cluster that exists with --join,
    /// and votes once `kvs-admin cluster promote` was run. Started again, a node needs only --id, --cluster, --data-dir and its addresses.
    #[command(after_help = RUN_HELP)]
    Run(Box<RunArguments>),
}

#[derive(Args)]
struct DevArguments {
    /// How many nodes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=9))]
    nodes: u16,
    /// Where the nodes keep their data, each in a directory of its own
    #[arg(long, default_value = "kvs-dev")]
    data_dir: PathBuf,
    /// Port of the first node for clients; the others follow
    #[arg(long, default_value_t = 4000)]
    port: u16,
    /// Port of the first node for its peers; the others follow
    #[arg(long, default_value_t = 2379)]
    peer_port: u16,
    /// Port of the first node for metrics and health, as in 9400; the others follow; without it there are none
    #[arg(long)]
    metrics_port: Option<u16>,
    /// The version of TiKV's API that a new cluster speaks, for ever; one that exists keeps its own
    #[arg(long, value_enum, default_value_t = Api::V2)]
    api_version: Api,
}

#[derive(Args)]
struct RunArguments {
    /// Number of this node; never used for another one
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    id: u64,
    /// Name of the cluster; nodes of another one are refused
    #[arg(long, default_value = "keyproof")]
    cluster: String,
    /// Where this node keeps its data
    #[arg(long)]
    data_dir: PathBuf,
    /// Address for clients; beyond this machine only with --password-file or --client-tls-ca
    #[arg(long, default_value = "127.0.0.1:4000")]
    addr: SocketAddr,
    /// Address for the other nodes, which they are told; beyond this machine only with --tls-cert, --tls-key and --tls-ca
    #[arg(long, default_value = "127.0.0.1:2379")]
    peer_addr: SocketAddr,
    /// Another founder of the cluster, once for each; its address counts over what the node says of itself
    #[arg(long = "peer", value_name = "ID=HOST:PORT", value_parser = peer)]
    peers: Vec<(u64, String)>,
    /// Without word from a leader for this long, and up to as long again, a node asks to be elected; the same on all nodes,
    /// and well above the time that a message and a write to disk take
    #[arg(long, default_value_t = 150, value_parser = clap::value_parser!(u64).range(10..=60_000))]
    election_timeout_ms: u64,
    /// Size of the files of log and state; the log is compacted when it holds as much
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1024))]
    segment_mib: u64,
    /// A node of the cluster that this one joins, by its address for other nodes
    #[arg(
        long,
        value_name = "HOST:PORT",
        conflicts_with = "peers",
        requires = "token_file"
    )]
    join: Option<String>,
    /// Address for metrics and health over HTTP: /metrics for Prometheus, /healthz, /livez; without it there are none
    #[arg(long, value_name = "HOST:PORT")]
    metrics_addr: Option<SocketAddr>,
    /// Let --metrics-addr be beyond this machine, though whoever reaches it sees the metrics without a password
    #[arg(long, requires = "metrics_addr")]
    metrics_for_anybody: bool,
    /// Holds the cluster's token in its first line; founders make one unless they are given it
    #[arg(long)]
    token_file: Option<PathBuf>,
    /// The version of TiKV's API that a new cluster speaks, for ever; one that exists keeps its own
    #[arg(long, value_enum, default_value_t = Api::V2)]
    api_version: Api,
    #[command(flatten)]
    access: Access,
    /// How lines of the log look; RUST_LOG says which there are
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// For people
    Text,
    /// Each an object of JSON, for programs
    Json,
}

fn peer(text: &str) -> Result<(u64, String), String> {
    let (id, address) = text
        .split_once('=')
        .ok_or("expected ID=HOST:PORT, as in 2=127.0.0.1:2380")?;
    let id = id
        .parse()
        .map_err(|_| format!("`{id}` is not the number of a node"))?;
    Ok((id, address.to_owned()))
}

fn main() -> ExitCode {
    let verb = Arguments::parse().verb;
    let format = match &verb {
        Verb::Dev(_) => LogFormat::Text,
        Verb::Run(arguments) => arguments.log_format,
    };
    log_as(format);
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            fail(
                format,
                &format_args!("the threads that serve cannot be started: {error}"),
            );
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(async {
        match verb {
            Verb::Dev(arguments) => dev(arguments).await,
            Verb::Run(arguments) => run(*arguments).await,
        }
    })
}

/// One processor is left to the thread that owns the replica. Where there are two, a second thread that serves is woken for each message only to find
/// nothing to do: a quarter of the rate of a single client.
fn runtime() -> io::Result<Runtime> {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(processors.saturating_sub(1).max(1))
        .enable_all()
        .build()
}

fn log_as(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    match format {
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).init(),
        LogFormat::Json => lines.json().init(),
    }
}

/// Says why the node ends, in a line like all others.
fn fail(format: LogFormat, error: &dyn std::fmt::Display) {
    match format {
        LogFormat::Text => eprintln!("error: {error}"),
        LogFormat::Json => tracing::error!(%error, "the node ends"),
    }
}

async fn dev(arguments: DevArguments) -> ExitCode {
    let dev = Dev {
        nodes: arguments.nodes,
        data_dir: arguments.data_dir,
        port: arguments.port,
        peer_port: arguments.peer_port,
        metrics_port: arguments.metrics_port,
        api: arguments.api_version,
    };
    match dev.run(stop()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: the nodes could not be started: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: RunArguments) -> ExitCode {
    let peers: BTreeMap<_, _> = arguments.peers.into_iter().collect();
    if peers.contains_key(&arguments.id) {
        let own = arguments.id;
        fail(
            arguments.log_format,
            &format_args!("--peer names node {own} itself; leave it out"),
        );
        return ExitCode::from(2);
    }
    let format = arguments.log_format;
    let config = Config {
        cluster: arguments.cluster,
        id: arguments.id,
        data_dir: arguments.data_dir,
        addr: arguments.addr,
        peer_addr: arguments.peer_addr,
        peers,
        election_timeout: Duration::from_millis(arguments.election_timeout_ms),
        segment_bytes: arguments.segment_mib << 20,
        join: arguments.join,
        metrics_addr: arguments.metrics_addr,
        metrics_for_anybody: arguments.metrics_for_anybody,
        token_file: arguments.token_file,
        access: arguments.access,
        api: arguments.api_version,
    };
    match kvstore_raft::run(config, stop()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            fail(format, &error);
            ExitCode::from(code(&error))
        }
    }
}

fn code(error: &RunError) -> u8 {
    match error {
        RunError::Access(_)
        | RunError::MetricsNotLoopback(_)
        | RunError::Token(_)
        | RunError::TokenNeeded => 2,
        RunError::Node(NodeError::Log(_) | NodeError::Machine(_) | NodeError::Engine(_))
        | RunError::Damaged { .. }
        | RunError::Nobodys(_)
        | RunError::Identity(_)
        | RunError::Machine(_)
        | RunError::States(StateError::NoName(_))
        | RunError::Open(_) => FATAL,
        RunError::Removed(_)
        | RunError::Refused(_)
        | RunError::Join(AdminError::Refused(_) | AdminError::Token(_)) => NO_MEMBER,
        _ => 1,
    }
}

/// Completes on SIGTERM or Ctrl-C.
async fn stop() {
    let signals = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    );
    let (Ok(mut terminate), Ok(mut interrupt)) = signals else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
