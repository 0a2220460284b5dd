//! Decides commands one after another, each against everything decided before it.
//!
//! One lock is held for a burst, the requests that one connection has at hand. Inside, what a command writes is
//! submitted to the engine before another reads (`pending`), so a decision needs to look nowhere else. Nothing here waits
//! for a disk: the caller holds the replies back until [`Burst::finish`]'s position is acknowledged.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use commands::{Context, Decision, Env, Host, ScanCursors, Session, WatchTable, keyspace};
use storage::{Batch, Durability, Limits, Seq};

use super::committer::Committer;
use super::config::Config;
use super::pending::{Pending, View};

/// Owner of everything decisions are made from.
pub(crate) struct Decider {
    engine: Arc<dyn Durability>,
    committer: Arc<Committer>,
    limits: Limits,
    max_reply_bytes: usize,
    state: Mutex<State>,
}

struct State {
    watches: WatchTable,
    cursors: ScanCursors,
    /// Effects of the command being decided; kept for its memory.
    batch: Batch,
    /// Effects of earlier commands of the burst.
    pending: RefCell<Pending>,
    /// The latest time a decision was made at.
    now_ms: u64,
}

impl Decider {
    /// Over `engine`, within the limits of `config`.
    pub(crate) fn new(
        engine: Arc<dyn Durability>,
        committer: Arc<Committer>,
        config: &Config,
    ) -> Self {
        let engine_limits = engine.limits();
        let now_ms = wall_clock_ms();
        Self {
            limits: Limits {
                value_bytes: engine_limits
                    .value_bytes
                    .min(config.max_value_bytes + keyspace::VALUE_OVERHEAD_BYTES),
                ..engine_limits
            },
            max_reply_bytes: config.max_message_bytes(),
            state: Mutex::new(State {
                watches: WatchTable::new(),
                cursors: ScanCursors::new(now_ms),
                batch: Batch::new(),
                pending: RefCell::default(),
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
        state.pending.get_mut().clear();
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

/// What follows a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// The next request.
    GoOn,
    /// The end of the connection.
    Close,
}

/// Decisions under one lock and at one time.
pub(crate) struct Burst<'a> {
    decider: &'a Decider,
    state: MutexGuard<'a, State>,
    /// After a failed commit nothing more is written, and what was not acknowledged must not be shown.
    has_failed: bool,
}

impl Burst<'_> {
    /// Decides one request and appends its reply to `replies`, to which only this burst may have appended since its
    /// first request. The reply is final after [`Burst::finish`].
    pub(crate) fn decide(
        &mut self,
        session: &mut Session,
        args: &[Bytes],
        host: &dyn Host,
        replies: &mut Vec<u8>,
    ) -> Then {
        let state = &mut *self.state;
        state.batch.clear();
        let engine = &*self.decider.engine;
        let view = View {
            engine,
            has_failed: self.has_failed,
            pending: &state.pending,
            host,
        };
        let mut env = Env {
            context: Context {
                reader: &view,
                now_ms: state.now_ms,
                limits: self.decider.limits,
                max_reply_bytes: self.decider.max_reply_bytes,
                cursors: &state.cursors,
            },
            batch: &mut state.batch,
            watches: &mut state.watches,
            host: &view,
        };
        let (reply, then) = match session.handle(args, &mut env) {
            Ok(Decision::Reply(reply)) => (reply, Then::GoOn),
            Ok(Decision::Close(reply)) => (reply, Then::Close),
            Err(error) => (error.to_reply(), Then::GoOn),
        };
        let pending = state.pending.get_mut();
        pending.correct(replies);
        let start = replies.len();
        reply.encode(session.protocol(), replies);
        if !state.batch.is_empty() && pending.add(&mut state.batch, start..replies.len()) {
            pending.submit(engine, self.has_failed);
            pending.correct(replies);
        }
        then
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

    /// Submits what is pending and completes `replies`. The position that must be acknowledged before any of them is
    /// sent.
    pub(crate) fn finish(mut self, replies: &mut Vec<u8>) -> Seq {
        let pending = self.state.pending.get_mut();
        pending.submit(&*self.decider.engine, self.has_failed);
        pending.correct(replies);
        if self.has_failed {
            // Decided from acknowledged data only.
            0
        } else {
            self.decider.engine.applied()
        }
    }
}

pub(crate) fn wall_clock_ms() -> u64 {
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}
