//! `kvs-server-3`: the server of milestone 3, over the data in the current directory.

use std::io::{self, IsTerminal};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use project_3::{KvStore, KvsEngine, KvsError, Server, SledKvsEngine};
use storage::file::RealFs;
use storage::{EngineKind, Identity};
use tracing::info;
use tracing_subscriber::EnvFilter;

/// A key-value server over the data in the current directory, one connection at a time.
#[derive(Parser)]
#[command(name = "kvs-server-3", version)]
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
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Store(#[from] KvsError),
    #[error("the data here is of engine `{0}`, which only kvs-server opens")]
    OtherEngine(EngineKind),
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
    let Err(error) = run(&arguments);
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

fn run(arguments: &Arguments) -> Result<std::convert::Infallible, Error> {
    let directory = Path::new(".");
    let kind = Identity::choose(&RealFs, directory, arguments.engine).map_err(KvsError::from)?;
    match kind {
        EngineKind::Kvs => serve(KvStore::open(directory)?, kind, arguments.addr),
        EngineKind::Sled => serve(SledKvsEngine::open(directory)?, kind, arguments.addr),
        EngineKind::Fjall | EngineKind::Memory | EngineKind::Tikv => Err(Error::OtherEngine(kind)),
    }
}

fn serve(
    engine: impl KvsEngine,
    kind: EngineKind,
    addr: SocketAddr,
) -> Result<std::convert::Infallible, Error> {
    let listen_error = |source| Error::Listen { addr, source };
    let listener = TcpListener::bind(addr).map_err(listen_error)?;
    // With port 0 the system has picked one.
    let addr = listener.local_addr().map_err(listen_error)?;
    info!(version = env!("CARGO_PKG_VERSION"), %addr, engine = %kind, "listening");
    Server::new(engine).run(&listener)
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
