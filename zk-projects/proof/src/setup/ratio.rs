//! Whether pairs of points have the same ratio, by a pairing.

use ark_bn254::{Bn254, Fr, G1Affine, G2Affine};
use ark_ec::AffineRepr;
use ark_ec::pairing::Pairing;
use ark_ff::{UniformRand, Zero};
use ark_std::rand::{CryptoRng, RngCore};

/// Whether `g1.1 = x g1.0` and `g2.1 = x g2.0` for the same x, none of the points being the identity: `e(g1.0, g2.1) = e(g1.1, g2.0)`.
///
/// The points of G2 must be in the subgroup.
pub(crate) fn same_ratio(g1: (G1Affine, G1Affine), g2: (G2Affine, G2Affine)) -> bool {
    if g1.0.is_zero() || g1.1.is_zero() || g2.0.is_zero() || g2.1.is_zero() {
        return false;
    }
    Bn254::multi_pairing([g1.0, -g1.1], [g2.1, g2.0]).is_zero()
}

/// Numbers for a random linear combination: who cannot foresee them gets through with a probability of 2^-128.
pub(crate) fn weights<R: RngCore + CryptoRng>(count: usize, random: &mut R) -> Vec<Fr> {
    (0..count).map(|_| Fr::from(u128::rand(random))).collect()
}
