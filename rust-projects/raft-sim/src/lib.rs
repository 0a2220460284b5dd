//! A seeded simulation of replicas.
//!
//! # What it is
//!
//! [`Cluster`] runs the real `replica` of several servers on virtual time: their clocks, disks and network are simulated, and do
//! what real ones do at their worst. [`run`] drives one by a seed: clients, faults, changes of the members; then everything is mended, and
//! the cluster has to work again.
//!
//! # The papers
//!
//! The invariants are those of *In Search of an Understandable Consensus Algorithm (Extended Version)*, 2014, and of Ongaro's thesis;
//! histories are searched as in Jeannette Wing and Chun Gong, *Testing and Verifying Concurrent Objects*, 1993, with the memory of Gavin
//! Lowe, *Testing for Linearizability*, 2017. Simulation as a way of testing: Zhou and others, *FoundationDB*, SIGMOD 2021, section 4.
//!
//! # What it guarantees
//!
//! The same seed and options give the same run, event by event. A violation names the invariant, and the options that show it again.
//!
//! # What it does not
//!
//! It proves nothing that did not happen: the counters of [`Sometimes`] tell what did. A server lies to nobody, and its disk returns what was
//! synced or nothing. Data on the engine's disk goes in whole batches; `storage`'s own tests cut them at every byte.
//!
//! # How it works
//!
//! ```text
//!        seed --> faults, clients                 queue of what is due, on virtual time
//!                    |                                  |
//!                    v                                  v
//!                 Cluster ------------------------> a server's step ----> invariants (what changed)
//!                    ^                                  | actions
//!                    '---- answers --- clients          |--> disk: syncs, loses, fills up
//!                             |                         '--> network: delays, loses, repeats, blocks
//!                             '--> history of each key --> linearizable?
//! ```

mod carry_out;
mod clients;
mod clock;
mod cluster;
mod control;
mod counters;
mod deciders;
mod disk;
mod engine;
mod faults;
mod file_disk;
mod invariants;
pub mod lab;
mod network;
mod node;
mod observe;
mod queue;
mod random;
mod run;
mod shrink;
mod trace;
mod transport;

pub use clock::{Clock, TRUE_RATE};
pub use cluster::{Cluster, Occurrence, Setup, Stepped, request};
pub use counters::{Counters, Sometimes};
pub use disk::{DiskFailed, LogDisk, MemoryDisk};
pub use faults::{Fault, UnknownFault};
pub use file_disk::FileDisk;
pub use invariants::Violation;
pub use network::Network;
pub use node::{CrashPoint, DiskSpeed, Stop};
pub use random::Random;
pub use run::{Options, Outcome, run};
pub use shrink::shrink;
pub use trace::{Line, Trace};
