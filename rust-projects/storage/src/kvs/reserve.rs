//! Space kept back for a full disk.
//!
//! A file of reserved blocks stands in the data directory. When a new segment cannot be created, a batch that only
//! deletes, or compaction, gives the file up and uses its space; batches that grow the store are refused until
//! compaction has freed enough to take the reserve again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::file::FileSystem;
use crate::{Error, Result};

#[derive(Debug)]
pub(super) struct Reserve {
    files: Arc<dyn FileSystem>,
    dir: PathBuf,
    bytes: u64,
    held: AtomicBool,
}

impl Reserve {
    pub(super) fn new(files: &Arc<dyn FileSystem>, dir: &Path, bytes: u64) -> Self {
        Self {
            files: Arc::clone(files),
            dir: dir.to_owned(),
            bytes,
            held: AtomicBool::new(false),
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.join("RESERVE")
    }

    pub(super) fn is_held(&self) -> bool {
        self.bytes == 0 || self.held.load(Ordering::Acquire)
    }

    /// Takes the space if it is not taken.
    pub(super) fn take(&self) -> Result<()> {
        if self.is_held() {
            return Ok(());
        }
        let taken = self
            .files
            .create(&self.path())
            .and_then(|file| file.allocate(self.bytes));
        if taken.is_err() {
            // What was allocated of it is worth more to others.
            let _ = self.files.remove(&self.path());
        }
        taken?;
        self.held.store(true, Ordering::Release);
        Ok(())
    }

    fn give_up(&self) -> Result<()> {
        self.held.store(false, Ordering::Release);
        self.files.remove(&self.path())
    }

    /// Runs `create`, which needs space. Only what `grows` the store leaves the reserve alone.
    pub(super) fn create_with<T>(&self, grows: bool, create: impl Fn() -> Result<T>) -> Result<T> {
        if grows {
            self.take()?;
        }
        match create() {
            Err(Error::DiskFull { .. }) if !grows && self.bytes > 0 && self.is_held() => {
                self.give_up()?;
                create()
            }
            result => result,
        }
    }
}
