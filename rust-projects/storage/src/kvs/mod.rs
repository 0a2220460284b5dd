//! `kvs`, the log-structured engine: values in an append-only log, an ordered index of all keys in memory.
//!
//! # What it is
//!
//! The design of Bitcask (Sheehy and Smith, 2010) with an ordered index, atomic batches, snapshots and group commit.
//! A batch becomes one checksummed frame at the end of the active segment; the index maps each key to the place of
//! its value. Compaction copies what is still needed out of old segments.
//!
//! # What it guarantees
//!
//! Everything the traits of this crate promise. Point reads see whole batches only, and take no lock unless they add to
//! the cache; compaction holds no lock across I/O; a crash at any file operation loses nothing acknowledged and shows no
//! half of a batch.
//!
//! # What it does not
//!
//! Every key lives in memory, at about 50 bytes beyond the key (measured: `docs/benchmarks.md`); for key sets larger than
//! memory use [`crate::FjallEngine`]. Values longer than 16 KiB are cached by the operating system only.
//!
//! # How it works
//!
//! ```text
//!  submit -- encode frame, index it, applied += 1 --> pending --+
//!                                                               | commit (one at a time): write, fdatasync,
//!  readers <-- visible (acknowledged) <-------------------------+ visible = applied when it began
//!     |
//!     +-- index (key -> seq, segment, offset) --> ring of pending frames, else cached blocks, else the file
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | `format`, `segment`, `hint` | the bytes on disk: `docs/format-kvs.md` |
//! | `index`, `snapshot`, `read`, `cache` | keys in memory and how readers use them |
//! | `shared`, `pending` | the write path: apply now, commit in groups |
//! | `recovery`, `sweep` | which bytes count after a crash |
//! | `compaction`, `output`, `reserve`, `maintenance` | getting rid of garbage, also on a full disk |
//! | `verify`, `inspect`, `walk`, `repair` | finding damage and salvaging what is intact |

mod apply;
mod cache;
mod checkpoint;
pub(crate) mod codec;
mod compaction;
pub mod format;
mod hint;
mod index;
mod inspect;
mod maintenance;
mod options;
mod output;
mod pending;
mod read;
mod recovery;
mod repair;
mod reserve;
pub mod segment;
mod shared;
mod snapshot;
mod sweep;
mod verify;
mod walk;

use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use bytes::Bytes;

#[doc(hidden)]
pub use hint::decode_any as decode_hint_for_fuzzing;
pub use options::{CutTail, Options, Recovery, Stats};
pub use repair::{Action, RepairReport, plan_repair, repair};
pub use verify::{
    Finding, FindingKind, HintState, Progress, Report, SegmentReport, verify, verify_with,
};

use self::apply::Work;
use self::cache::Cache;
use self::hint::{hint_path, write_hint};
use self::maintenance::{Background, Signal};
use self::pending::Ring;
use self::read::{Position, View};
use self::recovery::{Recovered, recover};
use self::reserve::Reserve;
use self::segment::{Segment, SegmentSet, segment_id};
use self::shared::{Committer, Counters, Group, Shared, Writer, lock};
use self::snapshot::{Pin, Registry};
use crate::file::{DirLock, FileSystem};
use crate::{
    Batch, Checkpoint, Direction, Durability, Engine, EngineKind, Entries, Error, Identity,
    KeyRange, Keys, Limits, Owner, Reader, Result, Seq, Snapshots, SyncPolicy,
};

/// What the identity file of a directory of this engine says.
pub(crate) const IDENTITY: Identity = Identity {
    owner: Owner::Engine(EngineKind::Kvs),
    format: format::FORMAT,
};

/// A handle to an open log engine. Clones share it; the last one to go closes it cleanly.
#[derive(Debug, Clone)]
pub struct LogEngine {
    shared: Arc<Shared>,
    visible: Arc<View>,
    latest: Arc<View>,
    closer: Arc<Closer>,
}

impl LogEngine {
    /// Opens the engine in `dir`, which is created if absent.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::WrongEngine`], [`Error::NewerFormat`]; [`Error::Corrupt`] when the files hold what no
    /// crash explains; I/O errors.
    pub fn open(dir: &Path, mut options: Options) -> Result<Self> {
        let began = Instant::now();
        // Offsets are 32 bits wide, and a frame may be as large as a batch.
        options.segment_bytes = options.segment_bytes.min(1 << 30);
        let files = Arc::clone(&options.files);
        files.create_dir_all(dir)?;
        let dir_lock = files.lock_dir(dir)?;
        claim(&*files, dir)?;
        let mut recovered = recover(&*files, dir)?;
        recovered.recovery.took = began.elapsed();
        let reserve = Reserve::new(&files, dir, options.reserve_bytes);
        let active = active_segment(dir, &options, &mut recovered)?;
        recovered
            .segments
            .retain(|segment| segment.id() != active.id());
        recovered.segments.push(Arc::clone(&active));
        // A full disk is no reason not to open.
        let _ = reserve.take();
        let background = options.background;
        let shared = Arc::new(share(dir, options, dir_lock, reserve, recovered, active));
        let background = background.then(|| Background::start(&shared)).transpose()?;
        let view = |position| {
            Arc::new(View {
                shared: Arc::clone(&shared),
                position,
            })
        };
        let closer = Closer {
            shared: Arc::clone(&shared),
            background: Mutex::new(background),
        };
        Ok(Self {
            visible: view(Position::Visible),
            latest: view(Position::Applied),
            closer: Arc::new(closer),
            shared,
        })
    }

    /// What happened when the directory was opened.
    pub fn recovery(&self) -> &Recovery {
        &self.shared.recovery
    }

    /// Figures of this moment.
    pub fn stats(&self) -> Stats {
        let shared = &self.shared;
        let counters = &shared.counters;
        let segments = shared.segments.all();
        let live = segments
            .iter()
            .map(|segment| segment.live.load(Ordering::Relaxed).max(0) as u64);
        let oldest_snapshot = shared.snapshots.oldest();
        let pinned = counters.pinned_bytes.load(Ordering::Relaxed);
        Stats {
            keys: counters.keys.load(Ordering::Relaxed),
            segments: segments.len(),
            disk_bytes: segments.iter().map(|segment| segment.size()).sum(),
            live_bytes: live.sum(),
            applied: shared.applied(),
            acknowledged: shared.visible(),
            snapshots: shared.snapshots.count(),
            oldest_snapshot,
            pinned_bytes: if oldest_snapshot.is_some() { pinned } else { 0 },
            syncs: counters.syncs.load(Ordering::Relaxed),
            batches: counters.batches.load(Ordering::Relaxed),
            compacted_segments: counters.compacted_segments.load(Ordering::Relaxed),
            compacted_bytes: counters.compacted_bytes.load(Ordering::Relaxed),
            maintenance_error: lock(&shared.maintenance_error).clone(),
            reserve_held: shared.reserve.is_held(),
        }
    }

    /// Does all background work that is due, now and in this thread: for engines opened without a background thread.
    ///
    /// # Errors
    /// I/O errors; [`Error::Corrupt`] when compaction meets a damaged segment.
    pub fn maintain(&self) -> Result<()> {
        self.shared.maintain(&|_| true)
    }

    /// Closes the engine cleanly: everything durable, the log ended by a footer, hints written. Other handles and
    /// snapshots can still read.
    ///
    /// # Errors
    /// I/O errors; what was acknowledged before is safe all the same.
    pub fn close(self) -> Result<()> {
        self.closer.close()
    }
}

/// Makes the directory ours, or checks that it is.
fn claim(files: &dyn FileSystem, dir: &Path) -> Result<()> {
    let is_new = Identity::read(files, dir)?.is_none();
    let has_segments = || -> Result<bool> {
        let paths = files.list(dir)?;
        Ok(paths.iter().any(|path| segment_id(path).is_some()))
    };
    if is_new && has_segments()? {
        // Written before the first segment and, by a checkpoint, after the last.
        let what = "it is missing although there are segments: this may be a part of a copy";
        return Err(Error::corrupt(&Identity::path(dir), 0, what));
    }
    IDENTITY.claim(files, dir)
}

/// The state behind all handles.
fn share(
    dir: &Path,
    options: Options,
    dir_lock: Box<dyn DirLock>,
    reserve: Reserve,
    recovered: Recovered,
    active: Arc<Segment>,
) -> Shared {
    let counters = Counters {
        keys: AtomicU64::new(recovered.keys),
        ..Counters::default()
    };
    let next_range = recovered.ranges.keys().next_back().map_or(0, |id| id + 1);
    Shared {
        dir: dir.to_owned(),
        recovery: recovered.recovery,
        index: recovered.index,
        segments: SegmentSet::new(recovered.segments),
        ring: Ring::new(),
        cache: Cache::new(options.cache_bytes),
        maintenance_error: Mutex::new(None),
        snapshots: Registry::default(),
        reserve,
        writer: Mutex::new(Writer {
            position: active.size(),
            active,
            pending: Vec::new(),
            pending_bytes: 0,
            ranges: recovered.ranges,
            next_range,
            spare: Vec::new(),
        }),
        committer: Mutex::new(Committer {
            last: None,
            buffer: Vec::new(),
        }),
        group: Group::default(),
        signal: Signal::default(),
        syncing: Mutex::new(()),
        rotation: Mutex::new(()),
        housekeeping: Mutex::new(()),
        waiting_tombstones: Mutex::new(Vec::new()),
        next_segment: AtomicU32::new(recovered.next_segment),
        applied: AtomicU64::new(recovered.seq),
        visible: AtomicU64::new(recovered.seq),
        poison: OnceLock::new(),
        counters,
        dir_lock: Mutex::new(Some(dir_lock)),
        options,
    }
}

/// The segment that takes the next frame: the last one of the log while it has room, or a new one.
fn active_segment(
    dir: &Path,
    options: &Options,
    recovered: &mut Recovered,
) -> Result<Arc<Segment>> {
    if let Some(tail) = &recovered.tail {
        if tail.size() < options.segment_bytes {
            return reopen(tail, options);
        }
        tail.seal(recovered.seq)?;
    }
    let id = recovered.next_segment;
    recovered.next_segment += 1;
    let (files, capacity) = (&*options.files, options.segment_bytes);
    let created = Segment::create_log(files, dir, id, options.entropy, capacity);
    match (created, &recovered.tail) {
        // A full disk is no reason not to open: the next write asks again.
        (Err(Error::DiskFull { .. }), Some(tail)) => reopen(tail, options),
        (created, _) => created.map(Arc::new),
    }
}

/// Makes the last segment of the log ready for more frames.
fn reopen(tail: &Arc<Segment>, options: &Options) -> Result<Arc<Segment>> {
    let file = options.files.open(&tail.path)?;
    // On a full disk it has no room beyond what it holds, and the next write asks for a new segment.
    let capacity = match file.allocate(options.segment_bytes) {
        Ok(()) => options.segment_bytes,
        Err(Error::DiskFull { .. }) => tail.size(),
        Err(error) => return Err(error),
    };
    let segment = Segment::new(tail.header, tail.path.clone(), file, capacity, tail.size());
    segment
        .live
        .store(tail.live.load(Ordering::Relaxed), Ordering::Relaxed);
    segment.sealed.store(tail.is_sealed(), Ordering::Relaxed);
    Ok(Arc::new(segment))
}

/// Closes the engine when the last handle goes.
#[derive(Debug)]
struct Closer {
    shared: Arc<Shared>,
    background: Mutex<Option<Background>>,
}

impl Closer {
    fn close(&self) -> Result<()> {
        if let Some(mut background) = lock(&self.background).take() {
            background.stop();
        }
        let shared = &self.shared;
        if shared.poison.get().is_some() {
            return shared.check_poison();
        }
        if let Some(last) = shared.finish()? {
            let files = &*shared.options.files;
            let _ = files.remove(&hint_path(&last.path));
            // A missing hint costs time at the next open, nothing else.
            let _ = write_hint(files, &last);
        }
        drop(lock(&shared.dir_lock).take());
        Ok(())
    }
}

impl Drop for Closer {
    fn drop(&mut self) {
        // Whoever wants to know calls `LogEngine::close`.
        let _ = self.close();
    }
}

impl Reader for LogEngine {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.visible.get(key)
    }

    fn multi_get(&self, keys: &[&[u8]]) -> Result<Vec<Option<Bytes>>> {
        self.visible.multi_get(keys)
    }

    fn contains(&self, key: &[u8]) -> Result<bool> {
        self.visible.contains(key)
    }

    fn scan(&self, range: &KeyRange, direction: Direction) -> Entries<'_> {
        self.visible.scan(range, direction)
    }

    fn scan_keys(&self, range: &KeyRange, direction: Direction) -> Keys<'_> {
        self.visible.scan_keys(range, direction)
    }

    fn approximate_size(&self, range: &KeyRange) -> Result<u64> {
        self.visible.approximate_size(range)
    }
}

impl Engine for LogEngine {
    fn kind(&self) -> EngineKind {
        EngineKind::Kvs
    }

    fn limits(&self) -> Limits {
        self.shared.options.limits
    }

    fn write(&self, batch: &Batch) -> Result<()> {
        match batch.is_empty() {
            true => Ok(()),
            false => self.shared.write(Work::Batch(batch)),
        }
    }

    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        self.shared.write(Work::Put { key, value })
    }
}

impl Snapshots for LogEngine {
    fn snapshot(&self) -> Result<Box<dyn Reader + Send + Sync>> {
        let pin = Pin::new(&self.shared, || self.shared.visible());
        let shared = Arc::clone(&self.shared);
        Ok(Box::new(View {
            shared,
            position: Position::Pinned(pin),
        }))
    }
}

impl Durability for LogEngine {
    fn sync_policy(&self) -> SyncPolicy {
        self.shared.options.sync
    }

    fn submit(&self, batch: &Batch) -> Result<Seq> {
        if batch.is_empty() {
            return Ok(self.shared.applied());
        }
        self.shared.submit(Work::Batch(batch))
    }

    fn latest(&self) -> &dyn Reader {
        &*self.latest
    }

    fn applied(&self) -> Seq {
        self.shared.applied()
    }

    fn commit(&self) -> Result<Seq> {
        self.shared.commit(false)
    }

    fn sync(&self) -> Result<Seq> {
        self.shared.commit(true)
    }

    fn acknowledged(&self) -> Seq {
        self.shared.visible()
    }

    fn poisoned(&self) -> Option<String> {
        self.shared.poison.get().cloned()
    }
}

impl Checkpoint for LogEngine {
    fn checkpoint(&self, dir: &Path) -> Result<()> {
        self.shared.checkpoint(dir)
    }
}
