//! Who owns a data directory, in which version of its format.
//!
//! The file `KEYPROOF` holds one line, `keyproof <owner> <format>`, and is written before the owner's first byte.
//! A directory with data of one owner is refused by every other one, by name.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use crate::file::FileSystem;
use crate::{Error, Result};

const FILE_NAME: &str = "KEYPROOF";

/// The engines.
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
    /// A cluster that speaks TiKV's protocol. It has an address where the others have a directory, so no directory is
    /// its own, and it is not among [`EngineKind::ALL`].
    Tikv,
}

impl EngineKind {
    /// Every kind that is asked for by name beside a directory, in the order help texts list them.
    pub const ALL: [Self; 4] = [Self::Kvs, Self::Sled, Self::Fjall, Self::Memory];

    /// The name used in flags and in the identity file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kvs => "kvs",
            Self::Sled => "sled",
            Self::Fjall => "fjall",
            Self::Memory => "memory",
            Self::Tikv => "tikv",
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

    /// The kind of a name in [`EngineKind::ALL`].
    fn from_str(name: &str) -> std::result::Result<Self, String> {
        if name == Self::Tikv.name() {
            return Err(Error::NoDirectory { engine: Self::Tikv }.to_string());
        }
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| format!("unknown engine `{name}`: use kvs, sled, fjall or memory"))
    }
}

/// Whose files a directory holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Owner {
    /// An engine's.
    Engine(EngineKind),
    /// The Raft log's.
    RaftLog,
}

impl Owner {
    /// The name used in the identity file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Engine(engine) => engine.name(),
            Self::RaftLog => "raft-log",
        }
    }

    fn named(name: &str) -> Option<Self> {
        let engines = EngineKind::ALL.into_iter().map(Self::Engine);
        engines
            .chain([Self::RaftLog])
            .find(|owner| owner.name() == name)
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Engine(engine) => write!(f, "engine `{engine}`"),
            Self::RaftLog => f.write_str("the Raft log"),
        }
    }
}

/// What a directory's identity file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Whose directory it is.
    pub owner: Owner,
    /// The version of the owner's format.
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
        let corrupt = || Error::corrupt(&path, 0, "expected `keyproof <owner> <format>`");
        let mut words = text.strip_suffix('\n').ok_or_else(corrupt)?.split(' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("keyproof"), Some(owner), Some(format), None) => Ok(Some(Self {
                owner: Owner::named(owner).ok_or_else(corrupt)?,
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

    /// The engine whose directory `dir` is; `None` when it has no identity.
    ///
    /// # Errors
    /// As [`Identity::read`]; [`Error::NoEngine`] when something else owns it.
    pub fn read_engine(files: &dyn FileSystem, dir: &Path) -> Result<Option<EngineKind>> {
        match Self::read(files, dir)?.map(|found| found.owner) {
            None => Ok(None),
            Some(Owner::Engine(engine)) => Ok(Some(engine)),
            Some(found) => Err(Error::NoEngine {
                dir: dir.to_owned(),
                found,
            }),
        }
    }

    /// The engine to open `dir` with: the one `wanted`, else the one whose data is there, else [`EngineKind::Kvs`].
    /// [`EngineKind::Memory`] leaves whatever is there alone.
    ///
    /// # Errors
    /// [`Error::WrongEngine`] when the data there is another's than `wanted`; [`Error::NoDirectory`] for
    /// [`EngineKind::Tikv`]; otherwise as [`Identity::read_engine`].
    pub fn choose(
        files: &dyn FileSystem,
        dir: &Path,
        wanted: Option<EngineKind>,
    ) -> Result<EngineKind> {
        let found = Self::read_engine(files, dir)?;
        match (wanted, found) {
            (Some(EngineKind::Memory), _) => Ok(EngineKind::Memory),
            (Some(engine @ EngineKind::Tikv), _) => Err(Error::NoDirectory { engine }),
            (Some(wanted), Some(found)) if wanted != found => Err(Error::WrongEngine {
                dir: dir.to_owned(),
                found,
                wanted,
            }),
            (wanted, found) => Ok(wanted.or(found).unwrap_or(EngineKind::Kvs)),
        }
    }

    /// Claims `dir` for this identity: records it durably in a new directory, or checks it against what is recorded.
    ///
    /// # Errors
    /// [`Error::WrongEngine`], [`Error::NoEngine`], [`Error::NotRaftLog`] or [`Error::NewerFormat`] when the directory
    /// belongs to another; I/O errors.
    pub fn claim(self, files: &dyn FileSystem, dir: &Path) -> Result<()> {
        match Self::read(files, dir)? {
            Some(found) if found.owner != self.owner => Err(self.refuse(dir, found.owner)),
            Some(found) if found.format > self.format => Err(Error::NewerFormat {
                dir: dir.to_owned(),
                owner: self.owner,
                found: found.format,
                supported: self.format,
            }),
            Some(_) => Ok(()),
            None => self.record(files, dir),
        }
    }

    fn refuse(self, dir: &Path, found: Owner) -> Error {
        let dir = dir.to_owned();
        match (self.owner, found) {
            (Owner::Engine(wanted), Owner::Engine(found)) => {
                Error::WrongEngine { dir, found, wanted }
            }
            (Owner::Engine(_), found) => Error::NoEngine { dir, found },
            (Owner::RaftLog, found) => Error::NotRaftLog { dir, found },
        }
    }

    /// Writes the identity file, whatever it said before.
    pub(crate) fn record(self, files: &dyn FileSystem, dir: &Path) -> Result<()> {
        let line = format!("keyproof {} {}\n", self.owner.name(), self.format);
        files.write_durably(&Self::path(dir), line.as_bytes())
    }

    /// Where the identity of `dir` is written.
    pub(crate) fn path(dir: &Path) -> std::path::PathBuf {
        dir.join(FILE_NAME)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::fault::FaultFs;

    #[test]
    fn the_engine_is_the_one_asked_for_then_the_one_whose_data_is_there_then_ours() {
        let (files, dir) = (FaultFs::new(), Path::new("/data"));
        let choose = |wanted| Identity::choose(&files, dir, wanted);
        assert_eq!(choose(None).unwrap(), EngineKind::Kvs);
        assert_eq!(choose(Some(EngineKind::Sled)).unwrap(), EngineKind::Sled);
        files.create_dir_all(dir).unwrap();
        let sled = Identity {
            owner: Owner::Engine(EngineKind::Sled),
            format: 1,
        };
        sled.claim(&files, dir).unwrap();
        for fits in [None, Some(EngineKind::Sled)] {
            assert_eq!(choose(fits).unwrap(), EngineKind::Sled);
        }
        let error = choose(Some(EngineKind::Kvs)).unwrap_err();
        assert!(matches!(error, Error::WrongEngine { .. }), "{error}");
        // It keeps nothing, so nothing there is in its way.
        let memory = choose(Some(EngineKind::Memory));
        assert_eq!(memory.unwrap(), EngineKind::Memory);
    }

    #[test]
    fn an_engine_without_a_directory_is_neither_parsed_nor_chosen_nor_read_from_one() {
        let parsed = "tikv".parse::<EngineKind>().unwrap_err();
        assert!(parsed.contains("--store tikv://"), "{parsed}");
        let (files, dir) = (FaultFs::new(), Path::new("/data"));
        let chosen = Identity::choose(&files, dir, Some(EngineKind::Tikv));
        assert!(matches!(chosen, Err(Error::NoDirectory { .. })));
        files.create_dir_all(dir).unwrap();
        let path = Identity::path(dir);
        files.write_durably(&path, b"keyproof tikv 1\n").unwrap();
        let read = Identity::read(&files, dir);
        assert!(matches!(read, Err(Error::Corrupt { .. })), "{read:?}");
    }
}
