//! Several products with one known factor: what follows both if the factor is zero and if it is not.
//!
//! The gadget that asks whether `x` is zero is two of them, `x * inverse = 1 - out` and `x * out = 0`. If `x` is zero, the first says
//! `out = 1`; if not, the second says `out = 0`: either way `out` is unique. `inverse` is unique only in the second case. In
//! the first it is multiplied by zero wherever it stands, so that its freedom touches nothing: it is *harmless*.

use std::collections::BTreeSet;

use super::system::{Lc, Relation, System, coefficient, monic};
use super::unique::Unique;
use ark_ff::Zero;

/// More products than this with one factor are left alone, to keep the whole linear.
const MOST_PRODUCTS: usize = 64;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) unique: BTreeSet<u32>,
    pub(super) harmless: BTreeSet<u32>,
}

/// Looks at the products with `factor`, whose wires are all unique.
pub(super) fn examine(system: &System, unique: &Unique, factor: &Lc, constraints: &[u32]) -> Found {
    if constraints.len() > MOST_PRODUCTS {
        return Found::default();
    }
    let products: Vec<(&Lc, &Lc)> = constraints
        .iter()
        .filter_map(|index| match &system.relations[*index as usize] {
            Relation::Product { a, b, c } if monic(a) == *factor => Some((b, c)),
            Relation::Product { a, c, .. } => Some((a, c)),
            Relation::Linear(_) => None,
        })
        .collect();
    let if_zero = follow(unique, |found| {
        let sums = products.iter().map(|(_, c)| only_open(unique, found, &[c]));
        sums.flatten().collect()
    });
    let if_not = follow(unique, |found| {
        let open = products.iter().filter_map(|(other, c)| {
            let wire = only_open(unique, found, &[other, c])?;
            let is_once = coefficient(other, wire).is_zero() || coefficient(c, wire).is_zero();
            is_once.then_some(wire)
        });
        open.collect()
    });
    let is_harmless = |wire: &&u32| {
        let uses = &system.uses[**wire as usize];
        let is_output = **wire < system.inputs.start;
        !is_output
            && uses
                .iter()
                .all(|(index, places)| constraints.contains(index) && !places.c)
    };
    Found {
        unique: if_zero.intersection(&if_not).copied().collect(),
        harmless: if_not
            .difference(&if_zero)
            .filter(is_harmless)
            .copied()
            .collect(),
    }
}

/// Repeats a step until it finds nothing more.
fn follow(unique: &Unique, step: impl Fn(&BTreeSet<u32>) -> Vec<u32>) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    loop {
        let new = step(&found);
        debug_assert!(
            new.iter().all(|wire| !unique.is_known(*wire)),
            "only open wires are found"
        );
        let before = found.len();
        found.extend(new);
        if found.len() == before {
            return found;
        }
    }
}

/// The wire that is neither unique nor found, if it is the only one in these combinations.
fn only_open(unique: &Unique, found: &BTreeSet<u32>, combinations: &[&Lc]) -> Option<u32> {
    let wires = combinations
        .iter()
        .flat_map(|lc| lc.iter().map(|(wire, _)| *wire));
    let mut open = wires.filter(|wire| !unique.is_known(*wire) && !found.contains(wire));
    let first = open.next()?;
    open.all(|wire| wire == first).then_some(first)
}
