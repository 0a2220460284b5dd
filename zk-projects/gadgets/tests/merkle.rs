//! Trees: appends, paths, the circuit.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

mod common;

use std::collections::BTreeMap;
use std::convert::Infallible;

use ark_bn254::Fr;
use common::{number, solve};
use gadgets::merkle::{
    Binary, MerkleError, PathError, PathWires, Quaternary, Shape, Tree, path_root,
};
use gadgets::poseidon::hash;
use proptest::prelude::*;

/// The root computed from all leaves, the missing ones 0.
fn whole_root(leaves: &[Fr], arity: usize, depth: u32) -> Fr {
    let mut level = leaves.to_vec();
    level.resize(arity.pow(depth), Fr::from(0));
    for _ in 0..depth {
        level = level.chunks(arity).map(hash).collect();
    }
    level[0]
}

fn numbers(count: u64) -> Vec<Fr> {
    (1..=count).map(|n| Fr::from(n * n + 1)).collect()
}

/// Appends in the given pieces and checks root and paths after each.
fn grows<const SIBLINGS: usize>(shape: Shape<SIBLINGS>, pieces: &[usize]) {
    let leaves = numbers(shape.capacity());
    let mut tree = Tree::new(shape);
    let mut count = 0;
    for piece in pieces {
        let end = (count + piece).min(leaves.len());
        assert_eq!(tree.append(&leaves[count..end]).unwrap(), count as u64);
        count = end;
        assert_eq!(
            tree.root(),
            whole_root(&leaves[..count], SIBLINGS + 1, shape.depth())
        );
        for (position, leaf) in leaves[..count].iter().enumerate() {
            let path = tree.path(position as u64).unwrap();
            assert_eq!(path.root(*leaf), tree.root(), "leaf {position} of {count}");
        }
    }
}

#[test]
fn an_empty_tree_has_the_root_of_zeros() {
    assert_eq!(Tree::new(Quaternary::new(3)).root(), whole_root(&[], 4, 3));
    assert_eq!(Tree::new(Binary::new(4)).root(), whole_root(&[], 2, 4));
}

#[test]
fn a_path_has_as_many_levels_as_the_tree_and_begins_at_one_of_its_leaves() {
    let shape = Quaternary::new(2);
    let level = [Fr::from(0); 3];
    assert_eq!(shape.check_path(15, &[level; 2]), Ok(()));
    for levels in [0, 1, 3] {
        let error = shape.check_path(0, &vec![level; levels]).unwrap_err();
        assert_eq!(error, PathError::Levels { levels, depth: 2 });
        assert_eq!(error.field(), "path");
    }
    for position in [16, u64::MAX] {
        let error = shape.check_path(position, &[level; 2]).unwrap_err();
        assert_eq!(error, PathError::Position { capacity: 16 });
        assert_eq!(error.field(), "position");
    }
}

#[test]
fn a_tree_takes_as_many_leaves_as_it_has_room_for() {
    let mut tree = Tree::new(Quaternary::new(1));
    let full = MerkleError::Full { capacity: 4 };
    assert_eq!(tree.append(&numbers(5)), Err(full.clone()));
    tree.append(&numbers(4)).unwrap();
    assert_eq!(tree.append(&numbers(1)), Err(full));
    assert_eq!(tree.root(), whole_root(&numbers(4), 4, 1));
}

#[test]
fn a_leaf_that_is_not_there_has_no_path() {
    let mut tree = Tree::new(Quaternary::new(2));
    tree.append(&numbers(2)).unwrap();
    let error = MerkleError::NoLeaf {
        position: 2,
        leaves: 2,
    };
    assert_eq!(tree.path(2), Err(error));
}

#[test]
fn a_node_that_was_lost_is_named() {
    let nodes = BTreeMap::from([((0, 0), Fr::from(1)), ((0, 1), Fr::from(2))]);
    let node = |level, position| Ok::<_, Infallible>(nodes.get(&(level, position)).copied());
    let missing = MerkleError::Missing {
        level: 0,
        position: 2,
    };
    assert_eq!(
        Quaternary::new(2).append(3, &numbers(1), node),
        Err(missing.clone())
    );
    assert_eq!(Quaternary::new(2).path(3, 1, node), Err(missing));
}

/// An inner node given as a leaf needs a path that is one shorter, and there is none.
#[test]
fn an_inner_node_is_no_leaf() {
    let shape = Quaternary::new(3);
    let mut tree = Tree::new(shape);
    tree.append(&numbers(16)).unwrap();
    let inner = hash(&numbers(4));
    let mut path = tree.path(0).unwrap();
    let mut shorter = path.clone();
    shorter.siblings.remove(0);
    assert_eq!(
        shorter.root(inner),
        tree.root(),
        "this is why lengths are fixed"
    );
    path.siblings[0] = path.siblings[1];
    assert_ne!(path.root(inner), tree.root());
}

#[test]
fn trees_hold_2_to_the_32_leaves_without_room_for_them() {
    let shape = Quaternary::new(16);
    let node = |_, _| Ok::<_, Infallible>(Some(Fr::from(7)));
    assert_eq!(shape.capacity(), 1 << 32);
    let last = shape
        .append(shape.capacity() - 1, &numbers(1), node)
        .unwrap();
    assert_eq!(last.len(), 17);
    assert_eq!(last[0].position, (1 << 32) - 1);
    let full = shape.append(shape.capacity(), &numbers(1), node);
    assert_eq!(full, Err(MerkleError::Full { capacity: 1 << 32 }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn appending_in_pieces_gives_the_tree_of_all_leaves(pieces in prop::collection::vec(0_usize..9, 1..8)) {
        grows(Quaternary::new(2), &pieces);
        grows(Binary::new(4), &pieces);
    }

    #[test]
    fn native_code_and_circuit_agree(leaves in prop::collection::vec(number(), 1..16), at in any::<prop::sample::Index>()) {
        let position = at.index(leaves.len()) as u64;
        agree(Quaternary::new(2), &leaves, position)?;
        agree(Binary::new(4), &leaves, position)?;
    }
}

fn agree<const SIBLINGS: usize>(
    shape: Shape<SIBLINGS>,
    leaves: &[Fr],
    position: u64,
) -> Result<(), TestCaseError> {
    let mut tree = Tree::new(shape);
    tree.append(leaves).unwrap();
    let path = tree.path(position).unwrap();
    let leaf = leaves[usize::try_from(position).unwrap()];
    let solved = solve(|circuit| {
        let wire = circuit.private(leaf)?;
        let path = PathWires::allocate(circuit, &path, leaf)?;
        let root = path_root(circuit, &wire, &path)?;
        Ok((root.value(), path.position().value()))
    });
    prop_assert_eq!(solved.result, (tree.root(), Fr::from(position)));
    prop_assert_eq!(solved.unsatisfied(), None);
    Ok(())
}
