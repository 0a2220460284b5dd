//! Snapshots and compaction (section 7), as far as they concern the log: the state machine owns the data.

use crate::core::{After, Core, Part};
use crate::{Appended, Index, LogId, Message, NodeId, SnapshotMeta};

impl Core {
    /// A snapshot can be sent: to peers that wait for one, now.
    pub(crate) fn snapshot_taken(&mut self, snapshot: SnapshotMeta) {
        let is_newer = |held: &SnapshotMeta| snapshot.last.index > held.last.index;
        if self.snapshot.as_ref().is_none_or(is_newer) {
            self.snapshot = Some(snapshot);
            self.replicate();
        }
    }

    pub(crate) fn snapshot_sent(&mut self, peer: NodeId, delivered: bool) {
        if let Part::Leader(leader) = &mut self.part
            && let Some(progress) = leader.progress.get_mut(&peer)
        {
            progress.snapshot_sent(delivered);
        }
    }

    /// Forgets the log up to `index`, as far as it is applied.
    pub(crate) fn compact(&mut self, index: Index) {
        let index = index.min(self.applied);
        if index <= self.log.start().index {
            return;
        }
        let term = self
            .log
            .term_at(index)
            .expect("what is applied and not compacted is in the log");
        self.log.compact(LogId::new(term, index));
        self.snapshot
            .take_if(|snapshot| snapshot.last.index < index);
    }

    /// InstallSnapshot, receiver implementation (section 7). Its data is staged.
    pub(crate) fn install_asked(&mut self, from: NodeId, session: u64, snapshot: SnapshotMeta) {
        let last = snapshot.last;
        if last.index > self.committed {
            if self.log.holds(last) {
                // The log contains all of it: the state machine gets there by applying.
                self.commit_to(last.index);
            } else {
                self.log.reset(&snapshot);
                self.writes.reset(last.index);
                self.committed = last.index;
                self.applied = last.index;
                self.snapshot = None;
                self.write().snapshot = Some(snapshot.clone());
                self.out.install = Some(snapshot);
            }
        }
        let outcome = Appended::Matched(self.committed);
        self.send(
            After::Everything,
            from,
            Message::AppendReply { session, outcome },
        );
    }
}
