//! The header that makes bytes a frame, and its checksums.

use super::Layout;

/// Length of a frame's header in bytes.
pub const FRAME_LEN: usize = 32;
/// Kind of the frame that ends a complete segment: no payload, everything before is durable.
pub const FOOTER: u8 = b'F';

/// What the header of a frame says beside its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHead {
    /// What the frame holds, one of [`Layout::frame_kinds`].
    pub kind: u8,
    /// Number of records.
    pub count: u32,
    /// Position in the order of all frames, as the format counts it.
    pub seq: u64,
    /// Offset in this segment up to which the log was known durable when the frame was encoded.
    pub durable: u64,
}

/// A frame with its place: header and payload are intact, what the payload says is not yet looked at.
#[derive(Debug, Clone, Copy)]
pub struct RawFrame<'a> {
    /// The header.
    pub head: FrameHead,
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

impl<'a> RawFrame<'a> {
    /// Length in bytes, header included.
    pub fn frame_len(&self) -> usize {
        FRAME_LEN + self.payload.len()
    }

    /// Offset of what follows in the segment.
    pub fn end(&self) -> u64 {
        self.offset + self.frame_len() as u64
    }

    /// Decodes the frame at the start of `bytes`, which stand at `offset` of the segment with `salt`. Allocates nothing.
    ///
    /// # Errors
    /// [`FrameError`] when no intact frame starts there.
    pub fn decode(
        bytes: &'a [u8],
        layout: &Layout,
        salt: u64,
        offset: u64,
    ) -> Result<Self, FrameError> {
        let header = bytes.first_chunk::<FRAME_LEN>().ok_or(FrameError::Short)?;
        if !layout.frame_kinds.contains(&header[4]) {
            return Err(FrameError::Bad("no frame starts here"));
        }
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
        let head = FrameHead {
            kind: header[4],
            count: u32_at(header, 12),
            seq: u64_at(header, 16),
            durable: u64_at(header, 24),
        };
        Ok(Self {
            head,
            offset,
            payload,
        })
    }
}

/// Begins a frame in `buffer`, whose content is dropped and whose memory is used: room for the header, behind which
/// the payload is to be appended.
pub fn begin_frame(mut buffer: Vec<u8>) -> Vec<u8> {
    buffer.clear();
    buffer.extend_from_slice(&[0; FRAME_LEN]);
    buffer
}

/// Completes a frame that [`begin_frame`] began, to stand at `offset` of the segment with `salt`.
///
/// # Panics
/// With a payload of 4 GiB or more: formats limit what goes into one frame.
pub fn finish_frame(mut frame: Vec<u8>, head: FrameHead, salt: u64, offset: u64) -> Vec<u8> {
    let (header, payload) = frame.split_at_mut(FRAME_LEN);
    header[4] = head.kind;
    let payload_len = u32::try_from(payload.len()).expect("formats limit a frame to 1 GiB");
    header[8..12].copy_from_slice(&payload_len.to_le_bytes());
    header[12..16].copy_from_slice(&head.count.to_le_bytes());
    header[16..24].copy_from_slice(&head.seq.to_le_bytes());
    header[24..32].copy_from_slice(&head.durable.to_le_bytes());
    let check = header_check(salt, offset, header);
    header[5..8].copy_from_slice(&check);
    let check = frame_check(salt, offset, &header[4..], payload);
    header[..4].copy_from_slice(&check.to_le_bytes());
    frame
}

/// The bytes of a footer at `offset`, everything before which is durable.
pub fn footer(salt: u64, offset: u64, seq: u64) -> Vec<u8> {
    let head = FrameHead {
        kind: FOOTER,
        count: 0,
        seq,
        durable: offset,
    };
    finish_frame(
        begin_frame(Vec::with_capacity(FRAME_LEN)),
        head,
        salt,
        offset,
    )
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

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}
