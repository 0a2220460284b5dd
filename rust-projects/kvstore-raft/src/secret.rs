//! The token that operators and joining nodes must know, and writing files that nobody else may read.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use secrets::{Secret, SecretError};

/// Why a token file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It cannot be read, or others can read it.
    #[error("the token file cannot be used: {0}")]
    File(#[from] SecretError),
    /// It would not pass through a header of gRPC.
    #[error(
        "the token in the first line of {} must be of letters, digits or signs of ASCII without spaces",
        .0.display()
    )]
    Unusable(PathBuf),
}

/// Lets its holder change the cluster. Never printed.
#[derive(Clone, Debug)]
pub struct Token(Secret);

impl Token {
    /// Reads the first line of `path`, which must be accessible to its owner only.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        let secret = Secret::read(path)?;
        match secret.as_bytes().iter().all(u8::is_ascii_graphic) {
            true => Ok(Self(secret)),
            false => Err(TokenError::Unusable(path.to_owned())),
        }
    }

    /// Of a random number.
    pub(crate) fn of(number: u128) -> Self {
        let text = format!("{number:032x}");
        Self(Secret::new(text.as_bytes()).expect("32 digits are no longer than a secret may be"))
    }

    /// The token itself, to be sent.
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(self.0.as_bytes()).expect("a token is of ASCII")
    }

    /// Whether `given` is the token. Takes the same time for every wrong one.
    pub(crate) fn matches(&self, given: &str) -> bool {
        self.0.matches(given.as_bytes())
    }
}

/// A number from the operating system's random source; never 0.
///
/// # Errors
/// There is no random source.
pub(crate) fn random() -> io::Result<u128> {
    let mut bytes = [0; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(u128::from_be_bytes(bytes).max(1))
}

/// Makes `path` hold `text`, all or nothing across a crash, for this user's eyes alone.
///
/// # Errors
/// I/O errors.
pub(crate) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    fs::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn read(text: &str, mode: u32) -> Result<Token, TokenError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
        Token::read(file.path())
    }

    #[test]
    fn only_the_whole_first_line_matches() {
        let token = read("s3cret\nnot this\n", 0o600).unwrap();
        assert!(token.matches("s3cret"));
        for wrong in ["", "s3cre", "s3cret\n", "S3cret", "s3crets"] {
            assert!(!token.matches(wrong), "{wrong:?}");
        }
        assert!(!format!("{token:?}").contains("s3cret"));
    }

    #[test]
    fn an_exposed_empty_unprintable_or_endless_token_is_refused() {
        for text in ["two words", "trailing ", "\u{e9}"] {
            let refused = read(text, 0o600);
            assert!(matches!(refused, Err(TokenError::Unusable(_))), "{text:?}");
        }
        let endless = "x".repeat(secrets::MAX_BYTES + 1);
        for (text, mode) in [("s3cret", 0o644), ("", 0o600), (&endless[..], 0o600)] {
            let refused = read(text, mode);
            assert!(matches!(refused, Err(TokenError::File(_))), "{text:?}");
        }
    }

    #[test]
    fn what_is_private_is_written_so_that_only_its_owner_reads_it_and_replaces_what_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("TOKEN");
        for text in ["one\n", "two\n"] {
            write_private(&path, text).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
