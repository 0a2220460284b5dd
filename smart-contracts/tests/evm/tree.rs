//! The contract's tree, against one that hashes everything anew.

use alloy_primitives::U256;
use ark_bn254::Fr;
use gadgets::poseidon;
use smart_contracts::abi::Tree;
use smart_contracts::abi::Tree::TreeErrors as Errors;
use smart_contracts::chain::Chain;
use smart_contracts::contracts;

use crate::support::{ALICE, arbitrary, deploy, new_chain, number, order, refusal, word};

const DEPTH: usize = 10;

/// The root by its definition: pad with zero to the next level, ten times.
pub(crate) fn root_of(leaves: &[Fr]) -> Fr {
    let mut level = leaves.to_vec();
    let mut empty = Fr::from(0);
    for _ in 0..DEPTH {
        while level.is_empty() || !level.len().is_multiple_of(4) {
            level.push(empty);
        }
        level = level.chunks(4).map(poseidon::hash).collect();
        empty = poseidon::hash(&[empty; 4]);
    }
    level[0]
}

#[test]
fn roots_are_those_of_the_definition_and_all_stay_known() {
    let mut chain = new_chain();
    let tree = deploy(&mut chain, contracts::TREE, &());
    let mut leaves = Vec::new();
    let mut roots = Vec::new();
    // Past two full subtrees of 16, and over a boundary of 64.
    for index in 0..70_u64 {
        let leaf = arbitrary(index);
        leaves.push(number(leaf));
        let receipt = chain
            .call(ALICE, tree, U256::ZERO, &Tree::addCall { leaf })
            .unwrap();
        assert_eq!(receipt.events.len(), 1);
        let inserted = chain.events_of::<Tree::Inserted>(tree).last().unwrap();
        assert_eq!(inserted.index, U256::from(index));
        assert_eq!(inserted.root, word(root_of(&leaves)), "after leaf {index}");
        roots.push(inserted.root);
    }
    for root in roots {
        assert!(
            chain
                .view(ALICE, tree, &Tree::isKnownRootCall { root })
                .unwrap()
        );
    }
    for root in [U256::ZERO, word(root_of(&[])), arbitrary(1000)] {
        assert!(
            !chain
                .view(ALICE, tree, &Tree::isKnownRootCall { root })
                .unwrap()
        );
    }
}

#[test]
fn a_leaf_beyond_the_field_and_one_beyond_capacity_are_refused() {
    let mut chain = new_chain();
    let tree = deploy(&mut chain, contracts::TREE, &());
    let add =
        |chain: &mut Chain, leaf| chain.call(ALICE, tree, U256::ZERO, &Tree::addCall { leaf });
    for leaf in [order(), order() + U256::ONE, U256::MAX] {
        assert!(matches!(
            refusal(add(&mut chain, leaf)),
            Errors::LeafNotInField(_)
        ));
    }
    add(&mut chain, order() - U256::ONE).unwrap();
    let capacity = U256::from(1 << 20);
    chain
        .call(
            ALICE,
            tree,
            U256::ZERO,
            &Tree::setLeafCountCall {
                count: capacity - U256::ONE,
            },
        )
        .unwrap();
    add(&mut chain, U256::ONE).unwrap();
    assert!(matches!(
        refusal(add(&mut chain, U256::ONE)),
        Errors::TreeFull(_)
    ));
}
