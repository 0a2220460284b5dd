//! Circuits in tests.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]
#![allow(dead_code)] // each test file uses a part

use ark_bn254::Fr;
use ark_ff::PrimeField;
use ark_relations::gr1cs::{
    ConstraintSystem, OptimizationGoal, R1CS_PREDICATE_LABEL, SynthesisError, SynthesisMode,
};
use gadgets::wire::Circuit;
use proptest::prelude::*;

/// Any number, those at the ends more often.
pub(crate) fn number() -> impl Strategy<Value = Fr> {
    prop_oneof![
        1 => Just(Fr::from(0)),
        1 => Just(Fr::from(1)),
        1 => Just(-Fr::from(1)),
        7 => any::<[u8; 48]>().prop_map(|bytes| Fr::from_le_bytes_mod_order(&bytes)),
    ]
}

type Row = Vec<(Fr, usize)>;

/// A circuit with the values of all its wires.
pub(crate) struct Solved<T> {
    /// What the circuit returned.
    pub(crate) result: T,
    /// The constant one first.
    pub(crate) wires: Vec<Fr>,
    /// A, B and C of each constraint.
    pub(crate) constraints: Vec<[Row; 3]>,
}

impl<T> Solved<T> {
    /// The first constraint that is not satisfied.
    pub(crate) fn unsatisfied(&self) -> Option<usize> {
        self.constraints.iter().position(|rows| {
            let [a, b, c] = rows.each_ref().map(|row| {
                let terms = row.iter().map(|(factor, wire)| *factor * self.wires[*wire]);
                terms.sum::<Fr>()
            });
            a * b != c
        })
    }

    /// The first constraint that is not satisfied when one wire has another value.
    pub(crate) fn unsatisfied_with(&self, wire: usize) -> Option<usize> {
        let mut wires = self.wires.clone();
        wires[wire] += Fr::from(1);
        self.with(wires).unsatisfied()
    }

    /// The same constraints with other values.
    pub(crate) fn with(&self, wires: Vec<Fr>) -> Solved<()> {
        assert_eq!(wires.len(), self.wires.len());
        Solved {
            result: (),
            wires,
            constraints: self.constraints.clone(),
        }
    }
}

/// Synthesises a circuit with its constraints and its witness.
pub(crate) fn solve<T>(build: impl Fn(&Circuit) -> Result<T, SynthesisError>) -> Solved<T> {
    let system = ConstraintSystem::new_ref();
    system.set_optimization_goal(OptimizationGoal::Constraints);
    let result = build(&Circuit::new(&system)).unwrap();
    system.finalize();
    let matrices = system.to_matrices().unwrap();
    let [a, b, c] = matrices[R1CS_PREDICATE_LABEL].as_slice() else {
        unreachable!("three matrices");
    };
    let rows = a.iter().zip(b).zip(c);
    let constraints = rows
        .map(|((a, b), c)| [a.clone(), b.clone(), c.clone()])
        .collect();
    let mut wires = system.instance_assignment().unwrap();
    wires.extend(system.witness_assignment().unwrap());
    let solved = Solved {
        result,
        wires,
        constraints,
    };
    assert_eq!(witness(&build), solved.wires, "the same without matrices");
    solved
}

/// The wires as the prover computes them, without matrices.
fn witness<T>(build: &impl Fn(&Circuit) -> Result<T, SynthesisError>) -> Vec<Fr> {
    let system = ConstraintSystem::new_ref();
    system.set_mode(SynthesisMode::Prove {
        construct_matrices: false,
        generate_lc_assignments: false,
    });
    build(&Circuit::new(&system)).unwrap();
    let mut wires = system.instance_assignment().unwrap();
    wires.extend(system.witness_assignment().unwrap());
    wires
}
