//! Sums of bounded wires: digits of a number, and selectors of which exactly one is set.

use std::collections::{BTreeSet, HashSet};

use ark_bn254::Fr;
use ark_ff::{Field, Zero};
use num_bigint::BigUint;

use super::facts::{Facts, modulus, signed};
use super::system::{Lc, Relation, System, coefficient, monic};
use super::unique::Unique;

/// Weights that are tried as that of the lowest digit.
const MOST_UNITS: usize = 8;

/// Wires of a decoder's sum; beyond that it is left alone, to keep the whole linear.
const MOST_EXCLUSIVE: usize = 256;

/// Whether a known sum of the terms leaves one value only for each of its wires, all bounded.
///
/// True if, ordered by weight, each weight is greater than all that the smaller ones can add up to, and everything together stays below
/// the field: then two choices with the same sum differ nowhere. A negative weight counts by its magnitude, because `-k x` is
/// `k (bound - x)` up to a constant. For bits this is the decomposition of a number of at most 253 bits.
pub(super) fn are_unique(terms: &Lc, facts: &Facts) -> bool {
    // The weights count relative to that of the lowest digit: one that is not the double of another.
    let weights: HashSet<Fr> = terms.iter().flat_map(|(_, k)| [*k, -*k]).collect();
    let half = Fr::from(2_u8).inverse().expect("r is odd");
    let lowest = terms
        .iter()
        .map(|(_, k)| *k)
        .filter(|k| !weights.contains(&(*k * half)));
    let mut candidates = std::iter::once(Fr::ONE).chain(lowest.take(MOST_UNITS));
    !terms.is_empty()
        && candidates.any(|unit| {
            let unit = unit.inverse().expect("no coefficient is zero");
            let weights = terms
                .iter()
                .map(|&(wire, k)| (signed(k * unit).magnitude().clone(), wire));
            are_growing(weights.collect(), facts)
        })
}

fn are_growing(mut weights: Vec<(BigUint, u32)>, facts: &Facts) -> bool {
    weights.sort();
    let mut total = BigUint::zero();
    for (weight, wire) in weights {
        let Some(bound) = facts.bound(wire) else {
            return false;
        };
        if weight <= total {
            return false;
        }
        total += weight * bound;
    }
    total < *modulus().magnitude()
}

/// Bits of which exactly one is set: a constraint says that their sum is 1.
#[derive(Debug)]
pub(super) struct OneHot {
    bits: Vec<u32>,
}

/// All such groups of two bits and more.
pub(super) fn one_hot(system: &System, facts: &Facts) -> Vec<OneHot> {
    let groups = system.relations.iter().filter_map(|relation| {
        let Relation::Linear(lc) = relation else {
            return None;
        };
        let bits = sum_to_one(lc)?;
        bits.iter()
            .all(|bit| facts.is_bit(*bit))
            .then_some(OneHot { bits })
    });
    groups.collect()
}

/// The wires of `x + y + ... = 1`, two or more.
pub(super) fn sum_to_one(lc: &Lc) -> Option<Vec<u32>> {
    let (&(first, minus_one), terms) = lc.split_first()?;
    let is_sum = first == 0 && terms.len() > 1 && terms.iter().all(|(_, k)| *k == -minus_one);
    is_sum.then(|| terms.iter().map(|(wire, _)| *wire).collect())
}

impl OneHot {
    /// Whether a known sum of the terms says which of the bits is set: each has another weight, also those that the sum lacks.
    pub(super) fn decides(&self, terms: &Lc, unique: &Unique) -> bool {
        if !terms.iter().all(|(wire, _)| self.bits.contains(wire)) {
            return false;
        }
        let open = self.bits.iter().filter(|bit| !unique.is_known(**bit));
        let mut weights: Vec<Fr> = open.map(|bit| coefficient(terms, *bit)).collect();
        weights.sort();
        weights.windows(2).all(|pair| pair[0] != pair[1])
    }
}

/// Whether a known sum of the terms leaves one value only, because at most one of them is not zero, and known wires say which.
///
/// Each wire `x` has a constraint `x (s - k) = 0` with the same known sum `s` and another constant `k`: the decoder of an index.
pub(super) fn are_exclusive(terms: &Lc, system: &System, unique: &Unique) -> bool {
    let mut keys = terms
        .iter()
        .map(|(wire, _)| zero_unless(*wire, system, unique));
    let Some(Some((sum, first))) = keys.next() else {
        return false;
    };
    let mut constants = BTreeSet::from([first]);
    terms.len() <= MOST_EXCLUSIVE
        && keys.all(|key| key.is_some_and(|(other, k)| other == sum && constants.insert(k)))
}

/// The known sum, as it is without its constant, and the constant, of which one must cancel the other unless the wire is zero.
fn zero_unless(wire: u32, system: &System, unique: &Unique) -> Option<(Lc, Fr)> {
    let uses = system.uses[wire as usize].iter();
    let factors = uses.filter_map(|(index, _)| match &system.relations[*index as usize] {
        Relation::Product { a, b, c } if c.is_empty() => match (a.as_slice(), b.as_slice()) {
            ([(w, _)], _) if *w == wire => Some(b),
            (_, [(w, _)]) if *w == wire => Some(a),
            _ => None,
        },
        _ => None,
    });
    let mut known = factors.filter(|lc| lc.iter().all(|(wire, _)| unique.is_known(*wire)));
    let mut sum = monic(known.next()?);
    let constant = coefficient(&sum, 0);
    sum.retain(|(wire, _)| *wire != 0);
    Some((sum, constant))
}
