//! ark-groth16 with keys of snarkjs.
//!
//! Its prover takes the key's points as they are. The values that it multiplies the H points by are another matter: arkworks' own keys
//! have powers of tau there, snarkjs' have Lagrange points of twice the domain at its odd places (`proof::prove` says why), and
//! arkworks lets a caller bring the step between. [`OddPlaces`] is that step, as fast as arkworks' FFT makes it.

use ark_bn254::{Bn254, Fr};
use ark_ff::PrimeField;
use ark_groth16::r1cs_to_qap::{R1CSToQAP, evaluate_constraint};
use ark_groth16::{Groth16, Proof, ProvingKey, VerifyingKey};
use ark_poly::EvaluationDomain;
use ark_relations::gr1cs::{ConstraintSystemRef, Matrix, SynthesisError};
use proof::key::{self, Side};
use rayon::prelude::*;

type Outcome<T> = Result<T, SynthesisError>;

/// A key of snarkjs and its matrices, as arkworks takes them.
pub(super) struct Key {
    pub(super) key: ProvingKey<Bn254>,
    /// A and B. C is not in the key, nor needed.
    matrices: Vec<Matrix<Fr>>,
    /// The constant one counts.
    inputs: usize,
    constraints: usize,
}

impl Key {
    /// Moves the points, and sorts the coefficients by row.
    pub(super) fn of(key: key::ProvingKey) -> Self {
        let (constraints, inputs) = (key.constraints(), key.public() + 1);
        let mut matrices = vec![vec![Vec::new(); constraints]; 2];
        for term in &key.coefficients {
            let matrix = match term.side {
                Side::A => &mut matrices[0],
                Side::B => &mut matrices[1],
            };
            // arkworks adds the rows of the public inputs itself.
            if let Some(row) = matrix.get_mut(term.constraint as usize) {
                row.push((term.value, term.wire as usize));
            }
        }
        let verifying = key.verifying;
        let key = ProvingKey {
            vk: VerifyingKey {
                alpha_g1: verifying.alpha_g1,
                beta_g2: verifying.beta_g2,
                gamma_g2: verifying.gamma_g2,
                delta_g2: verifying.delta_g2,
                gamma_abc_g1: verifying.ic,
            },
            beta_g1: key.beta_g1,
            delta_g1: key.delta_g1,
            a_query: key.a_g1,
            b_g1_query: key.b_g1,
            b_g2_query: key.b_g2,
            h_query: key.h_g1,
            l_query: key.l_g1,
        };
        Self {
            key,
            matrices,
            inputs,
            constraints,
        }
    }

    /// A proof, not verified.
    pub(super) fn prove(&self, wires: &[Fr], r: Fr, s: Fr) -> Outcome<Proof<Bn254>> {
        Groth16::<Bn254, OddPlaces>::create_proof_with_reduction_and_matrices(
            &self.key,
            r,
            s,
            &self.matrices,
            self.inputs,
            self.constraints,
            wires,
        )
    }
}

/// From a witness to the values of `A(X) B(X) - C(X)` at the odd places of twice the domain.
struct OddPlaces;

impl R1CSToQAP for OddPlaces {
    fn instance_map_with_evaluation<F: PrimeField, D: EvaluationDomain<F>>(
        _: ConstraintSystemRef<F>,
        _: &F,
    ) -> Outcome<(Vec<F>, Vec<F>, Vec<F>, F, usize, usize)> {
        unreachable!("keys are not made by arkworks here")
    }

    fn witness_map_from_matrices<F: PrimeField, D: EvaluationDomain<F>>(
        matrices: &[Matrix<F>],
        inputs: usize,
        constraints: usize,
        wires: &[F],
    ) -> Outcome<Vec<F>> {
        let too_large = SynthesisError::PolynomialDegreeTooLarge;
        let domain = D::new(constraints + inputs).ok_or(too_large)?;
        let root = F::get_root_of_unity(2 * domain.size() as u64).ok_or(too_large)?;
        let odd = domain.get_coset(root).ok_or(too_large)?;
        let [mut a, mut b] = [0, 1].map(|side: usize| {
            let rows: &Matrix<F> = &matrices[side];
            let values = rows.par_iter().map(|row| evaluate_constraint(row, wires));
            let mut values: Vec<F> = values.collect();
            values.resize(domain.size(), F::zero());
            values
        });
        a[constraints..][..inputs].copy_from_slice(&wires[..inputs]);
        let mut c = domain.mul_polynomials_in_evaluation_domain(&a, &b);
        for values in [&mut a, &mut b, &mut c] {
            domain.ifft_in_place(values);
            odd.fft_in_place(values);
        }
        let rest = b.par_iter().zip(&c);
        a.par_iter_mut()
            .zip(rest)
            .for_each(|(a, (b, c))| *a = *a * b - c);
        Ok(a)
    }

    fn h_query_scalars<F: PrimeField, D: EvaluationDomain<F>>(
        _: usize,
        _: F,
        _: F,
        _: F,
    ) -> Outcome<Vec<F>> {
        unreachable!("keys are not made by arkworks here")
    }
}

/// In the form of crate `proof`.
pub(super) fn converted(proof: &Proof<Bn254>) -> proof::verify::Proof {
    proof::verify::Proof {
        a: proof.a,
        b: proof.b,
        c: proof.c,
    }
}
