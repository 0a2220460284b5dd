//! Poseidon against implementations that are not ours, and its circuit against native code.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

mod common;

use ark_bn254::Fr;
use common::{number, solve};
use gadgets::poseidon::{MAX_INPUTS, hash, hash_wires, parameters};
use light_poseidon::{Poseidon, PoseidonHasher};
use proptest::prelude::*;

/// P(1), P(1, 2), ... and P(-1), P(-1, -2), ... as circomlib 2.0.5 computes them.
const CIRCOMLIB: &str = include_str!("vectors/poseidon.txt");

#[test]
fn hashes_are_those_of_circomlib() {
    let lines: Vec<Fr> = CIRCOMLIB
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.parse().unwrap())
        .collect();
    assert_eq!(lines.len(), 2 * MAX_INPUTS);
    let up: Vec<Fr> = (1..=16_u64).map(Fr::from).collect();
    let down: Vec<Fr> = up.iter().map(|n| -*n).collect();
    for inputs in 1..=MAX_INPUTS {
        assert_eq!(hash(&up[..inputs]), lines[inputs - 1], "{inputs} inputs");
        let negative = lines[MAX_INPUTS + inputs - 1];
        assert_eq!(hash(&down[..inputs]), negative, "{inputs} negative inputs");
    }
}

#[test]
#[should_panic(expected = "1 to 16 inputs, not 17")]
fn seventeen_inputs_are_refused() {
    let _ = parameters(17);
}

#[test]
fn no_hash_is_one_of_another_number_of_inputs() {
    let zeros = [Fr::from(0); MAX_INPUTS];
    let mut hashes: Vec<Fr> = (1..=MAX_INPUTS).map(|n| hash(&zeros[..n])).collect();
    hashes.sort();
    hashes.dedup();
    assert_eq!(hashes.len(), MAX_INPUTS);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn native_code_and_circuit_and_light_poseidon_agree(inputs in prop::collection::vec(number(), 1..=6)) {
        let native = hash(&inputs);
        let mut other = Poseidon::<Fr>::new_circom(inputs.len()).unwrap();
        prop_assert_eq!(native, other.hash(&inputs).unwrap());
        let solved = solve(|circuit| {
            let wires = inputs.iter().map(|x| circuit.private(*x)).collect::<Result<Vec<_>, _>>()?;
            hash_wires(circuit, &wires)
        });
        prop_assert_eq!(solved.result.value(), native);
        prop_assert_eq!(solved.unsatisfied(), None);
        // The result is a sum of wires; each of them is determined by constraints.
        for wire in 1 + inputs.len()..solved.wires.len() {
            prop_assert!(solved.unsatisfied_with(wire).is_some(), "wire {} is free", wire);
        }
    }
}
