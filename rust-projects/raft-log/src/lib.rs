//! The Raft log on disk: one log, and one sync, for all groups of a node.
//!
//! # What it is
//!
//! What a member of a Raft group must not forget: its hard state, the entries of its log, and where that log begins
//! (Raft paper, figure 2 and section 7). [`RaftLog`] keeps them for any number of groups in one directory of segments,
//! on the layer [`storage::log`]; `docs/format-raft-log.md` draws the bytes.
//!
//! # What it guarantees
//!
//! - What [`RaftLog::append`] took is there after power loss once a later [`RaftLog::sync`] returned, and a batch for
//!   several groups is there whole or not at all. Without the sync it may be there or not, but never without all that
//!   was appended before it.
//! - Damage below the last durable marker is reported, and each group that it may have touched with it
//!   ([`Health::Damaged`]): such a voter may have forgotten a vote or an acknowledged entry. Until it is begun anew
//!   ([`RaftLog::restart`]) the log takes nothing more of that group, also after another crash.
//! - A failed write or sync poisons the log; it is never tried again (bug class S1).
//! - A full disk is noticed before a frame is written, and leaves room for what frees space.
//!
//! # What it does not
//!
//! It knows nothing of leaders and commits, decides no purge, and reads nothing back after opening: the core keeps the
//! entries that are not purged in memory. Damage in what was synced last before a crash looks like a torn tail, since
//! no later frame vouches for it (*Protocol-Aware Recovery*, FAST 2018, section 3.3.3); it is cut and reported.
//!
//! # How it works
//!
//! ```text
//!   0000000001.segment    [header | state | batch | batch | batch | footer]      sealed, synced
//!   0000000002.segment    [header | state | batch | batch |      ]               active
//!                                    |       '- 1: vote; 7: entries 12..14; 9: purge up to 30
//!                                    '- of every group: hard state, where its log begins and ends, number of its last batch
//!   0000000003.segment    [header                                ]               created ahead
//! ```
//!
//! A file goes once no group has entries in it; what else it said, the state in front of the next file says too.
//! Batches are numbered without gaps, and each record names the batch of the group's previous one. So whatever is lost
//! between two intact frames shows as a gap, and the first later record of a group tells whether it was concerned.

mod error;
mod group;
mod log;
mod open;
mod options;
mod reclaim;
mod record;
mod recovered;
mod replay;
mod segments;

pub use error::{Error, Result};
pub use log::{RaftLog, Stats};
pub use options::Options;
pub use record::FORMAT;
pub use recovered::{Base, CutTail, Damage, Group, Health, Recovered};

/// Names a Raft group of the node.
pub type GroupId = u64;
