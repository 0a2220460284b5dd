//! What has to be done now and then: expiry, flushing the engine, compacting the log, comparing hashes.

use raft::{Entry, Index, Input, LogId, Time};

use crate::machine::MachineError;
use crate::record::Body;
use crate::replica::Replica;

/// When what was done last.
#[derive(Debug)]
pub(crate) struct Upkeep {
    next_expiry_check: Time,
    /// The last proposal of ours that is not applied yet: one at a time is enough.
    proposed: Index,
    last_check: Index,
    unflushed_bytes: usize,
    flushing: bool,
    flushed: Index,
    /// Bytes of entries applied since the log was last compacted.
    log_bytes: usize,
}

impl Upkeep {
    pub(crate) fn new(applied: Index, now: Time) -> Self {
        Self {
            next_expiry_check: now,
            proposed: 0,
            last_check: applied,
            unflushed_bytes: 0,
            flushing: false,
            // What is on disk is no later than what was found there.
            flushed: 0,
            log_bytes: 0,
        }
    }

    /// None while a proposal waits to be applied: being applied is what ends that, not time.
    pub(crate) fn deadline(&self, is_leader: bool, applied: Index) -> Option<Time> {
        (is_leader && self.proposed <= applied).then_some(self.next_expiry_check)
    }

    pub(crate) fn applied(&mut self, entries: &[Entry]) {
        let bytes: usize = entries.iter().map(Entry::size).sum();
        self.unflushed_bytes += bytes;
        self.log_bytes += bytes;
    }

    /// What was proposed before may never be applied.
    pub(crate) fn leader_changed(&mut self) {
        self.proposed = 0;
    }

    /// A snapshot was installed, durably.
    pub(crate) fn installed(&mut self, index: Index) {
        self.flushed = index;
        self.log_bytes = 0;
    }
}

impl Replica {
    pub(crate) fn keep_up(&mut self) -> Result<(), MachineError> {
        let applied = self.machine.applied().index;
        if !self.upkeep.flushing && self.upkeep.unflushed_bytes >= self.settings.flush_bytes {
            self.upkeep.flushing = true;
            self.upkeep.unflushed_bytes = 0;
            self.actions.flush = Some(applied);
        }
        if !self.is_leader() || self.upkeep.proposed > applied {
            return Ok(());
        }
        if applied >= self.upkeep.last_check + self.settings.check_entries {
            self.upkeep.last_check = applied;
            let (at, noted) = self.machine.noted();
            self.propose_upkeep(Body::Check { at, noted })?;
        }
        if self.upkeep.next_expiry_check <= self.now.time {
            self.upkeep.next_expiry_check = self.now.time + self.settings.expiry_interval;
            let next = self.machine.next_expiry_ms()?;
            if next.is_some_and(|next| next < self.now.wall_ms) {
                self.propose_upkeep(Body::Advance)?;
            }
        }
        Ok(())
    }

    fn propose_upkeep(&mut self, body: Body) -> Result<(), MachineError> {
        // Refused: another time.
        if let Ok(LogId { index, .. }) = self.propose_records(vec![body])? {
            self.upkeep.proposed = index;
        }
        Ok(())
    }

    /// The engine holds everything up to `index` durably: the log may be compacted up to there.
    pub(crate) fn flushed(&mut self, index: Index) -> Result<(), MachineError> {
        self.upkeep.flushing = false;
        self.upkeep.flushed = self.upkeep.flushed.max(index);
        if self.upkeep.log_bytes < self.settings.compact_bytes {
            return Ok(());
        }
        let Some(last) = self.compaction_end() else {
            return Ok(());
        };
        let configuration = self.core.configuration_at(last.index).clone();
        self.drive(Input::Compact(last.index))?;
        self.upkeep.log_bytes = self.settings.keep_bytes;
        self.actions.purge = Some((last, configuration));
        Ok(())
    }

    /// The last entry that is flushed and not within the tail to be kept.
    fn compaction_end(&self) -> Option<LogId> {
        let mut kept = 0;
        let from_end = self.core.entries().rev();
        from_end
            .filter(|entry| {
                kept += entry.size();
                kept > self.settings.keep_bytes
            })
            .map(|entry| entry.id)
            .find(|id| id.index <= self.upkeep.flushed.min(self.core.applied()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use raft::{Configuration, Payload};
    use storage::MemoryEngine;

    use crate::machine::Machine;
    use crate::record::Record;

    use super::*;

    fn machine() -> Machine {
        Machine::open(
            Arc::new(MemoryEngine::new()),
            &Configuration::of_voters([1]),
        )
        .unwrap()
    }

    /// Applies a check as the entry at `index`.
    fn check(machine: &mut Machine, index: Index, at: Index, noted: u64) -> bool {
        let body = Body::Check { at, noted };
        let record = Record { stamp_ms: 1, body };
        let entry = Entry {
            id: LogId::new(1, index),
            payload: Payload::Command(record.encode()),
        };
        machine.apply(&[entry], 1, 1).is_ok()
    }

    /// A new leader does not know the last check of the one before, and compares with what both noted earlier.
    #[test]
    fn two_checks_proposed_from_the_same_knowledge_are_no_divergence() {
        let mut machine = machine();
        assert!(check(&mut machine, 1, 0, 0));
        let (at, noted) = machine.noted();
        assert!(check(&mut machine, 2, at, noted));
        assert!(check(&mut machine, 3, at, noted));
    }

    #[test]
    fn a_check_of_another_state_is_a_divergence() {
        let mut machine = machine();
        assert!(check(&mut machine, 1, 0, 0));
        let (at, noted) = machine.noted();
        assert!(!check(&mut machine, 2, at, noted ^ 1));
    }
}
