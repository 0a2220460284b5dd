//! Snapshots: the state as of an entry, to be sent to another server or kept as a backup.

use std::sync::Arc;

use bytes::Bytes;
use raft::{Configuration, NodeId, SnapshotMeta};
use storage::{Batch, Direction, KeyRange, Reader};

use crate::machine::{MachineError, OWN_KEY, Own, StateEngine, malformed};
use crate::registry::Registry;
use crate::sessions::Sessions;
use crate::stream::{Decoder, Encoder, StreamError};

/// Pairs are written to an engine in batches of so many bytes, but for larger pairs.
const BATCH_BYTES: usize = 1 << 20;
/// What is written is synced after so many bytes, so that whoever sends does not wait long for the last sync.
const SYNC_BYTES: usize = 64 << 20;

/// The state as of an entry, to be sent to another server. It stays as it is while the state goes on.
#[derive(Clone)]
pub struct Snapshot {
    /// What the core knows of it.
    pub meta: SnapshotMeta,
    view: Arc<dyn Reader + Send + Sync>,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot")
            .field("meta", &self.meta)
            .finish_non_exhaustive()
    }
}

impl Snapshot {
    pub(crate) fn new(meta: SnapshotMeta, view: Arc<dyn Reader + Send + Sync>) -> Self {
        Self { meta, view }
    }

    /// Its bytes, in chunks with so many bytes of pairs, each read from the engine when it is asked for.
    #[must_use]
    pub fn chunks(&self, chunk_bytes: usize) -> Encoder<'_> {
        let pairs = self.view.scan(&KeyRange::all(), Direction::Forward);
        Encoder::new(pairs, chunk_bytes)
    }
}

/// Writes a snapshot to an empty engine as its bytes come, in batches of bounded size.
#[derive(Debug, Default)]
pub(crate) struct Filling {
    decoder: Decoder,
    batch: Batch,
    batch_bytes: usize,
    unsynced_bytes: usize,
    own: Option<Bytes>,
}

impl Filling {
    /// Takes the next bytes; of the users' and the registry's pairs in them those that `is_wanted`.
    pub(crate) fn take(
        &mut self,
        engine: &dyn StateEngine,
        bytes: &[u8],
        is_wanted: impl Fn(&[u8]) -> bool,
    ) -> Result<(), MachineError> {
        let Self {
            decoder,
            batch,
            batch_bytes,
            unsynced_bytes,
            own,
        } = self;
        decoder.feed(bytes, |key, value| {
            if key == OWN_KEY {
                *own = Some(value);
                return Ok(());
            }
            if !is_wanted(&key) {
                return Ok(());
            }
            *batch_bytes += key.len() + value.len();
            batch.put(key, value);
            if *batch_bytes < BATCH_BYTES {
                return Ok(());
            }
            *unsynced_bytes += std::mem::take(batch_bytes);
            engine.submit(&std::mem::take(batch))?;
            if *unsynced_bytes < SYNC_BYTES {
                engine.commit()?;
            } else {
                *unsynced_bytes = 0;
                engine.sync()?;
            }
            Ok(())
        })
    }

    /// All bytes came: writes what is left and, changed by `change`, the machine's own value, durably.
    pub(crate) fn finish(
        mut self,
        engine: &dyn StateEngine,
        change: impl FnOnce(&mut Own),
    ) -> Result<Own, MachineError> {
        self.decoder.finish()?;
        let own = self.own.ok_or(StreamError::Other)?;
        let mut own = Own::decode(own).map_err(malformed("snapshot"))?;
        change(&mut own);
        self.batch.put(OWN_KEY, own.encode());
        engine.submit(&self.batch)?;
        engine.sync()?;
        Ok(own)
    }
}

/// Fills an empty engine with a snapshot, as the state of a new cluster with one founder: the users' data and its time stay, the members,
/// their addresses and sessions do not.
pub struct Restore<'a> {
    engine: &'a dyn StateEngine,
    filling: Filling,
}

impl std::fmt::Debug for Restore<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Restore").finish_non_exhaustive()
    }
}

impl<'a> Restore<'a> {
    /// Into `engine`.
    #[must_use]
    pub fn new(engine: &'a dyn StateEngine) -> Self {
        Self {
            engine,
            filling: Filling::default(),
        }
    }

    /// Takes the next bytes of the snapshot, cut in any way.
    ///
    /// # Errors
    /// The engine's; they are no snapshot, or one of another version. Of no use is the engine then.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), MachineError> {
        let is_data = |key: &[u8]| !Registry::holds_key(key);
        self.filling.take(self.engine, bytes, is_data)
    }

    /// All bytes were taken. The state is durable on return, and the log of the new cluster begins behind what is returned.
    ///
    /// # Errors
    /// As [`Restore::take`], also when the snapshot is not complete.
    pub fn finish(self, founder: NodeId) -> Result<SnapshotMeta, MachineError> {
        let own = self.filling.finish(self.engine, |own| {
            own.configuration = Configuration::of_voters([founder]);
            // The founder counts its starts anew.
            own.sessions = Sessions::default();
        })?;
        Ok(SnapshotMeta {
            id: 0,
            last: own.applied,
            configuration: own.configuration,
        })
    }
}
