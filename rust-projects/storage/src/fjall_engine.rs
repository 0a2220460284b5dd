//! fjall 3 behind the traits.
//!
//! # What it is
//!
//! The established log-structured merge tree, for key sets larger than memory, in the subdirectory `fjall` of the data
//! directory.
//!
//! # What it guarantees
//!
//! The contracts of [`Engine`], [`Snapshots`], [`Durability`] and [`Checkpoint`]. Under [`SyncPolicy::Always`] concurrent writers
//! share one fdatasync of the journal, and ordinary readers see the state of the last one. A failure of a write or flush
//! poisons the engine.
//!
//! # What it does not
//!
//! - A full disk poisons, since fjall cannot undo what it began; reads go on.
//! - Range deletion is spelled out key by key; [`Reader::approximate_size`] walks the range.
//! - A checkpoint is an export of a snapshot: it takes as long as writing all pairs anew.
//! - The directory stays locked while a snapshot lives, since that keeps the files open.
//!
//! # How it works
//!
//! ```text
//! submit:  journal (in the page cache) -> tree -> seen by latest()
//! commit:  fdatasync of the journal -> a new snapshot for ordinary readers
//! ```
//!
//! fjall takes no empty keys, so that each stored key has a zero byte in front.

use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable};

use crate::file::{DirLock, FileSystem, RealFs};
use crate::flush::{Backend, Flusher, flatten};
use crate::{
    Batch, Checkpoint, Direction, Durability, Engine, EngineKind, Entries, Error, Identity,
    KeyRange, Keys, Limits, Op, Owner, Reader, Result, Seq, Snapshots, SyncPolicy,
};

const IDENTITY: Identity = Identity {
    owner: Owner::Engine(EngineKind::Fjall),
    format: 1,
};

/// The directory of fjall's own files.
const FILES: &str = "fjall";

/// In front of every key.
const KEY_TAG: u8 = 0;

/// fjall counts key lengths in 16 bits, one byte of which is the tag's.
const KEY_BYTES: usize = u16::MAX as usize - 1;

/// Size of a batch of a checkpoint, in bytes of keys and values.
const EXPORT_BYTES: usize = 1 << 20;

struct Store {
    keyspace: Keyspace,
    database: Database,
    dir: PathBuf,
    // Last, so that fjall has closed its files when the lock goes.
    _lock: Box<dyn DirLock>,
}

impl Store {
    fn fail(&self, op: &'static str, error: fjall::Error) -> Error {
        translate(op, &self.dir, error)
    }

    fn apply(&self, batch: &Batch, latest: &View) -> Result<()> {
        let mut changes = self.database.batch();
        for (key, value) in flatten(batch, |range| latest.keys(range, Direction::Forward))? {
            match value {
                Some(value) => changes.insert(&self.keyspace, tagged(&key), &value[..]),
                None => changes.remove(&self.keyspace, tagged(&key)),
            }
        }
        changes.commit().map_err(|error| self.fail("write", error))
    }

    fn persist(&self, mode: PersistMode) -> Result<()> {
        let persisted = self.database.persist(mode);
        persisted.map_err(|error| self.fail("sync", error))
    }
}

fn translate(op: &'static str, dir: &Path, error: fjall::Error) -> Error {
    match error {
        fjall::Error::Io(source) | fjall::Error::Storage(fjall::LsmError::Io(source)) => {
            Error::io(op, dir, source)
        }
        fjall::Error::Locked => Error::Locked {
            dir: dir.to_owned(),
        },
        other => Error::Backend {
            engine: EngineKind::Fjall,
            message: other.to_string(),
        },
    }
}

fn tagged(key: &[u8]) -> Vec<u8> {
    let mut tagged = Vec::with_capacity(key.len() + 1);
    tagged.push(KEY_TAG);
    tagged.extend_from_slice(key);
    tagged
}

fn untagged(key: &[u8]) -> Bytes {
    Bytes::copy_from_slice(key.get(1..).unwrap_or_default())
}

fn tagged_bounds(range: &KeyRange) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let (start, end) = range.as_slices();
    let start = match start.map(tagged) {
        Bound::Unbounded => Bound::Included(vec![KEY_TAG]),
        bound => bound,
    };
    let end = match end.map(tagged) {
        Bound::Unbounded => Bound::Excluded(vec![KEY_TAG + 1]),
        bound => bound,
    };
    (start, end)
}

/// The engine as of one moment.
#[derive(Clone)]
struct View {
    // Before the store, which it needs to be open.
    snapshot: fjall::Snapshot,
    store: Arc<Store>,
}

impl View {
    fn latest(store: &Arc<Store>) -> Self {
        Self {
            snapshot: store.database.snapshot(),
            store: Arc::clone(store),
        }
    }

    fn guards(
        &self,
        range: &KeyRange,
        direction: Direction,
    ) -> Box<dyn Iterator<Item = fjall::Guard> + Send> {
        if range.is_empty() {
            return Box::new(std::iter::empty());
        }
        let bounds = tagged_bounds(range);
        let guards = self.snapshot.range(&self.store.keyspace, bounds);
        match direction {
            Direction::Forward => Box::new(guards),
            Direction::Reverse => Box::new(guards.rev()),
        }
    }

    fn entries(&self, range: &KeyRange, direction: Direction) -> Entries<'static> {
        let store = Arc::clone(&self.store);
        let entries = self.guards(range, direction);
        Box::new(entries.map(move |guard| match guard.into_inner() {
            Ok((key, value)) => Ok((untagged(&key), Bytes::copy_from_slice(&value))),
            Err(error) => Err(store.fail("read", error)),
        }))
    }

    fn keys(&self, range: &KeyRange, direction: Direction) -> Keys<'static> {
        let store = Arc::clone(&self.store);
        let keys = self.guards(range, direction);
        Box::new(keys.map(move |guard| match guard.key() {
            Ok(key) => Ok(untagged(&key)),
            Err(error) => Err(store.fail("read", error)),
        }))
    }
}

impl Reader for View {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        if key.len() > KEY_BYTES {
            return Ok(None);
        }
        let value = self.snapshot.get(&self.store.keyspace, tagged(key));
        let value = value.map_err(|error| self.store.fail("read", error))?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn multi_get(&self, keys: &[&[u8]]) -> Result<Vec<Option<Bytes>>> {
        keys.iter().map(|key| self.get(key)).collect()
    }

    fn scan(&self, range: &KeyRange, direction: Direction) -> Entries<'_> {
        self.entries(range, direction)
    }

    fn scan_keys(&self, range: &KeyRange, direction: Direction) -> Keys<'_> {
        self.keys(range, direction)
    }

    fn approximate_size(&self, range: &KeyRange) -> Result<u64> {
        self.entries(range, Direction::Forward)
            .map(|pair| pair.map(|(key, value)| (key.len() + value.len()) as u64))
            .sum()
    }
}

/// Reads everything applied.
struct Latest(Arc<Store>);

impl Reader for Latest {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        View::latest(&self.0).get(key)
    }

    fn multi_get(&self, keys: &[&[u8]]) -> Result<Vec<Option<Bytes>>> {
        View::latest(&self.0).multi_get(keys)
    }

    fn scan(&self, range: &KeyRange, direction: Direction) -> Entries<'_> {
        View::latest(&self.0).entries(range, direction)
    }

    fn scan_keys(&self, range: &KeyRange, direction: Direction) -> Keys<'_> {
        View::latest(&self.0).keys(range, direction)
    }

    fn approximate_size(&self, range: &KeyRange) -> Result<u64> {
        View::latest(&self.0).approximate_size(range)
    }
}

/// What is flushed.
struct Journal {
    store: Arc<Store>,
    policy: SyncPolicy,
}

impl Backend for Journal {
    /// What ordinary readers see under [`SyncPolicy::Always`]. Otherwise they see the latest state, and an old one would
    /// only hold up compaction.
    type View = Option<View>;

    fn view(&self) -> Option<View> {
        let synced_only = self.policy == SyncPolicy::Always;
        synced_only.then(|| View::latest(&self.store))
    }

    fn flush(&self) -> Result<()> {
        self.store.persist(PersistMode::SyncData)
    }
}

/// fjall 3; see the [module](self) for how it differs.
pub struct FjallEngine {
    flusher: Flusher<Journal>,
    latest: Latest,
}

impl FjallEngine {
    /// Opens or creates the data directory `dir`.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::WrongEngine`] and [`Error::NewerFormat`] when the directory is not ours to open;
    /// [`Error::Io`] and [`Error::Backend`] from fjall.
    pub fn open(dir: &Path, policy: SyncPolicy) -> Result<Self> {
        RealFs.create_dir_all(dir)?;
        let lock = RealFs.lock_dir(dir)?;
        if Identity::read(&RealFs, dir)?.is_none() && RealFs.exists(&dir.join(FILES))? {
            let what =
                "it is missing although there are fjall's files: this may be a part of a copy";
            return Err(Error::corrupt(&Identity::path(dir), 0, what));
        }
        IDENTITY.claim(&RealFs, dir)?;
        Self::open_files(dir, policy, lock)
    }

    /// Opens or creates fjall's own files, whoever the directory says it belongs to.
    fn open_files(dir: &Path, policy: SyncPolicy, lock: Box<dyn DirLock>) -> Result<Self> {
        let fail = |error| translate("open", dir, error);
        let database = Database::builder(dir.join(FILES)).open().map_err(fail)?;
        let options = KeyspaceCreateOptions::default;
        let store = Arc::new(Store {
            keyspace: database.keyspace("default", options).map_err(fail)?,
            database,
            dir: dir.to_owned(),
            _lock: lock,
        });
        // What a killed process left in the page cache is shown only once it is on the disk.
        store.persist(PersistMode::SyncAll)?;
        let journal = Journal {
            store: Arc::clone(&store),
            policy,
        };
        Ok(Self {
            flusher: Flusher::new(EngineKind::Fjall, policy, journal)?,
            latest: Latest(store),
        })
    }

    /// What ordinary readers see.
    fn view(&self) -> View {
        match &self.flusher.flushed().1 {
            Some(view) => view.clone(),
            None => View::latest(&self.latest.0),
        }
    }
}

impl Reader for FjallEngine {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.view().get(key)
    }

    fn multi_get(&self, keys: &[&[u8]]) -> Result<Vec<Option<Bytes>>> {
        self.view().multi_get(keys)
    }

    fn scan(&self, range: &KeyRange, direction: Direction) -> Entries<'_> {
        self.view().entries(range, direction)
    }

    fn scan_keys(&self, range: &KeyRange, direction: Direction) -> Keys<'_> {
        self.view().keys(range, direction)
    }

    fn approximate_size(&self, range: &KeyRange) -> Result<u64> {
        self.view().approximate_size(range)
    }
}

impl Engine for FjallEngine {
    fn kind(&self) -> EngineKind {
        EngineKind::Fjall
    }

    fn limits(&self) -> Limits {
        Limits {
            key_bytes: KEY_BYTES,
            ..Limits::default()
        }
    }

    fn write(&self, batch: &Batch) -> Result<()> {
        self.submit(batch)?;
        self.commit().map(drop)
    }
}

impl Snapshots for FjallEngine {
    fn snapshot(&self) -> Result<Box<dyn Reader + Send + Sync>> {
        Ok(Box::new(self.view()))
    }
}

impl Durability for FjallEngine {
    fn sync_policy(&self) -> SyncPolicy {
        self.flusher.policy()
    }

    fn submit(&self, batch: &Batch) -> Result<Seq> {
        self.limits().check(batch)?;
        if batch.is_empty() {
            return Ok(self.applied());
        }
        let store = &self.latest.0;
        self.flusher
            .apply(|| store.apply(batch, &View::latest(store)))
    }

    fn latest(&self) -> &dyn Reader {
        &self.latest
    }

    fn applied(&self) -> Seq {
        self.flusher.applied()
    }

    fn commit(&self) -> Result<Seq> {
        self.flusher.commit()
    }

    fn sync(&self) -> Result<Seq> {
        self.flusher.sync()
    }

    fn acknowledged(&self) -> Seq {
        self.flusher.acknowledged()
    }

    fn poisoned(&self) -> Option<String> {
        self.flusher.poisoned()
    }
}

impl Checkpoint for FjallEngine {
    fn checkpoint(&self, dir: &Path) -> Result<()> {
        let fail = |source| Error::io("checkpoint into", dir, source);
        RealFs.create_dir_all(dir)?;
        if !RealFs.is_empty(dir)? {
            return Err(fail(std::io::ErrorKind::DirectoryNotEmpty.into()));
        }
        let view = View::latest(&self.latest.0);
        let copy = Self::open_files(dir, SyncPolicy::Never, RealFs.lock_dir(dir)?)?;
        let mut batch = Batch::new();
        let mut bytes = 0;
        for pair in view.entries(&KeyRange::all(), Direction::Forward) {
            let (key, value) = pair?;
            bytes += key.len() + value.len();
            batch.push(Op::Put { key, value });
            if bytes >= EXPORT_BYTES {
                copy.write(&batch)?;
                batch.clear();
                bytes = 0;
            }
        }
        copy.write(&batch)?;
        copy.sync()?;
        // Last: without it what an interruption leaves does not open.
        IDENTITY.record(&RealFs, dir)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Checkpoint;

    #[test]
    fn a_copy_without_its_identity_which_is_written_last_is_refused() {
        let (dir, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let engine = FjallEngine::open(dir.path(), SyncPolicy::Always).unwrap();
        engine.put(b"key", b"value").unwrap();
        engine.checkpoint(target.path()).unwrap();
        std::fs::remove_file(Identity::path(target.path())).unwrap();
        let error = FjallEngine::open(target.path(), SyncPolicy::Always)
            .err()
            .unwrap();
        assert!(matches!(error, Error::Corrupt { .. }), "{error}");
        assert_eq!(Identity::read(&RealFs, target.path()).unwrap(), None);
    }
}
