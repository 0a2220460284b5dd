//! What goes into the core and what comes out.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;

use crate::{ChangeError, Entry, Envelope, Index, LogId, NodeId, SnapshotMeta, Write, WriteNumber};

/// A point in time: how long after an origin that the caller chose and never changes.
pub type Time = Duration;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// Time went by. Due at [`crate::Core::deadline`].
    Tick,
    /// A message arrived.
    Message(Envelope),
    /// Append these commands, if this is the leader. Answered in [`Outputs::proposed`].
    Propose(Vec<Bytes>),
    /// Change the members to these. Answered in [`Outputs::proposed`].
    Change {
        /// Who shall vote.
        voters: BTreeSet<NodeId>,
        /// Who shall only receive the log.
        learners: BTreeSet<NodeId>,
    },
    /// From which index on does a read that begins now see every write acknowledged before it (thesis, 6.4)? Answered, perhaps
    /// later and on any server, in [`Outputs::reads`].
    Read {
        /// The caller's name for the question, never used twice, not even when it is asked again.
        id: u64,
    },
    /// Hand leadership to this voter. Refusals come in [`Outputs::proposed`].
    Transfer(NodeId),
    /// All writes up to this number are durable. May come late, and for several at once.
    Persisted(WriteNumber),
    /// The state machine has a snapshot that can be sent.
    SnapshotTaken(SnapshotMeta),
    /// The transport is through with bringing a snapshot to a peer. Every [`crate::Message::InstallSnapshot`] that was to be sent needs one.
    SnapshotSent {
        /// Which peer.
        to: NodeId,
        /// Whether the peer's server was given it.
        delivered: bool,
    },
    /// Forget the log up to this index, which must be applied.
    Compact(Index),
    /// Begin an election now, whatever the clock says: for tests and model checking.
    Campaign,
    /// Send heartbeats now, whatever the clock says: for tests and model checking.
    Heartbeat,
}

/// A message and when it may leave.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Outgoing {
    /// Send once this write is durable; at once if there is none.
    pub after: Option<WriteNumber>,
    /// What to send.
    pub envelope: Envelope,
}

/// The answer to a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReadState {
    /// As in [`Input::Read`].
    pub id: u64,
    /// The read may be answered once this index is applied; `None` when there is no leader to ask, or leadership was lost
    /// while it waited: ask again.
    pub index: Option<Index>,
}

/// Why something was not done. Nothing of it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refused {
    /// This server is not the leader; that one may be.
    #[error("this server is not the leader")]
    NotLeader(Option<NodeId>),
    /// Too many bytes wait to be committed.
    #[error("too many bytes wait to be committed; try again later")]
    Busy,
    /// Leadership is being handed to this server.
    #[error("leadership is being handed to server {0}")]
    Transferring(NodeId),
    /// The members cannot be changed like this, or not yet.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// Leadership can only be handed to another voter.
    #[error("server {0} is not another voter")]
    NotAVoter(NodeId),
}

/// What the caller has to do after a step, in this order of fields, except that nothing has to wait for the disk but what says so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Outputs {
    /// To be made durable; answered with [`Input::Persisted`].
    pub write: Option<Write>,
    /// To be sent.
    pub messages: Vec<Outgoing>,
    /// The state machine is to be replaced by this snapshot, whose data is staged, before [`Outputs::write`] begins: the log may be behind
    /// the state machine after a crash, but never the other way round.
    pub install: Option<SnapshotMeta>,
    /// Committed entries to be applied, each once and in order.
    pub apply: Vec<Entry>,
    /// Reads that were answered.
    pub reads: Vec<ReadState>,
    /// What became of the proposal, change or transfer of this step: the id of its last entry.
    pub proposed: Option<Result<LogId, Refused>>,
    /// A peer needs entries that are forgotten, and there is no snapshot behind which the log continues: take one.
    pub snapshot_wanted: bool,
}
