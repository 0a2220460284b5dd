//! What the start of a key is made of: the Lagrange points of one domain, as points or as numbers.

use ark_bn254::Fr;
use ark_ec::scalar_mul::ScalarMul;
use ark_ec::short_weierstrass::{Affine, Projective};
use ark_ec::{AffineRepr, CurveGroup, PrimeGroup, VariableBaseMSM};
use ark_ff::{One, Zero};
use zeroize::{Zeroize, Zeroizing};

use super::multiply::{Factor, Split, products};

/// What the start needs of powers of tau, for a domain of n.
pub(crate) struct Basis<E1, E2> {
    /// The n Lagrange points.
    pub(crate) tau_g1: Vec<E1>,
    /// The same in G2.
    pub(crate) tau_g2: Vec<E2>,
    /// The same times alpha.
    pub(crate) alpha_tau_g1: Vec<E1>,
    /// The same times beta.
    pub(crate) beta_tau_g1: Vec<E1>,
    /// The n odd ones of the Lagrange points for a domain of 2n.
    pub(crate) odd_g1: Vec<E1>,
    /// `tau^i (tau^n - 1)` for i below [`hashed_powers`](super::circuit::hashed_powers).
    pub(crate) vanishing_g1: Vec<E1>,
    pub(crate) alpha_g1: E1,
    pub(crate) beta_g1: E1,
    pub(crate) beta_g2: E2,
}

impl Zeroize for Basis<Known, Known> {
    fn zeroize(&mut self) {
        for numbers in [
            &mut self.tau_g1,
            &mut self.tau_g2,
            &mut self.alpha_tau_g1,
            &mut self.beta_tau_g1,
            &mut self.odd_g1,
            &mut self.vanishing_g1,
        ] {
            numbers.zeroize();
        }
        for number in [&mut self.alpha_g1, &mut self.beta_g1, &mut self.beta_g2] {
            number.zeroize();
        }
    }
}

/// What a Lagrange point may be: something of which there are sums with coefficients, and which stands for a point `P`.
pub(crate) trait Element<P>: Copy + Send + Sync {
    /// A sum.
    type Sum: Send;

    /// The sum of the elements times their coefficients.
    fn sum(terms: impl Iterator<Item = (Fr, Self)>) -> Self::Sum;

    /// The points that sums stand for.
    fn points(sums: Vec<Self::Sum>) -> Vec<P>;
}

/// From so many terms on, buckets are cheaper than one multiplication each.
const BUCKETS_FROM: usize = 64;

impl<C: Split> Element<Self> for Affine<C> {
    type Sum = Projective<C>;

    fn sum(terms: impl Iterator<Item = (Fr, Self)>) -> Projective<C> {
        let minus_one = -Fr::one();
        let (mut sum, mut bases, mut scalars) = (Projective::<C>::zero(), Vec::new(), Vec::new());
        for (coefficient, point) in terms {
            if coefficient.is_one() {
                sum += point;
            } else if coefficient == minus_one {
                sum -= point;
            } else {
                bases.push(point);
                scalars.push(coefficient);
            }
        }
        if bases.len() < BUCKETS_FROM {
            let factors = scalars.into_iter().map(Factor::new::<C>);
            let pairs: Vec<_> = factors.zip(bases).collect();
            products(&pairs)
                .into_iter()
                .fold(sum, |sum, product| sum + product)
        } else {
            sum + Projective::<C>::msm_unchecked(&bases, &scalars)
        }
    }

    fn points(sums: Vec<Projective<C>>) -> Vec<Self> {
        Projective::normalize_batch(&sums)
    }
}

/// A point that is known as a multiple of its group's generator: a secret, as tau can be computed from it.
#[derive(Clone, Copy)]
pub(crate) struct Known(pub(crate) Fr);

impl Zeroize for Known {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

impl<P: AffineRepr<ScalarField = Fr>> Element<P> for Known
where
    P::Group: ScalarMul<MulBase = P>,
{
    type Sum = Fr;

    fn sum(terms: impl Iterator<Item = (Fr, Self)>) -> Fr {
        terms
            .map(|(coefficient, Self(known))| coefficient * known)
            .sum()
    }

    fn points(sums: Vec<Fr>) -> Vec<P> {
        let sums = Zeroizing::new(sums);
        P::Group::generator().batch_mul(&sums)
    }
}
