//! The statement, accepted and refused.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

use ark_bn254::Fr;
use ark_ff::AdditiveGroup;
use gadgets::merkle::Tree;
use gadgets::poseidon::hash;
use mixer::statement::TREE;
use mixer::{Call, Note, Private, Public, Withdraw};
use proof::statement::{Statement, constraints};
use statement_suite as suite;

/// From the issue: at most so many for 2^20 leaves.
const MOST_CONSTRAINTS: usize = 3_600;

#[test]
fn samples_are_accepted() {
    suite::samples_are_accepted::<Withdraw>();
}

#[test]
fn the_shape_does_not_depend_on_values() {
    suite::shape_is_fixed::<Withdraw>();
}

#[test]
fn public_inputs_have_their_names_and_order() {
    suite::public_names_are_the_statements::<Withdraw>();
}

#[test]
fn every_changed_public_input_is_refused() {
    suite::changed_public_inputs_are_refused::<Withdraw>();
}

#[test]
fn no_constraint_is_redundant() {
    suite::no_constraint_is_redundant::<Withdraw>();
}

#[test]
fn every_changed_private_input_is_refused() {
    suite::changed_private_inputs_are_refused::<Withdraw>(0, &[]);
}

#[test]
fn the_inputs_determine_every_wire() {
    suite::inputs_determine_every_wire::<Withdraw>(&["root", "nullifier_hash"]);
}

#[test]
fn a_proof_holds_for_its_inputs_only() {
    suite::a_proof_holds_for_its_inputs_only::<Withdraw>();
}

#[test]
fn a_million_leaves_take_few_constraints() {
    let (public, private) = suite::sample::<Withdraw>(0);
    assert_eq!(TREE.capacity(), 1 << 20);
    let constraints = constraints::<Withdraw>(&public, &private)
        .unwrap()
        .constraints();
    assert_eq!(constraints, 3_476);
    assert!(constraints <= MOST_CONSTRAINTS);
}

fn call() -> Call {
    Call {
        chain_id: 1,
        contract: [1; 20],
        recipient: [2; 20],
        relayer: [3; 20],
        fee: 4,
    }
}

/// Z5, Z14: whoever sees a proof can only send it as it was meant.
#[test]
fn every_part_of_the_call_changes_the_context() {
    let context = call().context();
    for (part, changed) in [
        (
            "chain",
            Call {
                chain_id: 2,
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
        ("fee", Call { fee: 5, ..call() }),
    ] {
        assert_ne!(changed.context(), context, "{part}");
    }
}

/// `uint256(keccak256(abi.encode(uint256(1), 0x0101.., 0x0202.., 0x0303.., uint256(4)))) % r`, computed by another program.
#[test]
fn the_context_is_that_of_solidity() {
    assert_eq!(call().context().to_string(), SOLIDITY_CONTEXT);
}

const SOLIDITY_CONTEXT: &str =
    "19285158723380786128202949730162984776574940625741724381122730887291671886228";

fn is_accepted(input: &(Public, Private)) -> bool {
    let accepted = suite::unsatisfied::<Withdraw>(input).is_none();
    assert_eq!(Withdraw::check(&input.0, &input.1).is_ok(), accepted);
    accepted
}

/// Z15: an inner node as a leaf, the empty leaf as a commitment, a commitment as a nullifier.
#[test]
fn what_is_no_commitment_is_not_taken_for_one() {
    let note = Note::random(1, [1; 20], &mut rand_of(1));
    let mut tree = Tree::new(TREE);
    tree.append(&[note.commitment(), Fr::from(5)]).unwrap();
    let honest = (
        note.public(tree.root(), &call()),
        note.private(tree.path(0).unwrap()),
    );
    assert!(is_accepted(&honest));

    // The path of the node above the leaf, filled up at either end.
    let mut path = tree.path(0).unwrap();
    path.siblings.rotate_left(1);
    let node = (honest.0.clone(), note.private(path));
    assert!(!is_accepted(&node));

    // There are empty leaves, and nobody knows numbers whose hash is 0.
    let mut private = honest.1.clone();
    (private.nullifier, private.secret, private.position) = (Fr::ZERO, Fr::ZERO, 2);
    private.path[0] = [note.commitment(), Fr::from(5), Fr::ZERO];
    let mut public = honest.0.clone();
    public.nullifier_hash = hash(&[Fr::ZERO]);
    assert!(!is_accepted(&(public, private)));

    let mut public = honest.0.clone();
    public.nullifier_hash = note.commitment();
    assert!(!is_accepted(&(public, honest.1.clone())));
}

#[test]
fn documents_that_are_no_inputs_are_refused() {
    let (public, private) = suite::sample::<Withdraw>(3);
    let document = serde_json::to_string(&public).unwrap();
    let r = "21888242871839275222246405745257275088548364400416034343698204186575808495617";
    let large = document.replace(&public.root.to_string(), r);
    assert!(
        serde_json::from_str::<Public>(&large).is_err(),
        "r in place of 0"
    );
    let unknown = document.replacen('{', "{\"relayer\":\"0\",", 1);
    assert!(serde_json::from_str::<Public>(&unknown).is_err());

    let mut short = private.clone();
    short.path.pop();
    let error = Withdraw::check(&public, &short).unwrap_err();
    assert_eq!(error.to_string(), "private.path: has 9 levels, the tree 10");
    let mut far = private.clone();
    far.position += 1 << 20;
    let error = Withdraw::check(&public, &far).unwrap_err();
    assert_eq!(error.field, "private.position");
    assert_eq!(format!("{private:?}"), "Private(..)");
}

fn rand_of(seed: u64) -> ark_std::rand::rngs::StdRng {
    ark_std::rand::SeedableRng::seed_from_u64(seed)
}
