//! A client of transactions, over whatever carries its requests.
//!
//! # What it is
//!
//! [`Client::begin`] gives a [`Transaction`]: reads as of its start, writes that are buffered until [`Transaction::commit`] (paper, section
//! 2.2, Figure 6). [`Store`] is what it reaches: [`crate::Local`] within this process, or a test that loses messages.
//!
//! # What it guarantees
//!
//! [`Outcome::Committed`] and [`Outcome::Aborted`] are certain. Where the answer to the commit of the primary was lost for good, the outcome is
//! [`Outcome::Undetermined`], and nothing is guessed (bug class P3).
//!
//! # What it does not
//!
//! It never runs a transaction again by itself: what it read is what its writes rest on (bug class P4). It sends no heartbeats: a transaction
//! must commit within [`Config::lock_ttl_ms`] of its start, or others may take it for dead.
//!
//! # How it works
//!
//! ```text
//!   begin             start_ts from the oracle
//!   get, scan         own writes, then the store at start_ts; a lock that may matter: ask its primary, finish it or wait, again
//!   set, delete       into the buffer
//!   lock              a pessimistic lock; waits for who holds the key
//!   commit            prewrite the primary and then the rest;  commit_ts from the oracle;  commit the primary;  commit the rest
//!                     `--------- refused: roll back -------'                               `- lost: Undetermined
//! ```
//!
//! ```
//! use percolator::client::{Config, Outcome};
//! use percolator::{Client, Clock, Local};
//! use storage::MemoryEngine;
//!
//! struct Wall;
//!
//! impl Clock for Wall {
//!     fn now_ms(&self) -> u64 {
//!         let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
//!         now.map_or(0, |now| now.as_millis() as u64)
//!     }
//!
//!     fn pause(&self, ms: u64) {
//!         std::thread::sleep(std::time::Duration::from_millis(ms));
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::new(Local::open(MemoryEngine::new(), Wall)?, Config::default());
//! let mut transfer = client.begin()?;
//! assert_eq!(transfer.get(b"bob")?, None);
//! transfer.set("bob", "3");
//! transfer.set("joe", "9");
//! match transfer.commit() {
//!     Outcome::Committed(commit_ts) => println!("committed at {commit_ts}"),
//!     Outcome::Aborted(error) => println!("nothing happened: {error}"),
//!     Outcome::Undetermined => println!("read the accounts to find out"),
//! }
//! assert_eq!(client.begin()?.get(b"joe")?.as_deref(), Some(&b"9"[..]));
//! # Ok(())
//! # }
//! ```

mod commit;
mod locks;
mod transaction;

use crate::{Error, LockInfo, OracleError, Refusal, Request, Timestamp};

pub use commit::Outcome;
pub use transaction::Transaction;

/// What a client reaches: a store, an oracle, and the passing of time.
pub trait Store {
    /// Asks, and gives the reply once what it says is durable.
    ///
    /// # Errors
    /// [`AskError`].
    fn ask<R: Request>(&self, request: &R) -> Result<R::Reply, AskError>;

    /// A timestamp above all that anybody was given before this call.
    ///
    /// # Errors
    /// [`AskError::Lost`], [`AskError::Oracle`].
    fn timestamp(&self) -> Result<Timestamp, AskError>;

    /// Returns after so many milliseconds.
    fn pause(&self, ms: u64);
}

impl<S: Store> Store for &S {
    fn ask<R: Request>(&self, request: &R) -> Result<R::Reply, AskError> {
        (**self).ask(request)
    }

    fn timestamp(&self) -> Result<Timestamp, AskError> {
        (**self).timestamp()
    }

    fn pause(&self, ms: u64) {
        (**self).pause(ms);
    }
}

/// Why a request has no reply.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AskError {
    /// It was not granted, and nothing was changed.
    #[error(transparent)]
    Decision(#[from] Error),
    /// The oracle has no timestamps.
    #[error(transparent)]
    Oracle(#[from] OracleError),
    /// No answer came. The request may have been carried out, or may still be.
    #[error("no answer came")]
    Lost,
}

/// Why a client gives up.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ClientError {
    /// The store did not grant it, or could not read.
    #[error(transparent)]
    Store(#[from] Error),
    /// The oracle has no timestamps.
    #[error(transparent)]
    Oracle(#[from] OracleError),
    /// No answer came, however often it was asked.
    #[error("no answer came from the store")]
    Unreachable,
    /// Others held locks for longer than the client waits.
    #[error("key {:?} stays locked by transaction {}", .0.key, .0.start_ts)]
    StaysLocked(
        /// The lock.
        Box<LockInfo>,
    ),
}

impl From<AskError> for ClientError {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Decision(error) => Self::Store(error),
            AskError::Oracle(error) => Self::Oracle(error),
            AskError::Lost => Self::Unreachable,
        }
    }
}

impl ClientError {
    /// The refusal, if it is one.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Store(error) => error.refusal(),
            Self::Oracle(_) | Self::Unreachable | Self::StaysLocked(_) => None,
        }
    }
}

/// How patient a client is, and others are with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// How long after a transaction's start its locks are respected, in milliseconds.
    pub lock_ttl_ms: u64,
    /// How often a request is sent again, or a lock waited for.
    pub retries: u32,
    /// The first wait; each one after it takes twice as long.
    pub first_pause_ms: u64,
    /// How many keys a request has at most.
    pub keys_per_request: usize,
    /// How transactions commit.
    pub commit: CommitBy,
}

/// How a transaction commits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CommitBy {
    /// As the paper has it: the commit of the primary decides.
    #[default]
    TwoPhases,
    /// With the last prewrite, so that the client need not wait for a second phase.
    Prewrites,
    /// At once, if all keys fit into one request; else in two phases.
    OnePhase,
}

impl Default for Config {
    /// Waits up to 6.3 s, twice as long as others respect its locks.
    fn default() -> Self {
        Self {
            lock_ttl_ms: 3000,
            retries: 6,
            first_pause_ms: 100,
            keys_per_request: 256,
            commit: CommitBy::TwoPhases,
        }
    }
}

/// Begins transactions; see the [module](self).
#[derive(Clone, Debug)]
pub struct Client<S> {
    store: S,
    config: Config,
}

impl<S: Store> Client<S> {
    /// A client of `store`.
    pub const fn new(store: S, config: Config) -> Self {
        Self { store, config }
    }

    /// Begins a transaction now.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] if the oracle does not answer.
    pub fn begin(&self) -> Result<Transaction<'_, S>, ClientError> {
        Ok(Transaction::new(self, self.timestamp()?))
    }

    /// A timestamp, asked for again if none comes: one that was lost is only a gap.
    fn timestamp(&self) -> Result<Timestamp, ClientError> {
        self.retry(S::timestamp)
    }

    /// Asks until an answer comes: for requests that do no harm when they come twice, which all do.
    fn insist<R: Request>(&self, request: &R) -> Result<R::Reply, ClientError> {
        self.retry(|store| store.ask(request))
    }

    fn retry<T>(&self, ask: impl Fn(&S) -> Result<T, AskError>) -> Result<T, ClientError> {
        let mut backoff = self.backoff();
        loop {
            match ask(&self.store) {
                Ok(reply) => return Ok(reply),
                Err(AskError::Lost) if backoff.wait() => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    const fn backoff(&self) -> Backoff<'_, S> {
        Backoff {
            store: &self.store,
            left: self.config.retries,
            pause_ms: self.config.first_pause_ms,
        }
    }
}

/// Waits longer each time, and not for ever.
struct Backoff<'a, S> {
    store: &'a S,
    left: u32,
    pause_ms: u64,
}

impl<S: Store> Backoff<'_, S> {
    /// Whether it was worth waiting once more.
    fn wait(&mut self) -> bool {
        let Some(left) = self.left.checked_sub(1) else {
            return false;
        };
        self.left = left;
        self.store.pause(self.pause_ms);
        self.pause_ms = self.pause_ms.saturating_mul(2);
        true
    }
}
