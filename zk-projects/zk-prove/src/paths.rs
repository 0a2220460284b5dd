//! Reading and writing files whole. Files with secrets go through [`proof::private_file`], but for witnesses that are read.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use crate::failure::Failure;

/// All of a file; `-` is standard input.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    if path == Path::new("-") {
        let mut bytes = Vec::new();
        io::stdin()
            .read_to_end(&mut bytes)
            .map_err(Failure::io("read", path))?;
        return Ok(bytes);
    }
    fs::read(path).map_err(Failure::io("read", path))
}

/// A file mapped into memory: of files of gigabytes only what is looked at is read.
pub(crate) fn map(path: &Path) -> Result<Mmap, Failure> {
    let file = File::open(path).map_err(Failure::io("read", path))?;
    // SAFETY: nothing here writes to the mapping, and readers copy what they look at. Another process that changes the file meanwhile
    // can make numbers wrong, which is found by the checks on what was read, or cut it short, which ends this process.
    unsafe { Mmap::map(&file) }.map_err(Failure::io("map", path))
}

/// Refuses a path at which something is.
pub(crate) fn refuse_existing(path: &Path) -> Result<(), Failure> {
    match path.symlink_metadata() {
        Ok(_) => Err(Failure::Exists(path.to_owned())),
        Err(_) => Ok(()),
    }
}

/// Makes a directory, and those above it.
pub(crate) fn create_dir(path: &Path) -> Result<(), Failure> {
    fs::create_dir_all(path).map_err(Failure::io("create", path))
}

/// Writes a file such that its name stands for all of it or for what was there before.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    write_with(path, |file| {
        file.write_all(bytes).map_err(Failure::io("write", path))
    })
}

/// Like [`write()`], through a closure that writes to the file.
pub(crate) fn write_with<E: From<Failure>>(
    path: &Path,
    fill: impl FnOnce(&mut io::BufWriter<&File>) -> Result<(), E>,
) -> Result<(), E> {
    let beside = unfinished(path);
    let filled = fill_file(&beside, fill);
    let named = filled.and_then(|()| {
        fs::rename(&beside, path).map_err(|error| Failure::io("rename to", path)(error).into())
    });
    if named.is_err() {
        // What is left of a write that failed is of no use; that it cannot be removed changes nothing about the failure.
        let _ = fs::remove_file(&beside);
    }
    named
}

fn fill_file<E: From<Failure>>(
    path: &Path,
    fill: impl FnOnce(&mut io::BufWriter<&File>) -> Result<(), E>,
) -> Result<(), E> {
    // One may be left by a process that was killed.
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(Failure::io("remove", path)(error).into());
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    let file = options.open(path).map_err(Failure::io("create", path))?;
    let mut writer = io::BufWriter::with_capacity(1 << 18, &file);
    fill(&mut writer)?;
    writer.flush().map_err(Failure::io("write", path))?;
    drop(writer);
    file.sync_all().map_err(Failure::io("sync", path))?;
    Ok(())
}

fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".unfinished");
    name.into()
}
