//! The replicated store: a shell of threads and sockets around [`replica`], which decides everything.
//!
//! # What it is
//!
//! [`run()`] makes a node: a thread that owns the replica and its log (`node`), gRPC streams between nodes (`transport`), and
//! a RESP service (`resp`), through which any node serves any Redis client. [`Dev`] starts a cluster on one machine.
//!
//! # What it guarantees
//!
//! A write that was answered is on the disks of a majority. A read, on any node, sees every write answered before it began. A client that cannot
//! be told what became of its write is told so (`-UNKNOWN`), and one that is told `-BUSY` or `-CLUSTERDOWN` knows that nothing was done.
//!
//! # What it does not
//!
//! There is no authentication and no encryption yet, so nodes listen on loopback only. The members are those that the
//! cluster was founded with: the core can change them, no command does yet. WATCH is refused.
//!
//! # How it works
//!
//! ```text
//!   redis-cli --> resp --.            .--> log: append, one sync for all
//!                        |--> node --<
//!   peers <--> transport-'  (replica)  '--> engine: applied, unsynced
//! ```

mod convert;
mod dev;
mod node;
mod resp;
mod run;
mod transport;

pub use dev::Dev;
pub use node::{NodeError, Status};
pub use run::{Config, RunError, run};
