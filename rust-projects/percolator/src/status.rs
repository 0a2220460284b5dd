//! What became of a transaction: asked at its primary by whoever met one of its locks.
//!
//! # What it is
//!
//! The clean-up of the paper (section 2.2): the primary's lock or record decides, and a transaction whose client seems dead is rolled
//! back there. A time to live in the lock takes the place of the paper's tokens in Chubby; its owner prolongs it by [`heartbeat`].
//!
//! # What it guarantees
//!
//! The answers *committed* and *rolled back* are final. *Alive* may come with the promise that the transaction will not commit at or
//! below the caller's start (its minimum commit timestamp is raised), so a reader need not wait for it.
//!
//! # What it does not
//!
//! A time to live that is over does not mean that the client is dead: it may come to commit, and is refused then.
//!
//! # How it works
//!
//! ```text
//!   status of 10 at its primary p, asked by 20 at time t:
//!     lock l p by 10, t within its time to live:   min_commit_ts = 21           -> Alive
//!     lock l p by 10, too old:                     roll back                    -> RolledBack
//!     w p has a record of 10:                                                   -> Committed, RolledBack
//!     nothing: the prewrite may be under way       roll back, if asked to       -> RolledBack, or TxnNotFound
//! ```

use bytes::Bytes;

use crate::decided::Draft;
use crate::rollback::{record_rollback, rollback_lock};
use crate::{Columns, Decided, Fate, Lock, LockInfo, LockKind, Refusal, Result, Timestamp};

/// The question for a transaction's fate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckStatus {
    /// The key that the lock met names as its primary.
    pub primary: Bytes,
    /// The transaction asked about.
    pub start_ts: Timestamp,
    /// When the transaction that asks began: if the other one lives, it must not commit at or below. [`Timestamp::ZERO`] to ask for no
    /// promise; [`Timestamp::MAX`] for a reader of what is committed by now, which needs none.
    pub caller_start_ts: Timestamp,
    /// The time, from the oracle.
    pub now: Timestamp,
    /// If nothing is known of the transaction, keep it from ever coming. Else that is refused.
    pub rollback_if_unknown: bool,
    /// The lock met is pessimistic, and so may be gone from the primary though the transaction lives.
    pub about_pessimistic_lock: bool,
    /// Treat an asynchronous commit as one in two phases.
    pub force_two_phases: bool,
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TxnStatus {
    /// Its primary is locked, and not for too long yet.
    Alive {
        /// The primary's lock, as it is now.
        lock: LockInfo,
        /// It will not commit at or below the caller's start.
        pushed: bool,
    },
    /// It is committed.
    Committed(Timestamp),
    /// It was rolled back, and why this is known.
    RolledBack(RollbackCause),
    /// The primary's pessimistic lock was too old and is removed. The transaction decided nothing yet and may still go on.
    PessimisticLockDropped,
    /// Nothing is known at the primary, and nothing was done: the pessimistic lock met may be removed.
    Unknown,
}

/// Why a transaction is known to be rolled back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RollbackCause {
    /// It was before.
    Before,
    /// It took too long, and was rolled back now.
    Expired,
    /// It never came to its primary, and now never will.
    Unknown,
}

/// Decides what to answer about a transaction, and to end it if its time is over.
///
/// # Errors
/// [`Refusal::TxnNotFound`], [`Refusal::PrimaryMismatch`]; [`crate::Error::Storage`], [`crate::Error::Corrupt`].
pub fn check_status(columns: Columns<'_>, request: &CheckStatus) -> Result<Decided<TxnStatus>> {
    let mut draft = Draft::new(columns);
    let key = &request.primary;
    let status = match columns.lock(key)? {
        Some(lock) if lock.start_ts == request.start_ts => locked(&mut draft, request, lock)?,
        _ => match columns.fate(key, request.start_ts)? {
            Some(Fate::Committed(commit_ts)) => TxnStatus::Committed(commit_ts),
            Some(Fate::RolledBack) => TxnStatus::RolledBack(RollbackCause::Before),
            None if !request.rollback_if_unknown => {
                return Err(Refusal::TxnNotFound {
                    start_ts: request.start_ts,
                    primary: key.clone(),
                }
                .into());
            }
            // A rollback here would end a transaction that may not have come to lock its primary yet.
            None if request.about_pessimistic_lock => TxnStatus::Unknown,
            None => {
                record_rollback(&mut draft, key, request.start_ts, true)?;
                TxnStatus::RolledBack(RollbackCause::Unknown)
            }
        },
    };
    Ok(draft.finish(status))
}

fn locked(draft: &mut Draft<'_>, request: &CheckStatus, mut lock: Lock) -> Result<TxnStatus> {
    let key = &request.primary;
    if lock.primary != *key {
        return Err(Refusal::PrimaryMismatch(Box::new(lock.info(key))).into());
    }
    // Whether an asynchronous commit is committed, its secondaries say.
    if lock.secondaries.is_some() && !request.force_two_phases {
        let lock = lock.info(key);
        return Ok(TxnStatus::Alive {
            lock,
            pushed: false,
        });
    }
    if lock.is_expired(request.now) {
        if lock.kind == LockKind::Pessimistic && request.about_pessimistic_lock {
            draft.delete_lock(key);
            return Ok(TxnStatus::PessimisticLockDropped);
        }
        rollback_lock(draft, key, &lock)?;
        return Ok(TxnStatus::RolledBack(RollbackCause::Expired));
    }
    let pushed = push(draft, request, &mut lock);
    let lock = lock.info(key);
    Ok(TxnStatus::Alive { lock, pushed })
}

/// Raises the minimum commit timestamp above the caller's start; says whether it is there.
fn push(draft: &mut Draft<'_>, request: &CheckStatus, lock: &mut Lock) -> bool {
    let caller = request.caller_start_ts;
    if caller == Timestamp::MAX {
        return true;
    }
    // A client that gave no minimum does not expect to be refused for one.
    if caller == Timestamp::ZERO || lock.min_commit_ts == Timestamp::ZERO {
        return false;
    }
    if lock.min_commit_ts <= caller {
        // As far as now, so that readers who come soon need not push again.
        lock.min_commit_ts = caller.next().max(request.now);
        draft.put_lock(&request.primary, lock);
    }
    true
}

/// Decides to prolong the life of the transaction of `start_ts` to at least `ttl_ms` after its start, and replies how long it has.
///
/// # Errors
/// [`Refusal::LockNotFound`] if its primary is not locked by it (any more); [`crate::Error::Storage`], [`crate::Error::Corrupt`].
pub fn heartbeat(
    columns: Columns<'_>,
    primary: &Bytes,
    start_ts: Timestamp,
    ttl_ms: u64,
) -> Result<Decided<u64>> {
    let mut draft = Draft::new(columns);
    let Some(mut lock) = columns
        .lock(primary)?
        .filter(|lock| lock.start_ts == start_ts)
    else {
        return Err(Refusal::LockNotFound {
            start_ts,
            key: primary.clone(),
        }
        .into());
    };
    if lock.ttl_ms < ttl_ms {
        lock.ttl_ms = ttl_ms;
        draft.put_lock(primary, &lock);
    }
    Ok(draft.finish(lock.ttl_ms))
}
