//! What to do about a lock of somebody else.

use bytes::Bytes;

use super::{Client, ClientError, Store};
use crate::{
    CheckSecondaries, CheckStatus, Error, LockInfo, LockKind, Refusal, Release, Resolve, Timestamp,
    TxnStatus,
};

/// What became of a lock that was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    /// It is gone.
    Gone,
    /// It stays, but its transaction commits above the caller's start only.
    MayPass,
    /// Its owner lives.
    Wait,
}

impl<S: Store> Client<S> {
    /// Asks the lock's primary what became of its transaction and finishes it if that is decided (section 2.2). A reader gives its
    /// `start_ts`, a writer [`Timestamp::ZERO`], as it cannot pass.
    pub(super) fn settle(
        &self,
        lock: &LockInfo,
        start_ts: Timestamp,
    ) -> Result<Settled, ClientError> {
        let now = self.timestamp()?;
        let question = CheckStatus {
            primary: lock.primary.clone(),
            start_ts: lock.start_ts,
            caller_start_ts: start_ts,
            now,
            rollback_if_unknown: lock.is_expired(now),
            about_pessimistic_lock: lock.kind == LockKind::Pessimistic,
            force_two_phases: false,
        };
        let commit_ts = match self.insist(&question) {
            Ok(TxnStatus::Committed(commit_ts)) => Some(commit_ts),
            Ok(TxnStatus::RolledBack(_)) => None,
            Ok(TxnStatus::Alive { pushed: true, .. }) if start_ts > Timestamp::ZERO => {
                return Ok(Settled::MayPass);
            }
            // The primary is not locked (any more), and the transaction decided nothing: this lock is in nobody's way.
            Ok(TxnStatus::PessimisticLockDropped | TxnStatus::Unknown) => {
                self.insist(&Release {
                    keys: vec![lock.key.clone()],
                    start_ts: lock.start_ts,
                    for_update_ts: lock.for_update_ts,
                })?;
                return Ok(Settled::Gone);
            }
            // It commits with its last prewrite, and whether that came its secondaries say. Asking ends it if not.
            Ok(TxnStatus::Alive { lock: primary, .. })
                if primary.secondaries.is_some() && primary.is_expired(now) =>
            {
                let secondaries = primary.secondaries.clone().unwrap_or_default();
                let commit_ts = self.conclude(&secondaries, primary.start_ts)?;
                let commit_ts = commit_ts.map(|commit_ts| commit_ts.max(primary.min_commit_ts));
                self.insist(&Resolve {
                    keys: vec![primary.key],
                    start_ts: lock.start_ts,
                    commit_ts,
                })?;
                commit_ts
            }
            Ok(TxnStatus::Alive { .. })
            | Err(ClientError::Store(Error::Refused(Refusal::TxnNotFound { .. }))) => {
                return Ok(Settled::Wait);
            }
            Err(error) => return Err(error),
        };
        self.insist(&Resolve {
            keys: vec![lock.key.clone()],
            start_ts: lock.start_ts,
            commit_ts,
        })?;
        Ok(Settled::Gone)
    }

    /// Whether a transaction without a second phase is committed on `keys`, and when, as far as these say: the highest of their minimum
    /// commit timestamps if all are locked. If not all are, they never will be.
    pub(super) fn conclude(
        &self,
        keys: &[Bytes],
        start_ts: Timestamp,
    ) -> Result<Option<Timestamp>, ClientError> {
        let mut highest = start_ts.next();
        for keys in keys.chunks(self.config.keys_per_request.max(1)) {
            let keys = keys.to_vec();
            let said = self.insist(&CheckSecondaries { keys, start_ts })?;
            let Some(commit_ts) = said.commit_ts(highest) else {
                return Ok(None);
            };
            highest = commit_ts;
        }
        Ok(Some(highest))
    }
}
