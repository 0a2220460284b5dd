//! Finishing what others left, once the primary has told how.
//!
//! # What it is
//!
//! The roll forward and back of the paper (section 2.2) on keys other than the primary: on those named, or on all that a transaction
//! has locked in a range, some at a time. [`scan_locks`] finds locks.
//!
//! # What it guarantees
//!
//! What comes again changes nothing.
//!
//! # What it does not
//!
//! It believes what it is told about the transaction: ask [`crate::check_status`] first.
//!
//! # How it works
//!
//! ```text
//!   range a..z, 10 is committed at 15, 12 rolled back:   l b by 10   l c by 11   l d by 12
//!                                                        commit      leave       roll back
//! ```

use std::collections::BTreeMap;

use bytes::Bytes;
use storage::{Direction, KeyRange};

use crate::columns::rest_of;
use crate::commit::{commit_key, commit_lock};
use crate::decided::Draft;
use crate::rollback::{rollback_key, rollback_lock};
use crate::{Columns, Decided, LockInfo, Result, Timestamp};

/// Decides to finish `keys` of the transaction of `start_ts`: committed at `commit_ts`, or rolled back.
///
/// # Errors
/// As [`crate::commit`] and [`crate::rollback`].
pub fn resolve_keys(
    columns: Columns<'_>,
    keys: &[Bytes],
    start_ts: Timestamp,
    commit_ts: Option<Timestamp>,
) -> Result<Decided<()>> {
    let mut draft = Draft::new(columns);
    for key in keys {
        match commit_ts {
            Some(commit_ts) => commit_key(&mut draft, key, start_ts, commit_ts).map(drop)?,
            None => rollback_key(&mut draft, key, start_ts)?,
        }
    }
    Ok(draft.finish(()))
}

/// What is left to resolve in a range.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// How many locks were finished.
    pub locks: usize,
    /// Where to go on; `None` at the end of the range.
    pub rest: Option<KeyRange>,
}

/// Decides to finish the locks in `range` of the transactions in `fates` (commit timestamp, or `None` for rolled back), looking at no more than
/// `limit` locks. Which keys that are shows only here, so nobody else may decide about the range meanwhile; a server that latches keys takes
/// [`scan_locks`] and [`resolve_keys`].
///
/// # Errors
/// [`crate::Refusal::CommitTsExpired`]; [`crate::Error::Storage`], [`crate::Error::Corrupt`].
pub fn resolve_range(
    columns: Columns<'_>,
    range: &KeyRange,
    fates: &BTreeMap<Timestamp, Option<Timestamp>>,
    limit: usize,
) -> Result<Decided<Resolved>> {
    let mut draft = Draft::new(columns);
    let mut resolved = Resolved::default();
    let mut last = None;
    for (seen, entry) in columns.locks(range, Direction::Forward).enumerate() {
        if seen == limit {
            let from = last.map(|key| rest_of(range, key, Direction::Forward));
            resolved.rest = Some(from.unwrap_or_else(|| range.clone()));
            break;
        }
        let (key, lock) = entry?;
        if let Some(fate) = fates.get(&lock.start_ts) {
            match fate {
                Some(commit_ts) => commit_lock(&mut draft, &key, &lock, *commit_ts)?,
                None => rollback_lock(&mut draft, &key, &lock)?,
            }
            resolved.locks += 1;
        }
        last = Some(key);
    }
    Ok(draft.finish(resolved))
}

/// The first `limit` locks in `range` of transactions that began at or below `max_ts`.
///
/// # Errors
/// [`crate::Error::Storage`], [`crate::Error::Corrupt`].
pub fn scan_locks(
    columns: Columns<'_>,
    range: &KeyRange,
    max_ts: Timestamp,
    limit: usize,
) -> Result<Vec<LockInfo>> {
    let locks = columns.locks(range, Direction::Forward);
    locks
        .filter(|entry| {
            entry
                .as_ref()
                .map_or(true, |(_, lock)| lock.start_ts <= max_ts)
        })
        .take(limit)
        .map(|entry| entry.map(|(key, lock)| lock.info(&key)))
        .collect()
}
