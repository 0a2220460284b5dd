//! A simulated cluster: servers, their network, disks and clocks on virtual time.
//!
//! Nothing happens by itself: [`Cluster::step`] does the next thing that is due. Who drives the cluster decides what goes wrong and what
//! clients want, by the methods below, between steps. Every step of a server is checked against the invariants.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use raft::{Configuration, Envelope, Index, LogId, NodeId, Time, WriteNumber};
use replica::{Answer, Changes, Client, Event, PeerMessage, Request, Settings, Staged};
use storage::Seq;

use crate::counters::Counters;
use crate::disk::{LogDisk, MemoryDisk};
use crate::engine::SimEngine;
use crate::invariants::{Invariants, Violation};
use crate::network::Network;
use crate::node::Node;
use crate::queue::Queue;
use crate::random::Random;
use crate::trace::Trace;
use crate::transport::Transfer;

/// What a step comes to.
pub type Stepped<T = ()> = Result<T, Violation>;

/// With what a cluster begins.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Servers 1 to this.
    pub servers: u64,
    /// Those that found the cluster, as voters; the others wait to be added.
    pub founders: BTreeSet<NodeId>,
    /// Of each server; the id is filled in.
    pub settings: Settings,
    /// Decides all that is left to chance.
    pub seed: u64,
    /// Keep every line of the trace.
    pub record: bool,
}

impl Setup {
    /// So many servers, all of them founders.
    #[must_use]
    pub fn new(servers: u64, seed: u64) -> Self {
        Self {
            servers,
            founders: (1..=servers).collect(),
            settings: Settings::new(0),
            seed,
            record: false,
        }
    }
}

/// What whoever drives the cluster may want to know.
#[derive(Clone, Debug, PartialEq)]
pub enum Occurrence {
    /// A server answered a client.
    Answered {
        /// Which server.
        node: NodeId,
        /// To whose request.
        client: Client,
        /// What it said.
        answer: Answer,
    },
    /// A server stopped: its clients get no answers any more.
    Stopped(NodeId),
}

/// What is planned.
#[derive(Debug)]
pub(crate) enum Planned {
    Tick(NodeId),
    Deliver {
        from: NodeId,
        to: NodeId,
        parcel: Parcel,
        old: bool,
    },
    /// The next chunk of a snapshot reaches who receives it.
    Stage(Transfer),
    /// All of a snapshot is staged, durably.
    Staged(Transfer, Staged),
    SnapshotSent {
        node: NodeId,
        boot: u64,
        to: NodeId,
        delivered: bool,
    },
    Client {
        node: NodeId,
        boot: u64,
        event: Event,
    },
    Synced {
        node: NodeId,
        boot: u64,
        number: WriteNumber,
    },
    Persisted {
        node: NodeId,
        boot: u64,
    },
    Flushed {
        node: NodeId,
        boot: u64,
        engine: Arc<SimEngine>,
        position: Seq,
        index: Index,
    },
}

/// What travels.
#[derive(Clone, Debug)]
pub(crate) enum Parcel {
    Message(PeerMessage),
    /// Its chunks, with the sender's start, who wants to know whether it arrived.
    Snapshot(Envelope, Arc<[Bytes]>, u64),
}

/// See the module's page.
#[derive(Debug)]
pub struct Cluster {
    pub(crate) nodes: Vec<Node>,
    pub(crate) queue: Queue<Planned>,
    pub(crate) now: Time,
    pub(crate) random: Random,
    pub(crate) invariants: Invariants,
    pub(crate) occurrences: Vec<Occurrence>,
    pub(crate) sent: BTreeMap<(NodeId, NodeId), u64>,
    /// How the network behaves; may be changed at any time.
    pub network: Network,
    /// What happened how often.
    pub counters: Counters,
    /// What happened.
    pub trace: Trace,
    clients: Client,
    pub(crate) steps: u64,
}

impl Cluster {
    /// Servers with empty disks in memory, none of them started.
    #[must_use]
    pub fn new(setup: &Setup) -> Self {
        Self::with_disks(setup, |_, founders| Box::new(MemoryDisk::new(founders)))
    }

    /// Servers with these disks, none of them started. A disk is made for a server and the founders as it knows them.
    pub fn with_disks(
        setup: &Setup,
        mut disk: impl FnMut(NodeId, Configuration) -> Box<dyn LogDisk>,
    ) -> Self {
        let nodes = (1..=setup.servers).map(|id| {
            let founders = if setup.founders.contains(&id) {
                Configuration::of_voters(setup.founders.iter().copied())
            } else {
                Configuration::default()
            };
            let mut settings = setup.settings.clone();
            settings.raft.id = id;
            Node::new(settings, disk(id, founders))
        });
        Self {
            nodes: nodes.collect(),
            queue: Queue::new(),
            now: Time::ZERO,
            random: Random::new(setup.seed),
            invariants: Invariants::default(),
            occurrences: Vec::new(),
            sent: BTreeMap::new(),
            network: Network::default(),
            counters: Counters::default(),
            trace: if setup.record {
                Trace::recording()
            } else {
                Trace::default()
            },
            clients: 0,
            steps: 0,
        }
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[position(id)]
    }

    pub(crate) fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[position(id)]
    }

    pub(crate) fn note(&mut self, node: NodeId, what: impl FnOnce() -> String) {
        self.trace
            .line(self.steps, self.now, node, || (what(), None));
    }
}

pub(crate) fn position(id: NodeId) -> usize {
    usize::try_from(id - 1).expect("servers are counted from 1, and there are few")
}

/// A request of one command.
#[must_use]
pub fn request(words: &[&str]) -> Request {
    let words = words
        .iter()
        .map(|word| Bytes::copy_from_slice(word.as_bytes()));
    vec![words.collect()]
}

/// Clients.
impl Cluster {
    fn client(&mut self) -> Client {
        self.clients += 1;
        self.clients
    }

    /// A client's request reaches the server, at once unless it stands still.
    fn ask(&mut self, id: NodeId, event: Event) -> Stepped {
        let node = self.node(id);
        if node.running.is_none() || node.paused_until <= self.now {
            return self.feed(id, event);
        }
        let planned = Planned::Client {
            node: id,
            boot: node.boot,
            event,
        };
        self.queue.push(node.paused_until, planned);
        Ok(())
    }

    /// A client asks a server to apply a request. The answer is an [`Occurrence`]; never one if the server does not run.
    ///
    /// # Errors
    /// [`Violation`].
    pub fn write(&mut self, id: NodeId, request: Request) -> Stepped<Client> {
        let client = self.client();
        self.ask(id, Event::Write(vec![(client, request)]))?;
        Ok(client)
    }

    /// A client asks a server for something that is true now.
    ///
    /// # Errors
    /// [`Violation`].
    pub fn read(&mut self, id: NodeId, request: Request) -> Stepped<Client> {
        let client = self.client();
        self.ask(id, Event::Read(client, request))?;
        Ok(client)
    }

    /// A client asks a server whether it leads.
    pub(crate) fn lead(&mut self, id: NodeId) -> Stepped<Client> {
        let client = self.client();
        self.ask(id, Event::Lead(client))?;
        Ok(client)
    }

    /// A client asks a server to have changes applied that were decided on what it has applied.
    pub(crate) fn decide(&mut self, id: NodeId, changes: Changes) -> Stepped<Client> {
        let client = self.client();
        self.ask(id, Event::Decided(vec![(client, changes)]))?;
        Ok(client)
    }

    /// A client asks a server to change the members.
    ///
    /// # Errors
    /// [`Violation`].
    pub fn change(
        &mut self,
        id: NodeId,
        voters: BTreeSet<NodeId>,
        learners: BTreeSet<NodeId>,
    ) -> Stepped<Client> {
        let client = self.client();
        let event = Event::Change {
            client,
            voters,
            learners,
        };
        self.ask(id, event)?;
        Ok(client)
    }

    /// A client asks a server to hand leadership to another.
    ///
    /// # Errors
    /// [`Violation`].
    pub fn transfer(&mut self, id: NodeId, to: NodeId) -> Stepped<Client> {
        let client = self.client();
        self.ask(id, Event::Transfer { client, to })?;
        Ok(client)
    }

    /// What occurred since the last call.
    pub fn take_occurrences(&mut self) -> Vec<Occurrence> {
        std::mem::take(&mut self.occurrences)
    }

    /// Waits for the answer to a client's request, and drops what else occurs meanwhile; `None` when there is none within the time.
    ///
    /// # Errors
    /// [`Violation`].
    pub fn wait(&mut self, client: Client, at_most: Time) -> Stepped<Option<Answer>> {
        let mut found = None;
        let limit = self.now + at_most;
        loop {
            for occurrence in self.take_occurrences() {
                if let Occurrence::Answered {
                    client: answered,
                    answer,
                    ..
                } = occurrence
                    && answered == client
                {
                    found = Some(answer);
                }
            }
            if found.is_some() || self.next_time().is_none_or(|next| next > limit) {
                return Ok(found);
            }
            self.step()?;
        }
    }
}

impl Cluster {
    /// A server told a client that its change of members, or transfer, is done as of this entry: the entry must be what it says.
    pub(crate) fn check_done(&self, id: NodeId, client: Client, done: LogId) -> Stepped {
        self.invariants.check_done(done).map_err(|what| Violation {
            invariant: "done means done",
            what: format!("server {id} told client {client}: {what}"),
        })
    }
}

/// Time.
impl Cluster {
    /// True time since the beginning.
    #[must_use]
    pub fn now(&self) -> Time {
        self.now
    }

    /// When the next thing is due.
    #[must_use]
    pub fn next_time(&self) -> Option<Time> {
        self.queue.next_time()
    }

    /// Lets true time pass without anything happening; not beyond what is due.
    pub fn pass_to(&mut self, time: Time) {
        let due = self.next_time().unwrap_or(time);
        self.now = self.now.max(time.min(due));
    }

    /// Lets everything happen that is due within this time.
    ///
    /// # Errors
    /// [`Violation`].
    pub fn run_for(&mut self, length: Time) -> Stepped {
        self.run_until(length, |_| false).map(drop)
    }

    /// Lets things happen until the condition holds, for at most this long; whether it does.
    ///
    /// # Errors
    /// [`Violation`].
    pub fn run_until(&mut self, at_most: Time, condition: impl Fn(&Self) -> bool) -> Stepped<bool> {
        let limit = self.now + at_most;
        while !condition(self) {
            if self.next_time().is_none_or(|next| next > limit) {
                self.pass_to(limit);
                return Ok(false);
            }
            self.step()?;
        }
        Ok(true)
    }
}
