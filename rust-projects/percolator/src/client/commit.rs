//! The two phases, seen from the client (paper, section 2.2, Figure 6: `Commit`).

use bytes::Bytes;
use storage::KeyRange;

use super::locks::Settled;
use super::{AskError, Client, ClientError, CommitBy, Store, Transaction};
use crate::{
    Commit, Error, Intent, LockInfo, Mode, Mutation, Prewrite, Prewritten, Refusal, Rollback,
    Timestamp,
};

/// What became of a transaction, as far as can be known.
#[derive(Clone, Debug)]
#[must_use = "a transaction may not be committed"]
pub enum Outcome {
    /// It is committed at this timestamp; its start if it wrote nothing.
    Committed(Timestamp),
    /// It is not committed and never will be.
    Aborted(ClientError),
    /// The answer to the commit was lost: it is committed, or will be, or will not. Read what it wrote to find out.
    Undetermined,
}

impl Outcome {
    /// Whether it is certainly committed.
    #[must_use]
    pub const fn is_committed(&self) -> bool {
        matches!(self, Self::Committed(_))
    }
}

impl<S: Store> Transaction<'_, S> {
    /// Commits: all writes become visible at once, or none. Returns when it is decided, and the other keys were told.
    pub fn commit(self) -> Outcome {
        let start_ts = self.start_ts();
        let mutations = self.mutations();
        let keys: Vec<_> = mutations.iter().map(|m| m.key.clone()).collect();
        if keys.is_empty() {
            return Outcome::Committed(start_ts);
        }
        let primary = &keys[0];
        let client = self.client;
        let mode = match client.config.commit {
            CommitBy::OnePhase if keys.len() <= client.config.keys_per_request => Mode::OnePhase {
                max_read_ts: Timestamp::ZERO,
            },
            CommitBy::Prewrites => Mode::Async {
                secondaries: keys[1..].to_vec(),
                max_read_ts: Timestamp::ZERO,
            },
            CommitBy::TwoPhases | CommitBy::OnePhase => Mode::TwoPhases,
        };
        let outcome = match (self.prewrite_all(&mutations, &mode), &mode) {
            (Ok(_), Mode::TwoPhases) => client.commit_primary(primary, start_ts),
            (Ok(commit_ts), _) => Outcome::Committed(commit_ts),
            (Err(error), Mode::TwoPhases) => Outcome::Aborted(error),
            (Err(error), _) => client.conclude_own(&keys, start_ts, error),
        };
        match (&outcome, &mode) {
            (Outcome::Committed(_), Mode::OnePhase { .. }) | (Outcome::Undetermined, _) => {}
            (Outcome::Committed(commit_ts), Mode::TwoPhases) => {
                client.commit_keys(&keys[1..], start_ts, *commit_ts);
            }
            (Outcome::Committed(commit_ts), Mode::Async { .. }) => {
                client.commit_keys(&keys, start_ts, *commit_ts);
            }
            (Outcome::Aborted(_), _) => client.give_up(&keys, start_ts),
        }
        outcome
    }

    /// What to prewrite, the primary in front: a lock that names it is never there without it, unless it is gone again.
    fn mutations(&self) -> Vec<Mutation> {
        let written = self.writes.iter().map(|(key, value)| {
            let intent = value.clone().map_or(Intent::Delete, Intent::Put);
            (key, intent)
        });
        // What was only locked must not change before the commit either.
        let only_held = self
            .held
            .keys()
            .filter(|key| !self.writes.contains_key(*key))
            .map(|key| (key, Intent::Lock));
        let mut mutations: Vec<_> = written
            .chain(only_held)
            .map(|(key, intent)| Mutation {
                holds_pessimistic_lock: self.held.contains_key(key),
                ..Mutation::new(key.clone(), intent)
            })
            .collect();
        let is_primary = |mutation: &Mutation| Some(&mutation.key) == self.primary.as_ref();
        if let Some(primary) = mutations.iter().position(is_primary) {
            mutations.swap(0, primary);
        }
        mutations
    }

    /// Gives the lowest timestamp at which all keys may be committed; at which they are, if there is no second phase.
    fn prewrite_all(&self, mutations: &[Mutation], mode: &Mode) -> Result<Timestamp, ClientError> {
        let mut commit_ts = match mode {
            Mode::TwoPhases => self.start_ts().next(),
            // Above all that was committed before, or who commits later could be below who was seen to commit earlier.
            Mode::Async { .. } | Mode::OnePhase { .. } => self.client.timestamp()?.next(),
        };
        let min_commit_ts = commit_ts;
        let held = self.held.values().max();
        for chunk in mutations.chunks(self.client.config.keys_per_request.max(1)) {
            let prewritten = self.client.prewrite(&Prewrite {
                mutations: chunk.to_vec(),
                primary: mutations[0].key.clone(),
                start_ts: self.start_ts(),
                ttl_ms: self.client.config.lock_ttl_ms,
                txn_size: mutations.len() as u64,
                min_commit_ts,
                for_update_ts: held.copied().unwrap_or_default(),
                mode: mode.clone(),
            })?;
            if let Some(committed) = prewritten.committed {
                return Ok(committed);
            }
            commit_ts = commit_ts.max(prewritten.min_commit_ts);
        }
        Ok(commit_ts)
    }
}

impl<S: Store> Client<S> {
    /// Prewrites, finishing locks of the dead and waiting for those of the living.
    fn prewrite(&self, request: &Prewrite) -> Result<Prewritten, ClientError> {
        let mut backoff = self.backoff();
        loop {
            match self.store.ask(request) {
                Ok(prewritten) => return Ok(prewritten),
                Err(AskError::Decision(Error::Refused(Refusal::Locked(locks)))) => {
                    if let Some(lock) = self.first_alive(&locks)?
                        && !backoff.wait()
                    {
                        return Err(ClientError::StaysLocked(Box::new(lock)));
                    }
                }
                Err(AskError::Lost) if backoff.wait() => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The first of `locks` that cannot be finished, as its owner lives.
    pub(super) fn first_alive(&self, locks: &[LockInfo]) -> Result<Option<LockInfo>, ClientError> {
        let mut alive = None;
        for lock in locks {
            if self.settle(lock, Timestamp::ZERO)? != Settled::Gone {
                alive.get_or_insert_with(|| lock.clone());
            }
        }
        Ok(alive)
    }

    /// The step that decides. A request that was lost may be carried out at any time, so only an answer makes the outcome certain: any
    /// answer to a later copy does, as a commit that was carried out is found again.
    fn commit_primary(&self, primary: &Bytes, start_ts: Timestamp) -> Outcome {
        let mut backoff = self.backoff();
        let mut was_lost = false;
        loop {
            // It must be taken after the prewrites: whoever began before and read these keys has seen the locks.
            let commit_ts = match self.timestamp() {
                Ok(commit_ts) => commit_ts,
                Err(_) if was_lost => return Outcome::Undetermined,
                Err(error) => return Outcome::Aborted(error),
            };
            let request = Commit {
                keys: vec![primary.clone()],
                start_ts,
                commit_ts,
                held: KeyRange::all(),
            };
            let error = match self.store.ask(&request) {
                Ok(commit_ts) => return Outcome::Committed(commit_ts),
                // A reader was promised a later commit. So the lock is still there, and earlier copies will be refused as well.
                Err(AskError::Decision(Error::Refused(
                    refusal @ Refusal::CommitTsExpired { .. },
                ))) => Error::from(refusal).into(),
                Err(AskError::Decision(Error::Refused(refusal))) => {
                    return Outcome::Aborted(Error::from(refusal).into());
                }
                Err(error) => {
                    was_lost |= matches!(error, AskError::Lost);
                    error.into()
                }
            };
            if !backoff.wait() {
                return match was_lost {
                    true => Outcome::Undetermined,
                    false => Outcome::Aborted(error),
                };
            }
        }
    }

    /// The outcome of a transaction without a second phase of which a prewrite failed. Copies of it that are still under way could complete
    /// it, and others may have found it complete, so it asks its keys as others would.
    fn conclude_own(&self, keys: &[Bytes], start_ts: Timestamp, error: ClientError) -> Outcome {
        match self.conclude(keys, start_ts) {
            Ok(Some(commit_ts)) => Outcome::Committed(commit_ts),
            Ok(None) => Outcome::Aborted(error),
            Err(_) => Outcome::Undetermined,
        }
    }

    /// Tells keys that the transaction is committed. It is, whether they hear of it or not: whoever meets the locks finds out.
    fn commit_keys(&self, keys: &[Bytes], start_ts: Timestamp, commit_ts: Timestamp) {
        for keys in keys.chunks(self.config.keys_per_request.max(1)) {
            let _ = self.insist(&Commit {
                keys: keys.to_vec(),
                start_ts,
                commit_ts,
                held: KeyRange::all(),
            });
        }
    }

    /// Removes what was prewritten, so that others need not wait. Whether it succeeds or not, nothing is committed.
    fn give_up(&self, keys: &[Bytes], start_ts: Timestamp) {
        for keys in keys.chunks(self.config.keys_per_request.max(1)) {
            let _ = self.insist(&Rollback {
                keys: keys.to_vec(),
                start_ts,
            });
        }
    }
}
