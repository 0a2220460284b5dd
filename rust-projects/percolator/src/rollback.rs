//! Undoing a transaction, so that it stays undone.
//!
//! # What it is
//!
//! A rollback removes lock and value, and leaves a record at the transaction's start timestamp. The paper only erases the lock (section 2.2);
//! then a prewrite that was under way would lock the key again (bug class P1).
//!
//! # What it guarantees
//!
//! A key that was rolled back for a transaction will never be prewritten or committed by it. A rollback that comes again changes nothing. A
//! committed transaction is not rolled back. Where another transaction committed at just this timestamp, its record stays, and remembers
//! the rollback too (bug class P2).
//!
//! # What it does not
//!
//! Not every rollback needs a record for ever. One whose lock was found, of an optimistic transaction and not its primary, is *not
//! protected*: its prewrite has arrived, and a copy of it would be refused because of any later record. The next rollback of the
//! key takes its place, so a busy key does not fill with them.
//!
//! # How it works
//!
//! ```text
//!   roll back k for 10:   lock l k by 10:        delete it, and d k !10;  put w k !10 = rollback
//!                         w k !15 = put, by 10:  Committed
//!                         nothing of 10:         put w k !10 = rollback, protected
//!                         w k !10 = put, by 7:   put w k !10 = put, by 7, overlapped rollback
//! ```

use bytes::Bytes;

use crate::decided::Draft;
use crate::{Columns, Decided, Fate, Lock, LockKind, Refusal, Result, Timestamp, Write, WriteKind};

/// Decides to roll back `keys` for the transaction of `start_ts`.
///
/// # Errors
/// [`Refusal::Committed`] if one of them is; [`crate::Error::Storage`], [`crate::Error::Corrupt`].
pub fn rollback(columns: Columns<'_>, keys: &[Bytes], start_ts: Timestamp) -> Result<Decided<()>> {
    let mut draft = Draft::new(columns);
    for key in keys {
        rollback_key(&mut draft, key, start_ts)?;
    }
    Ok(draft.finish(()))
}

/// Rolls back one key.
pub(crate) fn rollback_key(draft: &mut Draft<'_>, key: &Bytes, start_ts: Timestamp) -> Result<()> {
    match draft.columns.lock(key)? {
        Some(lock) if lock.start_ts == start_ts => rollback_lock(draft, key, &lock),
        _ => match draft.columns.fate(key, start_ts)? {
            Some(Fate::RolledBack) => Ok(()),
            Some(Fate::Committed(commit_ts)) => Err(Refusal::Committed {
                start_ts,
                commit_ts,
                key: key.clone(),
            }
            .into()),
            None => record_rollback(draft, key, start_ts, true),
        },
    }
}

/// Removes `lock`, which is on `key`, and its value, and leaves a record.
pub(crate) fn rollback_lock(draft: &mut Draft<'_>, key: &Bytes, lock: &Lock) -> Result<()> {
    if lock.kind == LockKind::Put && lock.short_value.is_none() {
        draft.delete_value(key, lock.start_ts);
    }
    draft.delete_lock(key);
    let is_pessimistic = lock.for_update_ts > Timestamp::ZERO;
    let protected = is_pessimistic || lock.primary == *key;
    record_rollback(draft, key, lock.start_ts, protected)
}

/// Records that `start_ts` was rolled back on `key`.
pub(crate) fn record_rollback(
    draft: &mut Draft<'_>,
    key: &Bytes,
    start_ts: Timestamp,
    protected: bool,
) -> Result<()> {
    let below = draft.columns.records(key, start_ts).next().transpose()?;
    if let Some((commit_ts, write)) = below {
        if commit_ts == start_ts && write.kind != WriteKind::Rollback {
            let both = Write {
                overlapped_rollback: true,
                ..write
            };
            draft.put_write(key, commit_ts, &both);
            return Ok(());
        }
        if write.kind == WriteKind::Rollback && !write.protected {
            draft.delete_write(key, commit_ts);
        }
    }
    draft.put_write(key, start_ts, &Write::rollback(start_ts, protected));
    Ok(())
}
