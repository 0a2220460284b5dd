//! What only a leader has: the peers' progress, reads that wait, a transfer under way.

use std::collections::BTreeMap;

use crate::progress::Progress;
use crate::reads::Reads;
use crate::{Configuration, Index, NodeId, Time};

/// Volatile state on leaders (Figure 2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Leader {
    /// Of every member and of this server itself.
    pub(crate) progress: BTreeMap<NodeId, Progress>,
    /// The first entry of its term; once that is committed, so is all before it (section 8).
    pub(crate) first_of_term: Index,
    pub(crate) heartbeat_deadline: Time,
    /// The last round of heartbeats that the clock began.
    pub(crate) timed_round: u64,
    /// Bytes of entries that are not committed.
    pub(crate) uncommitted_bytes: usize,
    pub(crate) reads: Reads,
    pub(crate) transfer: Option<Transfer>,
}

/// Leadership is being handed over (thesis, 3.10).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Transfer {
    pub(crate) to: NodeId,
    /// Given up then.
    pub(crate) deadline: Time,
    /// The peer was told.
    pub(crate) told: bool,
}

impl Leader {
    pub(crate) fn progress_mut(&mut self, node: NodeId) -> &mut Progress {
        self.progress
            .get_mut(&node)
            .expect("a leader keeps its own progress, member or not")
    }

    /// The peer with this session; none when it is no member, or the session is that of an earlier membership.
    pub(crate) fn peer(&mut self, node: NodeId, session: u64) -> Option<&mut Progress> {
        self.progress
            .get_mut(&node)
            .filter(|progress| progress.session == session)
    }

    /// Keeps the progress of those who stay, begins that of new members, forgets the others. `from` is the index of the entry that
    /// brought the configuration.
    pub(crate) fn follow_configuration(
        &mut self,
        configuration: &Configuration,
        from: Index,
        own: NodeId,
        next: Index,
        now: Time,
    ) {
        let mut old = std::mem::take(&mut self.progress);
        let members = configuration.members().chain([own]);
        self.progress = members
            .map(|node| {
                let progress = old.remove(&node);
                (
                    node,
                    progress.unwrap_or_else(|| Progress::new(from, next, now)),
                )
            })
            .collect();
    }
}
