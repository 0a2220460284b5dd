//! Where an application keeps its data, as its user writes it: a directory, or a cluster's address.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use bytes::Bytes;

use crate::kvs::{LogEngine, Options};
use crate::tikv::{Address, AddressError};
use crate::{Direction, Engine, KeyRange, Result};

/// A directory of engine `kvs`, or a cluster.
///
/// ```
/// use storage::Location;
/// let here: Location = "data".parse()?;
/// let there: Location = "tikv://127.0.0.1:2379/notes".parse()?;
/// assert!(matches!(here, Location::Directory(_)));
/// assert!(matches!(there, Location::Cluster(_)));
/// # Ok::<(), storage::LocationError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A data directory, made when it is first opened.
    Directory(PathBuf),
    /// A cluster that speaks TiKV's protocol, and a namespace in it.
    Cluster(Address),
}

/// Why a text is no location.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// It is empty.
    #[error("expected a directory or an address, as in tikv://127.0.0.1:2379")]
    Empty,
    /// It begins as an address of something else.
    #[error(
        "{0} is no address that is known: those begin with {scheme}; write a directory of such a name as ./{0}",
        scheme = Address::SCHEME
    )]
    Scheme(String),
    /// It begins as a cluster's address and goes on otherwise.
    #[error(transparent)]
    Address(#[from] AddressError),
}

impl Location {
    /// A place within this one: a directory in the directory, a namespace in the namespace.
    ///
    /// # Errors
    /// [`AddressError::Namespace`] for a name that is no part of a namespace.
    pub fn join(&self, name: &str) -> std::result::Result<Self, AddressError> {
        Ok(match self {
            Self::Directory(directory) => Self::Directory(directory.join(name)),
            Self::Cluster(address) => Self::Cluster(address.join(name)?),
        })
    }

    /// Opens what is there, or makes it.
    ///
    /// # Errors
    /// Those of [`LogEngine::open`] or of `TikvEngine::connect`; [`crate::Error::WithoutTikv`] for a cluster, where the crate was built
    /// without it.
    pub fn open(&self) -> Result<Box<dyn Engine>> {
        Ok(match self {
            Self::Directory(directory) => Box::new(LogEngine::open(directory, Options::default())?),
            #[cfg(feature = "tikv")]
            Self::Cluster(address) => Box::new(crate::tikv::TikvEngine::connect(address)?),
            #[cfg(not(feature = "tikv"))]
            Self::Cluster(address) => {
                let address = address.to_string();
                return Err(crate::Error::WithoutTikv { address });
            }
        })
    }

    /// Opens what is there and sees to it that `key` has a value: `mark`, if nothing at all was there before. Returns the value that
    /// it has; none where there is other data and no mark. For programs that must not mix their data with another's.
    ///
    /// # Errors
    /// As [`Location::open`] and [`Engine::write`].
    pub fn open_marked(&self, key: &[u8], mark: &[u8]) -> Result<(Box<dyn Engine>, Option<Bytes>)> {
        let engine = self.open()?;
        let mut found = engine.get(key)?;
        if found.is_none() {
            let mut keys = engine.scan_keys(&KeyRange::all(), Direction::Forward);
            let is_empty = keys.next().transpose()?.is_none();
            drop(keys);
            if is_empty {
                found = Some(self.put_if_absent(&*engine, key, mark)?);
            }
        }
        Ok((engine, found))
    }

    /// The value that the key has then.
    fn put_if_absent(&self, engine: &dyn Engine, key: &[u8], value: &[u8]) -> Result<Bytes> {
        let found = match self {
            // Whoever has a directory open is alone there.
            Self::Directory(_) => engine.put(key, value).map(|()| None)?,
            #[cfg(feature = "tikv")]
            Self::Cluster(address) => {
                crate::tikv::TikvEngine::connect(address)?.put_if_absent(key, value)?
            }
            #[cfg(not(feature = "tikv"))]
            Self::Cluster(_) => None,
        };
        Ok(found.unwrap_or_else(|| Bytes::copy_from_slice(value)))
    }
}

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(text: &str) -> std::result::Result<Self, LocationError> {
        match text.split_once("://") {
            _ if text.is_empty() => Err(LocationError::Empty),
            Some(_) if text.starts_with(Address::SCHEME) => Ok(Self::Cluster(text.parse()?)),
            // Else a misspelt scheme would make a directory, and nobody would look there for the data.
            Some((scheme, _)) if !scheme.contains('/') => {
                Err(LocationError::Scheme(text.to_owned()))
            }
            _ => Ok(Self::Directory(PathBuf::from(text))),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(directory) => directory.display().fmt(f),
            Self::Cluster(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EngineKind;

    #[test]
    fn a_directory_is_a_directory_unless_it_begins_as_an_address() {
        for text in ["data", "./tikv://x", "/var/data", "tikv", "a/b://c"] {
            let location: Location = text.parse().unwrap();
            assert_eq!(location, Location::Directory(text.into()));
            assert_eq!(location.to_string(), text);
        }
        for text in ["tikc://127.0.0.1:2379", "http://127.0.0.1:2379"] {
            let error = text.parse::<Location>().unwrap_err();
            assert_eq!(error, LocationError::Scheme(text.into()));
            assert!(error.to_string().contains("begin with tikv://"), "{error}");
        }
        assert_eq!("".parse::<Location>(), Err(LocationError::Empty));
        let error = "tikv://".parse::<Location>().unwrap_err();
        assert!(matches!(error, LocationError::Address(_)), "{error}");
    }

    #[test]
    fn a_directory_is_opened_and_what_is_within_it_is_apart() {
        let dir = tempfile::tempdir().unwrap();
        let whole = Location::Directory(dir.path().to_owned());
        let (left, right) = (whole.join("left").unwrap(), whole.join("right").unwrap());
        let engine = left.open().unwrap();
        assert_eq!(engine.kind(), EngineKind::Kvs);
        engine.put(b"k", b"v").unwrap();
        let right = right.open().unwrap();
        assert!(!crate::Reader::contains(&right, b"k").unwrap());
        drop(engine);
        assert_eq!(&left.open().unwrap().get(b"k").unwrap().unwrap()[..], b"v");
    }

    #[test]
    #[cfg(not(feature = "tikv"))]
    fn a_program_built_without_it_says_how_to_build_with_it() {
        let location: Location = "tikv://127.0.0.1:2379/notes".parse().unwrap();
        let error = location.open().err().unwrap().to_string();
        assert!(error.starts_with("tikv://127.0.0.1:2379/notes:"), "{error}");
        assert!(error.contains("--features tikv"), "{error}");
    }
}
