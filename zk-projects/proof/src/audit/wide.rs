//! Bits as many as the field has, or more: which numbers they can spell, and whether a comparison with r leaves one way only.
//!
//! 254 bits spell every number x below 2^254 - r also as x + r. A strict decomposition compares the bits with r - 1. Whether the
//! constraints do is found out by trying: a number above r - 1 agrees with it down to some bit, which it has and r - 1 has not. For each
//! bit that r - 1 lacks, that bit and the agreeing ones above it are assumed, and values follow through the constraints until two of
//! them contradict each other. If that happens for each such bit, no number above r - 1 is possible, however the comparison is built.

use std::collections::{BTreeSet, HashMap};

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, BigInteger, Field, PrimeField, Zero};

use super::facts::Facts;
use super::system::{Lc, Relation, System, sum};

/// Bits with doubling weights in one constraint, as many as the field has or more.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) constraint: u32,
    /// The lowest first.
    pub(super) bits: Vec<u32>,
    /// Whether they spell numbers below r only.
    pub(super) is_strict: bool,
}

impl Chain {
    /// Whether a known sum in this constraint leaves one value only for these wires.
    pub(super) fn decides(&self, constraint: u32, terms: &Lc) -> bool {
        if !self.is_strict || self.constraint != constraint {
            return false;
        }
        let bits: BTreeSet<u32> = self.bits.iter().copied().collect();
        terms.iter().all(|(w, _)| bits.contains(w))
    }
}

/// All such chains.
pub(super) fn chains(system: &System, facts: &Facts) -> Vec<Chain> {
    let mut chains = Vec::new();
    for (constraint, relation) in (0..).zip(&system.relations) {
        for bits in relation
            .combinations()
            .filter_map(|lc| longest_chain(lc, facts))
        {
            let is_strict = is_strict(system, &bits);
            chains.push(Chain {
                constraint,
                bits,
                is_strict,
            });
        }
    }
    chains
}

fn longest_chain(lc: &Lc, facts: &Facts) -> Option<Vec<u32>> {
    let wide = Fr::MODULUS_BIT_SIZE as usize;
    if lc.len() < wide {
        return None;
    }
    let bits = lc
        .iter()
        .filter(|(wire, _)| *wire != 0 && facts.is_bit(*wire));
    let by_weight: HashMap<Fr, u32> = bits.map(|&(wire, k)| (k, wire)).collect();
    let half = Fr::from(2_u8).inverse().expect("r is odd");
    let starts = by_weight
        .keys()
        .filter(|k| !by_weight.contains_key(&(**k * half)));
    let chain = |start: &Fr| -> Vec<u32> {
        let weights = std::iter::successors(Some(*start), |k| Some(k.double()));
        let bits = weights.map_while(|k| by_weight.get(&k).copied());
        bits.take(by_weight.len()).collect()
    };
    starts
        .map(chain)
        .max_by_key(Vec::len)
        .filter(|chain| chain.len() >= wide)
}

/// Whether the constraints exclude that the bits spell a number above r - 1.
fn is_strict(system: &System, bits: &[u32]) -> bool {
    let mut limit = Fr::MODULUS;
    limit.sub_with_borrow(&1_u8.into());
    let mut assumed = Assumed {
        system,
        values: HashMap::new(),
        order: Vec::new(),
    };
    for (index, bit) in bits.iter().enumerate().rev() {
        if limit.get_bit(index) {
            if assumed.assume(*bit, Fr::ONE).is_err() {
                return true;
            }
            continue;
        }
        let before = assumed.order.len();
        if assumed.assume(*bit, Fr::ONE).is_ok() {
            return false;
        }
        assumed.forget(before);
        if assumed.assume(*bit, Fr::ZERO).is_err() {
            return true;
        }
    }
    true
}

/// Values that follow from assumptions.
struct Assumed<'a> {
    system: &'a System,
    values: HashMap<u32, Fr>,
    order: Vec<u32>,
}

/// Two values contradict each other.
struct Contradiction;

/// A combination as far as it is known: the value, and the terms without one.
struct Known {
    value: Fr,
    open: Vec<(u32, Fr)>,
}

impl Assumed<'_> {
    /// Assumes a value and follows it.
    fn assume(&mut self, wire: u32, value: Fr) -> Result<(), Contradiction> {
        let mut next = self.order.len();
        self.set(wire, value)?;
        while let Some(&wire) = self.order.get(next) {
            next += 1;
            let system = self.system;
            for (index, _) in &system.uses[wire as usize] {
                self.follow(&system.relations[*index as usize])?;
            }
        }
        Ok(())
    }

    /// Drops all values but the first `count`.
    fn forget(&mut self, count: usize) {
        for wire in self.order.drain(count..) {
            self.values.remove(&wire);
        }
    }

    fn set(&mut self, wire: u32, value: Fr) -> Result<(), Contradiction> {
        match self.values.get(&wire) {
            Some(old) if *old == value => {}
            Some(_) => return Err(Contradiction),
            None => {
                self.values.insert(wire, value);
                self.order.push(wire);
            }
        }
        Ok(())
    }

    fn known(&self, lc: &Lc) -> Known {
        let mut known = Known {
            value: Fr::zero(),
            open: Vec::new(),
        };
        for &(wire, k) in lc {
            match self.values.get(&wire) {
                _ if wire == 0 => known.value += k,
                Some(value) => known.value += k * value,
                None => known.open.push((wire, k)),
            }
        }
        known
    }

    fn follow(&mut self, relation: &Relation) -> Result<(), Contradiction> {
        let (a, b, c) = match relation {
            Relation::Linear(lc) => {
                return self.solve(Fr::ZERO, &self.known(&Lc::new()), &self.known(lc));
            }
            Relation::Product { a, b, c } => (self.known(a), self.known(b), self.known(c)),
        };
        match (a.open.is_empty(), b.open.is_empty()) {
            (true, _) => self.solve(a.value, &b, &c),
            (_, true) => self.solve(b.value, &a, &c),
            _ => Ok(()),
        }
    }

    /// `factor * other = product`: checked if nothing is open, solved if one wire is.
    fn solve(&mut self, factor: Fr, other: &Known, product: &Known) -> Result<(), Contradiction> {
        let scaled = other
            .open
            .iter()
            .map(|&(wire, k)| (wire, k * factor))
            .collect();
        let open = sum(&product.open, Fr::ONE, &scaled);
        let rest = factor * other.value - product.value;
        match open.as_slice() {
            [] if rest.is_zero() => Ok(()),
            [] => Err(Contradiction),
            [(wire, k)] => self.set(*wire, rest / k),
            _ => Ok(()),
        }
    }
}
