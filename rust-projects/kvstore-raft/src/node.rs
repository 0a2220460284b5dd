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
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use raft::{Configuration, Envelope, Index, LogId, Message, NodeId, Role, Term};
use raft_log::RaftLog;
use replica::{
    Actions, Answer, Client, Event, MachineError, Now, Order, PeerMessage, Replica, Request,
    Snapshot, Staged, StateEngine, Stop,
};
use tokio::sync::oneshot;

use crate::transport::Peers;
use crate::view::Shared;

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
    Write(Request, oneshot::Sender<Answer>),
    /// A client's request that only reads.
    Read(Request, oneshot::Sender<Answer>),
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
    Order(Order, oneshot::Sender<Answer>),
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

/// The way to a node's thread.
#[derive(Clone)]
pub(crate) struct Inbox(Sender<Input>);

impl Inbox {
    /// A way, and its end.
    pub(crate) fn new() -> (Self, Receiver<Input>) {
        let (sender, receiver) = mpsc::channel();
        (Self(sender), receiver)
    }

    /// Hands something over; false when the node has stopped.
    pub(crate) fn send(&self, input: Input) -> bool {
        self.0.send(input).is_ok()
    }

    /// Has a request applied, or answered from what is applied.
    pub(crate) async fn ask(&self, request: Request, writes: bool) -> Answer {
        let answer = self.question(|answer| match writes {
            true => Input::Write(request, answer),
            false => Input::Read(request, answer),
        });
        answer.await.unwrap_or(Answer::Unknown)
    }

    /// How is it going? `None` when the node has stopped.
    pub(crate) async fn status(&self) -> Option<Status> {
        self.question(Input::Status).await
    }

    async fn question<T>(&self, input: impl FnOnce(oneshot::Sender<T>) -> Input) -> Option<T> {
        let (sender, receiver) = oneshot::channel();
        self.send(input(sender));
        receiver.await.ok()
    }

    /// How is it going, at length? `None` when the node has stopped.
    pub(crate) async fn report(&self) -> Option<Report> {
        self.question(Input::Report).await
    }

    /// Has an order carried out, if this node leads.
    pub(crate) async fn order(&self, order: Order) -> Answer {
        let answer = self.question(|answer| Input::Order(order, answer)).await;
        answer.unwrap_or(Answer::Unknown)
    }

    /// All of the state. `None` when the node has stopped.
    pub(crate) async fn export(&self) -> Option<Result<Snapshot, MachineError>> {
        self.question(Input::Export).await
    }

    /// Asks the node to stop.
    pub(crate) fn stop(&self) {
        self.send(Input::Stop);
    }
}

/// What a node's thread works with.
pub(crate) struct Node {
    replica: Replica,
    log: RaftLog,
    peers: Peers,
    shared: Shared,
    inbox: Inbox,
    receiver: Receiver<Input>,
    clients: HashMap<Client, oneshot::Sender<Answer>>,
    last_client: Client,
    started: Instant,
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
    pub(crate) receiver: Receiver<Input>,
    /// When its clock began.
    pub(crate) started: Instant,
}

impl Node {
    pub(crate) fn new(replica: Replica, log: RaftLog, around: Surroundings) -> Self {
        let mut node = Self {
            replica,
            log,
            peers: around.peers,
            shared: around.shared,
            inbox: around.inbox,
            receiver: around.receiver,
            clients: HashMap::new(),
            last_client: 0,
            started: around.started,
            actions: Vec::new(),
            stop: None,
        };
        let registry = Arc::clone(node.replica.machine().registry());
        node.peers.learn(&registry);
        node.shared.learn(&registry);
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
            let first = match self.receiver.recv_timeout(wait) {
                Ok(input) => Some(input),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => Some(Input::Stop),
            };
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
        let mut next = first;
        for _ in 0..MAX_BATCH {
            let Some(input) = next.take().or_else(|| self.receiver.try_recv().ok()) else {
                break;
            };
            match input {
                Input::Write(request, answer) => writes.push((self.client(answer), request)),
                Input::Order(order, answer) => {
                    let client = self.client(answer);
                    self.step(Event::Order(client, order))?;
                }
                Input::Read(request, answer) => {
                    let client = self.client(answer);
                    self.step(Event::Read(client, request))?;
                }
                Input::Peer(from, message) => self.step(Event::Peer(from, message))?,
                Input::Snapshot(envelope, staged) => {
                    self.step(Event::Snapshot(envelope, staged))?;
                }
                Input::SnapshotSent(to, delivered) => {
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
        Ok(())
    }

    fn client(&mut self, answer: oneshot::Sender<Answer>) -> Client {
        self.last_client += 1;
        self.clients.insert(self.last_client, answer);
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
        for (to, message) in actions.messages.drain(..) {
            self.send(to, message);
        }
        for (client, answer) in actions.answers.drain(..) {
            if let Some(waiting) = self.clients.remove(&client) {
                // Who asked may be gone.
                let _ = waiting.send(answer);
            }
        }
        if let Some(registry) = actions.registry.take() {
            self.peers.learn(&registry);
            self.shared.learn(&registry);
        }
        self.stop = self.stop.or(actions.stop);
        self.actions.push(actions);
        Ok(())
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
                self.log.append(&writes)?;
                self.log.sync()?;
                self.step(Event::Persisted(number))?;
            }
            if let Some((last, configuration)) = purge {
                self.log.purge(&[(GROUP, last, configuration)])?;
                self.log.reclaim()?;
            }
        }
        Ok(())
    }

    fn send(&self, to: NodeId, message: PeerMessage) {
        if let PeerMessage::Raft(envelope) = &message
            && let Message::InstallSnapshot { snapshot, .. } = &envelope.message
        {
            let data = self.replica.snapshot(snapshot.id).cloned();
            self.peers
                .send_snapshot(to, message, data, self.inbox.clone());
        } else {
            self.peers.send(to, message);
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
        Report {
            status: self.status(),
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
