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

    /// Runs `create`, which needs space. Only what `grows` the store leaves the reserve alone. `create` is told when it
    /// runs on what was the reserve: it should then ask for less than that, as others may be faster to take some of it.
    pub(super) fn create_with<T>(
        &self,
        grows: bool,
        create: impl Fn(bool) -> Result<T>,
    ) -> Result<T> {
        if grows {
            self.take()?;
        }
        match create(false) {
            Err(Error::DiskFull { .. }) if !grows && self.bytes > 0 && self.is_held() => {
                self.give_up()?;
                create(true)
            }
            result => result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::fault::FaultFs;

    #[test]
    fn a_delete_gets_by_on_a_part_of_the_reserve_when_others_take_the_rest() {
        const RESERVE: u64 = 64 << 10;
        let fs = FaultFs::new();
        let files: Arc<dyn FileSystem> = Arc::new(fs.clone());
        let reserve = Reserve::new(&files, Path::new("/"), RESERVE);
        fs.set_capacity(Some(RESERVE));
        reserve.take().unwrap();
        let create = |tight: bool| {
            let wanted = if tight { RESERVE / 2 } else { RESERVE };
            if tight {
                // Somebody else is faster.
                let thief = files.create(Path::new("/thief"))?;
                thief.allocate(RESERVE / 4)?;
            }
            files.create(Path::new("/segment"))?.allocate(wanted)
        };
        assert!(matches!(
            reserve.create_with(true, create),
            Err(Error::DiskFull { .. })
        ));
        assert!(reserve.is_held());
        reserve.create_with(false, create).unwrap();
        assert!(!reserve.is_held());
    }
}
