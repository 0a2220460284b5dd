//! A transaction from its start until it is committed.

use std::collections::BTreeMap;

use bytes::Bytes;
use storage::{Direction, KeyRange};

use super::locks::Settled;
use super::{AskError, Backoff, Client, ClientError, Store};
use crate::{
    Acquire, ConflictReason, Error, Get, LockInfo, ReadAt, Refusal, Release, Scan, Timestamp,
};

/// A transaction: what it read is as of its start, what it writes nobody sees before it is committed. Dropped, it leaves nothing but the locks
/// that it took, until their time is over.
pub struct Transaction<'a, S> {
    pub(super) client: &'a Client<S>,
    /// The moment of its reads, and the locks that were found not to matter.
    at: ReadAt,
    /// `None` for a key to delete.
    pub(super) writes: BTreeMap<Bytes, Option<Bytes>>,
    /// The keys that it locked, and up to where it saw them.
    pub(super) held: BTreeMap<Bytes, Timestamp>,
    /// The first key that it locked: all locks name it.
    pub(super) primary: Option<Bytes>,
}

impl<'a, S: Store> Transaction<'a, S> {
    pub(super) fn new(client: &'a Client<S>, start_ts: Timestamp) -> Self {
        Self {
            client,
            at: ReadAt::new(start_ts),
            writes: BTreeMap::new(),
            held: BTreeMap::new(),
            primary: None,
        }
    }

    /// When it began.
    #[must_use]
    pub fn start_ts(&self) -> Timestamp {
        self.at.ts
    }

    /// The value of `key`: its own if it wrote it, else as of its start.
    ///
    /// # Errors
    /// [`ClientError`]. The transaction can go on.
    pub fn get(&mut self, key: &[u8]) -> Result<Option<Bytes>, ClientError> {
        if let Some(own) = self.writes.get(key) {
            return Ok(own.clone());
        }
        let mut backoff = self.client.backoff();
        loop {
            let request = Get {
                key: Bytes::copy_from_slice(key),
                at: self.at.clone(),
            };
            match self.client.store.ask(&request) {
                Ok(value) => return Ok(value),
                Err(AskError::Decision(Error::Refused(Refusal::Locked(locks)))) => {
                    self.pass(&locks, &mut backoff)?;
                }
                Err(AskError::Lost) if backoff.wait() => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Sets `key` to `value` at commit.
    pub fn set(&mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.writes.insert(key.into(), Some(value.into()));
    }

    /// Removes `key` at commit.
    pub fn delete(&mut self, key: impl Into<Bytes>) {
        self.writes.insert(key.into(), None);
    }

    /// Locks `key` until the transaction ends, and gives what is committed there now, which may be newer than what [`Transaction::get`] sees. Waits for
    /// others who hold it; of two that wait for each other one takes the other for dead, or gives up.
    ///
    /// # Errors
    /// [`ClientError`]. The transaction can go on, or [`Transaction::rollback`].
    pub fn lock(&mut self, key: impl Into<Bytes>) -> Result<Option<Bytes>, ClientError> {
        let key = key.into();
        let client = self.client;
        let primary = self.primary.get_or_insert_with(|| key.clone()).clone();
        let mut backoff = client.backoff();
        loop {
            let for_update_ts = client.timestamp()?;
            let asked = client.store.ask(&Acquire {
                keys: vec![key.clone()],
                must_be_new: false,
                only_if_exists: false,
                primary: primary.clone(),
                start_ts: self.at.ts,
                for_update_ts,
                ttl_ms: client.config.lock_ttl_ms,
                min_commit_ts: self.at.ts.next(),
            });
            match asked {
                Ok(values) => {
                    self.held.insert(key, for_update_ts);
                    return Ok(values.into_iter().flatten().next());
                }
                Err(AskError::Decision(Error::Refused(Refusal::Locked(locks)))) => {
                    if let Some(lock) = client.first_alive(&locks)?
                        && !backoff.wait()
                    {
                        return Err(ClientError::StaysLocked(Box::new(lock)));
                    }
                }
                // Somebody committed since the timestamp was taken: a later one sees it.
                Err(AskError::Decision(Error::Refused(Refusal::WriteConflict {
                    reason: ConflictReason::Pessimistic,
                    ..
                }))) => {}
                Err(AskError::Lost) if backoff.wait() => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Ends the transaction without a trace, and gives its locks back.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`]: others will find its locks, until their time is over.
    pub fn rollback(self) -> Result<(), ClientError> {
        let Some(&for_update_ts) = self.held.values().max() else {
            return Ok(());
        };
        self.client.insist(&Release {
            keys: self.held.keys().cloned().collect(),
            start_ts: self.at.ts,
            for_update_ts,
        })
    }

    /// The first `limit` pairs of `range` in the direction asked for, its own writes among them.
    ///
    /// # Errors
    /// [`ClientError`]. The transaction can go on.
    pub fn scan(
        &mut self,
        range: &KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, ClientError> {
        let own = self
            .writes
            .iter()
            .filter(|(key, _)| range.contains(key))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect::<Vec<_>>();
        // Each own write can hide one pair at most.
        let stored = self.scan_store(range, direction, limit.saturating_add(own.len()))?;
        let mut pairs: BTreeMap<_, _> = stored
            .into_iter()
            .map(|(key, value)| (key, Some(value)))
            .collect();
        pairs.extend(own);
        let pairs = pairs
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)));
        Ok(match direction {
            Direction::Forward => pairs.take(limit).collect(),
            Direction::Reverse => pairs.rev().take(limit).collect(),
        })
    }

    fn scan_store(
        &mut self,
        range: &KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, ClientError> {
        let mut backoff = self.client.backoff();
        loop {
            let found = self.client.insist(&Scan {
                range: range.clone(),
                direction,
                limit,
                at: self.at.clone(),
            })?;
            let mut pairs = Vec::with_capacity(found.len());
            let mut locks = Vec::new();
            for pair in found {
                match pair.value {
                    Ok(value) => pairs.push((pair.key, value)),
                    Err(lock) => locks.push(lock),
                }
            }
            if locks.is_empty() {
                return Ok(pairs);
            }
            self.pass(&locks, &mut backoff)?;
        }
    }

    /// Finishes what can be finished, and waits if something is left.
    fn pass(
        &mut self,
        locks: &[LockInfo],
        backoff: &mut Backoff<'_, S>,
    ) -> Result<(), ClientError> {
        let mut in_the_way = None;
        for lock in locks {
            match self.client.settle(lock, self.at.ts)? {
                Settled::Gone => {}
                Settled::MayPass => {
                    self.at.bypass.insert(lock.start_ts);
                }
                Settled::Wait => in_the_way = Some(lock),
            }
        }
        match in_the_way {
            Some(lock) if !backoff.wait() => Err(ClientError::StaysLocked(Box::new(lock.clone()))),
            _ => Ok(()),
        }
    }
}
