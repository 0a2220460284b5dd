//! The state machine: applies the log to a storage engine.
//!
//! # What it guarantees
//!
//! Two machines fed the same log hold the same bytes after each entry: commands are pure, time comes with the entries, and
//! limits are fixed. The data, what was applied, the sessions, the time, the configuration and a hash of all that happened go
//! into the engine in one batch, so a crash finds them fitting each other.
//!
//! # What it does not
//!
//! It forces nothing to the disk: the log is durable. Whoever purges the log flushes the engine first.

use std::sync::Arc;

use bytes::{BufMut, Bytes};
use commands::{Command, Context, Overlay, ScanCursors, keyspace};
use raft::{Configuration, Entry, Index, LogId, NodeId, Payload, SnapshotMeta};
use storage::{Batch, Direction, Durability, KeyRange, Limits, Op, Reader, Snapshots};
use wire::Reply;

use crate::chain::chain;
use crate::codec::{Decoder, Malformed, put_len};
use crate::record::{Body, Origin, Record, Request};
use crate::region::Region;
use crate::registry::Registry;
use crate::sessions::Sessions;
use crate::snapshot::Snapshot;
use crate::stream::StreamError;

/// An engine that can hold a state machine: decides ahead of the disk, and can be looked at as of a moment.
pub trait StateEngine: Durability + Snapshots {}

impl<T: Durability + Snapshots> StateEngine for T {}

/// Where the machine keeps what is not the users' data; no user key is there.
pub(crate) const OWN_KEY: &[u8] = b"m";
/// Version of the log's commands, of the machine's own values and of snapshots: servers of different ones cannot share a log.
pub const FORMAT: u8 = 3;

/// The furthest the state's time moves with one entry: a leader whose clock is far ahead must not expire everything at once.
pub const MAX_TIME_STEP_MS: u64 = 600_000;
/// The longest reply, as a bound on memory; the same everywhere, as it may decide whether a command is refused.
const MAX_REPLY_BYTES: usize = 256 << 20;
/// The most expired keys removed with one entry.
const MAX_EXPIRED: usize = 1000;

/// The state machine can go no further: this server must stop.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// The engine failed.
    #[error("the state machine's engine failed: {0}")]
    Engine(#[from] storage::Error),
    /// A command could not be decided for a reason that other servers may not have.
    #[error("a command could not be decided: {0}")]
    Command(#[from] commands::Error),
    /// The engine or the log holds what this version does not know.
    #[error("the {what} is not of a kind that this version knows: {source}")]
    Malformed {
        /// What was read.
        what: &'static str,
        /// Why it cannot be.
        source: Malformed,
    },
    /// What was to be installed is no complete snapshot.
    #[error(transparent)]
    Snapshot(#[from] StreamError),
    /// This server's state differs from its leader's.
    #[error(
        "the state after entry {index} differs from the leader's; this server's data must be replaced by a copy"
    )]
    Diverged {
        /// The entry at which it was noticed.
        index: u64,
    },
}

pub(crate) fn malformed(what: &'static str) -> impl Fn(Malformed) -> MachineError {
    move |source| MachineError::Malformed { what, source }
}

/// What became of a request of this server.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Applied {
    pub(crate) origin: Origin,
    /// One reply a command.
    pub(crate) replies: Vec<Reply>,
}

/// What came out of entries, for those who wait for it.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// Requests of this server.
    pub(crate) requests: Vec<Applied>,
    /// Changes decided anywhere, and whether they were applied.
    pub(crate) decided: Vec<(LogId, bool)>,
}

/// What the machine holds beside the users' data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Own {
    pub(crate) applied: LogId,
    /// As of `applied`.
    pub(crate) configuration: Configuration,
    /// Never goes back.
    time_ms: u64,
    /// Of all changes so far.
    hash: u64,
    /// The last [`Body::Check`] applied, and what `hash` was there.
    noted: (Index, u64),
    pub(crate) sessions: Sessions,
}

/// See the module's page.
pub struct Machine {
    pub(crate) engine: Arc<dyn StateEngine>,
    pub(crate) own: Own,
    /// Who is where, as the engine holds it.
    pub(crate) registry: Arc<Registry>,
    /// As the engine holds it.
    pub(crate) region: Arc<Region>,
    /// SCAN's positions: known to this server alone, and no part of the state.
    cursors: ScanCursors,
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine")
            .field("own", &self.own)
            .finish_non_exhaustive()
    }
}

impl Machine {
    /// Over what `engine` holds; a new one has the members that the cluster was founded with.
    ///
    /// # Errors
    /// The engine's, and what another version wrote.
    pub fn open(
        engine: Arc<dyn StateEngine>,
        founders: &Configuration,
    ) -> Result<Self, MachineError> {
        let own = match engine.latest().get(OWN_KEY)? {
            Some(bytes) => Own::decode(bytes).map_err(malformed("state machine's own value"))?,
            None => Own {
                configuration: founders.clone(),
                ..Own::default()
            },
        };
        let registry = Registry::load(engine.latest())?;
        let region = Region::load(engine.latest())?;
        Ok(Self {
            engine,
            own,
            registry: Arc::new(registry),
            region: Arc::new(region),
            cursors: ScanCursors::new(1),
        })
    }

    /// What holds the state. Another one once a snapshot was installed.
    #[must_use]
    pub fn engine(&self) -> &Arc<dyn StateEngine> {
        &self.engine
    }

    /// The last entry applied.
    #[must_use]
    pub fn applied(&self) -> LogId {
        self.own.applied
    }

    /// The members as of the last entry applied.
    #[must_use]
    pub fn configuration(&self) -> &Configuration {
        &self.own.configuration
    }

    /// Who is where, as of the last entry applied.
    #[must_use]
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// The region, as of the last entry applied.
    #[must_use]
    pub fn region(&self) -> &Arc<Region> {
        &self.region
    }

    /// The time of the state in milliseconds since 1970: what has expired by it is gone.
    #[must_use]
    pub fn time_ms(&self) -> u64 {
        self.own.time_ms
    }

    /// A hash of every change so far; equal on all servers after the same entry.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.own.hash
    }

    /// The last entry at which the hash was noted, and the hash.
    pub(crate) fn noted(&self) -> (Index, u64) {
        self.own.noted
    }

    pub(crate) fn was_applied(&self, node: NodeId, boot: u64, sequence: u64) -> bool {
        self.own.sessions.was_applied(node, boot, sequence)
    }

    /// When the next key expires, in milliseconds since 1970.
    ///
    /// # Errors
    /// The engine's.
    pub fn next_expiry_ms(&self) -> Result<Option<u64>, MachineError> {
        let column = KeyRange::prefix(&[keyspace::EXPIRY_COLUMN]);
        let first = self
            .engine
            .latest()
            .scan_keys(&column, Direction::Forward)
            .next();
        let Some(key) = first.transpose()? else {
            return Ok(None);
        };
        let time = key.get(1..).and_then(|rest| rest.first_chunk());
        Ok(time.map(|time| u64::from_be_bytes(*time)))
    }

    /// Applies committed entries that follow the last one, in one batch, and gives what became of the requests of `node`'s start `boot` and of
    /// changes decided by anybody.
    ///
    /// # Errors
    /// [`MachineError`]: nothing was applied, and the machine must not be used any more.
    pub(crate) fn apply(
        &mut self,
        entries: &[Entry],
        node: NodeId,
        boot: u64,
    ) -> Result<Effects, MachineError> {
        let engine = Arc::clone(&self.engine);
        let mut overlay = Overlay::new(engine.latest());
        let mut batch = Batch::new();
        let mut effects = Effects::default();
        for entry in entries {
            let before = batch.len();
            self.apply_one(entry, &overlay, &mut batch, &mut effects)?;
            let changes = &batch.ops()[before..];
            self.own.hash = chain(self.own.hash, entry.id, changes);
            overlay.apply(changes);
            self.own.applied = entry.id;
        }
        batch.put(OWN_KEY, self.own.encode());
        engine.submit(&batch)?;
        engine.commit()?;
        let is_own = |origin: &Origin| origin.node == node && origin.boot == boot;
        effects.requests.retain(|done| is_own(&done.origin));
        Ok(effects)
    }

    fn apply_one(
        &mut self,
        entry: &Entry,
        reader: &dyn Reader,
        batch: &mut Batch,
        effects: &mut Effects,
    ) -> Result<(), MachineError> {
        let command = match &entry.payload {
            Payload::Noop => return Ok(()),
            Payload::Configuration(configuration) => {
                self.own.configuration = configuration.clone();
                let region = Arc::make_mut(&mut self.region);
                region.epoch.configuration += 1;
                region.put(batch);
                if !configuration.is_joint() {
                    Arc::make_mut(&mut self.registry).retain(configuration, batch);
                }
                return Ok(());
            }
            Payload::Command(command) => command,
        };
        let record = Record::decode(command).map_err(malformed("entry of the log"))?;
        self.own.pass(record.stamp_ms);
        match record.body {
            Body::Advance => {
                keyspace::expire_due(reader, self.own.time_ms, MAX_EXPIRED, batch)?;
            }
            Body::Check { at, noted } => {
                let index = entry.id.index;
                // Of different entries if another leader's check came between this one and its proposal: nothing to compare.
                if at == self.own.noted.0 && noted != self.own.noted.1 {
                    return Err(MachineError::Diverged { index });
                }
                self.own.noted = (index, self.own.hash);
            }
            Body::Announce(node, member) => {
                Arc::make_mut(&mut self.registry).announce(node, member, batch);
            }
            Body::Request(origin, request) => {
                if self.own.sessions.admit(&origin) {
                    let replies = decide(&request, reader, self.own.time_ms, &self.cursors, batch)?;
                    effects.requests.push(Applied { origin, replies });
                }
            }
            Body::Changes(changes) => {
                let is_good = entry.id.term == changes.term && self.region.epoch == changes.epoch;
                if is_good {
                    self.change(&changes.batch, reader, batch)?;
                }
                effects.decided.push((entry.id, is_good));
            }
        }
        Ok(())
    }

    fn change(
        &mut self,
        changes: &Batch,
        reader: &dyn Reader,
        batch: &mut Batch,
    ) -> Result<(), MachineError> {
        let mut is_region_changed = false;
        for op in changes.ops() {
            is_region_changed |= matches!(op, Op::Put { key, .. } if Region::is_at(key));
            batch.push(op.clone());
        }
        if is_region_changed {
            let mut overlay = Overlay::new(reader);
            overlay.apply(changes.ops());
            self.region = Arc::new(Region::load(&overlay)?);
        }
        Ok(())
    }

    /// Answers a request that only reads, from everything applied.
    ///
    /// # Errors
    /// The engine's.
    pub(crate) fn read(&self, request: &Request) -> Result<Vec<Reply>, MachineError> {
        let mut changes = Batch::new();
        let reader = self.engine.latest();
        decide(
            request,
            reader,
            self.own.time_ms,
            &self.cursors,
            &mut changes,
        )
    }

    /// Everything as of now, to be sent to another server.
    ///
    /// # Errors
    /// The engine's.
    pub(crate) fn snapshot(&self, id: u64) -> Result<Snapshot, MachineError> {
        let meta = SnapshotMeta {
            id,
            last: self.own.applied,
            configuration: self.own.configuration.clone(),
        };
        Ok(Snapshot::new(meta, self.engine.snapshot()?.into()))
    }

    /// Everything as of now, for a backup.
    ///
    /// # Errors
    /// The engine's.
    pub fn export(&self) -> Result<Snapshot, MachineError> {
        self.snapshot(0)
    }
}

/// Decides the commands of a request one after another, each seeing the effects of those before.
fn decide(
    request: &Request,
    reader: &dyn Reader,
    now_ms: u64,
    cursors: &ScanCursors,
    batch: &mut Batch,
) -> Result<Vec<Reply>, MachineError> {
    let mut overlay = Overlay::new(reader);
    let mut replies = Vec::with_capacity(request.len());
    for arguments in request {
        let command = match Command::parse(arguments) {
            Ok(command) => command,
            Err(refusal) => {
                replies.push(refusal);
                continue;
            }
        };
        let before = batch.len();
        let context = Context {
            reader: &overlay,
            now_ms,
            // Those of the engine might differ between servers.
            limits: Limits::default(),
            max_reply_bytes: MAX_REPLY_BYTES,
            cursors,
        };
        replies.push(commands::execute(&command, &context, batch)?);
        if request.len() > 1 {
            overlay.apply(&batch.ops()[before..]);
        }
    }
    Ok(replies)
}

impl Own {
    /// The leader's clock moves the time of the state: forward only, and only so far at once.
    fn pass(&mut self, stamp_ms: u64) {
        let limit = match self.time_ms {
            0 => u64::MAX,
            now => now.saturating_add(MAX_TIME_STEP_MS),
        };
        self.time_ms = self.time_ms.max(stamp_ms.min(limit));
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![FORMAT];
        for number in [
            self.applied.term,
            self.applied.index,
            self.time_ms,
            self.hash,
            self.noted.0,
            self.noted.1,
        ] {
            out.put_u64_le(number);
        }
        put_configuration(&mut out, &self.configuration);
        self.sessions.encode(&mut out);
        out
    }

    pub(crate) fn decode(bytes: Bytes) -> Result<Self, Malformed> {
        let mut decoder = Decoder(bytes);
        if decoder.u8()? != FORMAT {
            return Err(Malformed);
        }
        let own = Self {
            applied: LogId {
                term: decoder.u64()?,
                index: decoder.u64()?,
            },
            time_ms: decoder.u64()?,
            hash: decoder.u64()?,
            noted: (decoder.u64()?, decoder.u64()?),
            configuration: configuration(&mut decoder)?,
            sessions: Sessions::decode(&mut decoder)?,
        };
        decoder.end()?;
        Ok(own)
    }
}

fn put_configuration(out: &mut Vec<u8>, configuration: &Configuration) {
    let Configuration {
        voters,
        outgoing,
        learners,
        incoming_learners,
    } = configuration;
    for part in [voters, outgoing, learners, incoming_learners] {
        put_len(out, part.len());
        for &node in part {
            out.put_u64_le(node);
        }
    }
}

fn configuration(decoder: &mut Decoder) -> Result<Configuration, Malformed> {
    let mut part = || Ok(decoder.many(Decoder::u64)?.into_iter().collect());
    Ok(Configuration {
        voters: part()?,
        outgoing: part()?,
        learners: part()?,
        incoming_learners: part()?,
    })
}
