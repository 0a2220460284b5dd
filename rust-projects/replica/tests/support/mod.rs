//! Servers whose disks can be held, and a network that loses what goes to whom is cut off.

#![allow(dead_code, reason = "not every test uses everything")]
#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use raft::{Configuration, Message, NodeId, WriteNumber};
use replica::{
    Actions, Answer, Client, Event, Now, PeerMessage, Receiving, Recovered, Replica, Request,
    Settings, Staging, StateEngine, Stop,
};
use storage::MemoryEngine;
use wire::Reply;

pub(crate) struct Cluster {
    pub(crate) servers: BTreeMap<NodeId, Replica>,
    pub(crate) now: Now,
    under_way: VecDeque<(NodeId, NodeId, PeerMessage)>,
    answers: BTreeMap<Client, Answer>,
    pub(crate) stopped: BTreeMap<NodeId, Stop>,
    /// Nothing comes from them or to them.
    pub(crate) cut_off: BTreeSet<NodeId>,
    /// What they write is not durable yet.
    held: BTreeMap<NodeId, Vec<WriteNumber>>,
    clients: Client,
    /// Brought so far.
    pub(crate) snapshots: usize,
    /// Snapshots that arrive are kept here if this is set: they take a while.
    pub(crate) slow: Option<Vec<(NodeId, NodeId, PeerMessage)>>,
}

/// An engine beside another one, both in memory.
struct Beside(Arc<dyn StateEngine>);

impl Staging for Beside {
    fn engine(&self) -> &Arc<dyn StateEngine> {
        &self.0
    }

    fn switch(self: Box<Self>) -> storage::Result<Arc<dyn StateEngine>> {
        Ok(self.0)
    }
}

/// A request of one command.
pub(crate) fn request(words: &str) -> Request {
    let words = words.split(' ');
    vec![
        words
            .map(|word| word.to_owned().into())
            .collect::<Vec<Bytes>>(),
    ]
}

/// What a client is told whose one command is answered so.
pub(crate) fn one(reply: Reply) -> Answer {
    Answer::Replies(vec![reply])
}

impl Cluster {
    /// Three servers, of which one leads.
    pub(crate) fn new(settings: impl Fn(&mut Settings)) -> Self {
        Self::of(3, 1..=3, settings)
    }

    /// Founded by so many, of which these are there.
    pub(crate) fn of(
        founders: NodeId,
        there: impl Iterator<Item = NodeId>,
        settings: impl Fn(&mut Settings),
    ) -> Self {
        let now = Now {
            time: Duration::ZERO,
            wall_ms: 1,
        };
        let mut cluster = Self {
            servers: BTreeMap::new(),
            now,
            under_way: VecDeque::new(),
            answers: BTreeMap::new(),
            stopped: BTreeMap::new(),
            cut_off: BTreeSet::new(),
            held: BTreeMap::new(),
            clients: 0,
            snapshots: 0,
            slow: None,
        };
        let founders = Configuration::of_voters(1..=founders);
        there.for_each(|node| cluster.start(node, &founders, &settings));
        cluster.pass(2000);
        cluster
    }

    pub(crate) fn start(
        &mut self,
        node: NodeId,
        configuration: &Configuration,
        settings: impl Fn(&mut Settings),
    ) {
        let mut its = Settings::new(node);
        settings(&mut its);
        let log = Recovered {
            configuration: configuration.clone(),
            ..Recovered::default()
        };
        let engine = Arc::new(MemoryEngine::new());
        let (replica, _) = Replica::open(its, engine, log, 1, self.now, node).unwrap();
        self.servers.insert(node, replica);
    }

    pub(crate) fn leader(&self) -> NodeId {
        let leads = |(&node, server): (&NodeId, &Replica)| {
            (server.is_leader() && !self.cut_off.contains(&node)).then_some(node)
        };
        self.servers.iter().find_map(leads).expect("somebody leads")
    }

    /// A server that does not lead.
    pub(crate) fn follower(&self) -> NodeId {
        self.leader() % 3 + 1
    }

    /// From now on nothing that it writes gets durable.
    pub(crate) fn hold_disk(&mut self, node: NodeId) {
        self.held.entry(node).or_default();
    }

    /// All that it wrote is durable.
    pub(crate) fn release_disk(&mut self, node: NodeId) {
        for number in self.held.remove(&node).into_iter().flatten() {
            self.step(node, Event::Persisted(number));
        }
        self.deliver();
    }

    /// A client of this server asks for this to be applied.
    pub(crate) fn write(&mut self, node: NodeId, words: &str) -> Client {
        self.writes(node, &[words])[0]
    }

    /// Clients of this server ask, all at once.
    pub(crate) fn writes(&mut self, node: NodeId, requests: &[&str]) -> Vec<Client> {
        let writes = requests.iter().map(|words| {
            self.clients += 1;
            (self.clients, request(words))
        });
        let writes: Vec<_> = writes.collect();
        let clients = writes.iter().map(|(client, _)| *client).collect();
        self.step(node, Event::Write(writes));
        self.deliver();
        clients
    }

    /// A client of this server asks, and wants to see all that was answered before.
    pub(crate) fn read(&mut self, node: NodeId, words: &str) -> Client {
        self.clients += 1;
        self.step(node, Event::Read(self.clients, request(words)));
        self.deliver();
        self.clients
    }

    pub(crate) fn read_stale(&self, node: NodeId, words: &str) -> Reply {
        let replies = self.servers[&node].read_stale(&request(words)).unwrap();
        replies[0].clone()
    }

    /// What a client was told, if anything.
    pub(crate) fn answer(&mut self, client: Client) -> Option<Answer> {
        self.answers.remove(&client)
    }

    /// A client of the leader asks, and waits.
    pub(crate) fn ask(&mut self, event: impl FnOnce(Client) -> Event) -> Answer {
        self.clients += 1;
        let client = self.clients;
        self.step(self.leader(), event(client));
        self.pass(2000);
        self.answer(client).expect("it is answered")
    }

    /// Lets time go by, at most 10 ms at once.
    pub(crate) fn pass(&mut self, ms: u64) {
        for _ in 0..ms / 10 {
            self.now.time += Duration::from_millis(10);
            self.now.wall_ms += 10;
            self.deliver();
            let due: Vec<_> = self.servers.keys().copied().collect();
            for node in due {
                self.step(node, Event::Tick);
            }
        }
        self.deliver();
    }

    pub(crate) fn step(&mut self, node: NodeId, event: Event) {
        let Some(server) = self.servers.get_mut(&node) else {
            return;
        };
        let actions = server.step(self.now, event).unwrap();
        self.carry_out(node, actions);
    }

    fn carry_out(&mut self, node: NodeId, actions: Actions) {
        let messages = actions.messages.into_iter();
        self.under_way
            .extend(messages.map(|(to, message)| (node, to, message)));
        self.answers.extend(actions.answers);
        self.stopped
            .extend(actions.stop.map(|reason| (node, reason)));
        if let Some(write) = actions.write {
            match self.held.get_mut(&node) {
                Some(held) => held.push(write.number),
                None => self.step(node, Event::Persisted(write.number)),
            }
        }
        if let Some(index) = actions.flush {
            self.step(node, Event::Flushed(index));
        }
    }

    /// A message arrives, a snapshot with its data.
    pub(crate) fn arrive(&mut self, from: NodeId, to: NodeId, message: PeerMessage) {
        let PeerMessage::Raft(envelope) = message else {
            return self.step(to, Event::Peer(from, message));
        };
        let Message::InstallSnapshot { snapshot, .. } = &envelope.message else {
            return self.step(to, Event::Peer(from, PeerMessage::Raft(envelope)));
        };
        if let Some(slow) = &mut self.slow {
            return slow.push((from, to, PeerMessage::Raft(envelope)));
        }
        let data = self.servers[&from].snapshot(snapshot.id);
        let mut receiving =
            Receiving::new(Box::new(Beside(Arc::new(MemoryEngine::new()))), snapshot);
        for chunk in data.unwrap().chunks(100) {
            receiving.take(&chunk.unwrap()).unwrap();
        }
        let staged = receiving.finish().unwrap();
        self.step(to, Event::Snapshot(envelope, staged));
        let delivered = true;
        self.step(from, Event::SnapshotSent { to, delivered });
        self.snapshots += 1;
    }

    fn deliver(&mut self) {
        while let Some((from, to, message)) = self.under_way.pop_front() {
            if !self.cut_off.contains(&from) && !self.cut_off.contains(&to) {
                self.arrive(from, to, message);
            }
        }
    }
}
