//! Leader Completeness: if a log entry is committed in a given term, then that entry will be present in the logs of the leaders for all
//! higher-numbered terms (Raft paper, Figure 3; section 5.4). And what it rests on: a leader takes as committed, by counting who holds it, only
//! an entry of its own term, and with it those before (section 5.4.2, Figure 8).

use raft::{Index, Role, Term};

use super::{Checked, Seen, broken};
use crate::counters::{Counters, Sometimes};

const NAME: &str = "leader completeness";

#[derive(Debug, Default)]
pub(super) struct LeaderCompleteness {
    /// By index, from 1: the entry's term, and the term of the leader that committed it.
    committed: Vec<(Term, Term)>,
}

impl LeaderCompleteness {
    pub(super) fn check(&mut self, seen: &Seen<'_>, counters: &mut Counters) -> Checked {
        if seen.newly_leads() {
            self.check_leader(seen)?;
        }
        for index in seen.before.committed + 1..=seen.after.committed {
            self.commit(seen, index, counters)?;
        }
        check_counted(seen)
    }

    fn known(&self, index: Index) -> Option<(Term, Term)> {
        let position = usize::try_from(index.checked_sub(1)?).ok()?;
        self.committed.get(position).copied()
    }

    fn check_leader(&self, seen: &Seen<'_>) -> Checked {
        let core = seen.replica.core();
        for index in core.compacted().index + 1..=self.committed.len() as u64 {
            let Some((entry, committer)) = self.known(index) else {
                break;
            };
            if committer < seen.after.term && core.term_at(index) != Some(entry) {
                return broken(
                    NAME,
                    format!(
                        "server {} leads term {} without entry {index} of term {entry}, committed in term {committer}",
                        seen.node, seen.after.term
                    ),
                );
            }
        }
        Ok(())
    }

    /// A server learnt that an entry is committed.
    fn commit(&mut self, seen: &Seen<'_>, index: Index, counters: &mut Counters) -> Checked {
        // Without the entry it came with a snapshot, and state machine safety looks at that.
        let Some(term) = seen.replica.core().term_at(index) else {
            return Ok(());
        };
        match self.known(index) {
            Some((known, _)) if known != term => broken(
                NAME,
                format!(
                    "server {} takes entry {index} of term {term} as committed, which is of term {known}",
                    seen.node
                ),
            ),
            Some(_) => Ok(()),
            None if index == self.committed.len() as u64 + 1 => {
                if term < seen.after.term {
                    counters.add(Sometimes::CommittedAcrossTerms);
                }
                self.committed.push((term, seen.after.term));
                Ok(())
            }
            None => broken(
                NAME,
                format!(
                    "server {} takes entry {index} as committed before any leader did",
                    seen.node
                ),
            ),
        }
    }
}

fn check_counted(seen: &Seen<'_>) -> Checked {
    let (before, after) = (&seen.before, &seen.after);
    if after.role != Role::Leader || after.committed == before.committed {
        return Ok(());
    }
    let entry = seen.replica.core().term_at(after.committed);
    if entry.is_some_and(|entry| entry != after.term) {
        return broken(
            NAME,
            format!(
                "server {} commits entry {} of an earlier term by counting in term {}",
                seen.node, after.committed, after.term
            ),
        );
    }
    Ok(())
}
