//! Points times numbers, faster than the curve crate does it: a number is split by the curve's endomorphism into two of half the
//! length ([GLV]), and both are walked in one sequence of doublings with a window over signed digits.
//!
//! ```text
//! k P = k0 P + k1 (lambda P)      lambda P costs one multiplication of a coordinate; k0, k1 below 2^128
//! k0  = ...0 0 0 -3 0 0 0 0 5     at most one digit of five is not zero; P, 3 P, 5 P, 7 P are made first
//! ```
//!
//! Not constant in time, as nothing in the curve crate is.
//!
//! [GLV]: https://www.iacr.org/archive/crypto2001/21390189.pdf

use ark_bn254::Fr;
use ark_ec::scalar_mul::glv::GLVConfig;
use ark_ec::short_weierstrass::{Affine, Projective, SWCurveConfig};
use ark_ec::{AdditiveGroup, CurveGroup};
use ark_ff::{PrimeField, Zero};
use rayon::prelude::*;
use zeroize::Zeroize;

/// A digit is odd and below 2^(WINDOW - 1), or zero.
const WINDOW: u32 = 4;
/// Odd multiples that are made of a point: 1, 3, ... 2^(WINDOW - 1) - 1.
const MULTIPLES: usize = 1 << (WINDOW - 2);
/// Digits of a half: its 128 bits and a carry.
const DIGITS: usize = 129;

/// A curve whose points are multiplied by two halves.
pub(crate) trait Split: SWCurveConfig<ScalarField = Fr> + GLVConfig {}

impl<C: SWCurveConfig<ScalarField = Fr> + GLVConfig> Split for C {}

/// A number, split for one of the groups.
#[derive(Clone, Copy)]
pub(crate) struct Factor {
    halves: [(bool, u128); 2],
}

impl Zeroize for Factor {
    fn zeroize(&mut self) {
        for (negative, half) in &mut self.halves {
            negative.zeroize();
            half.zeroize();
        }
    }
}

impl Factor {
    pub(crate) fn new<C: Split>(number: Fr) -> Self {
        let half = |(positive, half): (bool, Fr)| {
            let [low, high, 0, 0] = half.into_bigint().0 else {
                unreachable!("the lattice's short vectors are below 2^128");
            };
            (!positive, u128::from(high) << 64 | u128::from(low))
        };
        let (first, second) = C::scalar_decomposition(number);
        Self {
            halves: [half(first), half(second)],
        }
    }

    fn is_one(&self) -> bool {
        let [(negative, first), (_, second)] = self.halves;
        !negative && first == 1 && second == 0
    }

    /// The number times a point, of which the first odd multiples are given.
    fn walk<C: Split>(&self, multiples: &[Affine<C>]) -> Projective<C> {
        let mut by_lambda = [Affine::identity(); MULTIPLES];
        for (other, multiple) in by_lambda.iter_mut().zip(multiples) {
            *other = C::endomorphism_affine(multiple);
        }
        let sides = self.halves.map(|(_, half)| signed_digits(half));
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
                if (digit < 0) == self.halves[side].0 {
                    sum += multiple;
                } else {
                    sum -= multiple;
                }
            }
        }
        sum
    }
}

/// So many points are multiplied together.
pub(crate) const TOGETHER: usize = 128;

/// Points times numbers. The multiples of all points are made affine with one inversion, so that adding them costs a third less: give
/// some [`TOGETHER`].
pub(crate) fn products<C: Split>(pairs: &[(Factor, Projective<C>)]) -> Vec<Projective<C>> {
    let mut multiples = Vec::with_capacity(pairs.len() * MULTIPLES);
    for (_, point) in pairs.iter().filter(|(factor, _)| !factor.is_one()) {
        let double = point.double();
        let odd = std::iter::successors(Some(*point), |multiple| Some(*multiple + double));
        multiples.extend(odd.take(MULTIPLES));
    }
    let multiples = Projective::normalize_batch(&multiples);
    let mut multiples = multiples.chunks_exact(MULTIPLES);
    pairs
        .iter()
        .map(|(factor, point)| {
            if factor.is_one() {
                return *point;
            }
            let multiples = multiples.next().expect("those of each point that has some");
            factor.walk(multiples)
        })
        .collect()
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

/// Multiplies every point with its number.
pub(crate) fn multiply<C: Split>(
    points: &[Affine<C>],
    number: impl Fn(usize) -> Fr + Sync,
) -> Vec<Affine<C>> {
    let chunks = points.par_chunks(TOGETHER).enumerate();
    let all: Vec<Projective<C>> = chunks
        .flat_map_iter(|(chunk, points)| {
            let indices = chunk * TOGETHER..;
            let factors = indices.map(|index| Factor::new::<C>(number(index)));
            let pairs = factors.zip(points.iter().map(|point| (*point).into()));
            let mut pairs: Vec<(Factor, Projective<C>)> = pairs.collect();
            let products = products(&pairs);
            for (factor, _) in &mut pairs {
                factor.zeroize();
            }
            products
        })
        .collect();
    Projective::normalize_batch(&all)
}

#[cfg(test)]
mod tests {
    use ark_bn254::{G1Projective, G2Projective};
    use ark_ec::PrimeGroup;
    use ark_ff::{One, UniformRand};
    use ark_std::rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    use super::*;

    fn agrees_on<C: Split>(number: Fr, point: Projective<C>) {
        let pair = (Factor::new::<C>(number), point);
        assert_eq!(products(&[pair, pair]), [point * number; 2], "{number}");
    }

    #[test]
    fn products_are_those_of_the_curve_crate() {
        let mut random = ChaCha20Rng::seed_from_u64(1);
        let mut numbers = vec![Fr::zero(), Fr::one(), -Fr::one(), Fr::from(1_u128 << 127)];
        numbers.extend((0..64).map(|shift| Fr::from(u64::MAX >> shift)));
        numbers.extend((0..40).map(|_| Fr::rand(&mut random)));
        for number in numbers {
            agrees_on(number, G1Projective::rand(&mut random));
            agrees_on(number, G2Projective::rand(&mut random));
        }
        agrees_on(Fr::from(7), G1Projective::zero());
        agrees_on(Fr::from(7), G2Projective::generator());
    }

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
