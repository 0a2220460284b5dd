//! SHA-256, for statements about what the world outside hashes with it.
//!
//! # What it is
//!
//! [`hash_wires`] is the hash of [FIPS 180-4], section 6.2, of a message of whole [`Word`]s; [`digest`] is the native counterpart, by
//! crate `sha2`. The constants are computed from the first primes, as section 4.2.2 and 5.3.3 say, not copied.
//!
//! # What it guarantees
//!
//! Every wire is determined by the message. A bit of a word is 0 or 1, whether it was allocated or computed.
//!
//! # What it does not
//!
//! Messages whose length is no multiple of four bytes. It is expensive: 64 bytes cost 130 times as much as two numbers under
//! [`crate::poseidon`].
//!
//! # How it works
//!
//! Bits are wires, and words modulo 2^32 are sums of them. Three functions of three bits make up almost all constraints, and each costs
//! a single one. With s = a + b + c, which is 0, 1, 2 or 3:
//!
//! ```text
//! choose     if a then b else c      x = c + y,  a * (b - c) = y
//! parity     a xor b xor c           (2x - s) * (2s - 3) = -s         s = 1: (2x - 1) * -1 = -1, so x = 1
//! majority                           (4x - s) * (2s - 3) =  s         s = 1: (4x - 1) * -1 =  1, so x = 0
//! ```
//!
//! 2s - 3 is never 0, so that x is determined; the other values of s are in the tests. A round adds six and seven words and takes the
//! sums apart into 35 bits each. What depends on constants only, such as the schedule of a block that is all padding, costs nothing.
//!
//! [FIPS 180-4]: https://doi.org/10.6028/NIST.FIPS.180-4

mod circuit;

use sha2::{Digest, Sha256};

pub use circuit::{Word, hash_wires};

/// Words of a block.
const BLOCK_WORDS: usize = 16;
/// Rounds of a compression.
const ROUNDS: usize = 64;

/// The hash of bytes.
#[must_use]
pub fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn primes() -> impl Iterator<Item = u128> {
    (2..).filter(|n| (2..*n).all(|divisor| n % divisor != 0))
}

/// The first 32 bits of the fractional parts of the square roots of the first eight primes (section 5.3.3).
fn initial_state() -> Vec<u32> {
    let roots = primes().map(|prime| root(prime << 64, 2));
    roots.take(8).collect()
}

/// The first 32 bits of the fractional parts of the cube roots of the first 64 primes (section 4.2.2).
fn round_constants() -> Vec<u32> {
    let roots = primes().map(|prime| root(prime << 96, 3));
    roots.take(ROUNDS).collect()
}

/// The lowest 32 bits of the largest integer whose power is not above `number`, bit by bit.
fn root(number: u128, power: u32) -> u32 {
    // The roots of 2^64 * 19 and 2^96 * 311 are below 2^35.
    let bits = (0..36).rev().map(|bit| 1_u128 << bit);
    let root = bits.fold(0, |root, bit| {
        if (root | bit).pow(power) <= number {
            root | bit
        } else {
            root
        }
    });
    root as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ends of both lists, from the standard.
    #[test]
    fn constants_are_those_of_the_standard() {
        let (state, rounds) = (initial_state(), round_constants());
        assert_eq!((state[0], state[7]), (0x6a09_e667, 0x5be0_cd19));
        assert_eq!((rounds[0], rounds[63]), (0x428a_2f98, 0xc671_78f2));
    }
}
