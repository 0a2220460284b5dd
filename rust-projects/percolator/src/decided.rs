//! What a decision comes to.

use bytes::Bytes;
use storage::Batch;

use crate::layout::{default_key, lock_key, write_key};
use crate::{Columns, Lock, Timestamp, Write};

/// A reply, and the changes to make before anybody hears it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decided<T> {
    /// What to tell the client once `changes` are durable.
    pub reply: T,
    /// What to write, as one batch. Empty if the request changes nothing, as one that comes again.
    pub changes: Batch,
}

/// A decision in the making: what is stored, and what is to change.
///
/// Reads do not see the changes. Each decision therefore works on one key after another and touches none twice.
pub(crate) struct Draft<'a> {
    pub(crate) columns: Columns<'a>,
    changes: Batch,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(columns: Columns<'a>) -> Self {
        Self {
            columns,
            changes: Batch::new(),
        }
    }

    pub(crate) fn put_lock(&mut self, key: &[u8], lock: &Lock) {
        self.changes.put(lock_key(key), lock.encode());
    }

    pub(crate) fn delete_lock(&mut self, key: &[u8]) {
        self.changes.delete(lock_key(key));
    }

    pub(crate) fn put_write(&mut self, key: &[u8], commit_ts: Timestamp, write: &Write) {
        self.changes.put(write_key(key, commit_ts), write.encode());
    }

    pub(crate) fn delete_write(&mut self, key: &[u8], commit_ts: Timestamp) {
        self.changes.delete(write_key(key, commit_ts));
    }

    pub(crate) fn put_value(&mut self, key: &[u8], start_ts: Timestamp, value: Bytes) {
        self.changes.put(default_key(key, start_ts), value);
    }

    pub(crate) fn delete_value(&mut self, key: &[u8], start_ts: Timestamp) {
        self.changes.delete(default_key(key, start_ts));
    }

    pub(crate) fn finish<T>(self, reply: T) -> Decided<T> {
        Decided {
            reply,
            changes: self.changes,
        }
    }
}
