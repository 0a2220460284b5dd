//! The replicated store: a shell of threads and sockets around [`replica`], which decides everything.
//!
//! # What it is
//!
//! [`run()`] makes a node: a thread that owns the replica and its log (`node`), gRPC streams between nodes (`transport`, `snapshots`), the engines of the state (`states`), and
//! a RESP service (`resp`), through which any node serves any Redis client. [`Dev`] starts a cluster on one machine. Which cluster a directory
//! belongs to is settled before a node takes part (`settle`, `founding`, `identity`). [`Operator`] changes a cluster that runs (`admin`), [`restore`] and
//! [`recover`] a directory that no node has open.
//!
//! # What it guarantees
//!
//! A write that was answered is on the disks of a majority. A read, on any node, sees every write answered before it began. A client that cannot
//! be told what became of its write is told so (`-UNKNOWN`), and one that is told `-BUSY` or `-CLUSTERDOWN` knows that nothing was done.
//!
//! # What it does not
//!
//! Without certificates nodes speak to each other on loopback only (`tls`), and clients of other machines need a password
//! or a certificate (`access`). Operators need a token.
//! WATCH is refused.
//!
//! # How it works
//!
//! ```text
//!   redis-cli --> resp --.            .--> log: append, one sync for all
//!                        |--> node --<
//!   peers <--> transport-'  (replica)  '--> engine: applied, unsynced
//! ```

mod access;
mod admin;
mod client;
mod convert;
mod dev;
mod founding;
mod handshake;
mod identity;
mod inbox;
mod node;
mod offline;
mod resp;
mod run;
mod secret;
mod settle;
mod snapshots;
mod states;
mod tikv;
mod tls;
mod transport;
mod view;
mod watch;

pub use access::{Access, AccessError};
pub use client::{AdminError, Operator};
pub use dev::Dev;
pub use node::{NodeError, Status};
pub use offline::{Forced, recover, restore, token_file};
pub use proto::admin as messages;
pub use replica::{FORMAT, MachineError, SnapshotCheck};
pub use run::{Config, RunError, run};
pub use secret::{Token, TokenError};
pub use states::StateError;
pub use tikv::Api;
pub use tls::{AddressError, ClientTlsFiles, Credentials, TlsError, TlsFiles};
