//! Which engine, and which version of its format, owns a data directory.
//!
//! The file `KEYPROOF` holds one line, `keyproof <engine> <format>`, and is written before the engine's first byte.
//! A directory with data of one engine is refused by every other one, by name.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use crate::file::FileSystem;
use crate::{Error, Result};

const FILE_NAME: &str = "KEYPROOF";

/// The engines a data directory can belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EngineKind {
    /// Our log-structured engine.
    Kvs,
    /// sled 0.34.
    Sled,
    /// fjall 3.
    Fjall,
    /// Memory only; owns no directory.
    Memory,
}

impl EngineKind {
    /// Every kind, in the order help texts list them.
    pub const ALL: [Self; 4] = [Self::Kvs, Self::Sled, Self::Fjall, Self::Memory];

    /// The name used in flags and in the identity file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kvs => "kvs",
            Self::Sled => "sled",
            Self::Fjall => "fjall",
            Self::Memory => "memory",
        }
    }
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for EngineKind {
    type Err = String;

    fn from_str(name: &str) -> std::result::Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| format!("unknown engine `{name}`: use kvs, sled, fjall or memory"))
    }
}

/// What a directory's identity file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The engine that owns the directory.
    pub engine: EngineKind,
    /// The version of that engine's format.
    pub format: u32,
}

impl Identity {
    /// Reads the identity of `dir`; `None` when it has none, as a new directory does.
    ///
    /// # Errors
    /// I/O errors; [`Error::Corrupt`] when the file does not parse.
    pub fn read(files: &dyn FileSystem, dir: &Path) -> Result<Option<Self>> {
        let path = Self::path(dir);
        if !files.exists(&path)? {
            return Ok(None);
        }
        let bytes = files.read(&path)?;
        // A crash between creation and sync can leave the file empty; no engine has written by then.
        if bytes.is_empty() {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&bytes);
        let corrupt = || Error::corrupt(&path, 0, "expected `keyproof <engine> <format>`");
        let mut words = text.strip_suffix('\n').ok_or_else(corrupt)?.split(' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("keyproof"), Some(engine), Some(format), None) => Ok(Some(Self {
                engine: engine.parse().map_err(|_| corrupt())?,
                // Formats are counted from 1.
                format: format
                    .parse()
                    .ok()
                    .filter(|format| *format > 0)
                    .ok_or_else(corrupt)?,
            })),
            _ => Err(corrupt()),
        }
    }

    /// Claims `dir` for this identity: records it durably in a new directory, or checks it against what is recorded.
    ///
    /// # Errors
    /// [`Error::WrongEngine`] or [`Error::NewerFormat`] when the directory belongs to another; I/O errors.
    pub fn claim(self, files: &dyn FileSystem, dir: &Path) -> Result<()> {
        match Self::read(files, dir)? {
            Some(found) if found.engine != self.engine => Err(Error::WrongEngine {
                dir: dir.to_owned(),
                found: found.engine,
                wanted: self.engine,
            }),
            Some(found) if found.format > self.format => Err(Error::NewerFormat {
                dir: dir.to_owned(),
                engine: self.engine,
                found: found.format,
                supported: self.format,
            }),
            Some(_) => Ok(()),
            None => self.record(files, dir),
        }
    }

    /// Writes the identity file, whatever it said before.
    pub(crate) fn record(self, files: &dyn FileSystem, dir: &Path) -> Result<()> {
        let line = format!("keyproof {} {}\n", self.engine, self.format);
        files.write_durably(&Self::path(dir), line.as_bytes())
    }

    /// Where the identity of `dir` is written.
    pub(crate) fn path(dir: &Path) -> std::path::PathBuf {
        dir.join(FILE_NAME)
    }
}
