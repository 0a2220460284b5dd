//! Log Matching: if two logs contain an entry with the same index and term, then the logs are identical in all entries up through the
//! given index (Raft paper, Figure 3; section 5.3). By induction it is enough that such entries are equal and follow equal ones.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use raft::{LogId, Payload};

use super::{Checked, Seen, broken};

#[derive(Debug, Default)]
pub(super) struct LogMatching {
    /// Of every entry ever written: a hash of what it says, and the entry before it.
    entries: BTreeMap<LogId, (u64, LogId)>,
}

impl LogMatching {
    pub(super) fn check(&mut self, seen: &Seen<'_>) -> Checked {
        let Some(write) = &seen.actions.write else {
            return Ok(());
        };
        let Some(first) = write.entries.first() else {
            return Ok(());
        };
        let before = first.id.index - 1;
        let Some(term) = seen.replica.core().term_at(before) else {
            return Ok(());
        };
        let mut previous = LogId::new(term, before);
        for entry in &write.entries {
            if entry.id.index != previous.index + 1 || entry.id.term < previous.term {
                return broken(
                    "log matching",
                    format!("server {}: {:?} follows {previous:?}", seen.node, entry.id),
                );
            }
            let this = (hash(&entry.payload), previous);
            let known = *self.entries.entry(entry.id).or_insert(this);
            if known != this {
                return broken(
                    "log matching",
                    format!(
                        "server {}: {:?} differs from the one known before",
                        seen.node, entry.id
                    ),
                );
            }
            previous = entry.id;
        }
        Ok(())
    }
}

fn hash(payload: &Payload) -> u64 {
    // A fixed key, so the same in every run.
    let mut hasher = DefaultHasher::new();
    payload.hash(&mut hasher);
    hasher.finish()
}
