//! `kvs-server-4`: the server of milestone 4, over the data in the current directory.

use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::Path;
use std::process::ExitCode;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Parser, ValueEnum};
use project_4::thread_pool::{
    NaiveThreadPool, PoolError, RayonThreadPool, SharedQueueThreadPool, ThreadPool,
};
use project_4::{KvStore, KvsEngine, KvsError, Server, SledKvsEngine};
use storage::file::RealFs;
use storage::{EngineKind, Identity};
use tracing::info;
use tracing_subscriber::EnvFilter;

/// A key-value server over the data in the current directory, one thread per open connection.
#[derive(Parser)]
#[command(name = "kvs-server-4", version)]
struct Arguments {
    /// Address to listen on: loopback, as there is no password
    #[arg(
        long,
        value_name = "IP:PORT",
        default_value = "127.0.0.1:4000",
        value_parser = loopback
    )]
    addr: SocketAddr,
    /// Storage engine; by default the one whose data is there, else kvs
    #[arg(long, value_name = "ENGINE", value_parser = engine_parser())]
    engine: Option<EngineKind>,
    /// Thread pool
    #[arg(long, default_value = "shared-queue")]
    pool: PoolName,
    /// Threads of the pool, which is how many connections are served at once; the naive pool has no limit
    #[arg(long, default_value = "16")]
    threads: NonZeroU32,
}

#[derive(Clone, Copy, ValueEnum)]
enum PoolName {
    Naive,
    SharedQueue,
    Rayon,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Store(#[from] KvsError),
    #[error("the data here is of engine `{0}`, which only kvs-server opens")]
    OtherEngine(EngineKind),
    #[error(transparent)]
    Pool(#[from] PoolError),
    #[error("cannot listen on {addr}: {source}")]
    Listen { addr: SocketAddr, source: io::Error },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_env_filter(
            EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info")),
        )
        .init();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Error> {
    let directory = Path::new(".");
    let kind = Identity::choose(&RealFs, directory, arguments.engine).map_err(KvsError::from)?;
    match kind {
        EngineKind::Kvs => with_pool(KvStore::open(directory)?, kind, arguments),
        EngineKind::Sled => with_pool(SledKvsEngine::open(directory)?, kind, arguments),
        EngineKind::Fjall | EngineKind::Memory | EngineKind::Tikv => Err(Error::OtherEngine(kind)),
    }
}

fn with_pool(engine: impl KvsEngine, kind: EngineKind, arguments: &Arguments) -> Result<(), Error> {
    match arguments.pool {
        PoolName::Naive => serve::<_, NaiveThreadPool>(engine, kind, arguments),
        PoolName::SharedQueue => serve::<_, SharedQueueThreadPool>(engine, kind, arguments),
        PoolName::Rayon => serve::<_, RayonThreadPool>(engine, kind, arguments),
    }
}

fn serve<E, P>(engine: E, kind: EngineKind, arguments: &Arguments) -> Result<(), Error>
where
    E: KvsEngine,
    P: ThreadPool,
{
    let pool = P::new(arguments.threads.get())?;
    let addr = arguments.addr;
    let server =
        Server::bind(addr, engine, pool).map_err(|source| Error::Listen { addr, source })?;
    // With port 0 the system has picked one.
    let addr = server.addr();
    info!(version = env!("CARGO_PKG_VERSION"), %addr, engine = %kind, "listening");
    server.run();
    Ok(())
}

fn engine_parser() -> impl TypedValueParser<Value = EngineKind> {
    PossibleValuesParser::new([EngineKind::Kvs, EngineKind::Sled].map(EngineKind::name))
        .try_map(|name| name.parse::<EngineKind>())
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let addr: SocketAddr = text.parse().map_err(|error| format!("{error}"))?;
    if addr.ip().is_loopback() {
        Ok(addr)
    } else {
        Err(
            "this server has no password, so it listens on loopback only; kvs-server can do more"
                .to_owned(),
        )
    }
}
