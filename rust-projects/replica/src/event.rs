//! What goes into a replica and what comes out.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use raft::{
    Configuration, Envelope, Index, LogId, NodeId, Refused, Term, Time, Write, WriteNumber,
};
use wire::Reply;

use crate::changes::{Changes, Lead};
use crate::orders::{Declined, Order};
use crate::record::{Origin, Request};
use crate::registry::{Member, Registry};
use crate::staging::Staged;
use crate::stopping::Stop;

/// What time it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For timeouts: since an origin of this server's own, never back.
    pub time: Time,
    /// For expiry: the clock on the wall, in milliseconds since 1970. May be wrong and may jump.
    pub wall_ms: u64,
}

/// Names a client's request to the driver; never used twice.
pub type Client = u64;

/// Something that happened.
#[derive(Debug)]
pub enum Event {
    /// Time went by. Due at [`crate::Replica::deadline`].
    Tick,
    /// A peer sent this.
    Peer(NodeId, PeerMessage),
    /// A peer sent a snapshot; all of it is staged.
    Snapshot(Envelope, Staged),
    /// Clients want these applied. Answered in [`Actions::answers`].
    Write(Vec<(Client, Request)>),
    /// A client wants to know something that was true between now and the answer.
    Read(Client, Request),
    /// Somebody decided on what this leader has applied: apply the changes if that still holds. Answered with [`Answer::Done`],
    /// [`Answer::Stale`], [`Answer::Refused`] or, once leadership has ended, [`Answer::Unknown`].
    Decided(Vec<(Client, Changes)>),
    /// Somebody wants to decide, or to read, on what this server has applied: does it lead, and is everything applied that was committed
    /// before this question? Answered with [`Answer::Leads`] or [`Answer::Refused`].
    Lead(Client),
    /// All writes up to this number are durable.
    Persisted(WriteNumber),
    /// The engine was synced, after [`Actions::flush`] asked for it, with everything up to this index.
    Flushed(Index),
    /// The transport is through with a snapshot.
    SnapshotSent {
        /// For whom it was.
        to: NodeId,
        /// Whether it got there.
        delivered: bool,
    },
    /// Change the members to these.
    Change {
        /// Who asks.
        client: Client,
        /// Who shall vote.
        voters: BTreeSet<NodeId>,
        /// Who shall only receive the log.
        learners: BTreeSet<NodeId>,
    },
    /// Hand leadership over.
    Transfer {
        /// Who asks.
        client: Client,
        /// To this voter.
        to: NodeId,
    },
    /// An operator asks for something.
    Order(Client, Order),
    /// Hand leadership over and let what clients wait for end; [`Actions::stop`] says when to stop.
    Stop,
    /// A member of this cluster says that this server was removed from it.
    Removed,
}

/// What replicas tell each other.
#[derive(Clone, Debug, PartialEq)]
pub enum PeerMessage {
    /// The core's. With an `InstallSnapshot` the transport brings the data of [`crate::Replica::snapshot`].
    Raft(Envelope),
    /// A request for the leader.
    Forward {
        /// The term in which the receiver leads, as the sender has it: the request is for no other.
        term: Term,
        /// Names the request.
        origin: Origin,
        /// Counts what this start of the sender forwarded.
        attempt: u64,
        /// What to apply.
        request: Request,
    },
    /// This sending of a request was not proposed and never will be.
    NotProposed {
        /// The start of the server that sent it.
        boot: u64,
        /// Its request.
        sequence: u64,
        /// Which sending of it.
        attempt: u64,
        /// Why not.
        why: Refused,
    },
    /// Where the sender is, and what it runs.
    Announce(Member),
    /// The leader has applied the removal of the receiver.
    Removed,
}

/// What a client is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// One reply a command.
    Replies(Vec<Reply>),
    /// Done, as of this entry.
    Done(LogId),
    /// This server leads, and this is what it has applied.
    Leads(Lead),
    /// Not done: the region changed between decision and application.
    Stale,
    /// Not done, and will not be.
    Refused(Refused),
    /// An operator's order: not done, and will not be.
    Declined(Declined),
    /// Not done, and will not be: no leader was found in time.
    NoLeader,
    /// It may have been done, or still be: this server cannot tell.
    Unknown,
}

/// What the driver does after a step, in the order of the fields.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Actions {
    /// Append to the log on disk; answered with [`Event::Persisted`].
    pub write: Option<Write>,
    /// Send, each to this peer.
    pub messages: Vec<(NodeId, PeerMessage)>,
    /// Tell these clients.
    pub answers: Vec<(Client, Answer)>,
    /// Sync the machine's engine; answered with [`Event::Flushed`] and this index.
    pub flush: Option<Index>,
    /// The log on disk no longer needs what is up to this entry, as of which these are the members.
    pub purge: Option<(LogId, Configuration)>,
    /// Who is where, when that has changed.
    pub registry: Option<Arc<Registry>>,
    /// When the rest is done: stop.
    pub stop: Option<Stop>,
}

/// How a replica behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The core's.
    pub raft: raft::Config,
    /// What this server tells of itself, if it is to be known.
    pub member: Option<Member>,
    /// After how long without word a forwarded request, or a question, is sent again.
    pub retry: Duration,
    /// After how long a client is told that its request got nowhere.
    pub give_up: Duration,
    /// The engine is synced after this many bytes of entries were applied.
    pub flush_bytes: usize,
    /// The log is compacted when it holds this many bytes that are applied and flushed.
    pub compact_bytes: usize,
    /// Of those, so many are kept for peers that are a little behind.
    pub keep_bytes: usize,
    /// The log behind a snapshot that is on its way to a peer is kept, until the peer goes on from there or this many bytes follow it.
    pub pin_bytes: usize,
    /// How often the leader looks whether something has expired.
    pub expiry_interval: Duration,
    /// After how many entries replicas compare hashes.
    pub check_entries: u64,
    /// Requests are refused while more than so many entries are committed and not applied here.
    pub max_unapplied_entries: u64,
    /// And while these take more bytes than that.
    pub max_unapplied_bytes: usize,
}

impl Settings {
    /// Sensible values for server `id`.
    #[must_use]
    pub fn new(id: NodeId) -> Self {
        Self {
            raft: raft::Config::new(id),
            member: None,
            retry: Duration::from_millis(500),
            give_up: Duration::from_secs(5),
            flush_bytes: 32 << 20,
            compact_bytes: 64 << 20,
            keep_bytes: 16 << 20,
            pin_bytes: 256 << 20,
            expiry_interval: Duration::from_millis(100),
            check_entries: 10_000,
            max_unapplied_entries: 16_384,
            max_unapplied_bytes: 64 << 20,
        }
    }
}
