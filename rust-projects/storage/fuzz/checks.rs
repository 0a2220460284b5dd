//! What must hold for any bytes at all. Shared by the fuzz targets and by `tests/hostile_bytes.rs`.

use storage::kvs::decode_hint_for_fuzzing;
use storage::kvs::format::{FRAME_LEN, Frame, FrameKind, HEADER_LEN, Header, SegmentKind};
use storage::kvs::segment::scan;

/// Reads `data` as a segment, or as the frames of one if it has no header, or as the records of one frame.
pub fn segment(data: &[u8]) {
    match Header::decode(data) {
        Ok(header) => frames(data, &header),
        Err(_) => {
            let header = Header {
                kind: SegmentKind::Log,
                id: 1,
                salt: 1,
            };
            frames(&[&header.encode()[..], data].concat(), &header);
        }
    }
    for kind in [FrameKind::Batch, FrameKind::Moved] {
        records(data, kind);
    }
}

/// A frame whose checksums hold over records that are `payload`, and a count that may be wrong.
fn records(payload: &[u8], kind: FrameKind) {
    let frame = Frame {
        kind,
        seq: 1,
        durable: 0,
        count: u32::MAX,
        offset: HEADER_LEN as u64,
        payload,
    };
    let mut end = (HEADER_LEN + FRAME_LEN) as u64;
    for record in frame.records() {
        let Ok(record) = record else { break };
        assert!(record.len > 0, "records of no length would go on for ever");
        assert_eq!(record.offset, end);
        end += record.len;
        assert!(record.value_offset <= end);
    }
    assert!(end <= (HEADER_LEN + FRAME_LEN + payload.len()) as u64);
}

fn frames(bytes: &[u8], header: &Header) {
    let mut run = Vec::new();
    let strict = scan(bytes, header, false, |frame| run.push(extent(&frame)));
    let mut all = Vec::new();
    let salvaged = scan(bytes, header, true, |frame| all.push(extent(&frame)));
    assert_eq!(
        strict, salvaged,
        "where the run ends does not depend on salvage"
    );
    assert!(all.starts_with(&run), "salvage begins with the run");
    let mut end = HEADER_LEN;
    for &(start, frame_end) in &run {
        assert_eq!(start, end, "the run has no gaps");
        end = frame_end;
    }
    assert_eq!(strict.end, end as u64);
    for pair in all.windows(2) {
        assert!(pair[0].1 <= pair[1].0, "frames do not overlap");
    }
    assert!(all.last().is_none_or(|&(_, end)| end <= bytes.len()));
    match &strict.damage {
        None => assert_eq!(end, bytes.len().max(HEADER_LEN)),
        Some(damage) => assert_eq!(damage.offset, strict.end),
    }
}

fn extent(frame: &Frame<'_>) -> (usize, usize) {
    let start = frame.offset as usize;
    (start, start + frame.frame_len())
}

/// Reads `data` as a hint file, with a checksum that holds.
pub fn hint(data: &[u8]) {
    if let Some((records, ranges)) = decode_hint_for_fuzzing(data.to_vec()) {
        // A record takes four bytes at least, a range five.
        assert!(records * 4 + ranges * 5 <= data.len());
    }
}
