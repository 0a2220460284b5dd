//! `kvs-server`: see `kvs-server --help` and `docs/kvs-server.md`.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use project_5::server::{self, Args, Config};
use tracing_subscriber::EnvFilter;

/// Exit code of a command line that asks for something impossible.
const MISUSE: u8 = 2;

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(shell) = args.completions {
        clap_complete::generate(shell, &mut Args::command(), "kvs-server", &mut io::stdout());
        return ExitCode::SUCCESS;
    }
    let filter = match EnvFilter::try_new(&args.log_level) {
        Ok(filter) => filter,
        Err(error) => {
            eprintln!("kvs-server: --log-level {}: {error}", args.log_level);
            return ExitCode::from(MISUSE);
        }
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .init();
    let config = match Config::new(&args) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("kvs-server: {error}");
            return ExitCode::from(MISUSE);
        }
    };
    match server::run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kvs-server: {error}");
            ExitCode::FAILURE
        }
    }
}
