//! Decides commands one after another, each against everything decided before it.
//!
//! One lock is held for a burst, the requests that one connection has at hand. Inside, each command that writes is
//! submitted to the engine before the next is decided, so a decision needs to look nowhere else. Nothing here waits for
//! a disk: the caller holds the replies back until [`Burst::finish`]'s position is acknowledged.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use commands::{Context, Decision, Env, Host, ScanCursors, Session, WatchTable, keyspace};
use storage::{Batch, Durability, Limits, Reader, Seq};
use wire::Reply;

use super::committer::Committer;

/// Owner of everything decisions are made from.
pub(crate) struct Decider {
    engine: Arc<dyn Durability>,
    committer: Arc<Committer>,
    limits: Limits,
    state: Mutex<State>,
}

struct State {
    watches: WatchTable,
    cursors: ScanCursors,
    /// Effects of the command being decided; kept for its memory.
    batch: Batch,
    /// The latest time a decision was made at.
    now_ms: u64,
}

impl Decider {
    /// Over `engine`, with values of at most `max_value_bytes`.
    pub(crate) fn new(
        engine: Arc<dyn Durability>,
        committer: Arc<Committer>,
        max_value_bytes: usize,
    ) -> Self {
        let engine_limits = engine.limits();
        let now_ms = wall_clock_ms();
        Self {
            limits: Limits {
                value_bytes: engine_limits
                    .value_bytes
                    .min(max_value_bytes.saturating_add(keyspace::VALUE_OVERHEAD_BYTES)),
                ..engine_limits
            },
            state: Mutex::new(State {
                watches: WatchTable::new(),
                cursors: ScanCursors::new(now_ms),
                batch: Batch::new(),
                now_ms,
            }),
            engine,
            committer,
        }
    }

    /// Starts a burst: takes the lock and reads the clock once.
    pub(crate) fn burst(&self) -> Burst<'_> {
        let mut state = self.lock();
        // A clock that was set back must not revive what has expired.
        state.now_ms = state.now_ms.max(wall_clock_ms());
        Burst {
            decider: self,
            has_failed: self.committer.has_failed(),
            state,
        }
    }

    /// Forgets what a connection leaves behind.
    pub(crate) fn end(&self, session: Session) {
        session.end(&mut self.lock().watches);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic half way leaves nothing that the next command would not overwrite.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Decisions under one lock and at one time.
pub(crate) struct Burst<'a> {
    decider: &'a Decider,
    state: MutexGuard<'a, State>,
    /// After a failed commit nothing more is written, and what was not acknowledged must not be shown.
    has_failed: bool,
}

impl Burst<'_> {
    /// Decides one request and hands its effects to the engine.
    pub(crate) fn decide(
        &mut self,
        session: &mut Session,
        args: &[Bytes],
        host: &dyn Host,
    ) -> Decision {
        let state = &mut *self.state;
        state.batch.clear();
        let engine = &*self.decider.engine;
        let mut env = Env {
            context: Context {
                reader: reader(engine, self.has_failed),
                now_ms: state.now_ms,
                limits: self.decider.limits,
                cursors: &state.cursors,
            },
            batch: &mut state.batch,
            watches: &mut state.watches,
            host,
        };
        let decision = match session.handle(args, &mut env) {
            Ok(decision) => decision,
            Err(error) => return Decision::Reply(error.to_reply()),
        };
        if state.batch.is_empty() {
            return decision;
        }
        let submitted = engine.submit(&state.batch);
        // Values are not kept until the next command.
        state.batch.clear();
        match submitted {
            Ok(_) => decision,
            Err(error) => Decision::Reply(self.refusal(&error)),
        }
    }

    /// What to tell the client when the engine did not take a write.
    fn refusal(&self, error: &storage::Error) -> Reply {
        let code = match error {
            storage::Error::DiskFull { .. } => "ERR disk full: ",
            storage::Error::Poisoned { .. } if self.has_failed => "ERR ",
            // It failed with this very write, and only a reopen tells whether the write is there.
            storage::Error::Poisoned { .. }
            | storage::Error::Io { .. }
            | storage::Error::Backend { .. } => "UNKNOWN outcome: ",
            _ => "ERR ",
        };
        Reply::error(format!("{code}{error}").replace(['\r', '\n'], " "))
    }

    /// Removes up to `limit` expired entries; whether there may be more, and how many keys went.
    pub(crate) fn expire(&mut self, limit: usize) -> commands::Result<(bool, usize)> {
        let state = &mut *self.state;
        state.batch.clear();
        if self.has_failed {
            return Ok((false, 0));
        }
        let engine = &*self.decider.engine;
        let swept = keyspace::expire_due(engine.latest(), state.now_ms, limit, &mut state.batch)?;
        if state.batch.is_empty() {
            return Ok((false, 0));
        }
        let submitted = engine.submit(&state.batch);
        state.batch.clear();
        submitted?;
        Ok((swept.entries >= limit, swept.keys))
    }

    /// The position that must be acknowledged before any reply of this burst is sent.
    pub(crate) fn finish(self) -> Seq {
        if self.has_failed {
            // Decided from acknowledged data only.
            0
        } else {
            self.decider.engine.applied()
        }
    }
}

fn reader(engine: &dyn Durability, has_failed: bool) -> &dyn Reader {
    if has_failed { engine } else { engine.latest() }
}

pub(crate) fn wall_clock_ms() -> u64 {
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}
