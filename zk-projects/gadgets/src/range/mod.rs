//! Numbers as bits.
//!
//! # What it is
//!
//! [`bits`] shows that a number is below 2^n, for n up to 253, and gives its bits, lowest first. [`strict_bits`] gives all 254 bits of
//! any number. [`to_bits`] is the native counterpart.
//!
//! # What it guarantees
//!
//! The bits are the only ones. With 254 of them that needs care: 2^254 is larger than r, so the bits of x and of x + r both sum to x in
//! the field. [`strict_bits`] shows in addition that the bits, as an integer, are below r.
//!
//! # What it does not
//!
//! Sums of numbers in range can leave the range; whoever adds says why the sum cannot reach r.
//!
//! # How it works
//!
//! Comparing with r - 1 from the highest bit down: as long as the bits equal those of r - 1, a bit must be 0 where r - 1 has 0.
//!
//! ```text
//! r - 1    1 1 0 0 ...        equal so far = b253 b252
//! bits     b253 b252 b251     b251 (1 - equal - b251) = 0: a bit, and 0 if equal so far
//! ```
//!
//! This constraint is at the same time that of a bit, so that only the runs of ones cost more.

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, BigInteger, Field, PrimeField};
use ark_relations::gr1cs::SynthesisError;

use crate::wire::{Circuit, Wire};

/// Bits of a number of the field.
pub const NUMBER_BITS: usize = 254;

/// The lowest `count` bits of a number, lowest first.
#[must_use]
pub fn to_bits(number: Fr, count: usize) -> Vec<bool> {
    let number = number.into_bigint();
    (0..count).map(|bit| number.get_bit(bit)).collect()
}

/// Shows that `number` is below 2^`count` and returns its bits: `count` + 1 constraints.
///
/// # Errors
///
/// Those of arkworks.
///
/// # Panics
///
/// If `count` is more than 253, where the sum of the bits could exceed r.
pub fn bits(circuit: &Circuit, number: &Wire, count: usize) -> Result<Vec<Wire>, SynthesisError> {
    assert!(count < NUMBER_BITS, "at most 253 bits have one sum");
    let bits = allocated(circuit, &to_bits(number.value(), count))?;
    for bit in &bits {
        circuit.enforce_boolean(bit)?;
    }
    circuit.enforce_equal(&sum(&bits), number)?;
    Ok(bits)
}

/// The 254 bits of `number`.
///
/// # Errors
///
/// Those of arkworks.
pub fn strict_bits(circuit: &Circuit, number: &Wire) -> Result<Vec<Wire>, SynthesisError> {
    decompose(circuit, number, &to_bits(number.value(), NUMBER_BITS))
}

fn decompose(circuit: &Circuit, number: &Wire, bits: &[bool]) -> Result<Vec<Wire>, SynthesisError> {
    let bits = allocated(circuit, bits)?;
    enforce_below_modulus(circuit, &bits)?;
    circuit.enforce_equal(&sum(&bits), number)?;
    Ok(bits)
}

fn enforce_below_modulus(circuit: &Circuit, bits: &[Wire]) -> Result<(), SynthesisError> {
    let largest = (-Fr::ONE).into_bigint();
    // 1 as long as all bits so far where r - 1 has 1 are 1: then the integer may still exceed it.
    let mut equal = Wire::constant(Fr::ONE);
    for (position, bit) in bits.iter().enumerate().rev() {
        if largest.get_bit(position) {
            circuit.enforce_boolean(bit)?;
            equal = circuit.product(&equal, bit)?;
        } else {
            let allowed = Wire::constant(Fr::ONE).minus(&equal).minus(bit);
            circuit.enforce_product(bit, &allowed, &Wire::constant(Fr::ZERO))?;
        }
    }
    Ok(())
}

fn allocated(circuit: &Circuit, bits: &[bool]) -> Result<Vec<Wire>, SynthesisError> {
    bits.iter()
        .map(|bit| circuit.private(Fr::from(*bit)))
        .collect()
}

fn sum(bits: &[Wire]) -> Wire {
    let (mut sum, mut weight) = (Wire::constant(Fr::ZERO), Fr::ONE);
    for bit in bits {
        sum.add_multiple(bit, weight);
        weight.double_in_place();
    }
    sum
}

#[cfg(test)]
mod tests {
    use ark_ff::BigInt;
    use ark_relations::gr1cs::ConstraintSystem;

    use super::*;

    fn accepts(number: Fr, bits: &[bool]) -> bool {
        let system = ConstraintSystem::new_ref();
        let circuit = Circuit::new(&system);
        let number = circuit.private(number).unwrap();
        decompose(&circuit, &number, bits).unwrap();
        system.is_satisfied().unwrap()
    }

    fn integer_bits(integer: BigInt<4>) -> Vec<bool> {
        (0..NUMBER_BITS).map(|bit| integer.get_bit(bit)).collect()
    }

    /// Every x below 2^254 - r has a second integer, x + r, with the same sum of bits in the field.
    #[test]
    fn the_bits_of_x_plus_r_are_refused() {
        let mut last = BigInt([u64::MAX, u64::MAX, u64::MAX, (1 << 62) - 1]);
        last.sub_with_borrow(&Fr::MODULUS);
        for small in [
            BigInt::from(0_u64),
            BigInt::from(1_u64),
            BigInt::from(u64::MAX),
            last,
        ] {
            let number = Fr::from_bigint(small).unwrap();
            assert!(accepts(number, &integer_bits(small)));
            let mut alias = small;
            alias.add_with_carry(&Fr::MODULUS);
            assert!(!accepts(number, &integer_bits(alias)), "{small}");
        }
    }

    #[test]
    fn the_largest_number_has_bits() {
        let number = -Fr::ONE;
        assert!(accepts(number, &to_bits(number, NUMBER_BITS)));
    }
}
