//! The statement, accepted and refused.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};
use proof::statement::{Statement, constraints};
use statement_suite as suite;
use token_transfer::{Call, Private, Public, Transfer};

/// A sample that spends two notes.
fn two_notes() -> u64 {
    (0..)
        .find(|seed| suite::sample::<Transfer>(*seed).1.inputs[1].value != Fr::ZERO)
        .unwrap()
}

/// A sample that spends a note and a dummy.
fn one_note() -> u64 {
    (0..)
        .find(|seed| suite::sample::<Transfer>(*seed).1.inputs[1].value == Fr::ZERO)
        .unwrap()
}

#[test]
fn samples_are_accepted() {
    assert!(two_notes() < 4 && one_note() < 4, "of both kinds");
    suite::samples_are_accepted::<Transfer>();
}

#[test]
fn the_shape_does_not_depend_on_values() {
    suite::shape_is_fixed::<Transfer>();
}

#[test]
fn public_inputs_have_their_names_and_order() {
    suite::public_names_are_the_statements::<Transfer>();
}

#[test]
fn every_changed_public_input_is_refused() {
    suite::changed_public_inputs_are_refused::<Transfer>();
}

#[test]
fn the_inputs_determine_every_wire() {
    suite::inputs_determine_every_wire::<Transfer>(&["pair", "spend"]);
}

#[test]
fn every_changed_private_input_is_refused() {
    suite::changed_private_inputs_are_refused::<Transfer>(two_notes(), &[]);
}

#[test]
fn of_a_dummy_only_the_place_in_the_tree_is_free() {
    let free = ["/inputs/1/path", "/inputs/1/other"];
    suite::changed_private_inputs_are_refused::<Transfer>(one_note(), &free);
}

#[test]
fn a_proof_holds_for_its_inputs_only() {
    suite::a_proof_holds_for_its_inputs_only::<Transfer>();
}

#[test]
fn the_domain_is_that_of_two_to_the_fourteenth() {
    let (public, private) = suite::sample::<Transfer>(0);
    let constraints = constraints::<Transfer>(&public, &private).unwrap();
    assert_eq!(constraints.constraints(), 9_687);
}

fn call() -> Call {
    Call {
        chain_id: 1,
        contract: [1; 20],
        token: [2; 20],
        recipient: [3; 20],
        relayer: [4; 20],
        fee: 5,
        ciphertexts: [vec![6, 7], vec![]],
    }
}

/// Whether the constraints and the check, which must agree, accept a transfer with its own public inputs.
fn is_accepted(root: Fr, private: &Private) -> bool {
    is_accepted_as(&private.public(root, &call()), private)
}

fn is_accepted_as(public: &Public, private: &Private) -> bool {
    let input = (public.clone(), private.clone());
    let accepted = suite::unsatisfied::<Transfer>(&input).is_none();
    assert_eq!(Transfer::check(public, private).is_ok(), accepted);
    accepted
}

/// Z10: sums that are right in the field and wrong as integers, and amounts at the end of their range.
#[test]
fn nothing_is_minted_at_the_boundary() {
    let (Public { root, .. }, honest) = suite::sample::<Transfer>(two_notes());
    assert!(is_accepted(root, &honest));
    let limit = Fr::from(2).pow([128]);
    let change = |change: &dyn Fn(&mut Private)| {
        let mut private = honest.clone();
        change(&mut private);
        is_accepted(root, &private)
    };
    // One more than there was, all of them small.
    assert!(!change(&|private| private.outputs[0].value += Fr::ONE));
    assert!(!change(&|private| private.amount_out += Fr::ONE));
    assert!(!change(&|private| private.amount_in += Fr::ONE));
    // More by a million on one side, a million less than nothing on the other.
    let million = Fr::from(1_000_000);
    assert!(!change(&|private| {
        let was = private.outputs[1].value;
        private.outputs[0].value += was + million;
        private.outputs[1].value = -million;
    }));
    // The same with what goes out.
    assert!(!change(&|private| {
        private.outputs[0].value += private.amount_out + million;
        private.amount_out = -million;
    }));
    // With what comes in: -1 in, 1 less out of the notes.
    assert!(!change(&|private| {
        private.outputs[0].value -= private.amount_in + Fr::ONE;
        private.amount_in = -Fr::ONE;
    }));
    // With a dummy: a note of value -1 need not exist anywhere if its value were 0 as an amount.
    assert!(!change(&|private| {
        private.outputs[0].value -= private.inputs[1].value + Fr::ONE;
        private.inputs[1].value = -Fr::ONE;
    }));
    // Exactly 2^128 - 1 is an amount, and 2^128 is none.
    for (amount, is_amount) in [(limit - Fr::ONE, true), (limit, false)] {
        let accepted = change(&|private| {
            private.amount_in = amount;
            private.amount_out = private.inputs[0].value + private.inputs[1].value;
            private.outputs[0].value = amount;
            private.outputs[1].value = Fr::ZERO;
        });
        assert_eq!(accepted, is_amount);
    }
}

/// One note as both inputs: no value of the inverse shows that its nullifiers differ (Z8).
#[test]
fn a_note_is_not_spent_twice_in_one_transfer() {
    let (Public { root, .. }, mut private) = suite::sample::<Transfer>(two_notes());
    let value = private.inputs[0].value;
    private.outputs[0].value += value - private.inputs[1].value;
    private.inputs[1] = private.inputs[0].clone();
    assert!(!is_accepted(root, &private));
}

/// A note that is not in the tree, of any value but 0.
#[test]
fn a_note_that_is_nowhere_is_not_spent() {
    let (Public { root, .. }, mut private) = suite::sample::<Transfer>(one_note());
    private.inputs[1].value = Fr::ONE;
    private.outputs[0].value += Fr::ONE;
    assert!(!is_accepted(root, &private));
}

/// The same note under another position has another nullifier, and is not there.
#[test]
fn a_note_has_one_position() {
    let (Public { root, .. }, honest) = suite::sample::<Transfer>(two_notes());
    for bit in 0..21 {
        let mut private = honest.clone();
        private.inputs[0].position ^= 1 << bit;
        assert_ne!(private.nullifiers()[0], honest.nullifiers()[0]);
        assert!(!is_accepted(root, &private), "bit {bit}");
    }
}

/// Z15: nullifiers are of another domain than commitments, and bound to the key.
#[test]
fn a_commitment_is_no_nullifier() {
    let (Public { root, .. }, private) = suite::sample::<Transfer>(two_notes());
    let mut public = private.public(root, &call());
    let [first, second] = private.commitments();
    public.spend = gadgets::poseidon::hash(&[first, second, private.amount_in, private.amount_out]);
    assert!(!is_accepted_as(&public, &private));
}

/// Z5, Z14: whoever sees a proof can only send it as it was meant.
#[test]
fn every_part_of_the_call_changes_the_context() {
    let context = call().context();
    for (part, changed) in [
        (
            "chain",
            Call {
                chain_id: 9,
                ..call()
            },
        ),
        (
            "contract",
            Call {
                contract: [9; 20],
                ..call()
            },
        ),
        (
            "token",
            Call {
                token: [9; 20],
                ..call()
            },
        ),
        (
            "recipient",
            Call {
                recipient: [9; 20],
                ..call()
            },
        ),
        (
            "relayer",
            Call {
                relayer: [9; 20],
                ..call()
            },
        ),
        ("fee", Call { fee: 9, ..call() }),
        (
            "first ciphertext",
            Call {
                ciphertexts: [vec![6], vec![]],
                ..call()
            },
        ),
        (
            "second ciphertext",
            Call {
                ciphertexts: [vec![6, 7], vec![0]],
                ..call()
            },
        ),
        (
            "their order",
            Call {
                ciphertexts: [vec![], vec![6, 7]],
                ..call()
            },
        ),
    ] {
        assert_ne!(changed.context(), context, "{part}");
    }
}

/// As another program computes it.
#[test]
fn the_context_is_that_of_solidity() {
    let solidity = "397102181875213352662936047158818378903074537812724022242636467435375222187";
    assert_eq!(call().context().to_string(), solidity);
}

#[test]
fn documents_that_are_no_inputs_are_refused() {
    let (public, private) = suite::sample::<Transfer>(two_notes());
    let mut short = private.clone();
    short.inputs[1].path.pop();
    let error = Transfer::check(&public, &short).unwrap_err();
    let expected = "private.inputs[1].path: has 9 levels, the tree 10";
    assert_eq!(error.to_string(), expected);
    let mut large = private.clone();
    large.outputs[1].value = Fr::from(2).pow([128]);
    let error = Transfer::check(&public, &large).unwrap_err();
    assert_eq!(
        error.to_string(),
        "private.outputs[1].value: is not below 2^128"
    );
    assert_eq!(format!("{private:?}"), "Private(..)");
}
