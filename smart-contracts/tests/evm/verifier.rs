//! The verifier accepts what is true, and nothing that was changed.

use alloy_primitives::{Address, Bytes, U256};
use ark_bn254::{Fq, Fq2, G1Affine, G2Affine};
use ark_ec::AffineRepr;
use ark_ff::{BigInteger, PrimeField};
use proof::key::{Element, KeyError, Origin};
use proof::solidity::{self, ExportError};
use proof::verify::Proof;
use smart_contracts::abi::Verifier;
use smart_contracts::abi::Verifier::VerifierErrors as Errors;
use smart_contracts::chain::{CallError, Chain, Receipt};
use smart_contracts::verifier::{MOST_INPUTS, VerifierError, creation_code};

use crate::support::{ALICE, Prover, arbitrary, new_chain, number, order, proof_argument, refusal};

/// The selector that `calldata` writes, then any words.
fn call(
    chain: &mut Chain,
    verifier: Address,
    proof: &[U256],
    inputs: &[U256],
) -> Result<Receipt, CallError> {
    let nothing = Proof {
        a: G1Affine::zero(),
        b: G2Affine::zero(),
        c: G1Affine::zero(),
    };
    let zeros: Vec<_> = inputs.iter().map(|_| number(U256::ZERO)).collect();
    let mut data = solidity::calldata(&nothing, &zeros)[..4].to_vec();
    for word in proof.iter().chain(inputs) {
        data.extend(word.to_be_bytes::<32>());
    }
    chain.send(ALICE, verifier, U256::ZERO, data.into())
}

fn inputs(count: usize) -> Vec<U256> {
    (0..count as u64).map(arbitrary).collect()
}

fn q() -> U256 {
    U256::from_be_slice(&Fq::MODULUS.to_bytes_be())
}

#[test]
fn a_valid_proof_is_accepted_within_the_gas_that_was_promised() {
    for count in 1..=MOST_INPUTS {
        let (mut chain, prover, inputs) = (new_chain(), Prover::of(count), inputs(count));
        let verifier = prover.deploy(&mut chain);
        let receipt = call(&mut chain, verifier, &prover.prove_words(&inputs), &inputs).unwrap();
        assert!(receipt.returned.is_empty());
        let n = count as u64;
        let promised = 181_100 + 6_350 * n + 900 + 90 * n;
        assert!(
            receipt.execution_gas <= promised,
            "{n}: {} of {promised}",
            receipt.execution_gas
        );
    }
}

#[test]
fn calldata_is_a_call_of_verify() {
    let (mut chain, prover, inputs) = (new_chain(), Prover::of(3), inputs(3));
    let verifier = prover.deploy(&mut chain);
    let numbers: Vec<_> = inputs.iter().copied().map(number).collect();
    let data = solidity::calldata(&prover.prove(&inputs), &numbers);
    chain
        .send(ALICE, verifier, U256::ZERO, data.into())
        .unwrap();
}

#[test]
fn each_changed_input_is_rejected() {
    for count in 1..=MOST_INPUTS {
        let (mut chain, prover, inputs) = (new_chain(), Prover::of(count), inputs(count));
        let verifier = prover.deploy(&mut chain);
        let proof = prover.prove_words(&inputs);
        for changed in 0..count {
            let mut inputs = inputs.clone();
            inputs[changed] = arbitrary(100);
            let refused = refusal(call(&mut chain, verifier, &proof, &inputs));
            assert!(
                matches!(refused, Errors::ProofRejected(_)),
                "input {changed} of {count}"
            );
        }
        for swapped in 1..count {
            let mut inputs = inputs.clone();
            inputs.swap(swapped - 1, swapped);
            let refused = refusal(call(&mut chain, verifier, &proof, &inputs));
            assert!(matches!(refused, Errors::ProofRejected(_)));
        }
    }
}

#[test]
fn inputs_that_are_not_below_r_are_refused_and_r_minus_1_is_not() {
    for count in 1..=MOST_INPUTS {
        let (mut chain, prover) = (new_chain(), Prover::of(count));
        let verifier = prover.deploy(&mut chain);
        let largest = vec![order() - U256::ONE; count];
        let proof = prover.prove_words(&largest);
        call(&mut chain, verifier, &proof, &largest).unwrap();
        let inputs: Vec<U256> = (0..count as u64).map(|i| U256::from(i + 1)).collect();
        let proof = prover.prove_words(&inputs);
        for at in 0..count {
            for other in [order(), inputs[at] + order(), q(), U256::MAX] {
                let mut inputs = inputs.clone();
                inputs[at] = other;
                match refusal(call(&mut chain, verifier, &proof, &inputs)) {
                    Errors::InputNotInField(error) => assert_eq!(error.index, U256::from(at)),
                    _ => panic!("{other} as input {at} of {count} is a matter of the range"),
                }
            }
        }
    }
}

#[test]
fn a_changed_proof_is_rejected_and_a_malformed_one_refused() {
    let (mut chain, prover, inputs) = (new_chain(), Prover::of(2), inputs(2));
    let verifier = prover.deploy(&mut chain);
    let proof = prover.prove(&inputs);
    let words = proof_argument(&proof);
    for (a, c) in [(proof.c, proof.a), (-proof.a, proof.c), (proof.a, -proof.c)] {
        let words = proof_argument(&Proof { a, c, ..proof });
        let refused = refusal(call(&mut chain, verifier, &words, &inputs));
        assert!(matches!(refused, Errors::ProofRejected(_)));
    }
    for at in 0..8 {
        for changed in [words[at] + U256::ONE, words[at] + q(), q(), U256::MAX] {
            let mut words = words;
            words[at] = changed;
            let refused = refusal(call(&mut chain, verifier, &words, &inputs));
            assert!(matches!(refused, Errors::PrecompileFailed(_)), "word {at}");
        }
    }
    // Points at infinity.
    for (from, to) in [(0, 2), (2, 6), (6, 8), (0, 8)] {
        let mut words = words;
        words[from..to].fill(U256::ZERO);
        call(&mut chain, verifier, &words, &inputs).unwrap_err();
    }
}

#[test]
fn a_point_on_the_curve_but_outside_of_the_subgroup_is_refused() {
    let (mut chain, prover, inputs) = (new_chain(), Prover::of(2), inputs(2));
    let verifier = prover.deploy(&mut chain);
    let mut points = (0_u64..).filter_map(|x| {
        let x = Fq2::new(Fq::from(x), Fq::from(0));
        G2Affine::get_point_from_x_unchecked(x, false)
    });
    let b = points.find(|b| !b.is_in_correct_subgroup_assuming_on_curve());
    let b = b.unwrap();
    assert!(b.is_on_curve());
    let words = proof_argument(&Proof {
        b,
        ..prover.prove(&inputs)
    });
    let refused = refusal(call(&mut chain, verifier, &words, &inputs));
    assert!(matches!(refused, Errors::PrecompileFailed(_)));
}

#[test]
fn a_rerandomised_proof_is_another_proof_and_as_valid() {
    let (mut chain, prover, inputs) = (new_chain(), Prover::of(3), inputs(3));
    let verifier = prover.deploy(&mut chain);
    let proof = prover.prove(&inputs);
    let other = prover.rerandomize(&proof);
    assert!(proof.a != other.a && proof.b != other.b && proof.c != other.c);
    call(&mut chain, verifier, &proof_argument(&other), &inputs).unwrap();
}

#[test]
fn a_proof_under_another_key_is_rejected() {
    let (mut chain, inputs) = (new_chain(), inputs(2));
    let other = Prover::with_seed(2, 9);
    let verifier = other.deploy(&mut chain);
    let proof = Prover::of(2).prove_words(&inputs);
    let refused = refusal(call(&mut chain, verifier, &proof, &inputs));
    assert!(matches!(refused, Errors::ProofRejected(_)));
}

/// Stands in for precompiles in [`without_precompile`].
const STAND_IN: u8 = 0x7f;

/// `PUSH1 precompile GAS STATICCALL`, with the address of an account that has no code unless it is put there.
fn without_precompile(code: &Bytes, precompile: u8) -> Bytes {
    let mut code = code.to_vec();
    let call = [0x60, precompile, 0x5a, 0xfa];
    let places: Vec<usize> = (0..code.len() - 4)
        .filter(|at| code[*at..*at + 4] == call)
        .collect();
    assert!(!places.is_empty(), "the code calls precompile {precompile}");
    for at in places {
        code[at + 1] = STAND_IN;
    }
    code.into()
}

#[test]
fn on_a_chain_without_the_precompiles_nothing_is_accepted() {
    let (mut chain, prover, inputs) = (new_chain(), Prover::of(2), inputs(2));
    let verifier = prover.deploy(&mut chain);
    let code = chain.code(verifier);
    let honest = prover.prove_words(&inputs);
    // Where the pairing writes its result stands -A: with x = 1 that looks like a result.
    let mut forged = honest;
    forged[0] = U256::ONE;
    forged[1] = U256::from(2);
    for precompile in [6, 7, 8] {
        chain.put_code(verifier, without_precompile(&code, precompile));
        for proof in [&honest, &forged] {
            call(&mut chain, verifier, proof, &inputs).unwrap_err();
        }
    }
    chain.put_code(verifier, without_precompile(&code, 8));
    let refused = refusal(call(&mut chain, verifier, &forged, &inputs));
    assert!(matches!(refused, Errors::PrecompileFailed(_)));
}

/// Passes on what `precompile` makes of the call's data, and ends by `RETURN` or `REVERT`.
fn stand_in(precompile: u8, returned: u8, end: u8) -> Bytes {
    let code = [
        0x36, 0x5f, 0x5f, 0x37, // CALLDATACOPY
        0x60, returned, 0x5f, 0x36, 0x5f, 0x60, precompile, 0x5a, 0xfa,
        0x50, // STATICCALL, POP
        0x60, returned, 0x5f, end,
    ];
    code.to_vec().into()
}

/// What a call that failed leaves in memory may be the right result.
#[test]
fn a_precompile_that_fails_is_noticed_whatever_it_returns() {
    const RETURN: u8 = 0xf3;
    const REVERT: u8 = 0xfd;
    let (mut chain, prover, inputs) = (new_chain(), Prover::of(2), inputs(2));
    let verifier = prover.deploy(&mut chain);
    let code = chain.code(verifier);
    let proof = prover.prove_words(&inputs);
    for (precompile, returned) in [(6, 0x40), (7, 0x40), (8, 0x20)] {
        chain.put_code(verifier, without_precompile(&code, precompile));
        let mut outcome = |end| {
            let code = stand_in(precompile, returned, end);
            chain.put_code(Address::with_last_byte(STAND_IN), code);
            call(&mut chain, verifier, &proof, &inputs)
        };
        outcome(RETURN).unwrap();
        assert!(matches!(
            refusal(outcome(REVERT)),
            Errors::PrecompileFailed(_)
        ));
    }
}

#[test]
fn too_little_gas_for_a_precompile_is_no_acceptance() {
    let (mut chain, prover, inputs) = (new_chain(), Prover::of(1), inputs(1));
    let verifier = prover.deploy(&mut chain);
    let numbers: Vec<_> = inputs.iter().copied().map(number).collect();
    let data: Bytes = solidity::calldata(&prover.prove(&inputs), &numbers).into();
    let enough = chain
        .send(ALICE, verifier, U256::ZERO, data.clone())
        .unwrap()
        .gas;
    for limit in [enough - 1, enough - 50_000, 60_000] {
        chain
            .send_with_gas(ALICE, verifier, U256::ZERO, data.clone(), limit)
            .unwrap_err();
    }
}

#[test]
fn the_contract_names_its_key_and_setup() {
    let mut chain = new_chain();
    let key = Prover::of(3).verifying_key();
    for origin in [Origin::Demo, Origin::Ceremony] {
        let code = creation_code(&key, origin).unwrap();
        let verifier = chain.deploy(ALICE, &code, &[]).unwrap().created;
        let hash = chain
            .view(ALICE, verifier, &Verifier::keyHashCall {})
            .unwrap();
        assert_eq!(hash.0, solidity::key_hash(&key).unwrap());
        let found = chain
            .view(ALICE, verifier, &Verifier::setupCall {})
            .unwrap();
        assert_eq!(found.0, solidity::origin_word(origin));
    }
    let other = Prover::with_seed(3, 9).verifying_key();
    assert_ne!(solidity::key_hash(&key), solidity::key_hash(&other));
}

#[test]
fn keys_that_anyone_can_forge_for_become_no_contract() {
    let key = Prover::of(1).verifying_key();
    let mut fresh = key.clone();
    fresh.delta_g2 = fresh.gamma_g2;
    let refused = creation_code(&fresh, Origin::Demo).unwrap_err();
    assert_eq!(
        refused,
        VerifierError::Key(ExportError::Key(KeyError::GammaEqualsDelta))
    );
    let mut infinite = key.clone();
    infinite.delta_g2 = G2Affine::zero();
    let refused = solidity::export(&infinite, Origin::Ceremony, "V", &["root"]).unwrap_err();
    assert_eq!(
        refused,
        ExportError::Key(KeyError::Identity(Element::Delta))
    );
    let mut infinite = key;
    infinite.alpha_g1 = G1Affine::zero();
    let refused = solidity::export(&infinite, Origin::Ceremony, "V", &["root"]).unwrap_err();
    assert_eq!(
        refused,
        ExportError::Key(KeyError::Identity(Element::Alpha))
    );
    let large = Prover::of(5).verifying_key();
    assert_eq!(
        creation_code(&large, Origin::Demo).unwrap_err(),
        VerifierError::Inputs(5)
    );
}
