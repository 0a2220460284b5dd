//! The Raft consensus core.
//!
//! # What it is
//!
//! One server of a Raft group as a state machine: [`Core::step`] takes a time and something that happened, and returns what to do
//! about it. It has no thread, no clock, no file, no socket and no randomness but a seeded generator in its state, so the same inputs give
//! the same outputs, and a simulator or a model checker runs the very code that a server runs.
//!
//! # The paper
//!
//! Diego Ongaro and John Ousterhout, *In Search of an Understandable Consensus Algorithm (Extended Version)*, 2014: "section" and "Figure" mean
//! this one. Diego Ongaro, *Consensus: Bridging Theory and Practice*, 2014: "thesis". Beyond the paper: pre-vote, leaders that step down
//! without a majority, linearizable reads without log entries, leadership transfer, all from the thesis; joint consensus with learners.
//!
//! # What it guarantees
//!
//! The five properties of Figure 3, if the driver keeps to three rules: writes reach the disk in the order of their numbers; a message leaves
//! only once the write that it names is durable ([`Outgoing::after`]); what was durable is there again at [`Core::new`]. Messages may be lost,
//! delayed, repeated and reordered, completions may come late. Clocks matter for liveness only, never for safety.
//!
//! # What it does not
//!
//! It does not recognise a client's retry (the layer above has sessions), does not look into commands, and trusts its peers: there is no
//! defence against a server that lies. There are no leases: each read asks a majority. The log that is not compacted is kept in memory.
//!
//! # How it works
//!
//! ```text
//!                  write 7: entry 12          persisted 7
//!   client --> leader ----------------> disk ----.
//!               |                                v
//!               '--- Append 12 --> follower   leader counts itself
//!                                   |  write 3: entry 12, reply after 3
//!                                   '--> disk -- persisted 3 --> reply: matched 12 --> leader counts it: majority, 12 is committed
//! ```
//!
//! A leader sends before its own disk is done, so both disks work at once; votes and acknowledgements wait for the disk of whoever
//! gives them. Modules follow the paper's parts: `election`, `replication`, `membership`, `snapshot`, `reads`; `receive` has the rules
//! on terms that hold for every message; `log`, `writes` and `progress` the data they work on.

mod configuration;
mod core;
mod election;
mod input;
mod leader;
mod log;
mod membership;
mod message;
mod progress;
mod random;
mod reads;
mod receive;
mod replication;
mod snapshot;
mod types;
mod writes;

pub use configuration::{ChangeError, Configuration, Tally};
pub use core::{Config, Core, PeerProgress, Role, Start};
pub use input::{Input, Outgoing, Outputs, ReadState, Refused, Time};
pub use message::{Appended, Envelope, Message};
pub use progress::FlowControl;
pub use types::{
    Entry, HardState, Index, LogId, NodeId, Payload, SnapshotMeta, Term, Write, WriteNumber,
};
