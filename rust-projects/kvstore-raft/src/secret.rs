//! The token that operators and joining nodes must know, and files that nobody else may read.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use subtle::ConstantTimeEq;

/// Longest token in bytes.
const MAX_BYTES: usize = 512;

/// Why a token file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It cannot be read.
    #[error("cannot read the token file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Anyone on the machine can read it.
    #[error("the token file {path} is open to every user of this machine: run `chmod 600 {path}`", path = .0.display())]
    Exposed(PathBuf),
    /// Its first line is none.
    #[error(
        "the first line of the token file {} must be 1 to {MAX_BYTES} letters, digits or signs of ASCII without spaces",
        .0.display()
    )]
    Unusable(PathBuf),
}

/// Lets its holder change the cluster. Never printed.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// Reads the first line of `path`, which must not be accessible to all users of the machine.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        let read_error = |source| TokenError::Read {
            path: path.to_owned(),
            source,
        };
        let mode = fs::metadata(path).map_err(read_error)?.permissions().mode();
        if mode & 0o007 != 0 {
            return Err(TokenError::Exposed(path.to_owned()));
        }
        let text = fs::read(path).map_err(read_error)?;
        let line = text.split(|&byte| byte == b'\n').next().unwrap_or(&[]);
        let line = line.trim_ascii();
        let is_usable =
            (1..=MAX_BYTES).contains(&line.len()) && line.iter().all(u8::is_ascii_graphic);
        match String::from_utf8(line.to_vec()) {
            Ok(token) if is_usable => Ok(Self(token)),
            _ => Err(TokenError::Unusable(path.to_owned())),
        }
    }

    /// Of a random number.
    pub(crate) fn of(number: u128) -> Self {
        Self(format!("{number:032x}"))
    }

    /// The token itself, to be sent.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `given` is the token. The time tells nothing but whether the lengths are equal.
    pub(crate) fn matches(&self, given: &str) -> bool {
        self.0.as_bytes().ct_eq(given.as_bytes()).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
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
    fn a_file_that_others_can_read_is_refused() {
        let refused = read("s3cret", 0o644);
        assert!(
            matches!(refused, Err(TokenError::Exposed(_))),
            "{refused:?}"
        );
    }

    #[test]
    fn an_empty_or_unprintable_or_endless_token_is_refused() {
        for text in ["", "\n", "two words", "\u{e9}", &"x".repeat(513)] {
            let refused = read(text, 0o600);
            assert!(matches!(refused, Err(TokenError::Unusable(_))), "{text:?}");
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
