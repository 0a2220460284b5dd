//! The verifier of [Groth16], section 3.2.
//!
//! A proof (A, B, C) of the public inputs x is accepted if
//!
//! ```text
//! e(A, B) = e(alpha, beta) * e(sum of x_i IC_i, gamma) * e(C, delta)        x_0 = 1
//! ```
//!
//! Guarantees: the key was looked at before ([`VerifyingKey::check`]); the number of inputs is the key's, each lies in the range that
//! its statement declares, and the proof's points are on their curves and in the subgroup before anything is paired. That an input is
//! below r needs no check here, since an [`Fr`] has no other values: whoever reads text or bytes refuses what is not
//! ([`crate::files::json::read_public`], [`crate::decimal`]), and compares with r, not with the base field's larger q.
//!
//! Does not guarantee: that a proof is new. From a proof anybody makes another of the same statement (take A/t and tB), so
//! a proof identifies nothing; that is what nullifiers are for.
//!
//! e(alpha, beta) and the lines of gamma and delta do not depend on the proof and are computed once per key. What remains is a
//! product of three Miller loops and one final exponentiation. Many proofs at once share the final exponentiation and the loops of
//! gamma and delta: each equation is raised to a random power below 2^128 and all are multiplied; a wrong one among them passes
//! with probability 2^-128.
//!
//! [Groth16]: https://eprint.iacr.org/2016/260

use std::ops::Neg;

use ark_bn254::{Bn254, Fr, G1Affine, G1Projective, G2Affine};
use ark_ec::pairing::{Pairing, PairingOutput};
use ark_ec::{AffineRepr, CurveGroup, PrimeGroup};
use ark_ff::{BigInteger, PrimeField, Zero};
use ark_std::rand::{CryptoRng, RngCore};

use crate::curve::{EncodingError, Point};
use crate::key::{KeyError, VerifyingKey};
use crate::statement::{PublicInput, Range, Statement};

type Prepared = <Bn254 as Pairing>::G2Prepared;

/// A proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    /// A.
    pub a: G1Affine,
    /// B.
    pub b: G2Affine,
    /// C.
    pub c: G1Affine,
}

/// A proof was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// There are more or fewer public inputs than the key has points for.
    #[error("{found} public inputs, where the key is for {expected}")]
    Inputs {
        /// How many were given.
        found: usize,
        /// How many there should be.
        expected: usize,
    },
    /// A public input lies outside of the range that its statement declares.
    #[error("public input {name}: not below 2^{bits}")]
    OutOfRange {
        /// Its name.
        name: &'static str,
        /// The declared width.
        bits: u32,
    },
    /// A point of the proof is not on its curve or not in the subgroup.
    #[error("point {name} of the proof: {error}")]
    Point {
        /// `A`, `B` or `C`.
        name: &'static str,
        /// What is wrong with it.
        error: EncodingError,
    },
    /// The equation does not hold: the proof is of other public inputs, of another circuit, or made up.
    #[error("the proof is not one of these public inputs under this key")]
    Rejected,
}

/// A key does not fit a statement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifierError {
    /// The key must not be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The key is for another number of public inputs.
    #[error("the key is for {found} public inputs, {statement} has {expected}")]
    Inputs {
        /// Name of the statement.
        statement: &'static str,
        /// How many the key has.
        found: usize,
        /// How many the statement has.
        expected: usize,
    },
}

/// A key, looked at and prepared.
#[derive(Debug, Clone)]
pub struct Verifier {
    key: VerifyingKey,
    alpha_beta: PairingOutput<Bn254>,
    minus_gamma: Prepared,
    minus_delta: Prepared,
    inputs: Option<&'static [PublicInput]>,
}

impl Verifier {
    /// Prepares a key for proofs of any circuit; its public inputs may have any values of the field.
    ///
    /// # Errors
    ///
    /// [`KeyError`] if the key must not be used.
    pub fn new(key: VerifyingKey) -> Result<Self, KeyError> {
        key.check()?;
        Ok(Self::of_checked(key))
    }

    /// As [`Self::new`], for a key that was checked.
    pub(crate) fn of_checked(key: VerifyingKey) -> Self {
        Self {
            alpha_beta: Bn254::pairing(key.alpha_g1, key.beta_g2),
            minus_gamma: key.gamma_g2.neg().into(),
            minus_delta: key.delta_g2.neg().into(),
            inputs: None,
            key,
        }
    }

    /// Prepares a key for a statement, whose ranges are enforced from then on.
    ///
    /// # Errors
    ///
    /// The key must not be used, or is for another number of public inputs.
    pub fn of_statement<S: Statement>(key: VerifyingKey) -> Result<Self, VerifierError> {
        let mut verifier = Self::new(key)?;
        let (found, expected) = (verifier.key.public(), S::PUBLIC_INPUTS.len());
        if found != expected {
            return Err(VerifierError::Inputs {
                statement: S::NAME,
                found,
                expected,
            });
        }
        verifier.inputs = Some(S::PUBLIC_INPUTS);
        Ok(verifier)
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &VerifyingKey {
        &self.key
    }

    /// Verifies a proof of public inputs in the statement's order.
    ///
    /// # Errors
    ///
    /// [`VerifyError`]: the proof must not be believed.
    pub fn verify(&self, inputs: &[Fr], proof: &Proof) -> Result<(), VerifyError> {
        self.check_inputs(inputs)?;
        check_points(proof)?;
        let inputs = self.sum_of_inputs(inputs).into_affine();
        let product = Bn254::multi_pairing(
            [proof.a, inputs, proof.c],
            [
                proof.b.into(),
                self.minus_gamma.clone(),
                self.minus_delta.clone(),
            ],
        );
        if product == self.alpha_beta {
            Ok(())
        } else {
            Err(VerifyError::Rejected)
        }
    }

    /// Verifies many proofs for little more than a Miller loop each.
    ///
    /// # Errors
    ///
    /// The index of the first that must not be believed, and why.
    pub fn verify_all<R: RngCore + CryptoRng>(
        &self,
        proofs: &[(&[Fr], Proof)],
        random: &mut R,
    ) -> Result<(), (usize, VerifyError)> {
        let mut left = Vec::with_capacity(proofs.len() + 2);
        let mut right: Vec<Prepared> = Vec::with_capacity(proofs.len() + 2);
        let (mut powers, mut inputs, mut c) =
            (Fr::zero(), G1Projective::zero(), G1Projective::zero());
        for (index, (of_proof, proof)) in proofs.iter().enumerate() {
            let at = |error| (index, error);
            self.check_inputs(of_proof).map_err(at)?;
            check_points(proof).map_err(at)?;
            let power =
                Fr::from(u128::from(random.next_u64()) << 64 | u128::from(random.next_u64()));
            left.push((proof.a * power).into_affine());
            right.push(proof.b.into());
            powers += power;
            inputs += self.sum_of_inputs(of_proof) * power;
            c += proof.c * power;
        }
        left.extend([inputs.into_affine(), c.into_affine()]);
        right.extend([self.minus_gamma.clone(), self.minus_delta.clone()]);
        if Bn254::multi_pairing(left, right) == self.alpha_beta.mul_bigint(powers.into_bigint()) {
            return Ok(());
        }
        let verdicts = proofs
            .iter()
            .map(|(inputs, proof)| self.verify(inputs, proof));
        let wrong = verdicts
            .enumerate()
            .find_map(|(index, verdict)| Some((index, verdict.err()?)));
        wrong.map_or(Ok(()), Err)
    }

    fn check_inputs(&self, inputs: &[Fr]) -> Result<(), VerifyError> {
        let (found, expected) = (inputs.len(), self.key.public());
        if found != expected {
            return Err(VerifyError::Inputs { found, expected });
        }
        for (value, input) in inputs.iter().zip(self.inputs.into_iter().flatten()) {
            if let Range::Bits(bits) = input.range
                && value.into_bigint().num_bits() > bits
            {
                return Err(VerifyError::OutOfRange {
                    name: input.name,
                    bits,
                });
            }
        }
        Ok(())
    }

    fn sum_of_inputs(&self, inputs: &[Fr]) -> G1Projective {
        let points = self.key.ic[1..].iter().zip(inputs);
        points.fold(self.key.ic[0].into_group(), |sum, (point, input)| {
            sum + *point * input
        })
    }
}

fn check_points(proof: &Proof) -> Result<(), VerifyError> {
    let points = [
        ("A", proof.a.is_on_curve(), true),
        ("B", proof.b.is_on_curve(), proof.b.in_subgroup()),
        ("C", proof.c.is_on_curve(), true),
    ];
    for (name, on_curve, in_subgroup) in points {
        let error = match (on_curve, in_subgroup) {
            (true, true) => continue,
            (true, false) => EncodingError::NotInSubgroup,
            (false, _) => EncodingError::NotOnCurve,
        };
        return Err(VerifyError::Point { name, error });
    }
    Ok(())
}
