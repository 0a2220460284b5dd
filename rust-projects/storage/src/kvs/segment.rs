//! One segment: a file of frames, its place in the set of segments, and how it is read back.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use arc_swap::ArcSwap;
use bytes::Bytes;

use super::cache::Blocks;
use super::format::{
    self, CHECK_LEN, FRAME_LEN, Frame, FrameKind, HEADER_LEN, Header, LAYOUT, SegmentKind,
};
use super::index::Version;
use crate::file::{File, FileSystem};
use crate::log::{self, Piece, Pieces, salt};
use crate::{Error, Result, Seq};

pub use crate::log::Damage;
pub(super) use crate::log::{segment_id, segment_path, temporary_path};

/// An open segment. Its file stays readable after it was removed, for as long as somebody holds it.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) header: Header,
    pub(super) path: PathBuf,
    file: Arc<dyn File>,
    /// Bytes reserved on disk.
    pub(super) capacity: u64,
    /// End of the frames written.
    pub(super) len: AtomicU64,
    /// End of the frames known durable.
    pub(super) synced: AtomicU64,
    /// Bytes that are no record of use to anyone and that compaction could still not do without.
    pub(super) overhead: AtomicU64,
    /// Bytes of records that some key still needs.
    pub(super) live: AtomicI64,
    /// Its last frame is a durable footer.
    pub(super) sealed: AtomicBool,
    /// Its hint file was written, or need not be.
    pub(super) hinted: AtomicBool,
    /// The oldest snapshot for which compaction kept superseded records here.
    pub(super) pinned_by: Mutex<Option<Seq>>,
    /// Its blocks in the cache, from the first read through it on.
    blocks: OnceLock<Arc<Blocks>>,
}

impl Segment {
    /// Creates segment `id` of the log under its final name, durable with header and reserved space before anyone can
    /// see it.
    pub(super) fn create_log(
        files: &dyn FileSystem,
        dir: &Path,
        id: u32,
        entropy: u64,
        capacity: u64,
    ) -> Result<Self> {
        let header = Header {
            kind: SegmentKind::Log,
            id,
            salt: salt(entropy, id),
        };
        let file = log::create_segment(files, dir, &LAYOUT, header.plain(), capacity)?;
        let path = segment_path(dir, id);
        Ok(Self::new(header, path, file, capacity, HEADER_LEN as u64))
    }

    pub(super) fn new(
        header: Header,
        path: PathBuf,
        file: Arc<dyn File>,
        capacity: u64,
        len: u64,
    ) -> Self {
        Self {
            header,
            path,
            file,
            capacity,
            len: AtomicU64::new(len),
            synced: AtomicU64::new(len),
            // The header, one frame's header, the footer.
            overhead: AtomicU64::new((HEADER_LEN + 2 * FRAME_LEN) as u64),
            live: AtomicI64::new(0),
            sealed: AtomicBool::new(false),
            hinted: AtomicBool::new(false),
            pinned_by: Mutex::new(None),
            blocks: OnceLock::new(),
        }
    }

    pub(super) fn id(&self) -> u32 {
        self.header.id
    }

    /// Where the cache keeps blocks of this file.
    pub(super) fn blocks(&self) -> &Arc<Blocks> {
        self.blocks
            .get_or_init(|| Arc::new(Blocks::new(self.capacity.max(self.size()))))
    }

    /// Bytes in the file.
    pub(super) fn size(&self) -> u64 {
        self.len.load(Ordering::Acquire)
    }

    /// Bytes in the file that may not be durable.
    pub(super) fn unsynced(&self) -> u64 {
        self.size()
            .saturating_sub(self.synced.load(Ordering::Acquire))
    }

    /// Bytes that compaction would free.
    pub(super) fn garbage(&self) -> u64 {
        let live = self.live.load(Ordering::Relaxed).max(0) as u64;
        let overhead = self.overhead.load(Ordering::Relaxed);
        self.size().saturating_sub(live + overhead)
    }

    /// Says that the records of this compacted segment, needed or not, take `bytes`: the rest is overhead, and
    /// compacting it again would not free it.
    pub(super) fn set_record_bytes(&self, bytes: u64) {
        self.overhead
            .store(self.size().saturating_sub(bytes), Ordering::Relaxed);
    }

    pub(super) fn is_sealed(&self) -> bool {
        self.sealed.load(Ordering::Acquire)
    }

    /// Appends frames: `offset` is where the segment ends. What was written is never written again, which is what makes
    /// it safe to cache.
    pub(super) fn write(&self, bytes: &[u8], offset: u64) -> Result<()> {
        debug_assert_eq!(offset, self.size(), "a segment only grows");
        // A segment that was closed cleanly takes more frames after its footer.
        self.sealed.store(false, Ordering::Release);
        self.file.write_all_at(bytes, offset)?;
        self.len
            .store(offset + bytes.len() as u64, Ordering::Release);
        Ok(())
    }

    /// Forces everything written so far to the disk.
    pub(super) fn sync(&self) -> Result<()> {
        let len = self.size();
        self.file.sync_data()?;
        // Syncs may overlap.
        self.synced.fetch_max(len, Ordering::AcqRel);
        Ok(())
    }

    /// Ends the segment with a durable footer.
    pub(super) fn seal(&self, seq: u64) -> Result<()> {
        if self.is_sealed() {
            return Ok(());
        }
        let offset = self.size();
        // What the footer vouches for must be on disk before the footer is.
        self.sync()?;
        self.write(&log::footer(self.header.salt, offset, seq), offset)?;
        self.sync()?;
        self.sealed.store(true, Ordering::Release);
        Ok(())
    }

    /// The value of `version`, checked against its checksum.
    pub(super) fn read_value(&self, key: &[u8], version: &Version) -> Result<Bytes> {
        const SMALL: usize = 1024;
        let value_len = version.value_len().unwrap_or(0);
        let len = value_len + CHECK_LEN;
        let offset = u64::from(version.offset);
        if len <= SMALL {
            let mut buffer = [0; SMALL];
            self.file.read_exact_at(&mut buffer[..len], offset)?;
            self.check_value(key, &buffer[..len], offset)?;
            return Ok(Bytes::copy_from_slice(&buffer[..value_len]));
        }
        let mut buffer = vec![0; len];
        self.file.read_exact_at(&mut buffer, offset)?;
        self.check_value(key, &buffer, offset)?;
        buffer.truncate(value_len);
        Ok(Bytes::from(buffer))
    }

    fn check_value(&self, key: &[u8], bytes: &[u8], offset: u64) -> Result<()> {
        if value_matches(key, bytes) {
            return Ok(());
        }
        let what = format!(
            "the checksum of the value of key {:?} does not match",
            key.escape_ascii().to_string()
        );
        Err(Error::corrupt(&self.path, offset, what))
    }

    pub(super) fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    /// The whole segment as written so far.
    pub(super) fn read_all(&self) -> Result<Vec<u8>> {
        let mut bytes = vec![0; self.size() as usize];
        self.file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// Cuts the file to `len` bytes, durably: before anyone reads values.
    pub(super) fn cut(&self, len: u64) -> Result<()> {
        debug_assert!(self.blocks.get().is_none(), "it may be cached already");
        self.file.set_len(len)?;
        self.file.sync_data()?;
        self.len.store(len, Ordering::Release);
        self.synced.store(len, Ordering::Release);
        Ok(())
    }
}

/// Whether `bytes`, a value of `key` and its checksum, belong together.
pub(super) fn value_matches(key: &[u8], bytes: &[u8]) -> bool {
    let (value, check) = bytes.split_at(bytes.len() - CHECK_LEN);
    format::value_check(key, value).to_le_bytes() == *check
}

/// The value in `bytes`, which are a key, a value and the checksum of both, if they are whole and the key is `key`.
pub(super) fn record_value<'a>(key: &[u8], bytes: &'a [u8]) -> Option<&'a [u8]> {
    let (pair, check) = bytes.split_last_chunk::<CHECK_LEN>()?;
    let value = pair.strip_prefix(key)?;
    (crc32fast::hash(pair).to_le_bytes() == *check).then_some(value)
}

/// All segments by id; readers take no lock.
#[derive(Debug, Default)]
pub(super) struct SegmentSet {
    sorted: ArcSwap<Vec<Arc<Segment>>>,
}

impl SegmentSet {
    pub(super) fn new(mut segments: Vec<Arc<Segment>>) -> Self {
        segments.sort_by_key(|segment| segment.id());
        Self {
            sorted: ArcSwap::from_pointee(segments),
        }
    }

    pub(super) fn all(&self) -> Arc<Vec<Arc<Segment>>> {
        self.sorted.load_full()
    }

    /// Calls `read` with the segment, without taking part in its reference count.
    pub(super) fn with<T>(&self, id: u32, read: impl FnOnce(&Segment) -> T) -> Option<T> {
        let sorted = self.sorted.load();
        let at = sorted
            .binary_search_by_key(&id, |segment| segment.id())
            .ok()?;
        Some(read(&sorted[at]))
    }

    pub(super) fn insert(&self, segment: &Arc<Segment>) {
        self.sorted.rcu(|sorted| {
            let mut new = sorted.to_vec();
            let at = new.partition_point(|other| other.id() < segment.id());
            new.insert(at, Arc::clone(segment));
            new
        });
    }

    pub(super) fn remove(&self, id: u32) {
        self.sorted.rcu(|sorted| {
            let others = sorted.iter().filter(|segment| segment.id() != id);
            others.cloned().collect::<Vec<_>>()
        });
    }
}

/// Where the intact frames of a segment end, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanEnd {
    /// End of the last frame of the unbroken run from the start.
    pub end: u64,
    /// Whether the last frame of that run is a footer.
    pub footer: bool,
    /// Largest sequence number in it.
    pub seq: u64,
    /// What ended the run, unless it was the end of the file.
    pub damage: Option<Damage>,
}

/// Walks the frames of a segment whose header was already decoded. `visit` gets each intact frame of the run from the
/// start; with `salvage` also those beyond damage.
pub fn scan<'a>(
    bytes: &'a [u8],
    header: &Header,
    salvage: bool,
    mut visit: impl FnMut(Frame<'a>),
) -> ScanEnd {
    let mut result = ScanEnd {
        end: HEADER_LEN as u64,
        footer: false,
        seq: 0,
        damage: None,
    };
    let mut durable = HEADER_LEN as u64;
    for piece in Pieces::new(bytes, &LAYOUT, header.salt, intact_frame) {
        match piece {
            Piece::Frame {
                raw,
                content: frame,
            } => {
                durable = durable.max(frame.durable);
                if result.damage.is_none() {
                    result.end = raw.end();
                    result.footer = frame.kind == FrameKind::Footer;
                    result.seq = result.seq.max(frame.seq);
                }
                if result.damage.is_none() || salvage {
                    visit(frame);
                }
            }
            Piece::Bad { offset, what, .. } => {
                result.damage.get_or_insert(Damage {
                    offset,
                    what,
                    durable: 0,
                });
            }
        }
    }
    if let Some(damage) = &mut result.damage {
        damage.durable = durable;
    }
    result
}

fn intact_frame(raw: log::RawFrame<'_>) -> std::result::Result<Frame<'_>, String> {
    let frame = Frame::from(raw);
    for record in frame.records() {
        record?;
    }
    Ok(frame)
}

/// Whether the commit path wrote it.
pub(super) fn is_log(segment: &Segment) -> bool {
    segment.header.kind == SegmentKind::Log
}
