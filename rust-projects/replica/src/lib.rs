//! One replica of the replicated store: all that decides.
//!
//! # What it is
//!
//! [`Replica`] joins the consensus core ([`raft`]), the state machine (`commands` over a storage engine), sessions and the queue of reads.
//! [`Replica::step`] takes what happened and gives what to do. It is synchronous and has no thread, clock, socket or log file: its driver, a
//! server or a simulator, moves bytes and never looks at Raft's state to decide something.
//!
//! # The papers
//!
//! Raft, section 8, and Ongaro's thesis, chapter 6, for clients: each request is applied once, reads are linearizable.
//!
//! # What it guarantees
//!
//! A request that was answered is applied on a majority's log, once. A read sees every request answered before it began. Two
//! replicas that applied the same entries hold the same bytes, and compare hashes now and then to prove it. When a client cannot be told
//! what became of its request, it is told just that.
//!
//! # What it does not
//!
//! A client that lost its server does not know what became of its last request, and nobody recognises its retry: sessions are
//! between servers.
//!
//! # How it works
//!
//! ```text
//!   client -- Write --> follower -- Forward --> leader: stamp, propose --> log of a majority
//!                          |                                                     |
//!                          '<-- reply, computed by the follower as it applies <--' committed
//!
//!   client -- Read ---> follower -- ReadIndex --> leader: asks a majority whether it still leads
//!                          |                        |
//!                          '<- when applied up to --' index
//! ```
//!
//! `changes` are decided elsewhere, by whom this server lets see what it leads with, and applied under the same leader only; `region` is what
//! range of keys that is for. `machine` applies, `requests` and `reads` are the two paths above, `sessions` tells retries, `upkeep` expires, flushes, compacts
//! and compares. `snapshot` is the whole state for another server or a backup, `stream` its bytes, `staging` what receives it. `registry` knows who is where, and `announce` keeps that true; `orders` are an operator's, `stopping` leaves in good order.

mod announce;
mod chain;
mod changes;
mod codec;
mod event;
mod machine;
mod orders;
mod reads;
mod record;
mod region;
mod registry;
mod replica;
mod requests;
mod sessions;
mod snapshot;
mod staging;
mod stopping;
mod stream;
mod upkeep;

pub use changes::{Changes, Lead};
pub use codec::Malformed;
pub use event::{Actions, Answer, Client, Event, Now, PeerMessage, Settings};
pub use machine::{FORMAT, MAX_TIME_STEP_MS, Machine, MachineError, StateEngine};
pub use orders::{Declined, MAX_PROMOTION_LAG, Order};
pub use record::{Origin, Request, origin_of};
pub use region::{Epoch, Region};
pub use registry::{Member, Registry};
pub use replica::{OpenError, Recovered, Replica};
pub use sessions::WINDOW;
pub use snapshot::{Restore, Snapshot};
pub use staging::{Receiving, Staged, Staging};
pub use stopping::Stop;
pub use stream::{CHUNK_BYTES, Encoder, SnapshotCheck, StreamError};
