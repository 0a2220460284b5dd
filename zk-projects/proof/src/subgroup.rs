//! Whether points of G2 are in the subgroup of order r, many at once.
//!
//! What it is. The curve of G2 has h r points with h = 2 q - r; a pairing is only sound on the subgroup of order r. To multiply each point
//! on its own by something of 127 bits takes 0.1 ms. A sum of all points times small random numbers is outside if one of them is, but
//! for bad luck, and a few sums make bad luck as unlikely as one wants.
//!
//! What it guarantees. Points in the subgroup are never refused. Others are accepted with a probability of at most 2^-128. The numbers
//! come from a hash of the points, so that the answer is always the same, and whoever looks for points that pass has to try 2^128.
//!
//! How it works. A point P is a sum of one in the subgroup and one whose order divides h, P'. All prime factors of h are at least
//! 10069 (10069 · 5864401 · 1875725156269 · 197620364512881247228717050342013327560683201906968909), so each P' that is not
//! zero has at least this order. Let the numbers be c_i, each drawn evenly from 2^w consecutive ones, 2^w < 10069. With all c_i but that of
//! such a point fixed, at most one of the 2^w values makes the sum of the c_i P'_i zero: one sum is in the subgroup with a probability of at most
//! 2^-w. The sums are the window sums of one [`msm`](crate::msm), whose digits are the c_i.
//!
//! Small exponents for testing many equations at once: [Bellare, Garay, Rabin: Fast Batch Verification for Modular Exponentiation and Digital
//! Signatures][bgr], section 3.
//!
//! [bgr]: https://eprint.iacr.org/1998/007

use ark_bn254::G2Affine;
use ark_ec::CurveGroup;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::curve::Point;
use crate::msm::{Digits, window_sums};

/// Points outside pass with a probability of at most 2^-this.
const SECURITY_BITS: usize = 128;

/// The smallest prime factor of the cofactor of G2.
const SMALLEST_FACTOR: usize = 10069;

/// What it costs to look at one sum, in additions.
const ONE_CHECK: usize = 250;

/// The first of some points, all known to be on the curve, that is not in the subgroup.
#[must_use]
pub fn first_outside(points: &[G2Affine]) -> Option<usize> {
    if points.len() > SECURITY_BITS && random_sums_are_inside(points) {
        return None;
    }
    points
        .par_iter()
        .position_first(|point| !point.in_subgroup())
}

fn random_sums_are_inside(points: &[G2Affine]) -> bool {
    let window = best_window(points.len());
    let digits = Digits::random(
        points.len(),
        window,
        SECURITY_BITS.div_ceil(window),
        &mut ChaCha20Rng::from_seed(seed(points)),
    );
    window_sums(points, &digits)
        .par_iter()
        .all(|sum| sum.into_affine().in_subgroup())
}

/// A hash of all points.
fn seed(points: &[G2Affine]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(b"keyproof: subgroup of G2\0");
    let mut bytes = Vec::with_capacity(G2Affine::BYTES);
    for point in points {
        bytes.clear();
        point.write_montgomery(&mut bytes);
        hasher.update(&bytes);
    }
    hasher.finalize().into()
}

/// The window for which all sums take the fewest additions.
fn best_window(points: usize) -> usize {
    let largest = SMALLEST_FACTOR.ilog2() as usize;
    let additions =
        |window: usize| SECURITY_BITS.div_ceil(window) * (points + (1 << window) + ONE_CHECK);
    (2..=largest)
        .min_by_key(|window| additions(*window))
        .unwrap_or(largest)
}

#[cfg(test)]
mod tests {
    use ark_bn254::{Fq, Fq2, Fr, G2Projective};
    use ark_ec::AffineRepr;
    use ark_ec::short_weierstrass::SWCurveConfig;
    use ark_ff::{PrimeField, UniformRand, Zero};
    use num_bigint::BigUint;

    use super::*;

    fn cofactor() -> BigUint {
        BigUint::from(Fq::MODULUS) * 2_u32 - BigUint::from(Fr::MODULUS)
    }

    /// A point whose order is the smallest factor of the cofactor: the hardest to see.
    fn of_small_order() -> G2Affine {
        let order = BigUint::from(Fr::MODULUS) * cofactor();
        let rest = (order / SMALLEST_FACTOR).to_u64_digits();
        (0_u64..)
            .filter_map(|x| {
                G2Affine::get_point_from_x_unchecked(Fq2::from(x), false)
                    .map(|point| ark_bn254::g2::Config::mul_affine(&point, &rest).into_affine())
            })
            .find(|point| !point.is_zero())
            .expect("most points have a part of this order")
    }

    fn inside(count: usize) -> Vec<G2Affine> {
        let mut random = ark_std::test_rng();
        let points: Vec<_> = (0..count)
            .map(|_| G2Projective::rand(&mut random))
            .collect();
        G2Projective::normalize_batch(&points)
    }

    #[test]
    fn the_smallest_factor_is_that_of_the_cofactor() {
        let cofactor = cofactor();
        let divides = |factor: &u64| (&cofactor % factor).is_zero();
        assert_eq!((2..=10069).find(divides), Some(SMALLEST_FACTOR as u64));
    }

    #[test]
    fn points_of_the_subgroup_pass_infinity_and_repeated_ones_included() {
        let mut points = inside(400);
        assert!(random_sums_are_inside(&points));
        points[17] = G2Affine::zero();
        points[18] = G2Affine::generator();
        points[19] = G2Affine::generator();
        assert!(random_sums_are_inside(&points));
        assert_eq!(first_outside(&points), None);
        assert_eq!(first_outside(&[]), None);
    }

    #[test]
    fn the_first_point_outside_is_found_wherever_it_is_and_however_small_its_order() {
        let points = inside(300);
        let small = of_small_order();
        assert!(!small.in_subgroup());
        for place in [0, 1, 150, 299] {
            let mut points = points.clone();
            points[place] = (points[place] + small).into_affine();
            assert!(!random_sums_are_inside(&points), "at {place}");
            assert_eq!(first_outside(&points), Some(place));
        }
        let few = [G2Affine::generator(), small];
        assert_eq!(first_outside(&few), Some(1));
    }

    #[test]
    fn points_outside_that_cancel_each_other_are_found() {
        let mut points = inside(300);
        let small = of_small_order();
        points[10] = (points[10] + small).into_affine();
        points[200] = (points[200] - small).into_affine();
        assert!(!random_sums_are_inside(&points));
        assert_eq!(first_outside(&points), Some(10));
    }

    #[test]
    fn a_point_of_small_order_does_not_pass_by_chance() {
        let small = of_small_order();
        let mut sum = small.into_group();
        for times in 1..=300 {
            let points = [G2Affine::generator(), sum.into_affine()];
            assert!(!random_sums_are_inside(&points), "{times} times");
            sum += small;
        }
    }

    #[test]
    fn each_sum_alone_misses_about_as_often_as_it_may() {
        let mut random = ark_std::test_rng();
        let small = of_small_order();
        let points = vec![small; 2];
        let (window, windows) = (4, 3200);
        let digits = Digits::random(points.len(), window, windows, &mut random);
        let missed = window_sums(&points, &digits)
            .iter()
            .filter(|sum| sum.into_affine().in_subgroup())
            .count();
        // One in 16, 200; five standard deviations.
        assert!((130..270).contains(&missed), "{missed} of {windows}");
    }

    #[test]
    fn windows_stay_below_the_smallest_factor() {
        for points in [129, 3000, 1 << 18, 1 << 28] {
            let window = best_window(points);
            assert!(1 << window < SMALLEST_FACTOR, "{points} points: {window}");
        }
    }
}
