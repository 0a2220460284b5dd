//! `kvs-client-3`: the command line of milestone 3. Talks to any of the servers.

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use project_3::{ClientError, KvsClient};

/// A client of a key-value server.
#[derive(Parser)]
#[command(name = "kvs-client-3", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Address of the server
    #[arg(
        long,
        global = true,
        value_name = "IP:PORT",
        default_value = "127.0.0.1:4000"
    )]
    addr: SocketAddr,
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
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), ClientError> {
    let mut client = KvsClient::connect(arguments.addr)?;
    match &arguments.command {
        Command::Set { key, value } => client.set(key, value),
        Command::Get { key } => {
            match client.get(key)? {
                Some(value) => println!("{value}"),
                None => println!("Key not found"),
            }
            Ok(())
        }
        Command::Rm { key } => client.remove(key),
    }
}
