//! The bytes of a segment: header, frames, records. `docs/format-kvs.md` draws them.
//!
//! # What it guarantees
//!
//! A frame decodes only at the offset and in the segment it was written for: its checksum covers the segment's
//! random salt and the frame's own offset, so a value that contains the bytes of a frame is never taken for one.
//! Decoding never panics and never allocates more than the bytes at hand.

use bytes::BufMut;

use super::codec::{Cursor, put_bound, put_varint};
use crate::{KeyRange, Seq};

/// Version of the engine's format, in the identity file and in every segment.
pub const FORMAT: u32 = 1;
/// Length of a segment's header in bytes.
pub const HEADER_LEN: usize = 32;
/// Length of a frame's header in bytes.
pub const FRAME_LEN: usize = 32;
/// Length of the checksum that follows each value, in bytes.
pub const CHECK_LEN: usize = 4;

const MAGIC: [u8; 7] = *b"KPSEGMT";

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
        let mut bytes = [0; HEADER_LEN];
        bytes[..7].copy_from_slice(&MAGIC);
        bytes[7] = match self.kind {
            SegmentKind::Log => b'L',
            SegmentKind::Compacted => b'C',
        };
        bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
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
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        let bytes = bytes
            .first_chunk::<HEADER_LEN>()
            .ok_or("the segment is shorter than its header")?;
        if bytes[..7] != MAGIC {
            return Err("this is not a segment of the log engine".into());
        }
        if u32_at(bytes, 28) != crc32fast::hash(&bytes[..28]) {
            return Err("the header's checksum does not match".into());
        }
        let format = u32_at(bytes, 8);
        if format > FORMAT {
            return Err(format!("format {format} is newer than {FORMAT}"));
        }
        let kind = match bytes[7] {
            b'L' => SegmentKind::Log,
            b'C' => SegmentKind::Compacted,
            other => return Err(format!("unknown segment kind {other}")),
        };
        Ok(Self {
            kind,
            id: u32_at(bytes, 12),
            salt: u64_at(bytes, 16),
        })
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

/// Why no frame could be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrameError {
    /// The bytes end before the frame does.
    Short,
    /// The bytes are no frame.
    Bad(&'static str),
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
        let header = bytes.first_chunk::<FRAME_LEN>().ok_or(FrameError::Short)?;
        let kind = match header[4] {
            b'B' => FrameKind::Batch,
            b'M' => FrameKind::Moved,
            b'F' => FrameKind::Footer,
            _ => return Err(FrameError::Bad("no frame starts here")),
        };
        // Checked first: a length that is not ours must not make us read megabytes, over and over, while searching.
        if header[5..8] != header_check(salt, offset, header) {
            return Err(FrameError::Bad(
                "the frame header's checksum does not match",
            ));
        }
        let payload_len = u32_at(header, 8) as usize;
        let payload = bytes[FRAME_LEN..]
            .get(..payload_len)
            .ok_or(FrameError::Short)?;
        if u32_at(header, 0) != frame_check(salt, offset, &header[4..], payload) {
            return Err(FrameError::Bad("the frame's checksum does not match"));
        }
        Ok(Self {
            kind,
            count: u32_at(header, 12),
            seq: u64_at(header, 16),
            durable: u64_at(header, 24),
            offset,
            payload,
        })
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

/// Builds one frame.
#[derive(Debug)]
pub struct FrameWriter {
    out: Vec<u8>,
    kind: FrameKind,
    count: u32,
}

impl FrameWriter {
    /// Begins a frame in `buffer`, whose content is dropped and whose memory is used.
    pub fn new(mut buffer: Vec<u8>, kind: FrameKind) -> Self {
        buffer.clear();
        buffer.extend_from_slice(&[0; FRAME_LEN]);
        Self {
            out: buffer,
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
    pub fn finish(mut self, salt: u64, offset: u64, seq: Seq, durable: u64) -> Vec<u8> {
        let (header, payload) = self.out.split_at_mut(FRAME_LEN);
        header[4] = match self.kind {
            FrameKind::Batch => b'B',
            FrameKind::Moved => b'M',
            FrameKind::Footer => b'F',
        };
        let payload_len = u32::try_from(payload.len()).expect("batches are limited to 1 GiB");
        header[8..12].copy_from_slice(&payload_len.to_le_bytes());
        header[12..16].copy_from_slice(&self.count.to_le_bytes());
        header[16..24].copy_from_slice(&seq.to_le_bytes());
        header[24..32].copy_from_slice(&durable.to_le_bytes());
        let check = header_check(salt, offset, header);
        header[5..8].copy_from_slice(&check);
        let check = frame_check(salt, offset, &header[4..], payload);
        header[..4].copy_from_slice(&check.to_le_bytes());
        self.out
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
            let start = cursor.bound()?;
            let end = cursor.bound()?;
            let range = KeyRange { start, end };
            (Change::DeleteRange { range }, cursor.position)
        }
        _ => return None,
    };
    Some((Record { seq, change }, value_offset))
}

/// Low 24 bits of the checksum over the header's fields.
fn header_check(salt: u64, offset: u64, header: &[u8]) -> [u8; 3] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&salt.to_le_bytes());
    hasher.update(&offset.to_le_bytes());
    hasher.update(&header[4..5]);
    hasher.update(&header[8..]);
    let [a, b, c, _] = hasher.finalize().to_le_bytes();
    [a, b, c]
}

fn frame_check(salt: u64, offset: u64, header: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&salt.to_le_bytes());
    hasher.update(&offset.to_le_bytes());
    hasher.update(header);
    hasher.update(payload);
    hasher.finalize()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
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
