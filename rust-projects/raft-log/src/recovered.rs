//! What opening a log found.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use raft::{Configuration, Entry, HardState, LogId};

use crate::GroupId;

/// What opening a log found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// The groups, also damaged ones.
    pub groups: BTreeMap<GroupId, Group>,
    /// What was cut off the end of the log: bytes that no sync had returned for, as a crash leaves them.
    pub tail: Option<CutTail>,
    /// Damaged places below the last durable marker, whether or not a group lost anything by them.
    pub damage: Vec<Damage>,
    /// Of a group that is not in `groups`: if damaged, it may have been there, and may have voted.
    pub unlisted: Health,
}

impl Recovered {
    /// The health of a group, listed or not.
    pub fn health(&self, group: GroupId) -> &Health {
        self.groups
            .get(&group)
            .map_or(&self.unlisted, |group| &group.health)
    }
}

/// What the log holds of one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Term and vote; of a damaged group the latest that could be read.
    pub hard_state: HardState,
    /// Where the log begins: after this. `None` before the first purge and snapshot: at index 1.
    pub base: Option<Base>,
    /// The entries after it, one after the other; of a damaged group those before the damage.
    pub entries: Vec<Entry>,
    /// Whether this is all that the group had synced.
    pub health: Health,
}

/// Where the log of a group begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Base {
    /// The last entry that is not in the log any more.
    pub last: LogId,
    /// The members as of that entry.
    pub configuration: Configuration,
    /// The snapshot that the log was reset to; `None` after a purge.
    pub snapshot: Option<u64>,
}

/// Whether a group is what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// Everything that a sync returned for is there.
    Intact,
    /// Something that was durable is lost, perhaps a vote or an acknowledged entry of this group. The member must not
    /// vote and not count as having acknowledged anything, until it rejoined as a learner
    /// ([`crate::RaftLog::restart`]).
    Damaged(Damage),
}

/// A damaged place below the last durable marker.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// Offset of the first damaged byte.
    pub offset: u64,
    /// What does not hold there.
    pub what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        write!(
            f,
            "{path} is damaged at offset {}: {}",
            self.offset, self.what
        )
    }
}

/// What was cut off the end of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CutTail {
    /// The file.
    pub path: PathBuf,
    /// Where it was cut.
    pub offset: u64,
    /// How many bytes went.
    pub bytes: u64,
    /// What did not hold at the first of them.
    pub what: String,
}
