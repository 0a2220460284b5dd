//! Servers on a network that loses, repeats and reorders, with disks that are slow and forget what was not synced: whatever happens, what
//! is applied is the same everywhere and nothing acknowledged is lost (Figure 3).

#![allow(clippy::unwrap_used)] // clippy exempts test functions only, not their helpers

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use raft::{
    Config, Configuration, Core, Entry, Envelope, HardState, Index, Input, LogId, NodeId, Outgoing,
    Outputs, Payload, SnapshotMeta, Start, Term, Time, Write,
};

/// What happens next. Numbers choose among what there is.
#[derive(Clone, Debug)]
enum Event {
    Deliver(usize),
    Duplicate(usize),
    Lose(usize),
    Persist(usize),
    Elapse(usize, u16),
    Propose(usize),
    Change(usize, u8, u8),
    Read(usize),
    Transfer(usize, usize),
    Compact(usize),
    Crash(usize),
}

fn event() -> impl Strategy<Value = Event> {
    let n = any::<usize>();
    prop_oneof![
        24 => n.prop_map(Event::Deliver),
        1 => n.prop_map(Event::Duplicate),
        2 => n.prop_map(Event::Lose),
        12 => n.prop_map(Event::Persist),
        5 => (n, 0..200u16).prop_map(|(n, ms)| Event::Elapse(n, ms)),
        4 => n.prop_map(Event::Propose),
        1 => (n, any::<u8>(), any::<u8>()).prop_map(|(n, v, l)| Event::Change(n, v, l)),
        1 => n.prop_map(Event::Read),
        1 => (n, n).prop_map(|(n, to)| Event::Transfer(n, to)),
        1 => n.prop_map(Event::Compact),
        1 => n.prop_map(Event::Crash),
    ]
}

/// What a disk holds durably.
#[derive(Clone, Default)]
struct Disk {
    hard_state: HardState,
    compacted: LogId,
    configuration: Configuration,
    entries: Vec<Entry>,
}

impl Disk {
    fn take(&mut self, write: Write) {
        if let Some(hard_state) = write.hard_state {
            self.hard_state = hard_state;
        }
        if let Some(snapshot) = write.snapshot {
            self.compacted = snapshot.last;
            self.configuration = snapshot.configuration;
            self.entries.clear();
        }
        if let Some(first) = write.entries.first() {
            self.entries.retain(|entry| entry.id.index < first.id.index);
            let last = self
                .entries
                .last()
                .map_or(self.compacted.index, |e| e.id.index);
            assert_eq!(first.id.index, last + 1, "the disk's log has no gap");
        }
        self.entries.extend(write.entries);
    }
}

struct Server {
    core: Core,
    disk: Disk,
    unsynced: VecDeque<Write>,
    held: Vec<Outgoing>,
    /// Applied entries by index: the state machine, durable by decree.
    applied: BTreeMap<Index, Entry>,
    applied_to: Index,
    snapshots: u64,
}

struct World {
    servers: Vec<Server>,
    wire: Vec<Envelope>,
    now: Time,
    /// The one history: what was applied anywhere, by index.
    history: BTreeMap<Index, Entry>,
    /// The term in which each entry of it was applied first, no earlier than that in which it was committed.
    applied_in: BTreeMap<Index, Term>,
    leaders: BTreeMap<u64, NodeId>,
    commands: u64,
    reads: BTreeMap<u64, Index>,
    started: u64,
    snapshots: BTreeMap<u64, SnapshotMeta>,
}

const SERVERS: u64 = 5;

impl World {
    fn new(voters: u64) -> Self {
        let servers = (1..=SERVERS).map(|id| {
            let configuration = if id <= voters {
                Configuration::of_voters(1..=voters)
            } else {
                Configuration::default()
            };
            let disk = Disk {
                configuration,
                ..Disk::default()
            };
            Server {
                core: start(id, &disk, Time::ZERO, id),
                disk,
                unsynced: VecDeque::new(),
                held: Vec::new(),
                applied: BTreeMap::new(),
                applied_to: 0,
                snapshots: 0,
            }
        });
        Self {
            servers: servers.collect(),
            wire: Vec::new(),
            now: Time::ZERO,
            history: BTreeMap::new(),
            applied_in: BTreeMap::new(),
            leaders: BTreeMap::new(),
            commands: 0,
            reads: BTreeMap::new(),
            started: 0,
            snapshots: BTreeMap::new(),
        }
    }

    fn happen(&mut self, event: &Event) {
        match *event {
            Event::Deliver(n) if !self.wire.is_empty() => {
                let envelope = self.wire.swap_remove(n % self.wire.len());
                self.deliver(envelope);
            }
            Event::Duplicate(n) if !self.wire.is_empty() => {
                let envelope = self.wire[n % self.wire.len()].clone();
                self.input(envelope.to, Input::Message(envelope));
            }
            Event::Lose(n) if !self.wire.is_empty() => {
                let envelope = self.wire.swap_remove(n % self.wire.len());
                self.snapshot_sent(&envelope, false);
            }
            Event::Deliver(_) | Event::Duplicate(_) | Event::Lose(_) => {}
            Event::Persist(n) => self.persist(pick(n)),
            Event::Elapse(n, ms) => {
                self.now += Duration::from_millis(ms.into()) / 10;
                let id = pick(n);
                self.input(id, Input::Tick);
            }
            Event::Propose(n) => {
                self.commands += 1;
                let command = Bytes::from(self.commands.to_string());
                self.input(pick(n), Input::Propose(vec![command]));
            }
            Event::Change(n, voters, learners) => {
                let set = |bits: u8| (1..=SERVERS).filter(move |id| bits >> id & 1 == 1);
                let voters: std::collections::BTreeSet<_> = set(voters).collect();
                let learners = set(learners).filter(|id| !voters.contains(id)).collect();
                self.input(pick(n), Input::Change { voters, learners });
            }
            Event::Read(n) => {
                self.commands += 1;
                let seen = self.history.keys().next_back().copied().unwrap_or(0);
                self.reads.insert(self.commands, seen);
                self.input(pick(n), Input::Read { id: self.commands });
            }
            Event::Transfer(n, to) => self.input(pick(n), Input::Transfer(pick(to))),
            Event::Compact(n) => self.compact(pick(n)),
            Event::Crash(n) => self.crash(pick(n)),
        }
    }

    fn deliver(&mut self, envelope: Envelope) {
        self.snapshot_sent(&envelope, true);
        self.input(envelope.to, Input::Message(envelope));
    }

    fn snapshot_sent(&mut self, envelope: &Envelope, delivered: bool) {
        if let raft::Message::InstallSnapshot { .. } = envelope.message {
            let to = envelope.to;
            self.input(envelope.from, Input::SnapshotSent { to, delivered });
        }
    }

    fn server(&mut self, id: NodeId) -> &mut Server {
        &mut self.servers[usize::try_from(id - 1).unwrap()]
    }

    fn input(&mut self, id: NodeId, input: Input) {
        let now = self.now;
        let out = self.server(id).core.step(now, input);
        self.carry_out(id, out);
    }

    fn carry_out(&mut self, id: NodeId, out: Outputs) {
        if let Some(meta) = out.install {
            let history = self
                .history
                .range(..=meta.last.index)
                .map(|(&i, e)| (i, e.clone()))
                .collect();
            let server = self.server(id);
            server.applied = history;
            server.applied_to = meta.last.index;
        }
        for entry in out.apply {
            let term = self.server(id).core.hard_state().term;
            self.applied_in.entry(entry.id.index).or_insert(term);
            let known = self
                .history
                .entry(entry.id.index)
                .or_insert_with(|| entry.clone());
            assert_eq!(*known, entry, "State Machine Safety (Figure 3)");
            let server = self.server(id);
            assert_eq!(
                entry.id.index,
                server.applied_to + 1,
                "applied in order, once"
            );
            server.applied_to += 1;
            server.applied.insert(entry.id.index, entry);
        }
        for read in out.reads {
            let seen = self
                .reads
                .remove(&read.id)
                .expect("a read is answered once");
            if let Some(index) = read.index {
                assert!(
                    index >= seen,
                    "a read at {index} misses what was applied before it began, up to {seen}"
                );
            }
        }
        let server = self.server(id);
        server.unsynced.extend(out.write);
        let (free, held): (Vec<_>, Vec<_>) = out
            .messages
            .into_iter()
            .partition(|outgoing| outgoing.after.is_none());
        server.held.extend(held);
        self.wire
            .extend(free.into_iter().map(|outgoing| outgoing.envelope));
        self.check_leader(id);
    }

    fn check_leader(&mut self, id: NodeId) {
        let core = &self.server(id).core;
        if core.role() == raft::Role::Leader {
            let term = core.hard_state().term;
            let log: BTreeMap<_, _> = core.entries().map(|e| (e.id.index, e.clone())).collect();
            let compacted = core.compacted().index;
            let leader = *self.leaders.entry(term).or_insert(id);
            assert_eq!(leader, id, "Election Safety: one leader in term {term}");
            for (index, entry) in self.history.range(compacted + 1..) {
                // A leader of an earlier term that does not know of its end may lack what was committed since.
                if self.applied_in[index] <= term {
                    assert_eq!(
                        log.get(index),
                        Some(entry),
                        "Leader Completeness in term {term}"
                    );
                }
            }
        }
    }

    fn persist(&mut self, id: NodeId) {
        let server = self.server(id);
        if let Some(write) = server.unsynced.pop_front() {
            let number = write.number;
            server.disk.take(write);
            let (free, held) = std::mem::take(&mut server.held)
                .into_iter()
                .partition(|outgoing| outgoing.after.is_none_or(|after| after <= number));
            server.held = held;
            self.wire
                .extend(Vec::into_iter(free).map(|outgoing: Outgoing| outgoing.envelope));
            self.input(id, Input::Persisted(number));
        }
    }

    fn compact(&mut self, id: NodeId) {
        let server = self.server(id);
        let index = server.core.applied();
        let (Some(term), configuration) = (
            server.core.term_at(index),
            server.core.configuration_at(index).clone(),
        ) else {
            return;
        };
        server.snapshots += 1;
        let last = LogId::new(term, index);
        let meta = SnapshotMeta {
            id: server.snapshots,
            last,
            configuration: configuration.clone(),
        };
        if index > server.disk.compacted.index {
            server.disk.entries.retain(|entry| entry.id.index > index);
            server.disk.compacted = last;
            server.disk.configuration = configuration;
        }
        self.snapshots.insert(index, meta.clone());
        self.input(id, Input::SnapshotTaken(meta));
        self.input(id, Input::Compact(index));
    }

    fn crash(&mut self, id: NodeId) {
        self.started += 1;
        let (now, seed) = (self.now, 100 + self.started);
        let server = self.server(id);
        server.unsynced.clear();
        server.held.clear();
        let applied_to = server.applied_to;
        let state = server
            .applied
            .get(&applied_to)
            .map_or(LogId::default(), |entry| entry.id);
        let snapshot = self.snapshots.get(&applied_to);
        let configuration =
            snapshot.map_or_else(Configuration::default, |meta| meta.configuration.clone());
        let server = self.server(id);
        server.core = restart(id, &mut server.disk, state, &configuration, now, seed);
    }

    /// Everything works again: within some time there is a leader, and what is proposed is applied by every member.
    fn recover(&mut self) {
        for round in 0..400 {
            self.now += Duration::from_millis(10);
            for id in 1..=SERVERS {
                self.input(id, Input::Tick);
                if round == 300 {
                    self.input(id, Input::Propose(vec![Bytes::from_static(b"last")]));
                }
            }
            for _ in 0..10 {
                for id in 1..=SERVERS {
                    while !self.server(id).unsynced.is_empty() {
                        self.persist(id);
                    }
                    if self.servers[usize::try_from(id - 1).unwrap()].core.role()
                        == raft::Role::Leader
                    {
                        self.take_snapshot_if_wanted(id);
                    }
                }
                for envelope in std::mem::take(&mut self.wire) {
                    self.deliver(envelope);
                }
            }
        }
        let leader = self
            .servers
            .iter()
            .filter(|s| s.core.role() == raft::Role::Leader);
        let leader = leader
            .max_by_key(|s| s.core.hard_state().term)
            .expect("a leader is elected");
        let (_, configuration) = leader.core.configuration();
        assert!(!configuration.is_joint(), "a joint configuration is left");
        let last = leader.core.last();
        let said = self
            .history
            .get(&last.index)
            .map(|entry| entry.payload.clone());
        assert_eq!(said, Some(Payload::Command(Bytes::from_static(b"last"))));
        for member in configuration.members() {
            let server = &self.servers[usize::try_from(member - 1).unwrap()];
            assert_eq!(server.applied_to, last.index, "member {member} catches up");
        }
    }

    fn take_snapshot_if_wanted(&mut self, id: NodeId) {
        let server = self.server(id);
        if server.core.compacted().index > 0 {
            let index = server.core.applied();
            let Some(term) = server.core.term_at(index) else {
                return;
            };
            let configuration = server.core.configuration_at(index).clone();
            server.snapshots += 1;
            let meta = SnapshotMeta {
                id: server.snapshots,
                last: LogId::new(term, index),
                configuration,
            };
            self.snapshots.insert(index, meta.clone());
            self.input(id, Input::SnapshotTaken(meta));
        }
    }
}

fn pick(n: usize) -> NodeId {
    n as u64 % SERVERS + 1
}

fn start(id: NodeId, disk: &Disk, now: Time, seed: u64) -> Core {
    let mut disk = disk.clone();
    let (compacted, configuration) = (disk.compacted, disk.configuration.clone());
    restart(id, &mut disk, compacted, &configuration, now, seed)
}

/// Starts with a disk whose log may have lost the write of a snapshot that the state machine has.
fn restart(
    id: NodeId,
    disk: &mut Disk,
    state: LogId,
    configuration: &Configuration,
    now: Time,
    seed: u64,
) -> Core {
    let mut start = Start {
        hard_state: disk.hard_state,
        compacted: disk.compacted,
        configuration: disk.configuration.clone(),
        entries: disk.entries.clone(),
        applied: 0,
    };
    if start.reconcile(state, configuration) {
        disk.entries.clear();
        disk.compacted = start.compacted;
        disk.configuration = start.configuration.clone();
    }
    Core::new(Config::new(id), start, now, seed)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_servers_agree_and_afterwards_they_go_on(
        voters in 1..=SERVERS,
        events in prop::collection::vec(event(), 200..1500),
    ) {
        let mut world = World::new(voters);
        for event in events {
            world.happen(&event);
        }
        world.recover();
    }
}
