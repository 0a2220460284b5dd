//! Refusals as TiKV's clients know them.

use percolator::{ConflictReason, Deadlock, LockInfo, LockKind, Refusal, Timestamp};
use proto::tikv::deadlock::WaitForEntry;
use proto::tikv::errorpb;
use proto::tikv::kvrpcpb::{self as pb, write_conflict::Reason};
use tonic::Status;

use super::route::{self, Misrouted};
use super::store::Failure;
use crate::view::View;

/// Where a failure goes in a reply.
pub(super) enum Told {
    /// The client asks elsewhere, or again.
    Region(Box<errorpb::Error>),
    /// About the keys.
    Key(Box<pb::KeyError>),
    /// Not a reply at all.
    Status(Status),
}

impl Told {
    pub(super) fn of(failure: Failure, view: &View) -> Self {
        let region = |error| Self::Region(Box::new(error));
        match failure {
            Failure::Refused(refusal) => Self::Key(Box::new(key_error(refusal))),
            Failure::Deadlock(deadlock) => Self::Key(Box::new(deadlocked(&deadlock))),
            // The request may be sent again: `percolator` sees to it that it counts once.
            Failure::NotLeader | Failure::Unknown => region(route::not_leader(view)),
            Failure::Stale => region(route::epoch_not_match(view)),
            Failure::Busy => region(errorpb::Error {
                message: "this node has too much to do".into(),
                server_is_busy: Some(errorpb::ServerIsBusy::default()),
                ..errorpb::Error::default()
            }),
            Failure::NeverGiven(ts) => Self::Key(Box::new(aborted(never_given(ts)))),
            Failure::Broken(why) => Self::Status(Status::internal(why)),
        }
    }
}

pub(super) fn never_given(ts: Timestamp) -> String {
    format!("nobody was given timestamp {ts} yet: take one from the placement driver")
}

impl From<Misrouted> for Told {
    fn from(misrouted: Misrouted) -> Self {
        match misrouted {
            Misrouted::Region(error) => Self::Region(error),
            Misrouted::Wrong(why) => Self::Key(Box::new(aborted(why))),
        }
    }
}

/// The client must not try again.
pub(super) fn aborted(why: String) -> pb::KeyError {
    pb::KeyError {
        abort: why,
        ..pb::KeyError::default()
    }
}

/// The locks met, one error each, as for a request about many keys; other refusals are one.
pub(super) fn key_errors(refusal: Refusal) -> Vec<pb::KeyError> {
    match refusal {
        Refusal::Locked(locks) => locks.iter().map(locked).collect(),
        other => vec![key_error(other)],
    }
}

pub(super) fn locked(lock: &LockInfo) -> pb::KeyError {
    pb::KeyError {
        locked: Some(lock_info(lock)),
        ..pb::KeyError::default()
    }
}

pub(super) fn lock_info(lock: &LockInfo) -> pb::LockInfo {
    let kind = match lock.kind {
        LockKind::Put => pb::Op::Put,
        LockKind::Delete => pb::Op::Del,
        LockKind::Lock => pb::Op::Lock,
        LockKind::Pessimistic => pb::Op::PessimisticLock,
    };
    let secondaries = lock.secondaries.iter().flatten();
    pb::LockInfo {
        primary_lock: lock.primary.clone(),
        lock_version: lock.start_ts.0,
        key: lock.key.clone(),
        lock_ttl: lock.ttl_ms,
        txn_size: lock.txn_size,
        lock_type: kind.into(),
        lock_for_update_ts: lock.for_update_ts.0,
        use_async_commit: lock.secondaries.is_some(),
        min_commit_ts: lock.min_commit_ts.0,
        secondaries: secondaries.cloned().collect(),
        ..pb::LockInfo::default()
    }
}

pub(super) fn key_error(refusal: Refusal) -> pb::KeyError {
    let none = pb::KeyError::default();
    let text = refusal.to_string();
    match refusal {
        Refusal::Locked(locks) => locks.first().map_or(none, locked),
        Refusal::WriteConflict {
            reason,
            key,
            primary,
            start_ts,
            conflict_start_ts,
            conflict_commit_ts,
        } => pb::KeyError {
            conflict: Some(pb::WriteConflict {
                start_ts: start_ts.0,
                conflict_ts: conflict_start_ts.0,
                key,
                primary,
                conflict_commit_ts: conflict_commit_ts.0,
                reason: match reason {
                    ConflictReason::Optimistic => Reason::Optimistic,
                    ConflictReason::RolledBack => Reason::SelfRolledBack,
                    ConflictReason::Pessimistic => Reason::PessimisticRetry,
                }
                .into(),
            }),
            ..none
        },
        Refusal::AlreadyExists { key, .. } => pb::KeyError {
            already_exist: Some(pb::AlreadyExist { key }),
            ..none
        },
        Refusal::CommitTsExpired {
            start_ts,
            attempted_commit_ts,
            key,
            min_commit_ts,
        } => pb::KeyError {
            commit_ts_expired: Some(pb::CommitTsExpired {
                start_ts: start_ts.0,
                attempted_commit_ts: attempted_commit_ts.0,
                key,
                min_commit_ts: min_commit_ts.0,
            }),
            ..none
        },
        Refusal::TxnNotFound { start_ts, primary } => pb::KeyError {
            txn_not_found: Some(pb::TxnNotFound {
                start_ts: start_ts.0,
                primary_key: primary,
            }),
            ..none
        },
        Refusal::PrimaryMismatch(lock) => mismatched(&lock),
        // The transaction may begin anew.
        Refusal::LockNotFound { .. }
        | Refusal::PrimaryNotCommitted { .. }
        | Refusal::PessimisticLockNotFound { .. } => pb::KeyError {
            retryable: text,
            ..none
        },
        Refusal::Prewritten { .. }
        | Refusal::Committed { .. }
        | Refusal::BelowSafePoint { .. }
        | Refusal::InvalidCommitTs { .. } => aborted(text),
    }
}

fn mismatched(lock: &LockInfo) -> pb::KeyError {
    pb::KeyError {
        primary_mismatch: Some(pb::PrimaryMismatch {
            lock_info: Some(lock_info(lock)),
        }),
        ..pb::KeyError::default()
    }
}

fn deadlocked(deadlock: &Deadlock) -> pb::KeyError {
    let refused = &deadlock.cycle[0];
    let entry = |wait: &percolator::WaitFor| WaitForEntry {
        txn: wait.waiter.0,
        wait_for_txn: wait.holder.0,
        key: wait.key.clone(),
        ..WaitForEntry::default()
    };
    pb::KeyError {
        deadlock: Some(pb::Deadlock {
            lock_ts: refused.holder.0,
            lock_key: refused.key.clone(),
            wait_chain: deadlock.cycle.iter().map(entry).collect(),
            ..pb::Deadlock::default()
        }),
        ..pb::KeyError::default()
    }
}
