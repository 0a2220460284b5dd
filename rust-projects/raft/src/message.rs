//! What servers tell each other. Each message travels in an [`Envelope`] with its sender's term.
//!
//! Messages may be lost, delayed, reordered and duplicated. A leader's messages carry the peer's *session* and replies repeat
//! it: a server that was removed and added again has a new session, so old replies cannot be taken for its own.

use crate::{Entry, Index, LogId, NodeId, SnapshotMeta, Term};

/// A message on its way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Envelope {
    /// Who sent it.
    pub from: NodeId,
    /// For whom it is.
    pub to: NodeId,
    /// The sender's term; for [`Message::PreVote`] and a granted [`Message::PreVoteReply`] the term that is asked for.
    pub term: Term,
    /// What it says.
    pub message: Message,
}

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    /// Would you vote for me (thesis, 9.6)? Asked before a term is begun, so that a server that cannot win disturbs nobody.
    PreVote {
        /// The last entry of the sender's log.
        last: LogId,
    },
    /// The answer.
    PreVoteReply {
        /// Whether it would.
        granted: bool,
    },
    /// RequestVote (Figure 2).
    Vote {
        /// The last entry of the sender's log.
        last: LogId,
        /// The leader asked for this election (leadership transfer), so having heard from it lately is no reason to refuse.
        forced: bool,
    },
    /// The answer.
    VoteReply {
        /// Whether the vote was given.
        granted: bool,
    },
    /// AppendEntries (Figure 2).
    Append {
        /// The peer's session at the leader.
        session: u64,
        /// The entry before the first one sent.
        previous: LogId,
        /// What follows it; may be empty.
        entries: Vec<Entry>,
        /// What the leader knows to be committed.
        committed: Index,
    },
    /// The answer, sent when what it accepts is durable.
    AppendReply {
        /// As in the message answered.
        session: u64,
        /// What became of it.
        outcome: Appended,
    },
    /// I am the leader of this term.
    Heartbeat {
        /// The peer's session at the leader.
        session: u64,
        /// What is committed, of that which the peer is known to hold.
        committed: Index,
        /// Grows with each round of heartbeats; see [`crate::Input::Read`].
        round: u64,
    },
    /// The answer.
    HeartbeatReply {
        /// As in the message answered.
        session: u64,
        /// As in the message answered.
        round: u64,
    },
    /// InstallSnapshot (section 7). The transport delivers it once the snapshot's data is staged on the receiver.
    InstallSnapshot {
        /// The peer's session at the leader.
        session: u64,
        /// Which snapshot.
        snapshot: SnapshotMeta,
    },
    /// The receiver of a message from an earlier term is in this envelope's term.
    StaleTerm,
    /// Leadership transfer (thesis, 3.10): begin an election at once.
    TimeoutNow,
    /// A follower asks up to where it must have applied to answer a read (thesis, 6.4).
    ReadIndex {
        /// The follower's name for the question, never used twice.
        id: u64,
    },
    /// The answer.
    ReadIndexReply {
        /// As in the question.
        id: u64,
        /// The read may be answered once this is applied.
        index: Index,
    },
}

/// The outcome of an [`Message::Append`] or [`Message::InstallSnapshot`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Appended {
    /// The log is, durably, that of the leader up to here.
    Matched(Index),
    /// The log does not hold `previous`.
    Conflict {
        /// The index of the `previous` refused.
        previous: Index,
        /// The last entry of the receiver, at or below it, that the leader's log might hold.
        hint: LogId,
    },
}
