//! Uniqueness spreads from the inputs: which wires have one value only, for every value of the inputs.
//!
//! A work-list of constraints, as in [Picus] (section 4) and [Ecne]; each constraint is looked at again when one of its wires becomes
//! unique. The rules:
//!
//! | rule | constraint | makes unique |
//! |---|---|---|
//! | *single* | one wire left, and its coefficient is never zero | that wire |
//! | *digits* | a sum in which only bounded wires are left, whose weighted sums are all different ([`super::digits`], [`super::wide`]) | all of them |
//! | *decoder* | a sum of wires of which known ones say which may not be zero | all of them |
//! | *cases* | several products with one known factor ([`super::cases`]) | what follows both if the factor is zero and if not |
//!
//! [Picus]: https://eprint.iacr.org/2023/512
//! [Ecne]: https://github.com/franklynwang/EcneProject

use std::collections::{BTreeSet, HashMap, VecDeque};

use ark_bn254::Fr;
use ark_ff::{Field, Zero};

use super::cases;
use super::digits::{self, OneHot};
use super::facts::Facts;
use super::system::{Lc, Places, Relation, System, coefficient, constant, monic};
use super::wide::Chain;

/// A sum with more open wires than this is left alone until fewer are, to keep the whole linear. No number has more digits.
const MOST_OPEN: u32 = 512;

/// How many wires of a constraint are not unique yet.
#[derive(Debug, Clone, Copy, Default)]
struct Left {
    all: u32,
    in_a: u32,
    in_b: u32,
    without_bound: u32,
}

/// What is unique.
#[derive(Debug)]
pub(super) struct Unique {
    known: Vec<bool>,
    /// Hints that are free only where they are multiplied by zero in every constraint, such as the inverse of zero.
    pub(super) harmless: BTreeSet<u32>,
}

impl Unique {
    /// Spreads uniqueness from the wires that are `fixed` to a fixpoint.
    pub(super) fn new(
        system: &System,
        facts: &Facts,
        chains: &[Chain],
        fixed: impl Iterator<Item = u32>,
    ) -> Self {
        let mut spread = Spread::new(system, facts, chains);
        spread.queue = (0..)
            .zip(&system.relations)
            .map(|(index, _)| index)
            .collect();
        for wire in std::iter::once(0).chain(fixed) {
            spread.settle(wire);
        }
        while let Some(index) = spread.queue.pop_front() {
            spread.examine(index);
        }
        spread.unique
    }

    /// Whether the wire has one value only.
    pub(super) fn is_known(&self, wire: u32) -> bool {
        self.known[wire as usize]
    }

    /// The wires that were not shown to be unique, without the harmless ones.
    pub(super) fn undecided(&self, system: &System) -> Vec<u32> {
        (0..system.own_wires)
            .zip(&self.known)
            .filter(|(wire, known)| !**known && !self.harmless.contains(wire))
            .map(|(wire, _)| wire)
            .collect()
    }
}

struct Spread<'a> {
    system: &'a System,
    facts: &'a Facts,
    chains: &'a [Chain],
    unique: Unique,
    left: Vec<Left>,
    queue: VecDeque<u32>,
    /// For each factor, up to a constant, the constraints that multiply by it.
    by_factor: HashMap<Lc, Vec<u32>>,
    one_hot: Vec<OneHot>,
}

impl<'a> Spread<'a> {
    fn new(system: &'a System, facts: &'a Facts, chains: &'a [Chain]) -> Self {
        let mut left = vec![Left::default(); system.relations.len()];
        let mut by_factor: HashMap<Lc, Vec<u32>> = HashMap::new();
        for (index, relation) in (0_u32..).zip(&system.relations) {
            for (wire, places) in relation.wires() {
                count(
                    &mut left[index as usize],
                    places,
                    !has_bound(facts, wire),
                    |n| *n += 1,
                );
            }
            if let Relation::Product { a, b, .. } = relation {
                let (a, b) = (monic(a), monic(b));
                if a != b {
                    by_factor.entry(b).or_default().push(index);
                }
                by_factor.entry(a).or_default().push(index);
            }
        }
        by_factor.retain(|_, constraints| constraints.len() > 1);
        Self {
            system,
            facts,
            chains,
            unique: Unique {
                known: vec![false; system.wires as usize],
                harmless: BTreeSet::new(),
            },
            left,
            queue: VecDeque::new(),
            by_factor,
            one_hot: digits::one_hot(system, facts),
        }
    }

    /// Notes that a wire is unique, and has the constraints with it looked at.
    fn settle(&mut self, wire: u32) {
        if std::mem::replace(&mut self.unique.known[wire as usize], true) {
            return;
        }
        let loose = !has_bound(self.facts, wire);
        for &(index, places) in &self.system.uses[wire as usize] {
            let left = &mut self.left[index as usize];
            count(left, places, loose, |n| *n -= 1);
            if left.all > 0 {
                self.queue.push_back(index);
            }
        }
    }

    fn examine(&mut self, index: u32) {
        let left = self.left[index as usize];
        let relation = &self.system.relations[index as usize];
        if left.all == 0 {
            return;
        }
        if left.all == 1 {
            let wires = relation.wires().into_iter();
            let wire = wires.map(|(w, _)| w).find(|w| !self.unique.is_known(*w));
            let wire = wire.expect("one wire is left");
            if has_one_solution(relation, wire, self.facts) {
                return self.settle(wire);
            }
        }
        let sum = match relation {
            Relation::Linear(lc) => Some(lc),
            Relation::Product { c, .. } => (left.in_a == 0 && left.in_b == 0).then_some(c),
        };
        if let Some(sum) = sum
            && left.all <= MOST_OPEN
        {
            let terms = sum.iter().filter(|(wire, _)| !self.unique.is_known(*wire));
            let terms: Lc = terms.copied().collect();
            if self.decides(index, &terms, left.without_bound == 0) {
                return terms.iter().for_each(|(wire, _)| self.settle(*wire));
            }
        }
        if let Relation::Product { a, b, .. } = relation {
            for (left, factor) in [(left.in_a, a), (left.in_b, b)] {
                if left == 0 {
                    self.examine_cases(&monic(factor));
                }
            }
        }
    }

    /// Whether a known sum of the terms leaves one value only for each of their wires.
    fn decides(&self, index: u32, terms: &Lc, are_bounded: bool) -> bool {
        if terms.len() < 2 {
            return false;
        }
        let by_digits = || {
            let is_one_hot = |group: &OneHot| group.decides(terms, &self.unique);
            digits::are_unique(terms, self.facts)
                || self.chains.iter().any(|chain| chain.decides(index, terms))
                || self.one_hot.iter().any(is_one_hot)
        };
        are_bounded && by_digits() || digits::are_exclusive(terms, self.system, &self.unique)
    }

    fn examine_cases(&mut self, factor: &Lc) {
        let Some(constraints) = self.by_factor.get(factor) else {
            return;
        };
        let found = cases::examine(self.system, &self.unique, factor, constraints);
        self.unique.harmless.extend(found.harmless);
        found.unique.into_iter().for_each(|wire| self.settle(wire));
    }
}

fn has_bound(facts: &Facts, wire: u32) -> bool {
    facts.bound(wire).is_some()
}

fn count(left: &mut Left, places: Places, loose: bool, change: impl Fn(&mut u32)) {
    change(&mut left.all);
    if places.a {
        change(&mut left.in_a);
    }
    if places.b {
        change(&mut left.in_b);
    }
    if loose {
        change(&mut left.without_bound);
    }
}

/// Whether the relation, all other wires fixed, has at most one solution for `wire`.
fn has_one_solution(relation: &Relation, wire: u32, facts: &Facts) -> bool {
    let (a, b, c) = match relation {
        Relation::Linear(_) => return true,
        Relation::Product { a, b, c } => (a, b, c),
    };
    let k = coefficient(c, wire);
    let (factor, inside) = match (coefficient(a, wire), coefficient(b, wire)) {
        (x, y) if x.is_zero() && y.is_zero() => return true,
        (x, y) if y.is_zero() => (b, x),
        (x, y) if x.is_zero() => (a, y),
        // A square or worse: two roots.
        _ => return false,
    };
    if k.is_zero() && constant(c).is_some_and(|c| !c.is_zero()) {
        return true;
    }
    // (inside * wire + ..) * factor = k * wire + ..: the coefficient of the wire is inside * factor - k.
    let limit: Fr = k * inside
        .inverse()
        .expect("the wire is inside one of the factors");
    let difference = super::system::sum(factor, Fr::ONE, &vec![(0, limit)]);
    facts.is_nonzero(&difference)
}
