//! Exhaustive model checking of the Raft core.
//!
//! # What it is
//!
//! Every state that a small cluster can get into, visited: the servers are the real [`raft::Core`], each with a disk that loses what it had
//! not done, on a network that delays, reorders, loses and repeats. [`RaftModel`] says what may happen next, `stateright` goes through all of
//! it, and [`Rule`] says what must hold in each state.
//!
//! # What it guarantees
//!
//! A run that ends by itself has seen *all* schedules within its bounds: so many terms, commands, crashes, and so many messages under way at
//! once. [`scenarios`] has the bounds, and starts far inside the state space for what lies too deep to be reached from the beginning. States are
//! told apart by 64-bit hashes; at ten million states the chance that two fell together is about three in a million.
//!
//! # What it does not
//!
//! Time is not modelled: elections and heartbeats are actions that may come at any moment, which is every schedule of timeouts and
//! more, but a follower's loyalty to a leader that it heard lately is switched off (it is for liveness). Nothing is said about liveness. A crashed
//! server is back at once; one that stays down is one whose messages are lost.
//!
//! # How it works
//!
//! ```text
//!   Campaign(1)  --> server 1: write 1 (term 1, vote) waits for its disk, as do two requests for votes
//!   Sync(1, 1)   --> durable: the requests are under way
//!   Deliver      --> server 2: write 1 (term 1, vote for 1) and the answer that waits for it
//!   Crash(2, 0)  --> the write is lost and the answer with it; Crash(2, 1) keeps the write and loses the answer
//! ```

mod check;
mod disk;
mod model;
mod rules;
pub mod scenarios;
mod state;

pub use check::{Outcome, Violation, check, check_nearest};
pub use disk::{Disk, Server};
pub use model::{Action, RaftModel};
pub use rules::{Event, Rule, Seen};
pub use state::{Committed, Hashed, Left, Sent, State};
