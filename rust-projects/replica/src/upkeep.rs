//! What has to be done now and then: expiry, flushing the engine, compacting the log, comparing hashes.

use std::collections::BTreeMap;

use raft::{Entry, Index, Input, LogId, NodeId, Time};

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
    /// Bytes of the entries in the log that are applied.
    log_bytes: usize,
    /// Behind which entries the log is kept, for whom: peers that a snapshot is on its way to, and that have yet to go on from there.
    pins: BTreeMap<NodeId, Index>,
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
            pins: BTreeMap::new(),
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

    /// What was proposed before may never be applied, and who gets which entries is another's business.
    pub(crate) fn leader_changed(&mut self) {
        self.proposed = 0;
        self.pins.clear();
    }

    /// A snapshot as of `last` leaves for a peer, which will need what follows it.
    pub(crate) fn pin(&mut self, peer: NodeId, last: Index) {
        self.pins.insert(peer, last);
    }

    /// The peer did not get its snapshot. One that got it goes on from the log, and is forgotten once it needs no more than others.
    pub(crate) fn unpin(&mut self, peer: NodeId) {
        self.pins.remove(&peer);
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
        self.upkeep.log_bytes = self.bytes_behind(0);
        // As the core: entries behind it would be missing. Its view would keep the engine from tidying up.
        self.snapshot
            .take_if(|snapshot| snapshot.meta.last.index < last.index);
        self.actions.purge = Some((last, configuration));
        Ok(())
    }

    /// The last entry that is flushed, not within the tail to be kept, and needed by nobody whom a snapshot was sent to.
    fn compaction_end(&mut self) -> Option<LogId> {
        let mut kept = 0;
        let from_end = self.core.entries().rev();
        let behind_tail = from_end
            .filter(|entry| {
                kept += entry.size();
                kept > self.settings.keep_bytes
            })
            .map(|entry| entry.id.index)
            .find(|&index| index <= self.upkeep.flushed.min(self.core.applied()))?;
        let end = self.pinned(behind_tail).unwrap_or(behind_tail);
        let term = self.core.term_at(end)?;
        (end > self.core.compacted().index).then(|| LogId::new(term, end))
    }

    /// The first of the pins before `end`, beyond which the log may not be compacted. Those that ask for too much are dropped, as are those of peers that
    /// have what is to be compacted.
    fn pinned(&mut self, end: Index) -> Option<Index> {
        let mut pins = std::mem::take(&mut self.upkeep.pins);
        let matched: BTreeMap<_, _> = self.core.matched().collect();
        pins.retain(|peer, pin| {
            let Some(matched) = matched.get(peer) else {
                return false;
            };
            *pin = (*pin).max(*matched);
            *pin < end && self.bytes_behind(*pin) <= self.settings.pin_bytes
        });
        self.upkeep.pins = pins;
        self.upkeep.pins.values().min().copied()
    }

    /// Bytes of the applied entries in the log behind `index`.
    fn bytes_behind(&self, index: Index) -> usize {
        let applied = self.core.applied();
        let entries = self.core.entries().rev();
        entries
            .skip_while(|entry| entry.id.index > applied)
            .take_while(|entry| entry.id.index > index)
            .map(Entry::size)
            .sum()
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
