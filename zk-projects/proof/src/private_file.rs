//! Files that hold secrets: inputs of provers, witnesses, notes.
//!
//! They are written for their owner alone (mode 0600, from the first moment on) and never over something that is there. One that others
//! may open is refused: the secret is out, and whoever could write it could choose the input. What was read is wiped from memory
//! when it is dropped. Witnesses are only written here: those of other programs are open to everybody, and are read as other files.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// Longest file that is read, in bytes: far above any input or note.
const MAX_BYTES: u64 = 1 << 26;

/// A file with secrets cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PrivateFileError {
    /// The operating system says no.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
    /// Others on the machine can open it.
    #[error("{path} is open to other users of this machine: run `chmod 600 {path}`", path = .0.display())]
    Exposed(PathBuf),
    /// It is too long.
    #[error("{path} holds more than {MAX_BYTES} bytes", path = .0.display())]
    TooLong(PathBuf),
    /// Something is there already.
    #[error("{path} is there already and is not overwritten", path = .0.display())]
    Exists(PathBuf),
}

/// Reads a file that nobody but its owner may open.
///
/// # Errors
///
/// [`PrivateFileError`].
pub fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, PrivateFileError> {
    let failed = |source| PrivateFileError::Io {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    // Of the file that was opened, not of what its name means by now.
    let metadata = file.metadata().map_err(failed)?;
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(PrivateFileError::Exposed(path.to_owned()));
    }
    let length = metadata.len().min(MAX_BYTES) as usize;
    // With room for all of it at once: a list that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(length + 1));
    let read = file
        .take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if read as u64 > MAX_BYTES {
        return Err(PrivateFileError::TooLong(path.to_owned()));
    }
    Ok(bytes)
}

/// Writes a new file that nobody but its owner may open, and syncs it.
///
/// # Errors
///
/// [`PrivateFileError`].
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<(), PrivateFileError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => PrivateFileError::Exists(path.to_owned()),
        _ => PrivateFileError::Io {
            path: path.to_owned(),
            source,
        },
    };
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use super::*;

    #[test]
    fn what_is_written_is_its_owners_alone_and_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("note");
        write_new(&path, b"secret").unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(read(&path).unwrap().as_slice(), b"secret");
        assert!(matches!(
            write_new(&path, b"other"),
            Err(PrivateFileError::Exists(_))
        ));
        assert_eq!(read(&path).unwrap().as_slice(), b"secret");
    }

    #[test]
    fn what_others_may_open_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("note");
        write_new(&path, b"secret").unwrap();
        for mode in [0o640, 0o604, 0o620, 0o610] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert!(
                matches!(read(&path), Err(PrivateFileError::Exposed(_))),
                "{mode:o}"
            );
        }
    }
}
