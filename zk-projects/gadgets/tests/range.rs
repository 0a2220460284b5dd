//! Bits of numbers, nullifiers, contexts: native code against circuit, and what must be refused.

mod common;

use ark_bn254::Fr;
use ark_ff::Field;
use common::{number, solve};
use gadgets::context;
use gadgets::nullifier::{of_note, of_note_wires, scoped, scoped_wires};
use gadgets::range::{NUMBER_BITS, bits, strict_bits, to_bits};
use proptest::prelude::*;

#[test]
fn numbers_at_the_end_of_the_range_are_accepted_and_the_next_refused() {
    let end = Fr::from(2).pow([128]);
    for (number, is_in) in [
        (Fr::from(0), true),
        (end - Fr::from(1), true),
        (end, false),
        (end + Fr::from(1), false),
        (-Fr::from(1), false),
    ] {
        let solved = solve(|circuit| bits(circuit, &circuit.private(number)?, 128));
        assert_eq!(solved.unsatisfied().is_none(), is_in, "{number}");
    }
}

/// Bits of other weights could make up for one that is 2.
#[test]
fn a_bit_of_two_is_refused() {
    let solved = solve(|circuit| bits(circuit, &circuit.private(Fr::from(4))?, 8));
    assert_eq!(solved.unsatisfied(), None);
    let mut wires = solved.wires.clone();
    // wires: one, the number, bits from the lowest; 4 = 2 * 2^1
    (wires[3], wires[4]) = (Fr::from(2), Fr::from(0));
    assert!(solved.with(wires).unsatisfied().is_some());
}

#[test]
#[should_panic(expected = "at most 253 bits")]
fn more_bits_than_have_one_sum_are_refused() {
    solve(|circuit| bits(circuit, &circuit.private(Fr::from(1))?, NUMBER_BITS));
}

/// `cast keccak $(cast abi-encode ...)` and the like: known hashes of keccak256.
#[test]
fn keccak_is_that_of_ethereum() {
    let hex: String = context::keccak(b"")
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    assert_eq!(
        hex,
        "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    );
    let hex: String = context::keccak(b"hello")
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    assert_eq!(
        hex,
        "1c8aff950685c2ed4bc3174f3472287b56d9517b9c948127319a09a7a36deac8"
    );
}

#[test]
fn words_are_those_of_the_abi() {
    assert_eq!(context::number_word(258)[30..], [1, 2]);
    assert_eq!(context::number_word(258)[..30], [0; 30]);
    let word = context::address_word([7; 20]);
    assert_eq!((&word[..12], &word[12..]), (&[0; 12][..], &[7; 20][..]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn bits_agree_with_native_code(number in number(), small in any::<u128>()) {
        let solved = solve(|circuit| strict_bits(circuit, &circuit.private(number)?));
        prop_assert_eq!(solved.unsatisfied(), None);
        let values: Vec<Fr> = solved.result.iter().map(gadgets::wire::Wire::value).collect();
        let native: Vec<Fr> = to_bits(number, NUMBER_BITS).into_iter().map(Fr::from).collect();
        prop_assert_eq!(values, native);

        let small = Fr::from(small);
        let solved = solve(|circuit| bits(circuit, &circuit.private(small)?, 128));
        prop_assert_eq!(solved.unsatisfied(), None);
        let values: Vec<bool> = solved.result.iter().map(|bit| bit.value() == Fr::ONE).collect();
        prop_assert_eq!(values, to_bits(small, 128));
    }

    #[test]
    fn nullifiers_agree_with_native_code(a in number(), b in number(), position in any::<u64>()) {
        let solved = solve(|circuit| scoped_wires(circuit, &circuit.private(a)?, &circuit.private(b)?));
        prop_assert_eq!(solved.result.value(), scoped(a, b));
        prop_assert_eq!(solved.unsatisfied(), None);
        let place = Fr::from(position);
        let solved = solve(|circuit| {
            let [a, b, place] = [a, b, place].map(|x| circuit.private(x));
            of_note_wires(circuit, &a?, &b?, &place?)
        });
        prop_assert_eq!(solved.result.value(), of_note(a, b, position));
        prop_assert_eq!(solved.unsatisfied(), None);
    }

    #[test]
    fn every_word_of_a_context_changes_it(words in prop::collection::vec(any::<[u8; 32]>(), 1..6), at in any::<prop::sample::Index>(), byte in 0_usize..32) {
        let mut other = words.clone();
        other[at.index(words.len())][byte] ^= 1;
        prop_assert_ne!(context::hash(&words), context::hash(&other));
    }

    #[test]
    fn a_context_is_used_by_a_constraint(context in number()) {
        let solved = solve(|circuit| context::bind(circuit, &circuit.public(context)?));
        prop_assert_eq!(solved.unsatisfied(), None);
        prop_assert!(solved.unsatisfied_with(1).is_some() || context + Fr::from(1) == -context);
    }
}
