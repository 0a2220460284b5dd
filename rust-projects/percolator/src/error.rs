//! What can go wrong: what a request is refused for, and what keeps it from being decided.

use bytes::Bytes;

use crate::{Column, LockInfo, Timestamp};

/// The result of a decision.
pub type Result<T> = std::result::Result<T, Error>;

/// Why there is no decision, or why it is a refusal. Nothing is changed in either case.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The request is refused, because of what is stored. Everybody with the same data refuses it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The engine could not read. Nothing is known about the request.
    #[error(transparent)]
    Storage(#[from] storage::Error),
    /// What is stored is not what this version writes. Use the version that wrote it, or run `kvs-admin verify`.
    #[error(
        "column {column:?}, key {key:?}: {what}; a newer version wrote it, or run `kvs-admin verify`"
    )]
    Corrupt {
        /// The column.
        column: Column,
        /// The user key, or the engine key where that has another form.
        key: Bytes,
        /// What does not hold.
        what: &'static str,
    },
}

impl Error {
    /// The refusal, if it is one.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            Self::Storage(_) | Self::Corrupt { .. } => None,
        }
    }
}

/// Why a transaction cannot go on from its own state of knowledge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConflictReason {
    /// Somebody committed after the transaction began: it must begin anew.
    Optimistic,
    /// The transaction itself was rolled back here, by somebody who took it for dead.
    RolledBack,
    /// Somebody committed after the timestamp up to which a pessimistic transaction had seen the key: it locks again
    /// with a later one.
    Pessimistic,
}

/// What a request is refused for, and what the client should do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Others hold locks on keys of the request. Wait, or find out through the primary whether they are dead, then ask again.
    #[error("{} of the keys locked, the first by transaction {}", .0.len(), .0.first().map_or(Timestamp::ZERO, |lock| lock.start_ts))]
    Locked(
        /// At least one.
        Vec<LockInfo>,
    ),
    /// The key changed where it should not have. See [`ConflictReason`].
    #[error(
        "transaction {start_ts} conflicts on key {key:?} with transaction {conflict_start_ts}, which is recorded at {conflict_commit_ts}"
    )]
    WriteConflict {
        /// Why.
        reason: ConflictReason,
        /// The key.
        key: Bytes,
        /// The primary of the refused transaction.
        primary: Bytes,
        /// The refused transaction.
        start_ts: Timestamp,
        /// The transaction met.
        conflict_start_ts: Timestamp,
        /// Where it is recorded.
        conflict_commit_ts: Timestamp,
    },
    /// The key should be new, and is not.
    #[error("key {key:?} exists already")]
    AlreadyExists {
        /// The key.
        key: Bytes,
        /// The transaction that made it.
        existing_start_ts: Timestamp,
    },
    /// There is no lock to commit and no record that it was committed: the transaction was rolled back, or never came this far.
    #[error("transaction {start_ts} holds no lock on key {key:?}")]
    LockNotFound {
        /// The transaction.
        start_ts: Timestamp,
        /// The key.
        key: Bytes,
    },
    /// A secondary was to be committed without its primary, which decides on the transaction and is not committed. Commit the primary first.
    #[error(
        "transaction {start_ts} is not committed at its primary {primary:?}, so not on key {key:?}"
    )]
    PrimaryNotCommitted {
        /// The transaction.
        start_ts: Timestamp,
        /// What decides.
        primary: Bytes,
        /// The key.
        key: Bytes,
    },
    /// The transaction should hold a pessimistic lock on the key, and does not. Roll back.
    #[error("transaction {start_ts} holds no pessimistic lock on key {key:?}")]
    PessimisticLockNotFound {
        /// The transaction.
        start_ts: Timestamp,
        /// The key.
        key: Bytes,
    },
    /// The key is locked already by the same transaction's prewrite: a pessimistic lock comes too late.
    #[error("transaction {start_ts} has prewritten key {key:?}")]
    Prewritten {
        /// The transaction.
        start_ts: Timestamp,
        /// The key.
        key: Bytes,
    },
    /// The transaction is committed and cannot be rolled back.
    #[error("transaction {start_ts} is committed at {commit_ts}")]
    Committed {
        /// The transaction.
        start_ts: Timestamp,
        /// When it was committed.
        commit_ts: Timestamp,
        /// The key that says so.
        key: Bytes,
    },
    /// A reader went by above the commit timestamp. Commit again with a fresh one.
    #[error(
        "transaction {start_ts} may not commit key {key:?} at {attempted_commit_ts}, below {min_commit_ts}"
    )]
    CommitTsExpired {
        /// The transaction.
        start_ts: Timestamp,
        /// What it wanted.
        attempted_commit_ts: Timestamp,
        /// The key.
        key: Bytes,
        /// What it may have at least.
        min_commit_ts: Timestamp,
    },
    /// Nothing is known of the transaction at its primary: its prewrite may still be on its way.
    #[error("nothing is known of transaction {start_ts} at key {primary:?}")]
    TxnNotFound {
        /// The transaction.
        start_ts: Timestamp,
        /// The key that was said to be its primary.
        primary: Bytes,
    },
    /// The key asked is not the transaction's primary, so it decides nothing.
    #[error("the primary of the lock on {:?} is {:?}", .0.key, .0.primary)]
    PrimaryMismatch(
        /// The lock found.
        Box<LockInfo>,
    ),
    /// Versions that a read at this timestamp needs may have been removed. Begin a new transaction.
    #[error("{ts} is below the safe point {safe_point}: what was then may be removed")]
    BelowSafePoint {
        /// What was asked for.
        ts: Timestamp,
        /// The lowest that can be read.
        safe_point: Timestamp,
    },
    /// A commit timestamp must lie above the start.
    #[error("transaction {start_ts} cannot commit at {commit_ts}")]
    InvalidCommitTs {
        /// The transaction.
        start_ts: Timestamp,
        /// What it wanted.
        commit_ts: Timestamp,
    },
}
