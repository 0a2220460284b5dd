//! One product after the other, on any processor: both halves are walked in one sequence of doublings with a window over signed digits.
//!
//! ```text
//! k0  = ...0 0 0 -3 0 0 0 0 5     at most one digit of five is not zero; P, 3 P, 5 P, 7 P are made first
//! ```

use ark_ec::short_weierstrass::{Affine, Projective};
use ark_ec::{AdditiveGroup, AffineRepr, CurveGroup};
use ark_ff::Zero;

use super::{Factor, Split};

/// The multiples of so many points are made affine with one inversion, so that adding them costs a third less.
pub(super) const TOGETHER: usize = 128;

/// A digit is odd and below 2^(WINDOW - 1), or zero.
const WINDOW: u32 = 4;
/// Odd multiples that are made of a point: 1, 3, ... 2^(WINDOW - 1) - 1.
const MULTIPLES: usize = 1 << (WINDOW - 2);
/// Digits of a half: its 128 bits and a carry.
const DIGITS: usize = 129;

/// Points times numbers.
pub(super) fn products<C: Split>(pairs: &[&(Factor, Affine<C>)]) -> Vec<Affine<C>> {
    let mut multiples = Vec::with_capacity(pairs.len() * MULTIPLES);
    for (_, point) in pairs {
        let point = point.into_group();
        let double = point.double();
        let odd = std::iter::successors(Some(point), |multiple| Some(*multiple + double));
        multiples.extend(odd.take(MULTIPLES));
    }
    let multiples = Projective::normalize_batch(&multiples);
    let products = pairs.iter().zip(multiples.chunks_exact(MULTIPLES));
    let products = products.map(|((factor, _), multiples)| walk(factor, multiples));
    Projective::normalize_batch(&products.collect::<Vec<_>>())
}

/// For each pair its sum and its difference.
pub(super) fn sums_and_differences<C: Split>(
    pairs: &[(Affine<C>, Affine<C>)],
) -> Vec<(Affine<C>, Affine<C>)> {
    let both = |(left, right): &(Affine<C>, Affine<C>)| {
        let left = left.into_group();
        [left + right, left - right]
    };
    let both: Vec<Projective<C>> = pairs.iter().flat_map(both).collect();
    let both = Projective::normalize_batch(&both);
    both.chunks_exact(2)
        .map(|both| (both[0], both[1]))
        .collect()
}

/// The number times a point, of which the first odd multiples are given.
fn walk<C: Split>(factor: &Factor, multiples: &[Affine<C>]) -> Projective<C> {
    let mut by_lambda = [Affine::identity(); MULTIPLES];
    for (other, multiple) in by_lambda.iter_mut().zip(multiples) {
        *other = C::endomorphism_affine(multiple);
    }
    let sides = factor.halves.map(|(_, half)| signed_digits(half));
    let mut sum = Projective::<C>::zero();
    for place in (0..DIGITS).rev() {
        if !sum.is_zero() {
            sum.double_in_place();
        }
        for (side, multiples) in [multiples, &by_lambda].into_iter().enumerate() {
            let digit = sides[side][place];
            if digit == 0 {
                continue;
            }
            let multiple = multiples[usize::from(digit.unsigned_abs()) / 2];
            if (digit < 0) == factor.halves[side].0 {
                sum += multiple;
            } else {
                sum -= multiple;
            }
        }
    }
    sum
}

/// Digits of a number, the lowest first: each zero or odd and below 2^(WINDOW - 1) in size.
fn signed_digits(number: u128) -> [i8; DIGITS] {
    let mut digits = [0; DIGITS];
    let (mut rest, mut carried) = (number, false);
    for digit in &mut digits {
        if rest & 1 == 1 {
            let low = (rest & ((1 << WINDOW) - 1)) as i8;
            *digit = if low < 1 << (WINDOW - 1) {
                low
            } else {
                low - (1 << WINDOW)
            };
            // What is left is even; it may reach 2^128.
            (rest, carried) = if *digit < 0 {
                rest.overflowing_add(digit.unsigned_abs().into())
            } else {
                (rest - *digit as u128, false)
            };
        }
        rest = rest >> 1 | u128::from(carried) << 127;
        carried = false;
    }
    digits
}

#[cfg(test)]
mod tests {
    use ark_bn254::Fr;

    use super::*;

    #[test]
    fn digits_add_up_to_the_number_also_where_they_carry_out_of_its_128_bits() {
        for number in [
            0,
            1,
            7,
            8,
            9,
            u128::MAX,
            u128::MAX - 1,
            u128::MAX / 3,
            1 << 127,
        ] {
            let digits = signed_digits(number);
            let sum = digits.iter().rev().fold(Fr::zero(), |sum, digit| {
                sum + sum + Fr::from(i64::from(*digit))
            });
            assert_eq!(sum, Fr::from(number));
            assert!(digits.iter().all(|digit| *digit == 0 || digit % 2 != 0));
        }
    }
}
