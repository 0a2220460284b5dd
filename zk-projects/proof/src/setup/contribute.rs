//! Contributions to a key's delta.
//!
//! # What it is
//!
//! A contributor draws x and multiplies delta with it, and divides by it what the key has over delta: L and H ([BGM17], section
//! 6). The record says what happened without saying x:
//!
//! ```text
//! transcript = Blake2b(circuit hash, every earlier record, s, s x)      s: a random point of G1
//! record     = delta afterwards, s, s x, p x, transcript                p: the point of G2 that the transcript hashes to
//! ```
//!
//! s x and p x with the same x prove that x was known, and as p depends on all that went before, the proof cannot be taken from
//! elsewhere. delta before and afterwards have the ratio x too. [`verify`](super::verify) checks all of it.
//!
//! # What it guarantees
//!
//! x is wiped when the function returns. The key is sound if one contributor forgot theirs.
//!
//! # What it does not
//!
//! A *beacon* adds no secret: its x is hashed from a public value that nobody could foresee, 2^n times so that it cannot be tried
//! out in advance. It comes last and takes from the last contributor the choice among many x.
//!
//! [BGM17]: https://eprint.iacr.org/2017/1050

use ark_bn254::{Fr, G1Affine, G2Affine};
use ark_ec::CurveGroup;
use ark_ff::{Field, UniformRand, Zero};
use ark_std::rand::{CryptoRng, RngCore};
use blake2::{Blake2b512, Digest};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::circuit::absorb;
use super::multiply::multiply;
use super::{Progress, SetupError, random};
use crate::key::{Contribution, ProvingKey, Source};

/// The fewest hashes of a beacon, as log2.
pub const MIN_BEACON_LOG2: u32 = 10;
/// The most hashes of a beacon, as log2: about a day. Whoever verifies must repeat them.
pub const MAX_BEACON_LOG2: u32 = 40;
/// The most characters (UTF-16 units, as snarkjs counts) of a contribution's name.
pub const MAX_NAME: usize = 64;

/// Contributes randomness of the caller's to a key. Returns the [contribution's hash](contribution_hash), to be published.
///
/// An empty name is none.
///
/// # Errors
///
/// [`SetupError::Name`].
pub fn contribute<R: RngCore + CryptoRng>(
    key: &mut ProvingKey,
    name: Option<&str>,
    random: &mut R,
) -> Result<[u8; 64], SetupError> {
    let name = checked_name(name)?;
    let secret = secret(random);
    let g1_s = random::point_g1(random);
    Ok(apply(key, &secret, g1_s, Source::Person { name }))
}

/// Contributes a public random value, hashed 2^`iterations_log2` times. Returns the contribution's hash.
///
/// # Errors
///
/// [`SetupError::Name`], [`SetupError::BeaconValue`], [`SetupError::BeaconIterations`].
pub fn beacon(
    key: &mut ProvingKey,
    name: Option<&str>,
    value: &[u8],
    iterations_log2: u32,
    progress: &dyn Progress,
) -> Result<[u8; 64], SetupError> {
    let name = checked_name(name)?;
    let (secret, g1_s) = beacon_secret(value, iterations_log2, progress)?;
    let source = Source::Beacon {
        name,
        iterations_log2,
        value: value.to_vec(),
    };
    Ok(apply(key, &secret, g1_s, source))
}

/// What a contributor publishes, so that everybody can find their contribution in the final key: the hash of its record.
#[must_use]
pub fn contribution_hash(contribution: &Contribution) -> [u8; 64] {
    let mut hash = Blake2b512::new();
    absorb_contribution(&mut hash, contribution);
    hash.finalize().into()
}

/// A hash as ceremonies publish it, and as snarkjs prints it: four lines of four groups of eight hexadecimal digits.
#[must_use]
pub fn format_hash(hash: &[u8; 64]) -> String {
    let line = |bytes: &[u8]| {
        let group = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        bytes
            .chunks(4)
            .map(group)
            .collect::<Vec<String>>()
            .join(" ")
    };
    hash.chunks(16).map(line).collect::<Vec<_>>().join("\n")
}

/// Secret and random point of a beacon's contribution to a key.
pub(crate) fn beacon_secret(
    value: &[u8],
    iterations_log2: u32,
    progress: &dyn Progress,
) -> Result<(Zeroizing<Fr>, G1Affine), SetupError> {
    let mut random = beacon_random(value, iterations_log2, progress)?;
    let secret = Zeroizing::new(random::number(&mut random));
    Ok((secret, random::point_g1(&mut random)))
}

/// The stream of draws that a beacon's value stands for.
pub(crate) fn beacon_random(
    value: &[u8],
    iterations_log2: u32,
    progress: &dyn Progress,
) -> Result<rand_chacha::ChaCha20Rng, SetupError> {
    if value.is_empty() || value.len() > 255 {
        return Err(SetupError::BeaconValue);
    }
    if !(MIN_BEACON_LOG2..=MAX_BEACON_LOG2).contains(&iterations_log2) {
        return Err(SetupError::BeaconIterations { iterations_log2 });
    }
    let total = 1_u64 << iterations_log2;
    let mut hash: [u8; 32] = Sha256::digest(value).into();
    for done in 1..total {
        if done % (1 << 20) == 0 {
            progress.report("hashing the beacon", done, total);
        }
        hash = Sha256::digest(hash).into();
    }
    Ok(random::from_hash(&hash))
}

/// A name that the files can keep.
pub(crate) fn checked_name(name: Option<&str>) -> Result<Option<String>, SetupError> {
    let name = name.filter(|name| !name.is_empty());
    if name.is_some_and(|name| name.encode_utf16().count() > MAX_NAME) {
        return Err(SetupError::Name);
    }
    Ok(name.map(str::to_owned))
}

/// A secret that is not zero.
pub(crate) fn secret<R: RngCore + CryptoRng>(random: &mut R) -> Zeroizing<Fr> {
    loop {
        let secret = Zeroizing::new(Fr::rand(random));
        if !secret.is_zero() {
            return secret;
        }
    }
}

fn apply(key: &mut ProvingKey, secret: &Fr, g1_s: G1Affine, source: Source) -> [u8; 64] {
    let g1_sx = (g1_s * secret).into_affine();
    let mut transcript = Transcript::new(&key.ceremony.circuit_hash);
    for contribution in &key.ceremony.contributions {
        transcript.absorb(contribution);
    }
    let transcript = transcript.of_next(g1_s, g1_sx);
    let g2_sp = random::hash_to_g2(&transcript);
    key.delta_g1 = (key.delta_g1 * secret).into_affine();
    key.verifying.delta_g2 = (key.verifying.delta_g2 * secret).into_affine();
    let inverse = Zeroizing::new(secret.inverse().expect("the secret is not zero"));
    key.l_g1 = multiply(&key.l_g1, |_| *inverse);
    key.h_g1 = multiply(&key.h_g1, |_| *inverse);
    let contribution = Contribution {
        delta_after: key.delta_g1,
        g1_s,
        g1_sx,
        g2_spx: (g2_sp * secret).into_affine(),
        transcript,
        source,
    };
    let hash = contribution_hash(&contribution);
    key.ceremony.contributions.push(contribution);
    hash
}

/// What a contribution's transcript is over: the circuit, and every record so far.
#[derive(Clone)]
pub(crate) struct Transcript(Blake2b512);

impl Transcript {
    /// Before the first contribution.
    pub(crate) fn new(circuit_hash: &[u8; 64]) -> Self {
        Self(Blake2b512::new_with_prefix(circuit_hash))
    }

    /// Goes on behind a contribution.
    pub(crate) fn absorb(&mut self, contribution: &Contribution) {
        absorb_contribution(&mut self.0, contribution);
    }

    /// The transcript of the next contribution.
    pub(crate) fn of_next(&self, g1_s: G1Affine, g1_sx: G1Affine) -> [u8; 64] {
        let mut hash = self.0.clone();
        absorb(&mut hash, &[g1_s, g1_sx]);
        hash.finalize().into()
    }
}

fn absorb_contribution(hash: &mut Blake2b512, contribution: &Contribution) {
    let g1: [G1Affine; 3] = [
        contribution.delta_after,
        contribution.g1_s,
        contribution.g1_sx,
    ];
    absorb(hash, &g1);
    absorb::<G2Affine>(hash, &[contribution.g2_spx]);
    hash.update(contribution.transcript);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use ark_ec::AffineRepr;
    use ark_std::rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    use super::*;

    /// Bug class Z13.
    #[test]
    fn a_transcript_depends_on_the_circuit_every_earlier_record_and_its_own_points() {
        let [one, two] = [1, 2].map(|seed| random::point_g1(&mut ChaCha20Rng::seed_from_u64(seed)));
        let record = Contribution {
            delta_after: one,
            g1_s: one,
            g1_sx: one,
            g2_spx: G2Affine::generator(),
            transcript: [0; 64],
            source: Source::Person { name: None },
        };
        let after = |circuit_hash: u8, records: &[Contribution]| {
            let mut transcript = Transcript::new(&[circuit_hash; 64]);
            for record in records {
                transcript.absorb(record);
            }
            transcript.of_next(one, one)
        };
        let mut transcripts = vec![
            after(0, &[]),
            after(1, &[]),
            after(0, std::slice::from_ref(&record)),
            after(0, &[record.clone(), record.clone()]),
            Transcript::new(&[0; 64]).of_next(two, one),
            Transcript::new(&[0; 64]).of_next(one, two),
        ];
        let changes: [fn(&mut Contribution, G1Affine); 5] = [
            |record, two| record.delta_after = two,
            |record, two| record.g1_s = two,
            |record, two| record.g1_sx = two,
            |record, _| record.g2_spx = G2Affine::identity(),
            |record, _| record.transcript[63] = 1,
        ];
        for change in changes {
            let mut other = record.clone();
            change(&mut other, two);
            transcripts.push(after(0, std::slice::from_ref(&other)));
            transcripts.push(after(0, &[other, record.clone()]));
        }
        let count = transcripts.len();
        assert_eq!(
            transcripts.into_iter().collect::<BTreeSet<_>>().len(),
            count
        );
    }
}
