//! One replica: its state, and one step of it.

use std::sync::Arc;

use raft::{
    Configuration, Core, Entry, Envelope, HardState, Index, Input, LogId, Message, NodeId,
    Outgoing, Outputs, Refused, SnapshotMeta, Term, Time,
};

use crate::announce::Announcement;
use crate::changes::Decided;
use crate::event::{Actions, Answer, Event, Now, PeerMessage, Settings};
use crate::machine::{Machine, MachineError, StateEngine};
use crate::orders::Pending;
use crate::reads::Reads;
use crate::registry::Registry;
use crate::requests::Requests;
use crate::snapshot::Snapshot;
use crate::staging::Staged;
use crate::stopping::Stopping;
use crate::stream::StreamError;
use crate::upkeep::Upkeep;

/// What the log on disk holds when a replica starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Term and vote.
    pub hard_state: HardState,
    /// The last entry that was purged, and the members as of it: the founders, if nothing was.
    pub compacted: LogId,
    /// See above.
    pub configuration: Configuration,
    /// What follows.
    pub entries: Vec<Entry>,
}

/// Why a replica cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The state machine cannot be read.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// Entries between the two are gone.
    #[error(
        "the log begins after entry {log}, but the state machine has applied only {applied}: they are of different times or different servers"
    )]
    Gap {
        /// The last entry that the log no longer has.
        log: Index,
        /// The last entry applied.
        applied: Index,
    },
}

/// See the crate's page.
#[derive(Debug)]
pub struct Replica {
    pub(crate) settings: Settings,
    pub(crate) now: Now,
    pub(crate) core: Core,
    pub(crate) machine: Machine,
    /// Which start of this server this is.
    pub(crate) boot: u64,
    /// The term that it started with: of what it did in that or before it knows nothing.
    pub(crate) started_in: Term,
    /// Messages that wait for a write.
    held: Vec<Outgoing>,
    pub(crate) requests: Requests,
    pub(crate) reads: Reads,
    pub(crate) decided: Decided,
    pub(crate) upkeep: Upkeep,
    pub(crate) orders: Vec<Pending>,
    pub(crate) announcement: Announcement,
    /// Set once this server is to stop.
    pub(crate) stopping: Option<Stopping>,
    /// The registry that the driver knows.
    told_registry: Arc<Registry>,
    /// The snapshot that the core may send.
    pub(crate) snapshot: Option<Snapshot>,
    snapshots_taken: u64,
    /// The snapshot that the message at hand brought.
    staged: Option<Staged>,
    /// Whose word counted after the last step.
    followed: Option<(Term, NodeId)>,
    pub(crate) actions: Actions,
}

impl Replica {
    /// A replica that starts. `boot` is greater at each start of this server and below 2^24; `seed` decides its election timeouts.
    ///
    /// If the log does not hold what the state machine has applied, which happens when a crash came between the installation of a snapshot and
    /// the log's turn, the second result is the snapshot behind which the driver must begin the log anew before anything else.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(
        settings: Settings,
        engine: Arc<dyn StateEngine>,
        log: Recovered,
        boot: u64,
        now: Now,
        seed: u64,
    ) -> Result<(Self, Option<SnapshotMeta>), OpenError> {
        let machine = Machine::open(engine, &log.configuration)?;
        let applied = machine.applied();
        if applied.index < log.compacted.index {
            return Err(OpenError::Gap {
                log: log.compacted.index,
                applied: applied.index,
            });
        }
        let mut start = raft::Start {
            hard_state: log.hard_state,
            compacted: log.compacted,
            configuration: log.configuration,
            entries: log.entries,
            applied: applied.index,
        };
        let anew = start.reconcile(applied, machine.configuration());
        let anew = anew.then(|| SnapshotMeta {
            id: 0,
            last: applied,
            configuration: machine.configuration().clone(),
        });
        let told_registry = Arc::clone(machine.registry());
        let replica = Self {
            started_in: start.hard_state.term,
            core: Core::new(settings.raft.clone(), start, now.time, seed),
            requests: Requests::default(),
            reads: Reads::new(boot),
            decided: Decided::default(),
            upkeep: Upkeep::new(applied.index, now.time),
            settings,
            now,
            machine,
            boot,
            held: Vec::new(),
            orders: Vec::new(),
            announcement: Announcement::new(now.time),
            stopping: None,
            told_registry,
            snapshot: None,
            snapshots_taken: 0,
            staged: None,
            followed: None,
            actions: Actions::default(),
        };
        Ok((replica, anew))
    }

    /// Takes in what happened and says what to do about it.
    ///
    /// # Errors
    /// [`MachineError`]: this server must stop; nothing of this step may be carried out.
    pub fn step(&mut self, now: Now, event: Event) -> Result<Actions, MachineError> {
        self.now.time = self.now.time.max(now.time);
        self.now.wall_ms = now.wall_ms;
        match event {
            Event::Tick => self.drive(Input::Tick)?,
            Event::Peer(from, message) => self.peer(from, message)?,
            Event::Snapshot(envelope, staged) => self.receive_snapshot(envelope, staged)?,
            Event::Write(requests) if self.stopping.is_some() => {
                self.turn_away(requests.into_iter().map(|(client, _)| client));
            }
            Event::Write(requests) => self.take_requests(requests)?,
            Event::Read(client, _) if self.stopping.is_some() => {
                self.turn_away([client].into_iter());
            }
            Event::Read(client, request) => self.take_read(client, request),
            Event::Decided(decided) => self.take_decided(decided)?,
            Event::Lead(client) => self.take_lead(client),
            Event::Persisted(number) => {
                self.drive(Input::Persisted(number))?;
                self.release(number);
            }
            Event::Flushed(index) => self.flushed(index)?,
            Event::SnapshotSent { to, delivered } => {
                if !delivered {
                    self.upkeep.unpin(to);
                }
                self.drive(Input::SnapshotSent { to, delivered })?;
            }
            Event::Change {
                client,
                voters,
                learners,
            } => self.order(client, Input::Change { voters, learners })?,
            Event::Transfer { client, to } => self.order(client, Input::Transfer(to))?,
            Event::Order(client, order) => self.take_order(client, order)?,
            Event::Stop => self.begin_stop()?,
            Event::Removed => self.was_removed(),
        }
        self.keep_deadlines()?;
        self.tell_registry();
        Ok(std::mem::take(&mut self.actions))
    }

    fn peer(&mut self, from: NodeId, message: PeerMessage) -> Result<(), MachineError> {
        match message {
            // The core would install what is not there.
            PeerMessage::Raft(Envelope {
                message: Message::InstallSnapshot { .. },
                ..
            }) => {}
            PeerMessage::Raft(envelope) => self.drive(Input::Message(envelope))?,
            PeerMessage::Forward {
                term,
                origin,
                attempt,
                request,
            } => self.forwarded(from, term, origin, attempt, request)?,
            PeerMessage::NotProposed {
                boot,
                sequence,
                attempt,
                why,
            } => self.not_proposed(boot, sequence, attempt, why),
            PeerMessage::Announce(member) => self.announced(from, member)?,
            PeerMessage::Removed => self.was_removed(),
        }
        Ok(())
    }

    /// When [`Event::Tick`] is due at the latest, if nothing happens before.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        let orders = self.orders.iter().map(Pending::deadline).min();
        let all = [
            self.core.deadline(),
            self.requests.deadline(),
            self.reads.deadline(),
            self.upkeep
                .deadline(self.is_leader(), self.machine.applied().index),
            orders,
            self.announce_deadline(),
            self.stopping.as_ref().map(Stopping::deadline),
        ];
        all.into_iter().flatten().min()
    }

    fn keep_deadlines(&mut self) -> Result<(), MachineError> {
        if self
            .core
            .deadline()
            .is_some_and(|deadline| deadline <= self.now.time)
        {
            self.drive(Input::Tick)?;
        }
        let leader = self
            .core
            .leader()
            .map(|leader| (self.core.hard_state().term, leader));
        if leader != self.followed {
            self.followed = leader;
            self.requests.try_again(self.now.time);
            self.reads.try_again(self.now.time);
            self.upkeep.leader_changed();
            self.announcement.try_again(self.now.time);
        }
        self.keep_decided();
        self.keep_requests()?;
        self.keep_reads()?;
        self.keep_up()?;
        self.keep_announcing()?;
        self.keep_orders();
        self.keep_stopping();
        Ok(())
    }

    /// The driver learns of news in the registry, and those who were removed that they were: the core sends them nothing any more.
    fn tell_registry(&mut self) {
        let registry = self.machine.registry();
        if Arc::ptr_eq(&self.told_registry, registry) {
            return;
        }
        if self.is_leader() {
            let known = self.told_registry.members();
            let gone = known.filter(|(node, _)| registry.is_removed(*node));
            let messages = gone.map(|(node, _)| (node, PeerMessage::Removed));
            self.actions.messages.extend(messages);
        }
        self.told_registry = Arc::clone(registry);
        self.actions.registry = Some(Arc::clone(registry));
    }

    /// One step of the core, carried out.
    pub(crate) fn drive(&mut self, input: Input) -> Result<(), MachineError> {
        let out = self.core.step(self.now.time, input);
        self.carry_out(out)
    }

    /// A proposal, and what became of it.
    pub(crate) fn propose(&mut self, input: Input) -> Result<Result<LogId, Refused>, MachineError> {
        let mut out = self.core.step(self.now.time, input);
        let proposed = out.proposed.take();
        self.carry_out(out)?;
        Ok(proposed.expect("the core answers every proposal in the same step"))
    }

    fn carry_out(&mut self, out: Outputs) -> Result<(), MachineError> {
        if let Some(meta) = out.install {
            self.install(&meta)?;
        }
        if let Some(write) = out.write {
            self.join_write(write);
        }
        for outgoing in out.messages {
            match outgoing.after {
                Some(_) => self.held.push(outgoing),
                None => self.send(outgoing.envelope),
            }
        }
        if !out.apply.is_empty() {
            self.upkeep.applied(&out.apply);
            let effects = self.machine.apply(&out.apply, self.core.id(), self.boot)?;
            for (id, were_applied) in effects.decided {
                self.decided_applied(id, were_applied);
            }
            for done in effects.requests {
                let answer = Answer::Replies(done.replies);
                self.actions
                    .answers
                    .extend(self.requests.answer(done.origin.sequence, answer));
            }
        }
        for read in out.reads {
            self.question_answered(read);
        }
        if out.snapshot_wanted {
            self.take_snapshot()?;
        }
        Ok(())
    }

    /// Several steps of the core may write; what is last counts.
    fn join_write(&mut self, write: raft::Write) {
        let Some(before) = &mut self.actions.write else {
            self.actions.write = Some(write);
            return;
        };
        before.number = write.number;
        before.hard_state = write.hard_state.or(before.hard_state);
        if write.snapshot.is_some() {
            before.snapshot = write.snapshot;
            before.entries.clear();
        }
        if let Some(first) = write.entries.first() {
            let first = first.id.index;
            before.entries.retain(|entry| entry.id.index < first);
        }
        before.entries.extend(write.entries);
    }

    fn send(&mut self, envelope: Envelope) {
        if let Message::InstallSnapshot { snapshot, .. } = &envelope.message {
            self.upkeep.pin(envelope.to, snapshot.last.index);
        }
        self.actions
            .messages
            .push((envelope.to, PeerMessage::Raft(envelope)));
    }

    /// A write is durable: what waited for it leaves.
    fn release(&mut self, number: raft::WriteNumber) {
        let held = std::mem::take(&mut self.held);
        let (free, held): (Vec<_>, Vec<_>) = held
            .into_iter()
            .partition(|outgoing| outgoing.after.is_none_or(|after| after <= number));
        self.held = held;
        for outgoing in free {
            self.send(outgoing.envelope);
        }
    }

    /// The core decides whether it is installed. If not, it goes.
    fn receive_snapshot(&mut self, envelope: Envelope, staged: Staged) -> Result<(), MachineError> {
        self.staged = Some(staged);
        let driven = self.drive(Input::Message(envelope));
        self.staged = None;
        driven
    }

    /// The machine first, durably; then the log.
    fn install(&mut self, meta: &SnapshotMeta) -> Result<(), MachineError> {
        let staged = self.staged.take();
        let staged = staged.filter(|staged| staged.last() == meta.last);
        self.machine.install(staged.ok_or(StreamError::Other)?)?;
        // Of the former engine.
        self.snapshot = None;
        self.upkeep.installed(meta.last.index);
        let (node, boot) = (self.core.id(), self.boot);
        let machine = &self.machine;
        let lost = self
            .requests
            .applied_unseen(|sequence| machine.was_applied(node, boot, sequence));
        self.actions
            .answers
            .extend(lost.map(|client| (client, Answer::Unknown)));
        Ok(())
    }

    fn take_snapshot(&mut self) -> Result<(), MachineError> {
        self.snapshots_taken += 1;
        let snapshot = self.machine.snapshot(self.snapshots_taken)?;
        let meta = snapshot.meta.clone();
        self.snapshot = Some(snapshot);
        self.drive(Input::SnapshotTaken(meta))
    }

    /// The data that belongs to an `InstallSnapshot` message, by the id in it; `None` when it was replaced meanwhile: report it as not delivered.
    #[must_use]
    pub fn snapshot(&self, id: u64) -> Option<&Snapshot> {
        self.snapshot
            .as_ref()
            .filter(|snapshot| snapshot.meta.id == id)
    }
}

/// What others may know of a replica.
impl Replica {
    /// The core: term, role, leader, indexes, members.
    #[must_use]
    pub fn core(&self) -> &Core {
        &self.core
    }

    /// The state machine: what is applied, its time and hash.
    #[must_use]
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Whether this server leads.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.core.role() == raft::Role::Leader
    }
}
