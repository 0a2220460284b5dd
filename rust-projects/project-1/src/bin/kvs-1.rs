//! `kvs-1`: the command line of milestone 1. Each run starts with an empty store, so `get` never finds anything.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use project_1::KvStore;

/// A key-value store in memory. It forgets everything when it exits; `kvs-2` does not.
#[derive(Parser)]
#[command(name = "kvs-1", version)]
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
    let mut store = KvStore::new();
    match Arguments::parse().command {
        Command::Set { key, value } => store.set(key, value),
        Command::Get { key } => match store.get(key) {
            Some(value) => println!("{value}"),
            None => println!("Key not found"),
        },
        Command::Rm { key } => {
            if store.get(key.clone()).is_none() {
                println!("Key not found");
                return ExitCode::FAILURE;
            }
            store.remove(key);
        }
    }
    ExitCode::SUCCESS
}
