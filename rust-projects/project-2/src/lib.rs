//! Milestone 2: a key-value store that survives its process.
//!
//! # What it is
//!
//! [`KvStore`], the course's interface of strings over the log-structured engine of the `storage` crate, and `kvs-2`, its
//! command line over the store in the current directory.
//!
//! # What it guarantees
//!
//! A write that returned is on the disk. The store opens again after any crash with every write that returned, and the
//! space of values that were replaced or removed is given back in the background.
//!
//! # What it does not
//!
//! One process at a time: a second one is refused. No network; milestone 3 adds it.
//!
//! # How it works
//!
//! ```text
//!   set a 1, set b 2, set a 3, rm b
//!
//!   log     | a=1 | b=2 | a=3 | b gone |          every write is appended; compaction drops what is crossed out:
//!             ^^^   ^^^         ^^^^^^            a=1 and b=2 are stale, and so is "b gone" once no older b is left
//!   index   { a -> third frame }                  in memory: key -> place in the log; built again when opening
//! ```
//!
//! The log, the index, recovery and compaction are parts of `storage::kvs` that the lesson
//! (`talent-plan/project-2.md`) reads one after another. What is left for this crate is the shape the course gives it:
//!
//! ```
//! # let directory = tempfile::tempdir().unwrap();
//! let mut store = project_2::KvStore::open(directory.path())?;
//! store.set("lang".to_owned(), "Rust".to_owned())?;
//! drop(store);
//!
//! let store = project_2::KvStore::open(directory.path())?;
//! assert_eq!(store.get("lang".to_owned())?, Some("Rust".to_owned()));
//! # Ok::<(), project_2::KvsError>(())
//! ```

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use commands::plain;
use storage::kvs::LogEngine;

pub use storage::kvs::Options;

/// What can go wrong with a store.
pub use commands::plain::Error as KvsError;

/// The result of an operation on a store.
pub type Result<T> = std::result::Result<T, KvsError>;

/// A map from strings to strings in a directory.
pub struct KvStore {
    engine: LogEngine,
}

impl KvStore {
    /// Opens the store in the directory `path`, which is created if it is not there.
    ///
    /// # Errors
    /// The directory is in use, belongs to another engine, or is corrupt; I/O errors.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        Self::open_with(path, Options::small())
    }

    /// As [`KvStore::open`], with other sizes and another sync policy.
    ///
    /// # Errors
    /// As [`KvStore::open`].
    pub fn open_with(path: impl Into<PathBuf>, options: Options) -> Result<Self> {
        let engine = LogEngine::open(&path.into(), options)?;
        Ok(Self { engine })
    }

    /// Sets `key` to `value`, whether or not it had one.
    ///
    /// # Errors
    /// [`KvsError::Store`] when the key or value is too long or the disk fails or is full.
    // The course's signatures take strings by value; the lint would have them borrowed.
    #[expect(clippy::needless_pass_by_value)]
    pub fn set(&mut self, key: String, value: String) -> Result<()> {
        plain::set(&self.engine, &key, &value)
    }

    /// The value of `key`, or `None`.
    ///
    /// # Errors
    /// [`KvsError::Store`] when reading fails, or the value was written by another program and is not text.
    #[expect(clippy::needless_pass_by_value)]
    pub fn get(&self, key: String) -> Result<Option<String>> {
        plain::get(&self.engine, &key, now_ms())
    }

    /// Removes `key`.
    ///
    /// # Errors
    /// [`KvsError::KeyNotFound`] when it has no value; [`KvsError::Store`] as for the others.
    #[expect(clippy::needless_pass_by_value)]
    pub fn remove(&mut self, key: String) -> Result<()> {
        plain::remove(&self.engine, &key, now_ms())
    }
}

/// Milliseconds since 1970, by which keys with an expiry, which only `kvs-server` sets, are absent.
fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_millis() as u64)
}
