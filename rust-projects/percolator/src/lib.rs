//! Percolator's transactions over a key-value store: versions, locks, two-phase commit, and the oracle that orders them.
//!
//! # What it is
//!
//! What a store does with the requests of transactional clients, as decisions: a function gets a view of what is stored and a request, and
//! gives the reply and the changes to make. No thread, clock, file, socket or randomness; time is an argument.
//!
//! # The paper
//!
//! Daniel Peng and Frank Dabek, *Large-scale Incremental Processing Using Distributed Transactions and Notifications*, OSDI 2010: "section" and
//! "Figure" mean this one. What goes beyond it (time to live, minimum commit timestamps, protected rollbacks) follows the
//! behaviour of TiKV, so that TiKV's clients find what they expect.
//!
//! # What it guarantees
//!
//! Snapshot isolation: a transaction reads as of its start, and of two that write one key at the same time at most one commits. Each request may
//! come twice or late. This rests on two rules: between reading and applying nobody else decides about the same keys ([`Latches`]),
//! and timestamps are unique and rise ([`Oracle`]). `docs/transactions.md` has all that a server must do.
//!
//! # What it does not
//!
//! Snapshot isolation admits *write skew*: two transactions that each read what the other writes. It applies nothing; the caller writes
//! the changes as one batch. Observers and notifications (section 2.4) are left out.
//!
//! # How it works
//!
//! ```text
//!   client              store, keys a (primary) and b                          columns of a              columns of b
//!   begin   --> oracle: 10
//!   prewrite a, b --->  nobody else's lock, nothing committed after 10         lock: put, by 10          lock: put, by 10, see a
//!   commit  --> oracle: 15
//!   commit a at 15 -->  own lock there: the transaction is committed now       write 15: put, by 10      lock: put, by 10, see a
//!   commit b at 15 -->  (may be lost, or done by who meets the lock)           write 15: put, by 10      write 15: put, by 10
//! ```
//!
//! The one write that turns the primary's lock into a record decides. Whoever meets a lock of a dead client asks its primary and finishes
//! the transaction, forward or back.

pub mod client;
mod codec;
mod columns;
mod commit;
mod deadlock;
mod decided;
mod error;
mod garbage;
mod in_flight;
mod latches;
mod layout;
mod local;
mod lock;
mod memcomparable;
mod oracle;
mod pessimistic;
mod prewrite;
mod read;
mod request;
mod resolve;
mod rollback;
mod safe_points;
mod secondaries;
mod status;
mod timestamp;
mod waiting;
mod write;

pub use client::Client;
pub use codec::SHORT_VALUE_BYTES;
pub use columns::{Columns, Fate};
pub use commit::commit;
pub use deadlock::{Deadlock, WaitFor, WaitGraph};
pub use decided::Decided;
pub use error::{ConflictReason, Error, Refusal, Result};
pub use garbage::{Garbage, collect, destroy, garbage};
pub use in_flight::InFlight;
pub use latches::{Latches, Ticket};
pub use layout::{Column, decode_key, default_key, lock_key, write_key};
pub use local::{Clock, Local};
pub use lock::{Lock, LockInfo, LockKind};
pub use memcomparable::{decoded as memcomparable_decoded, encoded as memcomparable_key};
pub use oracle::{MAX_BATCH, Oracle, OracleError, Timestamps, WINDOW_MS};
pub use pessimistic::{Acquire, acquire, release};
pub use prewrite::{Intent, Mode, Mutation, Prewrite, Prewritten, prewrite};
pub use read::{Pair, ReadAt, batch_get, get, scan};
pub use request::{
    BatchGet, CheckSecondaries, Collect, Commit, Get, Heartbeat, MANY_KEYS, Release, Request,
    Resolve, Rollback, Scan,
};
pub use resolve::{Resolved, resolve_keys, resolve_range, scan_locks};
pub use rollback::rollback;
pub use safe_points::SafePoints;
pub use secondaries::{Secondaries, check_secondaries};
pub use status::{CheckStatus, RollbackCause, TxnStatus, check_status, heartbeat};
pub use timestamp::{LOGICAL_BITS, Timestamp};
pub use waiting::{WaitQueues, Waiter};
pub use write::{Write, WriteKind};
