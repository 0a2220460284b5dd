//! A cluster in which the test decides everything that a network, a disk and a clock decide elsewhere: which message arrives, which write
//! becomes durable and when its server hears of it, and how much time goes by. Nothing happens by itself.

#![allow(dead_code)] // each test target uses a part of it

pub(crate) mod describe;
pub(crate) mod script;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use raft::{
    Config, Configuration, Core, Entry, Envelope, HardState, Index, Input, LogId, Message, NodeId,
    Outgoing, Outputs, Payload, ReadState, Refused, Role, SnapshotMeta, Start, Term, Time, Write,
    WriteNumber,
};

/// What a disk holds durably.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    pub(crate) hard_state: HardState,
    pub(crate) compacted: LogId,
    /// As of `compacted`.
    pub(crate) configuration: Configuration,
    pub(crate) entries: Vec<Entry>,
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
            self.entries.retain(|held| held.id.index < first.id.index);
            let last = self.entries.last().map_or(self.compacted, |held| held.id);
            assert_eq!(first.id.index, last.index + 1, "the disk's log has a gap");
        }
        self.entries.extend(write.entries);
    }
}

pub(crate) struct Server {
    pub(crate) core: Core,
    pub(crate) disk: Disk,
    /// Begun and not durable.
    pub(crate) unsynced: VecDeque<Write>,
    /// Durable up to here, whether the core knows or not.
    synced: WriteNumber,
    /// Messages that wait for the disk.
    pub(crate) held: Vec<Outgoing>,
    /// Everything handed out to be applied since the start.
    pub(crate) applied: Vec<Entry>,
    /// Every answer to a read.
    pub(crate) reads: Vec<ReadState>,
    /// Every snapshot that replaced the state machine.
    pub(crate) installed: Vec<SnapshotMeta>,
    pub(crate) snapshot_wanted: bool,
}

pub(crate) struct Cluster {
    pub(crate) servers: BTreeMap<NodeId, Server>,
    /// Messages on their way, oldest first.
    pub(crate) wire: Vec<Envelope>,
    pub(crate) now: Time,
    /// Servers whose messages are lost in both directions.
    pub(crate) cut: BTreeSet<NodeId>,
    /// What the servers did, a line each.
    pub(crate) trace: Vec<String>,
    /// Applied when a server is made.
    pub(crate) tune: fn(&mut Config),
    starts: u64,
}

impl Cluster {
    /// Servers that are each other's voters, with empty logs.
    pub(crate) fn new(voters: impl IntoIterator<Item = NodeId>) -> Self {
        Self::tuned(voters, |_| {})
    }

    /// As [`Cluster::new`], with another configuration of each server.
    pub(crate) fn tuned(voters: impl IntoIterator<Item = NodeId>, tune: fn(&mut Config)) -> Self {
        let mut cluster = Self {
            servers: BTreeMap::new(),
            wire: Vec::new(),
            now: Time::ZERO,
            cut: BTreeSet::new(),
            trace: Vec::new(),
            tune,
            starts: 0,
        };
        let configuration = Configuration::of_voters(voters);
        for id in configuration.voters.clone() {
            let disk = Disk {
                configuration: configuration.clone(),
                ..Disk::default()
            };
            cluster.start(id, disk);
        }
        cluster
    }

    /// Starts, or starts again, a server with what its disk holds. All that it has applied is durable.
    pub(crate) fn start(&mut self, id: NodeId, disk: Disk) {
        self.starts += 1;
        let old = self.servers.remove(&id);
        let mut disk = disk;
        let mut start = Start {
            hard_state: disk.hard_state,
            compacted: disk.compacted,
            configuration: disk.configuration.clone(),
            entries: disk.entries.clone(),
            applied: disk.compacted.index,
        };
        if let Some(old) = &old {
            let applied = old.core.applied();
            let state = LogId::new(old.core.term_at(applied).unwrap(), applied);
            if start.reconcile(state, old.core.configuration_at(applied)) {
                disk.compacted = start.compacted;
                disk.configuration = start.configuration.clone();
                disk.entries.clear();
            }
        }
        let mut config = Config::new(id);
        (self.tune)(&mut config);
        let server = Server {
            core: Core::new(config, start, self.now, self.starts),
            disk,
            unsynced: VecDeque::new(),
            synced: 0,
            held: Vec::new(),
            applied: old.map_or_else(Vec::new, |old| old.applied),
            reads: Vec::new(),
            installed: Vec::new(),
            snapshot_wanted: false,
        };
        self.servers.insert(id, server);
    }

    /// A new server, with nothing on its disk, that belongs to no cluster yet.
    pub(crate) fn join(&mut self, id: NodeId) {
        self.servers.remove(&id);
        self.start(id, Disk::default());
    }

    /// Gives a server a term and a log with entries of these terms, as if it had been written in an earlier life.
    pub(crate) fn with_log(&mut self, id: NodeId, term: Term, terms: &[Term]) {
        let entries = terms.iter().zip(1..);
        let mut disk = self.server(id).disk.clone();
        disk.hard_state.term = term;
        disk.entries = entries.map(|(&term, index)| entry(term, index)).collect();
        self.start(id, disk);
    }

    /// The server loses what was not durable, and starts again.
    pub(crate) fn crash(&mut self, id: NodeId) {
        let disk = self.server(id).disk.clone();
        self.start(id, disk);
    }

    pub(crate) fn server(&mut self, id: NodeId) -> &mut Server {
        self.servers.get_mut(&id).unwrap()
    }

    pub(crate) fn core(&self, id: NodeId) -> &Core {
        &self.servers[&id].core
    }

    pub(crate) fn role(&self, id: NodeId) -> Role {
        self.core(id).role()
    }

    pub(crate) fn term(&self, id: NodeId) -> Term {
        self.core(id).hard_state().term
    }

    /// The terms of a server's entries, from the first that is not compacted.
    pub(crate) fn terms(&self, id: NodeId) -> Vec<Term> {
        self.core(id).entries().map(|entry| entry.id.term).collect()
    }

    pub(crate) fn input(&mut self, id: NodeId, input: Input) -> Option<Result<LogId, Refused>> {
        let now = self.now;
        let server = self.server(id);
        let before = (server.core.role(), server.core.hard_state().term);
        let out = server.core.step(now, input);
        let after = (server.core.role(), server.core.hard_state().term);
        let role = (before != after).then_some(after);
        self.trace.extend(describe::outputs(id, role, &out));
        self.carry_out(id, out)
    }

    fn carry_out(&mut self, id: NodeId, out: Outputs) -> Option<Result<LogId, Refused>> {
        let server = self.server(id);
        server.installed.extend(out.install);
        server.applied.extend(out.apply);
        server.reads.extend(out.reads);
        server.snapshot_wanted |= out.snapshot_wanted;
        server.unsynced.extend(out.write);
        server.held.extend(out.messages);
        self.release(id);
        out.proposed
    }

    /// Puts on the wire what waits for nothing any more.
    fn release(&mut self, id: NodeId) {
        let cut = self.cut.clone();
        let server = self.server(id);
        let synced = server.synced;
        let (free, held): (Vec<_>, _) = std::mem::take(&mut server.held)
            .into_iter()
            .partition(|outgoing| outgoing.after.is_none_or(|after| after <= synced));
        server.held = held;
        let free = free.into_iter().map(|outgoing| outgoing.envelope);
        let reachable =
            free.filter(|envelope| !cut.contains(&envelope.from) && !cut.contains(&envelope.to));
        self.wire.extend(reachable);
    }

    /// The first `count` writes that wait become durable. Their server does not know yet.
    pub(crate) fn sync(&mut self, id: NodeId, count: usize) {
        let server = self.server(id);
        for _ in 0..count {
            let write = server.unsynced.pop_front().expect("a write that waits");
            server.synced = write.number;
            server.disk.take(write);
        }
        self.release(id);
    }

    /// The server is told what is durable.
    pub(crate) fn complete(&mut self, id: NodeId) {
        let synced = self.server(id).synced;
        self.input(id, Input::Persisted(synced));
    }

    /// Everything that a server has written is durable and it knows. True if there was something.
    pub(crate) fn persist(&mut self, id: NodeId) -> bool {
        let mut any = false;
        while !self.server(id).unsynced.is_empty() {
            let count = self.server(id).unsynced.len();
            self.sync(id, count);
            self.complete(id);
            any = true;
        }
        any
    }

    /// Takes the messages from the wire that `pick` chooses.
    pub(crate) fn take(&mut self, mut pick: impl FnMut(&Envelope) -> bool) -> Vec<Envelope> {
        self.wire
            .extract_if(.., |envelope| pick(envelope))
            .collect()
    }

    /// Takes all messages between two servers from the wire.
    pub(crate) fn take_between(&mut self, from: NodeId, to: NodeId) -> Vec<Envelope> {
        self.take(|envelope| (envelope.from, envelope.to) == (from, to))
    }

    /// Takes what a server says from the wire, without terms and addressees.
    pub(crate) fn said(&mut self, from: NodeId) -> Vec<Message> {
        let said = self.take(|envelope| envelope.from == from).into_iter();
        said.map(|envelope| envelope.message).collect()
    }

    /// A message arrives, whether it was on the wire or not. A snapshot arrives with its data.
    pub(crate) fn arrive(&mut self, envelope: Envelope) {
        let Envelope { from, to, .. } = envelope;
        if self.cut.contains(&from) || self.cut.contains(&to) || !self.servers.contains_key(&to) {
            return;
        }
        let brought = matches!(envelope.message, Message::InstallSnapshot { .. });
        self.input(to, Input::Message(envelope));
        if brought && self.servers.contains_key(&from) {
            let delivered = true;
            self.input(from, Input::SnapshotSent { to, delivered });
        }
    }

    /// A message that the test makes up arrives.
    pub(crate) fn tell(&mut self, from: NodeId, to: NodeId, term: Term, message: Message) {
        self.arrive(Envelope {
            from,
            to,
            term,
            message,
        });
    }

    /// Delivers what is on its way between two servers now, in order.
    pub(crate) fn deliver(&mut self, from: NodeId, to: NodeId) {
        for envelope in self.take_between(from, to) {
            self.arrive(envelope);
        }
    }

    /// Messages arrive and writes become durable until nothing happens any more. No time goes by.
    pub(crate) fn settle(&mut self) {
        for _ in 0..1000 {
            let mut any = false;
            for id in self.servers.keys().copied().collect::<Vec<_>>() {
                any |= self.persist(id);
            }
            for envelope in std::mem::take(&mut self.wire) {
                any = true;
                self.arrive(envelope);
            }
            if !any {
                return;
            }
        }
        panic!("the servers do not come to rest");
    }

    /// Time goes by for all, without anybody being told.
    pub(crate) fn wait(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
    }

    /// Time goes by, and this server looks at the clock.
    pub(crate) fn tick(&mut self, id: NodeId, ms: u64) {
        self.wait(ms);
        self.input(id, Input::Tick);
    }

    /// Some milliseconds pass in which everything works.
    pub(crate) fn run(&mut self, ms: u64) {
        for _ in 0..ms / 10 {
            self.wait(10);
            for id in self.servers.keys().copied().collect::<Vec<_>>() {
                self.input(id, Input::Tick);
            }
            self.settle();
        }
    }

    /// Elects this server, once the others hear no leader any more.
    pub(crate) fn elect(&mut self, id: NodeId) {
        self.wait(150);
        self.input(id, Input::Campaign);
        self.settle();
        assert_eq!(self.role(id), Role::Leader, "server {id} is elected");
    }

    pub(crate) fn propose(&mut self, id: NodeId, command: &str) -> Result<LogId, Refused> {
        let commands = vec![Bytes::from(command.to_owned())];
        self.input(id, Input::Propose(commands)).unwrap()
    }

    pub(crate) fn change(
        &mut self,
        id: NodeId,
        voters: impl IntoIterator<Item = NodeId>,
        learners: impl IntoIterator<Item = NodeId>,
    ) -> Result<LogId, Refused> {
        let voters = voters.into_iter().collect();
        let learners = learners.into_iter().collect();
        self.input(id, Input::Change { voters, learners }).unwrap()
    }

    /// The server's state machine makes a snapshot of all that it has applied.
    pub(crate) fn snapshot(&mut self, id: NodeId) -> SnapshotMeta {
        let core = self.core(id);
        let index = core.applied();
        let meta = SnapshotMeta {
            id: index,
            last: LogId::new(core.term_at(index).unwrap(), index),
            configuration: core.configuration_at(index).clone(),
        };
        self.input(id, Input::SnapshotTaken(meta.clone()));
        meta
    }

    /// The log up to `index` is dropped, on disk too.
    pub(crate) fn compact(&mut self, id: NodeId, index: Index) {
        let configuration = self.core(id).configuration_at(index).clone();
        self.input(id, Input::Compact(index));
        let server = self.server(id);
        let compacted = server.core.compacted();
        let disk = &mut server.disk;
        disk.entries
            .retain(|entry| entry.id.index > compacted.index);
        disk.compacted = compacted;
        disk.configuration = configuration;
    }

    /// The commands that a server has applied.
    pub(crate) fn commands(&self, id: NodeId) -> Vec<String> {
        let applied = self.servers[&id].applied.iter();
        let commands = applied.filter_map(|entry| match &entry.payload {
            Payload::Command(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            _ => None,
        });
        commands.collect()
    }

    /// Where a read stands: `None` while it waits.
    pub(crate) fn read(&self, id: NodeId, read: u64) -> Option<Option<Index>> {
        let answers = &self.servers[&id].reads;
        let answer = answers.iter().find(|answer| answer.id == read);
        answer.map(|answer| answer.index)
    }
}

/// An entry with a command that says where it stands.
pub(crate) fn entry(term: Term, index: Index) -> Entry {
    Entry {
        id: LogId::new(term, index),
        payload: Payload::Command(Bytes::from(format!("{term}.{index}"))),
    }
}

/// An `AppendEntries` of entries of these terms behind `previous`, in the first session of a founded cluster.
pub(crate) fn append(previous: LogId, terms: &[Term], committed: Index) -> Message {
    let entries = terms.iter().zip(previous.index + 1..);
    Message::Append {
        session: 0,
        previous,
        entries: entries.map(|(&term, index)| entry(term, index)).collect(),
        committed,
    }
}
