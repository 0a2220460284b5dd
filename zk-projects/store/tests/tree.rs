//! Trees in an engine.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

use ark_bn254::Fr;
use gadgets::merkle::{Quaternary, Tree};
use storage::kvs::{LogEngine, Options};
use storage::{Batch, Engine, MemoryEngine};
use zk_store::{NumberSet, StoreError, TreeStore, number_bytes, read_number};

const SHAPE: Quaternary = Quaternary::new(3);
const TREE: TreeStore<3> = TreeStore::new("tree", SHAPE);

fn append(engine: &impl Engine, leaves: &[Fr]) -> (u64, Fr) {
    let mut batch = Batch::new();
    let appended = TREE.append(engine, leaves, &mut batch).unwrap();
    engine.write(&batch).unwrap();
    appended
}

fn numbers(range: std::ops::Range<u64>) -> Vec<Fr> {
    range.map(Fr::from).collect()
}

#[test]
fn a_tree_in_a_directory_is_that_in_memory_after_every_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let mut memory = Tree::new(SHAPE);
    let mut roots = vec![(memory.root(), 0)];
    for piece in [1..2, 2..8, 8..9, 9..40] {
        let engine = LogEngine::open(dir.path(), Options::small()).unwrap();
        let leaves = numbers(piece);
        let first = memory.append(&leaves).unwrap();
        assert_eq!(append(&engine, &leaves), (first, memory.root()));
        assert_eq!(TREE.root(&engine).unwrap(), memory.root());
        roots.push((memory.root(), memory.leaves()));
        for position in 0..memory.leaves() {
            assert_eq!(
                TREE.path(&engine, position).unwrap(),
                memory.path(position).unwrap()
            );
        }
        for (root, leaves) in &roots {
            assert_eq!(TREE.known(&engine, *root).unwrap(), Some(*leaves));
        }
        assert_eq!(TREE.known(&engine, Fr::from(5)).unwrap(), None);
        engine.close().unwrap();
    }
}

#[test]
fn a_batch_that_is_not_written_changes_nothing() {
    let engine = MemoryEngine::new();
    let before = TREE.root(&engine).unwrap();
    TREE.append(&engine, &numbers(1..3), &mut Batch::new())
        .unwrap();
    assert_eq!(TREE.root(&engine).unwrap(), before);
    assert_eq!(TREE.leaves(&engine).unwrap(), 0);
}

#[test]
fn a_leaf_is_found_where_it_first_appeared() {
    let engine = MemoryEngine::new();
    append(&engine, &[7, 8, 7].map(Fr::from));
    append(&engine, &[7, 9].map(Fr::from));
    for (leaf, position) in [(7, Some(0)), (8, Some(1)), (9, Some(4)), (10, None)] {
        assert_eq!(
            TREE.position(&engine, Fr::from(leaf)).unwrap(),
            position,
            "{leaf}"
        );
    }
    // It stands at the other place all the same.
    let path = TREE.path(&engine, 3).unwrap();
    assert_eq!(path.siblings[0], [7, 8, 7].map(Fr::from));
}

#[test]
fn a_full_tree_and_a_damaged_node_are_errors() {
    let engine = MemoryEngine::new();
    append(&engine, &numbers(1..65));
    let error = TREE
        .append(&engine, &numbers(1..2), &mut Batch::new())
        .unwrap_err();
    assert_eq!(error.to_string(), "the tree is full: it holds 64 leaves");
    let error = TREE.path(&engine, 64).unwrap_err();
    assert_eq!(error.to_string(), "there is no leaf 64: the tree has 64");
    engine
        .put(
            b"tree/node/\x00\x00\x00\x00\x00\x00\x00\x00\x01",
            &[0xff; 32],
        )
        .unwrap();
    let error = TREE.path(&engine, 0).unwrap_err();
    assert!(
        matches!(&error, StoreError::Damaged { key } if key.starts_with("tree/node/")),
        "{error}"
    );
}

#[test]
fn numbers_are_in_a_set_after_their_batch() {
    let (engine, set) = (MemoryEngine::new(), NumberSet::new("spent"));
    let mut batch = Batch::new();
    set.insert(&mut batch, Fr::from(3));
    assert!(!set.contains(&engine, Fr::from(3)).unwrap());
    engine.write(&batch).unwrap();
    assert!(set.contains(&engine, Fr::from(3)).unwrap());
    assert!(!set.contains(&engine, Fr::from(4)).unwrap());
}

#[test]
fn numbers_have_one_encoding() {
    let number = -Fr::from(1);
    let mut bytes = number_bytes(number);
    assert_eq!(read_number(&bytes), Some(number));
    assert_eq!(read_number(&bytes[1..]), None);
    bytes[31] += 1;
    assert_eq!(read_number(&bytes), None, "r itself");
}
