//! Copies of a running engine: sealed segments are linked, the active one is copied up to a durable point.

use std::path::Path;
use std::sync::Arc;

use super::IDENTITY;
use super::format::HEADER_LEN;
use super::hint::hint_path;
use super::segment::{Segment, is_log};
use super::shared::{Shared, lock};
use crate::{Error, Result};

/// Bytes copied at a time.
const CHUNK: u64 = 1 << 20;

impl Shared {
    pub(super) fn checkpoint(&self, dir: &Path) -> Result<()> {
        let files = &*self.options.files;
        files.create_dir_all(dir)?;
        if !files.is_empty(dir)? {
            let source = std::io::Error::from(std::io::ErrorKind::DirectoryNotEmpty);
            return Err(Error::io("checkpoint into", dir, source));
        }
        // Compaction must not replace segments between the first link and the last.
        let _housekeeping = lock(&self.housekeeping);
        let active = Arc::clone(&lock(&self.writer).active);
        self.commit(true)?;
        for segment in self.segments.all().iter() {
            if segment.id() == active.id() {
                self.copy(segment, dir, HEADER_LEN as u64)?;
            } else if segment.is_sealed() && (!is_log(segment) || segment.id() < active.id()) {
                self.link(segment, dir)?;
            }
        }
        files.sync_dir(dir)?;
        // Last: without it what an interruption leaves does not open.
        IDENTITY.record(files, dir)
    }

    fn link(&self, segment: &Segment, dir: &Path) -> Result<()> {
        let files = &*self.options.files;
        for source in [segment.path.clone(), hint_path(&segment.path)] {
            let target = dir.join(source.file_name().unwrap_or_default());
            if files.exists(&source)? && files.hard_link(&source, &target).is_err() {
                // Another device, or no hard links there.
                if source == segment.path {
                    self.copy(segment, dir, 0)?;
                }
            }
        }
        Ok(())
    }

    /// Copies the frames of a segment that are durable now, and the header.
    fn copy(&self, segment: &Segment, dir: &Path, least: u64) -> Result<()> {
        let files = &*self.options.files;
        let end = segment
            .synced
            .load(std::sync::atomic::Ordering::Acquire)
            .max(least);
        let target = files.create(&dir.join(segment.path.file_name().unwrap_or_default()))?;
        let mut buffer = Vec::new();
        let mut at = 0;
        while at < end {
            buffer.resize(CHUNK.min(end - at) as usize, 0);
            segment.read_at(&mut buffer, at)?;
            target.write_all_at(&buffer, at)?;
            at += buffer.len() as u64;
        }
        target.sync_data()
    }
}
