//! The statements, accepted and refused.

use ark_bn254::Fr;
use ark_std::rand::SeedableRng;
use ark_std::rand::rngs::StdRng;
use gadgets::merkle::Tree;
use gadgets::nullifier;
use merkle_proof::statement::TREE;
use merkle_proof::{Member, Membership, Private, Public, PublicMembership, PublicValue, ValuePath};
use proof::statement::{Statement, constraints};
use statement_suite as suite;

#[test]
fn samples_are_accepted() {
    suite::samples_are_accepted::<Membership>();
    suite::samples_are_accepted::<PublicMembership>();
}

#[test]
fn the_shape_does_not_depend_on_values() {
    suite::shape_is_fixed::<Membership>();
    suite::shape_is_fixed::<PublicMembership>();
}

#[test]
fn public_inputs_have_their_names_and_order() {
    suite::public_names_are_the_statements::<Membership>();
    suite::public_names_are_the_statements::<PublicMembership>();
}

#[test]
fn every_changed_public_input_is_refused() {
    suite::changed_public_inputs_are_refused::<Membership>();
    suite::changed_public_inputs_are_refused::<PublicMembership>();
}

#[test]
fn the_inputs_determine_every_wire() {
    suite::inputs_determine_every_wire::<Membership>(&["root"]);
    suite::inputs_determine_every_wire::<PublicMembership>(&["root"]);
}

#[test]
fn no_constraint_is_redundant() {
    suite::no_constraint_is_redundant::<Membership>();
    suite::no_constraint_is_redundant::<PublicMembership>();
}

#[test]
fn every_changed_private_input_is_refused() {
    suite::changed_private_inputs_are_refused::<Membership>(0, &[]);
    suite::changed_private_inputs_are_refused::<PublicMembership>(0, &[]);
}

#[test]
fn a_proof_holds_for_its_inputs_only() {
    suite::a_proof_holds_for_its_inputs_only::<Membership>();
}

#[test]
fn four_thousand_million_leaves_take_few_constraints() {
    let (public, private) = suite::sample::<Membership>(0);
    assert_eq!(TREE.capacity(), 1 << 32);
    let constraints = constraints::<Membership>(&public, &private).unwrap();
    assert_eq!(constraints.constraints(), 5_288);
    let (public, private) = suite::sample::<PublicMembership>(0);
    let constraints = proof::statement::constraints::<PublicMembership>(&public, &private).unwrap();
    assert_eq!(constraints.constraints(), 5_047);
}

fn is_accepted(input: &(Public, Private)) -> bool {
    let accepted = suite::unsatisfied::<Membership>(input).is_none();
    assert_eq!(Membership::check(&input.0, &input.1).is_ok(), accepted);
    accepted
}

/// Z17: whoever has the list of leaves knows everything but the secrets.
#[test]
fn who_has_the_list_of_leaves_proves_nothing() {
    let member = Member::random(&mut StdRng::seed_from_u64(1));
    let (scope, signal) = (Fr::from(1), Fr::from(2));
    let mut tree = Tree::new(TREE);
    tree.append(&[member.leaf(), Fr::from(5)]).unwrap();
    // A leaf in place of its secret, where a circuit without the hash would take it.
    for known in [member.leaf(), Fr::from(5), Fr::from(0)] {
        for position in 0..2 {
            let path = tree.path(position).unwrap();
            let public = Public {
                root: tree.root(),
                nullifier: nullifier::scoped(known, scope),
                scope,
                signal,
            };
            let private = Private {
                secret: known,
                position,
                path: path.siblings,
            };
            assert!(!is_accepted(&(public, private)));
        }
    }
}

/// Z6: what was said in one scope cannot be said again in another with the same nullifier, and the other has another.
#[test]
fn a_nullifier_is_of_one_scope() {
    let (public, private) = suite::sample::<Membership>(5);
    let mut replayed = public.clone();
    replayed.scope += Fr::from(1);
    assert!(!is_accepted(&(replayed.clone(), private.clone())));
    replayed.nullifier = nullifier::scoped(private.secret, replayed.scope);
    assert_ne!(replayed.nullifier, public.nullifier);
    assert!(is_accepted(&(replayed, private)));
}

/// Z15: an inner node, and the empty leaf.
#[test]
fn what_is_no_leaf_is_not_taken_for_one() {
    let values: Vec<Fr> = (1..=4).map(Fr::from).collect();
    let leaves: Vec<Fr> = values
        .iter()
        .map(|v| merkle_proof::statement::leaf_of(*v))
        .collect();
    let mut tree = Tree::new(TREE);
    tree.append(&leaves).unwrap();
    let accepts = |leaf, position, path: Vec<[Fr; 3]>| {
        let public = PublicValue {
            root: tree.root(),
            leaf,
            signal: Fr::from(1),
        };
        let private = ValuePath { position, path };
        let accepted = PublicMembership::check(&public, &private).is_ok();
        let input = (public, private);
        assert_eq!(
            suite::unsatisfied::<PublicMembership>(&input).is_none(),
            accepted
        );
        accepted
    };
    let path = tree.path(1).unwrap().siblings;
    assert!(accepts(values[1], 1, path.clone()));
    assert!(
        !accepts(leaves[1], 1, path.clone()),
        "the leaf in place of its value"
    );
    let inner = gadgets::poseidon::hash(&leaves);
    let mut raised = path.clone();
    raised.rotate_left(1);
    assert!(!accepts(inner, 0, raised));
    let mut empty = path;
    empty[0] = [Fr::from(0); 3];
    empty[1][0] = inner;
    assert!(!accepts(Fr::from(0), 4, empty), "the leaf of 0 is not 0");
}
