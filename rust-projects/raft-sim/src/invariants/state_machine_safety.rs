//! State Machine Safety: if a server has applied a log entry at a given index to its state machine, no other server will ever apply a
//! different log entry for the same index (Raft paper, Figure 3; section 5.4.3). Together with Log Matching terms are enough to compare.

use std::collections::BTreeSet;

use raft::{Index, NodeId, Payload, Term};

use super::{Checked, Seen, broken};
use crate::counters::{Counters, Sometimes};

const NAME: &str = "state machine safety";

#[derive(Debug, Default)]
pub(super) struct StateMachineSafety {
    /// By index, from 1: the entry's term.
    applied: Vec<Term>,
    /// Requests in the applied log: node, boot, sequence.
    requests: BTreeSet<(NodeId, u64, u64)>,
}

impl StateMachineSafety {
    pub(super) fn check(&mut self, seen: &Seen<'_>, counters: &mut Counters) -> Checked {
        let (before, after) = (seen.before.applied, seen.after.applied);
        if after == before {
            return Ok(());
        }
        if after.index <= before.index {
            return broken(
                NAME,
                format!(
                    "server {} went back from {before:?} to {after:?}",
                    seen.node
                ),
            );
        }
        if after.index > seen.after.committed {
            return broken(
                NAME,
                format!(
                    "server {} applied {after:?} but knows only {} to be committed",
                    seen.node, seen.after.committed
                ),
            );
        }
        let core = seen.replica.core();
        for index in before.index + 1..after.index {
            if let Some(term) = core.term_at(index) {
                self.apply(seen, index, term)?;
            }
        }
        let known = self.applied.len();
        self.apply(seen, after.index, after.term)?;
        if self.applied.len() > known {
            self.count_retries(seen, before.index, counters);
        }
        Ok(())
    }

    /// The term of the entry applied at an index.
    pub(super) fn term_of(&self, index: Index) -> Option<Term> {
        let position = usize::try_from(index.checked_sub(1)?).ok()?;
        self.applied.get(position).copied()
    }

    fn apply(&mut self, seen: &Seen<'_>, index: Index, term: Term) -> Checked {
        let position = usize::try_from(index - 1).unwrap_or(usize::MAX);
        match self.applied.get(position) {
            Some(&known) if known == term => Ok(()),
            Some(&known) => broken(
                NAME,
                format!(
                    "server {} applied entry {index} of term {term}; another applied that of term {known}",
                    seen.node
                ),
            ),
            None if position == self.applied.len() => {
                self.applied.push(term);
                Ok(())
            }
            None => broken(
                NAME,
                format!(
                    "server {} applied entry {index} before what precedes it was",
                    seen.node
                ),
            ),
        }
    }

    /// Which of the entries that were applied for the first time repeat an earlier request.
    fn count_retries(&mut self, seen: &Seen<'_>, after: Index, counters: &mut Counters) {
        let core = seen.replica.core();
        let start = core.compacted().index;
        let skip = usize::try_from(after.saturating_sub(start)).unwrap_or(0);
        let last = seen.after.applied.index;
        let new = core.entries().skip(skip);
        for entry in new.take_while(|entry| entry.id.index <= last) {
            if let Payload::Command(command) = &entry.payload
                && let Some(origin) = replica::origin_of(command)
                && !self
                    .requests
                    .insert((origin.node, origin.boot, origin.sequence))
            {
                counters.add(Sometimes::Retried);
            }
        }
    }
}
