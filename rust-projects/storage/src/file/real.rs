//! The operating system's files.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{DirLock, File, FileSystem};
use crate::{Error, Result};

/// The file system of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealFs;

#[derive(Debug)]
struct RealFile {
    file: fs::File,
    path: PathBuf,
}

impl RealFile {
    fn fail(&self, op: &'static str) -> impl Fn(io::Error) -> Error {
        move |source| Error::io(op, &self.path, source)
    }
}

impl File for RealFile {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.file
            .read_exact_at(buffer, offset)
            .map_err(self.fail("read"))
    }

    fn write_all_at(&self, data: &[u8], offset: u64) -> Result<()> {
        self.file
            .write_all_at(data, offset)
            .map_err(self.fail("write"))
    }

    fn len(&self) -> Result<u64> {
        let metadata = self.file.metadata().map_err(self.fail("inspect"))?;
        Ok(metadata.len())
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.file.set_len(len).map_err(self.fail("resize"))
    }

    fn sync_data(&self) -> Result<()> {
        self.file.sync_data().map_err(self.fail("sync"))
    }

    fn allocate(&self, len: u64) -> Result<()> {
        if len == 0 {
            // The call refuses it.
            return Ok(());
        }
        match rustix::fs::fallocate(&self.file, rustix::fs::FallocateFlags::KEEP_SIZE, 0, len) {
            // A file system without the call gives no promise to break: the write itself will show a full disk.
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
            Err(errno) => Err(Error::io("allocate", &self.path, errno.into())),
        }
    }
}

#[derive(Debug)]
struct RealLock {
    // When the process dies, closing the file releases the lock.
    file: fs::File,
}

impl DirLock for RealLock {}

impl Drop for RealLock {
    fn drop(&mut self) {
        // Closing is not enough: a child process that another thread is just starting has the file open until its exec.
        let _ = self.file.unlock();
    }
}

impl FileSystem for RealFs {
    fn create(&self, path: &Path) -> Result<Arc<dyn File>> {
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)
            .map_err(|source| Error::io("create", path, source))?;
        Ok(Arc::new(RealFile {
            file,
            path: path.to_owned(),
        }))
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn File>> {
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .map_err(|source| Error::io("open", path, source))?;
        Ok(Arc::new(RealFile {
            file,
            path: path.to_owned(),
        }))
    }

    fn exists(&self, path: &Path) -> Result<bool> {
        path.try_exists()
            .map_err(|source| Error::io("inspect", path, source))
    }

    fn list(&self, dir: &Path) -> Result<Vec<PathBuf>> {
        let fail = |source| Error::io("list", dir, source);
        let mut paths = Vec::new();
        for entry in fs::read_dir(dir).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            if entry.file_type().map_err(fail)?.is_file() {
                paths.push(entry.path());
            }
        }
        paths.sort();
        Ok(paths)
    }

    fn is_empty(&self, dir: &Path) -> Result<bool> {
        let mut entries = fs::read_dir(dir).map_err(|source| Error::io("list", dir, source))?;
        Ok(entries.next().is_none())
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        fs::rename(from, to).map_err(|source| Error::io("rename", from, source))
    }

    fn remove(&self, path: &Path) -> Result<()> {
        fs::remove_file(path).map_err(|source| Error::io("remove", path, source))
    }

    fn hard_link(&self, from: &Path, to: &Path) -> Result<()> {
        fs::hard_link(from, to).map_err(|source| Error::io("link", to, source))
    }

    fn create_dir_all(&self, dir: &Path) -> Result<()> {
        if dir.is_dir() {
            return Ok(());
        }
        let parent = match dir.parent() {
            Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
            Some(parent) => parent,
            None => return Ok(()),
        };
        self.create_dir_all(parent)?;
        match fs::create_dir(dir) {
            Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
                Err(Error::io("create directory", dir, source))
            }
            _ => self.sync_dir(parent),
        }
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        let fail = |source| Error::io("sync directory", dir, source);
        fs::File::open(dir).map_err(fail)?.sync_all().map_err(fail)
    }

    fn lock_dir(&self, dir: &Path) -> Result<Box<dyn DirLock>> {
        let path = dir.join("LOCK");
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|source| Error::io("open", &path, source))?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(RealLock { file })),
            Err(fs::TryLockError::WouldBlock) => Err(Error::Locked {
                dir: dir.to_owned(),
            }),
            Err(fs::TryLockError::Error(source)) => Err(Error::io("lock", &path, source)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_was_given_up_is_free_even_if_a_starting_child_process_still_has_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = fs::File::create(dir.path().join("LOCK")).unwrap();
        file.try_lock().unwrap();
        let in_the_child = file.try_clone().unwrap();
        let lock = RealLock { file };
        assert!(matches!(
            RealFs.lock_dir(dir.path()),
            Err(Error::Locked { .. })
        ));
        drop(lock);
        assert!(RealFs.lock_dir(dir.path()).is_ok());
        drop(in_the_child);
    }
}
