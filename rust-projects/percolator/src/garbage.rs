//! Removing versions that nobody will read any more.
//!
//! # What it is
//!
//! Below the *safe point* no transaction is alive and nobody reads. Of each key only the newest version at or below it is of use, and that only if it
//! is a value. [`collect`] removes the rest, [`garbage`] finds the keys where there is some. The paper leaves it to Bigtable (section 2.2).
//!
//! # What it guarantees
//!
//! Reads at or above the safe point are the same before and after (bug class P7).
//!
//! # What it does not
//!
//! It does not choose the safe point ([`crate::SafePoints`] does), and does not resolve locks below it: it refuses to work on them. It
//! removes rollbacks too: a request that comes so late that its transaction began below the safe point is not recognised any more. The safe
//! point must therefore lie far behind, further than any message is delayed.
//!
//! # How it works
//!
//! ```text
//!   safe point 20:   w k !25  w k !20 rollback  w k !18 put   w k !12 put   w k !9 delete
//!                    keep     remove            keep          remove        remove
//! ```

use bytes::Bytes;
use storage::{Batch, Direction, KeyRange};

use crate::columns::rest_of;
use crate::decided::Draft;
use crate::{Column, Columns, Decided, Refusal, Result, Timestamp, WriteKind};

/// Decides to remove the versions of `keys` that are of no use at or above `safe_point`; replies how many there were.
///
/// # Errors
/// [`Refusal::Locked`] if a transaction from the safe point or below still holds one of them; [`crate::Error::Storage`], [`crate::Error::Corrupt`].
pub fn collect(
    columns: Columns<'_>,
    keys: &[Bytes],
    safe_point: Timestamp,
) -> Result<Decided<usize>> {
    let mut draft = Draft::new(columns);
    let mut removed = 0;
    for key in keys {
        let lock = columns.lock(key)?;
        if let Some(lock) = lock.filter(|lock| lock.start_ts <= safe_point) {
            return Err(Refusal::Locked(vec![lock.info(key)]).into());
        }
        removed += collect_key(&mut draft, key, safe_point)?;
    }
    Ok(draft.finish(removed))
}

fn collect_key(draft: &mut Draft<'_>, key: &[u8], safe_point: Timestamp) -> Result<usize> {
    let mut is_newest = true;
    let mut removed = 0;
    for record in draft.columns.records(key, safe_point) {
        let (commit_ts, write) = record?;
        let is_kept = is_newest && write.kind == WriteKind::Put;
        if matches!(write.kind, WriteKind::Put | WriteKind::Delete) {
            is_newest = false;
        }
        if is_kept {
            continue;
        }
        removed += 1;
        draft.delete_write(key, commit_ts);
        if write.kind == WriteKind::Put && write.short_value.is_none() {
            draft.delete_value(key, write.start_ts);
        }
    }
    Ok(removed)
}

/// The next keys of a range where something can be removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Garbage {
    /// At most as many as were asked for.
    pub keys: Vec<Bytes>,
    /// Where to go on; `None` at the end of the range.
    pub rest: Option<KeyRange>,
}

/// Looks at the first `limit` keys of `range` for something that [`collect`] would remove.
///
/// # Errors
/// [`crate::Error::Storage`], [`crate::Error::Corrupt`].
pub fn garbage(
    columns: Columns<'_>,
    range: &KeyRange,
    safe_point: Timestamp,
    limit: usize,
) -> Result<Garbage> {
    let mut found = Garbage::default();
    let mut rest = range.clone();
    for _ in 0..limit {
        let Some(key) = columns.first_key(&rest, Direction::Forward)? else {
            return Ok(found);
        };
        rest = rest_of(&rest, key.clone(), Direction::Forward);
        if collect_key(&mut Draft::new(columns), &key, safe_point)? > 0 {
            found.keys.push(key);
        }
    }
    found.rest = Some(rest);
    Ok(found)
}

/// The changes that remove all there is of the user keys of `range`: values, locks and records of all times. Transactions that are under way there
/// lose what they did, and readers what they read: for ranges that nobody uses any more.
#[must_use]
pub fn destroy(range: &KeyRange) -> Batch {
    let mut changes = Batch::new();
    for column in Column::ALL {
        changes.delete_range(column.range(range));
    }
    changes
}
