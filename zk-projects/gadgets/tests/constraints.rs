//! How many constraints each circuit has: a golden file, and circomlib's figures as limits.
//!
//! After a change that is meant: `BLESS=1 cargo test -p gadgets --test constraints`, and read the difference.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

mod common;

use std::fmt::Write;

use ark_bn254::Fr;
use common::solve;
use gadgets::context;
use gadgets::merkle::{Binary, PathWires, Quaternary, Shape, Tree, path_root};
use gadgets::nullifier::{of_note_wires, scoped_wires};
use gadgets::poseidon::hash_wires;
use gadgets::range::{bits, strict_bits};
use gadgets::sha256::{self, Word};
use gadgets::wire::{Circuit, Wire};

const GOLDEN: &str = "tests/golden/constraints.txt";

/// Constraints of Poseidon in circomlib 2.0.5, compiled by circom 2.2.3 with `--O2`.
const CIRCOMLIB: [(usize, usize); 4] = [(1, 213), (2, 240), (4, 297), (16, 609)];
/// Constraints of its SHA-256 of 512 bits.
const CIRCOMLIB_SHA256: usize = 59_281;
/// Constraints of its `Num2Bits_strict`.
const CIRCOMLIB_STRICT_BITS: usize = 515;

fn inputs(circuit: &Circuit, count: u64) -> Vec<Wire> {
    (1..=count)
        .map(|n| circuit.private(Fr::from(n)).unwrap())
        .collect()
}

fn poseidon(count: u64) -> usize {
    let solved = solve(|circuit| hash_wires(circuit, &inputs(circuit, count)));
    solved.constraints.len()
}

fn strict() -> usize {
    let solved = solve(|circuit| strict_bits(circuit, &inputs(circuit, 1)[0]));
    solved.constraints.len()
}

/// With those that say that the message's bits are bits.
fn sha256(words: usize) -> usize {
    let solved = solve(|circuit| {
        let message: Result<Vec<_>, _> = (0..words).map(|_| Word::private(circuit, 5)).collect();
        sha256::hash_wires(circuit, &message?).map(drop)
    });
    solved.constraints.len()
}

fn path<const SIBLINGS: usize>(shape: Shape<SIBLINGS>) -> usize {
    let mut tree = Tree::new(shape);
    tree.append(&[Fr::from(1)]).unwrap();
    let path = tree.path(0).unwrap();
    let solved = solve(|circuit| {
        let leaf = &inputs(circuit, 1)[0];
        let path = PathWires::allocate(circuit, &path, leaf.value())?;
        path_root(circuit, leaf, &path)
    });
    solved.constraints.len()
}

#[test]
fn circuits_have_the_constraints_of_the_golden_file() {
    let mut text = String::new();
    let mut line = |name: &str, count: usize| writeln!(text, "{name:<28}{count:>6}").unwrap();
    for count in 1..=16 {
        line(&format!("poseidon, {count} inputs"), poseidon(count));
    }
    line("merkle, arity 2, depth 20", path(Binary::new(20)));
    line("merkle, arity 4, depth 10", path(Quaternary::new(10)));
    line("merkle, arity 4, depth 16", path(Quaternary::new(16)));
    let count = |build: &dyn Fn(&Circuit, &[Wire])| {
        let solved = solve(|circuit| {
            build(circuit, &inputs(circuit, 3));
            Ok(())
        });
        solved.constraints.len()
    };
    line(
        "nullifier, scoped",
        count(&|c, w| drop(scoped_wires(c, &w[0], &w[1]).unwrap())),
    );
    line(
        "nullifier, of a note",
        count(&|c, w| drop(of_note_wires(c, &w[0], &w[1], &w[2]).unwrap())),
    );
    line(
        "range, 128 bits",
        count(&|c, w| drop(bits(c, &w[0], 128).unwrap())),
    );
    line("range, strict", strict());
    line("sha256, 32 bytes", sha256(8));
    line("sha256, 64 bytes", sha256(16));
    line("context", count(&|c, w| context::bind(c, &w[0]).unwrap()));
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(GOLDEN, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(GOLDEN).unwrap());
}

#[test]
fn no_circuit_has_more_constraints_than_circomlib() {
    for (count, theirs) in CIRCOMLIB {
        assert!(poseidon(count as u64) <= theirs, "{count} inputs");
    }
    assert!(sha256(16) <= CIRCOMLIB_SHA256);
    assert!(strict() <= CIRCOMLIB_STRICT_BITS);
}
