//! Milestone 4: one engine shared by many threads, three thread pools, and a server over any pair of them.
//!
//! # What it is
//!
//! [`KvsEngine`] with `&self`, a handle that is cloned per thread; the trait [`ThreadPool`] with three
//! [implementations](thread_pool); and [`Server`], which hands each connection to a pool. `kvs-server-4` is the program.
//!
//! # What it guarantees
//!
//! What milestone 3 does, for many connections at once. Readers take no lock and never wait for writers or compaction,
//! and writers that wait for the disk at the same time share one fdatasync. A request that panics ends its own
//! connection and nothing else. Of many removals of one key at once exactly one succeeds.
//!
//! # What it does not
//!
//! A connection keeps its thread while it is open: with a pool of four, the fifth client waits until one of the four
//! leaves or has been silent for [`server::IDLE_TIMEOUT`]. Milestone 5 ends that. No password, so loopback only.
//!
//! # How it works
//!
//! ```text
//!   accept --> job: one connection --> pool --> thread 1: read, engine.clone(), answer, read ...
//!                                           \-> thread 2: ...
//!                                                  all handles lead to one engine
//! ```

pub mod engine;
pub mod server;
pub mod thread_pool;

pub use engine::{KvStore, KvsEngine, SledKvsEngine};
pub use server::{Server, StopHandle};
pub use thread_pool::ThreadPool;

/// What can go wrong with a store.
pub use commands::plain::Error as KvsError;

/// The result of an operation on a store.
pub type Result<T> = std::result::Result<T, KvsError>;
