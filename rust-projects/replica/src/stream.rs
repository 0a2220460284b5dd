//! The bytes of a snapshot on their way to another server, or in a backup: the state in pieces that are checked one by one.
//!
//! # What it guarantees
//!
//! [`Decoder`] hands out a pair only if the chunks it came in were not changed, and [`Decoder::finish`] succeeds only if all pairs came, each once and in order.
//! Neither side holds more than a chunk and the pair at hand.
//!
//! # What it does not
//!
//! Checksums are against accidents, not against intent. A pair that was handed out says nothing of those that follow: whoever takes them keeps them
//! apart until the end.
//!
//! # How it works
//!
//! ```text
//!   head | chunk 0 | chunk 1 | ... | last chunk
//!
//!   head    "KPSNAP" version format                           8 bytes
//!   chunk   check u32 | length u32 | kind u8 | payload        check: CRC-32 over the chunk's number (u64), then all behind the check
//!           kind 1: a piece of all pairs, one after another    key length u32, key, value length u32, value
//!           kind 2: the end                                    pairs u64, bytes of all pieces u64, CRC-32 of all pieces u32
//! ```

use bytes::{Buf, BufMut, Bytes, BytesMut};
use storage::Entries;

use crate::codec::put_bytes;
use crate::machine::{FORMAT, MachineError};

const MAGIC: &[u8; 6] = b"KPSNAP";
/// Of these bytes; the state in them has [`FORMAT`].
const VERSION: u8 = 1;
const HEAD_BYTES: usize = 8;
const CHUNK_HEAD_BYTES: usize = 9;
/// Bytes of pairs in a chunk.
pub const CHUNK_BYTES: usize = 256 << 10;
/// The largest that is taken.
const MAX_CHUNK_BYTES: usize = 4 << 20;
const DATA: u8 = 1;
const END: u8 = 2;

/// What came is not a snapshot that this version can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// It does not begin like one.
    #[error("this is not a snapshot of a replicated store")]
    NoSnapshot,
    /// Another version wrote it.
    #[error(
        "the snapshot has version {version} with a state of format {format}; this version knows {VERSION} with {FORMAT}"
    )]
    Foreign {
        /// Of the bytes.
        version: u8,
        /// Of the state in them.
        format: u8,
    },
    /// A chunk was changed, or is not in its place.
    #[error("chunk {0} of the snapshot is damaged or out of order")]
    Damaged(u64),
    /// The end is missing.
    #[error("the snapshot ends early, in chunk {0}")]
    Short(u64),
    /// The end does not fit what came before, or something follows it.
    #[error("the snapshot's end does not fit what came before it")]
    Miscounted,
    /// It is the state as of another entry than was said, or of none.
    #[error("the snapshot does not hold the state that was announced")]
    Other,
}

/// What the end says.
#[derive(Clone, Debug, Default)]
struct Totals {
    pairs: u64,
    bytes: u64,
    check: crc32fast::Hasher,
}

impl Totals {
    fn add(&mut self, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        self.check.update(piece);
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.put_u64_le(self.pairs);
        out.put_u64_le(self.bytes);
        out.put_u32_le(self.check.clone().finalize());
        out
    }
}

fn check(number: u64, behind_check: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&number.to_le_bytes());
    hasher.update(behind_check);
    hasher.finalize()
}

enum Stage {
    Head,
    Data,
    Ended,
}

/// Gives the head, then one chunk after another, from pairs that it asks for as they are needed.
pub struct Encoder<'a> {
    pairs: Entries<'a>,
    chunk_bytes: usize,
    /// Bytes of pairs that are in no chunk yet.
    waiting: BytesMut,
    next: u64,
    totals: Totals,
    stage: Stage,
}

impl std::fmt::Debug for Encoder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder")
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

impl<'a> Encoder<'a> {
    /// Chunks of so many bytes of pairs, 1 to [`CHUNK_BYTES`].
    pub(crate) fn new(pairs: Entries<'a>, chunk_bytes: usize) -> Self {
        Self {
            pairs,
            chunk_bytes: chunk_bytes.clamp(1, CHUNK_BYTES),
            waiting: BytesMut::new(),
            next: 0,
            totals: Totals::default(),
            stage: Stage::Head,
        }
    }

    fn head() -> Bytes {
        let mut out = MAGIC.to_vec();
        out.extend([VERSION, FORMAT]);
        out.into()
    }

    fn chunk(&mut self, kind: u8, payload: &[u8]) -> Bytes {
        let mut out = Vec::with_capacity(CHUNK_HEAD_BYTES + payload.len());
        out.put_u32_le(0);
        let len = u32::try_from(payload.len()).expect("chunks are bounded far below 4 GiB");
        out.put_u32_le(len);
        out.put_u8(kind);
        out.put_slice(payload);
        let check = check(self.next, &out[4..]);
        out[..4].copy_from_slice(&check.to_le_bytes());
        self.next += 1;
        out.into()
    }

    fn next_chunk(&mut self) -> Result<Bytes, MachineError> {
        while self.waiting.len() < self.chunk_bytes
            && let Some(pair) = self.pairs.next()
        {
            let (key, value) = pair?;
            put_bytes(&mut self.waiting, &key);
            put_bytes(&mut self.waiting, &value);
            self.totals.pairs += 1;
        }
        if self.waiting.is_empty() {
            self.stage = Stage::Ended;
            let totals = self.totals.encode();
            return Ok(self.chunk(END, &totals));
        }
        let len = self.waiting.len().min(self.chunk_bytes);
        let piece = self.waiting.split_to(len);
        self.totals.add(&piece);
        Ok(self.chunk(DATA, &piece))
    }
}

impl Iterator for Encoder<'_> {
    type Item = Result<Bytes, MachineError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.stage {
            Stage::Head => {
                self.stage = Stage::Data;
                Some(Ok(Self::head()))
            }
            Stage::Data => {
                let chunk = self.next_chunk();
                if chunk.is_err() {
                    self.stage = Stage::Ended;
                }
                Some(chunk)
            }
            Stage::Ended => None,
        }
    }
}

/// Takes what [`Encoder`] gave, cut in any way.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    has_head: bool,
    /// What came of a head or chunk that is not complete.
    held: BytesMut,
    /// What came of a pair that is not complete.
    waiting: BytesMut,
    next: u64,
    totals: Totals,
    has_ended: bool,
}

impl Decoder {
    /// Takes the next bytes, and hands each pair that they complete to `pair`.
    ///
    /// # Errors
    /// [`StreamError`], and that of `pair`: nothing more may be fed.
    pub(crate) fn feed<E: From<StreamError>>(
        &mut self,
        bytes: &[u8],
        mut pair: impl FnMut(Bytes, Bytes) -> Result<(), E>,
    ) -> Result<(), E> {
        self.held.extend_from_slice(bytes);
        if !self.has_head {
            if self.held.len() < HEAD_BYTES {
                return Ok(());
            }
            read_head(&self.held.split_to(HEAD_BYTES))?;
            self.has_head = true;
        }
        while let Some((kind, payload)) = self.next_chunk()? {
            if kind == END {
                self.end(&payload)?;
                continue;
            }
            self.totals.add(&payload);
            self.waiting.unsplit(payload);
            while let Some((key, value)) = self.next_pair() {
                self.totals.pairs += 1;
                pair(key, value)?;
            }
        }
        Ok(())
    }

    fn next_chunk(&mut self) -> Result<Option<(u8, BytesMut)>, StreamError> {
        let damaged = StreamError::Damaged(self.next);
        if self.has_ended && !self.held.is_empty() {
            return Err(StreamError::Miscounted);
        }
        if self.held.len() < CHUNK_HEAD_BYTES {
            return Ok(None);
        }
        let mut head = &self.held[..CHUNK_HEAD_BYTES];
        let (found, len, kind) = (head.get_u32_le(), head.get_u32_le(), head.get_u8());
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        if len > MAX_CHUNK_BYTES || !matches!(kind, DATA | END) {
            return Err(damaged);
        }
        if self.held.len() < CHUNK_HEAD_BYTES + len {
            return Ok(None);
        }
        let mut chunk = self.held.split_to(CHUNK_HEAD_BYTES + len);
        if check(self.next, &chunk[4..]) != found {
            return Err(damaged);
        }
        self.next += 1;
        chunk.advance(CHUNK_HEAD_BYTES);
        Ok(Some((kind, chunk)))
    }

    fn next_pair(&mut self) -> Option<(Bytes, Bytes)> {
        let len_at = |at: usize| -> Option<usize> {
            let bytes = self.waiting.get(at..)?.first_chunk()?;
            usize::try_from(u32::from_le_bytes(*bytes)).ok()
        };
        let key = len_at(0)?;
        let value = len_at(4_usize.checked_add(key)?)?;
        if self.waiting.len() < 8_usize.checked_add(key)?.checked_add(value)? {
            return None;
        }
        let mut take = |len| {
            self.waiting.advance(4);
            self.waiting.split_to(len).freeze()
        };
        Some((take(key), take(value)))
    }

    fn end(&mut self, payload: &[u8]) -> Result<(), StreamError> {
        if payload != self.totals.encode() || !self.waiting.is_empty() {
            return Err(StreamError::Miscounted);
        }
        self.has_ended = true;
        Ok(())
    }

    /// All of it came.
    ///
    /// # Errors
    /// [`StreamError`]: it did not.
    pub(crate) fn finish(self) -> Result<(), StreamError> {
        match self.has_ended {
            true => Ok(()),
            false => Err(StreamError::Short(self.next)),
        }
    }
}

/// Looks whether what comes is a whole snapshot, and keeps nothing of it.
#[derive(Debug, Default)]
pub struct SnapshotCheck(Decoder);

impl SnapshotCheck {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`StreamError`]: it is none, or damaged.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), StreamError> {
        self.0.feed(bytes, |_, _| Ok(()))
    }

    /// All of it came.
    ///
    /// # Errors
    /// [`StreamError`]: it did not.
    pub fn finish(self) -> Result<(), StreamError> {
        self.0.finish()
    }
}

fn read_head(head: &[u8]) -> Result<(), StreamError> {
    match head {
        [magic @ .., VERSION, FORMAT] if magic == MAGIC => Ok(()),
        [magic @ .., version, format] if magic == MAGIC => Err(StreamError::Foreign {
            version: *version,
            format: *format,
        }),
        _ => Err(StreamError::NoSnapshot),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // clippy exempts test functions only, not their helpers
mod tests {
    use super::*;

    type Pairs = Vec<(Bytes, Bytes)>;

    fn pairs(count: u8) -> Pairs {
        let pair = |number: u8| {
            let value = vec![number; usize::from(number) * 7 % 60];
            (Bytes::from(vec![number]), Bytes::from(value))
        };
        (0..count).map(pair).collect()
    }

    fn chunks(pairs: &Pairs, chunk_bytes: usize) -> Vec<Bytes> {
        let entries = pairs.clone().into_iter().map(Ok);
        let encoder = Encoder::new(Box::new(entries), chunk_bytes);
        encoder.map(Result::unwrap).collect()
    }

    fn decode(bytes: &[u8], piece: usize) -> Result<Pairs, StreamError> {
        let (mut decoder, mut found) = (Decoder::default(), Vec::new());
        for piece in bytes.chunks(piece) {
            decoder.feed(piece, |key, value| {
                found.push((key, value));
                Ok::<_, StreamError>(())
            })?;
        }
        decoder.finish().map(|()| found)
    }

    #[test]
    fn pairs_come_out_as_they_went_in_however_they_were_cut() {
        for count in [0, 1, 30] {
            let pairs = pairs(count);
            for chunk_bytes in [1, 7, 64, CHUNK_BYTES] {
                let bytes = chunks(&pairs, chunk_bytes).concat();
                for piece in [1, 5, 1000, usize::MAX] {
                    assert_eq!(decode(&bytes, piece).as_ref(), Ok(&pairs));
                }
            }
        }
    }

    #[test]
    fn a_chunk_is_asked_for_before_the_pairs_in_it_are() {
        let asked = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let count = std::sync::Arc::clone(&asked);
        let entries = (0..1000).map(move |_| {
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Ok((Bytes::from_static(b"key"), Bytes::from(vec![0; 100])))
        });
        let mut encoder = Encoder::new(Box::new(entries), 1000);
        for chunk in 0..5 {
            let most = 10 * chunk;
            assert!(asked.load(std::sync::atomic::Ordering::Relaxed) <= most);
            encoder.next().unwrap().unwrap();
        }
    }

    #[test]
    fn a_snapshot_that_is_cut_anywhere_is_none() {
        let bytes = chunks(&pairs(12), 50).concat();
        for cut in 0..bytes.len() {
            assert!(decode(&bytes[..cut], usize::MAX).is_err(), "cut at {cut}");
        }
        let longer = [&bytes[..], b"x"].concat();
        assert_eq!(decode(&longer, 1), Err(StreamError::Miscounted));
    }

    #[test]
    fn a_flipped_bit_is_noticed_wherever_it_is_and_no_changed_pair_is_handed_out() {
        let pairs = pairs(12);
        let bytes = chunks(&pairs, 50).concat();
        for bit in 0..8 * bytes.len() {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let mut decoder = Decoder::default();
            let mut expected = pairs.iter();
            let fed = decoder.feed(&flipped, |key, value| {
                assert_eq!(expected.next(), Some(&(key, value)));
                Ok::<_, StreamError>(())
            });
            let whole = fed.and_then(|()| decoder.finish());
            assert!(whole.is_err(), "bit {bit}");
        }
    }

    #[test]
    fn chunks_that_are_left_out_repeated_or_exchanged_are_noticed() {
        let chunks = chunks(&pairs(12), 50);
        assert!(chunks.len() > 5);
        for at in 1..chunks.len() - 1 {
            let (mut left_out, mut repeated, mut exchanged) =
                (chunks.clone(), chunks.clone(), chunks.clone());
            left_out.remove(at);
            repeated.insert(at, chunks[at].clone());
            exchanged.swap(at, at + 1);
            for changed in [left_out, repeated, exchanged] {
                assert!(decode(&changed.concat(), usize::MAX).is_err(), "{at}");
            }
        }
    }

    #[test]
    fn what_another_version_wrote_is_refused_by_name() {
        let bytes = chunks(&pairs(3), 50).concat();
        for (at, (version, format)) in [(6, (9, FORMAT)), (7, (VERSION, 9))] {
            let mut foreign = bytes.clone();
            foreign[at] = 9;
            let expected = StreamError::Foreign { version, format };
            assert_eq!(decode(&foreign, 3), Err(expected));
        }
        assert_eq!(decode(b"something else", 3), Err(StreamError::NoSnapshot));
    }

    #[test]
    fn a_length_that_nobody_writes_is_damage_and_takes_no_memory() {
        let mut bytes = chunks(&pairs(1), 50)[0].to_vec();
        bytes.extend([0, 0, 0, 0, 255, 255, 255, 255, DATA]);
        assert_eq!(decode(&bytes, 3), Err(StreamError::Damaged(0)));
    }
}
