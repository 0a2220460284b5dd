//! One trait, two engines.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use commands::plain;
use storage::kvs::{LogEngine, Options};
use storage::{Engine, SledEngine, SyncPolicy};

use crate::Result;

/// A store of strings.
pub trait KvsEngine {
    /// Sets `key` to `value`, whether or not it had one.
    ///
    /// # Errors
    /// [`KvsError::Store`](crate::KvsError::Store) when the key or value is too long or the disk fails or is full.
    fn set(&mut self, key: String, value: String) -> Result<()>;

    /// The value of `key`, or `None`.
    ///
    /// # Errors
    /// [`KvsError::Store`](crate::KvsError::Store) when reading fails, or the value was written by another program and is not text.
    fn get(&mut self, key: String) -> Result<Option<String>>;

    /// Removes `key`.
    ///
    /// # Errors
    /// [`KvsError::KeyNotFound`](crate::KvsError::KeyNotFound) when it has no value; [`KvsError::Store`](crate::KvsError::Store) as for the others.
    fn remove(&mut self, key: String) -> Result<()>;
}

/// Strings over any engine of bytes.
pub struct Store<E> {
    engine: E,
}

/// Our log-structured engine.
pub type KvStore = Store<LogEngine>;

/// The engine of the `sled` library.
pub type SledKvsEngine = Store<SledEngine>;

impl<E: Engine> Store<E> {
    /// Strings over `engine`.
    pub fn new(engine: E) -> Self {
        Self { engine }
    }

    /// The engine below.
    pub fn engine(&self) -> &E {
        &self.engine
    }
}

impl KvStore {
    /// Opens the store in `directory`, which is created if it is not there. A write that returns is on the disk.
    ///
    /// # Errors
    /// The directory is in use, belongs to another engine, or is corrupt; I/O errors.
    pub fn open(directory: impl AsRef<Path>) -> Result<Self> {
        let engine = LogEngine::open(directory.as_ref(), Options::default())?;
        Ok(Self::new(engine))
    }
}

impl SledKvsEngine {
    /// As [`KvStore::open`].
    ///
    /// # Errors
    /// As [`KvStore::open`].
    pub fn open(directory: impl AsRef<Path>) -> Result<Self> {
        let engine = SledEngine::open(directory.as_ref(), SyncPolicy::Always)?;
        Ok(Self::new(engine))
    }
}

impl<E: Engine> KvsEngine for Store<E> {
    fn set(&mut self, key: String, value: String) -> Result<()> {
        plain::set(&self.engine, &key, &value)
    }

    fn get(&mut self, key: String) -> Result<Option<String>> {
        plain::get(&self.engine, &key, now_ms())
    }

    fn remove(&mut self, key: String) -> Result<()> {
        plain::remove(&self.engine, &key, now_ms())
    }
}

/// Milliseconds since 1970, by which keys with an expiry, which only `kvs-server` sets, are absent.
fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_millis() as u64)
}
