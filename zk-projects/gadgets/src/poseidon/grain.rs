//! The pseudorandom bits from which Poseidon's constants come ([Poseidon], supplementary material F): a Grain LFSR that shrinks
//! itself. Its start names field, S-box and size, so that nobody could choose the constants.
//!
//! [Poseidon]: https://eprint.iacr.org/2019/458

use ark_bn254::Fr;
use ark_ff::{BigInt, PrimeField};

/// Bits of a number of the field.
const NUMBER_BITS: u32 = 254;

/// The register: bit 0 is the oldest.
pub(super) struct Grain {
    state: u128,
}

impl Grain {
    const LENGTH: u32 = 80;

    /// Starts for a permutation of `width` numbers.
    pub(super) fn new(width: u32, full_rounds: u32, partial_rounds: u32) -> Self {
        let mut grain = Self { state: 0 };
        let mut position = 0;
        let fields = [
            (1, 2), // a prime field
            (0, 4), // the S-box is a power
            (NUMBER_BITS, 12),
            (width, 12),
            (full_rounds, 10),
            (partial_rounds, 10),
            (0x3fff_ffff, 30),
        ];
        for (value, bits) in fields {
            for bit in (0..bits).rev() {
                grain.state |= u128::from(value >> bit & 1) << position;
                position += 1;
            }
        }
        for _ in 0..160 {
            grain.step();
        }
        grain
    }

    fn step(&mut self) -> bool {
        let tap = |at: u32| self.state >> at;
        let new = (tap(62) ^ tap(51) ^ tap(38) ^ tap(23) ^ tap(13) ^ tap(0)) & 1;
        self.state = self.state >> 1 | new << (Self::LENGTH - 1);
        new == 1
    }

    /// Of each pair of bits the second counts if the first is 1.
    fn bit(&mut self) -> bool {
        loop {
            let counts = self.step();
            let bit = self.step();
            if counts {
                return bit;
            }
        }
    }

    fn bits(&mut self) -> BigInt<4> {
        let mut number = BigInt([0; 4]);
        for position in (0..NUMBER_BITS).rev() {
            number.0[position as usize / 64] |= u64::from(self.bit()) << (position % 64);
        }
        number
    }

    /// The next number below r; larger ones are passed over.
    pub(super) fn uniform(&mut self) -> Fr {
        loop {
            if let Some(number) = Fr::from_bigint(self.bits()) {
                return number;
            }
        }
    }

    /// The next number, reduced: as the matrix takes them.
    pub(super) fn reduced(&mut self) -> Fr {
        let bits = self.bits();
        Fr::from_bigint(bits).unwrap_or_else(|| {
            let mut rest = bits;
            // 2^254 < 2r, so once is enough.
            ark_ff::BigInteger::sub_with_borrow(&mut rest, &Fr::MODULUS);
            Fr::from_bigint(rest).expect("below 2r - r")
        })
    }
}
