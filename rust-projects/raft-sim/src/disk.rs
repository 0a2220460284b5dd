//! The disk that holds a server's Raft log.
//!
//! Time is the cluster's business: it decides when a sync is done and when the server learns of it. A disk decides what is there
//! after a crash.

use std::collections::VecDeque;

use raft::{Configuration, LogId, SnapshotMeta, Write, WriteNumber};
use replica::Recovered;

use crate::random::Random;

/// The disk has no room: the write was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the disk is full")]
pub struct Full;

/// A log on a disk.
pub trait LogDisk: std::fmt::Debug {
    /// Takes a write, which is durable after a later [`LogDisk::sync`].
    ///
    /// # Errors
    /// [`Full`]: nothing was taken, and the server must stop.
    fn append(&mut self, write: &Write) -> Result<(), Full>;

    /// The log up to this entry is not needed any more, now or after a crash.
    fn purge(&mut self, last: LogId, configuration: &Configuration);

    /// Everything up to this write is durable; more may be.
    fn sync(&mut self, up_to: WriteNumber);

    /// The server stopped; if the power was lost, so are some of the writes that were not synced. How many.
    fn crash(&mut self, power_lost: bool, random: &mut Random) -> u64;

    /// What a server that starts finds.
    fn recovered(&self) -> Recovered;

    /// The log begins anew behind a snapshot, durably; term and vote stay.
    fn restart(&mut self, snapshot: &SnapshotMeta);

    /// From now on there is no room, or there is again.
    fn set_full(&mut self, full: bool);

    /// Bytes of the entries that it holds.
    fn bytes(&self) -> usize;
}

#[derive(Clone, Debug)]
enum Pending {
    Write(Write),
    Purge(LogId, Configuration),
}

/// A disk in memory. A crash leaves what was synced and a prefix of what was not: a checksum covers each write, so half a write is none.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk {
    durable: Recovered,
    pending: VecDeque<Pending>,
    full: bool,
}

impl MemoryDisk {
    /// The disk of a server that has not started yet.
    #[must_use]
    pub fn new(founders: Configuration) -> Self {
        Self {
            durable: Recovered {
                configuration: founders,
                ..Recovered::default()
            },
            ..Self::default()
        }
    }

    fn make_durable(&mut self, pending: Pending) {
        let log = &mut self.durable;
        match pending {
            Pending::Purge(last, configuration) => purge(log, last, configuration),
            Pending::Write(write) => write_to(log, write),
        }
    }
}

fn purge(log: &mut Recovered, last: LogId, configuration: Configuration) {
    if last.index <= log.compacted.index {
        return;
    }
    log.entries.retain(|entry| entry.id.index > last.index);
    log.compacted = last;
    log.configuration = configuration;
}

fn write_to(log: &mut Recovered, write: Write) {
    log.hard_state = write.hard_state.unwrap_or(log.hard_state);
    if let Some(snapshot) = write.snapshot {
        log.compacted = snapshot.last;
        log.configuration = snapshot.configuration;
        log.entries.clear();
    }
    let Some(first) = write.entries.first() else {
        return;
    };
    let keep = first.id.index.checked_sub(log.compacted.index + 1);
    let keep = keep.and_then(|keep| usize::try_from(keep).ok());
    let keep = keep.filter(|&keep| keep <= log.entries.len());
    let Some(keep) = keep else {
        panic!(
            "entry {:?} neither follows the log's end nor overwrites what is in it",
            first.id
        );
    };
    log.entries.truncate(keep);
    log.entries.extend(write.entries);
}

impl LogDisk for MemoryDisk {
    fn append(&mut self, write: &Write) -> Result<(), Full> {
        if self.full {
            return Err(Full);
        }
        self.pending.push_back(Pending::Write(write.clone()));
        Ok(())
    }

    fn purge(&mut self, last: LogId, configuration: &Configuration) {
        let purge = Pending::Purge(last, configuration.clone());
        self.pending.push_back(purge);
    }

    fn sync(&mut self, up_to: WriteNumber) {
        while let Some(pending) = self.pending.pop_front() {
            match pending {
                Pending::Write(write) if write.number > up_to => {
                    self.pending.push_front(Pending::Write(write));
                    return;
                }
                pending => self.make_durable(pending),
            }
        }
    }

    fn crash(&mut self, power_lost: bool, random: &mut Random) -> u64 {
        let unsynced = self.pending.len() as u64;
        let kept = if power_lost {
            random.below(unsynced + 1)
        } else {
            unsynced
        };
        for _ in 0..kept {
            if let Some(pending) = self.pending.pop_front() {
                self.make_durable(pending);
            }
        }
        let lost = std::mem::take(&mut self.pending);
        let writes = |pending: &&Pending| matches!(pending, Pending::Write(_));
        lost.iter().filter(writes).count() as u64
    }

    fn recovered(&self) -> Recovered {
        self.durable.clone()
    }

    fn restart(&mut self, snapshot: &SnapshotMeta) {
        self.durable.compacted = snapshot.last;
        self.durable.configuration = snapshot.configuration.clone();
        self.durable.entries.clear();
    }

    fn set_full(&mut self, full: bool) {
        self.full = full;
    }

    fn bytes(&self) -> usize {
        self.durable.entries.iter().map(raft::Entry::size).sum()
    }
}
