//! Patterns that are wrong although every wire may be unique.
//!
//! Uniqueness says nothing about the inputs themselves: a selector that is an input is unique whatever it is. These rules look at what
//! a wire is used for.

use std::collections::{BTreeSet, HashMap};

use ark_bn254::Fr;
use ark_ff::{Field, Zero};
use num_bigint::BigUint;

use super::digits::sum_to_one;
use super::facts::Facts;
use super::report::{Class, Finding};
use super::system::{Lc, Relation, System, coefficient, constant, sum};
use super::unique::Unique;
use super::wide::Chain;

/// Public inputs and other wires that no constraint depends on.
pub(super) fn unused(system: &System) -> Vec<Finding> {
    let unused = (1..system.own_wires).filter(|wire| system.uses[*wire as usize].is_empty());
    let finding = |wire| {
        let (class, explanation) = if system.public_inputs.contains(&wire) {
            let text = "no constraint depends on it: a proof for one value of it is a proof for every other";
            (Class::UnusedPublicInput, text)
        } else {
            let text =
                "no constraint depends on it: it was assigned but not constrained, or is left over";
            (Class::UnusedWire, text)
        };
        Finding {
            class,
            wires: vec![wire],
            constraints: Vec::new(),
            explanation: text(explanation),
        }
    };
    unused.map(finding).collect()
}

/// Declared ranges that do not follow from the constraints. `facts` must not have been given them.
pub(super) fn ranges<'a>(
    declared: impl Iterator<Item = (&'a u32, &'a u32)>,
    facts: &Facts,
) -> Vec<Finding> {
    let open = declared.filter(|(wire, bits)| {
        let limit = BigUint::from(1_u8) << **bits;
        facts.bound(**wire).is_none_or(|bound| *bound >= limit)
    });
    let finding = |(wire, bits): (&u32, &u32)| Finding {
        class: Class::RangeNotEnforced,
        wires: vec![*wire],
        constraints: Vec::new(),
        explanation: format!(
            "declared below 2^{bits}, but the constraints admit more; only whoever checks it outside does"
        ),
    };
    open.map(finding).collect()
}

/// Public inputs that ought to follow from the private ones but do not.
pub(super) fn not_computed(expected: &BTreeSet<u32>, computed: &BTreeSet<u32>) -> Vec<Finding> {
    let finding = |wire: &u32| Finding {
        class: Class::NotComputed,
        wires: vec![*wire],
        constraints: Vec::new(),
        explanation: text(
            "the private inputs do not determine it: it can be chosen, and an unconstrained wire made to fit it",
        ),
    };
    expected.difference(computed).map(finding).collect()
}

/// Constraints that always hold or never, and those that repeat another one.
pub(super) fn idle(system: &System) -> Vec<Finding> {
    let mut seen: HashMap<_, u32> = HashMap::new();
    let mut findings = Vec::new();
    for (index, relation) in (0..).zip(&system.relations) {
        if let Relation::Linear(lc) = relation
            && let Some(k) = constant(lc)
        {
            let holds = if k.is_zero() { "always" } else { "never" };
            findings.push(Finding {
                class: Class::ConstantConstraint,
                wires: Vec::new(),
                constraints: vec![index],
                explanation: format!("it {holds} holds, whatever the wires are"),
            });
            continue;
        }
        let first = *seen.entry(relation.normalised()).or_insert(index);
        if first != index {
            findings.push(Finding {
                class: Class::DuplicateConstraint,
                wires: Vec::new(),
                constraints: vec![first, index],
                explanation: text("the second says what the first says, up to a factor"),
            });
        }
    }
    findings
}

/// Wires that choose but are not bits: `out = l + s (r - l)`, or one of several that add up to one.
///
/// Only wires that the prover chooses: inputs, and what is not known to be unique.
pub(super) fn selectors(system: &System, facts: &Facts, unique: &Unique) -> Vec<Finding> {
    let is_suspect = |wire: u32| {
        wire != 0 && !facts.is_bit(wire) && (system.is_fixed(wire) || !unique.is_known(wire))
    };
    let mut uses: HashMap<u32, Vec<u32>> = HashMap::new();
    for (index, relation) in (0..).zip(&system.relations) {
        let Relation::Product { a, b, c } = relation else {
            continue;
        };
        for (left, right) in [(a, b), (b, a)] {
            if let Some((wire, slope, offset)) = single(left)
                && is_suspect(wire)
                && is_choice(
                    system,
                    index,
                    wire,
                    &scaled(right, slope),
                    &sum(right, -offset, &scaled(c, -Fr::ONE)),
                )
            {
                uses.entry(wire).or_default().push(index);
            }
        }
    }
    for (index, relation) in (0..).zip(&system.relations) {
        if let Relation::Linear(lc) = relation {
            for wire in sum_to_one(lc).unwrap_or_default() {
                if is_suspect(wire) && is_factor(system, wire) {
                    uses.entry(wire).or_default().push(index);
                }
            }
        }
    }
    let mut findings: Vec<Finding> = uses
        .into_iter()
        .map(|(wire, constraints)| Finding {
            class: Class::SelectorNotBoolean,
            wires: vec![wire],
            constraints,
            explanation: text("it chooses between values, but nothing forces it to be 0 or 1: with another value the result can be anything"),
        })
        .collect();
    findings.sort_by(|x, y| x.wires.cmp(&y.wires));
    findings
}

/// Whether `selector * difference = result` makes a choice, there or where the result is used.
///
/// With `difference = r - l`, the choice is `l + selector * (r - l)`: some of the terms of `difference` stand in it with opposite sign.
fn is_choice(system: &System, index: u32, selector: u32, difference: &Lc, result: &Lc) -> bool {
    if !coefficient(difference, selector).is_zero() {
        return false;
    }
    let outside = result
        .iter()
        .filter(|(wire, _)| *wire != 0 && coefficient(difference, *wire).is_zero());
    // result = k * out + rest, so out = selector * difference / k - rest / k
    let here = outside.clone().any(|&(_, k)| {
        k.inverse()
            .is_some_and(|k| is_mixed(&scaled(difference, k), &scaled(result, -k)))
    });
    let (1, Some(&(product, k))) = (result.len(), result.first()) else {
        return here;
    };
    let difference = scaled(difference, k.inverse().expect("no coefficient is zero"));
    let mut users = system.uses[product as usize]
        .iter()
        .filter(|(user, _)| *user != index);
    here || users.any(|(user, _)| {
        system.relations[*user as usize].combinations().any(|lc| {
            let k = coefficient(lc, product).inverse();
            k.is_some_and(|k| is_mixed(&difference, &scaled(lc, k)))
        })
    })
}

/// Whether `rest` takes back some terms of `difference`, one wire at least, but not all.
fn is_mixed(difference: &Lc, rest: &Lc) -> bool {
    let taken_back = |(wire, k): &&(u32, Fr)| coefficient(rest, *wire) == -*k;
    let wires = difference
        .iter()
        .filter(taken_back)
        .filter(|(wire, _)| *wire != 0)
        .count();
    wires > 0 && difference.iter().any(|term| !taken_back(&term))
}

/// The only wire of a combination, its coefficient and the constant.
fn single(lc: &Lc) -> Option<(u32, Fr, Fr)> {
    match lc.as_slice() {
        [(0, offset), (wire, slope)] => Some((*wire, *slope, *offset)),
        [(wire, slope)] if *wire != 0 => Some((*wire, *slope, Fr::zero())),
        _ => None,
    }
}

/// Whether the wire alone is multiplied by something else than itself.
fn is_factor(system: &System, wire: u32) -> bool {
    system.uses[wire as usize]
        .iter()
        .any(|(index, _)| match &system.relations[*index as usize] {
            Relation::Linear(_) => false,
            Relation::Product { a, b, .. } => [(a, b), (b, a)].iter().any(|(left, right)| {
                single(left).is_some_and(|(w, ..)| w == wire) && coefficient(right, wire).is_zero()
            }),
        })
}

/// Decompositions with two answers for some numbers.
pub(super) fn wide(chains: &[Chain]) -> Vec<Finding> {
    let finding = |chain: &Chain| Finding {
        class: Class::WideDecomposition,
        wires: chain.bits.clone(),
        constraints: vec![chain.constraint],
        explanation: format!(
            "{} bits spell some numbers in two ways, as x and as x + r, and no comparison with r was recognised",
            chain.bits.len()
        ),
    };
    chains
        .iter()
        .filter(|chain| !chain.is_strict)
        .map(finding)
        .collect()
}

fn scaled(lc: &Lc, k: Fr) -> Lc {
    lc.iter()
        .map(|&(wire, c)| (wire, c * k))
        .filter(|(_, c)| !c.is_zero())
        .collect()
}

fn text(explanation: &str) -> String {
    explanation.to_owned()
}
