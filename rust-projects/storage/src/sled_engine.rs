//! sled 0.34 behind the traits.
//!
//! # What it is
//!
//! The established embedded B-link tree that the course compares with, in the subdirectory `sled` of the data directory.
//!
//! # What it guarantees
//!
//! The contracts of [`Engine`] and [`Durability`]: batches are atomic, and under [`SyncPolicy::Always`] a write returns
//! after a flush that concurrent writers share. A failure of a write or flush poisons the engine.
//!
//! # What it does not
//!
//! - sled has no snapshots. A scan is read in chunks of 1,024 pairs (fewer where they take more than a mebibyte); each chunk
//!   is of one moment, the first that of the call, so only scans that fit one chunk are as a whole.
//! - A batch is visible once applied: under `Always` an ordinary reader may see it while its flush is still under way.
//! - sled buffers in the process: under [`SyncPolicy::Interval`] and [`SyncPolicy::Never`] also a killed process loses what was
//!   not flushed. sled flushes on its own account every half second, which is also when it reclaims space, and only logs
//!   failures of that.
//! - A full disk poisons, since sled cannot undo what it began; reads go on.
//! - Range deletion is spelled out key by key; [`Reader::approximate_size`] walks the range.

use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::file::{DirLock, FileSystem, RealFs};
use crate::flush::{Backend, Flusher, flatten};
use crate::{
    Batch, Direction, Durability, Engine, EngineKind, Entries, Error, Identity, KeyRange, Keys,
    Limits, Owner, Reader, Result, Seq, SyncPolicy,
};

const IDENTITY: Identity = Identity {
    owner: Owner::Engine(EngineKind::Sled),
    format: 1,
};

const CHUNK_PAIRS: usize = 1024;
const CHUNK_BYTES: usize = 1 << 20;

struct Store {
    tree: sled::Db,
    /// Exclusive while a batch is applied, shared by readers of more than one key.
    batches: RwLock<()>,
    dir: PathBuf,
    // Last, so that sled has closed its files when the lock goes.
    _lock: Box<dyn DirLock>,
}

/// sled 0.34; see the [module](self) for how it differs.
pub struct SledEngine(Flusher<Store>);

impl SledEngine {
    /// Opens or creates the data directory `dir`.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::WrongEngine`] and [`Error::NewerFormat`] when the directory is not ours to open;
    /// [`Error::Io`] and [`Error::Backend`] from sled.
    pub fn open(dir: &Path, policy: SyncPolicy) -> Result<Self> {
        RealFs.create_dir_all(dir)?;
        let lock = RealFs.lock_dir(dir)?;
        IDENTITY.claim(&RealFs, dir)?;
        let store = Store {
            tree: open_tree(dir)?,
            batches: RwLock::new(()),
            dir: dir.to_owned(),
            _lock: lock,
        };
        Flusher::new(EngineKind::Sled, policy, store).map(Self)
    }

    fn store(&self) -> &Store {
        self.0.backend()
    }
}

/// sled's threads release its own lock some time after its handle is dropped, so that a reopen has to be patient. Ours is
/// held by then: nobody else of us is there.
fn open_tree(dir: &Path) -> Result<sled::Db> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match sled::Config::new().path(dir.join("sled")).open() {
            Ok(tree) => return Ok(tree),
            Err(sled::Error::Io(error)) if error.to_string().contains("acquire lock") => {
                if Instant::now() >= deadline {
                    return Err(Error::Locked {
                        dir: dir.to_owned(),
                    });
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(translate("open", dir, error)),
        }
    }
}

fn translate(op: &'static str, dir: &Path, error: sled::Error) -> Error {
    match error {
        sled::Error::Io(source) => Error::io(op, dir, source),
        other => Error::Backend {
            engine: EngineKind::Sled,
            message: other.to_string(),
        },
    }
}

impl Store {
    fn fail(&self, op: &'static str, error: sled::Error) -> Error {
        translate(op, &self.dir, error)
    }

    fn apply(&self, batch: &Batch) -> Result<()> {
        let _batches = self.batches.write().unwrap_or_else(PoisonError::into_inner);
        let mut changes = sled::Batch::default();
        for (key, value) in flatten(batch, |range| self.keys(range))? {
            match value {
                Some(value) => changes.insert(&key[..], &value[..]),
                None => changes.remove(&key[..]),
            }
        }
        let applied = self.tree.apply_batch(changes);
        applied.map_err(|error| self.fail("write", error))
    }

    fn keys(&self, range: &KeyRange) -> Keys<'_> {
        let keys = self.tree.range::<&[u8], _>(range.as_slices()).keys();
        Box::new(keys.map(|key| match key {
            Ok(key) => Ok(Bytes::copy_from_slice(&key)),
            Err(error) => Err(self.fail("read", error)),
        }))
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        let value = self.tree.get(key).map_err(|e| self.fail("read", e))?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }
}

/// A scan, read chunk by chunk.
struct Scan<'a> {
    store: &'a Store,
    rest: KeyRange,
    direction: Direction,
    chunk: std::vec::IntoIter<(Bytes, Bytes)>,
    /// Reported after the pairs read before it.
    failure: Option<Error>,
    complete: bool,
}

impl Scan<'_> {
    fn load(&mut self) {
        if self.rest.is_empty() {
            self.complete = true;
            return;
        }
        let batches = self.store.batches.read();
        let _batches = batches.unwrap_or_else(PoisonError::into_inner);
        let mut pairs = self.store.tree.range::<&[u8], _>(self.rest.as_slices());
        let mut chunk = Vec::new();
        let mut bytes = 0;
        while chunk.len() < CHUNK_PAIRS && bytes < CHUNK_BYTES {
            let pair = match self.direction {
                Direction::Forward => pairs.next(),
                Direction::Reverse => pairs.next_back(),
            };
            match pair {
                Some(Ok((key, value))) => {
                    bytes += key.len() + value.len();
                    chunk.push((Bytes::copy_from_slice(&key), Bytes::copy_from_slice(&value)));
                }
                Some(Err(error)) => {
                    self.failure = Some(self.store.fail("read", error));
                    self.complete = true;
                    break;
                }
                None => {
                    self.complete = true;
                    break;
                }
            }
        }
        if let Some((key, _)) = chunk.last() {
            let passed = Bound::Excluded(key.clone());
            match self.direction {
                Direction::Forward => self.rest.start = passed,
                Direction::Reverse => self.rest.end = passed,
            }
        }
        self.chunk = chunk.into_iter();
    }
}

impl Iterator for Scan<'_> {
    type Item = Result<(Bytes, Bytes)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(pair) = self.chunk.next() {
                return Some(Ok(pair));
            }
            if self.complete {
                return self.failure.take().map(Err);
            }
            self.load();
        }
    }
}

impl Backend for Store {
    // Nothing to hold on to: every batch is visible once applied.
    type View = ();

    fn view(&self) {}

    fn flush(&self) -> Result<()> {
        let flushed = self.tree.flush();
        flushed.map(drop).map_err(|error| self.fail("sync", error))
    }
}

impl Reader for SledEngine {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.store().get(key)
    }

    fn multi_get(&self, keys: &[&[u8]]) -> Result<Vec<Option<Bytes>>> {
        let batches = self.store().batches.read();
        let _batches = batches.unwrap_or_else(PoisonError::into_inner);
        keys.iter().map(|key| self.store().get(key)).collect()
    }

    fn scan(&self, range: &KeyRange, direction: Direction) -> Entries<'_> {
        let mut scan = Scan {
            store: self.store(),
            rest: range.clone(),
            direction,
            chunk: Vec::new().into_iter(),
            failure: None,
            complete: false,
        };
        scan.load();
        Box::new(scan)
    }

    fn approximate_size(&self, range: &KeyRange) -> Result<u64> {
        self.scan(range, Direction::Forward)
            .map(|pair| pair.map(|(key, value)| (key.len() + value.len()) as u64))
            .sum()
    }
}

impl Engine for SledEngine {
    fn kind(&self) -> EngineKind {
        EngineKind::Sled
    }

    fn limits(&self) -> Limits {
        Limits::default()
    }

    fn write(&self, batch: &Batch) -> Result<()> {
        self.submit(batch)?;
        self.commit().map(drop)
    }
}

impl Durability for SledEngine {
    fn sync_policy(&self) -> SyncPolicy {
        self.0.policy()
    }

    fn submit(&self, batch: &Batch) -> Result<Seq> {
        self.limits().check(batch)?;
        match batch.is_empty() {
            true => Ok(self.applied()),
            false => self.0.apply(|| self.store().apply(batch)),
        }
    }

    /// The engine itself, which shows every batch once applied.
    fn latest(&self) -> &dyn Reader {
        self
    }

    fn applied(&self) -> Seq {
        self.0.applied()
    }

    fn commit(&self) -> Result<Seq> {
        self.0.commit()
    }

    fn sync(&self) -> Result<Seq> {
        self.0.sync()
    }

    fn acknowledged(&self) -> Seq {
        self.0.acknowledged()
    }

    fn poisoned(&self) -> Option<String> {
        self.0.poisoned()
    }
}
