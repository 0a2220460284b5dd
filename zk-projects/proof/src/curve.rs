//! BN254's numbers and points as bytes and as decimal text.
//!
//! Four forms are in use, and mixing them up is the classic mistake:
//!
//! | form | a coordinate is | a point is | used by |
//! |---|---|---|---|
//! | *Montgomery* | 32 bytes, little-endian, times 2^256 mod q | x, y; infinity is all zeros | points in `.zkey` and `.ptau` |
//! | *plain* | 32 bytes, little-endian | | numbers in `.r1cs` and `.wtns` |
//! | *doubled Montgomery* | 32 bytes, little-endian, times 2^512 mod r | | coefficients in `.zkey` |
//! | *uncompressed* | 32 bytes, big-endian; in G2 the `u` part comes first | x, y; infinity is all zeros | transcripts that are hashed |
//!
//! In G2 a coordinate is `c0 + c1 u`: the Montgomery form writes `c0` first, the uncompressed form `c1` first.
//!
//! The Montgomery form is also how arkworks holds numbers in memory, so reading it is a comparison with q and a copy.

use ark_bn254::{Fq, Fq2, Fr};
use ark_ec::AffineRepr;
use ark_ec::short_weierstrass::Affine;
use ark_ff::{BigInt, BigInteger, PrimeField, Zero};

use crate::subgroup;

/// Bytes of a number of either field.
pub const NUMBER_BYTES: usize = 32;
/// Bytes of a point of G1 in the Montgomery and in the uncompressed form.
pub const G1_BYTES: usize = 2 * NUMBER_BYTES;
/// Bytes of a point of G2 in the Montgomery and in the uncompressed form.
pub const G2_BYTES: usize = 4 * NUMBER_BYTES;

/// What is wrong with the bytes of a number or point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodingError {
    /// A number is not below its field's modulus.
    #[error("a number is not below the field's modulus")]
    NotReduced,
    /// A point does not satisfy the curve's equation.
    #[error("a point is not on the curve")]
    NotOnCurve,
    /// A point of G2 is on the curve but not in the subgroup of order r.
    #[error("a point of G2 is not in the subgroup of prime order")]
    NotInSubgroup,
}

/// A point of G1 or G2: its bytes in each form.
pub trait Point: AffineRepr<ScalarField = Fr> {
    /// Bytes in the Montgomery and in the uncompressed form.
    const BYTES: usize;

    /// Reads the Montgomery form and checks the curve's equation, not the subgroup.
    ///
    /// # Errors
    ///
    /// [`EncodingError::NotReduced`], [`EncodingError::NotOnCurve`].
    ///
    /// # Panics
    ///
    /// If `bytes` is not [`Self::BYTES`] long.
    fn read_montgomery(bytes: &[u8]) -> Result<Self, EncodingError>;

    /// Appends the Montgomery form.
    fn write_montgomery(&self, out: &mut Vec<u8>);

    /// Appends the uncompressed form.
    fn write_uncompressed(&self, out: &mut Vec<u8>);

    /// Appends the compressed form: x as in the uncompressed one, with the highest bit set if y is the larger of the two that x
    /// allows.
    fn write_compressed(&self, out: &mut Vec<u8>);

    /// Whether the point, known to be on the curve, is in the subgroup of order r. Always true in G1, whose cofactor is 1.
    fn in_subgroup(&self) -> bool;

    /// The first point that is not in the subgroup, of points that are known to be on the curve. Many are looked at together, as
    /// [`subgroup`] describes.
    fn first_outside(points: &[Self]) -> Option<usize>;
}

impl Point for Affine<ark_bn254::g1::Config> {
    const BYTES: usize = G1_BYTES;

    fn read_montgomery(bytes: &[u8]) -> Result<Self, EncodingError> {
        assert_eq!(bytes.len(), Self::BYTES, "bytes of a point of G1");
        if bytes.iter().all(|byte| *byte == 0) {
            return Ok(Self::zero());
        }
        let (x, y) = bytes.split_at(NUMBER_BYTES);
        on_curve(
            Self::new_unchecked(read_fq(x)?, read_fq(y)?),
            Self::is_on_curve,
        )
    }

    fn write_montgomery(&self, out: &mut Vec<u8>) {
        let (x, y) = self.xy().unwrap_or((Fq::zero(), Fq::zero()));
        write_fq(x, out);
        write_fq(y, out);
    }

    fn write_uncompressed(&self, out: &mut Vec<u8>) {
        let (x, y) = self.xy().unwrap_or((Fq::zero(), Fq::zero()));
        out.extend(x.into_bigint().to_bytes_be());
        out.extend(y.into_bigint().to_bytes_be());
    }

    fn write_compressed(&self, out: &mut Vec<u8>) {
        let larger = self.y().is_some_and(is_larger);
        write_compressed(self, larger, out);
    }

    fn in_subgroup(&self) -> bool {
        true
    }

    fn first_outside(_: &[Self]) -> Option<usize> {
        None
    }
}

impl Point for Affine<ark_bn254::g2::Config> {
    const BYTES: usize = G2_BYTES;

    fn read_montgomery(bytes: &[u8]) -> Result<Self, EncodingError> {
        assert_eq!(bytes.len(), Self::BYTES, "bytes of a point of G2");
        if bytes.iter().all(|byte| *byte == 0) {
            return Ok(Self::zero());
        }
        let coordinate = |at: usize| {
            let c0 = read_fq(&bytes[at..at + NUMBER_BYTES])?;
            let c1 = read_fq(&bytes[at + NUMBER_BYTES..at + 2 * NUMBER_BYTES])?;
            Ok(Fq2::new(c0, c1))
        };
        on_curve(
            Self::new_unchecked(coordinate(0)?, coordinate(2 * NUMBER_BYTES)?),
            Self::is_on_curve,
        )
    }

    fn write_montgomery(&self, out: &mut Vec<u8>) {
        let (x, y) = self.xy().unwrap_or((Fq2::zero(), Fq2::zero()));
        for number in [x.c0, x.c1, y.c0, y.c1] {
            write_fq(number, out);
        }
    }

    fn write_uncompressed(&self, out: &mut Vec<u8>) {
        let (x, y) = self.xy().unwrap_or((Fq2::zero(), Fq2::zero()));
        for number in [x.c1, x.c0, y.c1, y.c0] {
            out.extend(number.into_bigint().to_bytes_be());
        }
    }

    fn write_compressed(&self, out: &mut Vec<u8>) {
        let larger = self.y().is_some_and(is_larger_fq2);
        write_compressed(self, larger, out);
    }

    fn in_subgroup(&self) -> bool {
        self.is_in_correct_subgroup_assuming_on_curve()
    }

    fn first_outside(points: &[Self]) -> Option<usize> {
        subgroup::first_outside(points)
    }
}

fn on_curve<P>(point: P, holds: impl Fn(&P) -> bool) -> Result<P, EncodingError> {
    if holds(&point) {
        Ok(point)
    } else {
        Err(EncodingError::NotOnCurve)
    }
}

/// The compressed form of infinity: `0x40` and zeros.
const COMPRESSED_INFINITY: u8 = 0x40;
const LARGER_Y: u8 = 0x80;

fn write_compressed<P: Point>(point: &P, larger_y: bool, out: &mut Vec<u8>) {
    let start = out.len();
    point.write_uncompressed(out);
    out.truncate(start + P::BYTES / 2);
    if point.is_zero() {
        out[start] = COMPRESSED_INFINITY;
    } else if larger_y {
        out[start] |= LARGER_Y;
    }
}

/// Whether a coordinate is above (q - 1) / 2, so that it is the larger of itself and its negative.
pub(crate) fn is_larger(y: Fq) -> bool {
    y.into_bigint() > Fq::MODULUS_MINUS_ONE_DIV_TWO
}

/// The same in G2, where the `u` part decides unless it is zero.
pub(crate) fn is_larger_fq2(y: Fq2) -> bool {
    is_larger(if y.c1.is_zero() { y.c0 } else { y.c1 })
}

fn limbs(bytes: &[u8]) -> [u64; 4] {
    let mut limbs = [0; 4];
    for (limb, eight) in limbs.iter_mut().zip(bytes.chunks_exact(8)) {
        *limb = u64::from_le_bytes(eight.try_into().expect("chunks of eight bytes"));
    }
    limbs
}

fn read_fq(bytes: &[u8]) -> Result<Fq, EncodingError> {
    let number = BigInt(limbs(bytes));
    if number >= Fq::MODULUS {
        return Err(EncodingError::NotReduced);
    }
    Ok(Fq::new_unchecked(number))
}

fn write_fq(number: Fq, out: &mut Vec<u8>) {
    for limb in number.0.0 {
        out.extend(limb.to_le_bytes());
    }
}

/// Reads a number of the scalar field in the plain form.
///
/// # Errors
///
/// [`EncodingError::NotReduced`].
///
/// # Panics
///
/// If `bytes` is not [`NUMBER_BYTES`] long.
pub fn read_plain(bytes: &[u8]) -> Result<Fr, EncodingError> {
    assert_eq!(bytes.len(), NUMBER_BYTES, "bytes of a number");
    Fr::from_bigint(BigInt(limbs(bytes))).ok_or(EncodingError::NotReduced)
}

/// Appends a number of the scalar field in the plain form.
pub fn write_plain(number: Fr, out: &mut Vec<u8>) {
    for limb in number.into_bigint().0 {
        out.extend(limb.to_le_bytes());
    }
}

/// Reads a number of the scalar field in the doubled Montgomery form.
///
/// # Errors
///
/// [`EncodingError::NotReduced`].
///
/// # Panics
///
/// If `bytes` is not [`NUMBER_BYTES`] long.
pub fn read_doubled_montgomery(bytes: &[u8]) -> Result<Fr, EncodingError> {
    assert_eq!(bytes.len(), NUMBER_BYTES, "bytes of a number");
    let number = BigInt(limbs(bytes));
    if number >= Fr::MODULUS {
        return Err(EncodingError::NotReduced);
    }
    // Taken as the Montgomery form it is the number times 2^256; the inverse of 2^256 is what has the Montgomery form 1.
    Ok(Fr::new_unchecked(number) * Fr::new_unchecked(BigInt::one()))
}

/// Appends a number of the scalar field in the doubled Montgomery form.
pub fn write_doubled_montgomery(number: Fr, out: &mut Vec<u8>) {
    // The Montgomery form of 2^256 is 2^512.
    for limb in (number * Fr::new_unchecked(Fr::R2)).0.0 {
        out.extend(limb.to_le_bytes());
    }
}
