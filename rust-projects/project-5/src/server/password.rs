//! The password clients must give, if there is one.

use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use subtle::ConstantTimeEq;

/// Longest password in bytes. Comparing always looks at this many, so that time tells nothing about the length.
const MAX_BYTES: usize = 512;

/// Why a password file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// It cannot be read.
    #[error("cannot read the password file {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Anyone on the machine can read it.
    #[error(
        "the password file {path} is open to every user of this machine: run `chmod 600 {path}`"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// Its first line is empty.
    #[error("the password file {path} is empty: write the password on its first line")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Its first line is too long.
    #[error("the password in {path} is longer than {MAX_BYTES} bytes")]
    TooLong {
        /// The file.
        path: PathBuf,
    },
}

/// A password. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Password {
    padded: [u8; MAX_BYTES],
    len: usize,
}

impl Password {
    /// Reads the first line of `path`, which must not be accessible to all users of the machine.
    ///
    /// # Errors
    /// See [`PasswordError`].
    pub fn read(path: &Path) -> Result<Self, PasswordError> {
        let read_error = |source| PasswordError::Read {
            path: path.to_owned(),
            source,
        };
        let mode = fs::metadata(path).map_err(read_error)?.permissions().mode();
        if mode & 0o007 != 0 {
            return Err(PasswordError::Exposed {
                path: path.to_owned(),
            });
        }
        let bytes = fs::read(path).map_err(read_error)?;
        let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or(&[]);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return Err(PasswordError::Empty {
                path: path.to_owned(),
            });
        }
        Self::new(line).ok_or_else(|| PasswordError::TooLong {
            path: path.to_owned(),
        })
    }

    /// `None` when `bytes` is longer than a password may be.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut padded = [0; MAX_BYTES];
        padded.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self {
            padded,
            len: bytes.len(),
        })
    }

    /// The password itself, to send it to a server.
    pub fn as_bytes(&self) -> &[u8] {
        &self.padded[..self.len]
    }

    /// Whether `given` is the password. Takes the same time for every wrong one.
    pub fn matches(&self, given: &[u8]) -> bool {
        let Some(given) = Self::new(given) else {
            return false;
        };
        let same = self.padded.ct_eq(&given.padded) & self.len.ct_eq(&given.len);
        same.into()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str, mode: u32) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    #[test]
    fn only_the_whole_first_line_matches() {
        let password = Password::read(file("s3cret\nnot this\n", 0o600).path()).unwrap();
        assert!(password.matches(b"s3cret"));
        for wrong in [&b""[..], b"s3cre", b"s3cret\0", b"S3cret", &[b'x'; 600]] {
            assert!(!password.matches(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let error = Password::read(file("s3cret", 0o644).path()).unwrap_err();
        assert!(matches!(error, PasswordError::Exposed { .. }), "{error}");
    }

    #[test]
    fn an_empty_or_endless_password_is_refused() {
        let empty = Password::read(file("\n", 0o600).path()).unwrap_err();
        assert!(matches!(empty, PasswordError::Empty { .. }), "{empty}");
        let long = Password::read(file(&"x".repeat(513), 0o600).path()).unwrap_err();
        assert!(matches!(long, PasswordError::TooLong { .. }), "{long}");
    }

    #[test]
    fn it_is_not_printed() {
        let password = Password::new(b"s3cret").unwrap();
        assert!(!format!("{password:?}").contains("s3cret"));
    }
}
