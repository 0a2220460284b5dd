//! The real programs, `kvs-server` and `kvs-client`, from outside: over sockets, signals and exit codes.

#![allow(clippy::unwrap_used)] // clippy exempts test functions only, not their helpers

mod bad_input;
mod client;
mod command_line;
mod data_set;
mod durability;
mod harness;
mod programs;
mod session;
