//! `kvs-admin`: looks after a data directory of the log engine while no server has it open, and after a replicated store.
//!
//! # What it guarantees
//!
//! A directory in use is refused. `verify`, `repair --dry-run` and `backup` change nothing but the lock file; a copy
//! has its final name only once it is complete, durable and verified.
//!
//! # What it does not
//!
//! Without `cluster` it talks to no server, and it knows no engine but `kvs`. `stats` and `dump` open the directory as a server would, so
//! after a crash they recover it first.
//!
//! # How it works
//!
//! ```text
//!   args: command line -> Request      run: Request -> Outcome      report: what is printed, as text or JSON
//!   cluster: the same for a replicated store
//! ```

mod args;
mod cluster;
mod copy;
mod dump;
mod failure;
mod progress;
mod report;
mod run;

use std::process::ExitCode;

use clap::Parser;

/// Exit code of a command line that asks for something impossible.
const MISUSE: u8 = 2;

fn main() -> ExitCode {
    let request = args::Arguments::parse().request();
    match run::run(&request) {
        Ok(run::Outcome::Done) => ExitCode::SUCCESS,
        Ok(run::Outcome::Damaged) => ExitCode::FAILURE,
        Err(failure) if failure.is_closed_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("kvs-admin: {failure}");
            match failure.is_misuse() {
                true => ExitCode::from(MISUSE),
                false => ExitCode::FAILURE,
            }
        }
    }
}
