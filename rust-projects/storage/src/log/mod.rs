//! The log on disk that formats share: segments of checksummed frames, and which of their bytes count after a crash.
//!
//! # What it is
//!
//! A directory of numbered segments, each a header and frames back to back. [`crate::kvs`] keeps its data in one, and so
//! does the Raft log. They differ in what a frame's payload means and in the constants of a [`Layout`].
//!
//! # What it guarantees
//!
//! - A frame decodes only at the offset and in the segment it was written for: its checksum covers the segment's random
//!   salt and its own offset, so a payload that contains the bytes of a frame is never taken for one.
//! - Corruption is not taken for a torn tail, nor the other way round: each frame records up to where its segment was
//!   known durable when it was encoded ([`Damage::is_torn_tail`]).
//! - A segment is durable under its name, with header and reserved space, before a frame goes in ([`create_segment`]).
//!
//! # What it does not
//!
//! It decides nothing: when to sync, when to begin the next segment, and what damage means to whoever reads, is theirs.
//!
//! # How it works
//!
//! ```text
//!   [header | frame | frame | ##### | frame | ###]
//!    salt              |        |       |      '- at or above every durable point: a torn tail, cut
//!                      |        |       '- durable = here: everything before was on the disk
//!                      |        '- below it: damage
//!                      '- [check | kind | header check | length | count | seq | durable | payload]
//! ```

mod codec;
mod frame;
mod segment;
mod tail;

pub use codec::{Cursor, put_varint, varint_len};
pub use frame::{
    FOOTER, FRAME_LEN, FrameError, FrameHead, RawFrame, begin_frame, finish_frame, footer,
};
pub use segment::{
    HEADER_LEN, SegmentHeader, create_segment, salt, segment_id, segment_path, temporary_path,
};
pub use tail::{Damage, Piece, Pieces, tail_candidates};

/// What the formats that share this layer differ in.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// The first bytes of every segment.
    pub magic: [u8; 7],
    /// The newest version of the format that is read, and the one that is written.
    pub format: u32,
    /// Whose segments they are, as errors call it: `the log engine`.
    pub owner: &'static str,
    /// The kinds of segments: byte 7 of the header.
    pub segment_kinds: &'static [u8],
    /// The kinds of frames, [`FOOTER`] among them.
    pub frame_kinds: &'static [u8],
}
