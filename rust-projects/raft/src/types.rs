//! The words of the paper as types: terms, indexes, entries, and what has to be on disk.

use bytes::Bytes;

use crate::Configuration;

/// A server. Numbers are given by whoever runs the cluster and never used twice.
pub type NodeId = u64;
/// A term (section 5.1): at most one leader each. 0 before the first election.
pub type Term = u64;
/// A position in the log, from 1. 0 is "before the first entry".
pub type Index = u64;
/// Names one [`Write`]; they are numbered from 1 in the order in which they must reach the disk.
pub type WriteNumber = u64;

/// Term and index of an entry. Two logs that hold an entry of one id are equal up to it (Log Matching, section 5.3).
///
/// The order is that of "at least as up-to-date" (section 5.4.1): term first, then index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId {
    /// Term of the leader that made the entry.
    pub term: Term,
    /// Its position.
    pub index: Index,
}

impl LogId {
    /// The id of the entry at `index` made in `term`.
    #[must_use]
    pub fn new(term: Term, index: Index) -> Self {
        Self { term, index }
    }
}

/// What a server must remember across a crash besides its log (Figure 2, "persistent state").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct HardState {
    /// The latest term seen.
    pub term: Term,
    /// Who got this server's vote in that term.
    pub voted_for: Option<NodeId>,
}

/// What an entry carries.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Payload {
    /// Nothing: the first entry of each leader, whose commitment commits all before it (section 8).
    Noop,
    /// A command for the state machine; the core does not look into it.
    Command(Bytes),
    /// The configuration that counts from this entry on (section 6).
    Configuration(Configuration),
}

impl Payload {
    /// Bytes that the payload takes in a message, roughly: what flow control counts.
    #[must_use]
    pub fn size(&self) -> usize {
        match self {
            Self::Noop => 0,
            Self::Command(bytes) => bytes.len(),
            Self::Configuration(configuration) => 8 * configuration.members().count(),
        }
    }
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Its term and index.
    pub id: LogId,
    /// What it says.
    pub payload: Payload,
}

impl Entry {
    /// Bytes of memory and message that flow control counts for the entry.
    #[must_use]
    pub fn size(&self) -> usize {
        // Term, index and kind.
        24 + self.payload.size()
    }
}

/// A snapshot of the state machine as the core knows it; the state machine owns the files.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SnapshotMeta {
    /// Names the files to whoever owns them.
    pub id: u64,
    /// The last entry that the state contains.
    pub last: LogId,
    /// The configuration as of that entry.
    pub configuration: Configuration,
}

/// What has to reach the disk, in one piece and after all writes of lower numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Write {
    /// Completions and the messages that wait for it name it by this.
    pub number: WriteNumber,
    /// The new term and vote, if they changed.
    pub hard_state: Option<HardState>,
    /// The log now starts after this snapshot's last entry; all entries held before are gone.
    pub snapshot: Option<SnapshotMeta>,
    /// Consecutive entries. What the disk holds at the first one's index and behind it is overwritten.
    pub entries: Vec<Entry>,
}

impl Write {
    /// Whether nothing has to be written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hard_state.is_none() && self.snapshot.is_none() && self.entries.is_empty()
    }
}
