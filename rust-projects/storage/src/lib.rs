//! Ordered key-value storage over bytes: the traits, and the engines behind them.
//!
//! # What it is
//!
//! One set of traits by capability ([`Reader`], [`Engine`], [`Snapshots`], [`Durability`], [`Checkpoint`]) and four
//! engines: [`kvs`], our log-structured one; [`MemoryEngine`]; and two established libraries behind the same
//! traits, [`SledEngine`] and [`FjallEngine`]. With the feature `tikv` there is a fifth, [`tikv`]: a cluster that speaks TiKV's
//! protocol. A [`Location`] is what a user writes to choose between a directory and a cluster.
//!
//! # What it guarantees
//!
//! A batch is atomic: after a crash and for every reader it is there whole or not at all. Under
//! [`SyncPolicy::Always`] a write that returned survives power loss, and no ordinary reader sees a value that power
//! loss could still take back. A failed fsync poisons the engine; it is never retried.
//!
//! # What it does not
//!
//! It knows no time (expiry belongs to the layer above), and but for engine `tikv` no network and no async runtime.

mod batch;
mod engine;
mod error;
pub mod file;
pub mod fjall_engine;
mod flush;
mod identity;
pub mod kvs;
mod location;
pub mod log;
pub mod memory;
mod range;
pub mod sled_engine;
pub mod tikv;

pub use batch::{Batch, Op};
pub use engine::{
    Checkpoint, Direction, Durability, Engine, Entries, Keys, Limits, Reader, Seq, Snapshots,
    SyncPolicy,
};
pub use error::{Error, Result};
pub use fjall_engine::FjallEngine;
pub use identity::{EngineKind, Identity, Owner};
pub use location::{Location, LocationError};
pub use memory::MemoryEngine;
pub use range::KeyRange;
pub use sled_engine::SledEngine;
