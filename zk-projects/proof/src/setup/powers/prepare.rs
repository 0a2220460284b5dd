//! Lagrange points: from powers of tau to the Lagrange polynomials at tau, of every domain up to the largest.
//!
//! # What it is
//!
//! With w a root of unity of order n, `L_i(tau) = 1/n * sum of w^(-i j) tau^j`: an inverse transform over points, of which the first
//! n powers are the input. It is the radix-2 transform that decimates in time ([Cooley-Tukey]):
//!
//! ```text
//! (a, b) -> (a + w^-j b, a - w^-j b)       n/2 * log2 n times; the multiplication is of a point with a number
//! ```
//!
//! # How it is fast
//!
//! 2^14 takes about 800,000 multiplications in G1 and 200,000 in G2, and nothing else counts. So they are made in halves
//! ([`multiply`](super::super::multiply)), those with one are left out, and the division by n is done once for the largest
//! domain; every smaller one doubles what it needs of it.
//!
//! [Cooley-Tukey]: https://doi.org/10.1090/S0025-5718-1965-0178586-1

use std::io::{self, Write};

use ark_bn254::Fr;
use ark_ec::short_weierstrass::{Affine, Projective};
use ark_ec::{AdditiveGroup, AffineRepr, CurveGroup};
use ark_ff::{FftField, Field};
use rayon::prelude::*;

use crate::curve::Point;
use crate::files::binary::FormatError;
use crate::files::ptau::{List, Ptau, write_chunks};
use crate::setup::Progress;
use crate::setup::multiply::{Factor, Split, products, sums_and_differences};

/// Powers could not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The file's points cannot be read.
    #[error(transparent)]
    File(#[from] FormatError),
    /// The result cannot be written.
    #[error("the prepared powers cannot be written: {0}")]
    Write(#[from] io::Error),
}

/// Writes the same powers with their Lagrange points, for circuits. Those that are there already are made anew.
///
/// Holds the points of the largest domain of one list at a time, some four times. Wrap a file in a buffer.
///
/// # Errors
///
/// [`PrepareError`].
pub fn prepare(
    ptau: &Ptau<'_>,
    out: impl Write,
    progress: &dyn Progress,
) -> Result<(), PrepareError> {
    ptau.write_prepared(out, |list, out| match list {
        List::TauG2 => write_list::<ark_bn254::g2::Config>(ptau, list, out, progress),
        _ => write_list::<ark_bn254::g1::Config>(ptau, list, out, progress),
    })
}

fn write_list<C: Split>(
    ptau: &Ptau<'_>,
    list: List,
    out: &mut impl Write,
    progress: &dyn Progress,
) -> Result<(), PrepareError>
where
    Affine<C>: Point,
{
    let step = match list {
        List::TauG1 => "preparing tau in G1",
        List::TauG2 => "preparing tau in G2",
        List::AlphaTauG1 => "preparing alpha in G1",
        List::BetaTauG1 => "preparing beta in G1",
    };
    let powers: Vec<Affine<C>> = ptau.points(list, 0, list.powers(ptau.power()))?;
    let largest = list.largest_domain(ptau.power());
    let transform = Transform::<C>::new(largest, &powers);
    let mut done = 0;
    progress.report(step, done, list.lagrange(ptau.power()) as u64);
    for domain_log2 in 0..=largest {
        write_chunks(&transform.lagrange(domain_log2), out)?;
        done += 1 << domain_log2;
        progress.report(step, done, list.lagrange(ptau.power()) as u64);
    }
    Ok(())
}

/// What the transforms of all sizes share.
struct Transform<C: Split> {
    largest_log2: u32,
    /// The powers divided by the size of the largest domain. The last one may be missing: it counts as the identity.
    divided: Vec<Affine<C>>,
    /// `w^-j` for j below half of the largest domain, w its root of unity.
    factors: Vec<Factor>,
}

impl<C: Split> Transform<C> {
    fn new(largest_log2: u32, powers: &[Affine<C>]) -> Self {
        let size = 1_u64 << largest_log2;
        let inverse = |number: Fr| {
            number
                .inverse()
                .expect("neither a root of unity nor 2^k is zero")
        };
        let root = Fr::get_root_of_unity(size).expect("sizes are at most 2^28");
        let inverse_root = inverse(root);
        let factors = (0..size / 2).into_par_iter();
        let by_size = Factor::new::<C>(inverse(Fr::from(size)));
        let pairs: Vec<_> = powers.iter().map(|power| (by_size, *power)).collect();
        Self {
            largest_log2,
            divided: products(&pairs),
            factors: factors
                .map(|index| Factor::new::<C>(inverse_root.pow([index])))
                .collect(),
        }
    }

    /// The Lagrange points of the domain of 2^`log2`.
    fn lagrange(&self, log2: u32) -> Vec<Affine<C>> {
        let divided = (0..1 << log2).into_par_iter().map(|index| {
            let power = self.divided.get(index).copied().unwrap_or_default();
            let mut point = power.into_group();
            for _ in log2..self.largest_log2 {
                point.double_in_place();
            }
            point
        });
        let divided: Vec<Projective<C>> = divided.collect();
        let points = Projective::normalize_batch(&divided);
        (0..log2).fold(points, |points, level| self.level(&points, level))
    }

    /// From transforms of length 2^`level`, one after the other, to half as many of twice the length.
    fn level(&self, points: &[Affine<C>], level: u32) -> Vec<Affine<C>> {
        let length = 1 << level;
        let stride = self.factors.len() >> level;
        let (low, high) = points.split_at(points.len() / 2);
        let factors = (0..high.len()).map(|index| self.factors[index % length * stride]);
        let high = products(&factors.zip(high.iter().copied()).collect::<Vec<_>>());
        let pairs: Vec<_> = low.iter().copied().zip(high).collect();
        let mut next = Vec::with_capacity(points.len());
        for both in sums_and_differences(&pairs).chunks(length) {
            next.extend(both.iter().map(|(sum, _)| *sum));
            next.extend(both.iter().map(|(_, difference)| *difference));
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use ark_bn254::{G1Projective, g1};
    use ark_ec::PrimeGroup;
    use ark_ec::scalar_mul::ScalarMul;
    use ark_ff::UniformRand;
    use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};
    use ark_std::rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    use super::*;

    #[test]
    fn lagrange_points_of_every_domain_are_the_polynomials_at_tau() {
        let tau = Fr::rand(&mut ChaCha20Rng::seed_from_u64(1));
        let powers: Vec<Fr> = (0..15).map(|index| tau.pow([index])).collect();
        let powers = G1Projective::generator().batch_mul(&powers);
        let transform = Transform::<g1::Config>::new(4, &powers);
        // The largest domain lacks its last power, as in a file: it is a point less than the transform takes.
        for log2 in 0..4 {
            let domain = Radix2EvaluationDomain::<Fr>::new(1 << log2).unwrap();
            let known = domain.evaluate_all_lagrange_coefficients(tau);
            let known = G1Projective::generator().batch_mul(&known);
            assert_eq!(transform.lagrange(log2), known, "2^{log2}");
        }
    }
}
