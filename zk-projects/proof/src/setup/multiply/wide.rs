//! Eight products at once, in affine coordinates: all points of a batch take every step together, so that each step has one inversion.
//!
//! ```text
//! half of a number     5 -3 0 8 ... -7        32 digits of four bits, from -8 to 8
//! its point            0, P, 2 P, ... 8 P     the same times lambda for the other half
//! every digit          16 sum + one multiple of P + one of lambda P
//! ```
//!
//! A product takes 131 doublings and 70 additions, with 7 and 6 multiplications.

use std::array;

use ark_ec::short_weierstrass::Affine;
use zeroize::Zeroizing;

use super::{Factor, Split};
use crate::msm::Ifma;
use crate::msm::eight::{Eight, add, cross, double};
use crate::msm::inversion::Step;
use crate::msm::lanes::{LANES, Lanes};
use crate::msm::packed::Packed;

/// Points that share their inversions, each of which costs as much as two hundred multiplications in lanes: enough to make that little, and
/// few enough that their multiples stay in a near cache.
pub(super) const TOGETHER: usize = 2048;
/// With fewer the inversions take longer than products one by one.
pub(super) const FEWEST: usize = 32;

/// Bits of a digit.
const WINDOW: usize = 4;
/// Digits of a half: it is below 2^127, so that the last one carries nothing.
const WINDOWS: usize = 32;
/// Multiples of a point, from none to the largest digit.
const MULTIPLES: usize = (1 << (WINDOW - 1)) + 1;

/// Points times numbers.
pub(super) fn products<C: Split>(_: Ifma, pairs: &[&(Factor, Affine<C>)]) -> Vec<Affine<C>> {
    // SAFETY: an `Ifma` is only made where the processor has the instructions.
    unsafe {
        let mut walk = Walk::<C>::new(pairs);
        walk.run();
        leave(&walk.sums, pairs.len())
    }
}

/// For each pair its sum and its difference.
pub(super) fn sums_and_differences<C: Split>(
    _: Ifma,
    pairs: &[(Affine<C>, Affine<C>)],
) -> Vec<(Affine<C>, Affine<C>)> {
    // SAFETY: an `Ifma` is only made where the processor has the instructions.
    unsafe {
        let mut left = enter::<C>(pairs.iter().map(|(left, _)| left));
        let mut right = enter::<C>(pairs.iter().map(|(_, right)| right));
        let mut steps = vec![Step::new(); left.len()];
        cross(&mut left, &mut right, &mut steps);
        let sums = leave(&left, pairs.len());
        sums.into_iter().zip(leave(&right, pairs.len())).collect()
    }
}

/// Points in blocks of eight, filled up with infinity.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
unsafe fn enter<'a, C: Split>(points: impl Iterator<Item = &'a Affine<C>>) -> Vec<Eight<C::Wide>> {
    let points: Vec<&Affine<C>> = points.collect();
    // SAFETY: the caller has the processor.
    let blocks = points
        .chunks(LANES)
        .map(|block| unsafe { Eight::enter(block) });
    blocks.collect()
}

/// The first `count` points of blocks.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
unsafe fn leave<K: Packed>(blocks: &[Eight<K>], count: usize) -> Vec<Affine<K::Curve>> {
    // SAFETY: the caller has the processor.
    let points = blocks.iter().flat_map(|block| unsafe { block.leave() });
    points.take(count).collect()
}

/// A batch on its way.
///
/// What depends on the numbers is wiped, as they may be secrets; so are the sums, of which all but the last are as good as digits.
struct Walk<C: Split> {
    /// Of a point and of lambda times the point: none of any point, then each point, then its double, and so on.
    tables: [Vec<C::Wide>; 2],
    /// For each digit and each half: of all points.
    digits: Zeroizing<Vec<i8>>,
    sums: Zeroizing<Vec<Eight<C::Wide>>>,
    /// What is added to the sums.
    chosen: Zeroizing<Vec<Eight<C::Wide>>>,
    steps: Zeroizing<Vec<Step<<C::Wide as Packed>::Lanes>>>,
}

impl<C: Split> Walk<C> {
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    unsafe fn new(pairs: &[&(Factor, Affine<C>)]) -> Self {
        let blocks = pairs.len().div_ceil(LANES);
        let points = blocks * LANES;
        // SAFETY: the caller has the processor.
        unsafe {
            let mut walk = Self {
                tables: array::from_fn(|_| vec![C::Wide::ZERO; MULTIPLES * points]),
                digits: digits(pairs, points),
                sums: Zeroizing::new(enter::<C>(pairs.iter().map(|(_, point)| point))),
                chosen: Zeroizing::new(vec![Eight::infinity(); blocks]),
                steps: Zeroizing::new(vec![Step::new(); blocks]),
            };
            walk.tabulate();
            walk
        }
    }

    /// Fills the tables by adding the points, which the sums begin with, again and again.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    unsafe fn tabulate(&mut self) {
        self.chosen.clone_from(&self.sums);
        // SAFETY: the caller has the processor.
        unsafe {
            let beta =
                <C::Wide as Packed>::Lanes::splat(C::ENDO_COEFFS[0] * C::BaseField::from(16_u64));
            for multiple in 1..MULTIPLES {
                match multiple {
                    1 => {}
                    2 => double(&mut self.sums, &mut self.steps),
                    _ => add(&mut self.sums, &self.chosen, &mut self.steps),
                }
                let [plain, by_lambda] = &mut self.tables;
                let first = multiple * self.sums.len() * LANES;
                for (at, sum) in self.sums.iter().enumerate() {
                    let places = array::from_fn(|lane| first + at * LANES + lane);
                    sum.store(plain, places);
                    sum.stretched(beta).store(by_lambda, places);
                }
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    unsafe fn run(&mut self) {
        // SAFETY: the caller has the processor.
        unsafe {
            self.sums.fill(Eight::infinity());
            for window in (0..WINDOWS).rev() {
                if window < WINDOWS - 1 {
                    for _ in 0..WINDOW {
                        double(&mut self.sums, &mut self.steps);
                    }
                }
                for side in 0..2 {
                    self.choose(window, side);
                    add(&mut self.sums, &self.chosen, &mut self.steps);
                }
            }
        }
    }

    /// Looks up the multiples that the digits of one window say.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    unsafe fn choose(&mut self, window: usize, side: usize) {
        let points = self.sums.len() * LANES;
        let table = &self.tables[side];
        let digits = &self.digits[(2 * window + side) * points..][..points];
        for (at, digits) in digits.chunks_exact(LANES).enumerate() {
            let multiples = array::from_fn(|lane| {
                let multiple = usize::from(digits[lane].unsigned_abs());
                &table[multiple * points + at * LANES + lane]
            });
            let sign = |mask, digit: &i8| mask << 1 | u8::from(*digit < 0);
            let negative = digits.iter().rev().fold(0, sign);
            // SAFETY: the caller has the processor.
            self.chosen[at] = unsafe { Eight::load(multiples).negated(negative) };
        }
    }
}

/// The digits of all numbers, each half negated that is to be: the lowest digits first, those of the first halves before those of the second.
fn digits<C: Split>(pairs: &[&(Factor, Affine<C>)], points: usize) -> Zeroizing<Vec<i8>> {
    let mut digits = Zeroizing::new(vec![0; WINDOWS * 2 * points]);
    for (at, (factor, _)) in pairs.iter().enumerate() {
        for (side, (negative, half)) in factor.halves.iter().enumerate() {
            let mut carry = 0;
            for window in 0..WINDOWS {
                let bits = half >> (window * WINDOW) & ((1 << WINDOW) - 1);
                let digit = bits as i8 + carry;
                carry = i8::from(digit > 1 << (WINDOW - 1));
                let digit = digit - (carry << WINDOW);
                digits[(2 * window + side) * points + at] = if *negative { -digit } else { digit };
            }
        }
    }
    digits
}
