//! What the secondaries say of an asynchronous commit.
//!
//! # What it is
//!
//! A transaction that commits asynchronously is committed once all of its keys are prewritten; its primary's lock lists the others. Whoever
//! meets one of its locks asks all secondaries: if each is locked, it is committed at the highest of their minimum commit timestamps.
//! Beyond the paper; the behaviour is TiKV's.
//!
//! # What it guarantees
//!
//! The answers *committed* and *rolled back* are final. A secondary that is not locked when it is asked never will be: it gets a record.
//!
//! # What it does not
//!
//! It does not look at the primary, which is asked first ([`crate::check_status`]).
//!
//! # How it works
//!
//! ```text
//!   secondaries b c of 10:   l b by 10, l c by 10:           Locked, both
//!                            l b by 10, c committed at 15:   Committed at 15
//!                            l b by 10, nothing on c:        put w c !10 = rollback     RolledBack
//! ```

use bytes::Bytes;

use crate::decided::Draft;
use crate::rollback::{record_rollback, rollback_lock};
use crate::{Columns, Decided, Fate, LockInfo, LockKind, Result, Timestamp};

/// What the secondaries say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Secondaries {
    /// All keys asked are locked by the transaction.
    Locked(Vec<LockInfo>),
    /// One of them is committed, and so is the transaction.
    Committed(Timestamp),
    /// One of them is rolled back, and so is the transaction.
    RolledBack,
}

impl Secondaries {
    /// When the transaction is committed, if it is, as far as these keys say: not below `others`, what its other keys say.
    #[must_use]
    pub fn commit_ts(&self, others: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Locked(locks) => {
                let of_locks = locks.iter().map(|lock| lock.min_commit_ts);
                Some(of_locks.fold(others, Timestamp::max))
            }
            Self::Committed(commit_ts) => Some(*commit_ts),
            Self::RolledBack => None,
        }
    }
}

/// Decides what to answer about the secondaries `keys` of the transaction of `start_ts`, and keeps those that are not locked from ever being so.
///
/// # Errors
/// [`crate::Error::Storage`], [`crate::Error::Corrupt`].
pub fn check_secondaries(
    columns: Columns<'_>,
    keys: &[Bytes],
    start_ts: Timestamp,
) -> Result<Decided<Secondaries>> {
    let mut draft = Draft::new(columns);
    let mut locks = Vec::with_capacity(keys.len());
    for key in keys {
        let lock = columns.lock(key)?.filter(|lock| lock.start_ts == start_ts);
        match lock {
            // It was not prewritten, and whoever asks will not wait until it is.
            Some(lock) if lock.kind == LockKind::Pessimistic => {
                rollback_lock(&mut draft, key, &lock)?;
                return Ok(draft.finish(Secondaries::RolledBack));
            }
            Some(lock) => locks.push(lock.info(key)),
            None => {
                let reply = match columns.fate(key, start_ts)? {
                    Some(Fate::Committed(commit_ts)) => Secondaries::Committed(commit_ts),
                    Some(Fate::RolledBack) => Secondaries::RolledBack,
                    None => {
                        record_rollback(&mut draft, key, start_ts, true)?;
                        Secondaries::RolledBack
                    }
                };
                return Ok(draft.finish(reply));
            }
        }
    }
    Ok(draft.finish(Secondaries::Locked(locks)))
}
