//! Keys watched for EXEC.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use bytes::Bytes;
use storage::{Op, Reader};

use crate::{Result, keyspace};

/// Which keys some connection watches, and when each last changed. Costs nothing while no one watches.
#[derive(Debug, Default)]
pub struct WatchTable {
    /// By engine key, so that changes are found as they stand in a batch.
    keys: BTreeMap<Bytes, WatchedKey>,
    /// Number of the last change noted.
    changes: u64,
}

#[derive(Debug)]
struct WatchedKey {
    watchers: usize,
    changed_at: u64,
}

impl WatchTable {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes the changes of a batch. [`crate::Session`] does so for its own; call it for any other writes.
    ///
    /// Not for those of [`crate::keyspace::expire_due`]: a watch knows when its key expires, and removing what had
    /// expired before it was watched is no change.
    pub fn touch(&mut self, ops: &[Op]) {
        if self.keys.is_empty() {
            return;
        }
        self.changes += 1;
        for op in ops {
            match op {
                Op::Put { key, .. } | Op::Delete { key } => {
                    if let Some(watched) = self.keys.get_mut(key) {
                        watched.changed_at = self.changes;
                    }
                }
                Op::DeleteRange { range } if range.is_empty() => {}
                Op::DeleteRange { range } => {
                    for (_, watched) in self.keys.range_mut::<[u8], _>(range.as_slices()) {
                        watched.changed_at = self.changes;
                    }
                }
            }
        }
    }

    fn watch(&mut self, engine_key: &Bytes) -> u64 {
        let watched = self.keys.entry(engine_key.clone()).or_insert(WatchedKey {
            watchers: 0,
            changed_at: self.changes,
        });
        watched.watchers += 1;
        watched.changed_at
    }

    fn unwatch(&mut self, engine_key: &Bytes) {
        if let Some(watched) = self.keys.get_mut(engine_key) {
            watched.watchers -= 1;
            if watched.watchers == 0 {
                self.keys.remove(engine_key);
            }
        }
    }

    fn changed_at(&self, engine_key: &Bytes) -> Option<u64> {
        Some(self.keys.get(engine_key)?.changed_at)
    }
}

/// The keys that one connection watches.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    keys: BTreeMap<Bytes, Watch>,
    /// What they take in memory.
    bytes: usize,
}

/// What watching `key` takes in memory, roughly: its bytes, which both tables share, and their nodes.
pub(crate) fn watched_bytes(key: &[u8]) -> usize {
    const OVERHEAD_BYTES: usize = 128;
    key.len() + OVERHEAD_BYTES
}

/// A key as it was when WATCH was called.
#[derive(Debug)]
struct Watch {
    changed_at: u64,
    expires_at_ms: Option<u64>,
}

impl Watches {
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Memory taken, by [`watched_bytes`].
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Watches `key` from now on, if it is not watched yet.
    pub(crate) fn add(
        &mut self,
        table: &mut WatchTable,
        reader: &dyn Reader,
        key: &[u8],
        now_ms: u64,
    ) -> Result<()> {
        if let Entry::Vacant(entry) = self.keys.entry(keyspace::data_key(key)) {
            let value = keyspace::get(reader, key, now_ms)?;
            let watch = Watch {
                changed_at: table.watch(entry.key()),
                expires_at_ms: value.and_then(|value| value.expires_at_ms),
            };
            entry.insert(watch);
            self.bytes += watched_bytes(key);
        }
        Ok(())
    }

    /// Whether no key changed or expired since it is watched.
    pub(crate) fn hold(&self, table: &WatchTable, now_ms: u64) -> bool {
        self.keys.iter().all(|(engine_key, watch)| {
            table.changed_at(engine_key) == Some(watch.changed_at)
                && !watch
                    .expires_at_ms
                    .is_some_and(|at| keyspace::is_due(at, now_ms))
        })
    }

    /// Watches nothing any more.
    pub(crate) fn clear(&mut self, table: &mut WatchTable) {
        self.bytes = 0;
        for engine_key in std::mem::take(&mut self.keys).into_keys() {
            table.unwatch(&engine_key);
        }
    }
}
