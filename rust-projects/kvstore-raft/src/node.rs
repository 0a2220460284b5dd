//! The thread that owns a replica: it takes what comes, has the replica decide, and carries out what it says.
//!
//! ```text
//!   clients, peers --> inbox --> step, step, step ... --> messages that may leave at once
//!                                     |
//!                                     '--> log: append all, one sync --> step(Persisted) --> messages that waited, answers
//! ```
//!
//! Everything that arrived while the disk was busy is decided before the next sync, and shares it: group commit without a
//! timer. Nothing here looks at Raft's state to decide something.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use raft::{Configuration, Envelope, Index, LogId, Message, NodeId, Role, Term};
use raft_log::RaftLog;
use replica::{
    Actions, Answer, Changes, Client, Event, MachineError, Now, Order, PeerMessage, Replica,
    Request, Snapshot, Staged, StateEngine, Stop,
};
use tokio::sync::oneshot;

pub(crate) use crate::inbox::{Asker, Bounds, Inbox, Incoming, Kind};
use crate::transport::Peers;
use crate::view::{Shared, Standing};
use crate::watch::Observer;

/// The one group of a node; its log can hold more.
pub(crate) const GROUP: raft_log::GroupId = 1;
/// Steps between two syncs at most.
const MAX_BATCH: usize = 4096;
/// The inbox is looked at at least so often.
const MAX_WAIT: Duration = Duration::from_secs(1);

/// Why a node stopped.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The log cannot be written any more.
    #[error("the log failed: {0}")]
    Log(#[from] raft_log::Error),
    /// The state machine can go no further.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The engine cannot be synced any more.
    #[error("the state machine's engine failed: {0}")]
    Engine(#[from] storage::Error),
}

/// What reaches the thread.
pub(crate) enum Input {
    /// A client's request that may write.
    Write(Request, Asker),
    /// A client's request that only reads.
    Read(Request, Asker),
    /// A client's request that only reads, to be answered from what is applied here, however old.
    StaleRead(Request, Asker),
    /// Does this node lead, and what has it applied?
    Lead(Asker),
    /// What somebody decided on what this node has applied.
    Decided(Changes, Asker),
    /// A peer's message.
    Peer(NodeId, PeerMessage),
    /// A peer's snapshot, all of it.
    Snapshot(Envelope, Staged),
    /// What became of a snapshot sent.
    SnapshotSent(NodeId, bool),
    /// This engine is synced with everything up to here, or failed.
    Flushed(Arc<dyn StateEngine>, Index, Result<(), storage::Error>),
    /// How is it going?
    Status(oneshot::Sender<Status>),
    /// How is it going, at length?
    Report(oneshot::Sender<Report>),
    /// An operator's order.
    Order(Order, Asker),
    /// All of the state, for a backup.
    Export(oneshot::Sender<Result<Snapshot, MachineError>>),
    /// A peer says that this node was removed.
    Removed,
    /// Hand leadership over if possible, and stop.
    Stop,
}

/// What a node tells operators.
pub(crate) struct Report {
    pub(crate) status: Status,
    /// The first entry that its log holds, or would hold.
    pub(crate) first: Index,
    /// The files of its log.
    pub(crate) log: raft_log::Stats,
    /// For how long it heard nothing from a leader; it hears itself.
    pub(crate) leader_silent: Duration,
    /// The members, as of its log.
    pub(crate) configuration: Configuration,
    /// If it leads: up to where a member's log is its own, and for how long it heard nothing of it.
    pub(crate) progress: BTreeMap<NodeId, (Index, Duration)>,
}

/// What a node tells of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// This node.
    pub id: NodeId,
    /// What it is.
    pub role: Role,
    /// Its term.
    pub term: Term,
    /// Who leads, as far as it knows.
    pub leader: Option<NodeId>,
    /// The last entry of its log.
    pub last: LogId,
    /// What it knows to be committed.
    pub committed: Index,
    /// What it has applied.
    pub applied: Index,
    /// A hash of all changes applied.
    pub hash: u64,
}

/// Who waits for an answer.
struct Waiting {
    asker: Asker,
    /// When it was taken, if it may write.
    proposed: Option<Instant>,
}

/// What a node's thread works with.
pub(crate) struct Node {
    replica: Replica,
    log: RaftLog,
    peers: Peers,
    shared: Shared,
    inbox: Inbox,
    incoming: Incoming,
    clients: HashMap<Client, Waiting>,
    last_client: Client,
    started: Instant,
    observer: Observer,
    /// As others were told last.
    standing: Standing,
    /// Steps' writes that are not in the log yet.
    actions: Vec<Actions>,
    /// Set when the replica says that it is time.
    stop: Option<Stop>,
}

/// The outer world of a node.
pub(crate) struct Surroundings {
    pub(crate) peers: Peers,
    pub(crate) shared: Shared,
    pub(crate) inbox: Inbox,
    pub(crate) incoming: Incoming,
    /// When its clock began.
    pub(crate) started: Instant,
}

impl Node {
    pub(crate) fn new(replica: Replica, log: RaftLog, around: Surroundings) -> Self {
        let metrics = Arc::clone(around.inbox.metrics());
        let mut node = Self {
            observer: Observer::new(replica.core(), metrics),
            replica,
            log,
            peers: around.peers,
            shared: around.shared,
            inbox: around.inbox,
            incoming: around.incoming,
            clients: HashMap::new(),
            last_client: 0,
            started: around.started,
            standing: Standing::default(),
            actions: Vec::new(),
            stop: None,
        };
        let registry = Arc::clone(node.replica.machine().registry());
        node.peers.learn(&registry);
        node.shared.learn(&registry);
        node.tell_standing();
        node
    }

    /// Runs the node on a thread of its own until it is stopped or fails.
    pub(crate) fn spawn(self) -> std::io::Result<JoinHandle<Result<Stop, NodeError>>> {
        std::thread::Builder::new()
            .name("node".into())
            .spawn(|| self.run())
    }

    fn run(mut self) -> Result<Stop, NodeError> {
        loop {
            if let Some(why) = self.stop {
                self.close()?;
                return Ok(why);
            }
            let now = self.now();
            let wait = self.replica.deadline().map_or(MAX_WAIT, |deadline| {
                deadline.saturating_sub(now.time).min(MAX_WAIT)
            });
            let first = self.incoming.next(wait);
            if first.is_none() {
                self.step(Event::Tick)?;
            }
            self.take(first)?;
            self.carry_out()?;
        }
    }

    /// Takes what is there.
    fn take(&mut self, first: Option<Input>) -> Result<(), NodeError> {
        let mut writes = Vec::new();
        let mut decided = Vec::new();
        let mut next = first;
        for _ in 0..MAX_BATCH {
            let Some(input) = next.take().or_else(|| self.incoming.try_next()) else {
                break;
            };
            match input {
                Input::Write(request, answer) => {
                    let client = self.client(answer, Some(Instant::now()));
                    writes.push((client, request));
                }
                Input::Order(order, answer) => {
                    let client = self.client(answer, None);
                    self.step(Event::Order(client, order))?;
                }
                Input::Read(request, answer) => {
                    let client = self.client(answer, None);
                    self.step(Event::Read(client, request))?;
                }
                Input::Lead(answer) => {
                    let client = self.client(answer, None);
                    self.step(Event::Lead(client))?;
                }
                Input::Decided(changes, answer) => {
                    let client = self.client(answer, Some(Instant::now()));
                    decided.push((client, changes));
                }
                Input::StaleRead(request, answer) => {
                    let replies = self.replica.read_stale(&request)?;
                    answer.tell(Answer::Replies(replies));
                }
                Input::Peer(from, message) => self.step(Event::Peer(from, message))?,
                Input::Snapshot(envelope, staged) => {
                    self.step(Event::Snapshot(envelope, staged))?;
                }
                Input::SnapshotSent(to, delivered) => {
                    self.observer.snapshot_sent(delivered);
                    self.step(Event::SnapshotSent { to, delivered })?;
                }
                Input::Flushed(engine, index, synced) => self.flushed(&engine, index, synced)?,
                // Of the next three: who asked may be gone.
                Input::Status(answer) => drop(answer.send(self.status())),
                Input::Report(answer) => drop(answer.send(self.report())),
                Input::Export(answer) => drop(answer.send(self.replica.machine().export())),
                Input::Removed => self.step(Event::Removed)?,
                Input::Stop => self.step(Event::Stop)?,
            }
        }
        if !writes.is_empty() {
            self.step(Event::Write(writes))?;
        }
        if !decided.is_empty() {
            self.step(Event::Decided(decided))?;
        }
        Ok(())
    }

    fn client(&mut self, asker: Asker, proposed: Option<Instant>) -> Client {
        self.last_client += 1;
        let waiting = Waiting { asker, proposed };
        self.clients.insert(self.last_client, waiting);
        self.last_client
    }

    fn now(&self) -> Now {
        let since_1970 = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Now {
            time: self.started.elapsed(),
            wall_ms: u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// One step; what may happen at once happens, the rest is kept for [`Node::carry_out`].
    fn step(&mut self, event: Event) -> Result<(), NodeError> {
        let now = self.now();
        let mut actions = self.replica.step(now, event)?;
        let mut turned_away = Vec::new();
        for (to, message) in actions.messages.drain(..) {
            turned_away.extend(self.send(to, message).map(|why| (to, why)));
        }
        // Before the answers: who is answered knows where he stands.
        self.tell_standing();
        for (client, answer) in actions.answers.drain(..) {
            if let Some(waiting) = self.clients.remove(&client) {
                if let (Some(proposed), Answer::Replies(_) | Answer::Done(_)) =
                    (waiting.proposed, &answer)
                {
                    self.inbox.metrics().commit.observe(proposed.elapsed());
                }
                waiting.asker.tell(answer);
            }
        }
        if let Some(registry) = actions.registry.take() {
            self.peers.learn(&registry);
            self.shared.learn(&registry);
        }
        self.observer.look(self.replica.core());
        if let Some(snapshot) = actions
            .write
            .as_ref()
            .and_then(|write| write.snapshot.as_ref())
        {
            self.observer.installed(snapshot);
        }
        self.stop = self.stop.or(actions.stop);
        self.actions.push(actions);
        for (to, refusal) in turned_away {
            self.step(Event::Peer(to, refusal))?;
        }
        Ok(())
    }

    fn tell_standing(&mut self) {
        let core = self.replica.core();
        let standing = Standing {
            term: core.hard_state().term,
            leader: core.leader(),
            region: Arc::clone(self.replica.machine().region()),
        };
        if self.standing != standing {
            self.shared.stand(standing.clone());
            self.standing = standing;
        }
    }

    /// Writes what the steps since the last time want written, with one sync, until nothing is left.
    fn carry_out(&mut self) -> Result<(), NodeError> {
        while !self.actions.is_empty() {
            let mut writes = Vec::new();
            let mut purge = None;
            for actions in std::mem::take(&mut self.actions) {
                writes.extend(actions.write.map(|write| (GROUP, write)));
                purge = actions.purge.or(purge);
                if let Some(index) = actions.flush {
                    self.flush(index);
                }
            }
            let last = writes.last().map(|(_, write)| write.number);
            if let Some(number) = last {
                let metrics = self.inbox.metrics();
                self.log.append(&writes)?;
                metrics.log_appends.add(1);
                let entries = writes.iter().map(|(_, write)| write.entries.len() as u64);
                metrics.log_entries.add(entries.sum());
                let began = Instant::now();
                self.log.sync()?;
                metrics.log_sync.observe(began.elapsed());
                self.step(Event::Persisted(number))?;
            }
            if let Some((last, configuration)) = purge {
                self.log.purge(&[(GROUP, last, configuration)])?;
                self.log.reclaim()?;
            }
        }
        Ok(())
    }

    /// Sends a message; what a peer would say to it, if it cannot even be sent.
    fn send(&self, to: NodeId, message: PeerMessage) -> Option<PeerMessage> {
        if let PeerMessage::Raft(envelope) = &message
            && let Message::InstallSnapshot { snapshot, .. } = &envelope.message
        {
            let data = self.replica.snapshot(snapshot.id).cloned();
            self.peers
                .send_snapshot(to, message, data, self.inbox.clone());
            None
        } else {
            self.peers.send(to, message)
        }
    }

    /// Syncs the engine beside this thread.
    fn flush(&self, index: Index) {
        let engine = Arc::clone(self.replica.machine().engine());
        let inbox = self.inbox.clone();
        std::thread::spawn(move || {
            let synced = engine.sync().map(drop);
            inbox.send(Input::Flushed(engine, index, synced))
        });
    }

    fn flushed(
        &mut self,
        engine: &Arc<dyn StateEngine>,
        index: Index,
        synced: Result<(), storage::Error>,
    ) -> Result<(), NodeError> {
        // What became of an engine that a snapshot has replaced is of no interest: the snapshot, which is durable, covers it.
        if Arc::ptr_eq(engine, self.replica.machine().engine()) {
            synced?;
        }
        self.step(Event::Flushed(index))
    }

    fn status(&self) -> Status {
        let core = self.replica.core();
        Status {
            id: core.id(),
            role: core.role(),
            term: core.hard_state().term,
            leader: core.leader(),
            last: core.last(),
            committed: core.committed(),
            applied: self.replica.machine().applied().index,
            hash: self.replica.machine().hash(),
        }
    }

    fn report(&self) -> Report {
        let core = self.replica.core();
        let now = self.now().time;
        let progress = core.progress().map(|peer| {
            let silent = match peer.node == core.id() {
                true => Duration::ZERO,
                false => now.saturating_sub(peer.heard),
            };
            (peer.node, (peer.matched, silent))
        });
        let leader_silent = match self.replica.is_leader() {
            true => Duration::ZERO,
            false => now.saturating_sub(core.heard_from_leader()),
        };
        Report {
            status: self.status(),
            first: core.compacted().index + 1,
            log: self.log.stats(),
            leader_silent,
            configuration: core.configuration().1.clone(),
            progress: progress.collect(),
        }
    }

    /// Leaves everything on disk as it should be. Clients that wait are told that the outcome is unknown, by the end of their channel.
    fn close(self) -> Result<(), NodeError> {
        self.replica.machine().engine().sync()?;
        self.log.close()?;
        Ok(())
    }
}
