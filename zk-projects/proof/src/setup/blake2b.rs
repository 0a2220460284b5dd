//! Blake2b-512 with a state that can be written down and resumed ([RFC 7693]).
//!
//! A `.ptau` keeps, for each contribution, the state of a hash that went over all points, so that the hash can be completed long
//! after the points are gone. Well-kept libraries do not let their state out; everywhere else the one in use is the `blake2`
//! crate's, beside which this is tested.
//!
//! The state's bytes are those of snarkjs 0.7.6: the buffered block of 128 bytes, the eight words of the chain value, bytes
//! compressed so far, bytes in the block, all little-endian.
//!
//! [RFC 7693]: https://www.rfc-editor.org/rfc/rfc7693

use crate::files::ptau::STATE_BYTES;

const BLOCK: usize = 128;

const IV: [u64; 8] = [
    0x6a09_e667_f3bc_c908,
    0xbb67_ae85_84ca_a73b,
    0x3c6e_f372_fe94_f82b,
    0xa54f_f53a_5f1d_36f1,
    0x510e_527f_ade6_82d1,
    0x9b05_688c_2b3e_6c1f,
    0x1f83_d9ab_fb41_bd6b,
    0x5be0_cd19_137e_2179,
];

/// The order of the message's words in each round (RFC 7693, section 2.7); rounds 11 and 12 repeat the first two.
const SIGMA: [[usize; 16]; 10] = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
    [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
    [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
    [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
    [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
    [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
    [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
    [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
    [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
    [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
];

/// A hash in progress.
#[derive(Clone)]
pub(crate) struct Blake2b {
    chain: [u64; 8],
    /// Bytes compressed so far.
    compressed: u64,
    block: [u8; BLOCK],
    /// Bytes in the block. A full block waits for the next byte, because the last one is compressed differently.
    filled: usize,
}

impl Blake2b {
    pub(crate) fn new() -> Self {
        let mut chain = IV;
        // Parameters: 64 bytes out, no key, fanout and depth one.
        chain[0] ^= 0x0101_0040;
        Self {
            chain,
            compressed: 0,
            block: [0; BLOCK],
            filled: 0,
        }
    }

    pub(crate) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.filled == BLOCK {
                self.compressed = self.compressed.wrapping_add(BLOCK as u64);
                self.compress(false);
                self.filled = 0;
            }
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK - self.filled));
            self.block[self.filled..self.filled + now.len()].copy_from_slice(now);
            self.filled += now.len();
            bytes = later;
        }
    }

    pub(crate) fn finish(mut self) -> [u8; 64] {
        self.compressed = self.compressed.wrapping_add(self.filled as u64);
        self.block[self.filled..].fill(0);
        self.compress(true);
        let mut hash = [0; 64];
        for (bytes, word) in hash.chunks_exact_mut(8).zip(self.chain) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        hash
    }

    /// The state as a `.ptau` keeps it. Bytes of the block that are not filled are zero.
    pub(crate) fn suspend(&self) -> [u8; STATE_BYTES] {
        let mut state = [0; STATE_BYTES];
        state[..self.filled].copy_from_slice(&self.block[..self.filled]);
        let counters = [self.compressed, self.filled as u64];
        let words = self.chain.iter().chain(&counters);
        for (bytes, word) in state[BLOCK..].chunks_exact_mut(8).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        state
    }

    /// Goes on from a state. `None` if no hash can have had it: more bytes in the block than fit.
    pub(crate) fn resume(state: &[u8; STATE_BYTES]) -> Option<Self> {
        let mut words = [0; 10];
        for (word, bytes) in words.iter_mut().zip(state[BLOCK..].chunks_exact(8)) {
            *word = u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
        }
        let [chain @ .., compressed, filled] = words;
        let filled = usize::try_from(filled)
            .ok()
            .filter(|filled| *filled <= BLOCK)?;
        let block = state[..BLOCK].try_into().expect("a block");
        Some(Self {
            chain,
            compressed,
            block,
            filled,
        })
    }

    /// RFC 7693, section 3.2.
    fn compress(&mut self, last: bool) {
        let mut message = [0; 16];
        for (word, bytes) in message.iter_mut().zip(self.block.chunks_exact(8)) {
            *word = u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
        }
        let mut v = [0; 16];
        v[..8].copy_from_slice(&self.chain);
        v[8..].copy_from_slice(&IV);
        v[12] ^= self.compressed;
        if last {
            v[14] = !v[14];
        }
        for round in 0..12 {
            let m = |index: usize| message[SIGMA[round % 10][index]];
            mix(&mut v, [0, 4, 8, 12], m(0), m(1));
            mix(&mut v, [1, 5, 9, 13], m(2), m(3));
            mix(&mut v, [2, 6, 10, 14], m(4), m(5));
            mix(&mut v, [3, 7, 11, 15], m(6), m(7));
            mix(&mut v, [0, 5, 10, 15], m(8), m(9));
            mix(&mut v, [1, 6, 11, 12], m(10), m(11));
            mix(&mut v, [2, 7, 8, 13], m(12), m(13));
            mix(&mut v, [3, 4, 9, 14], m(14), m(15));
        }
        for (index, word) in self.chain.iter_mut().enumerate() {
            *word ^= v[index] ^ v[index + 8];
        }
    }
}

/// RFC 7693, section 3.1.
fn mix(v: &mut [u64; 16], [a, b, c, d]: [usize; 4], x: u64, y: u64) {
    v[a] = v[a].wrapping_add(v[b]).wrapping_add(x);
    v[d] = (v[d] ^ v[a]).rotate_right(32);
    v[c] = v[c].wrapping_add(v[d]);
    v[b] = (v[b] ^ v[c]).rotate_right(24);
    v[a] = v[a].wrapping_add(v[b]).wrapping_add(y);
    v[d] = (v[d] ^ v[a]).rotate_right(16);
    v[c] = v[c].wrapping_add(v[d]);
    v[b] = (v[b] ^ v[c]).rotate_right(63);
}

#[cfg(test)]
mod tests {
    use blake2::{Blake2b512, Digest};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_the_hash_of_the_library_wherever_it_was_suspended(
            bytes in prop::collection::vec(any::<u8>(), 0..700),
            cut in 0_usize..700,
        ) {
            let (first, second) = bytes.split_at(cut.min(bytes.len()));
            let mut hash = Blake2b::new();
            hash.update(first);
            let mut hash = Blake2b::resume(&hash.suspend()).unwrap();
            hash.update(second);
            let expected: [u8; 64] = Blake2b512::digest(&bytes).into();
            prop_assert_eq!(hash.finish(), expected);
        }
    }

    #[test]
    fn a_state_with_more_bytes_than_a_block_has_is_refused() {
        let mut state = Blake2b::new().suspend();
        state[BLOCK + 9 * 8] = 129;
        assert!(Blake2b::resume(&state).is_none());
    }
}
