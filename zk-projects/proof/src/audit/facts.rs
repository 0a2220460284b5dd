//! What holds for a wire in every assignment that satisfies the constraints: an upper bound, or that a combination is not zero.
//!
//! A bound of 1 makes a wire a bit. It comes from `x (x - 1) = 0`, from a product of bits, from a sum of weighted bits below the
//! field, and so on to a fixpoint: each constraint bounds the last of its wires that has no bound.

use std::collections::{HashSet, VecDeque};

use ark_bn254::Fr;
use ark_ff::{Field, One, PrimeField, Zero};
use num_bigint::{BigInt, BigUint, Sign};

use super::system::{Lc, Relation, System, coefficient, constant, monic};

/// Wires of which every combination of bits is tried, besides the one to be bounded.
const TRIED_BITS: usize = 4;

/// Bounds of wires and combinations that are not zero.
#[derive(Debug)]
pub(super) struct Facts {
    bounds: Vec<Option<BigUint>>,
    nonzero: HashSet<Lc>,
}

impl Facts {
    /// Derives what follows from the constraints, and from `given`: bounds that something else enforces.
    pub(super) fn new(system: &System, given: impl Iterator<Item = (u32, BigUint)>) -> Self {
        let mut facts = Self {
            bounds: vec![None; system.wires as usize],
            nonzero: HashSet::new(),
        };
        for (wire, bound) in given {
            facts.bounds[wire as usize] = Some(bound);
        }
        for relation in &system.relations {
            if let Relation::Product { a, b, c } = relation
                && constant(c).is_some_and(|c| !c.is_zero())
            {
                facts.nonzero.extend([monic(a), monic(b)]);
            }
        }
        facts.derive_bounds(system);
        facts
    }

    fn derive_bounds(&mut self, system: &System) {
        let mut unbounded: Vec<usize> = system
            .relations
            .iter()
            .map(|relation| {
                let wires = relation.wires().into_iter();
                wires
                    .filter(|(wire, _)| self.bound(*wire).is_none())
                    .count()
            })
            .collect();
        let mut queue: VecDeque<u32> = (0..)
            .zip(&system.relations)
            .map(|(index, _)| index)
            .collect();
        while let Some(index) = queue.pop_front() {
            if unbounded[index as usize] != 1 {
                continue;
            }
            let relation = &system.relations[index as usize];
            let Some((wire, bound)) = self.bound_of_last(relation) else {
                continue;
            };
            self.bounds[wire as usize] = Some(bound);
            for &(user, _) in &system.uses[wire as usize] {
                unbounded[user as usize] -= 1;
                if unbounded[user as usize] == 1 {
                    queue.push_back(user);
                }
            }
        }
    }

    /// The wire's greatest value as an integer.
    pub(super) fn bound(&self, wire: u32) -> Option<&BigUint> {
        self.bounds[wire as usize].as_ref()
    }

    /// Whether the wire is 0 or 1.
    pub(super) fn is_bit(&self, wire: u32) -> bool {
        self.bound(wire)
            .is_some_and(|bound| *bound <= BigUint::one())
    }

    /// Whether the combination is never zero, as far as is known.
    pub(super) fn is_nonzero(&self, lc: &Lc) -> bool {
        if let Some(k) = constant(lc) {
            return !k.is_zero();
        }
        self.nonzero.contains(&monic(lc))
            || self.interval(lc.iter()).is_some_and(|(low, high)| {
                (low > BigInt::zero() && high < modulus())
                    || (high < BigInt::zero() && -low < modulus())
            })
    }

    /// The least and the greatest value as integers, if every wire is bounded.
    fn interval<'a>(&self, terms: impl Iterator<Item = &'a (u32, Fr)>) -> Option<(BigInt, BigInt)> {
        let (mut low, mut high) = (BigInt::zero(), BigInt::zero());
        for &(wire, coefficient) in terms {
            let weight = signed(coefficient);
            let most = if wire == 0 {
                low += &weight;
                high += &weight;
                continue;
            } else {
                BigInt::from(self.bound(wire)?.clone()) * &weight
            };
            match weight.sign() {
                Sign::Minus => low += most,
                _ => high += most,
            }
        }
        Some((low, high))
    }

    fn bound_of_last(&self, relation: &Relation) -> Option<(u32, BigUint)> {
        let wires = relation.wires();
        let is_last = |(wire, _): &&(u32, _)| self.bound(*wire).is_none();
        let &(wire, _) = wires.iter().find(is_last)?;
        let others: Vec<u32> = wires
            .iter()
            .map(|(w, _)| *w)
            .filter(|w| *w != wire)
            .collect();
        let bound = if others.is_empty() {
            bound_of_root(relation, wire)
        } else if others.len() <= TRIED_BITS && others.iter().all(|w| self.is_bit(*w)) {
            bound_by_trying(relation, wire, &others)
        } else {
            self.bound_by_interval(relation, wire)
        }?;
        Some((wire, bound))
    }

    /// `wire = (a b - rest) / k` in integers, if it can neither be negative nor reach the modulus.
    fn bound_by_interval(&self, relation: &Relation, wire: u32) -> Option<BigUint> {
        let zero = Vec::new();
        let (a, b, c) = match relation {
            Relation::Linear(lc) => (&zero, &zero, lc),
            Relation::Product { a, b, c } => (a, b, c),
        };
        if !coefficient(a, wire).is_zero() || !coefficient(b, wire).is_zero() {
            return None;
        }
        let k = coefficient(c, wire).inverse()?;
        let scaled = |lc: &Lc, k: Fr| -> Lc { lc.iter().map(|&(w, x)| (w, x * k)).collect() };
        let rest: Lc = scaled(c, -k);
        let (low, high) = self.interval(rest.iter().filter(|(w, _)| *w != wire))?;
        let (a_low, a_high) = self.interval(scaled(a, k).iter())?;
        let (b_low, b_high) = self.interval(b.iter())?;
        let products = [
            &a_low * &b_low,
            &a_low * &b_high,
            &a_high * &b_low,
            &a_high * &b_high,
        ];
        let low = low + products.iter().min()?;
        let high = high + products.iter().max()?;
        (low >= BigInt::zero() && high < modulus()).then(|| high.magnitude().clone())
    }
}

/// The integer nearest to zero that the number stands for.
pub(super) fn signed(number: Fr) -> BigInt {
    let plain = BigUint::from(number.into_bigint());
    if number.into_bigint() > Fr::MODULUS_MINUS_ONE_DIV_TWO {
        BigInt::from(plain) - modulus()
    } else {
        BigInt::from(plain)
    }
}

/// The order of the scalar field.
pub(super) fn modulus() -> BigInt {
    BigInt::from(BigUint::from(Fr::MODULUS))
}

/// The relation as a polynomial in one wire, the others at the values of `at`: constant, linear, quadratic coefficient.
fn polynomial(relation: &Relation, wire: u32, at: impl Fn(u32) -> Fr) -> [Fr; 3] {
    let split = |lc: &Lc| {
        let rest = lc.iter().filter(|(w, _)| *w != wire);
        let rest: Fr = rest
            .map(|&(w, x)| x * if w == 0 { Fr::one() } else { at(w) })
            .sum();
        (rest, coefficient(lc, wire))
    };
    match relation {
        Relation::Linear(lc) => {
            let (rest, x) = split(lc);
            [rest, x, Fr::zero()]
        }
        Relation::Product { a, b, c } => {
            let ((a0, a1), (b0, b1), (c0, c1)) = (split(a), split(b), split(c));
            [a0 * b0 - c0, a0 * b1 + a1 * b0 - c1, a1 * b1]
        }
    }
}

/// A relation of one wire: a constant, or `x (x - k) = 0`, which is how bits are made.
fn bound_of_root(relation: &Relation, wire: u32) -> Option<BigUint> {
    greatest_root(polynomial(relation, wire, |_| Fr::zero()))
}

/// The greatest value of the wire over all values of a few bits.
fn bound_by_trying(relation: &Relation, wire: u32, bits: &[u32]) -> Option<BigUint> {
    let mut bound = BigUint::zero();
    for choice in 0_u32..1 << bits.len() {
        let value = |w: u32| {
            let at = bits.iter().position(|bit| *bit == w);
            Fr::from(choice >> at.expect("the relation's other wires are bits") & 1)
        };
        match polynomial(relation, wire, value) {
            // No value satisfies it.
            [rest, linear, quadratic]
                if linear.is_zero() && quadratic.is_zero() && !rest.is_zero() => {}
            polynomial => bound = bound.max(greatest_root(polynomial)?),
        }
    }
    Some(bound)
}

/// The greatest root of a polynomial, of which one is 0 or 1 if there are two; `None` if it is another one, or always zero.
fn greatest_root([rest, linear, quadratic]: [Fr; 3]) -> Option<BigUint> {
    let root = match quadratic.inverse() {
        None => -rest * linear.inverse()?,
        Some(k) if rest.is_zero() => -linear * k,
        Some(k) if (rest + linear + quadratic).is_zero() => (rest * k).max(Fr::one()),
        Some(_) => return None,
    };
    Some(root.into_bigint().into())
}
