//! How the engine is opened, and what it says of itself.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use crate::file::{FileSystem, RealFs};
use crate::{Limits, Seq, SyncPolicy};

/// How to open a [`super::LogEngine`]. The defaults suit a server.
#[derive(Debug, Clone)]
pub struct Options {
    /// When writes are forced to the disk.
    pub sync: SyncPolicy,
    /// Size at which a segment is sealed, in bytes; 1 GiB at most.
    pub segment_bytes: u64,
    /// Space kept back so that deletes and compaction work on a full disk, in bytes; 0 for none.
    pub reserve_bytes: u64,
    /// Compaction starts when this share of all bytes is garbage, in percent.
    pub garbage_percent: u64,
    /// Compaction reads at most so many bytes a second, and four times as many while garbage is half of all bytes.
    pub compaction_bytes_per_second: u64,
    /// Memory for blocks of segments read lately, in bytes; 0 for none. A working set that fits is read from the files
    /// once. Values longer than 16 KiB are not kept. The tables of the blocks are not counted: 0.2 % of the data.
    pub cache_bytes: usize,
    /// Whether a background thread syncs, compacts and writes hint files; without it call
    /// [`super::LogEngine::maintain`].
    pub background: bool,
    /// Limits on keys, values and batches.
    pub limits: Limits,
    /// The file system; tests put a faulty one here.
    pub files: Arc<dyn FileSystem>,
    /// Random number from which segments' salts are derived.
    pub entropy: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            sync: SyncPolicy::Always,
            segment_bytes: 64 << 20,
            reserve_bytes: 64 << 20,
            garbage_percent: 33,
            compaction_bytes_per_second: 64 << 20,
            cache_bytes: 64 << 20,
            background: true,
            limits: Limits::default(),
            files: Arc::new(RealFs),
            // The standard library's own source of per-process randomness.
            entropy: RandomState::new().build_hasher().finish(),
        }
    }
}

impl Options {
    /// Options for a store that a command line opens for a moment: small segments, no reserve.
    pub fn small() -> Self {
        Self {
            segment_bytes: 1 << 20,
            reserve_bytes: 0,
            cache_bytes: 0,
            ..Self::default()
        }
    }

    /// The same options with another sync policy.
    #[must_use]
    pub fn with_sync(self, sync: SyncPolicy) -> Self {
        Self { sync, ..self }
    }
}

/// What happened when the directory was opened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovery {
    /// Segments read through their hint file.
    pub hinted: usize,
    /// Segments read in full.
    pub scanned: usize,
    /// Bytes of an unfinished, never acknowledged write that were cut off, and why.
    pub cut: Option<CutTail>,
    /// Time it took.
    pub took: Duration,
}

/// The end of the log that a crash left unfinished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CutTail {
    /// File concerned.
    pub path: std::path::PathBuf,
    /// Where it was cut, in bytes.
    pub offset: u64,
    /// Bytes dropped.
    pub bytes: u64,
    /// What was found there.
    pub what: String,
}

/// Figures of a running engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Keys with a value.
    pub keys: u64,
    /// Segments on disk.
    pub segments: usize,
    /// Bytes of all segments.
    pub disk_bytes: u64,
    /// Bytes that live records take.
    pub live_bytes: u64,
    /// Position of the last batch applied.
    pub applied: Seq,
    /// Position of the last batch acknowledged.
    pub acknowledged: Seq,
    /// Open snapshots and running scans.
    pub snapshots: usize,
    /// Position of the oldest of them.
    pub oldest_snapshot: Option<Seq>,
    /// Bytes of superseded records that the last compaction had to keep for open snapshots; 0 while there is none.
    pub pinned_bytes: u64,
    /// fdatasync calls of the commit path.
    pub syncs: u64,
    /// Batches committed.
    pub batches: u64,
    /// Segments compacted away.
    pub compacted_segments: u64,
    /// Bytes written by compaction.
    pub compacted_bytes: u64,
    /// Why the last round of background work (compaction, hints, the reserve) failed, if it did.
    pub maintenance_error: Option<String>,
    /// Whether the space for deletes and compaction on a full disk is in place.
    pub reserve_held: bool,
}
