//! What the commands of Redis mean, as pure functions over a [`storage::Reader`] and a given time.
//!
//! # What it is
//!
//! [`execute`] takes one command, what is stored and what time it is, and gives the reply and the changes to make, as a
//! [`storage::Batch`]. [`Session`] adds what a connection remembers: protocol version, authentication, MULTI, WATCH. The
//! same code serves a server on one machine and a replicated state machine.
//!
//! # What it guarantees
//!
//! The same arguments over the same data at the same time give the same reply and the same batch, on every machine: no
//! clock, no randomness, no floating point, no unordered map. An expired key is never seen by any command, whether or
//! not it was removed yet. When a command fails, the batch is as it was.
//!
//! # What it does not
//!
//! It does no I/O of its own and applies nothing: the caller writes the batch, and must let the next decision see it
//! (through the engine, or an [`Overlay`] over it). There is one database, and strings are the only type.
//!
//! # How it works
//!
//! ```text
//!   args --- Command::parse ---> spec + args --- execute(reader, now_ms) ---> reply
//!             name, arity                                             `-----> batch: put r"key" -> envelope
//!                                                                                    put e"time key" -> ""
//! ```
//!
//! [`keyspace`] describes what is stored, [`pairs`] how it looks outside. `docs/commands.md` lists the commands and how
//! they differ from Redis.

mod command;
mod context;
mod counters;
mod error;
mod expiry;
mod generic;
mod glob;
mod items;
pub mod keyspace;
mod number;
mod options;
mod overlay;
pub mod pairs;
pub mod plain;
mod scan;
mod session;
mod strings;
mod watch;

pub use command::{Command, Flow};
pub use context::Context;
pub use error::{Error, Result};
pub use overlay::Overlay;
pub use scan::ScanCursors;
pub use session::{Decision, Env, Host, Route, Session};
pub use watch::WatchTable;

use storage::Batch;
use wire::Reply;

/// Decides `command` and appends its effects to `batch`; a refusal (wrong type, overflow, syntax ...) is a reply too.
///
/// # Errors
/// Reading failed, or what was read is not what this version writes. The batch is as it was then.
pub fn execute(command: &Command<'_>, context: &Context<'_>, batch: &mut Batch) -> Result<Reply> {
    command.run(context, batch)
}
