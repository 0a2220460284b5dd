//! Beginning powers of tau, and multiplying secrets into them.

use ark_bn254::{Fr, G1Affine, G2Affine};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{Field, One};
use ark_std::rand::{CryptoRng, RngCore};
use blake2::{Blake2b512, Digest};
use zeroize::Zeroizing;

use crate::curve::Point;
use crate::files::ptau::{List, MAX_POWER, MIN_POWER, Powers, PowersContribution, SecretProof};
use crate::key::Source;
use crate::setup::blake2b::Blake2b;
use crate::setup::circuit::absorb;
use crate::setup::contribute::{beacon_random, checked_name, secret};
use crate::setup::multiply::{Split, multiply};
use crate::setup::{Progress, SetupError, random};

/// Powers of tau for circuits with a domain of up to 2^`power`, without any contribution: all secrets are one.
///
/// # Errors
///
/// [`SetupError::Power`].
pub fn start(power: u32) -> Result<Powers, SetupError> {
    if !(MIN_POWER..=MAX_POWER).contains(&power) {
        return Err(SetupError::Power { power });
    }
    Ok(Powers {
        power,
        ceremony_power: power,
        tau_g1: vec![G1Affine::generator(); List::TauG1.powers(power)],
        tau_g2: vec![G2Affine::generator(); List::TauG2.powers(power)],
        alpha_tau_g1: vec![G1Affine::generator(); List::AlphaTauG1.powers(power)],
        beta_tau_g1: vec![G1Affine::generator(); List::BetaTauG1.powers(power)],
        beta_g2: G2Affine::generator(),
        contributions: Vec::new(),
    })
}

/// Contributes randomness of the caller's. Returns the [response's hash](response_hash), to be published.
///
/// Lagrange points that a file had are stale afterwards: [`super::prepare`] makes them anew. An empty name is none.
///
/// # Errors
///
/// [`SetupError::Name`], [`SetupError::Cut`].
pub fn contribute<R: RngCore + CryptoRng>(
    powers: &mut Powers,
    name: Option<&str>,
    random: &mut R,
    progress: &dyn Progress,
) -> Result<[u8; 64], SetupError> {
    let name = checked_name(name)?;
    let secrets = [(); 3].map(|()| secret(random));
    let points = [(); 3].map(|()| random::point_g1(random));
    apply(powers, &secrets, points, Source::Person { name }, progress)
}

/// Contributes a public random value, hashed 2^`iterations_log2` times. Returns the response's hash.
///
/// # Errors
///
/// [`SetupError::Name`], [`SetupError::BeaconValue`], [`SetupError::BeaconIterations`], [`SetupError::Cut`].
pub fn beacon(
    powers: &mut Powers,
    name: Option<&str>,
    value: &[u8],
    iterations_log2: u32,
    progress: &dyn Progress,
) -> Result<[u8; 64], SetupError> {
    let name = checked_name(name)?;
    let (secrets, points) = beacon_secrets(value, iterations_log2, progress)?;
    let source = Source::Beacon {
        name,
        iterations_log2,
        value: value.to_vec(),
    };
    apply(powers, &secrets, points, source, progress)
}

/// What a contributor publishes: the hash of their response. `None` if the record's hash state is none.
#[must_use]
pub fn response_hash(contribution: &PowersContribution) -> Option<[u8; 64]> {
    let mut hash = Blake2b::resume(&contribution.response_state)?;
    hash.update(&proofs_uncompressed(contribution));
    Some(hash.finish())
}

/// Secrets and random points of a beacon: for tau, alpha and beta.
pub(super) fn beacon_secrets(
    value: &[u8],
    iterations_log2: u32,
    progress: &dyn Progress,
) -> Result<([Zeroizing<Fr>; 3], [G1Affine; 3]), SetupError> {
    let mut random = beacon_random(value, iterations_log2, progress)?;
    let secrets = [(); 3].map(|()| Zeroizing::new(random::number(&mut random)));
    let points = [(); 3].map(|()| random::point_g1(&mut random));
    Ok((secrets, points))
}

fn apply(
    powers: &mut Powers,
    [tau, alpha, beta]: &[Zeroizing<Fr>; 3],
    points: [G1Affine; 3],
    source: Source,
    progress: &dyn Progress,
) -> Result<[u8; 64], SetupError> {
    if powers.power != powers.ceremony_power {
        return Err(SetupError::Cut);
    }
    let challenge = powers
        .contributions
        .last()
        .map_or_else(|| first_challenge(powers.power), |last| last.next_challenge);
    let step = "multiplying the powers";
    progress.report(step, 0, 4);
    times_powers(&mut powers.tau_g1, &Fr::one(), tau);
    progress.report(step, 1, 4);
    times_powers(&mut powers.tau_g2, &Fr::one(), tau);
    progress.report(step, 2, 4);
    times_powers(&mut powers.alpha_tau_g1, alpha, tau);
    progress.report(step, 3, 4);
    times_powers(&mut powers.beta_tau_g1, beta, tau);
    progress.report(step, 4, 4);
    powers.beta_g2 = (powers.beta_g2 * **beta).into_affine();
    let proof = |which, secret| prove(which, &challenge, points[usize::from(which)], secret);
    let mut contribution = PowersContribution {
        tau_g1: powers.tau_g1[1],
        tau_g2: powers.tau_g2[1],
        alpha_g1: powers.alpha_tau_g1[0],
        beta_g1: powers.beta_tau_g1[0],
        beta_g2: powers.beta_g2,
        tau: proof(0, tau),
        alpha: proof(1, alpha),
        beta: proof(2, beta),
        response_state: response_before_proofs(&challenge, powers).suspend(),
        next_challenge: [0; 64],
        source,
    };
    let response = response_hash(&contribution).expect("a state that was just written");
    contribution.next_challenge = next_challenge(&response, powers);
    powers.contributions.push(contribution);
    Ok(response)
}

/// Multiplies the i-th point with `first * ratio^i`.
fn times_powers<C: Split>(
    points: &mut [ark_ec::short_weierstrass::Affine<C>],
    first: &Fr,
    ratio: &Fr,
) {
    const CHUNK: usize = 1 << 10;
    for (index, chunk) in points.chunks_mut(CHUNK).enumerate() {
        let first = Zeroizing::new(*first * ratio.pow([(index * CHUNK) as u64]));
        // In full from the start: a vector that grows leaves secrets behind.
        let mut powers = Zeroizing::new(Vec::with_capacity(chunk.len()));
        let all = std::iter::successors(Some(*first), |power| Some(*power * ratio));
        powers.extend(all.take(chunk.len()));
        let products = multiply(chunk, |index| -> Fr { powers[index] });
        chunk.copy_from_slice(&products);
    }
}

/// Proves that a secret is known. `which` is 0 for tau, 1 for alpha, 2 for beta.
fn prove(which: u8, challenge: &[u8; 64], g1_s: G1Affine, secret: &Fr) -> SecretProof {
    let g1_sx = (g1_s * secret).into_affine();
    let g2_sp = proof_point(which, challenge, g1_s, g1_sx);
    SecretProof {
        g1_s,
        g1_sx,
        g2_spx: (g2_sp * secret).into_affine(),
    }
}

/// The point of G2 that a proof is about.
pub(super) fn proof_point(
    which: u8,
    challenge: &[u8; 64],
    g1_s: G1Affine,
    g1_sx: G1Affine,
) -> G2Affine {
    let mut hash = Blake2b512::new();
    hash.update([which]);
    hash.update(challenge);
    absorb(&mut hash, &[g1_s, g1_sx]);
    random::hash_to_g2(&hash.finalize())
}

/// What the first contribution answers: the hash of nothing, and of all points while all secrets are one.
pub(super) fn first_challenge(power: u32) -> [u8; 64] {
    let (mut g1, mut g2) = (Vec::new(), Vec::new());
    G1Affine::generator().write_uncompressed(&mut g1);
    G2Affine::generator().write_uncompressed(&mut g2);
    let mut hash = Blake2b512::new();
    hash.update(Blake2b512::digest([]));
    for list in List::ALL {
        let point = if list == List::TauG2 { &g2 } else { &g1 };
        for _ in 0..list.powers(power) {
            hash.update(point);
        }
    }
    hash.update(&g2);
    hash.finalize().into()
}

/// The response's hash up to the proofs.
pub(super) fn response_before_proofs(challenge: &[u8; 64], powers: &Powers) -> Blake2b {
    let mut hash = Blake2b::new();
    hash.update(challenge);
    compress(&mut hash, &powers.tau_g1);
    compress(&mut hash, &powers.tau_g2);
    compress(&mut hash, &powers.alpha_tau_g1);
    compress(&mut hash, &powers.beta_tau_g1);
    compress(&mut hash, &[powers.beta_g2]);
    hash
}

fn compress<P: Point>(hash: &mut Blake2b, points: &[P]) {
    let mut bytes = Vec::with_capacity(P::BYTES / 2);
    for point in points {
        bytes.clear();
        point.write_compressed(&mut bytes);
        hash.update(&bytes);
    }
}

/// What the next contribution answers.
pub(super) fn next_challenge(response: &[u8; 64], powers: &Powers) -> [u8; 64] {
    let mut hash = Blake2b512::new();
    hash.update(response);
    absorb(&mut hash, &powers.tau_g1);
    absorb(&mut hash, &powers.tau_g2);
    absorb(&mut hash, &powers.alpha_tau_g1);
    absorb(&mut hash, &powers.beta_tau_g1);
    absorb(&mut hash, &[powers.beta_g2]);
    hash.finalize().into()
}

/// The three proofs as a response has them: those of G1 first.
fn proofs_uncompressed(contribution: &PowersContribution) -> Vec<u8> {
    let proofs = [&contribution.tau, &contribution.alpha, &contribution.beta];
    let mut out = Vec::new();
    for proof in proofs {
        proof.g1_s.write_uncompressed(&mut out);
        proof.g1_sx.write_uncompressed(&mut out);
    }
    for proof in proofs {
        proof.g2_spx.write_uncompressed(&mut out);
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use ark_std::rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    use super::*;
    use crate::setup::Quiet;

    fn differ<T: Ord>(values: impl IntoIterator<Item = T>) -> bool {
        let mut seen = BTreeSet::new();
        values.into_iter().all(|value| seen.insert(value))
    }

    /// Bug class Z13.
    #[test]
    fn the_point_of_a_proof_depends_on_everything_that_it_is_bound_to() {
        let [one, two] = [1, 2].map(|seed| random::point_g1(&mut ChaCha20Rng::seed_from_u64(seed)));
        let points = [
            proof_point(0, &[0; 64], one, two),
            proof_point(1, &[0; 64], one, two),
            proof_point(2, &[0; 64], one, two),
            proof_point(0, &[1; 64], one, two),
            proof_point(0, &[0; 64], two, two),
            proof_point(0, &[0; 64], one, one),
        ];
        assert!(differ(points.map(|point| point.to_string())));
    }

    /// Bug class Z13.
    #[test]
    fn response_and_challenge_depend_on_every_point_and_on_what_was_before() {
        let mut powers = start(1).unwrap();
        contribute(
            &mut powers,
            None,
            &mut ChaCha20Rng::seed_from_u64(1),
            &Quiet,
        )
        .unwrap();
        let g1 = G1Affine::identity();
        let mut changed = vec![powers.clone()];
        let mut change = |change: &dyn Fn(&mut Powers)| {
            let mut other = powers.clone();
            change(&mut other);
            changed.push(other);
        };
        for index in 0..3 {
            change(&|powers| powers.tau_g1[index] = g1);
        }
        for index in 0..2 {
            change(&|powers| powers.tau_g2[index] = G2Affine::identity());
            change(&|powers| powers.alpha_tau_g1[index] = g1);
            change(&|powers| powers.beta_tau_g1[index] = g1);
        }
        change(&|powers| powers.beta_g2 = G2Affine::identity());
        let responses = changed
            .iter()
            .map(|it| response_before_proofs(&[0; 64], it).finish());
        let other = response_before_proofs(&[1; 64], &powers).finish();
        assert!(differ(responses.chain([other])));
        let challenges = changed.iter().map(|it| next_challenge(&[0; 64], it));
        assert!(differ(
            challenges.chain([next_challenge(&[1; 64], &powers)])
        ));
    }

    /// Bug class Z13.
    #[test]
    fn a_response_depends_on_every_proof() {
        let mut powers = start(1).unwrap();
        contribute(
            &mut powers,
            None,
            &mut ChaCha20Rng::seed_from_u64(1),
            &Quiet,
        )
        .unwrap();
        let record = &powers.contributions[0];
        let mut responses = vec![response_hash(record)];
        for which in 0..3 {
            let changes: [fn(&mut SecretProof); 3] = [
                |proof| proof.g1_s = G1Affine::identity(),
                |proof| proof.g1_sx = G1Affine::identity(),
                |proof| proof.g2_spx = G2Affine::identity(),
            ];
            for change in changes {
                let mut other = record.clone();
                change([&mut other.tau, &mut other.alpha, &mut other.beta][which]);
                responses.push(response_hash(&other));
            }
        }
        assert!(differ(responses));
    }
}
