//! The Groth16 verifier.
use ark_bn254::{G1Affine, G2Affine};

/// A Groth16 proof ([Groth16], section 3.2).
///
/// It is no identifier: from a proof anybody can make another one of the same statement. What must happen once is told apart by
/// its nullifier.
///
/// [Groth16]: https://eprint.iacr.org/2016/260
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    /// A.
    pub a: G1Affine,
    /// B.
    pub b: G2Affine,
    /// C.
    pub c: G1Affine,
}
