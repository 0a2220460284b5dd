//! A store of transactions within this process, over any engine.
//!
//! # What it is
//!
//! The smallest thing that serves a [`crate::Client`]: decides, writes, and replies. For programs that need no network, and tests.
//!
//! # What it guarantees
//!
//! What the engine guarantees for a batch holds for a request. Timestamps go on above all earlier ones when the engine is opened again.
//!
//! # What it does not
//!
//! Requests that write go one at a time, each with its own write to the engine; a server uses [`crate::Latches`] and groups them. Nobody else
//! may write to the engine's columns meanwhile.
//!
//! # How it works
//!
//! ```text
//!   ask   take `changing` (shared to read, alone to change) -> announce -> decide -> engine.write -> reply
//! ```

use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use bytes::Bytes;
use storage::{Batch, Engine};

use crate::client::{AskError, Store};
use crate::{Column, Columns, Error, InFlight, Oracle, OracleError, Request, Ticket, Timestamp};

/// Where the oracle's window stands: eight bytes, big-endian.
const WINDOW_KEY: &[u8] = b"owindow";

/// What time it is. The only clock that transactions know.
pub trait Clock {
    /// Milliseconds since 1970.
    fn now_ms(&self) -> u64;

    /// Returns after so many milliseconds.
    fn pause(&self, ms: u64);
}

/// A store of transactions over an engine, within this process.
pub struct Local<E, C> {
    engine: E,
    clock: C,
    /// Held alone by who changes something, from reading to writing.
    changing: RwLock<()>,
    oracle: Mutex<Oracle>,
    /// Only how far was read matters here: what is in flight holds `changing`.
    in_flight: Mutex<InFlight>,
}

/// The ticket of the one request that changes something.
const TICKET: Ticket = 0;

impl<E: Engine, C: Clock> Local<E, C> {
    /// Serves what `engine` holds.
    ///
    /// # Errors
    /// [`Error::Storage`]; [`Error::Corrupt`] if the oracle's window has another form.
    pub fn open(engine: E, clock: C) -> crate::Result<Self> {
        let window_ms = match engine.get(WINDOW_KEY)? {
            None => 0,
            Some(bytes) => bytes
                .as_array::<8>()
                .map(|bytes| u64::from_be_bytes(*bytes))
                .ok_or_else(|| Error::Corrupt {
                    column: Column::Default,
                    key: Bytes::from_static(WINDOW_KEY),
                    what: "the oracle's window is not eight bytes long",
                })?,
        };
        let mut in_flight = InFlight::new();
        // All that was ever given lies below.
        in_flight.saw(Timestamp::new(window_ms, 0));
        Ok(Self {
            engine,
            clock,
            changing: RwLock::new(()),
            oracle: Mutex::new(Oracle::recover(window_ms)),
            in_flight: Mutex::new(in_flight),
        })
    }

    /// The engine.
    pub const fn engine(&self) -> &E {
        &self.engine
    }

    /// The clock.
    pub const fn clock(&self) -> &C {
        &self.clock
    }

    /// Gives the engine back.
    pub fn into_engine(self) -> E {
        self.engine
    }

    fn in_flight(&self) -> MutexGuard<'_, InFlight> {
        self.in_flight
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, changes: &Batch) -> Result<(), AskError> {
        use storage::Error as Cause;
        self.engine.write(changes).map_err(|error| match error {
            Cause::DiskFull { .. }
            | Cause::KeyTooLarge { .. }
            | Cause::ValueTooLarge { .. }
            | Cause::BatchTooLarge { .. } => AskError::Decision(error.into()),
            // Nobody knows what is on the disk.
            _ => AskError::Lost,
        })
    }
}

impl<E: Engine, C: Clock> Store for Local<E, C> {
    fn ask<R: Request>(&self, request: &R) -> Result<R::Reply, AskError> {
        let mut request = request.clone();
        // A decision has no state of its own: where a thread died with the lock, the engine is as it was or as it should be.
        if request.latched().is_empty() {
            let _reading = self.changing.read().unwrap_or_else(PoisonError::into_inner);
            request
                .announce(TICKET, &mut self.in_flight())
                .map_err(Error::from)?;
            return Ok(request.decide(Columns::new(&self.engine))?.reply);
        }
        let _changing = self
            .changing
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        request
            .announce(TICKET, &mut self.in_flight())
            .map_err(Error::from)?;
        let decided = request.decide(Columns::new(&self.engine));
        let reply = decided.map_err(AskError::from).and_then(|decided| {
            self.write(&decided.changes)?;
            Ok(decided.reply)
        });
        self.in_flight().done(TICKET);
        reply
    }

    fn timestamp(&self) -> Result<Timestamp, AskError> {
        let mut oracle = self.oracle.lock().unwrap_or_else(PoisonError::into_inner);
        let now_ms = self.clock.now_ms();
        loop {
            match oracle.allocate(now_ms, 1) {
                Ok(given) => return Ok(given.first),
                Err(OracleError::NeedsWindow { upto_ms }) => {
                    let mut batch = Batch::new();
                    batch.put(WINDOW_KEY, upto_ms.to_be_bytes().to_vec());
                    self.write(&batch)?;
                    oracle.window_persisted(upto_ms);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn pause(&self, ms: u64) {
        self.clock.pause(ms);
    }
}
