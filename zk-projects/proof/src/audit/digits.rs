//! Sums of bounded wires: digits of a number, and selectors of which exactly one is set.

use ark_bn254::Fr;
use ark_ff::{Field, Zero};
use num_bigint::BigUint;

use super::facts::{Facts, modulus, signed, without_one};
use super::system::{Lc, Relation, System, coefficient};
use super::unique::Unique;

/// Whether a known sum of the terms leaves one value only for each of its wires, all bounded.
///
/// True if, ordered by weight, each weight is greater than all that the smaller ones can add up to, and everything together stays below
/// the field: then two choices with the same sum differ nowhere. A negative weight counts by its magnitude, because `-k x` is
/// `k (bound - x)` up to a constant. For bits this is the decomposition of a number of at most 253 bits.
pub(super) fn are_unique(terms: &Lc, facts: &Facts) -> bool {
    let (Some((_, first)), Some((_, last))) = (terms.first(), terms.last()) else {
        return false;
    };
    // The weights count relative to that of the smallest digit, which is the first or the last wire, or plainly.
    [*first, *last, Fr::ONE].iter().any(|unit| {
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
pub(super) fn one_hot(system: &System, facts: &Facts, without: Option<u32>) -> Vec<OneHot> {
    let groups = without_one(system, without).filter_map(|(_, relation)| {
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
