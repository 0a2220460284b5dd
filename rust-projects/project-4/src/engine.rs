//! The engine trait for many threads: `&self`, and a handle that is cheap to clone.

use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use commands::plain;
use storage::kvs::{LogEngine, Options};
use storage::{Engine, SledEngine, SyncPolicy};

use crate::Result;

/// A store of strings. Clones are handles to one store, one for each thread.
pub trait KvsEngine: Clone + Send + 'static {
    /// Sets `key` to `value`, whether or not it had one.
    ///
    /// # Errors
    /// [`KvsError::Store`](crate::KvsError::Store) when the key or value is too long or the disk fails or is full.
    fn set(&self, key: String, value: String) -> Result<()>;

    /// The value of `key`, or `None`.
    ///
    /// # Errors
    /// [`KvsError::Store`](crate::KvsError::Store) when reading fails, or the value was written by another program and is not text.
    fn get(&self, key: String) -> Result<Option<String>>;

    /// Removes `key`.
    ///
    /// # Errors
    /// [`KvsError::KeyNotFound`](crate::KvsError::KeyNotFound) when it has no value; [`KvsError::Store`](crate::KvsError::Store) as for the others.
    fn remove(&self, key: String) -> Result<()>;
}

/// Strings over any engine of bytes.
pub struct Store<E> {
    shared: Arc<Shared<E>>,
}

/// Our log-structured engine.
pub type KvStore = Store<LogEngine>;

/// The engine of the `sled` library.
pub type SledKvsEngine = Store<SledEngine>;

/// Removals of different keys should rarely wait for each other: under `Always` each holds its lock through an fdatasync.
const STRIPES: usize = 64;

struct Shared<E> {
    engine: E,
    hasher: RandomState,
    /// Removing is "look, then delete". Held in between, by key, or two threads could both find the same key. Setting and
    /// getting are one step of the engine and take none of these.
    removing: [Mutex<()>; STRIPES],
}

impl<E> Clone for Store<E> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<E: Engine> Store<E> {
    /// Strings over `engine`.
    pub fn new(engine: E) -> Self {
        let shared = Shared {
            engine,
            hasher: RandomState::new(),
            removing: [const { Mutex::new(()) }; STRIPES],
        };
        Self {
            shared: Arc::new(shared),
        }
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
    fn set(&self, key: String, value: String) -> Result<()> {
        plain::set(&self.shared.engine, &key, &value)
    }

    fn get(&self, key: String) -> Result<Option<String>> {
        plain::get(&self.shared.engine, &key, now_ms())
    }

    fn remove(&self, key: String) -> Result<()> {
        let stripe = self.shared.hasher.hash_one(&key) as usize % STRIPES;
        let lock = self.shared.removing[stripe].lock();
        // The lock guards no data, so a panic under it left nothing half-done here.
        let _removing = lock.unwrap_or_else(PoisonError::into_inner);
        plain::remove(&self.shared.engine, &key, now_ms())
    }
}

/// Milliseconds since 1970, by which keys with an expiry, which only `kvs-server` sets, are absent.
fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_millis() as u64)
}
