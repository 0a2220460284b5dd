//! `kvs-client`: see `kvs-client --help` and `docs/kvs-server.md`.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use clap::Parser;
use project_5::client::{self, Args, Failure};

/// Exit code of a command line that asks for something impossible.
const MISUSE: u8 = 2;

fn main() -> ExitCode {
    let args = Args::parse();
    let mut out = BufWriter::new(io::stdout().lock());
    let done = client::run(args, &mut out).and_then(|()| out.flush().map_err(Failure::Output));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads the output has had enough, as `head` has.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(Failure::KeyNotFound) => {
            eprintln!("Key not found");
            ExitCode::FAILURE
        }
        Err(error @ Failure::Password(_)) => {
            eprintln!("kvs-client: {error}");
            ExitCode::from(MISUSE)
        }
        Err(error) => {
            eprintln!("kvs-client: {error}");
            ExitCode::FAILURE
        }
    }
}
