//! Small circuits by hand, each with and without its bug.

mod bits;
mod patterns;
mod uniqueness;
mod whole;

use ark_ff::{Field, One, PrimeField, Zero};
use ark_std::rand::{Rng, SeedableRng};
use rand_chacha::ChaCha12Rng;

use super::*;
use crate::r1cs::{Matrix, Term};

/// A linear combination under construction: wires with coefficients; wire 0 is the constant.
type Sum = Vec<(u32, Fr)>;

/// A constraint system with values, wire by wire. Inputs come first.
#[derive(Default, Clone)]
struct Circuit {
    public: u32,
    private: u32,
    values: Vec<Fr>,
    rows: Vec<(Sum, Sum, Sum)>,
}

fn one() -> Sum {
    vec![(0, Fr::one())]
}

fn number(k: i64) -> Sum {
    vec![(0, Fr::from(k))]
}

fn wire(wire: u32) -> Sum {
    vec![(wire, Fr::one())]
}

fn times(k: i64, sum: &Sum) -> Sum {
    sum.iter().map(|(w, c)| (*w, *c * Fr::from(k))).collect()
}

fn plus(x: &Sum, y: &Sum) -> Sum {
    x.iter().chain(y).copied().collect()
}

fn minus(x: &Sum, y: &Sum) -> Sum {
    plus(x, &times(-1, y))
}

impl Circuit {
    fn new(public: &[u64], private: &[u64]) -> Self {
        let inputs = public.iter().chain(private).map(|value| Fr::from(*value));
        Self {
            public: u32::try_from(public.len()).expect("few"),
            private: u32::try_from(private.len()).expect("few"),
            values: std::iter::once(Fr::one()).chain(inputs).collect(),
            rows: Vec::new(),
        }
    }

    fn value(&self, sum: &Sum) -> Fr {
        sum.iter().map(|(w, c)| self.values[*w as usize] * c).sum()
    }

    fn hint(&mut self, value: Fr) -> u32 {
        self.values.push(value);
        u32::try_from(self.values.len() - 1).expect("few")
    }

    fn assert(&mut self, a: Sum, b: Sum, c: Sum) {
        self.rows.push((a, b, c));
    }

    fn product(&mut self, a: &Sum, b: &Sum) -> u32 {
        let out = self.hint(self.value(a) * self.value(b));
        self.assert(a.clone(), b.clone(), wire(out));
        out
    }

    fn bit(&mut self, value: Fr) -> u32 {
        let bit = self.hint(value);
        self.assert(wire(bit), minus(&wire(bit), &one()), Vec::new());
        bit
    }

    fn make_bit(&mut self, bit: u32) {
        self.assert(wire(bit), minus(&one(), &wire(bit)), Vec::new());
    }

    /// The bits of a sum, the lowest first, and the constraint that they are.
    fn bits(&mut self, of: &Sum, count: usize) -> Vec<u32> {
        let value = self.value(of).into_bigint();
        let bits: Vec<u32> = (0..count)
            .map(|i| self.bit(Fr::from(ark_ff::BigInteger::get_bit(&value, i))))
            .collect();
        let sum = weighted(&bits);
        self.assert(sum, one(), of.clone());
        bits
    }

    /// Whether the sum is zero: the inverse as a hint, and the answer.
    fn is_zero(&mut self, of: &Sum) -> (u32, u32) {
        let value = self.value(of);
        let inverse = self.hint(value.inverse().unwrap_or_default());
        let out = self.hint(Fr::from(value.is_zero()));
        self.assert(of.clone(), wire(inverse), minus(&one(), &wire(out)));
        self.assert(of.clone(), wire(out), Vec::new());
        (inverse, out)
    }

    /// `x^5` by three products.
    fn fifth_power(&mut self, x: &Sum) -> u32 {
        let square = self.product(x, x);
        let fourth = self.product(&wire(square), &wire(square));
        self.product(&wire(fourth), x)
    }

    fn r1cs(&self) -> R1cs {
        let mut r1cs = R1cs {
            wires: u32::try_from(self.values.len()).expect("few"),
            public_inputs: self.public,
            private_inputs: self.private,
            ..R1cs::default()
        };
        let push = |matrix: &mut Matrix, sum: &Sum| {
            matrix.push_row(
                sum.iter()
                    .map(|&(wire, coefficient)| Term { wire, coefficient }),
            );
        };
        for (a, b, c) in &self.rows {
            push(&mut r1cs.a, a);
            push(&mut r1cs.b, b);
            push(&mut r1cs.c, c);
        }
        r1cs
    }

    fn audit(&self) -> Report {
        self.audit_with(&Scope::default())
    }

    fn audit_with(&self, scope: &Scope) -> Report {
        let report = audit(&self.r1cs(), scope, Some(&self.values)).expect("a sound circuit");
        println!("{report}");
        report
    }

    fn without(&self, index: usize) -> Self {
        let mut less = self.clone();
        less.rows.remove(index);
        less
    }
}

fn weighted(bits: &[u32]) -> Sum {
    let weights = std::iter::successors(Some(Fr::one()), |k| Some(*k + k));
    bits.iter().copied().zip(weights).collect()
}

fn classes(report: &Report) -> Vec<Class> {
    report
        .findings
        .iter()
        .map(|finding| finding.class)
        .collect()
}

fn undecided(report: &Report) -> Vec<u32> {
    match &report.verdict {
        Verdict::Undecided { wires } => wires.clone(),
        other => panic!("expected wires that are undecided, not {other:?}"),
    }
}

fn free(report: &Report) -> Vec<u32> {
    match &report.verdict {
        Verdict::Freedom { wires } => wires.clone(),
        other => panic!("expected freedom, not {other:?}"),
    }
}
