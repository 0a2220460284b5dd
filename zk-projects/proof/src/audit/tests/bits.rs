//! Bits and digits: decompositions, comparisons with r, and sums in the place of bits.

use super::*;

#[test]
fn bits_below_the_field_are_unique() {
    for count in [1, 8, 64, 253] {
        let mut circuit = Circuit::new(&[0], &[1]);
        let bits = circuit.bits(&wire(2), count);
        circuit.product(&wire(bits[0]), &wire(1));
        let report = circuit.audit();
        assert!(report.is_clean(), "{count} bits");
        assert_eq!(report.kernel, Kernel::Trivial);
    }
}

#[test]
fn bits_as_many_as_the_field_has_are_not_unique() {
    let mut circuit = Circuit::new(&[], &[77]);
    let bits = circuit.bits(&wire(1), 254);
    let report = circuit.audit();
    assert_eq!(undecided(&report), bits);
    assert_eq!(classes(&report), [Class::WideDecomposition]);
    assert_eq!(report.findings[0].wires, bits);

    // The second answer: the bits of 77 + r.
    let mut other = BigUint::from(Fr::MODULUS) + 77_u8;
    let mut values = circuit.values.clone();
    for bit in bits {
        values[bit as usize] = Fr::from(other.bit(0));
        other >>= 1;
    }
    assert_ne!(values, circuit.values);
    assert_eq!(circuit.r1cs().first_unsatisfied(&values), None);
}

#[test]
fn a_comparison_wider_than_the_field_is_found() {
    // x < y for numbers of 253 bits: the bits of x + 2^253 - y, of which there are 254.
    let mut circuit = Circuit::new(&[], &[5, 9]);
    let power = Fr::from(2_u8).pow([253]);
    let difference = plus(&minus(&wire(1), &wire(2)), &vec![(0, power)]);
    circuit.bits(&difference, 254);
    assert_eq!(classes(&circuit.audit()), [Class::WideDecomposition]);
}

#[test]
fn digits_of_which_one_is_no_bit_are_undecided() {
    let mut circuit = Circuit::new(&[], &[6]);
    let bits = circuit.bits(&wire(1), 3);
    for boolean in 0..3 {
        assert_eq!(undecided(&circuit.without(boolean).audit()), bits);
    }
    let sum = 3;
    assert_eq!(undecided(&circuit.without(sum).audit()), bits);
}

#[test]
fn digits_may_be_larger_than_bits_but_not_than_their_weights_allow() {
    for (weight, is_unique) in [(16, true), (15, false)] {
        let mut circuit = Circuit::new(&[7 + 3 * weight], &[]);
        let low = circuit.hint(Fr::from(7_u8));
        let high = circuit.hint(Fr::from(3_u8));
        circuit.bits(&wire(low), 4);
        circuit.bits(&wire(high), 4);
        let weight = i64::try_from(weight).expect("small");
        circuit.assert(
            plus(&wire(low), &times(weight, &wire(high))),
            one(),
            wire(1),
        );
        let report = circuit.audit();
        assert_eq!(
            report.verdict == Verdict::Unique,
            is_unique,
            "weight {weight}"
        );
    }
}

#[test]
fn digits_that_reach_beyond_the_field_are_undecided() {
    for (high_bits, is_unique) in [(1, true), (2, false)] {
        let mut circuit = Circuit::new(&[7], &[]);
        let low = circuit.hint(Fr::from(7_u8));
        let high = circuit.hint(Fr::zero());
        circuit.bits(&wire(low), 252);
        circuit.bits(&wire(high), high_bits);
        let weight = Fr::from(2_u8).pow([252]);
        circuit.assert(plus(&wire(low), &vec![(high, weight)]), one(), wire(1));
        assert_eq!(
            circuit.audit().verdict == Verdict::Unique,
            is_unique,
            "{high_bits} more bits"
        );
    }
}

#[test]
fn carries_of_a_sum_are_unique() {
    // Two numbers of 8 bits: the sum's 8 bits, and a carry.
    let mut circuit = Circuit::new(&[200, 100], &[]);
    circuit.bits(&plus(&wire(1), &wire(2)), 9);
    assert!(circuit.audit().is_clean());
}

/// Compares bits, the lowest first, with r - 1, as a running product of those of them that must not all be set: where r - 1 has a bit, `all`
/// becomes `all * bit`; where it has not, `all * bit = 0`.
fn below_r(circuit: &mut Circuit, bits: &[u32]) {
    let limit = BigUint::from(Fr::MODULUS) - 1_u8;
    let mut all = one();
    for (index, bit) in bits.iter().enumerate().rev() {
        if limit.bit(index as u64) {
            all = wire(circuit.product(&all, &wire(*bit)));
        } else {
            circuit.assert(all.clone(), wire(*bit), Vec::new());
        }
    }
}

#[test]
fn bits_that_are_compared_with_r_are_unique() {
    let mut circuit = Circuit::new(&[], &[77]);
    let bits = circuit.bits(&wire(1), 254);
    let comparison = circuit.rows.len();
    below_r(&mut circuit, &bits);
    assert!(circuit.audit().is_clean());

    // The first says that the highest bit, which r - 1 has, is a bit; nothing depends on the last products.
    let limit = BigUint::from(Fr::MODULUS) - 1_u8;
    let lacking = (0..254)
        .rev()
        .filter(|bit| !limit.bit(*bit))
        .map(|bit| 253 - bit);
    for bit in lacking.step_by(25) {
        let row = comparison + usize::try_from(bit).expect("small");
        let report = circuit.without(row).audit();
        assert_eq!(
            classes(&report),
            [Class::WideDecomposition],
            "without row {row}"
        );
        assert_eq!(undecided(&report)[..254], bits);
    }
}

#[test]
fn a_sum_in_the_place_of_a_bit_is_as_good_as_a_bit() {
    // As circom's second level of optimisation does: the middle one of five bits is a sum of the others.
    let mut circuit = Circuit::new(&[19], &[]);
    let bits: Vec<u32> = [1_u8, 1, 0, 1]
        .iter()
        .map(|bit| circuit.bit(Fr::from(*bit)))
        .collect();
    let others: Sum = bits
        .iter()
        .copied()
        .zip([1, 2, 8, 16].map(Fr::from))
        .collect();
    let quarter = Fr::from(4_u8).inverse().expect("not zero");
    let middle: Sum = minus(&wire(1), &others)
        .iter()
        .map(|(w, k)| (*w, *k * quarter))
        .collect();
    circuit.assert(minus(&middle, &one()), middle, Vec::new());
    assert!(circuit.audit().is_clean());
    for bit in 0..=bits.len() {
        assert_eq!(undecided(&circuit.without(bit).audit()), bits);
    }
}

#[test]
fn bits_that_are_no_more_than_another_are_bits() {
    // x (1 - all - x) = 0: if `all` is 1, x is 0; otherwise it is a bit.
    let mut circuit = Circuit::new(&[2], &[0]);
    circuit.make_bit(2);
    let bits: Vec<u32> = [0_u8, 1]
        .iter()
        .map(|bit| circuit.hint(Fr::from(*bit)))
        .collect();
    for bit in &bits {
        let allowed = minus(&minus(&one(), &wire(2)), &wire(*bit));
        circuit.assert(wire(*bit), allowed, Vec::new());
    }
    circuit.assert(weighted(&bits), one(), wire(1));
    assert!(circuit.audit().is_clean());
    assert_eq!(undecided(&circuit.without(0).audit()), bits);
}
