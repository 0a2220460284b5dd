//! The real log, `raft-log`, over a file system in memory that forgets at power loss what was not synced, piece by piece.

use std::path::Path;
use std::sync::Arc;

use raft::{Configuration, LogId, SnapshotMeta, Write, WriteNumber};
use raft_log::{Error, GroupId, Health, Options, RaftLog};
use replica::Recovered;
use storage::file::fault::{CrashMode, FaultFs, Tearing};

use crate::disk::{DiskFailed, LogDisk};
use crate::random::Random;

const GROUP: GroupId = 1;
const DIR: &str = "/log";
/// So small that a run goes through many.
const SEGMENT_BYTES: u64 = 4096;

/// The real log on a simulated file system.
#[derive(Debug)]
pub struct FileDisk {
    files: FaultFs,
    founders: Configuration,
    /// Open while its server runs.
    log: Option<RaftLog>,
    entropy: u64,
    /// Writes appended since the last sync.
    unsynced: u64,
}

impl FileDisk {
    /// The disk of a server that has not started yet.
    #[must_use]
    pub fn new(founders: Configuration, entropy: u64) -> Self {
        Self {
            files: FaultFs::new(),
            founders,
            log: None,
            entropy,
            unsynced: 0,
        }
    }

    fn log(&mut self) -> &mut RaftLog {
        self.log
            .as_mut()
            .expect("a server that runs has opened its log")
    }

    /// What a failure of the log means here.
    fn failed(&self, error: &Error) -> DiskFailed {
        match error {
            _ if self.files.is_crashed() => DiskFailed::PowerLost,
            Error::DiskFull { .. } => DiskFailed::Full,
            other => panic!("the log fails though nothing is wrong with the disk: {other}"),
        }
    }

    fn recovered(&self, group: raft_log::Group) -> Recovered {
        let (compacted, configuration) = group.base.map_or_else(
            || (LogId::default(), self.founders.clone()),
            |base| (base.last, base.configuration),
        );
        Recovered {
            hard_state: group.hard_state,
            compacted,
            configuration,
            entries: group.entries,
        }
    }
}

impl LogDisk for FileDisk {
    fn open(&mut self) -> Result<Recovered, DiskFailed> {
        let options = Options {
            segment_bytes: SEGMENT_BYTES,
            entropy: self.entropy,
        };
        let files = Arc::new(self.files.clone());
        let opened = RaftLog::open(files, Path::new(DIR), options);
        let (log, mut found) = opened.map_err(|error| self.failed(&error))?;
        if let Health::Damaged(damage) = found.health(GROUP) {
            panic!("a crash passes for damage: {damage}");
        }
        self.log = Some(log);
        self.unsynced = 0;
        let group = found.groups.remove(&GROUP);
        Ok(group.map_or_else(
            || Recovered {
                configuration: self.founders.clone(),
                ..Recovered::default()
            },
            |group| self.recovered(group),
        ))
    }

    fn append(&mut self, write: &Write) -> Result<(), DiskFailed> {
        let appended = self.log().append(&[(GROUP, write.clone())]);
        appended.map_err(|error| self.failed(&error))?;
        self.unsynced += 1;
        Ok(())
    }

    fn purge(&mut self, last: LogId, configuration: &Configuration) -> Result<(), DiskFailed> {
        let log = self.log();
        let purged = log.purge(&[(GROUP, last, configuration.clone())]);
        let reclaimed = purged.and_then(|_| log.reclaim());
        reclaimed.map_err(|error| self.failed(&error))?;
        Ok(())
    }

    fn sync(&mut self, _: WriteNumber) -> Result<(), DiskFailed> {
        let synced = self.log().sync();
        synced.map_err(|error| self.failed(&error))?;
        self.unsynced = 0;
        Ok(())
    }

    fn crash(&mut self, power_lost: bool, random: &mut Random) -> u64 {
        self.log = None;
        self.entropy = random.number();
        if !power_lost {
            self.files = self.files.fork();
            return 0;
        }
        let modes = [
            CrashMode::LoseAll,
            CrashMode::KeepAll,
            CrashMode::Random(random.number()),
            CrashMode::Random(random.number()),
        ];
        let mode = random.pick(&modes).unwrap_or(CrashMode::LoseAll);
        let tearings = [Tearing::Page, Tearing::Sector, Tearing::Byte];
        let tearing = random.pick(&tearings).unwrap_or(Tearing::Page);
        self.files = self.files.crash_torn(mode, tearing);
        match mode {
            CrashMode::LoseAll => self.unsynced,
            CrashMode::KeepAll | CrashMode::Random(_) => 0,
        }
    }

    fn restart(&mut self, snapshot: &SnapshotMeta) -> Result<(), DiskFailed> {
        let write = Write {
            snapshot: Some(snapshot.clone()),
            ..Write::default()
        };
        self.append(&write)?;
        self.sync(0)
    }

    fn set_full(&mut self, full: bool) {
        let used = self.files.used_bytes();
        self.files.set_capacity(full.then_some(used));
    }

    fn lose_power_at(&mut self, operation: u64) {
        let number = self.files.operations().saturating_add(operation);
        self.files.crash_at(number);
    }

    fn bytes(&self) -> usize {
        let live = self.log.as_ref().map_or(0, |log| log.stats().live_bytes);
        usize::try_from(live).unwrap_or(usize::MAX)
    }
}
