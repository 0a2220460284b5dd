//! The first phase: locks and values of a transaction's keys.
//!
//! # What it is
//!
//! `Prewrite` of the paper (section 2.2, Figure 6) for any number of keys at once. A key is refused if somebody else's lock is on it, or if
//! anything is recorded on it after the transaction began.
//!
//! # What it guarantees
//!
//! All keys are prewritten or none. A prewrite that comes again changes nothing, also after the transaction was committed; one that comes
//! after the transaction was rolled back is refused (bug class P1), because a rollback leaves a record at the transaction's start.
//!
//! # What it does not
//!
//! A later rollback of somebody else counts as a conflict too, although nothing changed: that is why rollbacks that are not protected may
//! be collapsed into later ones ([`crate::rollback`]).
//!
//! # How it works
//!
//! A transaction may ask to be committed without a second phase: see [`Mode`]. Its commit timestamp lies above all that anybody read at
//! here, as whoever read did not see it.
//!
//! ```text
//!   prewrite k by 10:   lock l k ?   none: go on     by 10: was here before     by another: Locked
//!                       newest w k ? below 10: put l k, and d k !10 if the value is long
//!                                    at 10: rolled back     above 10: WriteConflict
//! ```

use bytes::Bytes;

use crate::commit::record_commit;
use crate::decided::Draft;
use crate::{
    Columns, ConflictReason, Decided, Fate, Lock, LockInfo, LockKind, Refusal, Result,
    SHORT_VALUE_BYTES, Timestamp, Write,
};

/// What a transaction wants of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    /// This value.
    Put(Bytes),
    /// This value, and the key must not exist before.
    Insert(Bytes),
    /// That it does not exist any more.
    Delete,
    /// That nobody changes it before the transaction commits.
    Lock,
    /// That it does not exist now. Leaves a lock in an asynchronous commit only.
    CheckNotExists,
}

/// A key and what is wanted of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutation {
    /// The user key.
    pub key: Bytes,
    /// What is wanted.
    pub intent: Intent,
    /// The transaction must hold a pessimistic lock on it, which stands for the check that nobody wrote it.
    pub holds_pessimistic_lock: bool,
}

impl Mutation {
    /// A mutation of an optimistic transaction.
    #[must_use]
    pub fn new(key: impl Into<Bytes>, intent: Intent) -> Self {
        Self {
            key: key.into(),
            intent,
            holds_pessimistic_lock: false,
        }
    }
}

/// How a transaction commits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// By a commit of its own, at a timestamp that the client takes once all is prewritten.
    #[default]
    TwoPhases,
    /// Once all of its keys are prewritten, at the highest of their minimum commit timestamps.
    Async {
        /// All keys but the primary. Only the request with the primary needs them.
        secondaries: Vec<Bytes>,
        /// The highest timestamp that anybody read at here: the transaction must commit above it (bug class P8).
        max_read_ts: Timestamp,
    },
    /// At once: the request has all of its keys, and records take the place of locks.
    OnePhase {
        /// As for an asynchronous commit.
        max_read_ts: Timestamp,
    },
}

impl Mode {
    const fn max_read_ts(&self) -> Option<Timestamp> {
        match self {
            Self::TwoPhases => None,
            Self::Async { max_read_ts, .. } | Self::OnePhase { max_read_ts } => Some(*max_read_ts),
        }
    }
}

/// A prewrite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prewrite {
    /// The keys, each once.
    pub mutations: Vec<Mutation>,
    /// The key that decides for all.
    pub primary: Bytes,
    /// When the transaction began.
    pub start_ts: Timestamp,
    /// How long after its start it may be taken for dead, in milliseconds.
    pub ttl_ms: u64,
    /// How many keys the transaction has in all; 0 for unknown.
    pub txn_size: u64,
    /// The transaction will not commit below it; [`Timestamp::ZERO`] if others must not raise it either.
    pub min_commit_ts: Timestamp,
    /// Up to where a pessimistic transaction has seen its keys; [`Timestamp::ZERO`] for an optimistic one.
    pub for_update_ts: Timestamp,
    /// How it commits.
    pub mode: Mode,
}

impl Prewrite {
    /// The lowest timestamp at which the transaction may commit, as far as this request knows.
    pub(crate) fn lowest_commit_ts(&self) -> Timestamp {
        let Some(max_read_ts) = self.mode.max_read_ts() else {
            return self.min_commit_ts;
        };
        let passed = max_read_ts.max(self.start_ts).max(self.for_update_ts);
        self.min_commit_ts.max(passed.next())
    }
}

/// What a prewrite came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prewritten {
    /// The lowest timestamp at which the keys of the request may be committed.
    pub min_commit_ts: Timestamp,
    /// The transaction is committed: in one phase, or before this request came. Nothing is left to do.
    pub committed: Option<Timestamp>,
}

/// What is to be done about a mutation.
enum Step {
    Write(Option<Lock>),
    Nothing,
    Prewritten(Lock),
    Committed(Timestamp),
    Blocked(LockInfo),
}

/// Decides a prewrite.
///
/// # Errors
/// [`Refusal::Locked`] with all locks met; [`Refusal::WriteConflict`], [`Refusal::AlreadyExists`], [`Refusal::PessimisticLockNotFound`] for
/// the first key concerned; [`crate::Error::Storage`], [`crate::Error::Corrupt`].
pub fn prewrite(columns: Columns<'_>, request: &Prewrite) -> Result<Decided<Prewritten>> {
    let mut draft = Draft::new(columns);
    let mut committed = None;
    let mut blocked = Vec::new();
    let mut locks = Vec::new();
    for mutation in &request.mutations {
        let key = &mutation.key;
        match step(columns, request, mutation)? {
            Step::Write(over) => locks.push(Locked {
                key,
                lock: lock(&mut draft, request, mutation, over.as_ref()),
                is_new: true,
                was_locked: over.is_some(),
            }),
            Step::Prewritten(lock) => locks.push(Locked {
                key,
                lock,
                is_new: false,
                was_locked: true,
            }),
            Step::Nothing => {}
            Step::Committed(commit_ts) => committed = Some(commit_ts),
            Step::Blocked(lock) => blocked.push(lock),
        }
    }
    if !blocked.is_empty() {
        return Err(Refusal::Locked(blocked).into());
    }
    // Of locks that were there before, what they say counts: all who ask about the transaction must come to one commit timestamp.
    let of_locks = locks.iter().map(|locked| locked.lock.min_commit_ts).max();
    let min_commit_ts = of_locks.unwrap_or_else(|| request.lowest_commit_ts());
    if let Mode::OnePhase { .. } = request.mode {
        committed = committed.or(Some(min_commit_ts));
    }
    for locked in &locks {
        match (&request.mode, committed) {
            (Mode::OnePhase { .. }, Some(commit_ts)) => commit_now(&mut draft, locked, commit_ts)?,
            _ if locked.is_new => draft.put_lock(locked.key, &locked.lock),
            _ => {}
        }
    }
    Ok(draft.finish(Prewritten {
        min_commit_ts,
        committed,
    }))
}

/// A key that the transaction holds once the request is granted.
struct Locked<'a> {
    key: &'a Bytes,
    lock: Lock,
    is_new: bool,
    /// A lock of the transaction is stored: this one, or a pessimistic one.
    was_locked: bool,
}

fn commit_now(draft: &mut Draft<'_>, locked: &Locked<'_>, commit_ts: Timestamp) -> Result<()> {
    record_commit(draft, locked.key, &locked.lock, commit_ts)?;
    if locked.was_locked {
        draft.delete_lock(locked.key);
    }
    Ok(())
}

fn step(columns: Columns<'_>, request: &Prewrite, mutation: &Mutation) -> Result<Step> {
    let key = &mutation.key;
    let lock = columns.lock(key)?;
    match lock {
        Some(lock) if lock.start_ts != request.start_ts => {
            if mutation.holds_pessimistic_lock {
                return Err(no_pessimistic_lock(request, key));
            }
            return Ok(Step::Blocked(lock.info(key)));
        }
        // Conflicts were looked for when it was taken.
        Some(lock) if lock.kind == LockKind::Pessimistic => {
            must_be_new(columns, mutation)?;
            return Ok(Step::Write(Some(lock)));
        }
        Some(lock) => return Ok(Step::Prewritten(lock)),
        None => {}
    }
    if let Some((commit_ts, newest)) = columns.newest_since(key, request.start_ts)?
        && let Some(step) = later(columns, request, mutation, commit_ts, &newest)?
    {
        return Ok(step);
    }
    if mutation.holds_pessimistic_lock {
        return Err(no_pessimistic_lock(request, key));
    }
    must_be_new(columns, mutation)?;
    Ok(match mutation.intent {
        // A client may count it among the secondaries of an asynchronous commit (tikv-client 0.4.0 does), and who asks those must find it.
        Intent::CheckNotExists if !matches!(request.mode, Mode::Async { .. }) => Step::Nothing,
        _ => Step::Write(None),
    })
}

/// What it means that `newest` is recorded at or after the start of the transaction.
fn later(
    columns: Columns<'_>,
    request: &Prewrite,
    mutation: &Mutation,
    commit_ts: Timestamp,
    newest: &Write,
) -> Result<Option<Step>> {
    let key = &mutation.key;
    let reason = match columns.fate(key, request.start_ts)? {
        Some(Fate::Committed(commit_ts)) => return Ok(Some(Step::Committed(commit_ts))),
        Some(Fate::RolledBack) => ConflictReason::RolledBack,
        // A commit of another transaction at just this start: it was there before this one began.
        None if commit_ts == request.start_ts => return Ok(None),
        None if mutation.holds_pessimistic_lock => return Err(no_pessimistic_lock(request, key)),
        None => ConflictReason::Optimistic,
    };
    let conflict = Refusal::WriteConflict {
        reason,
        key: key.clone(),
        primary: request.primary.clone(),
        start_ts: request.start_ts,
        conflict_start_ts: newest.start_ts,
        conflict_commit_ts: commit_ts,
    };
    Err(conflict.into())
}

fn must_be_new(columns: Columns<'_>, mutation: &Mutation) -> Result<()> {
    let (Intent::Insert(_) | Intent::CheckNotExists) = mutation.intent else {
        return Ok(());
    };
    match columns.visible(&mutation.key, Timestamp::MAX)? {
        Some((_, existing)) => Err(Refusal::AlreadyExists {
            key: mutation.key.clone(),
            existing_start_ts: existing.start_ts,
        }
        .into()),
        None => Ok(()),
    }
}

fn no_pessimistic_lock(request: &Prewrite, key: &Bytes) -> crate::Error {
    Refusal::PessimisticLockNotFound {
        start_ts: request.start_ts,
        key: key.clone(),
    }
    .into()
}

/// The lock that the key is to have, in the place of `over`, a pessimistic one. A long value is written.
fn lock(
    draft: &mut Draft<'_>,
    request: &Prewrite,
    mutation: &Mutation,
    over: Option<&Lock>,
) -> Lock {
    let (kind, value) = match &mutation.intent {
        Intent::Put(value) | Intent::Insert(value) => (LockKind::Put, Some(value)),
        Intent::Delete => (LockKind::Delete, None),
        Intent::Lock | Intent::CheckNotExists => (LockKind::Lock, None),
    };
    let (key, start_ts) = (&mutation.key, request.start_ts);
    let mut lock = Lock::new(kind, start_ts, request.primary.clone(), request.ttl_ms);
    lock.txn_size = request.txn_size;
    lock.for_update_ts = request.for_update_ts;
    lock.min_commit_ts = request.lowest_commit_ts();
    if let Mode::Async { secondaries, .. } = &request.mode {
        let is_primary = *key == request.primary;
        let secondaries = is_primary.then(|| secondaries.clone());
        lock.secondaries = Some(secondaries.unwrap_or_default());
    }
    if let Some(over) = over {
        // What others were promised while it was pessimistic still holds.
        lock.ttl_ms = lock.ttl_ms.max(over.ttl_ms);
        lock.min_commit_ts = lock.min_commit_ts.max(over.min_commit_ts);
    }
    match value {
        Some(value) if value.len() > SHORT_VALUE_BYTES => {
            draft.put_value(key, start_ts, value.clone());
        }
        value => lock.short_value = value.cloned(),
    }
    lock
}
