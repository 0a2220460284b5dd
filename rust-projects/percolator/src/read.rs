//! Reads at a timestamp.
//!
//! # What it is
//!
//! Get, batch get and scan (paper, section 2.2 and Figure 6: `Get`). What is read at `ts` is what was committed at or below it.
//!
//! # What it guarantees
//!
//! A read never skips a lock that could still commit at or below its timestamp (bug class P6): such locks are refused, or reported in
//! the place of the pair. It does skip those that cannot: of a transaction that began later, that only locks, or that may not
//! commit at or below `ts` any more.
//!
//! # What it does not
//!
//! It does not wait and does not resolve; the client does. Each key of a scan costs seeks of its own rather than one pass over
//! the column, so that many versions of a key cost nothing.
//!
//! # How it works
//!
//! ```text
//!   get k at 20:   lock l k ?   none, or start_ts 25 > 20: go on       start_ts 15 <= 20: Locked
//!                  write  w k !30   w k !18   w k !12
//!                         above 20  ^ first at or below: put by 15  ->  its value, or default d k !15
//! ```

use std::collections::BTreeSet;

use bytes::Bytes;
use storage::{Direction, KeyRange};

use crate::columns::rest_of;
use crate::{Columns, Lock, LockInfo, LockKind, Refusal, Result, Timestamp};

/// At which moment to read, and which locks to read past.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadAt {
    /// What is committed at or below it is seen. At [`Timestamp::MAX`] a primary's lock is passed: what is not committed by now is not seen.
    pub ts: Timestamp,
    /// Transactions that were found to be rolled back, or to commit above `ts` only: their locks are passed.
    pub bypass: BTreeSet<Timestamp>,
    /// Transactions that were found to be committed at or below `ts`: their locks are read as if resolved.
    pub access: BTreeSet<Timestamp>,
}

impl ReadAt {
    /// Reads at `ts` and passes no lock.
    #[must_use]
    pub fn new(ts: Timestamp) -> Self {
        Self {
            ts,
            ..Self::default()
        }
    }
}

/// One pair of a scan or batch get: a value, or the lock that hides it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The user key.
    pub key: Bytes,
    /// Its value, or who must be asked first.
    pub value: std::result::Result<Bytes, LockInfo>,
}

/// What a read has to do with a lock that it met.
enum Met {
    Pass,
    ReadThrough,
    Blocked,
}

fn meet(key: &[u8], lock: &Lock, at: &ReadAt) -> Met {
    let announces_nothing = matches!(lock.kind, LockKind::Lock | LockKind::Pessimistic);
    // At the maximum a lock has no place "above" it, but a transaction whose primary is still locked is not committed.
    let is_undecided = at.ts == Timestamp::MAX && lock.primary == key && lock.secondaries.is_none();
    if announces_nothing
        || lock.start_ts > at.ts
        || lock.min_commit_ts > at.ts
        || is_undecided
        || at.bypass.contains(&lock.start_ts)
    {
        Met::Pass
    } else if at.access.contains(&lock.start_ts) {
        Met::ReadThrough
    } else {
        Met::Blocked
    }
}

/// The value of `key`, or `None`.
///
/// # Errors
/// [`Refusal::Locked`] with the lock that hides it; [`crate::Error::Storage`], [`crate::Error::Corrupt`].
pub fn get(columns: Columns<'_>, key: &[u8], at: &ReadAt) -> Result<Option<Bytes>> {
    match read(columns, key, columns.lock(key)?.as_ref(), at)? {
        Ok(value) => Ok(value),
        Err(lock) => Err(Refusal::Locked(vec![lock]).into()),
    }
}

/// The pairs of those `keys` that have a value or are locked, in the order of `keys`.
///
/// # Errors
/// [`crate::Error::Storage`], [`crate::Error::Corrupt`]. Locks are in the pairs.
pub fn batch_get(columns: Columns<'_>, keys: &[Bytes], at: &ReadAt) -> Result<Vec<Pair>> {
    let mut pairs = Vec::new();
    for key in keys {
        let found = read(columns, key, columns.lock(key)?.as_ref(), at)?;
        pairs.extend(pair(key.clone(), found));
    }
    Ok(pairs)
}

/// The first `limit` pairs of `range` in the direction asked for. Locked keys count too.
///
/// # Errors
/// [`crate::Error::Storage`], [`crate::Error::Corrupt`]. Locks are in the pairs.
pub fn scan(
    columns: Columns<'_>,
    range: &KeyRange,
    direction: Direction,
    limit: usize,
    at: &ReadAt,
) -> Result<Vec<Pair>> {
    let mut locks = columns.locks(range, direction);
    let mut next_lock = locks.next().transpose()?;
    let mut pairs = Vec::new();
    let mut rest = range.clone();
    while pairs.len() < limit {
        let recorded = columns.first_key(&rest, direction)?;
        let locked = next_lock.as_ref().map(|(key, _)| key.clone());
        let Some(key) = first_of(recorded, locked, direction) else {
            break;
        };
        let lock = match next_lock.take_if(|(locked, _)| *locked == key) {
            Some((_, lock)) => {
                next_lock = locks.next().transpose()?;
                Some(lock)
            }
            None => None,
        };
        let found = read(columns, &key, lock.as_ref(), at)?;
        rest = rest_of(&rest, key.clone(), direction);
        pairs.extend(pair(key, found));
    }
    Ok(pairs)
}

/// The value, or the lock that hides it.
fn read(
    columns: Columns<'_>,
    key: &[u8],
    lock: Option<&Lock>,
    at: &ReadAt,
) -> Result<std::result::Result<Option<Bytes>, LockInfo>> {
    if let Some(lock) = lock {
        match meet(key, lock, at) {
            Met::Pass => {}
            Met::Blocked => return Ok(Err(lock.info(key))),
            Met::ReadThrough => return announced(columns, key, lock).map(Ok),
        }
    }
    columns.value(key, at.ts).map(Ok)
}

/// What `key` will have once `lock`, a put or delete, is resolved as committed.
fn announced(columns: Columns<'_>, key: &[u8], lock: &Lock) -> Result<Option<Bytes>> {
    match (&lock.short_value, lock.kind) {
        (Some(value), _) => Ok(Some(value.clone())),
        (None, LockKind::Put) => columns.long_value(key, lock.start_ts).map(Some),
        (None, _) => Ok(None),
    }
}

fn pair(key: Bytes, found: std::result::Result<Option<Bytes>, LockInfo>) -> Option<Pair> {
    let value = found.transpose()?;
    Some(Pair { key, value })
}

fn first_of(a: Option<Bytes>, b: Option<Bytes>, direction: Direction) -> Option<Bytes> {
    match (a, b) {
        (Some(a), Some(b)) => Some(match direction {
            Direction::Forward => a.min(b),
            Direction::Reverse => a.max(b),
        }),
        (a, b) => a.or(b),
    }
}
