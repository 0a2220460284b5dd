//! Points times numbers, faster than the curve crate does it: a number is split by the curve's endomorphism into two of half the
//! length ([GLV]), and both are walked in one sequence of doublings.
//!
//! ```text
//! k P = k0 P + k1 (lambda P)      lambda P costs one multiplication of a coordinate; k0, k1 below 2^127
//! ```
//!
//! Many products are made together: eight at once where the processor has AVX-512 IFMA ([`wide`]), else one after the other
//! ([`portable`]). All cores take part.
//!
//! Not constant in time, as nothing in the curve crate is.
//!
//! [GLV]: https://www.iacr.org/archive/crypto2001/21390189.pdf

mod portable;
#[cfg(target_arch = "x86_64")]
mod wide;

use ark_bn254::Fr;
use ark_ec::scalar_mul::glv::GLVConfig;
use ark_ec::short_weierstrass::Affine;
use ark_ff::PrimeField;
use rayon::prelude::*;
use zeroize::Zeroize;

use crate::msm::{Backend, Curve};

/// A curve whose points are multiplied by two halves.
pub(crate) trait Split: Curve + GLVConfig {}

impl<C: Curve + GLVConfig> Split for C {}

/// A number, split for one of the groups.
#[derive(Clone, Copy)]
pub(crate) struct Factor {
    /// Whether it is negative, and its size: below 2^127.
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
            // Half of the sum of the lattice's two short vectors, of which one is below 2^127 and the other below 2^64, at most.
            let [low, high @ ..0x8000_0000_0000_0000, 0, 0] = half.into_bigint().0 else {
                unreachable!("the lattice's short vectors are below 2^127");
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
}

/// Points times numbers. Give many: they share inversions.
pub(crate) fn products<C: Split>(pairs: &[(Factor, Affine<C>)]) -> Vec<Affine<C>> {
    products_with(Backend::best(), pairs)
}

fn products_with<C: Split>(backend: Backend, pairs: &[(Factor, Affine<C>)]) -> Vec<Affine<C>> {
    let is_left = |(factor, _): &&(Factor, Affine<C>)| !factor.is_one();
    let left: Vec<&(Factor, Affine<C>)> = pairs.iter().filter(is_left).collect();
    let products = match backend {
        #[cfg(target_arch = "x86_64")]
        Backend::Ifma(ifma) if left.len() >= wide::FEWEST => {
            in_parts(&left, wide::TOGETHER, |left| wide::products(ifma, left))
        }
        _ => in_parts(&left, portable::TOGETHER, portable::products),
    };
    let mut products = products.into_iter();
    let product = |pair: &(Factor, Affine<C>)| match is_left(&pair) {
        true => products.next().expect("one for each that is left"),
        false => pair.1,
    };
    pairs.iter().map(product).collect()
}

/// For each pair its sum and its difference. Give many: they share inversions.
pub(crate) fn sums_and_differences<C: Split>(
    pairs: &[(Affine<C>, Affine<C>)],
) -> Vec<(Affine<C>, Affine<C>)> {
    sums_and_differences_with(Backend::best(), pairs)
}

fn sums_and_differences_with<C: Split>(
    backend: Backend,
    pairs: &[(Affine<C>, Affine<C>)],
) -> Vec<(Affine<C>, Affine<C>)> {
    match backend {
        Backend::Portable => in_parts(pairs, portable::TOGETHER, portable::sums_and_differences),
        #[cfg(target_arch = "x86_64")]
        Backend::Ifma(ifma) => in_parts(pairs, wide::TOGETHER, |pairs| {
            wide::sums_and_differences(ifma, pairs)
        }),
    }
}

/// Works on parts of at most `most`, as many for each thread and of the same size, as far as possible.
fn in_parts<T: Sync, U: Send>(
    all: &[T],
    most: usize,
    work: impl Fn(&[T]) -> Vec<U> + Sync + Send,
) -> Vec<U> {
    let threads = rayon::current_num_threads();
    let parts = all.len().div_ceil(most).max(1).next_multiple_of(threads);
    // Whole blocks of eight.
    let size = all.len().div_ceil(parts).max(1).next_multiple_of(8);
    all.par_chunks(size).flat_map_iter(work).collect()
}

/// Multiplies every point with its number.
pub(crate) fn multiply<C: Split>(
    points: &[Affine<C>],
    number: impl Fn(usize) -> Fr + Sync,
) -> Vec<Affine<C>> {
    let pairs = points.par_iter().enumerate();
    let pairs = pairs.map(|(index, point)| (Factor::new::<C>(number(index)), *point));
    let mut pairs: Vec<(Factor, Affine<C>)> = pairs.collect();
    let products = products(&pairs);
    for (factor, _) in &mut pairs {
        factor.zeroize();
    }
    products
}

#[cfg(test)]
mod tests;
