//! One walk over the frames of a segment: what is intact, and what stands between.

use std::path::Path;

use super::format::{self, CHECK_LEN, Change, Frame, FrameKind, HEADER_LEN, Header};
use super::hint::HintBuilder;
use super::segment::ScanEnd;
use super::verify::{Finding, FindingKind};
use crate::Seq;

/// Collects what the frames of a segment tell.
pub(super) struct Walk<'a> {
    bytes: &'a [u8],
    pub(super) builder: HintBuilder<'a>,
    /// End of the last intact frame.
    end: u64,
    last_batch: Option<Seq>,
    pub(super) frames: u64,
    pub(super) records: u64,
    pub(super) footer: bool,
    gaps: Vec<Gap>,
    /// Offset, length and key of values whose checksum does not match.
    bad_values: Vec<(u64, u64, String)>,
}

/// Bytes that are no frame.
struct Gap {
    offset: u64,
    bytes: u64,
    batches: Option<u64>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(bytes: &'a [u8], header: Header) -> Self {
        Self {
            bytes,
            builder: HintBuilder::new(header),
            end: HEADER_LEN as u64,
            last_batch: None,
            frames: 0,
            records: 0,
            footer: false,
            gaps: Vec::new(),
            bad_values: Vec::new(),
        }
    }

    pub(super) fn frame(&mut self, frame: &Frame<'a>) {
        let batch = (frame.kind == FrameKind::Batch).then_some(frame.seq);
        if frame.offset > self.end {
            // Batches are numbered without gaps.
            let between = self.last_batch.zip(batch);
            self.gaps.push(Gap {
                offset: self.end,
                bytes: frame.offset - self.end,
                batches: between.and_then(|(last, next)| next.checked_sub(last + 1)),
            });
        }
        self.end = frame.offset + frame.frame_len() as u64;
        self.last_batch = batch.or(self.last_batch);
        self.footer = frame.kind == FrameKind::Footer;
        self.frames += 1;
        self.builder.add_frame(frame);
        for placed in frame.records().map_while(std::result::Result::ok) {
            self.records += 1;
            if let Change::Put { key, value } = placed.record.change
                && !value_is_sound(self.bytes, placed.value_offset, key, value)
            {
                let key = key.escape_ascii().to_string();
                self.bad_values.push((placed.offset, placed.len, key));
            }
        }
    }

    pub(super) fn end(&mut self) {
        let len = self.bytes.len() as u64;
        if len > self.end {
            self.footer = false;
            self.gaps.push(Gap {
                offset: self.end,
                bytes: len - self.end,
                batches: None,
            });
        }
    }

    /// What is damaged below `until`.
    pub(super) fn findings(&self, path: &Path, scan: &ScanEnd, until: u64) -> Vec<Finding> {
        let first = scan.damage.as_ref().map(|damage| damage.what.as_str());
        let gaps = self.gaps.iter().enumerate().map(|(at, gap)| Finding {
            kind: FindingKind::Frames,
            path: path.to_owned(),
            offset: gap.offset,
            bytes: gap.bytes,
            batches: gap.batches,
            what: first
                .filter(|_| at == 0)
                .unwrap_or("no frame starts here")
                .to_owned(),
        });
        let values = self.bad_values.iter().map(|(offset, bytes, key)| Finding {
            kind: FindingKind::Value,
            path: path.to_owned(),
            offset: *offset,
            bytes: *bytes,
            batches: None,
            what: format!("the checksum of the value of key \"{key}\" does not match"),
        });
        gaps.chain(values)
            .filter(|finding| finding.offset < until)
            .collect()
    }
}

/// Whether the checksum behind the value at `offset` is that of `key` and `value`.
pub(super) fn value_is_sound(bytes: &[u8], offset: u64, key: &[u8], value: &[u8]) -> bool {
    let end = offset as usize + value.len();
    bytes.get(end..end + CHECK_LEN) == Some(&format::value_check(key, value).to_le_bytes())
}
