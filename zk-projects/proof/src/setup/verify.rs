//! Whether a key is that of a circuit, made by the contributions that it records.
//!
//! # What it is
//!
//! The key's start is computed anew from the circuit and the powers of tau. Everything in the key that a contribution does not
//! touch must be equal to it. From there on:
//!
//! ```text
//! each contribution   transcript = hash of all before; s, s x and p, p x have one ratio; delta before and after have it too
//! a beacon            s and x are those of its value
//! the key             delta in G1 is that of the last contribution, delta in G2 is the same number
//!                     L and H are those of the start, divided by delta
//! ```
//!
//! # What it guarantees
//!
//! With *verified* powers of tau ([`powers::verify`](super::powers::verify)), and if one contributor forgot their secret, nobody can
//! prove a false statement with the key.
//!
//! # What it does not
//!
//! Anybody can contribute under any name. That a contribution is somebody's is shown by the [hash](super::contribute::contribution_hash)
//! that they published. The names, and whether a contribution is called a beacon, are in no transcript.

use ark_bn254::{G1Affine, G1Projective, G2Affine};
use ark_ec::{AffineRepr, CurveGroup, VariableBaseMSM};
use ark_std::rand::{CryptoRng, RngCore};

use super::contribute::{Transcript, beacon_secret};
use super::ratio::{same_ratio, weights};
use super::{Progress, SetupError, circuit, random};
use crate::curve::Point;
use crate::files::ptau::Ptau;
use crate::key::{Contribution, ProvingKey, Source};
use crate::r1cs::R1cs;

/// Why a key is not to be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// There is no start to compare it with.
    #[error(transparent)]
    Start(#[from] SetupError),
    /// gamma equals delta: everybody can forge proofs.
    #[error("there is no contribution: the secrets are known to everybody")]
    NoContribution,
    /// The key is of another circuit, or of other powers of tau, or was changed.
    #[error("{0} is not what the circuit and the powers of tau give")]
    Differs(Part),
    /// A contribution does not hold.
    #[error("contribution {number}: {problem}")]
    Contribution {
        /// Which, counted from 1.
        number: usize,
        /// What is wrong with it.
        problem: Problem,
    },
    /// delta in G1 is not what the last contribution left.
    #[error("delta in G1 is not what the last contribution left")]
    DeltaG1,
    /// delta in G2 is another number than in G1, or not in the subgroup.
    #[error("delta in G2 is not the same number as in G1")]
    DeltaG2,
    /// A part of the key was not divided by delta, or by another number.
    #[error("{0} is not what the circuit gives, divided by delta")]
    NotOverDelta(Part),
}

/// A part of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Numbers of wires, of public inputs, and the domain's size.
    Sizes,
    /// The coefficients of A and B.
    Coefficients,
    /// alpha in G1.
    AlphaG1,
    /// beta in G1.
    BetaG1,
    /// beta in G2.
    BetaG2,
    /// gamma in G2.
    GammaG2,
    /// The commitments of public inputs.
    Ic,
    /// A in G1.
    AG1,
    /// B in G1.
    BG1,
    /// B in G2.
    BG2,
    /// The circuit hash.
    CircuitHash,
    /// L in G1.
    L,
    /// H in G1.
    H,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Sizes => "a size in the header",
            Self::Coefficients => "a coefficient",
            Self::AlphaG1 => "alpha in G1",
            Self::BetaG1 => "beta in G1",
            Self::BetaG2 => "beta in G2",
            Self::GammaG2 => "gamma in G2",
            Self::Ic => "the commitment of a public input",
            Self::AG1 => "A in G1",
            Self::BG1 => "B in G1",
            Self::BG2 => "B in G2",
            Self::CircuitHash => "the circuit hash",
            Self::L => "L",
            Self::H => "H",
        })
    }
}

/// What is wrong with a contribution to a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Something before it, or its random point, was changed afterwards.
    #[error("its transcript is not over what was before it")]
    Transcript,
    /// A point of G2 is on the curve, but not in the subgroup of prime order.
    #[error("its point of G2 is not in the subgroup")]
    Subgroup,
    /// Nobody showed that they knew the secret.
    #[error("its proof does not hold")]
    Proof,
    /// delta before times the secret is not delta after it.
    #[error("delta does not follow from the contribution before")]
    Delta,
    /// The secret is not the one that the beacon's value gives.
    #[error("it is not what the beacon's value gives")]
    Beacon,
    /// The beacon could not have been made here.
    #[error(transparent)]
    BeaconParameters(#[from] SetupError),
}

/// Checks a key against its circuit and powers of tau.
///
/// `random` weighs the points of linear combinations; who could foresee it could get wrong points accepted.
///
/// # Errors
///
/// The first thing that is wrong.
pub fn verify<R: RngCore + CryptoRng>(
    key: &ProvingKey,
    r1cs: &R1cs,
    ptau: &Ptau<'_>,
    random: &mut R,
    progress: &dyn Progress,
) -> Result<(), InvalidKey> {
    if key.ceremony.contributions.is_empty() {
        return Err(InvalidKey::NoContribution);
    }
    // The cheap half first.
    let delta_g1 = contributions_hold(key, progress)?;
    if key.delta_g1 != delta_g1 {
        return Err(InvalidKey::DeltaG1);
    }
    let delta_g2 = key.verifying.delta_g2;
    let (one_g1, one_g2) = (G1Affine::generator(), G2Affine::generator());
    if !delta_g2.in_subgroup() || !same_ratio((one_g1, delta_g1), (one_g2, delta_g2)) {
        return Err(InvalidKey::DeltaG2);
    }
    let step = "comparing the key with its circuit";
    progress.report(step, 0, 3);
    let start = circuit::from_powers(r1cs, ptau)?;
    progress.report(step, 1, 3);
    if let Some(part) = first_difference(key, &start) {
        return Err(InvalidKey::Differs(part));
    }
    progress.report(step, 2, 3);
    for (part, points, at_start) in [
        (Part::L, &key.l_g1, &start.l_g1),
        (Part::H, &key.h_g1, &start.h_g1),
    ] {
        if !is_over_delta(points, at_start, delta_g2, random) {
            return Err(InvalidKey::NotOverDelta(part));
        }
    }
    progress.report(step, 3, 3);
    Ok(())
}

/// Checks every contribution against those before it, and returns delta after the last one.
fn contributions_hold(key: &ProvingKey, progress: &dyn Progress) -> Result<G1Affine, InvalidKey> {
    let count = key.ceremony.contributions.len() as u64;
    let mut transcript = Transcript::new(&key.ceremony.circuit_hash);
    let mut delta = G1Affine::generator();
    for (number, contribution) in (1..).zip(&key.ceremony.contributions) {
        contribution_follows(&transcript, delta, contribution, progress)
            .map_err(|problem| InvalidKey::Contribution { number, problem })?;
        transcript.absorb(contribution);
        delta = contribution.delta_after;
        progress.report("verifying contributions", number as u64, count);
    }
    Ok(delta)
}

fn contribution_follows(
    before: &Transcript,
    delta_before: G1Affine,
    contribution: &Contribution,
    progress: &dyn Progress,
) -> Result<(), Problem> {
    let Contribution { g1_s, g1_sx, .. } = *contribution;
    if contribution.transcript != before.of_next(g1_s, g1_sx) {
        return Err(Problem::Transcript);
    }
    if !contribution.g2_spx.in_subgroup() {
        return Err(Problem::Subgroup);
    }
    let by_proof = (
        random::hash_to_g2(&contribution.transcript),
        contribution.g2_spx,
    );
    if !same_ratio((g1_s, g1_sx), by_proof) {
        return Err(Problem::Proof);
    }
    if !same_ratio((delta_before, contribution.delta_after), by_proof) {
        return Err(Problem::Delta);
    }
    if let Source::Beacon {
        iterations_log2,
        value,
        ..
    } = &contribution.source
    {
        let (secret, point) = beacon_secret(value, *iterations_log2, progress)?;
        if g1_s != point || g1_sx != point * *secret {
            return Err(Problem::Beacon);
        }
    }
    Ok(())
}

/// The first part that should be as it was at the start and is not.
fn first_difference(key: &ProvingKey, start: &ProvingKey) -> Option<Part> {
    let (verifying, at_start) = (&key.verifying, &start.verifying);
    let sizes = |key: &ProvingKey| {
        let lengths = [key.verifying.ic.len(), key.l_g1.len(), key.h_g1.len()];
        (key.wires, key.domain_size, lengths)
    };
    [
        (Part::Sizes, sizes(key) == sizes(start)),
        (Part::AlphaG1, verifying.alpha_g1 == at_start.alpha_g1),
        (Part::BetaG1, key.beta_g1 == start.beta_g1),
        (Part::BetaG2, verifying.beta_g2 == at_start.beta_g2),
        (Part::GammaG2, verifying.gamma_g2 == at_start.gamma_g2),
        (Part::Ic, verifying.ic == at_start.ic),
        (Part::Coefficients, key.coefficients == start.coefficients),
        (Part::AG1, key.a_g1 == start.a_g1),
        (Part::BG1, key.b_g1 == start.b_g1),
        (Part::BG2, key.b_g2 == start.b_g2),
        (
            Part::CircuitHash,
            key.ceremony.circuit_hash == start.ceremony.circuit_hash,
        ),
    ]
    .into_iter()
    .find_map(|(part, same)| (!same).then_some(part))
}

/// Whether delta times each point is the point at the start, by a random combination of all.
fn is_over_delta<R: RngCore + CryptoRng>(
    points: &[G1Affine],
    at_start: &[G1Affine],
    delta_g2: G2Affine,
    random: &mut R,
) -> bool {
    let weights = weights(points.len(), random);
    let sum = |points| G1Projective::msm_unchecked(points, &weights).into_affine();
    let (divided, whole) = (sum(points), sum(at_start));
    // A circuit may have no private wire, or none that a constraint names.
    if whole.is_zero() {
        return divided.is_zero();
    }
    same_ratio((divided, whole), (G2Affine::generator(), delta_g2))
}
