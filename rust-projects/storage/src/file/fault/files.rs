//! The file layer's traits over the simulated disk.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use super::disk::InodeId;
use super::state::State;
use super::{FaultFs, Operation, Record};
use crate::file::{DirLock, File, FileSystem};
use crate::{Error, Result};

impl FaultFs {
    /// Runs an operation that can change the disk: counted, logged, refused when so asked.
    fn change<T>(
        &self,
        operation: Operation,
        run: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> Result<T> {
        let mut state = self.state();
        let outcome = match state.refusal(&operation) {
            Some(refusal) => Err(refusal.error),
            None => run(&mut state),
        };
        let outcome = outcome.map_err(|source| operation.fail(source));
        let ok = outcome.is_ok();
        state.log.push(Record { operation, ok });
        outcome
    }

    fn file(&self, state: &mut State, id: InodeId, path: &Path) -> Arc<dyn File> {
        state.disk.inode_mut(id).handles += 1;
        Arc::new(FaultFile {
            fs: self.clone(),
            id,
            path: path.to_owned(),
        })
    }

    /// What only reads: neither counted nor logged, but refused when power is off or a fault asks for it.
    fn observe<T>(&self, operation: &Operation, run: impl FnOnce(&mut State) -> T) -> Result<T> {
        let mut state = self.state();
        match state.refusal(operation) {
            Some(refusal) => Err(operation.fail(refusal.error)),
            None => Ok(run(&mut state)),
        }
    }
}

impl FileSystem for FaultFs {
    fn create(&self, path: &Path) -> Result<Arc<dyn File>> {
        let operation = Operation::Create { path: path.into() };
        self.change(operation, |state| {
            let id = state.create(path)?;
            Ok(self.file(state, id, path))
        })
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn File>> {
        let operation = Operation::Open { path: path.into() };
        self.observe(&operation, |state| {
            let id = state.find(path)?;
            Ok(self.file(state, id, path))
        })?
        .map_err(|source| operation.fail(source))
    }

    fn exists(&self, path: &Path) -> Result<bool> {
        let operation = Operation::Open { path: path.into() };
        self.observe(&operation, |state| {
            state.disk.lookup(path).is_some() || state.disk.is_dir(path)
        })
    }

    fn list(&self, dir: &Path) -> Result<Vec<PathBuf>> {
        let operation = Operation::Open { path: dir.into() };
        let paths = self.observe(&operation, |state| {
            state.disk.is_dir(dir).then(|| state.disk.list(dir))
        })?;
        paths.ok_or_else(|| Error::io("list", dir, io::ErrorKind::NotFound.into()))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let operation = Operation::Rename {
            from: from.into(),
            to: to.into(),
        };
        self.change(operation, |state| {
            let id = state.find(from)?;
            state.check_parent(to)?;
            // POSIX: renaming one name of a file over another of the same file does nothing.
            if state.disk.lookup(to) != Some(id) {
                let change = vec![(from.to_owned(), None), (to.to_owned(), Some(id))];
                state.disk.rename(change);
            }
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> Result<()> {
        let operation = Operation::Remove { path: path.into() };
        self.change(operation, |state| {
            state.find(path)?;
            state.disk.rename(vec![(path.to_owned(), None)]);
            Ok(())
        })
    }

    fn hard_link(&self, from: &Path, to: &Path) -> Result<()> {
        let operation = Operation::HardLink {
            from: from.into(),
            to: to.into(),
        };
        self.change(operation, |state| {
            let id = state.find(from)?;
            state.check_parent(to)?;
            if state.disk.lookup(to).is_some() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            state.disk.rename(vec![(to.to_owned(), Some(id))]);
            Ok(())
        })
    }

    fn create_dir_all(&self, dir: &Path) -> Result<()> {
        let operation = Operation::CreateDir { dir: dir.into() };
        self.change(operation, |state| {
            if dir
                .ancestors()
                .any(|path| state.disk.lookup(path).is_some())
            {
                return Err(io::ErrorKind::NotADirectory.into());
            }
            state.disk.create_dir_all(dir);
            Ok(())
        })
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        let operation = Operation::SyncDir { dir: dir.into() };
        self.change(operation, |state| {
            if !state.disk.is_dir(dir) {
                return Err(io::ErrorKind::NotFound.into());
            }
            state.disk.sync_dir(dir);
            Ok(())
        })
    }

    fn lock_dir(&self, dir: &Path) -> Result<Box<dyn DirLock>> {
        let operation = Operation::Lock { dir: dir.into() };
        let free = self.change(operation, |state| {
            let path = dir.join("LOCK");
            if state.disk.lookup(&path).is_none() {
                state.create(&path)?;
            }
            Ok(state.locks.insert(dir.to_owned()))
        })?;
        match free {
            true => Ok(Box::new(FaultLock {
                fs: self.clone(),
                dir: dir.to_owned(),
            })),
            false => Err(Error::Locked {
                dir: dir.to_owned(),
            }),
        }
    }
}

#[derive(Debug)]
struct FaultFile {
    fs: FaultFs,
    id: InodeId,
    path: PathBuf,
}

impl File for FaultFile {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        let operation = Operation::Read {
            path: self.path.clone(),
            offset,
            len: buffer.len(),
        };
        let complete = self.fs.observe(&operation, |state| {
            let pages = &state.disk.inode(self.id).cached;
            let end = offset.checked_add(buffer.len() as u64);
            let complete = end.is_some_and(|end| end <= pages.len());
            if complete {
                pages.read(offset, buffer);
            }
            complete
        })?;
        match complete {
            true => Ok(()),
            false => Err(operation.fail(io::ErrorKind::UnexpectedEof.into())),
        }
    }

    fn write_all_at(&self, data: &[u8], offset: u64) -> Result<()> {
        let operation = Operation::Write {
            path: self.path.clone(),
            offset,
            len: data.len(),
        };
        let mut state = self.fs.state();
        let outcome = match state.refusal(&operation) {
            Some(refusal) => {
                let written = refusal.written.min(data.len());
                let short = state.write(self.id, &data[..written], offset);
                Err(short.err().unwrap_or(refusal.error))
            }
            None => state.write(self.id, data, offset),
        };
        let outcome = outcome.map_err(|source| operation.fail(source));
        let ok = outcome.is_ok();
        state.log.push(Record { operation, ok });
        outcome
    }

    fn len(&self) -> Result<u64> {
        let operation = Operation::Open {
            path: self.path.clone(),
        };
        self.fs
            .observe(&operation, |state| state.disk.inode(self.id).cached.len())
    }

    fn set_len(&self, len: u64) -> Result<()> {
        let operation = Operation::SetLen {
            path: self.path.clone(),
            len,
        };
        self.fs
            .change(operation, |state| state.set_len(self.id, len))
    }

    fn sync_data(&self) -> Result<()> {
        let operation = Operation::SyncData {
            path: self.path.clone(),
        };
        let held = |state: &mut State| state.syncs_held && !state.crashed;
        let state = self.fs.0.released.wait_while(self.fs.state(), held);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        let refusal = state.refusal(&operation);
        let inode = state.disk.inode_mut(self.id);
        match &refusal {
            None => inode.sync(),
            Some(refusal) if refusal.loses_data => inode.drop_pending(),
            Some(_) => {}
        }
        let outcome = refusal.map_or(Ok(()), |refusal| Err(operation.fail(refusal.error)));
        let ok = outcome.is_ok();
        state.log.push(Record { operation, ok });
        outcome
    }

    fn allocate(&self, len: u64) -> Result<()> {
        let operation = Operation::Allocate {
            path: self.path.clone(),
            len,
        };
        self.fs
            .change(operation, |state| state.allocate(self.id, len))
    }
}

impl Drop for FaultFile {
    fn drop(&mut self) {
        self.fs.state().disk.release(self.id);
    }
}

#[derive(Debug)]
struct FaultLock {
    fs: FaultFs,
    dir: PathBuf,
}

impl DirLock for FaultLock {}

impl Drop for FaultLock {
    fn drop(&mut self) {
        self.fs.state().locks.remove(&self.dir);
    }
}
