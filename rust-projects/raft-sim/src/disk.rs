//! The disk that holds a server's Raft log.
//!
//! Time is the cluster's business: it decides when a sync is done and when the server learns of it. A disk decides what is there
//! after a crash.

use std::collections::VecDeque;

use raft::{Configuration, LogId, SnapshotMeta, Write, WriteNumber};
use replica::Recovered;

use crate::random::Random;

/// The disk cannot go on, and neither can its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiskFailed {
    /// There is no room: nothing was taken.
    #[error("the disk is full")]
    Full,
    /// The power failed during the operation, see [`LogDisk::lose_power_at`].
    #[error("the power failed")]
    PowerLost,
}

/// A log on a disk.
pub trait LogDisk: std::fmt::Debug {
    /// What a server that starts finds.
    ///
    /// # Errors
    /// [`DiskFailed`].
    fn open(&mut self) -> Result<Recovered, DiskFailed>;

    /// Takes a write, which is durable after a later [`LogDisk::sync`].
    ///
    /// # Errors
    /// [`DiskFailed`].
    fn append(&mut self, write: &Write) -> Result<(), DiskFailed>;

    /// The log up to this entry is not needed any more, now or after a crash.
    ///
    /// # Errors
    /// [`DiskFailed`].
    fn purge(&mut self, last: LogId, configuration: &Configuration) -> Result<(), DiskFailed>;

    /// Everything up to this write is durable; more may be.
    ///
    /// # Errors
    /// [`DiskFailed`].
    fn sync(&mut self, up_to: WriteNumber) -> Result<(), DiskFailed>;

    /// The server stopped; if the power was lost, so are some of the writes that were not synced. How many.
    fn crash(&mut self, power_lost: bool, random: &mut Random) -> u64;

    /// The log begins anew behind a snapshot, durably; term and vote stay.
    ///
    /// # Errors
    /// [`DiskFailed`].
    fn restart(&mut self, snapshot: &SnapshotMeta) -> Result<(), DiskFailed>;

    /// From now on there is no room, or there is again.
    fn set_full(&mut self, full: bool);

    /// The power fails at this operation, counted from the next one as 1: it and all later ones fail.
    fn lose_power_at(&mut self, operation: u64);

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
    /// Operations until the power fails, if it does.
    power_left: Option<u64>,
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

    fn operation(&mut self) -> Result<(), DiskFailed> {
        match &mut self.power_left {
            None => Ok(()),
            Some(left) if *left > 1 => {
                *left -= 1;
                Ok(())
            }
            Some(_) => Err(DiskFailed::PowerLost),
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
    fn open(&mut self) -> Result<Recovered, DiskFailed> {
        Ok(self.durable.clone())
    }

    fn append(&mut self, write: &Write) -> Result<(), DiskFailed> {
        self.operation()?;
        if self.full {
            return Err(DiskFailed::Full);
        }
        self.pending.push_back(Pending::Write(write.clone()));
        Ok(())
    }

    fn purge(&mut self, last: LogId, configuration: &Configuration) -> Result<(), DiskFailed> {
        self.operation()?;
        let purge = Pending::Purge(last, configuration.clone());
        self.pending.push_back(purge);
        Ok(())
    }

    fn sync(&mut self, up_to: WriteNumber) -> Result<(), DiskFailed> {
        self.operation()?;
        while let Some(pending) = self.pending.pop_front() {
            match pending {
                Pending::Write(write) if write.number > up_to => {
                    self.pending.push_front(Pending::Write(write));
                    break;
                }
                pending => self.make_durable(pending),
            }
        }
        Ok(())
    }

    fn crash(&mut self, power_lost: bool, random: &mut Random) -> u64 {
        self.power_left = None;
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

    fn restart(&mut self, snapshot: &SnapshotMeta) -> Result<(), DiskFailed> {
        self.operation()?;
        self.durable.compacted = snapshot.last;
        self.durable.configuration = snapshot.configuration.clone();
        self.durable.entries.clear();
        Ok(())
    }

    fn set_full(&mut self, full: bool) {
        self.full = full;
    }

    fn lose_power_at(&mut self, operation: u64) {
        self.power_left = Some(operation);
    }

    fn bytes(&self) -> usize {
        self.durable.entries.iter().map(raft::Entry::size).sum()
    }
}
