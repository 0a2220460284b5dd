//! How a log is opened.

use std::hash::{BuildHasher, Hasher, RandomState};

/// How a log is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// A segment is full at so many bytes; a larger batch gets a larger one. Two are reserved ahead.
    pub segment_bytes: u64,
    /// Random number from which segments' salts are derived.
    pub entropy: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            // The standard library's own source of per-process randomness.
            entropy: RandomState::new().build_hasher().finish(),
        }
    }
}
