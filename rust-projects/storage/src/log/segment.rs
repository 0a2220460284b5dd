//! The header of a segment, its file's name, and its creation.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Layout;
use super::frame::{u32_at, u64_at};
use crate::Result;
use crate::file::{File, FileSystem};

/// Length of a segment's header in bytes.
pub const HEADER_LEN: usize = 32;

/// The header of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentHeader {
    /// What the segment is for, one of [`Layout::segment_kinds`].
    pub kind: u8,
    /// The segment's number, as in its file name.
    pub id: u32,
    /// Random number that goes into every checksum of the segment.
    pub salt: u64,
}

impl SegmentHeader {
    /// The header's bytes.
    pub fn encode(&self, layout: &Layout) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..7].copy_from_slice(&layout.magic);
        bytes[7] = self.kind;
        bytes[8..12].copy_from_slice(&layout.format.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.id.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.salt.to_le_bytes());
        let check = crc32fast::hash(&bytes[..28]);
        bytes[28..].copy_from_slice(&check.to_le_bytes());
        bytes
    }

    /// Decodes and checks a header.
    ///
    /// # Errors
    /// What does not hold, in words.
    pub fn decode(bytes: &[u8], layout: &Layout) -> std::result::Result<Self, String> {
        let bytes = bytes
            .first_chunk::<HEADER_LEN>()
            .ok_or("the segment is shorter than its header")?;
        if bytes[..7] != layout.magic {
            return Err(format!("this is not a segment of {}", layout.owner));
        }
        if u32_at(bytes, 28) != crc32fast::hash(&bytes[..28]) {
            return Err("the header's checksum does not match".into());
        }
        let format = u32_at(bytes, 8);
        if format > layout.format {
            return Err(format!("format {format} is newer than {}", layout.format));
        }
        if !layout.segment_kinds.contains(&bytes[7]) {
            return Err(format!("unknown segment kind {}", bytes[7]));
        }
        Ok(Self {
            kind: bytes[7],
            id: u32_at(bytes, 12),
            salt: u64_at(bytes, 16),
        })
    }
}

/// Creates a segment in `dir` under its final name, durable with header and `capacity` bytes of reserved space before
/// anyone can see it.
///
/// # Errors
/// [`crate::Error::DiskFull`], and then nothing of it takes space; other I/O errors, after which it may be there or not.
pub fn create_segment(
    files: &dyn FileSystem,
    dir: &Path,
    layout: &Layout,
    header: SegmentHeader,
    capacity: u64,
) -> Result<Arc<dyn File>> {
    let path = segment_path(dir, header.id);
    let temporary = temporary_path(&path);
    let attempt = || -> Result<Arc<dyn File>> {
        let file = files.create(&temporary)?;
        file.allocate(capacity)?;
        file.write_all_at(&header.encode(layout), 0)?;
        file.sync_data()?;
        files.rename(&temporary, &path)?;
        files.sync_dir(dir)?;
        Ok(file)
    };
    attempt().inspect_err(|_| {
        // Free the space at once; whatever stays is removed at the next open.
        let _ = files.remove(&temporary);
    })
}

/// `<dir>/<id>.segment`.
pub fn segment_path(dir: &Path, id: u32) -> PathBuf {
    dir.join(format!("{id:010}.segment"))
}

/// Where a segment is built before it gets its name.
pub fn temporary_path(path: &Path) -> PathBuf {
    path.with_extension("segment-new")
}

/// The id in a segment's file name.
pub fn segment_id(path: &Path) -> Option<u32> {
    if path.extension()? != "segment" {
        return None;
    }
    path.file_stem()?.to_str()?.parse().ok()
}

/// A salt for segment `id`: the finaliser of splitmix64 (Steele, Lea, Flood, OOPSLA 2014) over both.
pub fn salt(entropy: u64, id: u32) -> u64 {
    let mut z = entropy.wrapping_add(u64::from(id).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
