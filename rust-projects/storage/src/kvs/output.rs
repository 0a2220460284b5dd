//! A segment being written by compaction or repair: complete, synced and, while there is space, with its hint before it
//! gets its name.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::format::{FrameKind, FrameWriter, HEADER_LEN, Header, Record, SegmentKind};
use super::hint::{encode_hint, store_hint};
use super::reserve::Reserve;
use super::segment::{Segment, segment_path, temporary_path};
use super::shared::record_len;
use crate::file::{File, FileSystem};
use crate::log::salt;
use crate::{Result, Seq};

/// Records are written in frames of about this size.
const FRAME_BYTES: usize = 256 << 10;

/// What was written is synced in pieces of this size: one sync of all of it would hold up the syncs of the log for as long as the disk
/// takes, a third of a second for a whole segment.
const SYNC_BYTES: u64 = 1 << 20;

#[derive(Debug)]
pub(super) struct Output {
    pub(super) header: Header,
    files: Arc<dyn FileSystem>,
    dir: PathBuf,
    path: PathBuf,
    file: Arc<dyn File>,
    frame: FrameWriter,
    /// Where the current frame goes.
    start: u64,
    /// Up to where it is on the disk.
    synced: u64,
    seq: Seq,
    capacity: u64,
    /// Bytes of the records, as [`record_len`] counts them.
    record_bytes: u64,
}

impl Output {
    /// Begins segment `id` with `capacity` bytes reserved.
    pub(super) fn create(
        files: &Arc<dyn FileSystem>,
        dir: &Path,
        id: u32,
        entropy: u64,
        capacity: u64,
    ) -> Result<Self> {
        let header = Header {
            kind: SegmentKind::Compacted,
            id,
            salt: salt(entropy, id),
        };
        let path = segment_path(dir, id);
        let temporary = temporary_path(&path);
        let file = files.create(&temporary)?;
        let begun = file
            .allocate(capacity)
            .and_then(|()| file.write_all_at(&header.encode(), 0));
        if let Err(error) = begun {
            let _ = files.remove(&temporary);
            return Err(error);
        }
        Ok(Self {
            header,
            files: Arc::clone(files),
            dir: dir.to_owned(),
            path,
            file,
            frame: FrameWriter::new(Vec::new(), FrameKind::Moved),
            start: HEADER_LEN as u64,
            synced: 0,
            seq: 0,
            capacity,
            record_bytes: 0,
        })
    }

    /// Appends a record and returns the offset of its value.
    pub(super) fn push(&mut self, record: &Record<'_>) -> Result<u32> {
        if self.frame.frame_len() >= FRAME_BYTES {
            self.end_frame()?;
        }
        let offset = self.start + self.frame.push(record) as u64;
        self.seq = self.seq.max(record.seq);
        self.record_bytes += record_len(&record.change);
        Ok(offset as u32)
    }

    fn end_frame(&mut self) -> Result<()> {
        let frame = std::mem::replace(
            &mut self.frame,
            FrameWriter::new(Vec::new(), FrameKind::Moved),
        );
        if frame.count() > 0 {
            let bytes = frame.finish(self.header.salt, self.start, self.seq, HEADER_LEN as u64);
            self.file.write_all_at(&bytes, self.start)?;
            self.start += bytes.len() as u64;
            if self.start - self.synced >= SYNC_BYTES {
                self.file.sync_data()?;
                self.synced = self.start;
            }
            self.frame = FrameWriter::new(bytes, FrameKind::Moved);
        }
        Ok(())
    }

    /// Completes the segment and makes it durable under its name, with its hint if `reserve` is held.
    pub(super) fn finish(mut self, reserve: &Reserve) -> Result<Segment> {
        self.try_finish(reserve).inspect_err(|_| {
            let _ = self.files.remove(&temporary_path(&self.path));
        })
    }

    fn try_finish(&mut self, reserve: &Reserve) -> Result<Segment> {
        self.end_frame()?;
        let file = Arc::clone(&self.file);
        let segment = Segment::new(
            self.header,
            self.path.clone(),
            file,
            self.capacity,
            self.start,
        );
        segment.seal(self.seq)?;
        // Also the check that all of it reads back, before anything is removed for it.
        let hinted = match encode_hint(&segment)? {
            Some(hint) => reserve.while_held(|| store_hint(&*self.files, &segment, &hint))?,
            None => true,
        };
        self.files.rename(&temporary_path(&self.path), &self.path)?;
        self.files.sync_dir(&self.dir)?;
        segment.set_record_bytes(self.record_bytes);
        segment
            .hinted
            .store(hinted, std::sync::atomic::Ordering::Relaxed);
        Ok(segment)
    }

    /// Gives up and removes what was written.
    pub(super) fn abandon(self) {
        let _ = self.files.remove(&temporary_path(&self.path));
    }
}
