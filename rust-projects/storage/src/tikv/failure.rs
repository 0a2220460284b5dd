//! What the client's errors mean for whoever asked.

use tikv_client::{Error, ProtoKeyError, ProtoRegionError};

/// Codes of gRPC, whose type belongs to the client's version of tonic.
mod code {
    pub(super) const INVALID_ARGUMENT: i32 = 3;
    pub(super) const PERMISSION_DENIED: i32 = 7;
    pub(super) const RESOURCE_EXHAUSTED: i32 = 8;
    pub(super) const OUT_OF_RANGE: i32 = 11;
    pub(super) const UNIMPLEMENTED: i32 = 12;
    pub(super) const UNAUTHENTICATED: i32 = 16;
}

/// `write_conflict::Reason::SelfRolledBack`, which the client does not export.
const SELF_ROLLED_BACK: i32 = 3;

/// What is to be done, the most certain first: of several errors the first of these decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// The transaction is committed; this was a repetition.
    Committed,
    /// The transaction is rolled back for good.
    RolledBack,
    /// Somebody else wrote since it began. A first commit was not made; a repeated one may have been, and been written over.
    Conflict,
    /// It failed in the same way and will fail again.
    Fatal,
    /// Nobody knows; ask again.
    Again,
}

/// Of a read.
pub(super) fn of_read(error: &Error) -> Verdict {
    verdict(error, None)
}

/// Of the commit of the transaction that began at `start`.
pub(super) fn of_commit(error: &Error, start: u64) -> Verdict {
    verdict(error, Some(start))
}

fn verdict(error: &Error, start: Option<u64>) -> Verdict {
    match error {
        Error::ExtractedErrors(errors) | Error::MultipleKeyErrors(errors) => {
            let verdicts = errors.iter().map(|error| verdict(error, start));
            verdicts.min().unwrap_or(Verdict::Again)
        }
        Error::UndeterminedError(error) | Error::PessimisticLockError { inner: error, .. } => {
            verdict(error, start)
        }
        Error::KeyError(error) => of_key(error, start),
        // A lock of somebody who has not finished. Only a prewrite meets one, so nothing was committed.
        Error::ResolveLockError(_) if start.is_some() => Verdict::Conflict,
        Error::RegionError(error) => of_region(error),
        Error::GrpcAPI(status) => match i32::from(status.code()) {
            code::INVALID_ARGUMENT
            | code::PERMISSION_DENIED
            | code::RESOURCE_EXHAUSTED
            | code::OUT_OF_RANGE
            | code::UNIMPLEMENTED
            | code::UNAUTHENTICATED => Verdict::Fatal,
            _ => Verdict::Again,
        },
        Error::Unimplemented
        | Error::InvalidTransactionType
        | Error::OperationAfterCommitError
        | Error::KeyspaceNotFound(_)
        | Error::MaxScanLimitExceeded { .. } => Verdict::Fatal,
        // Connections, leaders, regions, and panics in the client's tasks when a reply is not as it expects.
        _ => Verdict::Again,
    }
}

fn of_key(error: &ProtoKeyError, start: Option<u64>) -> Verdict {
    let Some(start) = start else {
        return match error.locked.is_some() || !error.retryable.is_empty() {
            true => Verdict::Again,
            false => Verdict::Fatal,
        };
    };
    match &error.conflict {
        Some(conflict) if conflict.reason == SELF_ROLLED_BACK => Verdict::RolledBack,
        // TiKV takes the second prewrite of a committed transaction for a conflict with itself.
        Some(conflict) if conflict.conflict_ts == start && conflict.conflict_commit_ts > start => {
            Verdict::Committed
        }
        Some(_) => Verdict::Conflict,
        // In a commit: its lock is gone, and had it been committed the answer would be yes.
        None if !error.retryable.is_empty() || error.txn_not_found.is_some() => Verdict::RolledBack,
        None if error.locked.is_some() => Verdict::Conflict,
        None => Verdict::Fatal,
    }
}

fn of_region(error: &ProtoRegionError) -> Verdict {
    match error.raft_entry_too_large.is_some() || error.key_not_in_region.is_some() {
        true => Verdict::Fatal,
        false => Verdict::Again,
    }
}

/// A reply that was longer than the client takes is no answer, and fewer pairs would be one.
#[allow(
    clippy::result_large_err,
    reason = "the error type of the client's calls"
)]
pub(super) fn fits<T>(answer: tikv_client::Result<T>) -> tikv_client::Result<Option<T>> {
    match answer {
        Err(Error::GrpcAPI(status)) if i32::from(status.code()) == code::OUT_OF_RANGE => Ok(None),
        answer => answer.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_error(change: impl FnOnce(&mut ProtoKeyError)) -> Error {
        let mut error = ProtoKeyError::default();
        change(&mut error);
        Error::KeyError(Box::new(error))
    }

    fn conflict(conflict_ts: u64, conflict_commit_ts: u64, reason: i32) -> Error {
        key_error(|error| {
            let mut conflict = error.conflict.take().unwrap_or_default();
            conflict.start_ts = 10;
            conflict.conflict_ts = conflict_ts;
            conflict.conflict_commit_ts = conflict_commit_ts;
            conflict.reason = reason;
            error.conflict = Some(conflict);
        })
    }

    #[test]
    fn a_conflict_is_somebody_elses_or_tells_the_own_outcome() {
        assert_eq!(of_commit(&conflict(11, 12, 1), 10), Verdict::Conflict);
        assert_eq!(of_commit(&conflict(10, 12, 1), 10), Verdict::Committed);
        assert_eq!(of_commit(&conflict(10, 10, 3), 10), Verdict::RolledBack);
    }

    #[test]
    fn of_several_errors_the_most_certain_decides() {
        let lost = || Error::StringError("the connection was lost".into());
        let several = Error::ExtractedErrors(vec![lost(), conflict(11, 12, 1)]);
        assert_eq!(of_commit(&several, 10), Verdict::Conflict);
        let lost = Error::UndeterminedError(Box::new(lost()));
        assert_eq!(of_commit(&lost, 10), Verdict::Again);
    }

    #[test]
    fn a_lost_lock_is_a_rollback_and_what_the_cluster_aborts_is_final() {
        let gone = key_error(|error| error.retryable = "no such lock".into());
        assert_eq!(of_commit(&gone, 10), Verdict::RolledBack);
        let aborted = key_error(|error| error.abort = "below the safe point".into());
        assert_eq!(of_commit(&aborted, 10), Verdict::Fatal);
        assert_eq!(of_read(&aborted), Verdict::Fatal);
        let locked = Error::ResolveLockError(Vec::new());
        assert_eq!(of_read(&locked), Verdict::Again);
        assert_eq!(of_commit(&locked, 10), Verdict::Conflict);
    }
}
