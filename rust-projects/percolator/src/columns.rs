//! Reads the three columns.

use std::ops::Bound;

use bytes::Bytes;
use storage::{Direction, KeyRange, Reader};

use crate::layout::{decode_key, default_key, lock_key, write_key};
use crate::{Column, Error, Lock, Result, Timestamp, Write, WriteKind};

/// A view of an engine, snapshot or overlay as columns of locks, records and values.
#[derive(Clone, Copy)]
pub struct Columns<'a> {
    reader: &'a dyn Reader,
}

impl<'a> Columns<'a> {
    /// What `reader` sees. All reads of one decision must see the same: pass a snapshot, or let nobody write meanwhile.
    pub fn new(reader: &'a dyn Reader) -> Self {
        Self { reader }
    }

    /// What it looks at.
    #[must_use]
    pub fn reader(&self) -> &'a dyn Reader {
        self.reader
    }

    /// The lock on `key`.
    ///
    /// # Errors
    /// [`Error::Storage`], [`Error::Corrupt`].
    pub fn lock(&self, key: &[u8]) -> Result<Option<Lock>> {
        let stored = self.reader.get(&lock_key(key))?;
        stored.map(|bytes| Lock::decode(key, &bytes)).transpose()
    }

    /// The locks on the keys of `range`, in the order asked for.
    pub fn locks(
        &self,
        range: &KeyRange,
        direction: Direction,
    ) -> impl Iterator<Item = Result<(Bytes, Lock)>> + use<'a> {
        let locks = self.reader.scan(&Column::Lock.range(range), direction);
        locks.map(|entry| {
            let (engine_key, bytes) = entry?;
            let (key, _) = decode_key(Column::Lock, &engine_key)?;
            let lock = Lock::decode(&key, &bytes)?;
            Ok((key, lock))
        })
    }

    /// The record of `key` at exactly `commit_ts`.
    ///
    /// # Errors
    /// [`Error::Storage`], [`Error::Corrupt`].
    pub fn record(&self, key: &[u8], commit_ts: Timestamp) -> Result<Option<Write>> {
        let stored = self.reader.get(&write_key(key, commit_ts))?;
        stored
            .map(|bytes| Write::decode(key, commit_ts, &bytes))
            .transpose()
    }

    /// The records of `key` from `newest` down, with their commit timestamps.
    pub fn records(
        &self,
        key: &[u8],
        newest: Timestamp,
    ) -> impl Iterator<Item = Result<(Timestamp, Write)>> + use<'a> {
        self.records_between(key, newest, Timestamp::ZERO)
    }

    fn records_between(
        &self,
        key: &[u8],
        newest: Timestamp,
        oldest: Timestamp,
    ) -> impl Iterator<Item = Result<(Timestamp, Write)>> + use<'a> {
        let range = Column::Write.versions(key, newest, oldest);
        self.reader
            .scan(&range, Direction::Forward)
            .map(|entry| decode_record(&entry?).map(|(_, commit_ts, write)| (commit_ts, write)))
    }

    /// The newest record of `key`, whatever it says, if it is at or after `since`. Those before are not read.
    ///
    /// # Errors
    /// [`Error::Storage`], [`Error::Corrupt`].
    pub fn newest_since(&self, key: &[u8], since: Timestamp) -> Result<Option<(Timestamp, Write)>> {
        let mut records = self.records_between(key, Timestamp::MAX, since);
        records.next().transpose()
    }

    /// The record of the newest put at or below `ts`, if no delete follows it up to there. Locks and rollbacks change nothing.
    ///
    /// # Errors
    /// [`Error::Storage`], [`Error::Corrupt`].
    pub fn visible(&self, key: &[u8], ts: Timestamp) -> Result<Option<(Timestamp, Write)>> {
        for record in self.records(key, ts) {
            let (commit_ts, write) = record?;
            match write.kind {
                WriteKind::Put => return Ok(Some((commit_ts, write))),
                WriteKind::Delete => return Ok(None),
                WriteKind::Lock | WriteKind::Rollback => {}
            }
        }
        Ok(None)
    }

    /// The value of `key` at `ts` as far as it is committed, whoever holds locks.
    ///
    /// # Errors
    /// [`Error::Storage`], [`Error::Corrupt`].
    pub fn value(&self, key: &[u8], ts: Timestamp) -> Result<Option<Bytes>> {
        let visible = self.visible(key, ts)?;
        visible
            .map(|(_, write)| self.value_of(key, &write))
            .transpose()
    }

    /// The value that a put of `key` recorded.
    ///
    /// # Errors
    /// [`Error::Storage`]; [`Error::Corrupt`] if it should stand in the default column and does not.
    pub fn value_of(&self, key: &[u8], put: &Write) -> Result<Bytes> {
        match &put.short_value {
            Some(value) => Ok(value.clone()),
            None => self.long_value(key, put.start_ts),
        }
    }

    /// The value that the transaction of `start_ts` gave `key`, which stands in the default column.
    pub(crate) fn long_value(&self, key: &[u8], start_ts: Timestamp) -> Result<Bytes> {
        let stored = self.reader.get(&default_key(key, start_ts))?;
        stored.ok_or_else(|| Error::Corrupt {
            column: Column::Default,
            key: Bytes::copy_from_slice(key),
            what: "the value of a record is missing",
        })
    }

    /// What became of the transaction of `start_ts` on `key`: its own record, wherever it stands.
    ///
    /// # Errors
    /// [`Error::Storage`], [`Error::Corrupt`].
    pub fn fate(&self, key: &[u8], start_ts: Timestamp) -> Result<Option<Fate>> {
        for record in self.records(key, Timestamp::MAX) {
            let (commit_ts, write) = record?;
            if commit_ts < start_ts {
                break;
            }
            if commit_ts == start_ts && write.rolls_back() {
                return Ok(Some(Fate::RolledBack));
            }
            if write.start_ts == start_ts && write.kind != WriteKind::Rollback {
                return Ok(Some(Fate::Committed(commit_ts)));
            }
        }
        Ok(None)
    }

    /// The first user key of `range`, in the direction asked for, that has any record.
    ///
    /// # Errors
    /// [`Error::Storage`], [`Error::Corrupt`].
    pub fn first_key(&self, range: &KeyRange, direction: Direction) -> Result<Option<Bytes>> {
        let records = Column::Write.range(range);
        let Some(engine_key) = self.reader.scan_keys(&records, direction).next() else {
            return Ok(None);
        };
        let (key, _) = decode_key(Column::Write, &engine_key?)?;
        Ok(Some(key))
    }
}

/// How a transaction ended on a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is committed at this timestamp.
    Committed(Timestamp),
    /// It was rolled back.
    RolledBack,
}

/// The parts of an entry of the write column.
pub(crate) fn decode_record(
    (engine_key, bytes): &(Bytes, Bytes),
) -> Result<(Bytes, Timestamp, Write)> {
    let (key, commit_ts) = decode_key(Column::Write, engine_key)?;
    let write = Write::decode(&key, commit_ts, bytes)?;
    Ok((key, commit_ts, write))
}

/// What is left of `range` once `key` was passed.
pub(crate) fn rest_of(range: &KeyRange, key: Bytes, direction: Direction) -> KeyRange {
    let mut rest = range.clone();
    match direction {
        Direction::Forward => rest.start = Bound::Excluded(key),
        Direction::Reverse => rest.end = Bound::Excluded(key),
    }
    rest
}
