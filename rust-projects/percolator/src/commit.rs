//! The second phase: locks become records.
//!
//! # What it is
//!
//! `Commit` of the paper (section 2.2, Figure 6): the primary first, in a request of its own or with others, and the transaction is committed
//! once that is written; the rest may follow at any time.
//!
//! # What it guarantees
//!
//! All keys of the request are committed or none. One that comes again changes nothing. Nothing is committed below a minimum that a reader
//! was promised. A rollback of another transaction that stands where the record goes is kept in it (bug class P2).
//!
//! # What it does not
//!
//! It does not look at the primary: whoever commits a secondary must know that the primary is committed at this timestamp.
//!
//! # How it works
//!
//! ```text
//!   commit k by 10 at 15:   lock l k by 10:   delete it, put w k !15 = put, by 10
//!                           no such lock:     w k has a record of 10?  committed: done before    rolled back, or none: LockNotFound
//! ```

use bytes::Bytes;

use crate::decided::Draft;
use crate::{Columns, Decided, Fate, Lock, Refusal, Result, Timestamp, Write};

/// Decides to commit `keys` for the transaction of `start_ts` and replies when they are committed: at `commit_ts`, or where an earlier
/// request put them.
///
/// # Errors
/// [`Refusal::InvalidCommitTs`], [`Refusal::CommitTsExpired`], [`Refusal::LockNotFound`]; [`crate::Error::Storage`], [`crate::Error::Corrupt`].
pub fn commit(
    columns: Columns<'_>,
    keys: &[Bytes],
    start_ts: Timestamp,
    commit_ts: Timestamp,
) -> Result<Decided<Timestamp>> {
    if commit_ts <= start_ts {
        return Err(Refusal::InvalidCommitTs {
            start_ts,
            commit_ts,
        }
        .into());
    }
    let mut draft = Draft::new(columns);
    let mut committed_at = commit_ts;
    for key in keys {
        if let Some(earlier) = commit_key(&mut draft, key, start_ts, commit_ts)? {
            committed_at = earlier;
        }
    }
    Ok(draft.finish(committed_at))
}

/// Commits one key; gives the timestamp at which it was committed before, if it was.
pub(crate) fn commit_key(
    draft: &mut Draft<'_>,
    key: &Bytes,
    start_ts: Timestamp,
    commit_ts: Timestamp,
) -> Result<Option<Timestamp>> {
    match draft.columns.lock(key)? {
        Some(lock) if lock.start_ts == start_ts => {
            commit_lock(draft, key, &lock, commit_ts).map(|()| None)
        }
        _ => match draft.columns.fate(key, start_ts)? {
            Some(Fate::Committed(earlier)) => Ok(Some(earlier)),
            Some(Fate::RolledBack) | None => Err(Refusal::LockNotFound {
                start_ts,
                key: key.clone(),
            }
            .into()),
        },
    }
}

/// Turns `lock`, which is on `key`, into a record.
pub(crate) fn commit_lock(
    draft: &mut Draft<'_>,
    key: &Bytes,
    lock: &Lock,
    commit_ts: Timestamp,
) -> Result<()> {
    record_commit(draft, key, lock, commit_ts)?;
    draft.delete_lock(key);
    Ok(())
}

/// Records what `lock` announces as committed.
pub(crate) fn record_commit(
    draft: &mut Draft<'_>,
    key: &Bytes,
    lock: &Lock,
    commit_ts: Timestamp,
) -> Result<()> {
    if commit_ts < lock.min_commit_ts {
        return Err(Refusal::CommitTsExpired {
            start_ts: lock.start_ts,
            attempted_commit_ts: commit_ts,
            key: key.clone(),
            min_commit_ts: lock.min_commit_ts,
        }
        .into());
    }
    // A pessimistic lock that is still one was not prewritten: an early request that came late. The transaction is committed without it.
    if let Some(kind) = lock.kind.write_kind() {
        let mut write = Write::new(kind, lock.start_ts, lock.short_value.clone());
        let there = draft.columns.record(key, commit_ts)?;
        write.overlapped_rollback = there.is_some_and(|there| there.rolls_back());
        draft.put_write(key, commit_ts, &write);
    }
    Ok(())
}
