//! The prover of [Groth16], section 3.2, for keys of snarkjs.
//!
//! With the wires w, r and s drawn at random, and B in both groups:
//!
//! ```text
//! A = alpha + sum of w_i A_i + r delta
//! B = beta  + sum of w_i B_i + s delta
//! C = sum of w_i L_i + sum of h_i H_i + s A + r B - r s delta        L only of wires that are not public
//! ```
//!
//! The paper divides P = A(X) B(X) - C(X), whose zeros are the domain's points, by the polynomial Z that vanishes there. snarkjs'
//! keys make the division unnecessary: their H_i are the Lagrange points of *twice* the domain at its odd places, over delta.
//! P is zero at the even places, so P(tau) is the sum of its values at the odd ones times these points. The h_i are therefore
//! the values of P on the odd coset, and C of a row is the product of A and B there: the key needs no matrix C.
//!
//! Guarantees: a proof that is returned was verified. A witness that does not satisfy the circuit gives an error instead, with the
//! first constraint that is not satisfied where the constraints are at hand. r and s come from the caller's cryptographic source; with
//! a guessable source the proof would still verify, and tell the witness. Copies of the witness are wiped, but not the order into which
//! its digits sort the key's points.
//!
//! Does not guarantee: constant time. How long proving takes depends on the witness (zeros are skipped), so do not prove where
//! somebody can measure it closely.
//!
//! [Groth16]: https://eprint.iacr.org/2016/260

mod arithmetic;

use ark_bn254::{Fr, G1Projective};
use ark_ec::CurveGroup;
use ark_ff::{One, UniformRand};
use ark_std::rand::{CryptoRng, RngCore};
use zeroize::Zeroizing;

use crate::key::{KeyError, ProvingKey, Side};
use crate::msm::{self, Digits, Part, best_window};
use crate::r1cs::R1cs;
use crate::verify::{Proof, Verifier, VerifyError};
use arithmetic::OddCoset;

/// Nothing was proved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProveError {
    /// The witness has another number of wires than the key.
    #[error("a witness of {found} wires, where the key is for {expected}")]
    Wires {
        /// How many were given.
        found: usize,
        /// How many there should be.
        expected: usize,
    },
    /// The first wire of a witness is the constant one.
    #[error("the first wire of the witness is not one")]
    NoConstant,
    /// The constraints have another number of wires or public inputs than the key.
    #[error(
        "the constraints are not those of the key: they have other numbers of wires or of public inputs"
    )]
    ForeignConstraints,
    /// A constraint is not satisfied.
    #[error("the witness does not satisfy constraint {0}")]
    Unsatisfied(usize),
    /// The proof that came out is wrong: the witness does not satisfy the circuit of the key, or the key is broken.
    #[error(
        "the proof that came out does not verify ({0}): the witness is not one for the circuit of this key"
    )]
    Rejected(VerifyError),
}

/// A key, looked at and prepared.
#[derive(Debug, Clone)]
pub struct Prover {
    key: ProvingKey,
    verifier: Verifier,
    coset: OddCoset,
}

impl Prover {
    /// Looks at a key and prepares it.
    ///
    /// # Errors
    ///
    /// [`KeyError`] if the key must not be used.
    pub fn new(key: ProvingKey) -> Result<Self, KeyError> {
        key.check_subgroup()?;
        Self::with_subgroup_checked(key)
    }

    /// As [`Self::new`], for a key whose points are known to be in the subgroup.
    ///
    /// # Errors
    ///
    /// [`KeyError`] if the key must not be used.
    pub fn with_subgroup_checked(key: ProvingKey) -> Result<Self, KeyError> {
        key.check()?;
        Ok(Self {
            verifier: Verifier::of_checked(key.verifying.clone()),
            coset: OddCoset::of_domain(key.domain_size),
            key,
        })
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &ProvingKey {
        &self.key
    }

    /// The verifier under the same key.
    #[must_use]
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// The public inputs within a witness.
    ///
    /// # Panics
    ///
    /// If the witness has fewer wires than that.
    #[must_use]
    pub fn public<'a>(&self, wires: &'a [Fr]) -> &'a [Fr] {
        &wires[1..=self.key.public()]
    }

    /// Proves with the values of all wires, on all cores, and verifies what came out.
    ///
    /// # Errors
    ///
    /// [`ProveError`].
    pub fn prove<R: RngCore + CryptoRng>(
        &self,
        wires: &[Fr],
        random: &mut R,
    ) -> Result<Proof, ProveError> {
        let (found, expected) = (wires.len(), self.key.wires as usize);
        if found != expected {
            return Err(ProveError::Wires { found, expected });
        }
        if !wires[0].is_one() {
            return Err(ProveError::NoConstant);
        }
        let r = Zeroizing::new(Fr::rand(random));
        let s = Zeroizing::new(Fr::rand(random));
        let proof = self.assemble(wires, *r, *s);
        let verdict = self.verifier.verify(self.public(wires), &proof);
        verdict.map(|()| proof).map_err(ProveError::Rejected)
    }

    /// As [`Self::prove`]; if nothing comes of it, says which constraint is not satisfied.
    ///
    /// # Errors
    ///
    /// [`ProveError`].
    pub fn prove_constraints<R: RngCore + CryptoRng>(
        &self,
        r1cs: &R1cs,
        wires: &[Fr],
        random: &mut R,
    ) -> Result<Proof, ProveError> {
        if r1cs.wires != self.key.wires || r1cs.public() as usize != self.key.public() {
            return Err(ProveError::ForeignConstraints);
        }
        self.prove(wires, random).map_err(|error| match error {
            ProveError::Rejected(_) => {
                let constraint = r1cs.first_unsatisfied(wires);
                constraint.map_or(error, ProveError::Unsatisfied)
            }
            other => other,
        })
    }

    fn assemble(&self, wires: &[Fr], r: Fr, s: Fr) -> Proof {
        let key = &self.key;
        let digits = Digits::new(wires, best_window(wires.len()));
        let ((a, b), c) = rayon::join(
            || {
                rayon::join(
                    || msm::sum(&[Part::new(&key.a_g1, &digits)]),
                    || msm::sum(&[Part::new(&key.b_g2, &digits)]),
                )
            },
            || self.sum_of_c(wires, r),
        );
        let a = a + key.verifying.alpha_g1 + key.delta_g1 * r;
        let b = b + key.verifying.beta_g2 + key.verifying.delta_g2 * s;
        // r B - r s delta, of which sum_of_c has the wires' part: what is left is r beta.
        let c = c + a * s + key.beta_g1 * r;
        Proof {
            a: a.into_affine(),
            b: b.into_affine(),
            c: c.into_affine(),
        }
    }

    /// `sum of w_i L_i + sum of h_i H_i + sum of (r w_i) B_i`: one sum, so that its buckets are weighed once.
    fn sum_of_c(&self, wires: &[Fr], r: Fr) -> G1Projective {
        let key = &self.key;
        let quotient = self.quotient(wires);
        let blinded: Zeroizing<Vec<Fr>> = Zeroizing::new(wires.iter().map(|w| r * w).collect());
        let window = best_window(key.l_g1.len() + key.h_g1.len() + key.b_g1.len());
        let private = Digits::new(&wires[key.public() + 1..], window);
        let blinded = Digits::new(&blinded, window);
        let quotient = Digits::new(&quotient, window);
        msm::sum(&[
            Part::new(&key.l_g1, &private),
            Part::new(&key.b_g1, &blinded),
            Part::new(&key.h_g1, &quotient),
        ])
    }

    /// The values of A(X) B(X) - C(X) at the odd places of twice the domain.
    fn quotient(&self, wires: &[Fr]) -> Zeroizing<Vec<Fr>> {
        let (mut a, mut b) =
            rayon::join(|| self.rows(Side::A, wires), || self.rows(Side::B, wires));
        let mut c: Zeroizing<Vec<Fr>> =
            Zeroizing::new(a.iter().zip(b.iter()).map(|(a, b)| *a * b).collect());
        rayon::join(
            || self.coset.move_to(&mut a),
            || rayon::join(|| self.coset.move_to(&mut b), || self.coset.move_to(&mut c)),
        );
        for ((a, b), c) in a.iter_mut().zip(b.iter()).zip(c.iter()) {
            *a = *a * b - c;
        }
        a
    }

    /// One side of each constraint: the values of A, or those of B, on the domain.
    fn rows(&self, side: Side, wires: &[Fr]) -> Zeroizing<Vec<Fr>> {
        let mut rows = Zeroizing::new(vec![Fr::default(); self.key.domain_size as usize]);
        let terms = self.key.coefficients.iter();
        for term in terms.filter(|term| term.side == side) {
            rows[term.constraint as usize] += term.value * wires[term.wire as usize];
        }
        rows
    }
}
