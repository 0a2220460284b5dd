//! Messages as they arrive: the rules on terms that hold for all of them (Figure 2, "Rules for Servers, All Servers").

use crate::core::{After, Core};
use crate::{Envelope, Message, NodeId, Term};

impl Message {
    /// Whether only the leader of the envelope's term sends this.
    fn is_from_leader(&self) -> bool {
        match self {
            Self::Append { .. }
            | Self::Heartbeat { .. }
            | Self::InstallSnapshot { .. }
            | Self::TimeoutNow
            | Self::ReadIndexReply { .. } => true,
            Self::PreVote { .. }
            | Self::PreVoteReply { .. }
            | Self::Vote { .. }
            | Self::VoteReply { .. }
            | Self::AppendReply { .. }
            | Self::HeartbeatReply { .. }
            | Self::StaleTerm
            | Self::ReadIndex { .. } => false,
        }
    }
}

impl Core {
    pub(crate) fn receive(&mut self, envelope: Envelope) {
        let Envelope {
            from,
            to,
            term,
            message,
        } = envelope;
        if to != self.config.id || from == to {
            return;
        }
        match message {
            Message::PreVote { .. } | Message::Vote { forced: false, .. }
                if self.hears_leader() => {}
            // The term of these is one that does not exist yet.
            Message::PreVote { last } => self.pre_vote_asked(from, term, last),
            Message::PreVoteReply { granted: true } => self.pre_vote_answered(from, term, true),
            _ if term < self.hard_state.term => self.refuse_stale(from, &message),
            _ => self.receive_in_term(from, term, message),
        }
    }

    /// A message of an earlier term. Its sender may be a leader that nobody follows any more: it learns so.
    fn refuse_stale(&mut self, from: NodeId, message: &Message) {
        if message.is_from_leader() {
            self.send(After::HardState, from, Message::StaleTerm);
        } else if let Message::Vote { .. } = message {
            self.send(
                After::HardState,
                from,
                Message::VoteReply { granted: false },
            );
        }
    }

    fn receive_in_term(&mut self, from: NodeId, term: Term, message: Message) {
        if term > self.hard_state.term {
            self.become_follower(term, None);
        }
        if message.is_from_leader() && !self.follow(from) {
            return;
        }
        match message {
            Message::PreVoteReply { granted } => self.pre_vote_answered(from, term, granted),
            Message::Vote { last, .. } => self.vote_asked(from, term, last),
            Message::VoteReply { granted } => self.vote_answered(from, granted),
            Message::Append {
                session,
                previous,
                entries,
                committed,
            } => self.append_asked(from, session, previous, entries, committed),
            Message::AppendReply { session, outcome } => {
                self.append_answered(from, session, outcome);
            }
            Message::Heartbeat {
                session,
                committed,
                round,
            } => self.heartbeat_asked(from, session, committed, round),
            Message::HeartbeatReply { session, round } => {
                self.heartbeat_answered(from, session, round);
            }
            Message::InstallSnapshot { session, snapshot } => {
                self.install_asked(from, session, snapshot);
            }
            Message::TimeoutNow if self.may_campaign() => self.stand(true),
            Message::ReadIndex { id } => self.read_index_asked(from, id),
            Message::ReadIndexReply { id, index } => self.read_index_answered(id, index),
            Message::PreVote { .. } | Message::StaleTerm | Message::TimeoutNow => {}
        }
    }

    /// The leader of this term speaks. False for a message that cannot be: a term has one leader (Election Safety), so a
    /// second one has a borrowed identity.
    fn follow(&mut self, leader: NodeId) -> bool {
        if self.leader.is_some_and(|known| known != leader) {
            return false;
        }
        self.become_follower(self.hard_state.term, Some(leader));
        self.heard_from_leader = self.now;
        self.postpone_election();
        true
    }
}
