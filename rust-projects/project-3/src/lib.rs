//! Milestone 3: a server, its client, and an engine that can be exchanged.
//!
//! # What it is
//!
//! [`KvsEngine`], the trait behind which [`KvStore`] (ours) and [`SledKvsEngine`] (the `sled` library) are the same to a
//! [`Server`]; and [`KvsClient`], its other end. `kvs-server-3` and `kvs-client-3` are the programs.
//!
//! # What it guarantees
//!
//! A write that was answered is on the disk. What a client sends, well-formed or not, does not end the server, and the
//! memory it can make the server use is bounded.
//!
//! # What it does not
//!
//! It serves one connection at a time, the next when that one closes or has been silent for [`server::IDLE_TIMEOUT`]:
//! a client that sends a byte now and then keeps all others waiting. Milestone 4 serves many at once. There is no
//! password, so it listens on loopback only. Of Redis' commands it has PING, SET, GET and DEL.
//!
//! # How it works
//!
//! ```text
//!   kvs-client-3 get k                                     kvs-server-3
//!     KvsClient ---- *2 $3 GET $1 k ----> wire::Connection --> plain::Request --> KvsEngine
//!               <--- $1 v --------------- wire::Reply      <------------------- Some("v")
//! ```

pub mod client;
pub mod engine;
pub mod server;

pub use client::{ClientError, KvsClient};
pub use engine::{KvStore, KvsEngine, SledKvsEngine};
pub use server::Server;

/// What can go wrong with a store.
pub use commands::plain::Error as KvsError;

/// The result of an operation on a store.
pub type Result<T> = std::result::Result<T, KvsError>;
