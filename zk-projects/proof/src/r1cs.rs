//! A rank-1 constraint system as numbers: what circom writes into `.r1cs`, what arkworks synthesises, what the setup and the audit
//! work on.
//!
//! With the wires `w`, `w[0] = 1`, each constraint says `(A_i . w) * (B_i . w) = C_i . w`. The order of the wires is that of
//! snarkjs and of arkworks alike: the constant one, the public inputs in the order of the statement, everything else.

mod digest;

use ark_bn254::Fr;
use ark_ff::Zero;
use ark_relations::gr1cs::{ConstraintSystemRef, R1CS_PREDICATE_LABEL, SynthesisError};

pub(crate) use digest::canonical;

/// One entry of a matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    /// The column.
    pub wire: u32,
    /// The number in it.
    pub coefficient: Fr,
}

/// A sparse matrix, row after row. The order of the terms within a row is kept, because the bytes of a key follow it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Matrix {
    terms: Vec<Term>,
    ends: Vec<usize>,
}

impl Matrix {
    /// Appends a row.
    pub fn push_row(&mut self, row: impl IntoIterator<Item = Term>) {
        self.terms.extend(row);
        self.ends.push(self.terms.len());
    }

    /// How many rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// How many terms there are in all rows.
    #[must_use]
    pub fn terms(&self) -> usize {
        self.terms.len()
    }

    /// The rows in order.
    pub fn rows(&self) -> impl Iterator<Item = &[Term]> + Clone + '_ {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, end)| &self.terms[start..*end])
    }

    /// One row.
    ///
    /// # Panics
    ///
    /// If there are not so many.
    #[must_use]
    pub fn row(&self, index: usize) -> &[Term] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.terms[start..self.ends[index]]
    }
}

/// The sum of a row's terms at an assignment of the wires.
///
/// # Panics
///
/// If a term names a wire that `wires` does not have.
#[must_use]
pub fn evaluate(row: &[Term], wires: &[Fr]) -> Fr {
    row.iter().fold(Fr::zero(), |sum, term| {
        sum + term.coefficient * wires[term.wire as usize]
    })
}

/// A constraint system.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct R1cs {
    /// All wires, the constant one included.
    pub wires: u32,
    /// Public outputs of a circom circuit; they come before its inputs. Zero for circuits in Rust.
    pub public_outputs: u32,
    /// Public inputs.
    pub public_inputs: u32,
    /// Private inputs that are wires: those after the public ones. `.r1cs` tells; a circuit in Rust says it by
    /// [`PrivateInputs`](crate::statement::PrivateInputs).
    pub private_inputs: u32,
    /// Left factors.
    pub a: Matrix,
    /// Right factors.
    pub b: Matrix,
    /// Products.
    pub c: Matrix,
}

impl R1cs {
    /// Takes the matrices of a constraint system that arkworks synthesised with its matrices, and finalised.
    ///
    /// Terms are ordered by wire; none is zero and no wire comes twice in a row. arkworks does not tell private inputs from other
    /// wires: their number is left at zero.
    ///
    /// # Errors
    ///
    /// Those of arkworks, if the system was synthesised without matrices.
    ///
    /// # Panics
    ///
    /// If there are more than 2^32 wires.
    pub fn of_constraint_system(system: &ConstraintSystemRef<Fr>) -> Result<Self, SynthesisError> {
        let matrices = system.to_matrices()?;
        let [a, b, c] = matrices[R1CS_PREDICATE_LABEL].as_slice() else {
            unreachable!("the R1CS predicate has three matrices");
        };
        let count = |n: usize| u32::try_from(n).expect("fewer than 2^32 wires");
        Ok(Self {
            wires: count(system.num_instance_variables() + system.num_witness_variables()),
            public_outputs: 0,
            public_inputs: count(system.num_instance_variables() - 1),
            private_inputs: 0,
            a: sorted(a),
            b: sorted(b),
            c: sorted(c),
        })
    }

    /// How many public values a verifier is given: outputs and inputs.
    #[must_use]
    pub fn public(&self) -> u32 {
        self.public_outputs + self.public_inputs
    }

    /// How many constraints.
    #[must_use]
    pub fn constraints(&self) -> usize {
        self.a.len()
    }

    /// The first constraint that an assignment of all wires does not satisfy.
    ///
    /// # Panics
    ///
    /// If `wires` does not hold [`Self::wires`] values.
    #[must_use]
    pub fn first_unsatisfied(&self, wires: &[Fr]) -> Option<usize> {
        assert_eq!(wires.len(), self.wires as usize, "one value for each wire");
        let rows = self.a.rows().zip(self.b.rows()).zip(self.c.rows());
        rows.enumerate().find_map(|(index, ((a, b), c))| {
            (evaluate(a, wires) * evaluate(b, wires) != evaluate(c, wires)).then_some(index)
        })
    }
}

fn sorted(rows: &[Vec<(Fr, usize)>]) -> Matrix {
    let mut matrix = Matrix::default();
    for row in rows {
        let mut terms: Vec<Term> = row
            .iter()
            .map(|(coefficient, wire)| Term {
                wire: u32::try_from(*wire).expect("fewer than 2^32 wires"),
                coefficient: *coefficient,
            })
            .collect();
        terms.sort_by_key(|term| term.wire);
        terms.dedup_by(|next, kept| {
            let same = next.wire == kept.wire;
            if same {
                kept.coefficient += next.coefficient;
            }
            same
        });
        matrix.push_row(terms.into_iter().filter(|term| !term.coefficient.is_zero()));
    }
    matrix
}
