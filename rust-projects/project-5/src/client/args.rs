//! The command line of `kvs-client`.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use clap_complete::Shell;

use crate::server::{DEFAULT_ADDR, resolve_addr};

const EXAMPLES: &str = "\
Examples:
  kvs-client set greeting hello
  kvs-client get greeting
  kvs-client scan 'user:*' --limit 10
  kvs-client export backup.jsonl && kvs-client import backup.jsonl
  kvs-client bench --connections 50 --pipeline 16

Exit codes: 0 done, 1 failed (also `rm` of a key that is not there), 2 wrong command line.";

/// Talks to a kvs-server.
#[derive(Debug, Parser)]
#[command(name = "kvs-client", version, after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,

    /// Address of the server
    #[arg(long, global = true, value_name = "HOST:PORT", default_value = DEFAULT_ADDR, value_parser = resolve_addr)]
    pub addr: SocketAddr,

    /// File whose first line is the server's password; accessible to its owner only
    #[arg(long, global = true, value_name = "FILE")]
    pub password_file: Option<PathBuf>,

    /// Give up when the server does not answer for so many seconds
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    pub timeout_s: u64,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Set a key to a value
    #[command(
        allow_negative_numbers = true,
        after_help = "Examples:
  kvs-client set greeting hello
  kvs-client set page \"$(cat page.html)\"
  kvs-client set -- flag --verbose      after -- nothing is an option"
    )]
    Set {
        /// The key.
        key: OsString,
        /// The value.
        value: OsString,
    },
    /// Print the value of a key, or `Key not found`
    #[command(after_help = "Example:
  kvs-client get greeting

A key that is not there is no failure: `Key not found` is printed, and the exit code is 0.")]
    Get {
        /// The key.
        key: OsString,
    },
    /// Remove a key
    #[command(after_help = "Example:
  kvs-client rm greeting

A key that is not there is a failure: `Key not found` goes to standard error, and the exit code is 1.")]
    Rm {
        /// The key.
        key: OsString,
    },
    /// Print keys, one a line
    #[command(after_help = "Examples:
  kvs-client scan
  kvs-client scan 'user:*' --limit 10
  kvs-client scan 'user:?' --json | jq .value")]
    Scan {
        /// Only keys that match: * any bytes, ? one byte, [a-z] one of
        #[arg(value_name = "MATCH")]
        pattern: Option<OsString>,
        /// At most so many
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
        /// Print pairs as JSON lines, the form that `import` takes
        #[arg(long)]
        json: bool,
    },
    /// Store the pairs of a file of JSON lines
    ///
    /// Each line is {"key": "...", "value": "...", "expires_at_ms": N}, the last being optional; bytes that are not UTF-8
    /// go as key_base64 and value_base64. The whole file is checked before anything is stored.
    #[command(after_help = "Examples:
  kvs-client import pairs.jsonl
  kvs-client export - --addr 10.0.0.1:4000 | kvs-client import -")]
    Import {
        /// The file; - for standard input, which is checked line by line
        file: PathBuf,
    },
    /// Write all pairs to a file of JSON lines
    #[command(after_help = "Examples:
  kvs-client export pairs.jsonl
  kvs-client export --match 'user:*' - | gzip > users.jsonl.gz

Each pair is as of one moment, two pairs may be as of two. For a backup of one moment use `kvs-admin backup`.")]
    Export {
        /// The file, replaced only once all is written; - for standard output
        file: PathBuf,
        /// Only keys that match
        #[arg(long = "match", value_name = "MATCH")]
        pattern: Option<OsString>,
    },
    /// Measure throughput and latency. Overwrites keys that begin with `bench:`
    #[command(after_help = "Examples:
  kvs-client bench
  kvs-client bench --requests 1000000 --pipeline 16 --reads 90
  kvs-client bench --json | jq .latency_us.p99")]
    Bench(BenchArgs),
    /// Print completions for a shell
    #[command(after_help = "Examples:
  source <(kvs-client completions bash)
  kvs-client completions fish > ~/.config/fish/completions/kvs-client.fish")]
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// What to measure.
#[derive(Debug, Clone, clap::Args)]
pub struct BenchArgs {
    /// Connections at a time
    #[arg(long, short, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub connections: u32,
    /// Requests in total
    #[arg(long, short = 'n', value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub requests: u64,
    /// Requests sent together on one connection
    #[arg(long, short = 'P', value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub pipeline: u32,
    /// Bytes per value
    #[arg(long, short = 'd', value_name = "BYTES", default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=1 << 20))]
    pub value_bytes: u32,
    /// Different keys
    #[arg(long, short = 'k', value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub keys: u64,
    /// Percentage of reads; the rest writes
    #[arg(long, short, value_name = "PERCENT", default_value_t = 50, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub reads: u8,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}
