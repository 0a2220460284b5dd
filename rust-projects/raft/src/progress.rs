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
