//! Sums of wires: what the circuits are written in.
//!
//! # What it is
//!
//! A [`Wire`] is a linear combination of variables together with its value. Sums and multiples cost nothing; only
//! [`Circuit::product`] and the `enforce` functions add constraints. It is a thin layer over arkworks' constraint system.
//!
//! # What it guarantees
//!
//! Which variables and constraints there are depends on which wires are constants, never on their values. A constant is folded: a
//! product with it is a multiple.
//!
//! # What it does not
//!
//! It does not check that an assignment satisfies the constraints: a false witness is found by the prover, which verifies its proof.
//!
//! # How it works
//!
//! ```text
//! x = private(3)        x = 1*w1          value 3
//! y = 2x + 1            y = 2*w1 + 1*one  value 7
//! z = product(x, y)     z = 1*w2          value 21,   constraint  (w1) * (2 w1 + one) = (w2)
//! ```
//!
//! Where only a witness is asked for ([`ConstraintSystemRef::should_construct_matrices`] is false), the linear combinations are not
//! kept, which is most of the work.

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};
use ark_relations::gr1cs::{ConstraintSystemRef, LinearCombination, SynthesisError, Variable};

/// A linear combination of variables, and its value.
#[derive(Debug, Clone)]
pub struct Wire {
    value: Fr,
    form: Form,
}

#[derive(Debug, Clone)]
enum Form {
    /// The value is part of the circuit.
    Constant,
    /// A combination that nobody asked for.
    Unrecorded,
    /// In the order of the variables, each at most once.
    Sum(Vec<(Fr, Variable)>),
}

impl Wire {
    /// A number that is part of the circuit.
    #[must_use]
    pub fn constant(value: Fr) -> Self {
        Self {
            value,
            form: Form::Constant,
        }
    }

    /// What the prover assigned.
    #[must_use]
    pub fn value(&self) -> Fr {
        self.value
    }

    /// Whether the value is part of the circuit.
    pub(crate) fn is_constant(&self) -> bool {
        matches!(self.form, Form::Constant)
    }

    /// Adds a constant.
    pub fn add_constant(&mut self, constant: Fr) {
        self.add_multiple(&Self::constant(constant), Fr::ONE);
    }

    /// Adds `factor * other`.
    pub fn add_multiple(&mut self, other: &Self, factor: Fr) {
        let was = self.value;
        self.value += other.value * factor;
        self.form = match (
            std::mem::replace(&mut self.form, Form::Constant),
            &other.form,
        ) {
            (Form::Constant, Form::Constant) => Form::Constant,
            (Form::Unrecorded, _) | (_, Form::Unrecorded) => Form::Unrecorded,
            (Form::Constant, Form::Sum(terms)) => {
                Form::Sum(merged(&[(was, Variable::One)], terms, factor))
            }
            (Form::Sum(terms), Form::Constant) => {
                Form::Sum(merged(&terms, &[(other.value, Variable::One)], factor))
            }
            (Form::Sum(terms), Form::Sum(others)) => Form::Sum(merged(&terms, others, factor)),
        };
    }

    /// `self + other`.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let mut sum = self.clone();
        sum.add_multiple(other, Fr::ONE);
        sum
    }

    /// `self - other`.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        let mut difference = self.clone();
        difference.add_multiple(other, -Fr::ONE);
        difference
    }

    /// `factor * self`.
    #[must_use]
    pub fn times(&self, factor: Fr) -> Self {
        let mut multiple = Self::constant(Fr::ZERO);
        multiple.add_multiple(self, factor);
        multiple
    }

    fn combination(&self) -> LinearCombination<Fr> {
        match &self.form {
            Form::Constant => {
                LinearCombination(merged(&[(self.value, Variable::One)], &[], Fr::ONE))
            }
            Form::Sum(terms) => LinearCombination(terms.clone()),
            Form::Unrecorded => unreachable!("combinations are recorded where matrices are made"),
        }
    }
}

/// `left + factor * right`, without terms that cancel.
fn merged(left: &[(Fr, Variable)], right: &[(Fr, Variable)], factor: Fr) -> Vec<(Fr, Variable)> {
    let mut terms = Vec::with_capacity(left.len() + right.len());
    let (mut left, mut right) = (left.iter().peekable(), right.iter().peekable());
    loop {
        let variable = match (left.peek(), right.peek()) {
            (None, None) => return terms,
            (Some((_, a)), Some((_, b))) => *a.min(b),
            (Some((_, only)), None) | (None, Some((_, only))) => *only,
        };
        let mut coefficient = Fr::ZERO;
        if let Some((a, _)) = left.next_if(|(_, a)| *a == variable) {
            coefficient += a;
        }
        if let Some((b, _)) = right.next_if(|(_, b)| *b == variable) {
            coefficient += factor * b;
        }
        if coefficient != Fr::ZERO {
            terms.push((coefficient, variable));
        }
    }
}

/// A circuit under construction: wires are allocated and constrained through it.
#[derive(Debug, Clone)]
pub struct Circuit {
    system: ConstraintSystemRef<Fr>,
    records: bool,
}

impl Circuit {
    /// Builds into `system`.
    #[must_use]
    pub fn new(system: &ConstraintSystemRef<Fr>) -> Self {
        Self {
            system: system.clone(),
            records: system.should_construct_matrices(),
        }
    }

    /// Allocates a public input. They must come before everything else, in the statement's order.
    ///
    /// # Errors
    ///
    /// Those of arkworks.
    pub fn public(&self, value: Fr) -> Result<Wire, SynthesisError> {
        let variable = self.system.new_input_variable(|| Ok(value))?;
        Ok(self.wire(value, variable))
    }

    /// Allocates a wire that only the prover knows. Nothing constrains it yet.
    ///
    /// # Errors
    ///
    /// Those of arkworks.
    pub fn private(&self, value: Fr) -> Result<Wire, SynthesisError> {
        let variable = self.system.new_witness_variable(|| Ok(value))?;
        Ok(self.wire(value, variable))
    }

    fn wire(&self, value: Fr, variable: Variable) -> Wire {
        Wire {
            value,
            form: match self.records {
                true => Form::Sum(vec![(Fr::ONE, variable)]),
                false => Form::Unrecorded,
            },
        }
    }

    /// `a * b`: one wire and one constraint, or none if either is a constant.
    ///
    /// A wire that is in no `b` of the whole circuit costs the prover nothing in G2.
    ///
    /// # Errors
    ///
    /// Those of arkworks.
    pub fn product(&self, a: &Wire, b: &Wire) -> Result<Wire, SynthesisError> {
        match (&a.form, &b.form) {
            (_, Form::Constant) => Ok(a.times(b.value)),
            (Form::Constant, _) => Ok(b.times(a.value)),
            _ => {
                let product = self.private(a.value * b.value)?;
                self.enforce_product(a, b, &product)?;
                Ok(product)
            }
        }
    }

    /// One constraint: `a * b = c`.
    ///
    /// # Errors
    ///
    /// Those of arkworks.
    pub fn enforce_product(&self, a: &Wire, b: &Wire, c: &Wire) -> Result<(), SynthesisError> {
        self.system.enforce_r1cs_constraint(
            || a.combination(),
            || b.combination(),
            || c.combination(),
        )
    }

    /// One constraint: `a = b`.
    ///
    /// # Errors
    ///
    /// Those of arkworks.
    pub fn enforce_equal(&self, a: &Wire, b: &Wire) -> Result<(), SynthesisError> {
        let zero = Wire::constant(Fr::ZERO);
        self.enforce_product(&a.minus(b), &Wire::constant(Fr::ONE), &zero)
    }

    /// One constraint: `a` is 0 or 1.
    ///
    /// # Errors
    ///
    /// Those of arkworks.
    pub fn enforce_boolean(&self, a: &Wire) -> Result<(), SynthesisError> {
        let mut less_one = a.clone();
        less_one.add_constant(-Fr::ONE);
        self.enforce_product(a, &less_one, &Wire::constant(Fr::ZERO))
    }

    /// One wire and one constraint: `a` is not 0. The wire is `1 / a`; for `a = 0` no value satisfies the constraint.
    ///
    /// # Errors
    ///
    /// Those of arkworks.
    pub fn enforce_nonzero(&self, a: &Wire) -> Result<(), SynthesisError> {
        let inverse = self.private(a.value.inverse().unwrap_or_default())?;
        self.enforce_product(a, &inverse, &Wire::constant(Fr::ONE))
    }
}
