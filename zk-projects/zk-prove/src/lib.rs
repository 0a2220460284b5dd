//! `zk-prove`: proves and verifies statements from a shell, makes keys, and runs the applications against a local EVM.
//!
//! # What it guarantees
//!
//! A proof was verified before it is written, under a key that was checked. Keys and files of a ceremony are never overwritten. Files have
//! their names only once they are whole. Files that hold secrets are their owner's alone (mode 0600), and such a file that others may
//! open is refused.
//!
//! # What it does not
//!
//! `setup` makes demo keys, and says so wherever one is used. For others there are `ptau` and `zkey`.
//!
//! # How it works
//!
//! ```text
//!   args: command line      verbs: one module for each group of verbs      statements: what can be proved, by name
//!   output: text or JSON    paths: files                                   failure: what went wrong and what to do
//!   ready: a statement with its key
//!   world: a directory with a local EVM, contracts and keys                apps: the applications in it      demo: all of them
//!   stores: where the applications keep their data
//! ```

mod apps;
mod args;
mod demo;
mod failure;
mod output;
mod paths;
mod progress;
mod ready;
mod statements;
mod stores;
mod verbs;
mod world;

use std::process::ExitCode;

use clap::Parser;

use verbs::Outcome;

/// Exit code of a command line that asks for something impossible.
const MISUSE: u8 = 2;

/// The program: does what its command line says, and tells how it ended.
pub fn main() -> ExitCode {
    match verbs::run(args::Arguments::parse()) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Refused) => ExitCode::FAILURE,
        Err(failure) if failure.is_closed_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("zk-prove: {failure}");
            match failure.is_misuse() {
                true => ExitCode::from(MISUSE),
                false => ExitCode::FAILURE,
            }
        }
    }
}
