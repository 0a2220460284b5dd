//! The command line of `kvs-server`, and the validated configuration made from it.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Parser, ValueEnum};
use clap_complete::Shell;
use secrets::{Secret, SecretError};
use storage::{EngineKind, SyncPolicy};

/// Where the server listens and the client connects unless told otherwise.
pub const DEFAULT_ADDR: &str = "127.0.0.1:4000";

const EXAMPLES: &str = "\
Examples:
  kvs-server                                     durable store in the current directory, port 4000 of this machine
  kvs-server --data-dir data --sync interval     faster; a power cut may lose the last second
  kvs-server --addr 0.0.0.0:4000 --requirepass-file password
  redis-cli -p 4000 set greeting hello           any Redis client talks to it";

/// A durable key-value server that speaks the protocol of Redis.
#[derive(Debug, Parser)]
#[command(name = "kvs-server", version, after_help = EXAMPLES)]
pub struct Args {
    /// Address to listen on; port 0 picks a free one. Beyond this machine only with a password
    #[arg(long, value_name = "HOST:PORT", default_value = DEFAULT_ADDR, value_parser = resolve_addr)]
    pub addr: SocketAddr,

    /// Storage engine [default: the one whose data is in the directory, else kvs]
    #[arg(long, value_name = "ENGINE", value_parser = engine_parser())]
    pub engine: Option<EngineKind>,

    /// Directory of the data, created if missing
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub data_dir: PathBuf,

    /// When a write is forced to the disk: before it is acknowledged, each interval, or when the system pleases
    #[arg(long, value_enum, default_value_t = Sync::Always)]
    pub sync: Sync,

    /// Period of `--sync interval` in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    pub sync_interval_ms: u64,

    /// File whose first line is the password clients must give; accessible to its owner only
    #[arg(long, value_name = "FILE")]
    pub requirepass_file: Option<PathBuf>,

    /// Most connections at a time; further ones get an error and are closed
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_connections: u32,

    /// Longest value in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 512 << 20, value_parser = clap::value_parser!(u64).range(1..=512 << 20))]
    pub max_value_bytes: u64,

    /// Threads that serve connections [default: half the processors, at least 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: Option<u16>,

    /// Close connections that neither sent nor took anything for so many seconds; 0 for never
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub idle_timeout_s: u64,

    /// What to log to stderr: error, warn, info, debug, trace, or a filter such as `warn,project_5=debug`
    #[arg(long, value_name = "LEVEL", env = "RUST_LOG", default_value = "info")]
    pub log_level: String,

    /// Print completions for a shell and exit
    #[arg(long, value_name = "SHELL")]
    pub completions: Option<Shell>,
}

/// The sync policies by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Sync {
    /// Before a write is acknowledged
    Always,
    /// In the background, every `--sync-interval-ms`
    Interval,
    /// When the operating system pleases
    Never,
}

/// Reads `HOST:PORT`, where the host is an IP address or a name. Of several addresses of a name it takes the first of IPv4, as
/// [`DEFAULT_ADDR`] is one, else the first.
///
/// # Errors
/// What is wrong with `text`, for the person at the terminal.
pub fn resolve_addr(text: &str) -> Result<SocketAddr, String> {
    if let Ok(addr) = text.parse() {
        return Ok(addr);
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(format!("expected HOST:PORT, such as {DEFAULT_ADDR}"));
    };
    let port: u16 = port
        .parse()
        .map_err(|_| format!("`{port}` is no port: expected a number up to 65535"))?;
    let addrs: Vec<_> = (host, port)
        .to_socket_addrs()
        .map_err(|error| format!("cannot find the address of `{host}`: {error}"))?
        .collect();
    let preferred = addrs.iter().find(|addr| addr.is_ipv4());
    preferred
        .or(addrs.first())
        .copied()
        .ok_or_else(|| format!("`{host}` has no address"))
}

fn engine_parser() -> impl TypedValueParser<Value = EngineKind> {
    PossibleValuesParser::new(EngineKind::ALL.map(EngineKind::name))
        .try_map(|name| name.parse::<EngineKind>())
}

/// What a server needs to know, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address to listen on.
    pub addr: SocketAddr,
    /// The engine, or `None` for the one whose data is there.
    pub engine: Option<EngineKind>,
    /// Directory of the data.
    pub data_dir: PathBuf,
    /// When writes are forced to the disk.
    pub sync: SyncPolicy,
    /// What clients must give before anything else.
    pub password: Option<Secret>,
    /// Most connections at a time.
    pub max_connections: usize,
    /// Longest value in bytes.
    pub max_value_bytes: usize,
    /// Threads that serve connections.
    pub threads: usize,
    /// How long a connection may be silent.
    pub idle_timeout: Option<Duration>,
}

/// A configuration that must not run. Its text says what to do instead.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Listening beyond this machine without a password.
    #[error(
        "--addr {addr} can be reached from other machines: set a password with --requirepass-file FILE, or listen on 127.0.0.1"
    )]
    OpenToTheWorld {
        /// The address asked for.
        addr: SocketAddr,
    },
    /// The password file cannot be used.
    #[error("--requirepass-file: {0}")]
    Password(#[from] SecretError),
}

impl Config {
    /// Checks `args`.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn new(args: &Args) -> Result<Self, ConfigError> {
        let password = args
            .requirepass_file
            .as_deref()
            .map(Secret::read)
            .transpose()?;
        if password.is_none() && !args.addr.ip().to_canonical().is_loopback() {
            return Err(ConfigError::OpenToTheWorld { addr: args.addr });
        }
        Ok(Self {
            addr: args.addr,
            engine: args.engine,
            data_dir: args.data_dir.clone(),
            sync: match args.sync {
                Sync::Always => SyncPolicy::Always,
                Sync::Interval => {
                    SyncPolicy::Interval(Duration::from_millis(args.sync_interval_ms))
                }
                Sync::Never => SyncPolicy::Never,
            },
            password,
            max_connections: args.max_connections as usize,
            max_value_bytes: usize::try_from(args.max_value_bytes).unwrap_or(usize::MAX),
            threads: args.threads.map_or_else(default_threads, usize::from),
            idle_timeout: (args.idle_timeout_s > 0)
                .then(|| Duration::from_secs(args.idle_timeout_s)),
        })
    }

    /// Most bytes that one request, or one reply, takes: two of the longest values, or what many short ones need.
    pub(crate) fn max_message_bytes(&self) -> usize {
        (2 * self.max_value_bytes).max(64 << 20)
    }
}

/// Half the processors: the other half is for the committer, compaction and, often, the client.
fn default_threads() -> usize {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    (processors / 2).max(1)
}

/// The name of a policy as the flag has it.
pub(crate) fn sync_name(policy: SyncPolicy) -> &'static str {
    match policy {
        SyncPolicy::Always => "always",
        SyncPolicy::Interval(_) => "interval",
        SyncPolicy::Never => "never",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(flags: &[&str]) -> Result<Config, ConfigError> {
        let args = Args::try_parse_from([&["kvs-server"], flags].concat()).unwrap();
        Config::new(&args)
    }

    #[test]
    fn the_defaults_are_durable_and_local() {
        let config = config(&[]).unwrap();
        assert_eq!(config.addr.to_string(), DEFAULT_ADDR);
        assert_eq!(config.sync, SyncPolicy::Always);
        assert_eq!(config.engine, None);
        assert!(config.threads >= 1);
    }

    #[test]
    fn listening_beyond_the_machine_needs_a_password() {
        for addr in ["0.0.0.0:0", "[::]:0", "10.0.0.1:0", "[::ffff:10.0.0.1]:0"] {
            let error = config(&["--addr", addr]).unwrap_err();
            assert!(error.to_string().contains("--requirepass-file"), "{error}");
        }
        for addr in [
            "127.0.0.1:0",
            "127.1.2.3:0",
            "[::1]:0",
            "[::ffff:127.0.0.1]:0",
        ] {
            config(&["--addr", addr]).unwrap();
        }
    }

    #[test]
    fn an_address_may_have_a_name_and_what_is_wrong_with_one_is_said() {
        let loopback = config(&["--addr", "localhost:0"]).unwrap();
        assert!(loopback.addr.ip().is_loopback());
        for (wrong, reason) in [
            ("nowhere", "expected HOST:PORT, such as 127.0.0.1:4000"),
            ("127.0.0.1", "expected HOST:PORT"),
            ("localhost:http", "`http` is no port"),
            ("localhost:65536", "`65536` is no port"),
            (
                "no such host:1",
                "cannot find the address of `no such host`",
            ),
        ] {
            let message = resolve_addr(wrong).unwrap_err();
            assert!(message.starts_with(reason), "{message}");
        }
    }

    #[test]
    fn misuse_is_refused_when_parsing() {
        for flags in [
            &["--addr", "nowhere"][..],
            &["--engine", "rocks"],
            &["--sync", "sometimes"],
            &["--max-connections", "0"],
            &["--threads", "0"],
            &["--sync-interval-ms", "0"],
            &["extra"],
        ] {
            assert!(
                Args::try_parse_from([&["kvs-server"], flags].concat()).is_err(),
                "{flags:?}"
            );
        }
    }

    #[test]
    fn the_command_line_definition_is_sound() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }
}
