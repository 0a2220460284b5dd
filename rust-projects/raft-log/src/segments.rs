//! The files: segments being written, created ahead, and read back.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use storage::file::{File, FileSystem};
use storage::log::{
    self, FOOTER, FRAME_LEN, HEADER_LEN, Piece, Pieces, RawFrame, SegmentHeader, segment_id,
    segment_path,
};

use crate::record::{BATCH, LAYOUT, Record, SEGMENT, State, take_batch, take_state};
use crate::{Damage, Options, Result};

/// Where the segments are.
#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) files: Arc<dyn FileSystem>,
    pub(crate) path: PathBuf,
    pub(crate) options: Options,
}

/// A segment as opening finds it.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) id: u32,
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn File>,
    pub(crate) len: u64,
    /// The header, or what does not hold in it.
    pub(crate) header: std::result::Result<SegmentHeader, String>,
}

impl Directory {
    /// Creates a segment that can take `capacity` bytes, durable under its name.
    pub(crate) fn create(&self, id: u32, capacity: u64) -> storage::Result<Segment> {
        let header = SegmentHeader {
            kind: SEGMENT,
            id,
            salt: log::salt(self.options.entropy, id),
        };
        let file = log::create_segment(&*self.files, &self.path, &LAYOUT, header, capacity)?;
        Ok(Segment::new(header, file, HEADER_LEN as u64, capacity))
    }

    /// Removes what an interrupted creation left, and lists the segments by id.
    pub(crate) fn list(&self) -> Result<Vec<Found>> {
        let mut found = Vec::new();
        let mut removed = false;
        for path in self.files.list(&self.path)? {
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("segment-new" | "tmp") => {
                    self.files.remove(&path)?;
                    removed = true;
                }
                _ => {
                    if let Some(id) = segment_id(&path) {
                        found.push(self.find(id, path)?);
                    }
                }
            }
        }
        if removed {
            self.files.sync_dir(&self.path)?;
        }
        found.sort_by_key(|segment| segment.id);
        Ok(found)
    }

    fn find(&self, id: u32, path: PathBuf) -> Result<Found> {
        let file = self.files.open(&path)?;
        let len = file.len()?;
        let mut bytes = vec![0; len.min(HEADER_LEN as u64) as usize];
        file.read_exact_at(&mut bytes, 0)?;
        let header = SegmentHeader::decode(&bytes, &LAYOUT).and_then(|header| {
            if header.id == id {
                return Ok(header);
            }
            Err(format!(
                "the header says segment {}, the file name {id}",
                header.id
            ))
        });
        Ok(Found {
            id,
            path,
            file,
            len,
            header,
        })
    }

    pub(crate) fn segment_path(&self, id: u32) -> PathBuf {
        segment_path(&self.path, id)
    }

    /// Removes a segment, durably: names that vanish in another order than they were removed would look like damage.
    pub(crate) fn remove(&self, id: u32) -> storage::Result<()> {
        self.files.remove(&self.segment_path(id))?;
        self.files.sync_dir(&self.path)
    }
}

/// A segment that takes no more frames.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Closed {
    pub(crate) id: u32,
    pub(crate) len: u64,
    /// It begins with an intact frame that lists all groups, so that what stands before it can go.
    pub(crate) has_state: bool,
}

/// A segment that takes frames, now or later.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) header: SegmentHeader,
    file: Arc<dyn File>,
    /// Where the next frame goes.
    pub(crate) position: u64,
    /// Up to where everything is on the disk.
    pub(crate) durable: u64,
    /// Bytes reserved on the disk.
    capacity: u64,
    /// The last frame is a durable footer.
    sealed: bool,
}

impl Segment {
    /// A segment whose first `position` bytes are durable.
    pub(crate) fn new(
        header: SegmentHeader,
        file: Arc<dyn File>,
        position: u64,
        capacity: u64,
    ) -> Self {
        Self {
            header,
            file,
            position,
            durable: position,
            capacity,
            sealed: false,
        }
    }

    /// Says that the last frame is a footer.
    pub(crate) fn with_footer(self, sealed: bool) -> Self {
        Self { sealed, ..self }
    }

    pub(crate) fn id(&self) -> u32 {
        self.header.id
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.position == HEADER_LEN as u64
    }

    pub(crate) fn close(&self) -> Closed {
        Closed {
            id: self.id(),
            len: self.position,
            has_state: true,
        }
    }

    pub(crate) fn is_dirty(&self) -> bool {
        self.durable < self.position
    }

    /// Whether a frame of `len` bytes goes in, and a footer behind it.
    pub(crate) fn has_room(&self, len: usize) -> bool {
        self.position + (len + FRAME_LEN) as u64 <= self.capacity
    }

    /// Reserves blocks up to `capacity`.
    pub(crate) fn reserve(&mut self, capacity: u64) -> storage::Result<()> {
        if self.capacity < capacity {
            self.file.allocate(capacity)?;
            self.capacity = capacity;
        }
        Ok(())
    }

    /// Reserves room for the footer, which a segment opened on a full disk may lack.
    pub(crate) fn reserve_footer(&mut self) -> storage::Result<()> {
        if self.sealed {
            return Ok(());
        }
        self.reserve(self.position + FRAME_LEN as u64)
    }

    pub(crate) fn append(&mut self, frame: &[u8]) -> storage::Result<()> {
        self.sealed = false;
        self.file.write_all_at(frame, self.position)?;
        self.position += frame.len() as u64;
        Ok(())
    }

    pub(crate) fn sync(&mut self) -> storage::Result<()> {
        self.file.sync_data()?;
        self.durable = self.position;
        Ok(())
    }

    /// Ends the segment with a durable footer.
    pub(crate) fn seal(&mut self, seq: u64) -> storage::Result<()> {
        if self.sealed {
            return Ok(());
        }
        // What the footer vouches for must be on disk before the footer is.
        self.sync()?;
        let footer = log::footer(self.header.salt, self.position, seq);
        self.append(&footer)?;
        self.sync()?;
        self.sealed = true;
        Ok(())
    }
}

/// What a frame holds.
#[derive(Debug)]
pub(crate) enum Content {
    Batch(Vec<Record>),
    State(State),
    Footer,
}

/// What a segment consists of.
pub(crate) type Part<'a> = Piece<'a, Content>;

/// The parts of a segment, and the furthest point that one of its frames says was durable.
pub(crate) fn scan(bytes: &[u8], salt: u64) -> (Vec<Part<'_>>, u64) {
    let parts: Vec<_> = Pieces::new(bytes, &LAYOUT, salt, decode).collect();
    let durable = parts.iter().map(|part| match part {
        Piece::Frame { raw, .. } => raw.head.durable,
        Piece::Bad { .. } => 0,
    });
    let durable = durable.max().unwrap_or(0).max(HEADER_LEN as u64);
    (parts, durable)
}

fn decode(raw: RawFrame<'_>) -> std::result::Result<Content, String> {
    let head = raw.head;
    let content = match head.kind {
        FOOTER => raw.payload.is_empty().then_some(Content::Footer),
        BATCH => take_batch(raw.payload, head.seq, head.count).map(Content::Batch),
        _ => take_state(raw.payload, head.seq, head.count).map(Content::State),
    };
    // There is a number behind it.
    let content = content.filter(|_| head.seq < u64::MAX >> 1);
    content.ok_or_else(|| "a record does not decode".to_owned())
}

/// A damaged place of a segment.
pub(crate) fn damage(dir: &Path, place: &crate::record::Place) -> Damage {
    Damage {
        path: segment_path(dir, place.segment),
        offset: place.offset,
        what: place.what.clone(),
    }
}
