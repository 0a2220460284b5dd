//! How randomness becomes numbers and points, as snarkjs' ceremonies have it.
//!
//! Everything is drawn from `ChaCha20` with a seed of eight words. A number is four 64-bit words, lowest first, each of two 32-bit
//! draws, the higher first; bits above the modulus' length are cleared and draws not below the modulus repeated. What was drawn
//! is the number's *Montgomery form*: the number itself is 2^256 times smaller.
//!
//! A point is a drawn x, then one drawn bit that chooses between y and -y (set: the larger one), repeated while x is on no
//! point; in G2 it is multiplied with the cofactor, which takes it into the subgroup of order r.
//!
//! This is not a constant-time hash to the curve. What is hashed here is public.

use crate::curve::{is_larger, is_larger_fq2};
use ark_bn254::{Fq2, Fr, G1Affine, G2Affine};
use ark_ec::short_weierstrass::{Affine, SWCurveConfig};
use ark_ec::{AffineRepr, CurveConfig, CurveGroup};
use ark_ff::{BigInt, Field, Fp, MontBackend, MontConfig, PrimeField};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// A stream of draws from the first 32 bytes of a hash, eight big-endian words.
///
/// # Panics
///
/// If there are fewer than 32 bytes.
pub(crate) fn from_hash(hash: &[u8]) -> ChaCha20Rng {
    let mut seed = [0; 32];
    for (word, of_hash) in seed.chunks_exact_mut(4).zip(hash[..32].chunks_exact(4)) {
        let value = u32::from_be_bytes(of_hash.try_into().expect("four bytes"));
        word.copy_from_slice(&value.to_le_bytes());
    }
    ChaCha20Rng::from_seed(seed)
}

/// A number of either field.
pub(crate) fn number<C: MontConfig<4>>(random: &mut impl RngCore) -> Fp<MontBackend<C, 4>, 4> {
    loop {
        let mut limbs = [0; 4];
        for limb in &mut limbs {
            let high = u64::from(random.next_u32());
            *limb = high << 32 | u64::from(random.next_u32());
        }
        limbs[3] &= u64::MAX >> (256 - Fp::<MontBackend<C, 4>, 4>::MODULUS_BIT_SIZE);
        if BigInt(limbs) < C::MODULUS {
            return Fp::new_unchecked(BigInt(limbs));
        }
    }
}

/// A point of G1 of which nobody knows the logarithm.
pub(crate) fn point_g1(random: &mut impl RngCore) -> G1Affine {
    point(random, number::<ark_bn254::FqConfig>, is_larger)
}

/// The point of G2 that a hash (its first 32 bytes) stands for.
pub(crate) fn hash_to_g2(hash: &[u8]) -> G2Affine {
    let random = &mut from_hash(hash);
    let x = |random: &mut ChaCha20Rng| {
        let c0 = number::<ark_bn254::FqConfig>(random);
        Fq2::new(c0, number::<ark_bn254::FqConfig>(random))
    };
    let on_curve = point(random, x, is_larger_fq2);
    let cofactor = ark_bn254::g2::Config::COFACTOR;
    on_curve.mul_bigint(cofactor).into_affine()
}

fn point<C: SWCurveConfig<ScalarField = Fr>, R: RngCore>(
    random: &mut R,
    draw_x: impl Fn(&mut R) -> C::BaseField,
    is_larger: impl Fn(C::BaseField) -> bool,
) -> Affine<C> {
    loop {
        let x = draw_x(random);
        let larger = random.next_u32() & 1 == 1;
        if let Some(y) = (x.square() * x + C::COEFF_B).sqrt() {
            let y = if is_larger(y) == larger { y } else { -y };
            return Affine::new_unchecked(x, y);
        }
    }
}
