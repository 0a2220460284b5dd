//! The bytes of a segment: header, frames, records. `docs/format-kvs.md` draws them.
//!
//! # What it guarantees
//!
//! A frame decodes only at the offset and in the segment it was written for: its checksum covers the segment's
//! random salt and the frame's own offset, so a value that contains the bytes of a frame is never taken for one.
//! Decoding never panics and never allocates more than the bytes at hand.

use bytes::BufMut;

use super::codec::{Cursor, put_bound, put_varint, take_bound};
use crate::log::{self, FrameHead, Layout, RawFrame, SegmentHeader};
use crate::{KeyRange, Seq};

pub use crate::log::{FRAME_LEN, FrameError, HEADER_LEN};

/// Version of the engine's format, in the identity file and in every segment.
pub const FORMAT: u32 = 1;
/// Length of the checksum that follows each value, in bytes.
pub const CHECK_LEN: usize = 4;

/// What the engine's segments and frames are marked with.
pub(super) const LAYOUT: Layout = Layout {
    magic: *b"KPSEGMT",
    format: FORMAT,
    owner: "the log engine",
    segment_kinds: b"LC",
    frame_kinds: &[b'B', b'M', log::FOOTER],
};

/// Who wrote a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentKind {
    /// The commit path; only the last of these may end in an unfinished write.
    Log,
    /// Compaction; complete before it got its name.
    Compacted,
}

/// The header of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Who wrote the segment.
    pub kind: SegmentKind,
    /// The segment's number, as in its file name.
    pub id: u32,
    /// Random number that goes into every checksum of the segment.
    pub salt: u64,
}

impl Header {
    /// The header's bytes.
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        self.plain().encode(&LAYOUT)
    }

    /// As the layer below knows it.
    pub(super) fn plain(&self) -> SegmentHeader {
        let kind = match self.kind {
            SegmentKind::Log => b'L',
            SegmentKind::Compacted => b'C',
        };
        SegmentHeader {
            kind,
            id: self.id,
            salt: self.salt,
        }
    }

    /// Decodes and checks a header.
    ///
    /// # Errors
    /// What does not hold, in words.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        let SegmentHeader { kind, id, salt } = SegmentHeader::decode(bytes, &LAYOUT)?;
        let kind = match kind {
            b'L' => SegmentKind::Log,
            _ => SegmentKind::Compacted,
        };
        Ok(Self { kind, id, salt })
    }
}

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// One batch; all its records have the frame's sequence number.
    Batch,
    /// Records moved by compaction, each with the sequence number it was written with.
    Moved,
    /// No record: everything before is complete and durable.
    Footer,
}

/// A decoded frame header together with the bytes it covers.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// What the frame holds.
    pub kind: FrameKind,
    /// Sequence number of the batch, or the largest in the frame.
    pub seq: Seq,
    /// Offset in this segment up to which the log was known durable when the frame was written.
    pub durable: u64,
    /// Number of records.
    pub count: u32,
    /// Offset of the frame in its segment.
    pub offset: u64,
    /// The records.
    pub payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Length in bytes, header included.
    pub fn frame_len(&self) -> usize {
        FRAME_LEN + self.payload.len()
    }

    /// Decodes the frame at the start of `bytes`, which stand at `offset` of the segment with `salt`.
    ///
    /// # Errors
    /// [`FrameError`] when no intact frame starts there.
    pub fn decode(bytes: &'a [u8], salt: u64, offset: u64) -> Result<Self, FrameError> {
        RawFrame::decode(bytes, &LAYOUT, salt, offset).map(Self::from)
    }

    /// The records in order; stops after the first error.
    pub fn records(&self) -> Records<'a> {
        Records {
            kind: self.kind,
            seq: self.seq,
            left: self.count,
            payload: self.payload,
            position: 0,
            base: self.offset + FRAME_LEN as u64,
        }
    }
}

impl<'a> From<RawFrame<'a>> for Frame<'a> {
    fn from(raw: RawFrame<'a>) -> Self {
        let kind = match raw.head.kind {
            b'B' => FrameKind::Batch,
            b'M' => FrameKind::Moved,
            _ => FrameKind::Footer,
        };
        Self {
            kind,
            seq: raw.head.seq,
            durable: raw.head.durable,
            count: raw.head.count,
            offset: raw.offset,
            payload: raw.payload,
        }
    }
}

/// Builds one frame.
#[derive(Debug)]
pub struct FrameWriter {
    out: Vec<u8>,
    kind: FrameKind,
    count: u32,
}

impl FrameWriter {
    /// Begins a frame in `buffer`, whose content is dropped and whose memory is used.
    pub fn new(buffer: Vec<u8>, kind: FrameKind) -> Self {
        Self {
            out: log::begin_frame(buffer),
            kind,
            count: 0,
        }
    }

    /// Appends a record and returns where its value starts, in bytes from the start of the frame.
    pub fn push(&mut self, record: &Record<'_>) -> usize {
        self.count += 1;
        encode_record(&mut self.out, self.kind, record)
    }

    /// Length of the frame so far in bytes, header included.
    pub fn frame_len(&self) -> usize {
        self.out.len()
    }

    /// Number of records so far.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The frame's bytes, to stand at `offset` of the segment with `salt`.
    pub fn finish(self, salt: u64, offset: u64, seq: Seq, durable: u64) -> Vec<u8> {
        let kind = match self.kind {
            FrameKind::Batch => b'B',
            FrameKind::Moved => b'M',
            FrameKind::Footer => log::FOOTER,
        };
        let head = FrameHead {
            kind,
            count: self.count,
            seq,
            durable,
        };
        log::finish_frame(self.out, head, salt, offset)
    }
}

/// What a record does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change<'a> {
    /// Sets the key to the value.
    Put {
        /// The key.
        key: &'a [u8],
        /// The value.
        value: &'a [u8],
    },
    /// Removes the key: a tombstone.
    Delete {
        /// The key.
        key: &'a [u8],
    },
    /// Removes all keys of a range that were written before.
    DeleteRange {
        /// The range.
        range: KeyRange,
    },
}

/// One record of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<'a> {
    /// Position of the batch it belongs to.
    pub seq: Seq,
    /// What it does.
    pub change: Change<'a>,
}

/// A record with its place in the segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedRecord<'a> {
    /// The record.
    pub record: Record<'a>,
    /// Offset of the record in the segment, in bytes.
    pub offset: u64,
    /// Offset of its value (or, without one, its end) in the segment, in bytes.
    pub value_offset: u64,
    /// Length of the whole record in bytes.
    pub len: u64,
}

/// Iterator over the records of a frame.
#[derive(Debug)]
pub struct Records<'a> {
    kind: FrameKind,
    seq: Seq,
    left: u32,
    payload: &'a [u8],
    position: usize,
    base: u64,
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<PlacedRecord<'a>, String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            let rest = self.payload.len() - self.position;
            self.position = self.payload.len();
            return (rest > 0).then(|| Err(format!("{rest} bytes follow the frame's last record")));
        }
        self.left -= 1;
        let start = self.position;
        let mut cursor = Cursor {
            bytes: self.payload,
            position: start,
        };
        let Some((record, value_offset)) = decode_record(&mut cursor, self.kind, self.seq) else {
            self.left = 0;
            self.position = self.payload.len();
            return Some(Err("a record does not decode".into()));
        };
        self.position = cursor.position;
        Some(Ok(PlacedRecord {
            record,
            offset: self.base + start as u64,
            value_offset: self.base + value_offset as u64,
            len: (cursor.position - start) as u64,
        }))
    }
}

/// Checksum of a value under its key, verified on every read.
pub fn value_check(key: &[u8], value: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(value);
    hasher.finalize()
}

const PUT: u8 = 1;
const DELETE: u8 = 2;
const DELETE_RANGE: u8 = 3;

/// Appends the record and returns the position in `out` where its value starts (or where it ends).
fn encode_record(out: &mut Vec<u8>, kind: FrameKind, record: &Record<'_>) -> usize {
    let tag = match record.change {
        Change::Put { .. } => PUT,
        Change::Delete { .. } => DELETE,
        Change::DeleteRange { .. } => DELETE_RANGE,
    };
    out.push(tag);
    if kind == FrameKind::Moved {
        put_varint(out, record.seq);
    }
    match &record.change {
        Change::Put { key, value } => {
            put_varint(out, key.len() as u64);
            put_varint(out, value.len() as u64);
            out.put_slice(key);
            let value_start = out.len();
            out.put_slice(value);
            out.put_u32_le(value_check(key, value));
            value_start
        }
        Change::Delete { key } => {
            put_varint(out, key.len() as u64);
            out.put_slice(key);
            out.len()
        }
        Change::DeleteRange { range } => {
            put_bound(out, &range.start);
            put_bound(out, &range.end);
            out.len()
        }
    }
}

fn decode_record<'a>(
    cursor: &mut Cursor<'a>,
    kind: FrameKind,
    frame_seq: Seq,
) -> Option<(Record<'a>, usize)> {
    let tag = cursor.byte()?;
    let seq = match kind {
        FrameKind::Moved => cursor.varint()?,
        FrameKind::Batch | FrameKind::Footer => frame_seq,
    };
    let (change, value_offset) = match tag {
        PUT => {
            let key_len = cursor.varint()?;
            let value_len = cursor.varint()?;
            let key = cursor.take(key_len)?;
            let value_offset = cursor.position;
            let value = cursor.take(value_len)?;
            cursor.take(CHECK_LEN as u64)?;
            (Change::Put { key, value }, value_offset)
        }
        DELETE => {
            let key_len = cursor.varint()?;
            let key = cursor.take(key_len)?;
            (Change::Delete { key }, cursor.position)
        }
        DELETE_RANGE => {
            let start = take_bound(cursor)?;
            let end = take_bound(cursor)?;
            let range = KeyRange { start, end };
            (Change::DeleteRange { range }, cursor.position)
        }
        _ => return None,
    };
    Some((Record { seq, change }, value_offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(kind: FrameKind) -> (Vec<u8>, Vec<Record<'static>>) {
        let range = KeyRange::half_open("a", "b");
        let seq = if kind == FrameKind::Moved { 3 } else { 9 };
        let changes = [
            Change::Put {
                key: b"k",
                value: b"value",
            },
            Change::Put {
                key: b"",
                value: b"",
            },
            Change::Delete { key: b"gone" },
            Change::DeleteRange { range },
        ];
        let records: Vec<_> = changes
            .into_iter()
            .map(|change| Record { seq, change })
            .collect();
        let mut writer = FrameWriter::new(Vec::new(), kind);
        for record in &records {
            writer.push(record);
        }
        (writer.finish(7, 32, 9, 32), records)
    }

    #[test]
    fn a_frame_decodes_to_the_records_it_was_made_of() {
        for kind in [FrameKind::Batch, FrameKind::Moved] {
            let (bytes, records) = sample(kind);
            let frame = Frame::decode(&bytes, 7, 32).unwrap();
            assert_eq!(
                (frame.kind, frame.seq, frame.frame_len()),
                (kind, 9, bytes.len())
            );
            let decoded: Vec<_> = frame.records().map(|r| r.unwrap()).collect();
            let placed: u64 = decoded.iter().map(|record| record.len).sum();
            assert_eq!(placed as usize, frame.payload.len());
            let at = (decoded[0].value_offset - 32) as usize;
            assert_eq!(&bytes[at..at + 5], b"value");
            let plain: Vec<_> = decoded.into_iter().map(|placed| placed.record).collect();
            assert_eq!(plain, records);
        }
    }

    #[test]
    fn a_frame_decodes_nowhere_but_where_it_was_written() {
        let (bytes, _) = sample(FrameKind::Batch);
        assert!(Frame::decode(&bytes, 8, 32).is_err());
        assert!(Frame::decode(&bytes, 7, 33).is_err());
    }

    #[test]
    fn every_flipped_bit_and_every_cut_of_a_frame_is_detected() {
        let (bytes, _) = sample(FrameKind::Batch);
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Frame::decode(&bad, 7, 32).is_err(), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert!(Frame::decode(&bytes[..len], 7, 32).is_err(), "cut at {len}");
        }
    }

    #[test]
    fn every_flipped_bit_of_a_header_is_detected() {
        let header = Header {
            kind: SegmentKind::Log,
            id: 5,
            salt: 99,
        };
        let bytes = header.encode();
        assert_eq!(Header::decode(&bytes), Ok(header));
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::decode(&bad).is_err(), "bit {bit}");
        }
    }
}
