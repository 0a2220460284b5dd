//! One server with its disk: what is durable, what is on its way there, and what waits for it.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use raft::{
    Config, Configuration, Core, Entry, FlowControl, HardState, Index, Input, LogId, NodeId,
    Outgoing, Outputs, SnapshotMeta, Start, Time, Write, WriteNumber,
};

/// What a disk holds durably.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Disk {
    /// Term and vote.
    pub hard_state: HardState,
    /// The last entry that the log no longer holds.
    pub compacted: LogId,
    /// The members as of it.
    pub configuration: Configuration,
    /// The entries behind it.
    pub entries: Vec<Entry>,
    /// The state machine's last snapshot, taken here or received: it is durable before the log knows of it.
    pub snapshot: Option<SnapshotMeta>,
}

impl Disk {
    /// Takes one write. False if it leaves a gap in the log.
    fn take(&mut self, write: Write) -> bool {
        if let Some(hard_state) = write.hard_state {
            self.hard_state = hard_state;
        }
        if let Some(snapshot) = write.snapshot {
            self.start_behind(&snapshot);
        }
        if let Some(first) = write.entries.first() {
            self.entries.retain(|entry| entry.id.index < first.id.index);
            if first.id.index != self.last().index + 1 {
                return false;
            }
        }
        self.entries.extend(write.entries);
        true
    }

    /// The last entry that it holds, compacted or not.
    #[must_use]
    pub fn last(&self) -> LogId {
        self.entries.last().map_or(self.compacted, |entry| entry.id)
    }

    /// Whether the log holds this entry, or is known to have held one at its place.
    #[must_use]
    pub fn holds(&self, id: LogId) -> bool {
        id.index < self.compacted.index
            || id == self.compacted
            || self.entries.iter().any(|entry| entry.id == id)
    }

    fn start_behind(&mut self, snapshot: &SnapshotMeta) {
        self.compacted = snapshot.last;
        self.configuration = snapshot.configuration.clone();
        self.entries.clear();
    }

    /// What a driver does at start: a state machine ahead of the log, or of another history than an entry of the log that was not committed,
    /// is right, because what it holds is committed. The log begins anew behind it.
    fn recover(&mut self) {
        if let Some(snapshot) = self.snapshot.clone()
            && !self.holds(snapshot.last)
        {
            self.start_behind(&snapshot);
        }
    }

    fn start(&self) -> Start {
        let applied = self.snapshot.as_ref().map_or(0, |held| held.last.index);
        Start {
            hard_state: self.hard_state,
            compacted: self.compacted,
            configuration: self.configuration.clone(),
            entries: self.entries.clone(),
            applied: applied.max(self.compacted.index),
        }
    }
}

/// One server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// The code under test.
    pub core: Core,
    /// What a crash leaves.
    pub disk: Disk,
    /// Writes that the disk has not done.
    pub unsynced: VecDeque<Write>,
    /// The disk did the writes up to this one, and the core was not told.
    pub untold: Option<WriteNumber>,
    /// Messages that wait for a write.
    pub held: Vec<Outgoing>,
    /// The state machine holds the entries up to here.
    pub applied: Index,
}

/// Write numbers count from what is durable: servers that differ only in how many writes they have made behave alike.
impl Hash for Server {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.core.hash(state);
        self.disk.hash(state);
        let first = self.unsynced.front().map_or(0, |write| write.number);
        state.write_usize(self.unsynced.len());
        for write in &self.unsynced {
            (&write.hard_state, &write.snapshot, &write.entries).hash(state);
        }
        // The write before the first of `unsynced`, if any.
        self.untold.is_some().hash(state);
        state.write_usize(self.held.len());
        for held in &self.held {
            let after = held.after.map(|number| number.wrapping_sub(first));
            (after, &held.envelope).hash(state);
        }
        self.applied.hash(state);
    }
}

/// Time stands still, so what depends on it never comes: elections, heartbeats and crashes are actions of the model.
const NEVER: Duration = Duration::from_secs(1 << 40);

fn config(id: NodeId, max_message_bytes: usize) -> Config {
    Config {
        id,
        election_timeout: NEVER,
        election_spread: Duration::ZERO,
        heartbeat_interval: NEVER,
        leader_stickiness: Duration::ZERO,
        flow: FlowControl {
            max_message_bytes,
            max_inflight_bytes: 1 << 20,
            max_inflight_messages: 16,
        },
        max_uncommitted_bytes: 1 << 20,
    }
}

impl Server {
    /// A server that starts with nothing but its founding members; none for one that is to join.
    #[must_use]
    pub fn new(id: NodeId, configuration: Configuration, max_message_bytes: usize) -> Self {
        let disk = Disk {
            configuration,
            ..Disk::default()
        };
        Self {
            core: Core::new(
                config(id, max_message_bytes),
                disk.start(),
                Duration::ZERO,
                0,
            ),
            disk,
            unsynced: VecDeque::new(),
            untold: None,
            held: Vec::new(),
            applied: 0,
        }
    }

    /// One step of the core.
    pub fn step(&mut self, input: Input) -> Outputs {
        self.core.step(Time::ZERO, input)
    }

    /// The disk does the oldest `count` writes. What may be sent now, and whether the disk's log has no gap.
    pub fn sync(&mut self, count: usize) -> (Vec<Outgoing>, bool) {
        let mut whole = true;
        for write in self.unsynced.drain(..count) {
            self.untold = Some(write.number);
            whole &= self.disk.take(write);
        }
        let done = self.untold.unwrap_or(0);
        let held = std::mem::take(&mut self.held).into_iter();
        let (free, held) = held.partition(|held| held.after.is_none_or(|after| after <= done));
        self.held = held;
        (free, whole)
    }

    /// The process dies once the disk did `survive` of the writes, and starts again. Whether the disk's log has no gap.
    pub fn crash(&mut self, survive: usize, max_message_bytes: usize) -> bool {
        let whole = self
            .unsynced
            .drain(..survive)
            .all(|write| self.disk.take(write));
        self.disk.recover();
        let id = self.core.id();
        let start = self.disk.start();
        self.applied = start.applied;
        self.core = Core::new(config(id, max_message_bytes), start, Time::ZERO, 0);
        self.unsynced.clear();
        self.held.clear();
        self.untold = None;
        whole
    }

    /// The state machine is flushed, and the log forgets what that holds.
    pub fn take_snapshot(&mut self) -> Option<SnapshotMeta> {
        let index = self.applied;
        if index <= self.disk.compacted.index {
            return None;
        }
        let last = LogId::new(self.core.term_at(index)?, index);
        let meta = SnapshotMeta {
            id: index,
            last,
            configuration: self.core.configuration_at(index).clone(),
        };
        self.disk.entries.retain(|entry| entry.id.index > index);
        self.disk.compacted = last;
        self.disk.configuration = meta.configuration.clone();
        self.disk.snapshot = Some(meta.clone());
        Some(meta)
    }
}
