//! Reading a segment back: its frames, what stands between them, and whether a crash explains that.

use super::Layout;
use super::frame::{FrameError, RawFrame};
use super::segment::HEADER_LEN;

/// Bytes that are no frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Offset of the first bad frame.
    pub offset: u64,
    /// What does not hold there.
    pub what: String,
    /// The furthest point that an intact frame of the segment, before or after the damage, says was durable.
    pub durable: u64,
}

impl Damage {
    /// Whether a crash can explain it: nobody was told that these bytes are durable. Blocks that were not synced reach
    /// the disk in any order, so intact frames may follow.
    pub fn is_torn_tail(&self) -> bool {
        self.durable <= self.offset
    }
}

/// What a segment is made of.
#[derive(Debug)]
pub enum Piece<'a, T> {
    /// An intact frame.
    Frame {
        /// Header and payload.
        raw: RawFrame<'a>,
        /// What the format made of it.
        content: T,
    },
    /// Bytes up to the next intact frame, or the end.
    Bad {
        /// Where they begin in the segment.
        offset: u64,
        /// How many there are.
        bytes: u64,
        /// What does not hold at the first of them.
        what: String,
    },
}

/// Iterator over the pieces of a segment, in order and without gaps.
#[derive(Debug)]
pub struct Pieces<'a, T, A> {
    bytes: &'a [u8],
    layout: &'a Layout,
    salt: u64,
    position: usize,
    accept: A,
    /// An intact frame at `position` that the search behind bad bytes has met.
    ahead: Option<(RawFrame<'a>, T)>,
}

impl<'a, T, A> Pieces<'a, T, A>
where
    A: FnMut(RawFrame<'a>) -> Result<T, String>,
{
    /// Walks `bytes`, a whole segment whose header has `salt`. `accept` decodes the payload of a frame or says in words
    /// why that is none after all.
    pub fn new(bytes: &'a [u8], layout: &'a Layout, salt: u64, accept: A) -> Self {
        Self {
            bytes,
            layout,
            salt,
            position: HEADER_LEN,
            accept,
            ahead: None,
        }
    }

    fn intact_at(&mut self, position: usize) -> Result<(RawFrame<'a>, T), String> {
        let bytes = &self.bytes[position..];
        let raw =
            RawFrame::decode(bytes, self.layout, self.salt, position as u64).map_err(|error| {
                match error {
                    FrameError::Short => "the file ends within a frame".to_owned(),
                    FrameError::Bad(what) => what.to_owned(),
                }
            })?;
        Ok((raw, (self.accept)(raw)?))
    }

    fn frame(&mut self, (raw, content): (RawFrame<'a>, T)) -> Piece<'a, T> {
        self.position += raw.frame_len();
        Piece::Frame { raw, content }
    }
}

impl<'a, T, A> Iterator for Pieces<'a, T, A>
where
    A: FnMut(RawFrame<'a>) -> Result<T, String>,
{
    type Item = Piece<'a, T>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(ahead) = self.ahead.take() {
            return Some(self.frame(ahead));
        }
        if self.position >= self.bytes.len() {
            return None;
        }
        let start = self.position;
        let what = match self.intact_at(start) {
            Ok(found) => return Some(self.frame(found)),
            Err(what) => what,
        };
        self.position += 1;
        while self.position < self.bytes.len() {
            if let Ok(found) = self.intact_at(self.position) {
                self.ahead = Some(found);
                break;
            }
            self.position += 1;
        }
        Some(Piece::Bad {
            offset: start as u64,
            bytes: (self.position - start) as u64,
            what,
        })
    }
}

/// The segments that may lack a footer: the last with frames, and empty ones created ahead of it. Takes id and length of
/// each segment by ascending id.
pub fn tail_candidates(segments: impl DoubleEndedIterator<Item = (u32, u64)>) -> Vec<u32> {
    let mut tails = Vec::new();
    for (id, len) in segments.rev() {
        tails.insert(0, id);
        if len > HEADER_LEN as u64 {
            break;
        }
    }
    tails
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{FOOTER, FRAME_LEN, FrameHead, begin_frame, finish_frame, footer};

    const LAYOUT: Layout = Layout {
        magic: *b"KPTESTS",
        format: 1,
        owner: "a test",
        segment_kinds: b"T",
        frame_kinds: &[b'X', FOOTER],
    };
    const SALT: u64 = 7;

    fn push(segment: &mut Vec<u8>, payload: &[u8], durable: u64) {
        let mut frame = begin_frame(Vec::new());
        frame.extend_from_slice(payload);
        let head = FrameHead {
            kind: b'X',
            count: 1,
            seq: 1,
            durable,
        };
        let frame = finish_frame(frame, head, SALT, segment.len() as u64);
        segment.extend_from_slice(&frame);
    }

    /// Three frames of 34 bytes and a footer.
    fn segment() -> Vec<u8> {
        let mut segment = vec![0; HEADER_LEN];
        for (payload, durable) in [(b"ab", 32), (b"cd", 66), (b"ef", 66)] {
            push(&mut segment, payload, durable);
        }
        let end = segment.len() as u64;
        segment.extend_from_slice(&footer(SALT, end, 3));
        segment
    }

    /// Kind, offset and length of each piece.
    fn pieces(bytes: &[u8], refused: &[u8]) -> Vec<(char, u64, u64)> {
        let accept = |raw: RawFrame<'_>| match raw.payload == refused {
            true => Err("it is refused".to_owned()),
            false => Ok(raw.head.kind),
        };
        let pieces = Pieces::new(bytes, &LAYOUT, SALT, accept);
        pieces
            .map(|piece| match piece {
                Piece::Frame { raw, content } => {
                    (char::from(content), raw.offset, raw.frame_len() as u64)
                }
                Piece::Bad { offset, bytes, .. } => ('-', offset, bytes),
            })
            .collect()
    }

    #[test]
    fn the_pieces_of_a_segment_follow_each_other_whatever_stands_between_its_frames() {
        let whole = segment();
        let sound = [('X', 32, 34), ('X', 66, 34), ('X', 100, 34), ('F', 134, 32)];
        assert_eq!(pieces(&whole, b"?"), sound);
        // A frame that the format refuses is as bad as one that is damaged.
        let refused = [('X', 32, 34), ('-', 66, 34), ('X', 100, 34), ('F', 134, 32)];
        assert_eq!(pieces(&whole, b"cd"), refused);
        let mut damaged = whole.clone();
        damaged[66 + FRAME_LEN] ^= 1;
        assert_eq!(pieces(&damaged, b"?"), refused);
        damaged[32] ^= 1;
        assert_eq!(
            pieces(&damaged, b"?"),
            [('-', 32, 68), ('X', 100, 34), ('F', 134, 32)]
        );
        assert_eq!(
            pieces(&whole[..133], b"?"),
            [('X', 32, 34), ('X', 66, 34), ('-', 100, 33)]
        );
        assert_eq!(pieces(&whole[..HEADER_LEN], b"?"), []);
    }

    #[test]
    fn damage_is_a_torn_tail_only_at_or_above_the_durable_point() {
        let damage = |offset| Damage {
            offset,
            what: String::new(),
            durable: 66,
        };
        assert!(!damage(65).is_torn_tail());
        assert!(damage(66).is_torn_tail());
    }

    #[test]
    fn the_last_segment_with_frames_and_empty_ones_behind_it_may_lack_a_footer() {
        let candidates = |lens: &[u64]| {
            tail_candidates(
                (1..)
                    .zip(lens.iter().copied())
                    .collect::<Vec<_>>()
                    .into_iter(),
            )
        };
        assert_eq!(candidates(&[100, 32, 100, 32, 32]), [3, 4, 5]);
        assert_eq!(candidates(&[32, 32]), [1, 2]);
        assert_eq!(candidates(&[100]), [1]);
        assert_eq!(candidates(&[]), [0; 0]);
    }
}
