//! Milestone 1: a map from strings to strings, in memory.
//!
//! # What it is
//!
//! [`KvStore`], a thin cover over the standard hash map, and `kvs-1`, the command line that every later milestone keeps.
//!
//! # What it guarantees
//!
//! A value that was set is there until it is replaced or removed, or the store is dropped.
//!
//! # What it does not
//!
//! Nothing outlives the process; milestone 2 changes that. One owner, one thread; milestone 4 changes that.
//!
//! # How it works
//!
//! ```
//! let mut store = project_1::KvStore::new();
//! store.set("lang".to_owned(), "Rust".to_owned());
//! assert_eq!(store.get("lang".to_owned()), Some("Rust".to_owned()));
//! store.remove("lang".to_owned());
//! assert_eq!(store.get("lang".to_owned()), None);
//! ```

use std::collections::HashMap;

/// A map from strings to strings.
#[derive(Debug, Default)]
pub struct KvStore {
    map: HashMap<String, String>,
}

impl KvStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets `key` to `value`, whether or not it had one.
    pub fn set(&mut self, key: String, value: String) {
        self.map.insert(key, value);
    }

    /// The value of `key`, or `None`. A copy: the store keeps its own.
    // The course's signature takes the key by value; the lint would have it borrowed.
    #[expect(clippy::needless_pass_by_value)]
    pub fn get(&self, key: String) -> Option<String> {
        self.map.get(&key).cloned()
    }

    /// Removes `key`; does nothing when it is absent.
    #[expect(clippy::needless_pass_by_value)]
    pub fn remove(&mut self, key: String) {
        self.map.remove(&key);
    }
}
