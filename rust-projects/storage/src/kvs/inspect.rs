//! Looking into the files of a directory: what [`super::verify`] reports and what [`super::repair`] acts upon.

use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::IDENTITY;
use super::format::{FrameKind, HEADER_LEN, Header, SegmentKind};
use super::hint::{self, Hint, HintBuilder, hint_path};
use super::recovery::tail_candidates;
use super::segment::{self, ScanEnd, segment_id};
use super::verify::{Finding, FindingKind, HintState, Progress, Report, SegmentReport};
use super::walk::Walk;
use crate::file::{DirLock, File, FileSystem};
use crate::{Error, Identity, Result};

/// What [`super::verify`] found and what [`super::repair`] would do about it.
#[derive(Debug)]
pub(super) struct Inspection {
    pub(super) report: Report,
    /// What is to happen to each segment of the report.
    pub(super) fates: Vec<Fate>,
    pub(super) identity_is_sound: bool,
    pub(super) lock: Box<dyn DirLock>,
}

/// What is to happen to a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Keep,
    DropHint,
    /// Cut it to so many bytes.
    Cut(u64),
    /// Move the intact frames that start below `until` to a new file.
    Rebuild {
        header: Header,
        until: u64,
    },
    SetAside,
}

pub(super) fn inspect(
    dir: &Path,
    files: &dyn FileSystem,
    progress: &mut dyn FnMut(Progress),
) -> Result<Inspection> {
    // Before the lock, which would leave a file in a directory that is none of ours.
    let mut findings = Vec::new();
    let identity_is_sound = check_identity(files, dir, &mut findings)?;
    let lock = files.lock_dir(dir)?;
    let mut found = Vec::new();
    for path in files.list(dir)? {
        match (segment_id(&path), path.extension().and_then(|e| e.to_str())) {
            (Some(id), _) => found.push(Found::read(files, path, id)?),
            (None, Some("segment-new" | "tmp")) => findings.push(leftover(files, path)?),
            _ => {}
        }
    }
    found.sort_by(|a, b| (a.id, &a.path).cmp(&(b.id, &b.path)));
    let tails = tail_candidates(found.iter().map(Found::place));
    let total = found.iter().map(|segment| segment.len).sum();
    let mut done = 0;
    let mut inspection = Inspection {
        report: Report {
            dir: dir.to_owned(),
            segments: Vec::new(),
            findings,
        },
        fates: Vec::new(),
        identity_is_sound,
        lock,
    };
    for segment in found {
        let is_tail = tails.contains(&segment.id);
        let (report, fate) =
            inspect_segment(files, &segment, is_tail, &mut inspection.report.findings)?;
        inspection.report.segments.push(report);
        inspection.fates.push(fate);
        done += segment.len;
        progress(Progress { done, total });
    }
    Ok(inspection)
}

/// Whether the identity file is as it should be. Directories of others are errors.
fn check_identity(files: &dyn FileSystem, dir: &Path, findings: &mut Vec<Finding>) -> Result<bool> {
    let what = match Identity::read(files, dir) {
        Ok(Some(_)) => {
            IDENTITY.claim(files, dir)?;
            return Ok(true);
        }
        Ok(None) => {
            let paths = files.list(dir)?;
            if !paths.iter().any(|path| segment_id(path).is_some()) {
                let what = "it has neither a KEYPROOF file nor a segment";
                let source = std::io::Error::new(std::io::ErrorKind::NotFound, what);
                return Err(Error::io("find a data directory in", dir, source));
            }
            "it is missing or empty although there are segments".to_owned()
        }
        Err(Error::Corrupt { what, .. }) => what,
        Err(error) => return Err(error),
    };
    let path = Identity::path(dir);
    let exists = files.exists(&path)?;
    let bytes = if exists { files.open(&path)?.len()? } else { 0 };
    findings.push(Finding {
        kind: FindingKind::Identity,
        path,
        offset: 0,
        bytes,
        batches: None,
        what,
    });
    Ok(false)
}

fn leftover(files: &dyn FileSystem, path: PathBuf) -> Result<Finding> {
    Ok(Finding {
        kind: FindingKind::Leftover,
        offset: 0,
        bytes: files.open(&path)?.len()?,
        batches: Some(0),
        what: "an interrupted compaction or repair left it".into(),
        path,
    })
}

/// A segment file and what its header says.
struct Found {
    id: u32,
    path: PathBuf,
    len: u64,
    header: HeaderState,
}

enum HeaderState {
    Sound(Header),
    Restored(Header, String),
    Lost(u64, String),
}

impl Found {
    fn read(files: &dyn FileSystem, path: PathBuf, id: u32) -> Result<Self> {
        let file = files.open(&path)?;
        let len = file.len()?;
        let mut head = vec![0; len.min(HEADER_LEN as u64) as usize];
        read_block(&*file, &mut head, 0)?;
        let header = match Header::decode(&head) {
            Ok(header) if header.id == id => HeaderState::Sound(header),
            Ok(header) => {
                let what = format!(
                    "the header says segment {}, the file name {id}: was it renamed or copied by hand?",
                    header.id
                );
                HeaderState::Lost(12, what)
            }
            Err(what) => {
                let (bytes, _) = read_readable(files, &path)?;
                let hint = read_hint(files, &path)?;
                match restore_header(&bytes, id, hint.as_deref()) {
                    Some(header) => HeaderState::Restored(header, what),
                    None => HeaderState::Lost(0, what),
                }
            }
        };
        Ok(Self {
            id,
            path,
            len,
            header,
        })
    }

    fn header(&self) -> Option<Header> {
        match self.header {
            HeaderState::Sound(header) | HeaderState::Restored(header, _) => Some(header),
            HeaderState::Lost(..) => None,
        }
    }

    fn finding(&self, kind: FindingKind, offset: u64, bytes: u64, what: &str) -> Finding {
        Finding {
            kind,
            path: self.path.clone(),
            offset,
            bytes,
            batches: None,
            what: what.to_owned(),
        }
    }

    /// As [`tail_candidates`] takes it. What cannot be read counts as the log's, so that damage elsewhere is not taken
    /// for a torn tail.
    fn place(&self) -> (u32, SegmentKind, u64) {
        let kind = self.header().map_or(SegmentKind::Log, |header| header.kind);
        (self.id, kind, self.len)
    }
}

/// Offset and length in bytes.
type Extent = (u64, u64);

/// The file with zeros for the blocks that the disk fails to read, and where those are.
pub(super) fn read_readable(files: &dyn FileSystem, path: &Path) -> Result<(Vec<u8>, Vec<Extent>)> {
    const BLOCK: usize = 4096;
    let file = files.open(path)?;
    let mut bytes = vec![0; file.len()? as usize];
    let mut unreadable = Vec::new();
    if read_block(&*file, &mut bytes, 0)? {
        return Ok((bytes, unreadable));
    }
    let mut offset = 0;
    for block in bytes.chunks_mut(BLOCK) {
        let len = block.len() as u64;
        if !read_block(&*file, block, offset)? {
            unreadable.push((offset, len));
        }
        offset += len;
    }
    Ok((bytes, unreadable))
}

/// Fills `block`, with zeros if the disk fails to read it; says whether it did not.
fn read_block(file: &dyn File, block: &mut [u8], offset: u64) -> Result<bool> {
    match file.read_exact_at(block, offset) {
        Ok(()) => Ok(true),
        Err(Error::Io { source, .. })
            if source.raw_os_error() == Some(Errno::IO.raw_os_error()) =>
        {
            block.fill(0);
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

fn read_hint(files: &dyn FileSystem, segment: &Path) -> Result<Option<Vec<u8>>> {
    let path = hint_path(segment);
    let exists = files.exists(&path)?;
    // An unreadable hint is as good as a damaged one.
    let read = exists.then(|| read_readable(files, &path)).transpose()?;
    Ok(read.map(|(bytes, _)| bytes))
}

/// What the header of a segment was: with one bit flipped back its checksum holds, or the hint names the salt. Either
/// is believed only if a frame agrees.
fn restore_header(bytes: &[u8], id: u32, hint: Option<&[u8]>) -> Option<Header> {
    let head = bytes.first_chunk::<HEADER_LEN>();
    let mended = head.and_then(|head| {
        (0..HEADER_LEN * 8).find_map(|bit| {
            let mut head = *head;
            head[bit / 8] ^= 1 << (bit % 8);
            Header::decode(&head).ok().filter(|header| header.id == id)
        })
    });
    let hinted = hint.and_then(|hint| hint::salt_of(hint, id));
    let hinted = hinted.map(|salt| Header {
        kind: SegmentKind::Log,
        id,
        salt,
    });
    mended
        .into_iter()
        .chain(hinted)
        .find_map(|header| confirmed_by_frames(bytes, header))
}

fn confirmed_by_frames(bytes: &[u8], header: Header) -> Option<Header> {
    if bytes.len() == HEADER_LEN {
        return Some(header);
    }
    let mut kind = None;
    segment::scan(bytes, &header, true, |frame| match frame.kind {
        FrameKind::Batch => kind = Some(SegmentKind::Log),
        FrameKind::Moved => kind = Some(SegmentKind::Compacted),
        FrameKind::Footer => kind = kind.or(Some(header.kind)),
    });
    kind.map(|kind| Header { kind, ..header })
}

fn inspect_segment(
    files: &dyn FileSystem,
    found: &Found,
    is_tail: bool,
    findings: &mut Vec<Finding>,
) -> Result<(SegmentReport, Fate)> {
    let mut report = SegmentReport {
        id: found.id,
        path: found.path.clone(),
        kind: found.header().map(|header| header.kind),
        bytes: found.len,
        frames: 0,
        records: 0,
        footer: false,
        hint: HintState::Absent,
    };
    let header = match &found.header {
        HeaderState::Sound(header) => *header,
        HeaderState::Restored(header, what) => {
            let bytes = found.len.min(HEADER_LEN as u64);
            findings.push(found.finding(FindingKind::HeaderRestored, 0, bytes, what));
            *header
        }
        HeaderState::Lost(offset, what) => {
            findings.push(found.finding(FindingKind::HeaderLost, *offset, found.len, what));
            return Ok((report, Fate::SetAside));
        }
    };
    let (bytes, unreadable) = read_readable(files, &found.path)?;
    for &(offset, len) in &unreadable {
        let what = "the disk does not give these bytes back";
        findings.push(found.finding(FindingKind::Unreadable, offset, len, what));
    }
    let mut walk = Walk::new(&bytes, header);
    let scan = segment::scan(&bytes, &header, true, |frame| walk.frame(&frame));
    walk.end();
    (report.frames, report.records) = (walk.frames, walk.records);
    report.footer = walk.footer;
    let hint = read_hint(files, &found.path)?;
    let used = hint
        .clone()
        .and_then(|hint| Hint::decode(hint, &header, found.len));
    // A hint is written only once all it covers is durable.
    let may_be_torn = is_tail && used.is_none() && unreadable.is_empty();
    let mut fate = judge(
        found,
        header,
        &walk,
        &scan,
        (is_tail, may_be_torn),
        findings,
    );
    if let Some(hint) = hint {
        report.hint = match used {
            Some(_) => HintState::Used,
            None => HintState::Unused,
        };
        if let Some((kind, what)) = check_hint(&hint, used.is_some(), walk.builder, &scan) {
            findings.push(Finding {
                path: hint_path(&found.path),
                ..found.finding(kind, 0, hint.len() as u64, what)
            });
            if fate == Fate::Keep {
                fate = Fate::DropHint;
            }
        }
    }
    Ok((report, fate))
}

/// What the frames of a segment mean for it.
fn judge(
    found: &Found,
    header: Header,
    walk: &Walk<'_>,
    scan: &ScanEnd,
    (is_tail, may_be_torn): (bool, bool),
    findings: &mut Vec<Finding>,
) -> Fate {
    let torn = scan.damage.as_ref();
    let torn = torn.filter(|damage| may_be_torn && damage.is_torn_tail());
    let until = torn.map_or(found.len, |damage| damage.offset);
    if let Some(damage) = torn {
        let rest = found.len - until;
        findings.push(found.finding(FindingKind::TornTail, until, rest, &damage.what));
    }
    let damage = walk.findings(&found.path, scan, until);
    let footer_missing = scan.damage.is_none() && !scan.footer && !is_tail;
    if footer_missing {
        let what = "the segment ends without its footer: what came after it is lost";
        findings.push(found.finding(FindingKind::FooterMissing, found.len, 0, what));
    }
    let is_restored = matches!(found.header, HeaderState::Restored(..));
    let is_damaged = is_restored || footer_missing || !damage.is_empty();
    findings.extend(damage);
    match (is_damaged, torn) {
        (true, _) => Fate::Rebuild { header, until },
        (false, Some(_)) => Fate::Cut(until),
        (false, None) => Fate::Keep,
    }
}

/// Compares a hint with what the segment says.
fn check_hint(
    hint: &[u8],
    is_used: bool,
    builder: HintBuilder<'_>,
    scan: &ScanEnd,
) -> Option<(FindingKind, &'static str)> {
    if !is_used {
        let what = "it is damaged or describes another state of the segment";
        return Some((FindingKind::HintUnused, what));
    }
    // Against a damaged segment there is nothing to compare with.
    let differs = scan.damage.is_none() && builder.finish(scan.end) != hint;
    let what = "its checksum holds, but it does not say what the segment says";
    differs.then_some((FindingKind::HintWrong, what))
}
