//! What can go wrong, in terms of what the caller should do.

use std::path::PathBuf;

use crate::{Damage, GroupId};

/// The result of an operation of the log.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, in terms of what the caller should do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The caller asked for what no member of a group may do. Nothing was written; it is a bug of the caller.
    #[error("group {group}: {what}")]
    Invalid {
        /// The group.
        group: GroupId,
        /// What does not hold.
        what: &'static str,
    },
    /// The batch is larger than a frame may be. Nothing was written; split it.
    #[error("the batch takes {len} bytes, the limit is {max}")]
    BatchTooLarge {
        /// Encoded length of the batch in bytes.
        len: usize,
        /// Largest batch, in bytes.
        max: usize,
    },
    /// The group may have forgotten what it acknowledged. Nothing was written: it must not vote, and rejoins by
    /// [`crate::RaftLog::restart`].
    #[error("group {group} lost a part of its log ({damage}): it must rejoin as a learner")]
    GroupDamaged {
        /// The group.
        group: GroupId,
        /// Where.
        damage: Damage,
    },
    /// The disk is full. Nothing was written, and what was appended before stays. Purge groups, or free space in other
    /// ways, then append again.
    #[error(
        "no space left on the device of {path} for the next segment: purge groups or free some space, then append again"
    )]
    DiskFull {
        /// The directory.
        path: PathBuf,
    },
    /// A write or sync failed, so nobody knows what the disk holds. Open the log again; never retry.
    #[error("the log stopped after a failure ({cause}): open it again to see what the disk holds")]
    Poisoned {
        /// The first failure.
        cause: String,
    },
    /// A file below the last durable marker is damaged. Nothing was dropped: open the log again to see which groups are
    /// concerned.
    #[error("{0}: open the log again to see which groups are concerned")]
    Damaged(Damage),
    /// The file layer refused: the directory is in use, belongs to another or a newer version, or I/O failed.
    #[error(transparent)]
    Storage(#[from] storage::Error),
}
