//! Snapshots: the whole state as bytes, to be sent to another server or kept as a backup.

use std::sync::Arc;

use bytes::Bytes;
use raft::{Configuration, NodeId, SnapshotMeta};
use storage::{Batch, Direction, KeyRange, Reader};

use crate::codec::{Decoder, Malformed, put_bytes};
use crate::machine::{FORMAT, MachineError, OWN_KEY, Own, StateEngine, malformed};
use crate::registry::Registry;
use crate::sessions::Sessions;

/// The state as of an entry, to be sent to another server.
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

    /// All pairs, one after another.
    ///
    /// # Errors
    /// The engine's.
    pub fn encode(&self) -> Result<Bytes, MachineError> {
        let mut out = vec![FORMAT];
        for pair in self.view.scan(&KeyRange::all(), Direction::Forward) {
            let (key, value) = pair?;
            put_bytes(&mut out, &key);
            put_bytes(&mut out, &value);
        }
        Ok(out.into())
    }
}

/// The pairs of a snapshot.
pub(crate) fn decode(data: Bytes) -> Result<Vec<(Bytes, Bytes)>, MachineError> {
    pairs(data).map_err(malformed("snapshot"))
}

fn pairs(data: Bytes) -> Result<Vec<(Bytes, Bytes)>, Malformed> {
    let mut decoder = Decoder(data);
    if decoder.u8()? != FORMAT {
        return Err(Malformed);
    }
    let mut pairs = Vec::new();
    while !decoder.is_empty() {
        pairs.push((decoder.bytes()?, decoder.bytes()?));
    }
    Ok(pairs)
}

/// What the machine of a snapshot held beside the users' data.
pub(crate) fn own(pairs: &[(Bytes, Bytes)]) -> Result<Own, MachineError> {
    let own = pairs.iter().find(|(key, _)| key == OWN_KEY);
    let own = own.ok_or(Malformed);
    let own = own.and_then(|(_, value)| Own::decode(value.clone()));
    own.map_err(malformed("snapshot"))
}

/// Fills an empty engine with a snapshot, durably, as the state of a new cluster with one founder: the users' data and its time stay, the members,
/// their addresses and sessions do not. The log of the new cluster begins behind what is returned.
///
/// # Errors
/// The engine's, and what another version wrote; nothing is in the engine then.
pub fn restore(
    engine: &dyn StateEngine,
    data: Bytes,
    founder: NodeId,
) -> Result<SnapshotMeta, MachineError> {
    let pairs = decode(data)?;
    let mut own = own(&pairs)?;
    own.configuration = Configuration::of_voters([founder]);
    // The founder counts its starts anew.
    own.sessions = Sessions::default();
    let mut batch = Batch::new();
    let data = pairs
        .into_iter()
        .filter(|(key, _)| !Registry::holds_key(key));
    for (key, value) in data {
        batch.put(key, value);
    }
    batch.put(OWN_KEY, own.encode());
    engine.submit(&batch)?;
    engine.sync()?;
    Ok(SnapshotMeta {
        id: 0,
        last: own.applied,
        configuration: own.configuration,
    })
}
