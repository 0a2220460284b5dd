//! A simulated cluster: servers, their network, disks and clocks on virtual time.
//!
//! Nothing happens by itself: [`Cluster::step`] does the next thing that is due. Who drives the cluster decides what goes wrong and what
//! clients want, by the methods below, between steps. Every step of a server is checked against the invariants.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use raft::{Configuration, Envelope, Index, LogId, NodeId, Time, WriteNumber};
use replica::{Answer, Client, Event, PeerMessage, Replica, Request, Settings};
use storage::Seq;

use crate::counters::{Counters, Sometimes};
use crate::disk::{DiskFailed, LogDisk, MemoryDisk};
use crate::invariants::{Glimpse, Invariants, Violation};
use crate::network::Network;
use crate::node::{CrashPoint, DiskSpeed, Node, Running, Stop};
use crate::queue::Queue;
use crate::random::Random;
use crate::trace::Trace;

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
        position: Seq,
        index: Index,
    },
}

/// What travels.
#[derive(Clone, Debug)]
pub(crate) enum Parcel {
    Message(PeerMessage),
    /// With the sender's start, who wants to know whether it arrived.
    Snapshot(Envelope, Bytes, u64),
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

fn position(id: NodeId) -> usize {
    usize::try_from(id - 1).expect("servers are counted from 1, and there are few")
}

/// Starting, stopping and disturbing servers.
impl Cluster {
    /// Starts a server, again or for the first time; nothing if it runs.
    ///
    /// # Errors
    /// [`Violation`]: it finds on its disk what must not be there, or cannot start.
    pub fn start(&mut self, id: NodeId) -> Stepped {
        let (now, seed) = (self.now, self.random.number());
        let node = &mut self.nodes[position(id)];
        if node.running.is_some() {
            return Ok(());
        }
        node.boot += 1;
        let (settings, engine) = (node.settings.clone(), Arc::clone(&node.engine));
        let recovered = match node.disk.open() {
            Ok(recovered) => recovered,
            Err(failed) => {
                self.disk_failed(id, failed);
                return Ok(());
            }
        };
        let opened = Replica::open(settings, engine, recovered, node.boot, node.now(now), seed);
        let (replica, anew) = opened.map_err(|error| Violation {
            invariant: "restart",
            what: format!("server {id} does not start: {error}"),
        })?;
        if let Some(snapshot) = &anew {
            self.counters.add(Sometimes::LogAnew);
            if let Err(failed) = node.disk.restart(snapshot) {
                self.disk_failed(id, failed);
                return Ok(());
            }
        }
        self.invariants.check_started(id, &replica)?;
        let glimpse = Glimpse::of(&replica);
        node.running = Some(Running { replica, glimpse });
        self.note(id, || "start".to_owned());
        self.plan_tick(id);
        Ok(())
    }

    /// Starts all servers that do not run.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub fn start_all(&mut self) -> Stepped {
        let ids: Vec<_> = self.ids().collect();
        ids.into_iter().try_for_each(|id| self.start(id))
    }

    /// Stops a server; nothing if it does not run.
    pub fn stop(&mut self, id: NodeId, how: Stop) {
        if let Some(running) = &self.node(id).running {
            let led = running.replica.is_leader();
            self.counters
                .add_many(Sometimes::RestartedLeader, u64::from(led));
            self.go_down(id, how);
        }
    }

    /// The disk does not let a server go on, or start.
    pub(crate) fn disk_failed(&mut self, id: NodeId, failed: DiskFailed) {
        let (what, how) = match failed {
            DiskFailed::Full => (Sometimes::DiskFull, Stop::Kill),
            DiskFailed::PowerLost => (Sometimes::PowerLostOnDisk, Stop::PowerLoss),
        };
        self.counters.add(what);
        self.go_down(id, how);
    }

    fn go_down(&mut self, id: NodeId, how: Stop) {
        let (now, power_lost) = (self.now, how == Stop::PowerLoss);
        let node = &mut self.nodes[position(id)];
        node.running = None;
        let lost_writes = node.disk.crash(power_lost, &mut self.random);
        let restarted = node.engine.restarted(power_lost, &mut self.random);
        let (engine, lost_batches) =
            restarted.expect("an engine in memory takes again what it took before");
        node.engine = Arc::new(engine);
        (node.appended, node.synced, node.syncing) = (0, 0, false);
        (node.crash_point, node.tick_at) = (None, None);
        node.paused_until = now;
        let counters = &mut self.counters;
        counters.add(if power_lost {
            Sometimes::PowerLost
        } else {
            Sometimes::Killed
        });
        counters.add_many(Sometimes::LogWriteLost, lost_writes);
        counters.add_many(Sometimes::EngineRolledBack, u64::from(lost_batches > 0));
        self.occurrences.push(Occurrence::Stopped(id));
        self.note(id, || {
            format!("{how:?}: {lost_writes} log writes and {lost_batches} batches lost")
        });
    }

    /// The server crashes in the middle of one of its next steps, the first that has something to write or to send.
    pub fn crash_in_step(&mut self, id: NodeId, point: CrashPoint, how: Stop) {
        self.node_mut(id).crash_point = Some((point, how));
    }

    /// The power fails in the middle of what the server's disk does, at this operation of those to come, counted from 1.
    pub fn lose_power_at(&mut self, id: NodeId, operation: u64) {
        self.node_mut(id).disk.lose_power_at(operation);
        self.note(id, || format!("power fails at disk operation {operation}"));
    }

    /// The server does not crash as [`Cluster::crash_in_step`] or [`Cluster::lose_power_at`] wanted, if it has not yet.
    pub(crate) fn cancel_crash(&mut self, id: NodeId) {
        let node = self.node_mut(id);
        node.crash_point = None;
        node.disk.lose_power_at(u64::MAX);
    }

    /// Nothing reaches the server for so long, not even its timers; then everything at once.
    pub fn pause(&mut self, id: NodeId, length: Time) {
        let until = self.now + length;
        self.node_mut(id).paused_until = until;
        self.counters.add(Sometimes::Paused);
        self.note(id, || format!("pause {length:?}"));
    }

    /// The server's clock for timeouts runs at `rate` thousandths of a true one from now on.
    pub fn set_clock_rate(&mut self, id: NodeId, rate: u64) {
        let now = self.now;
        self.node_mut(id).clock.set_rate(now, rate);
        self.note(id, || format!("clock rate {rate}"));
        self.plan_tick(id);
    }

    /// The server's clock on the wall jumps.
    pub fn jump_wall(&mut self, id: NodeId, by_ms: i64) {
        self.node_mut(id).clock.jump_wall(by_ms);
        self.note(id, || format!("wall clock jumps {by_ms} ms"));
    }

    /// How the server's disk behaves from now on.
    pub fn set_disk_speed(&mut self, id: NodeId, speed: DiskSpeed) {
        self.node_mut(id).disk_speed = speed;
        self.note(id, || format!("{speed:?}"));
    }

    /// The server's disk has no room, or has again. A server that cannot write stops as if killed.
    pub fn set_disk_full(&mut self, id: NodeId, full: bool) {
        self.node_mut(id).disk.set_full(full);
        self.note(id, || format!("disk full: {full}"));
    }

    /// Blocks all links between servers of different groups; a server in no group is alone.
    pub fn partition(&mut self, groups: &[&[NodeId]]) {
        self.network.unblock_all();
        let ids: Vec<_> = self.ids().collect();
        let group = |id: NodeId| groups.iter().position(|group| group.contains(&id));
        for &from in &ids {
            for &to in &ids {
                if from != to && (group(from).is_none() || group(from) != group(to)) {
                    self.network.block(from, to);
                }
            }
        }
        self.note(0, || format!("partition {groups:?}"));
    }

    /// Blocks all links of a server, both ways.
    pub fn disconnect(&mut self, id: NodeId) {
        for other in 1..=self.nodes.len() as u64 {
            self.network.block(id, other);
            self.network.block(other, id);
        }
    }

    /// Unblocks all links of a server, both ways.
    pub fn connect(&mut self, id: NodeId) {
        for other in 1..=self.nodes.len() as u64 {
            self.network.unblock(id, other);
            self.network.unblock(other, id);
        }
    }
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
