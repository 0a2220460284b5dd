//! What the leader knows of one peer, and what it may send it next.
//!
//! ```text
//!   Probe ---- matched ----> Replicate       one message at a time until the logs are known to meet, then many under way
//!     ^ ^---- conflict ---------'  |
//!     |                            | what it needs is compacted
//!     '--- failed or arrived --- Snapshot
//! ```

use std::collections::VecDeque;

use crate::log::Log;
use crate::{Index, LogId, Message, SnapshotMeta, Time};

/// Bounds on what is under way to one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowControl {
    /// Most bytes of entries in one message; a single larger entry still goes.
    pub max_message_bytes: usize,
    /// Most bytes of entries under way.
    pub max_inflight_bytes: usize,
    /// Most messages with entries under way.
    pub max_inflight_messages: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum State {
    /// Looking for the place where the logs meet; `waiting` for the answer to the one message sent.
    Probe { waiting: bool },
    /// Sending ahead of the answers.
    Replicate,
    /// A snapshot that ends here is on its way.
    Snapshot(Index),
}

/// `nextIndex` and `matchIndex` of Figure 2, and flow control.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Progress {
    /// Names this membership of the peer: the index of the configuration that brought it. A server that is removed and
    /// added again within a term must not inherit the replies of its former life.
    pub(crate) session: u64,
    /// The peer's log is durably ours up to here.
    pub(crate) matched: Index,
    /// The first entry to send.
    pub(crate) next: Index,
    pub(crate) state: State,
    /// Last index and bytes of each message under way.
    inflight: VecDeque<(Index, usize)>,
    /// The latest round of heartbeats that the peer answered.
    pub(crate) round: u64,
    /// When the peer was last heard.
    pub(crate) heard: Time,
}

impl Progress {
    pub(crate) fn new(session: u64, next: Index, now: Time) -> Self {
        Self {
            session,
            matched: 0,
            next,
            state: State::Probe { waiting: false },
            inflight: VecDeque::new(),
            round: 0,
            heard: now,
        }
    }

    /// The next message for the peer, if it may have one now. An empty one goes out when `probe` asks for it: it tells the
    /// commit index, and its refusal tells of messages that were lost.
    pub(crate) fn next_message(
        &mut self,
        log: &Log,
        committed: Index,
        flow: &FlowControl,
        snapshot: Option<&SnapshotMeta>,
        probe: bool,
    ) -> Next {
        if self.is_full(flow) {
            return Next::Nothing;
        }
        let previous_index = self.next - 1;
        let Some(previous_term) = log.term_at(previous_index) else {
            return self.next_snapshot(log, snapshot);
        };
        let entries = log.slice(self.next, flow.max_message_bytes);
        let Some(last) = entries.last().map(|entry| entry.id.index) else {
            return if probe || matches!(self.state, State::Probe { .. }) {
                self.sent(previous_index, 0);
                self.append(
                    LogId::new(previous_term, previous_index),
                    entries,
                    committed,
                )
            } else {
                Next::Nothing
            };
        };
        self.sent(last, entries.iter().map(crate::Entry::size).sum());
        self.append(
            LogId::new(previous_term, previous_index),
            entries,
            committed,
        )
    }

    fn append(&self, previous: LogId, entries: Vec<crate::Entry>, committed: Index) -> Next {
        Next::Message(Message::Append {
            session: self.session,
            previous,
            entries,
            committed,
        })
    }

    fn next_snapshot(&mut self, log: &Log, snapshot: Option<&SnapshotMeta>) -> Next {
        match snapshot {
            Some(snapshot) if snapshot.last.index >= log.start().index => {
                self.state = State::Snapshot(snapshot.last.index);
                self.inflight.clear();
                Next::Message(Message::InstallSnapshot {
                    session: self.session,
                    snapshot: snapshot.clone(),
                })
            }
            _ => Next::SnapshotWanted,
        }
    }

    fn is_full(&self, flow: &FlowControl) -> bool {
        match self.state {
            State::Probe { waiting } => waiting,
            State::Snapshot(_) => true,
            State::Replicate => {
                self.inflight.len() >= flow.max_inflight_messages
                    || self.inflight_bytes() >= flow.max_inflight_bytes
            }
        }
    }

    fn inflight_bytes(&self) -> usize {
        self.inflight.iter().map(|&(_, bytes)| bytes).sum()
    }

    fn sent(&mut self, last: Index, bytes: usize) {
        match &mut self.state {
            State::Probe { waiting } => *waiting = true,
            State::Replicate => {
                self.next = last + 1;
                if bytes > 0 {
                    self.inflight.push_back((last, bytes));
                }
            }
            State::Snapshot(_) => {}
        }
    }

    /// The peer's log is ours up to `index`. Whether that is news.
    pub(crate) fn matched(&mut self, index: Index, log: &Log) -> bool {
        while self
            .inflight
            .front()
            .is_some_and(|&(last, _)| last <= index)
        {
            self.inflight.pop_front();
        }
        let news = index > self.matched;
        self.matched = self.matched.max(index);
        self.next = self.next.max(self.matched + 1);
        match self.state {
            State::Probe { .. } => self.replicate(),
            State::Snapshot(_) if self.matched >= log.start().index => self.replicate(),
            State::Snapshot(_) | State::Replicate => {}
        }
        news
    }

    fn replicate(&mut self) {
        self.state = State::Replicate;
        self.inflight.clear();
        self.next = self.matched + 1;
    }

    /// The peer refused `previous`. Old refusals, of what it has accepted since or of a message that is not the one under way, are
    /// ignored.
    pub(crate) fn conflict(&mut self, previous: Index, hint: LogId, log: &Log) {
        let next = match self.state {
            State::Replicate if previous > self.matched => self.matched + 1,
            State::Probe { .. } if previous == self.next - 1 => {
                let meeting = log.last_possible_match(hint.index.min(previous), hint.term);
                (meeting.index.min(hint.index) + 1).max(self.matched + 1)
            }
            _ => return,
        };
        // A peer that refuses what it has acknowledged forgot it. There is nothing better to send, so it is not asked at once again.
        let waiting = next > previous;
        self.next = next;
        self.state = State::Probe { waiting };
        self.inflight.clear();
    }

    /// The peer answers heartbeats, so a message that got no answer until now was lost, or waits for the peer's disk: one
    /// more may go.
    pub(crate) fn resume(&mut self, flow: &FlowControl) {
        let is_full = self.is_full(flow);
        match &mut self.state {
            State::Probe { waiting } => *waiting = false,
            State::Replicate if is_full => {
                self.inflight.pop_front();
            }
            State::Replicate | State::Snapshot(_) => {}
        }
    }

    /// Nobody works on bringing the snapshot to the peer any more. If it got there, the peer's answer may come yet, or be lost:
    /// the next message asks.
    pub(crate) fn snapshot_sent(&mut self, delivered: bool) {
        if let State::Snapshot(last) = self.state {
            let assumed = if delivered { last } else { 0 };
            self.state = State::Probe { waiting: true };
            self.next = self.matched.max(assumed) + 1;
        }
    }
}

/// What a peer gets next.
pub(crate) enum Next {
    Nothing,
    Message(Message),
    /// It needs what is compacted, and there is no snapshot to send.
    SnapshotWanted,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Configuration, Entry, Payload};

    const FLOW: FlowControl = FlowControl {
        max_message_bytes: 60,
        max_inflight_bytes: 150,
        max_inflight_messages: 4,
    };

    #[derive(Clone, Debug)]
    enum Step {
        /// The leader's log grows.
        Append,
        Compact(u64),
        Snapshot,
        /// What may be sent is.
        Send {
            probe: bool,
        },
        /// A message arrives; all may arrive out of order, twice or never.
        Deliver(prop::sample::Index),
        Answer(prop::sample::Index),
        Heartbeat,
        SnapshotSent(bool),
    }

    fn step() -> impl Strategy<Value = Step> {
        let any = any::<prop::sample::Index>;
        prop_oneof![
            4 => Just(Step::Append),
            1 => (0..4u64).prop_map(Step::Compact),
            1 => Just(Step::Snapshot),
            6 => prop::bool::ANY.prop_map(|probe| Step::Send { probe }),
            6 => any().prop_map(Step::Deliver),
            6 => any().prop_map(Step::Answer),
            3 => Just(Step::Heartbeat),
            1 => prop::bool::ANY.prop_map(Step::SnapshotSent),
        ]
    }

    enum Reply {
        Matched(Index),
        Conflict(Index, LogId),
    }

    /// A leader's log whose entry `n` is of term `n`, and a peer that holds a prefix of it and then something else, all durable at once.
    struct World {
        log: Log,
        progress: Progress,
        snapshot: Option<SnapshotMeta>,
        peer: Index,
        wire: Vec<Message>,
        replies: Vec<Reply>,
    }

    impl World {
        fn append(&mut self) {
            let next = self.log.last().index + 1;
            let id = LogId::new(next, next);
            self.log.push(Entry {
                id,
                payload: Payload::Noop,
            });
        }

        fn take_snapshot(&mut self) {
            let last = self.log.last();
            let configuration = Configuration::default();
            self.snapshot = Some(SnapshotMeta {
                id: last.index,
                last,
                configuration,
            });
        }

        fn send(&mut self, probe: bool) -> Result<(), TestCaseError> {
            let snapshot = self.snapshot.as_ref();
            if let Next::Message(message) = self
                .progress
                .next_message(&self.log, 0, &FLOW, snapshot, probe)
            {
                if let Message::Append {
                    previous, entries, ..
                } = &message
                {
                    prop_assert_eq!(self.log.term_at(previous.index), Some(previous.term));
                    let first = entries.first().map(|entry| entry.id.index);
                    prop_assert!(first.is_none_or(|first| first == previous.index + 1));
                    let bytes: usize = entries.iter().map(Entry::size).sum();
                    prop_assert!(bytes <= FLOW.max_message_bytes || entries.len() == 1);
                }
                self.wire.push(message);
            }
            Ok(())
        }

        fn deliver(&mut self, message: &Message) {
            match message {
                Message::Append {
                    previous, entries, ..
                } if previous.index <= self.peer => {
                    let sent = previous.index + entries.len() as u64;
                    self.peer = self.peer.max(sent);
                    self.replies.push(Reply::Matched(sent));
                }
                Message::Append { previous, .. } => {
                    let hint = LogId::new(self.peer, self.peer);
                    self.replies.push(Reply::Conflict(previous.index, hint));
                }
                Message::InstallSnapshot { snapshot, .. } => {
                    self.peer = self.peer.max(snapshot.last.index);
                    self.replies.push(Reply::Matched(self.peer));
                }
                _ => {}
            }
        }

        fn answer(&mut self, at: usize) {
            match self.replies[at] {
                Reply::Matched(index) => {
                    self.progress.matched(index, &self.log);
                }
                Reply::Conflict(previous, hint) => {
                    self.progress.conflict(previous, hint, &self.log);
                }
            }
        }

        fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
            match step {
                Step::Append => self.append(),
                Step::Compact(kept) => {
                    let index = self.log.last().index.saturating_sub(*kept);
                    if index > self.log.start().index {
                        self.log.compact(LogId::new(index, index));
                        self.snapshot
                            .take_if(|snapshot| snapshot.last.index < index);
                    }
                }
                Step::Snapshot => self.take_snapshot(),
                Step::Send { probe } => self.send(*probe)?,
                Step::Deliver(at) if !self.wire.is_empty() => {
                    let message = self.wire[at.index(self.wire.len())].clone();
                    self.deliver(&message);
                }
                Step::Answer(at) if !self.replies.is_empty() => {
                    self.answer(at.index(self.replies.len()));
                }
                Step::Deliver(_) | Step::Answer(_) => {}
                Step::Heartbeat => self.progress.resume(&FLOW),
                Step::SnapshotSent(delivered) => self.progress.snapshot_sent(*delivered),
            }
            Ok(())
        }
    }

    proptest! {
        #[test]
        fn whatever_is_lost_or_late_a_leader_never_overrates_a_peer_and_in_the_end_brings_it_everything(
            entries in 0..8u64,
            shared in 0..8u64,
            steps in prop::collection::vec(step(), 0..80),
        ) {
            let mut world = World {
                log: Log::new(LogId::default(), Configuration::default()),
                progress: Progress::new(0, entries + 1, Time::ZERO),
                snapshot: None,
                peer: shared.min(entries),
                wire: Vec::new(),
                replies: Vec::new(),
            };
            for _ in 0..entries {
                world.append();
            }
            let mut matched = 0;
            for step in &steps {
                world.take(step)?;
                let progress = &world.progress;
                prop_assert!(progress.matched <= world.peer, "matched is what the peer has");
                prop_assert!(progress.matched >= matched, "matched never falls");
                prop_assert!(progress.next > progress.matched);
                prop_assert!(progress.next <= world.log.last().index + 1);
                prop_assert!(progress.inflight.len() <= FLOW.max_inflight_messages);
                prop_assert!(progress.inflight_bytes() < FLOW.max_inflight_bytes + FLOW.max_message_bytes);
                matched = progress.matched;
            }
            // From now on nothing is lost.
            world.wire.clear();
            world.replies.clear();
            world.progress.snapshot_sent(false);
            world.take_snapshot();
            for _ in 0..200 {
                world.progress.resume(&FLOW);
                world.send(true)?;
                for message in std::mem::take(&mut world.wire) {
                    let transported = matches!(message, Message::InstallSnapshot { .. });
                    world.deliver(&message);
                    if transported {
                        world.progress.snapshot_sent(true);
                    }
                }
                for at in 0..world.replies.len() {
                    world.answer(at);
                }
                world.replies.clear();
            }
            prop_assert_eq!(world.progress.matched, world.log.last().index);
        }
    }
}
