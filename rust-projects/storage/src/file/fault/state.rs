//! The disk with its counter, its log and the faults to come.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::disk::{Disk, InodeId};
use super::{Fault, Operation, Record};

pub(super) struct Rule {
    pub(super) matches: Box<dyn Fn(&Operation) -> bool + Send>,
    pub(super) fault: Fault,
    /// Matching operations still to pass before the first failure.
    pub(super) skip: u64,
    /// Failures left.
    pub(super) times: u64,
}

/// How an operation that must not succeed ends.
pub(super) struct Refusal {
    pub(super) error: io::Error,
    /// Bytes of a write that are applied all the same.
    pub(super) written: usize,
    pub(super) loses_data: bool,
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self {
            error: fault.error(),
            written: match fault {
                Fault::ShortWrite(bytes) => bytes,
                _ => 0,
            },
            loses_data: fault == Fault::IoLosingData,
        }
    }
}

pub(super) struct State {
    pub(super) disk: Disk,
    pub(super) log: Vec<Record>,
    pub(super) rules: Vec<Rule>,
    pub(super) locks: BTreeSet<PathBuf>,
    pub(super) capacity: Option<u64>,
    /// The operation at which power fails, and how many bytes it still writes.
    pub(super) crash_at: Option<(u64, usize)>,
    pub(super) crashed: bool,
    pub(super) syncs_held: bool,
}

impl State {
    pub(super) fn new(disk: Disk) -> Self {
        Self {
            disk,
            log: Vec::new(),
            rules: Vec::new(),
            locks: BTreeSet::new(),
            capacity: None,
            crash_at: None,
            crashed: false,
            syncs_held: false,
        }
    }

    pub(super) fn refusal(&mut self, operation: &Operation) -> Option<Refusal> {
        let mut torn = 0;
        if let Some((at, prefix)) = self.crash_at
            && !self.crashed
            && self.log.len() as u64 + 1 >= at
            && !matches!(operation, Operation::Open { .. } | Operation::Read { .. })
        {
            self.crashed = true;
            torn = prefix;
        }
        if self.crashed {
            return Some(Refusal {
                error: io::Error::other("simulated power loss"),
                written: torn,
                loses_data: false,
            });
        }
        let rule = self
            .rules
            .iter_mut()
            .find(|rule| rule.times > 0 && (rule.matches)(operation))?;
        if rule.skip > 0 {
            rule.skip -= 1;
            return None;
        }
        rule.times -= 1;
        Some(rule.fault.into())
    }

    /// Bytes that may still be added.
    pub(super) fn free_bytes(&self) -> u64 {
        self.capacity.map_or(u64::MAX, |capacity| {
            capacity.saturating_sub(self.disk.used_bytes())
        })
    }

    pub(super) fn find(&self, path: &Path) -> io::Result<InodeId> {
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        self.disk.lookup(path).ok_or_else(missing)
    }

    /// Fails unless a file can be created at `path`.
    pub(super) fn check_parent(&self, path: &Path) -> io::Result<()> {
        match path.parent() {
            Some(parent) if self.disk.is_dir(parent) => Ok(()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn write(&mut self, id: InodeId, data: &[u8], offset: u64) -> io::Result<()> {
        let used = self.disk.inode(id).used_bytes();
        let room = used
            .saturating_add(self.free_bytes())
            .saturating_sub(offset);
        let fits = data.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        self.disk.inode_mut(id).write(offset, &data[..fits]);
        match fits == data.len() {
            true => Ok(()),
            false => Err(Fault::NoSpace.error()),
        }
    }

    pub(super) fn set_len(&mut self, id: InodeId, len: u64) -> io::Result<()> {
        let used = self.disk.inode(id).used_bytes();
        if len.saturating_sub(used) > self.free_bytes() {
            return Err(Fault::NoSpace.error());
        }
        self.disk.inode_mut(id).set_len(len);
        Ok(())
    }

    pub(super) fn allocate(&mut self, id: InodeId, len: u64) -> io::Result<()> {
        let used = self.disk.inode(id).used_bytes();
        if len.saturating_sub(used) > self.free_bytes() {
            return Err(Fault::NoSpace.error());
        }
        self.disk.inode_mut(id).allocate(len);
        Ok(())
    }

    pub(super) fn create(&mut self, path: &Path) -> io::Result<InodeId> {
        self.check_parent(path)?;
        if self.disk.is_dir(path) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let id = match self.disk.lookup(path) {
            Some(id) => id,
            None => {
                let id = self.disk.new_inode();
                self.disk.rename(vec![(path.to_owned(), Some(id))]);
                id
            }
        };
        self.disk.inode_mut(id).set_len(0);
        Ok(id)
    }
}
