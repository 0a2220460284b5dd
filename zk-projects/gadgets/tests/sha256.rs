//! SHA-256 over wires against crate `sha2`, and what must be refused.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

mod common;

use ark_bn254::Fr;
use ark_relations::gr1cs::SynthesisError;
use common::{Solved, solve};
use gadgets::sha256::{Word, digest, hash_wires};
use gadgets::wire::Circuit;
use proptest::prelude::*;

fn words(bytes: &[u8]) -> Vec<u32> {
    let words = bytes.chunks_exact(4).map(|word| word.try_into().unwrap());
    words.map(u32::from_be_bytes).collect()
}

fn hash(circuit: &Circuit, message: &[u32]) -> Result<Vec<u32>, SynthesisError> {
    let message: Result<Vec<_>, _> = message
        .iter()
        .map(|word| Word::private(circuit, *word))
        .collect();
    Ok(hash_wires(circuit, &message?)?
        .iter()
        .map(Word::value)
        .collect())
}

fn solved(bytes: &[u8]) -> Solved<Vec<u32>> {
    solve(|circuit| hash(circuit, &words(bytes)))
}

/// CAVP's short messages (SHA256ShortMsg.rsp): of 0, 4 and 64 bytes.
#[test]
fn hashes_are_those_of_the_published_vectors() {
    for (message, expected) in [
        (
            "",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ),
        (
            "74ba2521",
            "b16aa56be3880d18cd41e68384cf1ec8c17680c45a02b1575dc1518923ae8b0e",
        ),
        (
            "5a86b737eaea8ee976a0a24da63e7ed7eefad18a101c1211e2b3650c5187c2a8a650547208251f6d4237e661c7bf4c77f335390394c37fa1a9f9be836ac28509",
            "42e61e174fbb3897d6dd6cef3dd2802fe67b331953b06114a65c772859dfc1aa",
        ),
    ] {
        let message: Vec<u8> = (0..message.len() / 2)
            .map(|at| u8::from_str_radix(&message[2 * at..][..2], 16).unwrap())
            .collect();
        let native: String = digest(&message)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(native, expected);
        let solved = solved(&message);
        assert_eq!(solved.result, words(&digest(&message)));
        assert_eq!(solved.unsatisfied(), None);
    }
}

/// A constant message needs no constraint, and gives the same.
#[test]
fn a_constant_message_costs_nothing() {
    let message = [0x1234_5678; 20];
    let solved = solve(|circuit| {
        let message = message.map(Word::constant);
        let hash = hash_wires(circuit, &message)?;
        Ok(hash.iter().map(Word::value).collect::<Vec<_>>())
    });
    assert_eq!(solved.constraints.len(), 0);
    let bytes: Vec<u8> = message.iter().flat_map(|word| word.to_be_bytes()).collect();
    assert_eq!(solved.result, words(&digest(&bytes)));
}

/// Wires all over the circuit: none can have another value than it has.
#[test]
fn no_wire_can_be_changed_alone() {
    let solved = solved(&[0xa5; 64]);
    let step = solved.wires.len() / 31;
    for wire in (1..solved.wires.len()).step_by(step) {
        assert!(solved.unsatisfied_with(wire).is_some(), "wire {wire}");
    }
}

/// Bits of other weights could make up for one that is 2.
#[test]
fn a_bit_of_a_message_that_is_two_is_refused() {
    let solved = solve(|circuit| Word::private(circuit, 4).map(|word| word.value()));
    assert_eq!(solved.unsatisfied(), None);
    let mut wires = solved.wires.clone();
    (wires[2], wires[3]) = (Fr::from(2), Fr::from(0));
    assert!(solved.with(wires).unsatisfied().is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3))]

    #[test]
    fn circuit_and_native_code_agree(message in prop::collection::vec(any::<u32>(), 0..24)) {
        let bytes: Vec<u8> = message.iter().flat_map(|word| word.to_be_bytes()).collect();
        let solved = solved(&bytes);
        prop_assert_eq!(&solved.result, &words(&digest(&bytes)));
        prop_assert_eq!(solved.unsatisfied(), None);
    }
}
