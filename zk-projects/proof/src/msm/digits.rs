//! Numbers cut into signed digits.

use ark_bn254::Fr;
use ark_ff::PrimeField;
use ark_std::rand::RngCore;
use zeroize::Zeroizing;

/// Bits of a number below r, and one for the carry that signs leave.
const BITS: usize = Fr::MODULUS_BIT_SIZE as usize + 1;

/// Numbers in base 2^window, wiped when dropped, each digit between -2^(window-1) and 2^(window-1).
#[derive(Debug, Clone)]
pub struct Digits {
    window: usize,
    windows: usize,
    len: usize,
    /// All digits of the lowest window, then of the next.
    rows: Zeroizing<Vec<i16>>,
}

impl Digits {
    /// Cuts numbers into windows of `window` bits.
    ///
    /// # Panics
    ///
    /// If `window` is not between 2 and 15.
    #[must_use]
    pub fn new(numbers: &[Fr], window: usize) -> Self {
        assert!((2..=15).contains(&window), "a window of 2 to 15 bits");
        let windows = BITS.div_ceil(window);
        let mut rows = Zeroizing::new(vec![0; windows * numbers.len()]);
        for (at, number) in numbers.iter().enumerate() {
            let limbs = number.into_bigint().0;
            let mut carry = 0;
            for index in 0..windows {
                let digit = bits(&limbs, index * window, window) + carry;
                let half = 1 << (window - 1);
                carry = i32::from(digit > half);
                let signed = digit - (carry << window);
                rows[index * numbers.len() + at] =
                    i16::try_from(signed).expect("at most half of 2^15");
            }
        }
        Self {
            window,
            windows,
            len: numbers.len(),
            rows,
        }
    }

    /// Numbers of `windows` digits, each of which is drawn evenly from all 2^window.
    ///
    /// # Panics
    ///
    /// If `window` is not between 2 and 15.
    #[must_use]
    pub fn random(len: usize, window: usize, windows: usize, random: &mut impl RngCore) -> Self {
        assert!((2..=15).contains(&window), "a window of 2 to 15 bits");
        let lowest = 1 - (1 << (window - 1));
        let digit = |_| {
            let drawn = (random.next_u32() & ((1 << window) - 1)) as i32;
            i16::try_from(lowest + drawn).expect("at most half of 2^15")
        };
        Self {
            window,
            windows,
            len,
            rows: Zeroizing::new((0..windows * len).map(digit).collect()),
        }
    }

    /// Bits of a window.
    #[must_use]
    pub fn window(&self) -> usize {
        self.window
    }

    /// How many windows a number has.
    #[must_use]
    pub fn windows(&self) -> usize {
        self.windows
    }

    /// How many numbers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The digits of all numbers in one window, the lowest being 0.
    #[must_use]
    pub fn row(&self, window: usize) -> &[i16] {
        &self.rows[window * self.len..(window + 1) * self.len]
    }
}

/// The window for which a sum of `points` points takes the fewest additions.
#[must_use]
pub fn best_window(points: usize) -> usize {
    let additions = |window: usize| BITS.div_ceil(window) * (points + (1 << window));
    (2..=15)
        .min_by_key(|window| additions(*window))
        .unwrap_or(2)
}

/// `count` bits from bit `from` on, zeros beyond the end.
fn bits(limbs: &[u64; 4], from: usize, count: usize) -> i32 {
    let (limb, shift) = (from / 64, from % 64);
    let low = limbs.get(limb).map_or(0, |limb| limb >> shift);
    let high = match shift {
        0 => 0,
        _ => limbs.get(limb + 1).map_or(0, |limb| limb << (64 - shift)),
    };
    let mask = (1 << count) - 1;
    i32::try_from((low | high) & mask).expect("at most 15 bits")
}

#[cfg(test)]
mod tests {
    use ark_ff::{Field, UniformRand};

    use super::*;

    #[test]
    fn random_digits_take_every_value_equally_often() {
        let mut random = ark_std::test_rng();
        let digits = Digits::random(1000, 3, 40, &mut random);
        assert_eq!((digits.windows(), digits.len()), (40, 1000));
        let mut seen = [0; 8];
        for digit in (0..40).flat_map(|window| digits.row(window)) {
            seen[usize::try_from(digit + 3).expect("at least -3")] += 1;
        }
        // 5000 each; five standard deviations.
        assert!(
            seen.iter().all(|times| (4670..5330).contains(times)),
            "{seen:?}"
        );
    }

    #[test]
    fn digits_weighted_with_their_windows_are_the_number() {
        let mut random = ark_std::test_rng();
        let mut numbers: Vec<Fr> = (0..50).map(|_| Fr::rand(&mut random)).collect();
        numbers.extend([Fr::from(0), Fr::ONE, -Fr::ONE, Fr::from(1 << 14)]);
        for window in 2..=15 {
            let digits = Digits::new(&numbers, window);
            for (at, number) in numbers.iter().enumerate() {
                let base = Fr::from(1_u64 << window);
                let value = (0..digits.windows()).rev().fold(Fr::from(0), |sum, index| {
                    sum * base + Fr::from(digits.row(index)[at])
                });
                assert_eq!(value, *number, "window of {window}");
            }
        }
    }
}
