//! The server: its state, one step of it, and the time at which it next wants one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::leader::Leader;
use crate::log::Log;
use crate::progress::FlowControl;
use crate::random::Random;
use crate::writes::Writes;
use crate::{
    Configuration, Entry, Envelope, HardState, Index, Input, LogId, Message, NodeId, Outgoing,
    Outputs, SnapshotMeta, Term, Time, WriteNumber,
};

/// How a server behaves; the same on all servers of a cluster but for the id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// This server.
    pub id: NodeId,
    /// A follower that hears nothing from a leader for this long, and up to `election_spread` longer, begins an election; a
    /// leader that hears nothing from a majority for this long steps down (section 5.2; thesis, 6.2).
    pub election_timeout: Duration,
    /// The random part of the above.
    pub election_spread: Duration,
    /// How often a leader says that it is there; well below the election timeout.
    pub heartbeat_interval: Duration,
    /// For how long after hearing from a leader a server refuses to elect another (section 6, last part; thesis, 4.2.3): the election
    /// timeout, or zero where time is not modelled.
    pub leader_stickiness: Duration,
    /// Bounds on what is under way to each peer.
    pub flow: FlowControl,
    /// Proposals are refused while this many bytes wait to be committed.
    pub max_uncommitted_bytes: usize,
}

impl Config {
    /// Sensible values for server `id`, with an election timeout from 150 to 300 ms as in section 5.6.
    #[must_use]
    pub fn new(id: NodeId) -> Self {
        Self {
            id,
            election_timeout: Duration::from_millis(150),
            election_spread: Duration::from_millis(150),
            heartbeat_interval: Duration::from_millis(50),
            leader_stickiness: Duration::from_millis(150),
            flow: FlowControl {
                max_message_bytes: 1 << 20,
                max_inflight_bytes: 16 << 20,
                max_inflight_messages: 256,
            },
            max_uncommitted_bytes: 64 << 20,
        }
    }

    /// The same with elections after `timeout` to twice that long, and heartbeats three times as often.
    #[must_use]
    pub fn with_election_timeout(self, timeout: Duration) -> Self {
        Self {
            election_timeout: timeout,
            election_spread: timeout,
            heartbeat_interval: timeout / 3,
            leader_stickiness: timeout,
            ..self
        }
    }
}

/// What a server finds on its disk when it starts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Start {
    /// Term and vote.
    pub hard_state: HardState,
    /// The last entry that the log no longer holds, and the configuration as of it. For a server that is new, zero and
    /// the members it was founded with; none for one that is to join.
    pub compacted: LogId,
    /// See above.
    pub configuration: Configuration,
    /// The entries behind it.
    pub entries: Vec<Entry>,
    /// The state machine holds the effects of the log up to here; at least `compacted.index`. See [`Start::reconcile`].
    pub applied: Index,
}

impl Start {
    /// Sets `applied`, from the last entry whose effects the state machine holds, `state`, and the members as of it. If the log does not hold that
    /// entry, a crash lost the write of a snapshot that the state machine has installed ([`Outputs::install`]), and what stands
    /// in the log at such indexes may contradict it: all of it goes, as in section 7. True if so; the disk's log has to be replaced likewise before
    /// the first write.
    #[must_use]
    pub fn reconcile(&mut self, state: LogId, configuration: &Configuration) -> bool {
        self.applied = state.index;
        let is_held = state.index <= self.compacted.index
            || self.entries.iter().any(|entry| entry.id == state);
        if !is_held {
            self.compacted = state;
            self.configuration = configuration.clone();
            self.entries.clear();
        }
        !is_held
    }
}

/// What part a server plays (section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Follows a leader, or waits for one.
    Follower,
    /// Asks whether it would be elected.
    PreCandidate,
    /// Asks for votes.
    Candidate,
    /// Leads.
    Leader,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    Follower,
    PreCandidate(BTreeMap<NodeId, bool>),
    Candidate(BTreeMap<NodeId, bool>),
    Leader(Box<Leader>),
}

/// One server. See the crate's page.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Core {
    pub(crate) config: Config,
    pub(crate) random: Random,
    pub(crate) now: Time,
    pub(crate) hard_state: HardState,
    pub(crate) log: Log,
    pub(crate) writes: Writes,
    pub(crate) committed: Index,
    /// Handed out to be applied up to here.
    pub(crate) applied: Index,
    pub(crate) part: Part,
    /// Who leads this term, if known.
    pub(crate) leader: Option<NodeId>,
    pub(crate) heard_from_leader: Time,
    pub(crate) election_deadline: Time,
    /// The latest snapshot that the state machine can send.
    pub(crate) snapshot: Option<SnapshotMeta>,
    /// Questions that this server asked its leader.
    pub(crate) asked: BTreeSet<u64>,
    pub(crate) out: Outputs,
}

/// What must be durable before a message may leave.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// Nothing: it promises nothing.
    Nothing,
    /// Term and vote.
    HardState,
    /// All that is known.
    Everything,
}

impl Core {
    /// A server that starts, or starts again, at `now`. `seed` decides its election timeouts; it should differ between servers and starts.
    #[must_use]
    pub fn new(config: Config, start: Start, now: Time, seed: u64) -> Self {
        let mut log = Log::new(start.compacted, start.configuration);
        for entry in start.entries {
            log.push(entry);
        }
        let applied = start.applied.clamp(log.start().index, log.last().index);
        let mut core = Self {
            random: Random::new(seed),
            now,
            hard_state: start.hard_state,
            writes: Writes::new(log.last().index),
            log,
            committed: applied,
            applied,
            part: Part::Follower,
            leader: None,
            heard_from_leader: now,
            election_deadline: now,
            snapshot: None,
            asked: BTreeSet::new(),
            out: Outputs::default(),
            config,
        };
        core.postpone_election();
        core
    }

    /// Takes in what happened, no earlier than anything before, and says what to do about it. The time never goes back: an earlier `now` counts as the latest.
    #[must_use]
    pub fn step(&mut self, now: Time, input: Input) -> Outputs {
        self.now = self.now.max(now);
        match input {
            Input::Tick => {}
            Input::Message(envelope) => self.receive(envelope),
            Input::Propose(commands) => self.propose(commands),
            Input::Change { voters, learners } => self.change(voters, learners),
            Input::Read { id } => self.read(id),
            Input::Transfer(to) => self.transfer(to),
            Input::Persisted(number) => self.persisted(number),
            Input::SnapshotTaken(snapshot) => self.snapshot_taken(snapshot),
            Input::SnapshotSent { to, delivered } => self.snapshot_sent(to, delivered),
            Input::Compact(index) => self.compact(index),
            Input::Campaign => self.campaign(),
            Input::Heartbeat => self.heartbeat(),
        }
        self.keep_deadlines();
        self.finish()
    }

    /// When [`Input::Tick`] is due at the latest, if nothing happens before; `None`: never.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        match &self.part {
            Part::Leader(leader) => {
                let transfer = leader.transfer.as_ref().map(|transfer| transfer.deadline);
                [
                    Some(leader.heartbeat_deadline),
                    self.quorum_deadline(leader),
                    transfer,
                ]
                .into_iter()
                .flatten()
                .min()
            }
            _ => self.may_campaign().then_some(self.election_deadline),
        }
    }

    fn keep_deadlines(&mut self) {
        let Part::Leader(leader) = &mut self.part else {
            if self.now >= self.election_deadline && self.may_campaign() {
                self.campaign();
            }
            return;
        };
        leader
            .transfer
            .take_if(|transfer| transfer.deadline <= self.now);
        let heartbeat_is_due = leader.heartbeat_deadline <= self.now;
        if let Part::Leader(leader) = &self.part
            && self
                .quorum_deadline(leader)
                .is_some_and(|deadline| deadline <= self.now)
        {
            // A leader that reaches no majority may have been replaced; its clients should look elsewhere (thesis, 6.2).
            self.become_follower(self.hard_state.term, None);
        } else if heartbeat_is_due {
            self.heartbeat();
        }
    }

    /// Numbers the write and tells the messages that wait for it.
    fn finish(&mut self) -> Outputs {
        let mut out = std::mem::take(&mut self.out);
        if let Some(write) = &mut out.write {
            write.number = self.writes.begin(self.log.last().index);
        }
        for outgoing in &mut out.messages {
            outgoing
                .after
                .take_if(|number| self.writes.is_durable(*number));
        }
        out
    }

    /// The write of this step.
    pub(crate) fn write(&mut self) -> &mut crate::Write {
        self.out.write.get_or_insert_default()
    }

    pub(crate) fn send(&mut self, after: After, to: NodeId, message: Message) {
        self.send_in_term(after, to, self.hard_state.term, message);
    }

    pub(crate) fn send_in_term(&mut self, after: After, to: NodeId, term: Term, message: Message) {
        let after = match after {
            After::Nothing => None,
            After::HardState => Some(self.writes.hard_state()),
            After::Everything if self.out.write.is_some() => Some(self.writes.next()),
            After::Everything => Some(self.writes.last()),
        };
        let envelope = Envelope {
            from: self.config.id,
            to,
            term,
            message,
        };
        self.out.messages.push(Outgoing { after, envelope });
    }

    pub(crate) fn set_hard_state(&mut self, hard_state: HardState) {
        if hard_state == self.hard_state {
            return;
        }
        self.hard_state = hard_state;
        self.writes.change_hard_state();
        self.write().hard_state = Some(hard_state);
    }

    /// A write is durable: what waited for it may count now.
    fn persisted(&mut self, number: WriteNumber) {
        self.writes.complete(number);
        if let Part::Leader(leader) = &mut self.part {
            let own = leader.progress_mut(self.config.id);
            own.matched(self.writes.stable(), &self.log);
            self.advance_commit();
        }
        self.count_own_vote();
        self.hand_out_committed();
    }

    /// Hands out what is committed and durable here. What is committed is durable on a majority, but not applying ahead of one's own log keeps
    /// the log ahead of the state machine.
    pub(crate) fn hand_out_committed(&mut self) {
        let last = self.committed.min(self.writes.stable());
        if last > self.applied {
            let entries = self.log.range(self.applied + 1, last).cloned();
            self.out.apply.extend(entries);
            self.applied = last;
        }
    }
}

/// What others may know of a server.
impl Core {
    /// This server.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.config.id
    }

    /// Term, vote and memory of loss, as decided, perhaps not yet durable.
    #[must_use]
    pub fn hard_state(&self) -> HardState {
        self.hard_state
    }

    /// The part it plays.
    #[must_use]
    pub fn role(&self) -> Role {
        match self.part {
            Part::Follower => Role::Follower,
            Part::PreCandidate(_) => Role::PreCandidate,
            Part::Candidate(_) => Role::Candidate,
            Part::Leader(_) => Role::Leader,
        }
    }

    /// Who leads this term, as far as it knows.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        self.leader
    }

    /// When it last heard from a leader, or when it started.
    #[must_use]
    pub fn heard_from_leader(&self) -> Time {
        self.heard_from_leader
    }

    /// What it knows to be committed.
    #[must_use]
    pub fn committed(&self) -> Index {
        self.committed
    }

    /// What it has handed out to be applied.
    #[must_use]
    pub fn applied(&self) -> Index {
        self.applied
    }

    /// What is committed and not handed out to be applied, as it is not durable here.
    pub fn unapplied(&self) -> impl Iterator<Item = &Entry> {
        self.log.range(self.applied + 1, self.committed)
    }

    /// Its log is durable up to here.
    #[must_use]
    pub fn durable(&self) -> Index {
        self.writes.stable()
    }

    /// The last entry of its log.
    #[must_use]
    pub fn last(&self) -> LogId {
        self.log.last()
    }

    /// The last entry that its log no longer holds.
    #[must_use]
    pub fn compacted(&self) -> LogId {
        self.log.start()
    }

    /// The term of the entry at `index`; `None` when it is compacted or not there.
    #[must_use]
    pub fn term_at(&self, index: Index) -> Option<Term> {
        self.log.term_at(index)
    }

    /// The entries that its log holds.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.log.entries()
    }

    /// The members that count now, committed or not, and the index of the entry that made them so.
    #[must_use]
    pub fn configuration(&self) -> (Index, &Configuration) {
        self.log.configuration()
    }

    /// The members as of `index`, which must not be compacted.
    #[must_use]
    pub fn configuration_at(&self, index: Index) -> &Configuration {
        self.log
            .configurations_since(index)
            .next()
            .expect("the first configuration is never dropped")
    }

    /// Of a leader: up to where each peer's log is known to be its own.
    pub fn matched(&self) -> impl Iterator<Item = (NodeId, Index)> {
        self.progress().map(|peer| (peer.node, peer.matched))
    }

    /// Of a leader: what it knows of each member, itself among them.
    pub fn progress(&self) -> impl Iterator<Item = PeerProgress> {
        let leader = match &self.part {
            Part::Leader(leader) => Some(leader),
            _ => None,
        };
        leader.into_iter().flat_map(|leader| {
            leader
                .progress
                .iter()
                .map(|(&node, progress)| PeerProgress {
                    node,
                    matched: progress.matched,
                    heard: progress.heard,
                })
        })
    }
}

/// What a leader knows of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerProgress {
    /// Which.
    pub node: NodeId,
    /// Up to where its log is known to be the leader's.
    pub matched: Index,
    /// When it was last heard.
    pub heard: Time,
}
