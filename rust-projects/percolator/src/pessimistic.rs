//! Locks taken before a transaction knows what it writes.
//!
//! # What it is
//!
//! A pessimistic transaction locks what it is about to change while it runs, so that it waits for others rather than fail at commit. Beyond
//! the paper; the behaviour is TiKV's. Each lock carries a *for-update timestamp*: up to there the transaction has seen the key.
//!
//! # What it guarantees
//!
//! A granted lock means that nothing is committed on the key after the for-update timestamp, nor will be before the lock is gone. All keys of
//! a request are locked or none. A request that comes again changes nothing; one that comes after the transaction was rolled back or
//! committed on the key is refused.
//!
//! # What it does not
//!
//! A lock that is given back ([`release`]) leaves no record: a copy of its request that comes later locks the key once more, until its time
//! is over or the transaction commits. Readers are not held up by these locks, as they announce nothing.
//!
//! # How it works
//!
//! ```text
//!   lock k by 10, for update at 20:   lock l k ?   by another: Locked      by 10, pessimistic: for update at 20 at least
//!                                     newest w k ? above 20: WriteConflict, the client tries again with a later timestamp
//!                                                  up to 20: put l k = pessimistic by 10;   reply: the value at 20
//!   prewrite k by 10, k is held:      l k = put by 10, in its place
//! ```

use bytes::Bytes;

use crate::decided::Draft;
use crate::{
    Columns, ConflictReason, Decided, Fate, Lock, LockInfo, LockKind, Refusal, Result, Timestamp,
};

/// Asks for pessimistic locks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acquire {
    /// The keys, each once.
    pub keys: Vec<Bytes>,
    /// The keys must not exist.
    pub must_be_new: bool,
    /// A key that does not exist is not locked.
    pub only_if_exists: bool,
    /// The key that decides for all: the first that the transaction locks.
    pub primary: Bytes,
    /// When the transaction began.
    pub start_ts: Timestamp,
    /// Up to where it sees the keys: at or after its start.
    pub for_update_ts: Timestamp,
    /// How long after its start it may be taken for dead, in milliseconds.
    pub ttl_ms: u64,
    /// The transaction will not commit below it.
    pub min_commit_ts: Timestamp,
}

/// Decides a request for pessimistic locks; replies with the values of the keys, in their order.
///
/// # Errors
/// [`Refusal::Locked`] with all locks met; [`Refusal::WriteConflict`], [`Refusal::AlreadyExists`], [`Refusal::Prewritten`],
/// [`Refusal::Committed`] for the first key concerned; [`crate::Error::Storage`], [`crate::Error::Corrupt`].
pub fn acquire(columns: Columns<'_>, request: &Acquire) -> Result<Decided<Vec<Option<Bytes>>>> {
    let mut draft = Draft::new(columns);
    let mut values = Vec::with_capacity(request.keys.len());
    let mut locks = Vec::new();
    for key in &request.keys {
        match acquire_key(&mut draft, request, key)? {
            Ok(value) => values.push(value),
            Err(lock) => locks.push(lock),
        }
    }
    match locks.is_empty() {
        true => Ok(draft.finish(values)),
        false => Err(Refusal::Locked(locks).into()),
    }
}

/// Gives the value of the key, or the lock of somebody else.
fn acquire_key(
    draft: &mut Draft<'_>,
    request: &Acquire,
    key: &Bytes,
) -> Result<std::result::Result<Option<Bytes>, LockInfo>> {
    let columns = draft.columns;
    let held = columns.lock(key)?;
    match &held {
        Some(lock) if lock.start_ts != request.start_ts => return Ok(Err(lock.info(key))),
        Some(lock) if lock.kind != LockKind::Pessimistic => {
            return Err(Refusal::Prewritten {
                start_ts: request.start_ts,
                key: key.clone(),
            }
            .into());
        }
        Some(_) => {}
        None => must_be_unchanged(columns, request, key)?,
    }
    // Nothing is committed above: that was looked for now, or when the lock was granted.
    let visible = columns.visible(key, Timestamp::MAX)?;
    let existing = visible.as_ref().map(|(_, write)| write.start_ts);
    if let Some(existing_start_ts) = existing.filter(|_| request.must_be_new && held.is_none()) {
        return Err(Refusal::AlreadyExists {
            key: key.clone(),
            existing_start_ts,
        }
        .into());
    }
    if existing.is_some() || !request.only_if_exists {
        hold(draft, request, key, held);
    }
    let value = visible.map(|(_, write)| columns.value_of(key, &write));
    value.transpose().map(Ok)
}

fn must_be_unchanged(columns: Columns<'_>, request: &Acquire, key: &Bytes) -> Result<()> {
    let since = request.start_ts.min(request.for_update_ts.next());
    let Some((commit_ts, newest)) = columns.newest_since(key, since)? else {
        return Ok(());
    };
    let reason = match columns.fate(key, request.start_ts)? {
        Some(Fate::Committed(commit_ts)) => {
            return Err(Refusal::Committed {
                start_ts: request.start_ts,
                commit_ts,
                key: key.clone(),
            }
            .into());
        }
        Some(Fate::RolledBack) => ConflictReason::RolledBack,
        None if commit_ts > request.for_update_ts => ConflictReason::Pessimistic,
        None => return Ok(()),
    };
    Err(Refusal::WriteConflict {
        reason,
        key: key.clone(),
        primary: request.primary.clone(),
        start_ts: request.start_ts,
        conflict_start_ts: newest.start_ts,
        conflict_commit_ts: commit_ts,
    }
    .into())
}

/// Locks the key, or brings the lock that is held up to the request.
fn hold(draft: &mut Draft<'_>, request: &Acquire, key: &Bytes, held: Option<Lock>) {
    let kind = LockKind::Pessimistic;
    let before = held.clone();
    let mut lock =
        held.unwrap_or_else(|| Lock::new(kind, request.start_ts, request.primary.clone(), 0));
    lock.ttl_ms = lock.ttl_ms.max(request.ttl_ms);
    lock.for_update_ts = lock.for_update_ts.max(request.for_update_ts);
    lock.min_commit_ts = lock.min_commit_ts.max(request.min_commit_ts);
    if before.as_ref() != Some(&lock) {
        draft.put_lock(key, &lock);
    }
}

/// Decides to give back the pessimistic locks on `keys` that the transaction took at or below `for_update_ts`. Other locks stay, so that a late
/// request does not take away what was locked again or prewritten since.
///
/// # Errors
/// [`crate::Error::Storage`], [`crate::Error::Corrupt`].
pub fn release(
    columns: Columns<'_>,
    keys: &[Bytes],
    start_ts: Timestamp,
    for_update_ts: Timestamp,
) -> Result<Decided<()>> {
    let mut draft = Draft::new(columns);
    for key in keys {
        let is_meant = |lock: &Lock| {
            lock.start_ts == start_ts
                && lock.kind == LockKind::Pessimistic
                && lock.for_update_ts <= for_update_ts
        };
        if columns.lock(key)?.as_ref().is_some_and(is_meant) {
            draft.delete_lock(key);
        }
    }
    Ok(draft.finish(()))
}
