//! Space kept back for a full disk.
//!
//! A file of reserved blocks stands in the data directory. When a new segment cannot be created, a batch that only
//! deletes, or compaction, gives the file up and uses its space; batches that grow the store are refused until
//! compaction has freed enough to take the reserve again.
//!
//! What was given up must not go to somebody else: between giving it up and using it nobody takes it back, and what can be
//! done without (hints) is written only while it is held.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::shared::lock;
use crate::file::FileSystem;
use crate::{Error, Result};

#[derive(Debug)]
pub(super) struct Reserve {
    files: Arc<dyn FileSystem>,
    dir: PathBuf,
    bytes: u64,
    held: AtomicBool,
    /// Held, across file operations, by whoever changes `held` or relies on it.
    space: Mutex<()>,
}

impl Reserve {
    pub(super) fn new(files: &Arc<dyn FileSystem>, dir: &Path, bytes: u64) -> Self {
        Self {
            files: Arc::clone(files),
            dir: dir.to_owned(),
            bytes,
            held: AtomicBool::new(false),
            space: Mutex::new(()),
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.join("RESERVE")
    }

    /// Whether the space is taken; always, if there is to be none.
    pub(super) fn is_held(&self) -> bool {
        self.bytes == 0 || self.held.load(Ordering::Acquire)
    }

    /// Takes the space if it is not taken.
    pub(super) fn take(&self) -> Result<()> {
        if self.is_held() {
            return Ok(());
        }
        let _space = lock(&self.space);
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

    /// Frees the space for compaction; whether there was any.
    pub(super) fn give_up(&self) -> Result<bool> {
        let _space = lock(&self.space);
        self.free()
    }

    fn free(&self) -> Result<bool> {
        if !self.held.swap(false, Ordering::AcqRel) {
            return Ok(false);
        }
        self.files.remove(&self.path())?;
        Ok(true)
    }

    /// Runs `create`, which needs space. Only what `grows` the store leaves the reserve alone.
    pub(super) fn create_with<T>(&self, grows: bool, create: impl Fn() -> Result<T>) -> Result<T> {
        if grows {
            self.take()?;
        }
        match create() {
            Err(Error::DiskFull { .. }) if !grows => {
                let _space = lock(&self.space);
                // Tried again even if another freed it: that one may not have needed all of it.
                self.free()?;
                create()
            }
            result => result,
        }
    }

    /// Runs `write`, which can be done without, unless the space is given up; whether it ran. On a full disk it is done
    /// without.
    pub(super) fn while_held(&self, write: impl FnOnce() -> Result<()>) -> Result<bool> {
        let _space = lock(&self.space);
        if !self.is_held() {
            return Ok(false);
        }
        match write() {
            Ok(()) | Err(Error::DiskFull { .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::file::fault::{FaultFs, Operation};

    const RESERVE: u64 = 1000;

    /// A reserve that is held, on a disk without any other space.
    fn full() -> (FaultFs, Reserve) {
        let disk = FaultFs::new();
        let dir = Path::new("/");
        let files: Arc<dyn FileSystem> = Arc::new(disk.clone());
        let reserve = Reserve::new(&files, dir, RESERVE);
        reserve.take().unwrap();
        disk.set_capacity(Some(disk.used_bytes()));
        (disk, reserve)
    }

    fn allocate(disk: &FaultFs, name: &str, bytes: u64) -> Result<()> {
        let path = Path::new("/").join(name);
        let allocated = disk.create(&path)?.allocate(bytes);
        allocated.inspect_err(|_| disk.remove(&path).unwrap())
    }

    /// Lets other threads get as far as they can.
    fn yield_often() {
        (0..1000).for_each(|_| std::thread::yield_now());
    }

    #[test]
    fn nobody_takes_the_space_back_before_it_was_used() {
        let (disk, reserve) = full();
        std::thread::scope(|scope| {
            let created = reserve.create_with(false, || {
                if disk.exists(&reserve.path())? {
                    return allocate(&disk, "segment", RESERVE);
                }
                scope.spawn(|| reserve.take());
                yield_often();
                allocate(&disk, "segment", RESERVE)
            });
            created.unwrap();
        });
        assert!(!reserve.is_held());
    }

    #[test]
    fn the_space_is_not_given_up_while_a_hint_is_written_and_none_is_begun_before_it_is_held_again()
    {
        let (disk, reserve) = full();
        let (failed, on_failure) = mpsc::channel();
        std::thread::scope(|scope| {
            let ran = reserve.while_held(|| {
                let (disk, reserve) = (&disk, &reserve);
                scope.spawn(move || {
                    let create = || {
                        let created = allocate(disk, "segment", RESERVE);
                        failed.send(()).unwrap();
                        created
                    };
                    reserve.create_with(false, create).unwrap();
                });
                // It is about to give the reserve up.
                on_failure.recv().unwrap();
                yield_often();
                assert!(disk.exists(&reserve.path())?, "given up under a hint");
                allocate(disk, "hint", 100)
            });
            assert!(ran.unwrap());
        });
        assert!(disk.exists(Path::new("/segment")).unwrap());
        assert!(!disk.exists(Path::new("/hint")).unwrap(), "it did without");
        let ran = reserve.while_held(|| panic!("the reserve is not held"));
        assert!(!ran.unwrap());
        let removed = |operation: &Operation| matches!(operation, Operation::Remove { path } if *path == reserve.path());
        assert_eq!(disk.count(removed), 1);
    }
}
