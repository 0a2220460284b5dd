//! What may happen next, and what comes of it.

use std::sync::Arc;

use bytes::Bytes;
use raft::{Envelope, Input, Message, NodeId, Outgoing, Outputs, Payload, Role, Term};
use stateright::{Model, Property};

use crate::disk::Server;
use crate::rules::{Event, Rule, Seen, elected, logs_match, majority, only_appended, truncated};
use crate::state::{Committed, Sent, State};

/// One step of the system.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// The server's election timeout passes.
    Campaign(NodeId),
    /// A message arrives.
    Deliver(Sent),
    /// A message arrives and will arrive again.
    Duplicate(Sent),
    /// A message is lost.
    Lose(Sent),
    /// The disk does the oldest writes.
    Sync(NodeId, usize),
    /// The core learns what the disk did.
    Tell(NodeId),
    /// The process dies, after so many of the writes under way, and starts again.
    Crash(NodeId, usize),
    /// A client's command reaches the leader.
    Propose(NodeId),
    /// A leader sends heartbeats.
    Heartbeat(NodeId),
    /// A client's read reaches the server.
    Read(NodeId),
    /// The state machine is flushed and the log compacted.
    Snapshot(NodeId),
}

/// The system, its bounds, and where it begins.
#[derive(Debug)]
pub struct RaftModel {
    /// Where it begins.
    pub start: State,
    /// No election begins a term beyond this.
    pub max_term: Term,
    /// Most messages under way.
    pub max_in_flight: usize,
    /// As in `raft::FlowControl`: zero for one entry a message.
    pub max_message_bytes: usize,
    /// Pre-vote by messages of its own. Otherwise the whole of it is one step, in which everybody is asked and only consent arrives: pre-votes
    /// change nothing but the candidate, so all that is lost are refusals that come late.
    pub pre_vote_messages: bool,
    /// The core learns of a write only some time after it is durable and the messages that waited for it have left.
    pub late_completions: bool,
    /// What happened.
    pub seen: Seen,
}

impl RaftModel {
    /// Carries out what a step of server `id`, which was `before`, asks for.
    fn carry_out(&self, state: &mut State, before: &Server, mut server: Server, out: Outputs) {
        let id = server.core.id();
        server.unsynced.extend(out.write);
        if let Some(snapshot) = out.install {
            self.seen.note(Event::Installed);
            server.applied = snapshot.last.index;
            server.disk.snapshot = Some(snapshot);
        }
        let mut applied = server.applied;
        for outgoing in out.messages {
            match outgoing.after {
                None => state.send(outgoing.envelope),
                Some(_) => server.held.push(outgoing),
            }
        }
        if !only_appended(before, &server) {
            state.breaks(Rule::LeaderAppendOnly);
        }
        if truncated(before, &server) {
            self.seen.note(Event::Truncated);
        }
        self.note_commit(state, before, &server);
        for entry in out.apply {
            let known = usize::try_from(applied).ok();
            let known = known.and_then(|index| state.committed.get(index));
            if entry.id.index != applied + 1 || known.is_none_or(|known| known.entry != entry) {
                state.breaks(Rule::StateMachineSafety);
            }
            applied += 1;
        }
        server.applied = applied;
        for read in out.reads {
            let Some(at) = state.reads.iter().position(|&(id, _)| id == read.id) else {
                state.breaks(Rule::ReadSafety);
                continue;
            };
            let (_, seen) = state.reads.remove(at);
            match read.index {
                Some(index) if index < seen => state.breaks(Rule::ReadSafety),
                Some(_) => self.seen.note(Event::ReadAnswered),
                None => self.seen.note(Event::ReadFailed),
            }
        }
        state.put(server);
        self.judge(state, before, id);
    }

    /// What the server knows to be committed joins what is known of it.
    fn note_commit(&self, state: &mut State, before: &Server, server: &Server) {
        let core = &server.core;
        let known = state.committed.len() as u64;
        for entry in core
            .entries()
            .filter(|entry| entry.id.index <= core.committed())
        {
            match state
                .committed
                .get(usize::try_from(entry.id.index - 1).unwrap_or(usize::MAX))
            {
                Some(committed) if committed.entry != *entry => {
                    state.breaks(Rule::CommittedNeverUndone);
                }
                Some(_) => {}
                None => {
                    state.committed.push(Committed {
                        entry: entry.clone(),
                        in_term: core.hard_state().term,
                    });
                    self.note_committed(entry, core.hard_state().term);
                }
            }
        }
        if core.committed() < before.core.committed()
            || core.committed() > state.committed.len() as u64
        {
            state.breaks(Rule::CommittedNeverUndone);
        }
        if core.committed() > known
            && before.core.role() == Role::Leader
            && before.core.hard_state().term == core.hard_state().term
        {
            let Some(last) = state.committed.last().map(|committed| committed.entry.id) else {
                return;
            };
            // As of the entry: the leader may have gone on to the next configuration in the same step.
            let configuration = core.configuration_at(last.index);
            let holds = |node| {
                let disk = if node == core.id() {
                    &server.disk
                } else {
                    &state.server(node).disk
                };
                disk.holds(last)
            };
            if !majority(configuration, holds) {
                state.breaks(Rule::CommittedIsDurable);
            }
        }
    }

    fn note_committed(&self, entry: &raft::Entry, in_term: Term) {
        if entry.id.term < in_term {
            self.seen.note(Event::OlderTermCommitted);
        }
        match &entry.payload {
            Payload::Noop => {}
            Payload::Command(_) => self.seen.note(Event::CommandCommitted),
            Payload::Configuration(new) if new.is_joint() => self.seen.note(Event::JointCommitted),
            Payload::Configuration(_) => self.seen.note(Event::ChangeCommitted),
        }
    }

    /// The rules on leaders and logs, after a step of server `id`.
    fn judge(&self, state: &mut State, before: &Server, id: NodeId) {
        let core = &state.server(id).core;
        let term = core.hard_state().term;
        let (was, is) = (before.core.role(), core.role());
        if was == Role::Leader && is != Role::Leader && before.core.hard_state().term == term {
            self.seen.note(Event::SteppedDown);
        }
        if is == Role::Leader && was != Role::Leader {
            self.seen.note(elected(term));
            let (_, configuration) = core.configuration();
            let votes = |node| {
                let held = state.server(node).disk.hard_state;
                held.term > term || held.term == term && held.voted_for == Some(id)
            };
            // The entry of the new leader counts for nothing yet: it carries no configuration.
            if !majority(configuration, votes) {
                state.breaks(Rule::VotesAreDurable);
            }
            match state.leaders.iter().find(|&&(led, _)| led == term) {
                Some(&(_, leader)) if leader != id => state.breaks(Rule::ElectionSafety),
                Some(_) => {}
                None => {
                    state.leaders.push((term, id));
                    state.leaders.sort_unstable();
                }
            }
        }
        if !leaders_are_complete(state) {
            state.breaks(Rule::LeaderCompleteness);
        }
        let own = state.server(id);
        if state
            .ids()
            .any(|other| other != id && !logs_match(own, state.server(other)))
        {
            state.breaks(Rule::LogMatching);
        }
    }

    pub(crate) fn input(&self, state: &mut State, id: NodeId, input: Input) {
        let before = Arc::clone(&state.servers[usize::try_from(id - 1).expect("servers are few")]);
        let mut server = before.value.clone();
        let out = server.step(input);
        self.carry_out(state, &before.value, server, out);
    }

    /// Pre-vote in one step. False if it was not won.
    fn campaign(&self, state: &mut State, id: NodeId) -> bool {
        if self.pre_vote_messages {
            self.input(state, id, Input::Campaign);
            return true;
        }
        let before = state.server(id).clone();
        let mut server = before.clone();
        let mut out = server.step(Input::Campaign);
        if server.core.role() == Role::PreCandidate {
            let mut reads = std::mem::take(&mut out.reads);
            for Outgoing { envelope, .. } in std::mem::take(&mut out.messages) {
                let mut peer = state.server(envelope.to).clone();
                let reply = peer.step(Input::Message(envelope)).messages.pop();
                if server.core.role() == Role::PreCandidate
                    && let Some(Outgoing { envelope, .. }) = reply
                    && let Message::PreVoteReply { granted: true } = envelope.message
                {
                    out = server.step(Input::Message(envelope));
                }
            }
            reads.append(&mut out.reads);
            out.reads = reads;
        }
        if server.core.role() != Role::Candidate {
            return false;
        }
        self.carry_out(state, &before, server, out);
        true
    }

    /// The transport tells the sender what became of a snapshot.
    fn snapshot_sent(&self, state: &mut State, envelope: &Envelope, delivered: bool) {
        if let Message::InstallSnapshot { .. } = envelope.message {
            let to = envelope.to;
            self.input(state, envelope.from, Input::SnapshotSent { to, delivered });
        }
    }

    fn sync(&self, state: &mut State, id: NodeId, count: usize) {
        let mut server = state.server(id).clone();
        let (free, whole) = server.sync(count);
        state.put(server);
        for outgoing in free {
            state.send(outgoing.envelope);
        }
        if !whole {
            state.breaks(Rule::NoGap);
        }
        if !self.late_completions {
            self.tell(state, id);
        }
    }

    fn tell(&self, state: &mut State, id: NodeId) {
        let mut server = state.server(id).clone();
        if let Some(number) = server.untold.take() {
            let before = server.clone();
            let out = server.step(Input::Persisted(number));
            self.carry_out(state, &before, server, out);
        }
    }

    fn crash(&self, state: &mut State, id: NodeId, survive: usize) {
        let mut server = state.server(id).clone();
        let lost = server.unsynced.len() > survive;
        self.seen.note(if lost {
            Event::WriteLost
        } else {
            Event::CleanCrash
        });
        if !server.crash(survive, self.max_message_bytes) {
            state.breaks(Rule::NoGap);
        }
        let snapshot = server.disk.snapshot.clone();
        state.put(server);
        // Its clients ask again, under other names.
        state.reads.retain(|&(read, _)| read >> 8 != id);
        if let Some(snapshot) = snapshot {
            self.input(state, id, Input::SnapshotTaken(snapshot));
        }
    }

    fn snapshot(&self, state: &mut State, id: NodeId) {
        let mut server = state.server(id).clone();
        if let Some(meta) = server.take_snapshot() {
            let index = meta.last.index;
            state.put(server);
            self.input(state, id, Input::SnapshotTaken(meta));
            self.input(state, id, Input::Compact(index));
        }
    }

    fn actions_of(&self, state: &State, id: NodeId, actions: &mut Vec<Action>) {
        let server = state.server(id);
        let left = &state.left;
        let writes = server.unsynced.len();
        if left.crashes > 0 {
            actions.extend((0..=writes).map(|survive| Action::Crash(id, survive)));
        }
        let (role, term) = (server.core.role(), server.core.hard_state().term);
        if role == Role::Leader {
            if left.commands > 0 {
                actions.push(Action::Propose(id));
            }
            if left.heartbeats > 0 {
                actions.push(Action::Heartbeat(id));
            }
        } else if term < self.max_term && (id == 1 || !is_founded_only(state)) {
            actions.push(Action::Campaign(id));
        }
        if left.reads > 0 {
            actions.push(Action::Read(id));
        }
        if left.snapshots > 0 && server.applied > server.disk.compacted.index {
            actions.push(Action::Snapshot(id));
        }
        actions.extend((1..=writes).map(|count| Action::Sync(id, count)));
        if server.untold.is_some() {
            actions.push(Action::Tell(id));
        }
    }
}

/// Whether nothing has happened yet. All servers are alike then, so the first to stand for election may be called number 1.
fn is_founded_only(state: &State) -> bool {
    state.servers.iter().all(|server| {
        server.value.core.hard_state().term == 0 && server.value.core.role() == Role::Follower
    })
}

fn leaders_are_complete(state: &State) -> bool {
    let leaders = state.servers.iter().map(|server| &server.value.core);
    let mut leaders = leaders.filter(|core| core.role() == Role::Leader);
    leaders.all(|core| {
        state.committed.iter().all(|committed| {
            let id = committed.entry.id;
            committed.in_term > core.hard_state().term
                || id.index < core.compacted().index
                || core.term_at(id.index) == Some(id.term)
        })
    })
}

impl Model for RaftModel {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.start.clone()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.broken.is_some() {
            return;
        }
        // A message that is never delivered is as good as lost, so losses are only needed to make room.
        if state.wire.len() > self.max_in_flight {
            actions.extend(state.wire.iter().cloned().map(Action::Lose));
            return;
        }
        // Depth first takes the last one first. What there is little of comes first here, so that it is tried late, and in all states.
        for id in state.ids() {
            self.actions_of(state, id, actions);
        }
        if state.left.duplicates > 0 {
            actions.extend(state.wire.iter().cloned().map(Action::Duplicate));
        }
        actions.extend(state.wire.iter().cloned().map(Action::Deliver));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Campaign(id) => {
                if !self.campaign(&mut state, id) {
                    return None;
                }
            }
            Action::Deliver(sent) => {
                state.remove(&sent);
                self.snapshot_sent(&mut state, &sent.value, true);
                self.input(
                    &mut state,
                    sent.value.to,
                    Input::Message(sent.value.clone()),
                );
            }
            Action::Duplicate(sent) => {
                state.left.duplicates -= 1;
                self.seen.note(Event::Duplicated);
                self.input(
                    &mut state,
                    sent.value.to,
                    Input::Message(sent.value.clone()),
                );
            }
            Action::Lose(sent) => {
                state.remove(&sent);
                self.seen.note(Event::Lost);
                self.snapshot_sent(&mut state, &sent.value, false);
            }
            Action::Sync(id, count) => self.sync(&mut state, id, count),
            Action::Tell(id) => self.tell(&mut state, id),
            Action::Crash(id, survive) => {
                state.left.crashes -= 1;
                self.crash(&mut state, id, survive);
            }
            Action::Propose(id) => {
                let command = Bytes::copy_from_slice(&[state.left.commands]);
                state.left.commands -= 1;
                self.input(&mut state, id, Input::Propose(vec![command]));
            }
            Action::Heartbeat(id) => {
                state.left.heartbeats -= 1;
                self.input(&mut state, id, Input::Heartbeat);
            }
            Action::Read(id) => {
                let read = id << 8 | u64::from(state.left.reads);
                state.left.reads -= 1;
                state.reads.push((read, state.committed.len() as u64));
                self.input(&mut state, id, Input::Read { id: read });
            }
            Action::Snapshot(id) => {
                state.left.snapshots -= 1;
                self.snapshot(&mut state, id);
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        fn holds<const RULE: usize>(_: &RaftModel, state: &State) -> bool {
            state.broken != Some(Rule::ALL[RULE])
        }
        vec![
            Property::always("Election Safety", holds::<0>),
            Property::always("Leader Append-Only", holds::<1>),
            Property::always("Log Matching", holds::<2>),
            Property::always("Leader Completeness", holds::<3>),
            Property::always("State Machine Safety", holds::<4>),
            Property::always("what is committed is never undone", holds::<5>),
            Property::always("what is committed is durable", holds::<6>),
            Property::always("votes are durable", holds::<7>),
            Property::always("reads see what was committed before", holds::<8>),
            Property::always("the log has no gap", holds::<9>),
        ]
    }
}
