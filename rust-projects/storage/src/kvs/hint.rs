//! Hint files: the keys of a sealed segment in order, so that opening need not read the values.
//!
//! A hint is derived data. It is used only when its checksum holds and it covers exactly the segment's bytes; otherwise
//! the segment is read instead. In memory the same encoding serves as the sorted list of a segment's records that
//! recovery merges.

use std::path::{Path, PathBuf};

use bytes::BufMut;

use super::codec::{Cursor, head, put_bound, put_varint, take_bound};
use super::format::{Change, Frame, Header};
use super::index::Version;
use super::segment::{self, Segment};
use crate::file::FileSystem;
use crate::{Error, KeyRange, Result, Seq};

const MAGIC: &[u8; 8] = b"KPHINTS\x01";
/// Magic, id, salt, covered bytes, records, ranges, largest sequence number.
const HEAD_LEN: usize = 8 + 4 + 8 + 8 + 4 + 4 + 8;

const PUT: u8 = 1;
const TOMBSTONE: u8 = 2;

/// `<dir>/<id>.hint`.
pub(super) fn hint_path(segment: &Path) -> PathBuf {
    segment.with_extension("hint")
}

/// One point record of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HintRecord<'a> {
    pub(super) key: &'a [u8],
    pub(super) version: Version,
}

/// One range deletion of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HintRange {
    pub(super) seq: Seq,
    pub(super) segment: u32,
    pub(super) offset: u32,
    pub(super) record_len: u64,
    pub(super) range: KeyRange,
}

/// Segments whose keys have more bytes than this on average get no hint.
const BULKY_KEY: usize = 1024;

/// Collects the records of a segment.
#[derive(Debug)]
pub(super) struct HintBuilder<'a> {
    header: Header,
    records: Vec<HintRecord<'a>>,
    ranges: Vec<HintRange>,
    seq: Seq,
}

impl<'a> HintBuilder<'a> {
    pub(super) fn new(header: Header) -> Self {
        Self {
            header,
            records: Vec::new(),
            ranges: Vec::new(),
            seq: 0,
        }
    }

    /// Adds the records of a frame, which must be intact.
    pub(super) fn add_frame(&mut self, frame: &Frame<'a>) {
        self.seq = self.seq.max(frame.seq);
        let segment = self.header.id;
        for placed in frame.records().map_while(std::result::Result::ok) {
            let seq = placed.record.seq;
            let offset = placed.value_offset as u32;
            match placed.record.change {
                Change::Put { key, value } => {
                    let version = Version::put(seq, segment, offset, value.len() as u32);
                    self.records.push(HintRecord { key, version });
                }
                Change::Delete { key } => {
                    let version = Version::tombstone(seq, segment, offset);
                    self.records.push(HintRecord { key, version });
                }
                Change::DeleteRange { range } => {
                    let record_len = 1 + range.encoded_len();
                    self.ranges.push(HintRange {
                        seq,
                        segment,
                        offset,
                        record_len,
                        range,
                    });
                }
            }
        }
    }

    /// Whether the keys are so long that writing them a second time costs more than a hint saves.
    fn is_bulky(&self) -> bool {
        let keys: usize = self.records.iter().map(|record| record.key.len()).sum();
        keys > self.records.len() * BULKY_KEY
    }

    /// The hint of the segment's first `covered` bytes.
    pub(super) fn finish(self, covered: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD_LEN + self.records.len() * 40);
        out.put_slice(MAGIC);
        out.put_u32_le(self.header.id);
        out.put_u64_le(self.header.salt);
        out.put_u64_le(covered);
        out.put_u32_le(self.records.len() as u32);
        out.put_u32_le(self.ranges.len() as u32);
        out.put_u64_le(self.seq);
        for range in &self.ranges {
            put_varint(&mut out, range.seq);
            put_varint(&mut out, u64::from(range.offset));
            put_varint(&mut out, range.record_len);
            put_bound(&mut out, &range.range.start);
            put_bound(&mut out, &range.range.end);
        }
        for HintRecord { key, version } in sorted(&self.records) {
            out.push(if version.is_put() { PUT } else { TOMBSTONE });
            put_varint(&mut out, version.seq);
            put_varint(&mut out, u64::from(version.offset));
            if let Some(len) = version.value_len() {
                put_varint(&mut out, len as u64);
            }
            put_varint(&mut out, key.len() as u64);
            out.put_slice(key);
        }
        let check = crc32fast::hash(&out);
        out.put_u32_le(check);
        out
    }
}

/// The records by key, sequence number and place.
///
/// The first eight bytes after what all keys begin with stand beside each record: they decide nearly every comparison,
/// and the keys themselves, which lie all over the segment, are not looked at.
fn sorted<'a>(records: &[HintRecord<'a>]) -> impl Iterator<Item = HintRecord<'a>> {
    let first = records.first().map_or(&[][..], |record| record.key);
    let common = records.iter().fold(first.len(), |len, record| {
        let alike = first[..len].iter().zip(record.key);
        alike.take_while(|(a, b)| a == b).count()
    });
    let mut headed: Vec<_> = records
        .iter()
        .map(|record| (head(&record.key[common..]), *record))
        .collect();
    let is_whole = |key: &[u8]| key.len() - common <= size_of::<u64>();
    headed.sort_by(|(a_head, a), (b_head, b)| {
        let by_key = || match is_whole(a.key) && is_whole(b.key) {
            // Alike but for zeros at the end of one.
            true => a.key.len().cmp(&b.key.len()),
            false => a.key.cmp(b.key),
        };
        let by_version =
            || (a.version.seq, a.version.offset).cmp(&(b.version.seq, b.version.offset));
        a_head.cmp(b_head).then_with(by_key).then_with(by_version)
    });
    headed.into_iter().map(|(_, record)| record)
}

/// A hint that passed its checks.
#[derive(Debug)]
pub(super) struct Hint {
    bytes: Vec<u8>,
    segment: u32,
    records: u32,
    /// Where the records start.
    start: usize,
    pub(super) ranges: Vec<HintRange>,
    /// Largest sequence number in the segment.
    pub(super) seq: Seq,
}

impl Hint {
    /// Checks `bytes` against the segment they are said to describe; `None` when they do not describe it exactly.
    pub(super) fn decode(bytes: Vec<u8>, header: &Header, covered: u64) -> Option<Self> {
        let (body, check) = bytes.split_last_chunk::<4>()?;
        if u32::from_le_bytes(*check) != crc32fast::hash(body) || body.len() < HEAD_LEN {
            return None;
        }
        let u32_at = |at: usize| u32::from_le_bytes(body[at..at + 4].try_into().expect("four"));
        let u64_at = |at: usize| u64::from_le_bytes(body[at..at + 8].try_into().expect("eight"));
        let describes = &body[..8] == MAGIC
            && u32_at(8) == header.id
            && u64_at(12) == header.salt
            && u64_at(20) == covered;
        if !describes {
            return None;
        }
        let (records, range_count, seq) = (u32_at(28), u32_at(32), u64_at(36));
        let mut cursor = Cursor {
            bytes: body,
            position: HEAD_LEN,
        };
        let mut ranges = Vec::new();
        for _ in 0..range_count {
            ranges.push(HintRange {
                seq: cursor.varint()?,
                segment: header.id,
                offset: u32::try_from(cursor.varint()?).ok()?,
                record_len: cursor.varint()?,
                range: KeyRange {
                    start: take_bound(&mut cursor)?,
                    end: take_bound(&mut cursor)?,
                },
            });
        }
        let start = cursor.position;
        Some(Self {
            bytes,
            segment: header.id,
            records,
            start,
            ranges,
            seq,
        })
    }

    /// The point records, by key and then by position in the log.
    pub(super) fn records(&self) -> HintRecords<'_> {
        let cursor = Cursor {
            bytes: &self.bytes,
            position: self.start,
        };
        HintRecords {
            cursor,
            segment: self.segment,
            left: self.records,
        }
    }
}

#[derive(Debug)]
pub(super) struct HintRecords<'a> {
    cursor: Cursor<'a>,
    segment: u32,
    left: u32,
}

impl<'a> HintRecords<'a> {
    fn decode(&mut self) -> Option<HintRecord<'a>> {
        let tag = self.cursor.byte()?;
        let seq = self.cursor.varint()?;
        let offset = u32::try_from(self.cursor.varint()?).ok()?;
        let version = match tag {
            PUT => {
                let len = u32::try_from(self.cursor.varint()?).ok()?;
                // The largest numbers mean deletions in the index; no value is that long.
                let len = Some(len).filter(|&len| len < u32::MAX - 1)?;
                Version::put(seq, self.segment, offset, len)
            }
            _ => Version::tombstone(seq, self.segment, offset),
        };
        let key_len = self.cursor.varint()?;
        Some(HintRecord {
            key: self.cursor.take(key_len)?,
            version,
        })
    }
}

impl<'a> Iterator for HintRecords<'a> {
    type Item = HintRecord<'a>;

    fn next(&mut self) -> Option<HintRecord<'a>> {
        self.left = self.left.checked_sub(1)?;
        self.decode()
    }
}

/// The salt of segment `id`, as an undamaged hint of it has it.
pub(super) fn salt_of(bytes: &[u8], id: u32) -> Option<u64> {
    let (body, check) = bytes.split_last_chunk::<4>()?;
    let is_sound = u32::from_le_bytes(*check) == crc32fast::hash(body) && body.len() >= HEAD_LEN;
    let describes = is_sound && &body[..8] == MAGIC && body[8..12] == id.to_le_bytes();
    describes.then(|| u64::from_le_bytes(body[12..20].try_into().expect("eight bytes")))
}

/// For fuzzing: decodes `bytes` as a hint of the segment that it names itself, after giving it the checksum that it
/// should have. Returns how many records and ranges it holds.
pub fn decode_any(mut bytes: Vec<u8>) -> Option<(usize, usize)> {
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    let id = u32::from_le_bytes(bytes.get(8..12)?.try_into().expect("four bytes"));
    let covered = u64::from_le_bytes(bytes.get(20..28)?.try_into().expect("eight bytes"));
    let header = Header {
        kind: super::format::SegmentKind::Log,
        id,
        salt: salt_of(&bytes, id)?,
    };
    let hint = Hint::decode(bytes, &header, covered)?;
    Some((hint.records().count(), hint.ranges.len()))
}

/// Writes the hint of a sealed segment, if it is worth one.
pub(super) fn write_hint(files: &dyn FileSystem, segment: &Segment) -> Result<()> {
    match encode_hint(segment)? {
        Some(hint) => store_hint(files, segment, &hint),
        None => Ok(()),
    }
}

/// Reads a sealed segment back, checks all of it, and returns its hint if that is worth its space.
pub(super) fn encode_hint(segment: &Segment) -> Result<Option<Vec<u8>>> {
    let bytes = segment.read_all()?;
    let mut builder = HintBuilder::new(segment.header);
    let scan = segment::scan(&bytes, &segment.header, false, |frame| {
        builder.add_frame(&frame);
    });
    if let Some(damage) = scan.damage {
        return Err(Error::corrupt(&segment.path, damage.offset, damage.what));
    }
    Ok((!builder.is_bulky()).then(|| builder.finish(scan.end)))
}

/// Makes `hint` the hint of the segment.
pub(super) fn store_hint(files: &dyn FileSystem, segment: &Segment, hint: &[u8]) -> Result<()> {
    let path = hint_path(&segment.path);
    let temporary = path.with_extension("tmp");
    let file = files.create(&temporary)?;
    let written = file.write_all_at(hint, 0);
    written.inspect_err(|_| {
        // On a full disk the part that fitted is worth more to others.
        let _ = files.remove(&temporary);
    })?;
    // Not synced: a hint that did not reach the disk fails its checksum and is not used.
    files.rename(&temporary, &path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_in_the_order_of_their_keys_whatever_these_have_in_common() {
        for prefix in [&b""[..], b"user:00000000:"] {
            let mut keys = Vec::new();
            for tail in [
                &b""[..],
                b"a",
                b"a\0",
                b"a\0\0",
                b"ab",
                b"12345678",
                b"12345678\0",
                b"123456789",
                b"123456780",
                b"\xff",
                b"\0",
            ] {
                keys.push([prefix, tail].concat());
            }
            let records: Vec<_> = (0..44)
                .map(|number| HintRecord {
                    key: &keys[number * 7 % keys.len()],
                    version: Version::put(100 - number as u64, 1, number as u32, 1),
                })
                .collect();
            let place = |record: &HintRecord<'_>| {
                (
                    record.key.to_vec(),
                    record.version.seq,
                    record.version.offset,
                )
            };
            let found: Vec<_> = sorted(&records).map(|record| place(&record)).collect();
            let mut expected: Vec<_> = records.iter().map(place).collect();
            expected.sort();
            assert_eq!(found, expected);
        }
        assert_eq!(sorted(&[]).count(), 0);
    }
}
