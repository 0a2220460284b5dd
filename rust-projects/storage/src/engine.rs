//! The traits, by capability. An engine implements those it can honour; one contract suite per capability
//! (`tests/contract/`) runs against every engine that claims it.

use std::ops::Bound;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;

use crate::{Batch, EngineKind, Error, KeyRange, Op, Result};

/// Position of a batch in the order of all batches of an engine, from 1; 0 is "before the first".
pub type Seq = u64;

/// Key-value pairs of a scan, in the order asked for.
pub type Entries<'a> = Box<dyn Iterator<Item = Result<(Bytes, Bytes)>> + Send + 'a>;

/// Keys of a scan, in the order asked for.
pub type Keys<'a> = Box<dyn Iterator<Item = Result<Bytes>> + Send + 'a>;

/// Which way a scan goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the smallest key up.
    Forward,
    /// From the largest key down.
    Reverse,
}

/// Reading. Implemented by engines, their snapshots, and overlays over either.
pub trait Reader {
    /// The value of `key`, or `None`.
    ///
    /// # Errors
    /// I/O errors and corruption found on the way.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>>;

    /// The values of `keys` in their order, all as of one moment.
    ///
    /// # Errors
    /// As [`Reader::get`].
    fn multi_get(&self, keys: &[&[u8]]) -> Result<Vec<Option<Bytes>>>;

    /// Whether `key` has a value. Engines with their index in memory answer without I/O.
    ///
    /// # Errors
    /// As [`Reader::get`].
    fn contains(&self, key: &[u8]) -> Result<bool> {
        Ok(self.get(key)?.is_some())
    }

    /// The pairs of `range` as of the moment of the call. Empty and inverted ranges give nothing.
    fn scan(&self, range: &KeyRange, direction: Direction) -> Entries<'_>;

    /// The keys of `range` as of the moment of the call.
    fn scan_keys(&self, range: &KeyRange, direction: Direction) -> Keys<'_> {
        Box::new(
            self.scan(range, direction)
                .map(|entry| entry.map(|(key, _)| key)),
        )
    }

    /// Roughly how many bytes the live pairs of `range` take. Within a factor of two for ranges of some thousand
    /// pairs; 0 for a range that never held any.
    ///
    /// # Errors
    /// As [`Reader::get`].
    fn approximate_size(&self, range: &KeyRange) -> Result<u64>;
}

/// How long keys and values may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest key in bytes.
    pub key_bytes: usize,
    /// Longest value in bytes.
    pub value_bytes: usize,
    /// Largest batch: the sum of its keys and values in bytes.
    pub batch_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            key_bytes: 64 << 10,
            value_bytes: 512 << 20,
            batch_bytes: 1 << 30,
        }
    }
}

impl Limits {
    /// Checks `batch` before anything of it is applied. Bounds of range deletions count towards the batch only.
    ///
    /// # Errors
    /// [`Error::KeyTooLarge`], [`Error::ValueTooLarge`] or [`Error::BatchTooLarge`], for the first limit exceeded.
    pub fn check(&self, batch: &Batch) -> Result<()> {
        let mut total = 0_usize;
        for op in batch.ops() {
            let (key, value) = match op {
                Op::Put { key, value } => (key.len(), value.len()),
                Op::Delete { key } => (key.len(), 0),
                Op::DeleteRange { range } => {
                    let (start, end) = range.as_slices();
                    total = total.saturating_add(bound_len(start) + bound_len(end));
                    continue;
                }
            };
            self.check_pair(key, value)?;
            total = total.saturating_add(key + value);
        }
        self.check_total(total)
    }

    /// As [`Limits::check`] for a batch that puts one pair of these lengths.
    ///
    /// # Errors
    /// The same.
    pub fn check_put(&self, key: usize, value: usize) -> Result<()> {
        self.check_pair(key, value)?;
        self.check_total(key + value)
    }

    fn check_pair(&self, key: usize, value: usize) -> Result<()> {
        if key > self.key_bytes {
            return Err(Error::KeyTooLarge {
                len: key,
                max: self.key_bytes,
            });
        }
        if value > self.value_bytes {
            return Err(Error::ValueTooLarge {
                len: value,
                max: self.value_bytes,
            });
        }
        Ok(())
    }

    fn check_total(&self, total: usize) -> Result<()> {
        match total > self.batch_bytes {
            true => Err(Error::BatchTooLarge {
                len: total,
                max: self.batch_bytes,
            }),
            false => Ok(()),
        }
    }
}

fn bound_len(bound: Bound<&[u8]>) -> usize {
    match bound {
        Bound::Included(key) | Bound::Excluded(key) => key.len(),
        Bound::Unbounded => 0,
    }
}

/// The core every engine has: reading, and atomic batches.
pub trait Engine: Reader + Send + Sync + 'static {
    /// Which engine this is.
    fn kind(&self) -> EngineKind;

    /// The limits on keys, values and batches.
    fn limits(&self) -> Limits;

    /// Applies `batch` atomically and returns once it is as durable as the engine's policy promises. An empty batch
    /// does nothing.
    ///
    /// # Errors
    /// The limits' errors and [`crate::Error::DiskFull`] leave the engine as it was; [`crate::Error::Poisoned`] and
    /// I/O errors mean that the outcome is known only after a reopen.
    fn write(&self, batch: &Batch) -> Result<()>;

    /// Sets `key` to `value`: [`Engine::write`] of a batch that does just this, where the engine can without making one.
    ///
    /// # Errors
    /// As [`Engine::write`].
    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        let mut batch = Batch::new();
        batch.put(Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
        self.write(&batch)
    }
}

impl<T: Reader + ?Sized> Reader for Box<T> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        (**self).get(key)
    }

    fn multi_get(&self, keys: &[&[u8]]) -> Result<Vec<Option<Bytes>>> {
        (**self).multi_get(keys)
    }

    fn contains(&self, key: &[u8]) -> Result<bool> {
        (**self).contains(key)
    }

    fn scan(&self, range: &KeyRange, direction: Direction) -> Entries<'_> {
        (**self).scan(range, direction)
    }

    fn scan_keys(&self, range: &KeyRange, direction: Direction) -> Keys<'_> {
        (**self).scan_keys(range, direction)
    }

    fn approximate_size(&self, range: &KeyRange) -> Result<u64> {
        (**self).approximate_size(range)
    }
}

/// For programs that choose their engine when they run.
impl<T: Engine + ?Sized> Engine for Box<T> {
    fn kind(&self) -> EngineKind {
        (**self).kind()
    }

    fn limits(&self) -> Limits {
        (**self).limits()
    }

    fn write(&self, batch: &Batch) -> Result<()> {
        (**self).write(batch)
    }

    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        (**self).put(key, value)
    }
}

/// Views that later writes do not change.
pub trait Snapshots: Engine {
    /// A view of the engine as of now; it outlives later writes, compaction and the handle it came from.
    ///
    /// # Errors
    /// I/O errors of the engine.
    fn snapshot(&self) -> Result<Box<dyn Reader + Send + Sync>>;
}

/// When a write is forced to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncPolicy {
    /// Before it is acknowledged; concurrent writers share one fdatasync (group commit).
    Always,
    /// In the background, at most this long after it was acknowledged. A killed process loses nothing, a power cut
    /// loses at most the last interval.
    Interval(Duration),
    /// When the operating system pleases, and on [`Durability::sync`]. A killed process loses nothing.
    Never,
}

/// Deciding ahead of the disk: batches are applied at once, in order, and acknowledged later in groups.
pub trait Durability: Engine {
    /// The policy the engine was opened with.
    fn sync_policy(&self) -> SyncPolicy;

    /// Applies `batch` and returns its position, without waiting for the disk. It is visible to
    /// [`Durability::latest`] at once and to ordinary readers no later than its acknowledgement.
    ///
    /// # Errors
    /// As [`Engine::write`].
    fn submit(&self, batch: &Batch) -> Result<Seq>;

    /// Reads everything applied, durable or not. For those who decide and hold their answer back until
    /// [`Durability::acknowledged`] has reached what they saw.
    fn latest(&self) -> &dyn Reader;

    /// Position of the last batch applied.
    fn applied(&self) -> Seq;

    /// Brings every batch applied so far to the durability of the policy and returns the position reached.
    ///
    /// # Errors
    /// [`crate::Error::Poisoned`] after a failed write or sync, then and ever after.
    fn commit(&self) -> Result<Seq>;

    /// As [`Durability::commit`] but with an fsync whatever the policy.
    ///
    /// # Errors
    /// As [`Durability::commit`].
    fn sync(&self) -> Result<Seq>;

    /// Position up to which batches are as durable as the policy promises.
    fn acknowledged(&self) -> Seq;

    /// Why the engine no longer writes, if it does not.
    fn poisoned(&self) -> Option<String>;
}

/// Copies of a running engine.
pub trait Checkpoint: Engine {
    /// Makes `dir`, which must not exist or be empty, a data directory of the same engine that holds everything
    /// acknowledged before the call, while reads and writes go on.
    ///
    /// # Errors
    /// I/O errors; what was written to `dir` by then stays there and must be deleted.
    fn checkpoint(&self, dir: &Path) -> Result<()>;
}
