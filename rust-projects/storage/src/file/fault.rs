//! The faulty twin of the disk.
//!
//! # What it is
//!
//! [`FaultFs`] is a file system in memory that keeps apart what programs see and what power loss leaves, counts and logs
//! the operations that change it, and fails where a test asks it to.
//!
//! # What it guarantees
//!
//! Only what [`super`] promises survives [`FaultFs::crash`]: bytes that [`File::sync_data`] returned for, names that
//! [`FileSystem::sync_dir`] returned for. Everything else may be there or not, piece by piece, as the seed decides. The
//! same operations and the same seed give the same result.
//!
//! # What it does not
//!
//! - Operations change names atomically: a rename within a directory is there or not, never half. Real file systems
//!   journal it; POSIX does not promise it.
//! - Cuts of a file happen in order, for the same reason.
//! - A hole counts as used space, and names take none.
//! - Directories can neither be renamed nor removed.
//!
//! # How it works
//!
//! ```text
//! file:  durable pages + changes since the last sync  = what programs read
//! name:  durable names + changes since the last sync  = what programs open
//!                        ^ each of these may survive: a file's per page, sector or byte, a name's as a whole
//! ```

mod disk;
mod files;
mod operation;
mod state;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

pub use operation::{CrashMode, Fault, Operation, Record, SplitMix64, Tearing};

use disk::Disk;
use state::{Rule, State};

#[cfg(doc)]
use super::{File, FileSystem};

struct Shared {
    state: Mutex<State>,
    /// Signalled when held syncs may go on.
    released: Condvar,
}

/// A file system in memory that fails on request and forgets at power loss what was not synced. Clones are handles of
/// one disk; [`FaultFs::fork`] copies it.
#[derive(Clone)]
pub struct FaultFs(Arc<Shared>);

impl fmt::Debug for FaultFs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultFs")
            .field("operations", &self.operations())
            .finish_non_exhaustive()
    }
}

impl Default for FaultFs {
    fn default() -> Self {
        Self::new()
    }
}

impl FaultFs {
    /// An empty disk with the directory `/`.
    pub fn new() -> Self {
        Self::with_disk(Disk::new())
    }

    fn with_disk(disk: Disk) -> Self {
        Self(Arc::new(Shared {
            state: Mutex::new(State::new(disk)),
            released: Condvar::new(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A test that panicked elsewhere must not hide its message behind this lock.
        let state = self.0.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }

    /// How many operations that can change the disk were called. Reads are not among them: a crash before a read is a
    /// crash before the next change.
    pub fn operations(&self) -> u64 {
        self.state().log.len() as u64
    }

    /// The operations counted by [`FaultFs::operations`], in order.
    pub fn log(&self) -> Vec<Record> {
        self.state().log.clone()
    }

    /// How many logged operations succeeded and match.
    pub fn count(&self, matches: impl Fn(&Operation) -> bool) -> usize {
        let state = self.state();
        let records = state.log.iter();
        records
            .filter(|record| record.ok && matches(&record.operation))
            .count()
    }

    /// Whether the log shows a successful [`File::sync_data`] of `path` after the last attempt to change its bytes. True
    /// for a path that was never written. Renames are not followed; [`FaultFs::is_durable`] sees through them.
    pub fn synced_after_last_write(&self, path: &Path) -> bool {
        let state = self.state();
        let mut records = state.log.iter().rev();
        let last = records.find(|record| {
            let sync = record.ok && matches!(record.operation, Operation::SyncData { .. });
            record.operation.path() == path && (sync || record.operation.writes())
        });
        last.is_none_or(|record| !record.operation.writes())
    }

    /// Length that the file at `path` has after [`CrashMode::LoseAll`], provided its name survives; `None` without one.
    pub fn synced_len(&self, path: &Path) -> Option<u64> {
        let state = self.state();
        let id = state.disk.lookup(path)?;
        Some(state.disk.inode(id).durable.len())
    }

    /// Whether power loss can change nothing about `path`: its name, or its absence, and its bytes are synced.
    pub fn is_durable(&self, path: &Path) -> bool {
        let state = self.state();
        let synced = |id| state.disk.inode(id).is_synced();
        state.disk.is_name_durable(path) && state.disk.lookup(path).is_none_or(synced)
    }

    /// Bytes taken by all files that have a name or an open handle.
    pub fn used_bytes(&self) -> u64 {
        self.state().disk.used_bytes()
    }

    /// Limits the disk to so many bytes; a write beyond fills it up, then fails with ENOSPC. `None` lifts the limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity = bytes;
    }

    /// Lets power fail at operation `number`, counted from 1: it and all after it fail.
    pub fn crash_at(&self, number: u64) {
        self.crash_at_torn(number, 0);
    }

    /// As [`FaultFs::crash_at`]; when the operation is a write, its first `bytes` bytes still reach the page cache.
    pub fn crash_at_torn(&self, number: u64, bytes: usize) {
        self.state().crash_at = Some((number, bytes));
    }

    /// Whether power has failed.
    pub fn is_crashed(&self) -> bool {
        self.state().crashed
    }

    /// Fails the `nth` (from 1) of the operations that match, once.
    pub fn fail_nth(
        &self,
        nth: u64,
        fault: Fault,
        matches: impl Fn(&Operation) -> bool + Send + 'static,
    ) {
        self.add_rule(nth, 1, fault, Box::new(matches));
    }

    /// Fails every operation that matches, from the `nth` (from 1) on.
    pub fn fail_from(
        &self,
        nth: u64,
        fault: Fault,
        matches: impl Fn(&Operation) -> bool + Send + 'static,
    ) {
        self.add_rule(nth, u64::MAX, fault, Box::new(matches));
    }

    fn add_rule(
        &self,
        nth: u64,
        times: u64,
        fault: Fault,
        matches: Box<dyn Fn(&Operation) -> bool + Send>,
    ) {
        self.state().rules.push(Rule {
            matches,
            fault,
            skip: nth.saturating_sub(1),
            times,
        });
    }

    /// Forgets the faults asked for so far.
    pub fn clear_faults(&self) {
        self.state().rules.clear();
    }

    /// Makes [`File::sync_data`] wait until [`FaultFs::release_syncs`], so that a test sees what happens meanwhile.
    pub fn hold_syncs(&self) {
        self.state().syncs_held = true;
    }

    /// Lets the held syncs go on.
    pub fn release_syncs(&self) {
        self.state().syncs_held = false;
        self.0.released.notify_all();
    }

    /// Cuts the power: every later operation here fails, and the disk as found afterwards is returned. May be called
    /// again to see what other modes leave.
    pub fn crash(&self, mode: CrashMode) -> Self {
        self.crash_torn(mode, Tearing::Page)
    }

    /// As [`FaultFs::crash`] with a choice of the pieces that survive.
    pub fn crash_torn(&self, mode: CrashMode, tearing: Tearing) -> Self {
        let mut state = self.state();
        state.crashed = true;
        self.0.released.notify_all();
        Self::with_disk(state.disk.after_crash(mode, tearing))
    }

    /// A copy of the disk and of what is not yet synced, without locks, faults, limits and log: a snapshot to return to,
    /// or what the next process finds when this one is killed and power stays on.
    pub fn fork(&self) -> Self {
        Self::with_disk(self.state().disk.fork())
    }

    /// Changes the bytes of a file on the disk itself, past counter, faults and page cache, as decay does. What was
    /// unsynced of the file counts as synced afterwards.
    ///
    /// # Panics
    /// Without a file at `path`.
    pub fn tamper(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let id = state.disk.lookup(path).expect("the test names a file");
        let mut bytes = state.disk.inode(id).cached.to_bytes();
        change(&mut bytes);
        state.disk.inode_mut(id).replace(&bytes);
    }

    /// Flips bit `bit` (0 to 7) of the byte at `offset`, as [`FaultFs::tamper`].
    ///
    /// # Panics
    /// Without a file at `path` or such a byte in it.
    pub fn flip_bit(&self, path: &Path, offset: u64, bit: u8) {
        self.tamper(path, |bytes| bytes[offset as usize] ^= 1 << bit);
    }

    /// Cuts the file to `len` bytes, as [`FaultFs::tamper`].
    ///
    /// # Panics
    /// Without a file at `path`.
    pub fn truncate(&self, path: &Path, len: u64) {
        self.tamper(path, |bytes| bytes.truncate(len as usize));
    }
}
