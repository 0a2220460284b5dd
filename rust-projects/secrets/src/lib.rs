//! Secrets from files: passwords, tokens, private keys.
//!
//! What it guarantees. A file that anyone but its owner may open is refused, and its mode is looked at through the handle that is read.
//! A [`Secret`] is compared in the same time whatever is wrong with the guess, its length included, and is never printed.
//!
//! What it does not. Memory is neither locked nor wiped, and a secret file is not looked at again while a program runs.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use subtle::ConstantTimeEq;

/// Longest secret in bytes. Comparing always looks at this many, so that time tells nothing about the length.
pub const MAX_BYTES: usize = 512;
/// Longest file of which all is taken.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Why a secret file cannot be used. Whoever asked for it says what it is for.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Others on the machine can open it.
    #[error("{path} is open to other users of this machine: run `chmod 600 {path}`", path = .0.display())]
    Exposed(PathBuf),
    /// Its first line is empty.
    #[error("{} is empty: write the secret on its first line", .0.display())]
    Empty(PathBuf),
    /// It is too long.
    #[error("{} holds more than {max} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// What it may hold.
        max: u64,
    },
}

/// All of the file `path`, which must be accessible to its owner only.
///
/// # Errors
/// [`SecretError::Read`]; [`SecretError::Exposed`]; [`SecretError::TooLong`] over 1 MiB.
pub fn read_private(path: &Path) -> Result<Vec<u8>, SecretError> {
    let read_error = |source| SecretError::Read {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(read_error)?;
    let mode = file.metadata().map_err(read_error)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(SecretError::Exposed(path.to_owned()));
    }
    let mut bytes = Vec::new();
    let read = file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes);
    if read.map_err(read_error)? as u64 > MAX_FILE_BYTES {
        return Err(SecretError::TooLong {
            path: path.to_owned(),
            max: MAX_FILE_BYTES,
        });
    }
    Ok(bytes)
}

/// A password or token. Never printed.
#[derive(Clone)]
pub struct Secret {
    padded: [u8; MAX_BYTES],
    len: usize,
}

impl Secret {
    /// Reads the first line of `path`, which must be accessible to its owner only.
    ///
    /// # Errors
    /// [`SecretError`].
    pub fn read(path: &Path) -> Result<Self, SecretError> {
        let bytes = read_private(path)?;
        let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or(&[]);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return Err(SecretError::Empty(path.to_owned()));
        }
        Self::new(line).ok_or_else(|| SecretError::TooLong {
            path: path.to_owned(),
            max: MAX_BYTES as u64,
        })
    }

    /// `None` when `bytes` is longer than a secret may be.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut padded = [0; MAX_BYTES];
        padded.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self {
            padded,
            len: bytes.len(),
        })
    }

    /// The secret itself, to be sent.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.padded[..self.len]
    }

    /// Whether `given` is the secret. Takes the same time for every wrong one.
    #[must_use]
    pub fn matches(&self, given: &[u8]) -> bool {
        let Some(given) = Self::new(given) else {
            return false;
        };
        let same = self.padded.ct_eq(&given.padded) & self.len.ct_eq(&given.len);
        same.into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn file(text: &str, mode: u32) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    #[test]
    fn only_the_whole_first_line_matches() {
        for text in ["s3cret\nnot this\n", "s3cret\r\nnot this", "s3cret"] {
            let secret = Secret::read(file(text, 0o600).path()).unwrap();
            assert_eq!(secret.as_bytes(), b"s3cret");
            assert!(secret.matches(b"s3cret"));
            for wrong in [&b""[..], b"s3cre", b"s3cret\0", b"S3cret", &[b'x'; 600]] {
                assert!(!secret.matches(wrong), "{wrong:?}");
            }
        }
    }

    #[test]
    fn a_file_that_the_group_or_all_can_open_is_refused() {
        for mode in [0o640, 0o620, 0o604, 0o601, 0o644] {
            let error = Secret::read(file("s3cret", mode).path()).unwrap_err();
            assert!(matches!(error, SecretError::Exposed(_)), "{error}");
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
    }

    #[test]
    fn an_empty_or_endless_secret_is_refused() {
        let empty = Secret::read(file("\n", 0o600).path()).unwrap_err();
        assert!(matches!(empty, SecretError::Empty(_)), "{empty}");
        let long = Secret::read(file(&"x".repeat(MAX_BYTES + 1), 0o600).path()).unwrap_err();
        assert!(matches!(long, SecretError::TooLong { .. }), "{long}");
        Secret::read(file(&"x".repeat(MAX_BYTES), 0o600).path()).unwrap();
        let file = file(&"x".repeat((1 << 20) + 1), 0o600);
        let endless = read_private(file.path()).unwrap_err();
        assert!(matches!(endless, SecretError::TooLong { .. }), "{endless}");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = Secret::read(Path::new("/nonexistent/password")).unwrap_err();
        assert!(
            error.to_string().contains("/nonexistent/password"),
            "{error}"
        );
    }

    #[test]
    fn it_is_not_printed() {
        let secret = Secret::new(b"s3cret").unwrap();
        assert!(!format!("{secret:?}").contains("s3cret"));
    }
}
