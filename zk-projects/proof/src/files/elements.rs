//! What the binary files have in common within their sections: the modulus that says which curve they are for, and runs of points.

use ark_ff::{BigInteger, PrimeField};
use rayon::prelude::*;

use super::binary::{Cursor, FormatError};
use crate::curve::{NUMBER_BYTES, Point};

/// Reads the width of a field's numbers and its modulus, and checks that they are those of `F`.
///
/// # Errors
///
/// Another width or another modulus: the file is for another curve.
pub fn read_modulus<F: PrimeField>(cursor: &mut Cursor<'_>) -> Result<(), FormatError> {
    let at = cursor.offset();
    let width = cursor.u32()?;
    if width as usize != NUMBER_BYTES {
        return Err(cursor.error_at(
            at,
            format!("numbers of {width} bytes, where BN254's have {NUMBER_BYTES}"),
        ));
    }
    let at = cursor.offset();
    if cursor.take(NUMBER_BYTES)? != F::MODULUS.to_bytes_le() {
        return Err(cursor.error_at(
            at,
            "the modulus is not BN254's: the file is for another curve",
        ));
    }
    Ok(())
}

/// Appends what [`read_modulus`] reads.
pub fn write_modulus<F: PrimeField>(out: &mut Vec<u8>) {
    out.extend((NUMBER_BYTES as u32).to_le_bytes());
    out.extend(F::MODULUS.to_bytes_le());
}

/// Reads one point in the Montgomery form; it may be the identity.
///
/// # Errors
///
/// Fewer bytes are left, a number is not reduced, the point is not on the curve. The subgroup is not checked.
pub fn read_point<P: Point>(cursor: &mut Cursor<'_>) -> Result<P, FormatError> {
    let at = cursor.offset();
    let bytes = cursor.take(P::BYTES)?;
    P::read_montgomery(bytes).map_err(|error| cursor.error_at(at, error.to_string()))
}

/// Reads `count` points in the Montgomery form, on all cores.
///
/// # Errors
///
/// Those of [`read_point`], for the first point that is wrong.
pub fn read_points<P: Point>(cursor: &mut Cursor<'_>, count: usize) -> Result<Vec<P>, FormatError> {
    let mut one_by_one = cursor.clone();
    let Some(bytes) = count.checked_mul(P::BYTES) else {
        return Err(cursor.error(format!("{count} points do not fit into memory")));
    };
    let all: Result<Vec<P>, _> = cursor
        .take(bytes)?
        .par_chunks_exact(P::BYTES)
        .map(P::read_montgomery)
        .collect();
    match all {
        Ok(points) => Ok(points),
        // Whichever thread found its bad point first: look for the first in the file.
        Err(_) => (0..count).map(|_| read_point(&mut one_by_one)).collect(),
    }
}

/// Appends points in the Montgomery form.
pub fn write_points<P: Point>(points: &[P], out: &mut Vec<u8>) {
    out.reserve(points.len() * P::BYTES);
    for point in points {
        point.write_montgomery(out);
    }
}
