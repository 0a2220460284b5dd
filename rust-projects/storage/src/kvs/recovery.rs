//! Opening a directory: which bytes count, and the index they make.
//!
//! 1. Every segment but the last of the log must be whole: anything else is corruption, reported by file and offset.
//! 2. The last may end in frames that nobody was told are durable; they are cut off and reported (decision 6).
//! 3. The sorted records of all segments are merged key by key: the highest sequence number wins, the other puts are
//!    counted as stale. The index is built in key order.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::iter::Peekable;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::format::{HEADER_LEN, Header, SegmentKind};
use super::hint::{Hint, HintBuilder, HintRecord, HintRecords, hint_path};
use super::index::{Builder, Index, Version};
use super::options::{CutTail, Recovery};
use super::segment::{self, Damage, Segment, segment_id};
use super::shared::{RangeDeletion, put_len, tombstone_len};
use super::sweep::RangeSweep;
use crate::file::FileSystem;
use crate::log;
use crate::{Error, Result, Seq};

/// What a directory holds.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) segments: Vec<Arc<Segment>>,
    /// The segment that can take more frames, if there is one.
    pub(super) tail: Option<Arc<Segment>>,
    pub(super) index: Index,
    pub(super) keys: u64,
    pub(super) ranges: BTreeMap<u32, RangeDeletion>,
    /// Largest sequence number found.
    pub(super) seq: Seq,
    pub(super) next_segment: u32,
    pub(super) recovery: Recovery,
}

/// Reads the segments of `dir`. The caller holds the directory's lock.
pub(super) fn recover(files: &dyn FileSystem, dir: &Path) -> Result<Recovered> {
    let paths = clean_up(files, dir)?;
    let headers = paths
        .iter()
        .map(|(id, path)| read_header(files, path, *id))
        .collect::<Result<Vec<_>>>()?;
    let lens = paths
        .iter()
        .map(|(_, path)| files.open(path)?.len())
        .collect::<Result<Vec<_>>>()?;
    let segments = paths.iter().zip(&headers).zip(&lens);
    let tails = tail_candidates(segments.map(|(((id, _), header), &len)| (*id, header.kind, len)));
    let mut recovery = Recovery::default();
    let mut segments = Vec::new();
    let mut hints = Vec::new();
    for ((id, path), header) in paths.iter().zip(&headers) {
        let is_tail = tails.contains(id);
        let opened = open_segment(files, path, *header, is_tail, &mut recovery)?;
        segments.push(Arc::new(opened.0));
        hints.push(opened.1);
    }
    let tail = tails
        .last()
        .and_then(|id| segments.iter().find(|segment| segment.id() == *id));
    let tail = tail.cloned();
    seal_all_but(&segments, tail.as_deref())?;
    let seq = hints.iter().map(|hint| hint.seq).max().unwrap_or(0);
    let merged = Merge::new(&hints).run();
    for (segment, total) in segments.iter().zip(&merged.totals) {
        if segment.header.kind == SegmentKind::Compacted {
            segment.set_record_bytes(*total);
        }
        let live = merged.live.get(&segment.id()).copied().unwrap_or(0);
        segment
            .live
            .store(live, std::sync::atomic::Ordering::Relaxed);
    }
    Ok(Recovered {
        next_segment: paths.last().map_or(1, |(id, _)| id + 1),
        segments,
        tail,
        index: merged.index,
        keys: merged.keys,
        ranges: merged.ranges,
        seq,
        recovery,
    })
}

/// Removes what an interrupted compaction or rotation left, and lists the segments by id.
fn clean_up(files: &dyn FileSystem, dir: &Path) -> Result<Vec<(u32, PathBuf)>> {
    let mut segments = Vec::new();
    let mut removed = false;
    let mut hints = Vec::new();
    for path in files.list(dir)? {
        let extension = path.extension().and_then(|extension| extension.to_str());
        match extension {
            Some("segment-new" | "tmp") => {
                files.remove(&path)?;
                removed = true;
            }
            Some("hint") => hints.push(path),
            _ => segments.extend(segment_id(&path).map(|id| (id, path))),
        }
    }
    for hint in hints {
        if !segments
            .iter()
            .any(|(_, segment)| hint_path(segment) == hint)
        {
            files.remove(&hint)?;
            removed = true;
        }
    }
    if removed {
        files.sync_dir(dir)?;
    }
    segments.sort();
    Ok(segments)
}

fn read_header(files: &dyn FileSystem, path: &Path, id: u32) -> Result<Header> {
    let file = files.open(path)?;
    let mut bytes = [0; HEADER_LEN];
    let len = file.len()?.min(HEADER_LEN as u64) as usize;
    file.read_exact_at(&mut bytes[..len], 0)?;
    let header = Header::decode(&bytes[..len]).map_err(|what| Error::corrupt(path, 0, what))?;
    if header.id != id {
        let what = format!("the header says segment {}, the file name {id}", header.id);
        return Err(Error::corrupt(path, 12, what));
    }
    Ok(header)
}

/// The ids of the log segments that may lack a footer: the last with frames, and empty ones after it. Takes id, kind
/// and length of each segment by ascending id.
pub(super) fn tail_candidates(
    segments: impl DoubleEndedIterator<Item = (u32, SegmentKind, u64)>,
) -> Vec<u32> {
    let log = segments.filter(|(_, kind, _)| *kind == SegmentKind::Log);
    log::tail_candidates(log.map(|(id, _, len)| (id, len)))
}

fn open_segment(
    files: &dyn FileSystem,
    path: &Path,
    header: Header,
    is_tail: bool,
    recovery: &mut Recovery,
) -> Result<(Segment, Hint)> {
    let file = files.open(path)?;
    let len = file.len()?;
    let segment = Segment::new(header, path.to_owned(), file, len, len);
    if let Some(hint) = read_hint(files, path, &header, len)? {
        recovery.hinted += 1;
        segment
            .sealed
            .store(true, std::sync::atomic::Ordering::Relaxed);
        segment
            .hinted
            .store(true, std::sync::atomic::Ordering::Relaxed);
        return Ok((segment, hint));
    }
    recovery.scanned += 1;
    let bytes = segment.read_all()?;
    let mut builder = HintBuilder::new(header);
    let scan = segment::scan(&bytes, &header, false, |frame| builder.add_frame(&frame));
    if let Some(damage) = &scan.damage {
        check_torn(path, damage, is_tail)?;
        recovery.cut = Some(CutTail {
            path: path.to_owned(),
            offset: scan.end,
            bytes: len - scan.end,
            what: damage.what.clone(),
        });
        segment.cut(scan.end)?;
    }
    if !scan.footer && !is_tail {
        return Err(Error::corrupt(
            path,
            scan.end,
            "the segment ends without its footer",
        ));
    }
    if is_tail {
        // A killed process leaves bytes that only the page cache has; they are about to be shown to readers.
        segment.sync()?;
    }
    segment
        .sealed
        .store(scan.footer, std::sync::atomic::Ordering::Relaxed);
    let hint = Hint::decode(builder.finish(scan.end), &header, scan.end);
    Ok((
        segment,
        hint.expect("a hint decodes to what it was made of"),
    ))
}

fn check_torn(path: &Path, damage: &Damage, is_tail: bool) -> Result<()> {
    if is_tail && damage.is_torn_tail() {
        return Ok(());
    }
    let what = if is_tail {
        format!(
            "{}, although the log was durable up to {}",
            damage.what, damage.durable
        )
    } else {
        damage.what.clone()
    };
    Err(Error::corrupt(path, damage.offset, what))
}

fn read_hint(
    files: &dyn FileSystem,
    path: &Path,
    header: &Header,
    len: u64,
) -> Result<Option<Hint>> {
    let path = hint_path(path);
    if !files.exists(&path)? {
        return Ok(None);
    }
    Ok(Hint::decode(files.read(&path)?, header, len))
}

/// A crash may fall between the creation of a segment and the footer of the one before.
fn seal_all_but(segments: &[Arc<Segment>], tail: Option<&Segment>) -> Result<()> {
    for segment in segments {
        if Some(segment.id()) != tail.map(Segment::id) && !segment.is_sealed() {
            segment.seal(0)?;
        }
    }
    Ok(())
}

/// The records of all segments on their way to one index.
struct Merge<'a> {
    sources: Vec<Peekable<HintRecords<'a>>>,
    /// Bytes of all records of each source.
    totals: Vec<u64>,
    heap: BinaryHeap<Reverse<(&'a [u8], usize)>>,
    ranges: RangeSweep<'a>,
}

struct Merged {
    index: Index,
    keys: u64,
    ranges: BTreeMap<u32, RangeDeletion>,
    /// Bytes of the records of each segment that some key needs.
    live: HashMap<u32, i64>,
    /// Bytes of all records of each segment, in the order of the hints.
    totals: Vec<u64>,
}

impl<'a> Merge<'a> {
    fn new(hints: &'a [Hint]) -> Self {
        let mut sources: Vec<_> = hints.iter().map(|hint| hint.records().peekable()).collect();
        let heads = sources.iter_mut().enumerate();
        let heap = heads
            .filter_map(|(at, source)| source.peek().map(|record| Reverse((record.key, at))))
            .collect();
        let range_bytes = |hint: &Hint| hint.ranges.iter().map(|range| range.record_len).sum();
        let totals = hints.iter().map(range_bytes).collect();
        let ranges = RangeSweep::new(hints);
        Self {
            sources,
            totals,
            heap,
            ranges,
        }
    }

    fn run(mut self) -> Merged {
        let mut builder = Builder::default();
        let mut live: HashMap<u32, i64> = HashMap::new();
        let mut keys = 0;
        while let Some(Reverse((key, _))) = self.heap.peek().copied() {
            let (newest, puts) = self.take_key(key);
            let range = self.ranges.newest_over(key);
            match range.filter(|(_, range)| range.seq > newest.seq) {
                Some((id, _)) if puts > 0 => {
                    let seq = self.ranges.take_key(id);
                    builder.push(key, Version::range_tombstone(seq, id as u32), puts);
                }
                Some(_) => {}
                None if newest.is_put() => {
                    keys += 1;
                    let len = put_len(key.len(), newest.value_len().unwrap_or(0));
                    *live.entry(newest.segment).or_default() += len as i64;
                    builder.push(key, newest, puts - 1);
                }
                None if puts > 0 => {
                    *live.entry(newest.segment).or_default() += tombstone_len(key.len()) as i64;
                    builder.push(key, newest, puts);
                }
                // A tombstone with nothing left to hide.
                None => {}
            }
        }
        let ranges = self.ranges.finish(&mut live);
        Merged {
            index: builder.finish(),
            keys,
            ranges,
            live,
            totals: self.totals,
        }
    }

    /// Takes all records of `key`: the newest version, and how many of them are puts.
    fn take_key(&mut self, key: &'a [u8]) -> (Version, u32) {
        let mut newest: Option<Version> = None;
        let mut puts = 0;
        while let Some(Reverse((head, at))) = self.heap.peek().copied()
            && head == key
        {
            self.heap.pop();
            while let Some(HintRecord { version, .. }) =
                self.sources[at].next_if(|record| record.key == key)
            {
                puts += u32::from(version.is_put());
                let value_len = version.value_len();
                self.totals[at] += value_len.map_or(tombstone_len(key.len()), |value_len| {
                    put_len(key.len(), value_len)
                });
                // Records of one segment come by sequence number and offset, so an equal number is a later change of
                // the same batch. In another segment it is a copy, and either will do.
                if newest.is_none_or(|newest| version.seq >= newest.seq) {
                    newest = Some(version);
                }
            }
            if let Some(record) = self.sources[at].peek() {
                self.heap.push(Reverse((record.key, at)));
            }
        }
        (newest.expect("the key is at the head of a source"), puts)
    }
}
