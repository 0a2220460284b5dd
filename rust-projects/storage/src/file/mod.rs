//! The thin file layer under the engine: everything that touches a disk goes through [`FileSystem`], so that tests can
//! replace the disk by one that fails, tears writes and forgets what was not synced ([`fault::FaultFs`]).
//!
//! Semantics are those of POSIX, and only those: data is durable after [`File::sync_data`] returned `Ok`; a file's
//! name (its creation, rename or removal) is durable after [`FileSystem::sync_dir`] on its directory returned `Ok`.

pub mod fault;
mod real;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use real::RealFs;

use crate::Result;

/// An open file. Positions are explicit, so that readers and the writer share one handle without a lock.
pub trait File: Send + Sync + fmt::Debug {
    /// Reads exactly `buffer.len()` bytes at `offset`.
    ///
    /// # Errors
    /// I/O errors; the end of the file before the buffer is full is one (`UnexpectedEof`).
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()>;

    /// Writes all of `data` at `offset`, extending the file as needed. After an error any part may be written.
    ///
    /// # Errors
    /// I/O errors; [`crate::Error::DiskFull`].
    fn write_all_at(&self, data: &[u8], offset: u64) -> Result<()>;

    /// Length in bytes.
    ///
    /// # Errors
    /// I/O errors.
    fn len(&self) -> Result<u64>;

    /// Whether the file has no byte.
    ///
    /// # Errors
    /// I/O errors.
    fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Cuts or extends the file to `len` bytes.
    ///
    /// # Errors
    /// I/O errors.
    fn set_len(&self, len: u64) -> Result<()>;

    /// Forces data and length to the disk (fdatasync).
    ///
    /// # Errors
    /// I/O errors, after which nothing is known about what reached the disk.
    fn sync_data(&self) -> Result<()>;

    /// Reserves disk blocks for the first `len` bytes without changing the file's length, so that a full disk shows
    /// now and not at a later write. Does nothing where the file system cannot.
    ///
    /// # Errors
    /// I/O errors; [`crate::Error::DiskFull`].
    fn allocate(&self, len: u64) -> Result<()>;
}

/// Held while a directory is locked; unlocks on drop, and by itself when the process dies.
pub trait DirLock: Send + Sync + fmt::Debug {}

/// A tree of directories and files.
pub trait FileSystem: Send + Sync + fmt::Debug + 'static {
    /// Creates an empty file for reading and writing; an existing one is truncated.
    ///
    /// # Errors
    /// I/O errors; [`crate::Error::DiskFull`].
    fn create(&self, path: &Path) -> Result<Arc<dyn File>>;

    /// Opens an existing file for reading and writing.
    ///
    /// # Errors
    /// I/O errors.
    fn open(&self, path: &Path) -> Result<Arc<dyn File>>;

    /// Whether the file or directory exists.
    ///
    /// # Errors
    /// I/O errors other than its absence.
    fn exists(&self, path: &Path) -> Result<bool>;

    /// Full paths of the files (not directories) in `dir`, sorted.
    ///
    /// # Errors
    /// I/O errors.
    fn list(&self, dir: &Path) -> Result<Vec<PathBuf>>;

    /// Whether `dir` holds nothing, not even a directory.
    ///
    /// # Errors
    /// I/O errors.
    fn is_empty(&self, dir: &Path) -> Result<bool> {
        Ok(self.list(dir)?.is_empty())
    }

    /// Renames a file, replacing the target.
    ///
    /// # Errors
    /// I/O errors.
    fn rename(&self, from: &Path, to: &Path) -> Result<()>;

    /// Removes a file; open handles keep working.
    ///
    /// # Errors
    /// I/O errors.
    fn remove(&self, path: &Path) -> Result<()>;

    /// Gives the file a second name, which must not exist.
    ///
    /// # Errors
    /// I/O errors, also where the file system has no hard links or the names lie on two devices.
    fn hard_link(&self, from: &Path, to: &Path) -> Result<()>;

    /// Creates a directory and its parents, each durable in its parent.
    ///
    /// # Errors
    /// I/O errors.
    fn create_dir_all(&self, dir: &Path) -> Result<()>;

    /// Forces the names in `dir` to the disk.
    ///
    /// # Errors
    /// I/O errors.
    fn sync_dir(&self, dir: &Path) -> Result<()>;

    /// Takes the exclusive lock of `dir` (a file `LOCK` inside).
    ///
    /// # Errors
    /// [`crate::Error::Locked`] when another holder exists; I/O errors.
    fn lock_dir(&self, dir: &Path) -> Result<Box<dyn DirLock>>;

    /// The whole file.
    ///
    /// # Errors
    /// I/O errors.
    fn read(&self, path: &Path) -> Result<Vec<u8>> {
        let file = self.open(path)?;
        let len = file.len()?;
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// Makes `path` hold `bytes`, all or nothing across a crash: a temporary file is written, synced, renamed over
    /// `path`, and the directory synced.
    ///
    /// # Errors
    /// I/O errors; [`crate::Error::DiskFull`].
    fn write_durably(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let temporary = path.with_extension("tmp");
        let file = self.create(&temporary)?;
        file.write_all_at(bytes, 0)?;
        file.sync_data()?;
        self.rename(&temporary, path)?;
        self.sync_dir(path.parent().unwrap_or(Path::new(".")))
    }
}
