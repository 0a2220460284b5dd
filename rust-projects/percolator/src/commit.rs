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
//! It does not look at a primary that the store does not hold: whoever commits a secondary there must know that the primary is committed at this
//! timestamp. Nor do those who resolve locks, who have asked the primary.
//!
//! # How it works
//!
//! ```text
//!   commit k by 10 at 15:   lock l k by 10:   delete it, put w k !15 = put, by 10
//!                           no such lock:     w k has a record of 10?  committed: done before    rolled back, or none: LockNotFound
//!                           primary p of that lock here, and no w p by 10:                       PrimaryNotCommitted
//! ```

use bytes::Bytes;
use storage::KeyRange;

use crate::decided::Draft;
use crate::{Columns, Decided, Fate, Lock, LockKind, Refusal, Result, Timestamp, Write};

/// Decides to commit `keys` for the transaction of `start_ts` and replies when they are committed: at `commit_ts`, or where an earlier
/// request put them, or their primary if that is in `held`: it must be among them or committed.
///
/// # Errors
/// [`Refusal::InvalidCommitTs`], [`Refusal::CommitTsExpired`], [`Refusal::LockNotFound`], [`Refusal::PrimaryNotCommitted`];
/// [`crate::Error::Storage`], [`crate::Error::Corrupt`].
pub fn commit(
    columns: Columns<'_>,
    keys: &[Bytes],
    start_ts: Timestamp,
    commit_ts: Timestamp,
    held: &KeyRange,
) -> Result<Decided<Timestamp>> {
    if commit_ts <= start_ts {
        return Err(Refusal::InvalidCommitTs {
            start_ts,
            commit_ts,
        }
        .into());
    }
    let mut draft = Draft::new(columns);
    let (mut at, mut committed_at) = (commit_ts, commit_ts);
    // One for all locks of a transaction.
    let mut primary = None;
    for key in keys {
        let lock = columns.lock(key)?;
        if let Some(lock) = lock.as_ref().filter(|lock| lock.start_ts == start_ts) {
            if lock.primary == *key && lock.kind == LockKind::Pessimistic {
                // What decides on the transaction was not prewritten.
                return Err(Refusal::LockNotFound {
                    start_ts,
                    key: key.clone(),
                }
                .into());
            }
            if primary.as_ref() != Some(&lock.primary) && lock.primary != *key {
                if held.contains(&lock.primary) {
                    let is_with_them = keys.contains(&lock.primary);
                    at = as_primary(columns, key, lock, is_with_them)?.unwrap_or(commit_ts);
                    committed_at = at;
                }
                primary = Some(lock.primary.clone());
            }
        }
        if let Some(earlier) = commit_found(&mut draft, key, lock, start_ts, at)? {
            committed_at = earlier;
        }
    }
    Ok(draft.finish(committed_at))
}

/// Where the primary of a secondary's lock is committed; `None` if the transaction is committed all the same, or will be with the primary.
fn as_primary(
    columns: Columns<'_>,
    key: &Bytes,
    lock: &Lock,
    is_with_them: bool,
) -> Result<Option<Timestamp>> {
    // An earlier request may have committed it elsewhere, and its client not have heard of it: all keys go where the primary is.
    if let Some(Fate::Committed(at)) = columns.fate(&lock.primary, lock.start_ts)? {
        return Ok(Some(at));
    }
    // An asynchronous commit is committed by its locks.
    let is_prewritten = lock.secondaries.is_some()
        && columns.lock(&lock.primary)?.is_some_and(|primary| {
            primary.start_ts == lock.start_ts && primary.kind != LockKind::Pessimistic
        });
    match is_with_them || is_prewritten {
        true => Ok(None),
        false => Err(Refusal::PrimaryNotCommitted {
            start_ts: lock.start_ts,
            primary: lock.primary.clone(),
            key: key.clone(),
        }
        .into()),
    }
}

/// Commits one key; gives the timestamp at which it was committed before, if it was.
pub(crate) fn commit_key(
    draft: &mut Draft<'_>,
    key: &Bytes,
    start_ts: Timestamp,
    commit_ts: Timestamp,
) -> Result<Option<Timestamp>> {
    let lock = draft.columns.lock(key)?;
    commit_found(draft, key, lock, start_ts, commit_ts)
}

/// As [`commit_key`], given the lock that is on the key.
fn commit_found(
    draft: &mut Draft<'_>,
    key: &Bytes,
    lock: Option<Lock>,
    start_ts: Timestamp,
    commit_ts: Timestamp,
) -> Result<Option<Timestamp>> {
    match lock {
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

#[cfg(test)]
mod tests {
    use storage::{Engine, MemoryEngine};

    use super::*;
    use crate::{Acquire, Error, Intent, Mode, Mutation, Prewrite, Request, prewrite, rollback};

    /// Locks by 10 on `p`, which is primary, and on `s`.
    fn prewritten(mode: Mode) -> MemoryEngine {
        let engine = MemoryEngine::new();
        let request = Prewrite {
            mutations: ["p", "s"]
                .map(|key| Mutation::new(key, Intent::Put("v".into())))
                .into(),
            primary: "p".into(),
            start_ts: Timestamp(10),
            ttl_ms: 100,
            txn_size: 2,
            min_commit_ts: Timestamp::ZERO,
            for_update_ts: Timestamp::ZERO,
            mode,
        };
        let decided = prewrite(Columns::new(&engine), &request).unwrap();
        engine.write(&decided.changes).unwrap();
        engine
    }

    fn asynchronous() -> Mode {
        Mode::Async {
            secondaries: vec!["s".into()],
            max_read_ts: Timestamp::ZERO,
        }
    }

    /// As [`prewritten`], and then `p` is rolled back.
    fn without_primary(mode: Mode) -> MemoryEngine {
        let engine = prewritten(mode);
        let gone = rollback(Columns::new(&engine), &["p".into()], Timestamp(10)).unwrap();
        engine.write(&gone.changes).unwrap();
        engine
    }

    fn commit_at_15(engine: &MemoryEngine, keys: &[&str], held: &KeyRange) -> Result<Timestamp> {
        let keys: Vec<Bytes> = keys.iter().map(|key| key.to_string().into()).collect();
        let columns = Columns::new(engine);
        let decided = commit(columns, &keys, Timestamp(10), Timestamp(15), held)?;
        engine.write(&decided.changes).unwrap();
        Ok(decided.reply)
    }

    #[test]
    fn a_secondary_is_committed_only_once_its_primary_is() {
        let all = KeyRange::all();
        let refused = |engine: &MemoryEngine| {
            let refused = commit_at_15(engine, &["s"], &all);
            matches!(refused, Err(Error::Refused(Refusal::PrimaryNotCommitted { primary, .. })) if primary == "p")
        };
        let engine = prewritten(Mode::TwoPhases);
        assert!(refused(&engine));
        assert_eq!(
            commit_at_15(&engine, &["p"], &all).ok(),
            Some(Timestamp(15))
        );
        assert_eq!(
            commit_at_15(&engine, &["s"], &all).ok(),
            Some(Timestamp(15))
        );

        assert!(refused(&without_primary(Mode::TwoPhases)));
    }

    #[test]
    fn secondaries_are_committed_where_their_primary_is() {
        let all = KeyRange::all();
        for keys in [&["s"][..], &["s", "p"], &["p", "s"]] {
            let engine = prewritten(Mode::TwoPhases);
            // The reply is lost, and the client commits again with another timestamp.
            let first = commit(
                Columns::new(&engine),
                &["p".into()],
                Timestamp(10),
                Timestamp(12),
                &all,
            );
            engine.write(&first.unwrap().changes).unwrap();
            assert_eq!(commit_at_15(&engine, keys, &all).ok(), Some(Timestamp(12)));
            let record = Columns::new(&engine).record(b"s", Timestamp(12));
            assert!(record.unwrap().is_some(), "{keys:?}");
        }
    }

    #[test]
    fn an_asynchronous_commit_needs_its_primary_prewritten() {
        let engine = without_primary(asynchronous());
        let refused = commit_at_15(&engine, &["s"], &KeyRange::all());
        assert!(matches!(
            refused,
            Err(Error::Refused(Refusal::PrimaryNotCommitted { .. }))
        ));
    }

    #[test]
    fn a_primary_that_is_only_locked_is_not_committed() {
        let engine = MemoryEngine::new();
        let acquire = Acquire {
            keys: vec!["p".into()],
            must_be_new: false,
            only_if_exists: false,
            primary: "p".into(),
            start_ts: Timestamp(10),
            for_update_ts: Timestamp(10),
            ttl_ms: 100,
            min_commit_ts: Timestamp::ZERO,
        };
        let decided = acquire.decide(Columns::new(&engine)).unwrap();
        engine.write(&decided.changes).unwrap();
        let refused = commit_at_15(&engine, &["p"], &KeyRange::all());
        assert!(matches!(
            refused,
            Err(Error::Refused(Refusal::LockNotFound { .. }))
        ));
    }

    #[test]
    fn who_commits_both_together_or_has_the_primary_elsewhere_is_believed() {
        let engine = prewritten(Mode::TwoPhases);
        let both = commit_at_15(&engine, &["s", "p"], &KeyRange::all()).ok();
        assert_eq!(both, Some(Timestamp(15)));
        let engine = prewritten(Mode::TwoPhases);
        let elsewhere = KeyRange::half_open("q", "z");
        assert_eq!(
            commit_at_15(&engine, &["s"], &elsewhere).ok(),
            Some(Timestamp(15))
        );
        let engine = prewritten(asynchronous());
        let by_prewrites = commit_at_15(&engine, &["s"], &KeyRange::all()).ok();
        assert_eq!(by_prewrites, Some(Timestamp(15)));
    }
}
