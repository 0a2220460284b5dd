//! `kvs-2`: the command line of milestone 2, over the store in the current directory.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use project_2::{KvStore, KvsError, Result};

/// A key-value store in the current directory.
#[derive(Parser)]
#[command(name = "kvs-2", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Set KEY to VALUE
    Set {
        /// The key
        #[arg(value_name = "KEY")]
        key: String,
        /// The value
        #[arg(value_name = "VALUE")]
        value: String,
    },
    /// Print the value of KEY
    Get {
        /// The key
        #[arg(value_name = "KEY")]
        key: String,
    },
    /// Remove KEY
    Rm {
        /// The key
        #[arg(value_name = "KEY")]
        key: String,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ KvsError::KeyNotFound) => {
            // The course wants this one on standard output.
            println!("{error}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    let mut store = KvStore::open(".")?;
    match command {
        Command::Set { key, value } => store.set(key, value),
        Command::Get { key } => {
            match store.get(key)? {
                Some(value) => println!("{value}"),
                None => println!("Key not found"),
            }
            Ok(())
        }
        Command::Rm { key } => store.remove(key),
    }
}
