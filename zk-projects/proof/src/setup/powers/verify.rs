//! Whether a file of powers of tau is what it says.

use ark_bn254::{Fr, G1Affine, G1Projective, G2Affine};
use ark_ec::short_weierstrass::{Affine, Projective};
use ark_ec::{AffineRepr, CurveGroup, VariableBaseMSM};
use ark_ff::{AdditiveGroup, Field};
use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};
use ark_std::rand::{CryptoRng, RngCore};

use super::contribute::{
    beacon_secrets, first_challenge, next_challenge, proof_point, response_before_proofs,
    response_hash,
};
use crate::curve::Point;
use crate::files::binary::FormatError;
use crate::files::ptau::{List, Powers, PowersContribution, Ptau, SecretProof};
use crate::key::Source;
use crate::setup::blake2b::Blake2b;
use crate::setup::multiply::Split;
use crate::setup::ratio::{same_ratio, weights};
use crate::setup::{Progress, SetupError};

/// Why powers of tau are not to be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPowers {
    /// A point cannot be read.
    #[error(transparent)]
    File(#[from] FormatError),
    /// All secrets are one.
    #[error("there is no contribution: the secrets are known to everybody")]
    NoContribution,
    /// A contribution does not hold.
    #[error("contribution {number}: {problem}")]
    Contribution {
        /// Which, counted from 1.
        number: usize,
        /// What is wrong with it.
        problem: PowersProblem,
    },
    /// The list begins with other points than the last contribution left.
    #[error("{list:?} does not begin with what the last contribution left")]
    Beginning {
        /// Which list.
        list: List,
    },
    /// The list does not go on by multiplication with tau.
    #[error("{list:?} is not a list of powers")]
    NotPowers {
        /// Which list.
        list: List,
    },
    /// Points of G2 are on the curve, but not in the subgroup of prime order.
    #[error("{list:?} has a point that is not in the subgroup")]
    Subgroup {
        /// Which list.
        list: List,
    },
    /// beta in G2 is not what the last contribution left.
    #[error("beta in G2 is not what the last contribution left")]
    BetaG2,
    /// The last response is the hash of other points.
    #[error("the last contribution's response is not over these points")]
    Response,
    /// The last challenge is the hash of other points.
    #[error("the last contribution's challenge is not over these points")]
    Challenge,
    /// The Lagrange points are of other powers.
    #[error("the Lagrange points of {list:?} are not those of its powers")]
    Lagrange {
        /// Which list.
        list: List,
    },
}

/// One of the three secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secret {
    /// The one whose powers there are.
    Tau,
    /// alpha.
    Alpha,
    /// beta.
    Beta,
}

impl Secret {
    const ALL: [Self; 3] = [Self::Tau, Self::Alpha, Self::Beta];

    fn proof(self, contribution: &PowersContribution) -> &SecretProof {
        match self {
            Self::Tau => &contribution.tau,
            Self::Alpha => &contribution.alpha,
            Self::Beta => &contribution.beta,
        }
    }
}

/// What is wrong with a contribution to powers of tau.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PowersProblem {
    /// A point of G2 is on the curve, but not in the subgroup of prime order.
    #[error("a point is not in the subgroup")]
    Subgroup,
    /// Nobody showed that they knew the secret.
    #[error("the proof for {0:?} does not hold")]
    Proof(Secret),
    /// The secret before times the contribution's is not the secret after it, in G1.
    #[error("{0:?} in G1 does not follow from the contribution before")]
    G1(Secret),
    /// The same in G2.
    #[error("{0:?} in G2 does not follow from the contribution before")]
    G2(Secret),
    /// The secret is not the one that the beacon's value gives.
    #[error("{0:?} is not what the beacon's value gives")]
    Beacon(Secret),
    /// The beacon could not have been made here.
    #[error(transparent)]
    BeaconParameters(#[from] SetupError),
    /// The state of the response's hash is none.
    #[error("the state of the response's hash is none that there can be")]
    State,
}

/// Checks all contributions, all powers and, if there are any, all Lagrange points.
///
/// `random` weighs the points of linear combinations; who could foresee it could get wrong points accepted.
///
/// # Errors
///
/// The first thing that is wrong.
pub fn verify<R: RngCore + CryptoRng>(
    ptau: &Ptau<'_>,
    random: &mut R,
    progress: &dyn Progress,
) -> Result<(), InvalidPowers> {
    let last = ptau.contributions().last();
    let last = last.ok_or(InvalidPowers::NoContribution)?;
    let mut before = Before::first(ptau.ceremony_power());
    let count = ptau.contributions().len() as u64;
    let mut challenge = before.challenge;
    for (number, contribution) in (1..).zip(ptau.contributions()) {
        challenge = before.challenge;
        before = contribution_follows(&before, contribution, progress)
            .map_err(|problem| InvalidPowers::Contribution { number, problem })?;
        progress.report("verifying contributions", number as u64, count);
    }
    let powers = ptau.powers()?;
    hashes_are_over(&challenge, &powers, last)?;
    let step = "verifying powers";
    progress.report(step, 0, 4);
    list_is_of_powers(List::TauG1, &powers.tau_g1, last, random)?;
    progress.report(step, 1, 4);
    g2_is_of_powers(&powers, last, random)?;
    progress.report(step, 2, 4);
    list_is_of_powers(List::AlphaTauG1, &powers.alpha_tau_g1, last, random)?;
    progress.report(step, 3, 4);
    list_is_of_powers(List::BetaTauG1, &powers.beta_tau_g1, last, random)?;
    progress.report(step, 4, 4);
    if powers.beta_g2 != last.beta_g2 {
        return Err(InvalidPowers::BetaG2);
    }
    if ptau.is_prepared() {
        let step = "verifying Lagrange points";
        progress.report(step, 0, 4);
        let next = next_power(ptau, &powers.tau_g1, last)?;
        lagrange_is_of(
            ptau,
            List::TauG1,
            &[&powers.tau_g1[..], &[next]].concat(),
            random,
        )?;
        progress.report(step, 1, 4);
        lagrange_is_of(ptau, List::TauG2, &powers.tau_g2, random)?;
        progress.report(step, 2, 4);
        lagrange_is_of(ptau, List::AlphaTauG1, &powers.alpha_tau_g1, random)?;
        progress.report(step, 3, 4);
        lagrange_is_of(ptau, List::BetaTauG1, &powers.beta_tau_g1, random)?;
        progress.report(step, 4, 4);
    }
    Ok(())
}

/// What a contribution multiplied its secrets into, and what it answered.
struct Before {
    tau_g1: G1Affine,
    tau_g2: G2Affine,
    alpha_g1: G1Affine,
    beta_g1: G1Affine,
    beta_g2: G2Affine,
    challenge: [u8; 64],
}

impl Before {
    fn first(ceremony_power: u32) -> Self {
        let (g1, g2) = (G1Affine::generator(), G2Affine::generator());
        Self {
            tau_g1: g1,
            tau_g2: g2,
            alpha_g1: g1,
            beta_g1: g1,
            beta_g2: g2,
            challenge: first_challenge(ceremony_power),
        }
    }
}

/// Checks a contribution against what was before it, and returns what is after it.
fn contribution_follows(
    before: &Before,
    after: &PowersContribution,
    progress: &dyn Progress,
) -> Result<Before, PowersProblem> {
    let spx = Secret::ALL.map(|secret| secret.proof(after).g2_spx);
    let mut g2 = spx.iter().chain([&after.tau_g2, &after.beta_g2]);
    if !g2.all(Point::in_subgroup) {
        return Err(PowersProblem::Subgroup);
    }
    beacon_holds(after, progress)?;
    let follows = [
        (Secret::Tau, before.tau_g1, after.tau_g1),
        (Secret::Alpha, before.alpha_g1, after.alpha_g1),
        (Secret::Beta, before.beta_g1, after.beta_g1),
    ];
    for (which, (secret, g1_before, g1_after)) in (0..).zip(follows) {
        let proof = secret.proof(after);
        let g2_sp = proof_point(which, &before.challenge, proof.g1_s, proof.g1_sx);
        let by_proof = (g2_sp, proof.g2_spx);
        if !same_ratio((proof.g1_s, proof.g1_sx), by_proof) {
            return Err(PowersProblem::Proof(secret));
        }
        if !same_ratio((g1_before, g1_after), by_proof) {
            return Err(PowersProblem::G1(secret));
        }
    }
    for (secret, g2_before, g2_after) in [
        (Secret::Tau, before.tau_g2, after.tau_g2),
        (Secret::Beta, before.beta_g2, after.beta_g2),
    ] {
        let proof = secret.proof(after);
        if !same_ratio((proof.g1_s, proof.g1_sx), (g2_before, g2_after)) {
            return Err(PowersProblem::G2(secret));
        }
    }
    if response_hash(after).is_none() {
        return Err(PowersProblem::State);
    }
    Ok(Before {
        tau_g1: after.tau_g1,
        tau_g2: after.tau_g2,
        alpha_g1: after.alpha_g1,
        beta_g1: after.beta_g1,
        beta_g2: after.beta_g2,
        challenge: after.next_challenge,
    })
}

/// A beacon's secrets are repeated from its value. Its points of G2 are then right if its proofs hold.
fn beacon_holds(
    contribution: &PowersContribution,
    progress: &dyn Progress,
) -> Result<(), PowersProblem> {
    let Source::Beacon {
        iterations_log2,
        value,
        ..
    } = &contribution.source
    else {
        return Ok(());
    };
    let (secrets, points) = beacon_secrets(value, *iterations_log2, progress)?;
    for ((secret, number), point) in Secret::ALL.into_iter().zip(secrets).zip(points) {
        let proof = secret.proof(contribution);
        if proof.g1_s != point || proof.g1_sx != point * *number {
            return Err(PowersProblem::Beacon(secret));
        }
    }
    Ok(())
}

/// The hashes that the last contributor published are over the file's points. Of a file that was cut that cannot be told.
fn hashes_are_over(
    challenge: &[u8; 64],
    powers: &Powers,
    last: &PowersContribution,
) -> Result<(), InvalidPowers> {
    if powers.power != powers.ceremony_power {
        return Ok(());
    }
    // Only what counts of the recorded state is compared: the rest of its block is whatever snarkjs left there.
    let recorded = Blake2b::resume(&last.response_state).map(|state| state.suspend());
    if recorded != Some(response_before_proofs(challenge, powers).suspend()) {
        return Err(InvalidPowers::Response);
    }
    let response = response_hash(last).ok_or(InvalidPowers::Response)?;
    if last.next_challenge != next_challenge(&response, powers) {
        return Err(InvalidPowers::Challenge);
    }
    Ok(())
}

fn list_is_of_powers<R: RngCore + CryptoRng>(
    list: List,
    points: &[G1Affine],
    last: &PowersContribution,
    random: &mut R,
) -> Result<(), InvalidPowers> {
    let begins = match list {
        List::AlphaTauG1 => points[0] == last.alpha_g1,
        List::BetaTauG1 => points[0] == last.beta_g1,
        _ => points[..2] == [G1Affine::generator(), last.tau_g1],
    };
    if !begins {
        return Err(InvalidPowers::Beginning { list });
    }
    if !same_ratio(
        shifted(points, random),
        (G2Affine::generator(), last.tau_g2),
    ) {
        return Err(InvalidPowers::NotPowers { list });
    }
    Ok(())
}

fn g2_is_of_powers<R: RngCore + CryptoRng>(
    powers: &Powers,
    last: &PowersContribution,
    random: &mut R,
) -> Result<(), InvalidPowers> {
    let list = List::TauG2;
    if powers.tau_g2[..2] != [G2Affine::generator(), last.tau_g2] {
        return Err(InvalidPowers::Beginning { list });
    }
    if Point::first_outside(&powers.tau_g2).is_some() {
        return Err(InvalidPowers::Subgroup { list });
    }
    let by_tau = (G1Affine::generator(), last.tau_g1);
    if !same_ratio(by_tau, shifted(&powers.tau_g2, random)) {
        return Err(InvalidPowers::NotPowers { list });
    }
    Ok(())
}

/// The same random combination of all points but the last, and of all points but the first: their ratio is that of neighbours.
fn shifted<C: Split, R: RngCore + CryptoRng>(
    points: &[Affine<C>],
    random: &mut R,
) -> (Affine<C>, Affine<C>) {
    let weights = weights(points.len() - 1, random);
    let sum = |points| Projective::<C>::msm_unchecked(points, &weights).into_affine();
    (sum(&points[..points.len() - 1]), sum(&points[1..]))
}

/// The largest domain of tau in G1 is one larger than its powers. Its Lagrange points are made with identity in the place of the power that is
/// missing or, in a file that was cut from a larger ceremony, with that power. This is the one that they were made with: their sum as
/// the values of X^(size - 1). Anything else would be enough to turn proofs into proofs of other public inputs.
fn next_power(
    ptau: &Ptau<'_>,
    powers: &[G1Affine],
    last: &PowersContribution,
) -> Result<G1Affine, InvalidPowers> {
    let list = List::TauG1;
    let points = ptau.lagrange::<G1Affine>(list, list.largest_domain(ptau.power()))?;
    let domain = Radix2EvaluationDomain::<Fr>::new(points.len()).expect("domains are at most 2^28");
    let values: Vec<Fr> =
        std::iter::successors(Some(Fr::ONE), |value| Some(*value * domain.group_gen_inv))
            .take(points.len())
            .collect();
    let next = G1Projective::msm_unchecked(&points, &values).into_affine();
    let by_tau = (G2Affine::generator(), last.tau_g2);
    match next.is_zero() || same_ratio((powers[powers.len() - 1], next), by_tau) {
        true => Ok(next),
        false => Err(InvalidPowers::Lagrange { list }),
    }
}

/// A random polynomial of each domain's size, evaluated at tau twice: by its coefficients from the powers, and by its values from
/// the Lagrange points. All domains are compared in one sum.
fn lagrange_is_of<C: Split, R: RngCore + CryptoRng>(
    ptau: &Ptau<'_>,
    list: List,
    powers: &[Affine<C>],
    random: &mut R,
) -> Result<(), InvalidPowers>
where
    Affine<C>: Point,
{
    let mut of_powers = vec![Fr::ZERO; powers.len()];
    let mut of_lagrange = Vec::with_capacity(list.lagrange(ptau.power()));
    let mut points: Vec<Affine<C>> = Vec::with_capacity(of_lagrange.capacity());
    for domain_log2 in 0..=list.largest_domain(ptau.power()) {
        let size = 1 << domain_log2;
        let coefficients = weights(size, random);
        for (sum, coefficient) in of_powers.iter_mut().zip(&coefficients) {
            *sum += coefficient;
        }
        let domain = Radix2EvaluationDomain::<Fr>::new(size).expect("domains are at most 2^28");
        of_lagrange.extend(domain.fft(&coefficients));
        points.extend(ptau.lagrange::<Affine<C>>(list, domain_log2)?);
    }
    if Point::first_outside(&points).is_some() {
        return Err(InvalidPowers::Subgroup { list });
    }
    let by_powers = Projective::<C>::msm_unchecked(powers, &of_powers);
    if by_powers != Projective::<C>::msm_unchecked(&points, &of_lagrange) {
        return Err(InvalidPowers::Lagrange { list });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
