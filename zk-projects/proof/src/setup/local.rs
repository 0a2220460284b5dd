//! A key for demonstrations and tests: the whole ceremony in one process.
//!
//! tau, alpha and beta are drawn here, known for a moment, and wiped. The Lagrange points are then [known](super::circuit)
//! multiples of the generators, which saves the transforms and most multiplications of points. Everything else is the ceremony's
//! own code: the domain, the sums over the circuit's columns, the order of the key's parts, the circuit hash, and one recorded
//! contribution to delta.
//!
//! Whoever runs this could keep the secrets and forge proofs. Such keys say that they are for demonstrations.

use ark_bn254::Fr;
use ark_ff::{FftField, Field, One, batch_inversion};
use ark_std::rand::{CryptoRng, RngCore};
use zeroize::Zeroizing;

use super::basis::{Basis, Known};
use super::circuit::{domain_log2, hashed_powers, start};
use super::{SetupError, contribute};
use crate::key::{ProvingKey, Source};
use crate::r1cs::R1cs;

/// The name of the only contribution.
pub const CONTRIBUTOR: &str = "local setup";

/// A proving key for a circuit, with secrets drawn from `random` and wiped before it returns.
///
/// # Errors
///
/// [`SetupError::TooLarge`], [`SetupError::Wires`].
pub fn local<R: RngCore + CryptoRng>(
    r1cs: &R1cs,
    random: &mut R,
) -> Result<ProvingKey, SetupError> {
    let domain = 1 << domain_log2(r1cs)?;
    let tau = contribute::secret(random);
    let alpha = contribute::secret(random);
    let beta = contribute::secret(random);
    let basis = Zeroizing::new(basis(domain, &tau, &alpha, &beta));
    let mut key = start(r1cs, &basis)?;
    contribute::contribute(&mut key, Some(CONTRIBUTOR), random)?;
    Ok(key)
}

/// Whether a key's record says that it is of a local setup, and nobody else contributed.
#[must_use]
pub fn is_local(key: &ProvingKey) -> bool {
    let is_ours = |source: &Source| matches!(source, Source::Person { name: Some(name) } if name == CONTRIBUTOR);
    let contributions = &key.ceremony.contributions;
    let all_ours = contributions.iter().all(|one| is_ours(&one.source));
    all_ours && !contributions.is_empty()
}

fn basis(domain: usize, tau: &Fr, alpha: &Fr, beta: &Fr) -> Basis<Known, Known> {
    let tau_lagrange = lagrange(domain, tau);
    let double = lagrange(2 * domain, tau);
    let vanishing = Zeroizing::new(tau.pow([domain as u64]) - Fr::one());
    let times =
        |factor: &Fr, values: &[Fr]| values.iter().map(|value| Known(*value * factor)).collect();
    // In full from the start, as in `lagrange`: a vector that grows leaves secrets behind.
    let mut vanishing_g1 = Vec::with_capacity(hashed_powers(domain));
    let powers = std::iter::successors(Some(*vanishing), |power| Some(*power * tau));
    vanishing_g1.extend(powers.take(hashed_powers(domain)).map(Known));
    Basis {
        tau_g1: times(&Fr::one(), &tau_lagrange),
        tau_g2: times(&Fr::one(), &tau_lagrange),
        alpha_tau_g1: times(alpha, &tau_lagrange),
        beta_tau_g1: times(beta, &tau_lagrange),
        odd_g1: double
            .iter()
            .skip(1)
            .step_by(2)
            .copied()
            .map(Known)
            .collect(),
        vanishing_g1,
        alpha_g1: Known(*alpha),
        beta_g1: Known(*beta),
        beta_g2: Known(*beta),
    }
}

/// The Lagrange polynomials of the `size`-th roots of unity w^i, at tau: `w^i (tau^size - 1) / (size (tau - w^i))`.
///
/// # Panics
///
/// If there are no such roots, which [`domain_log2`] excludes, or if tau is one of them, which has a probability of 2^-226.
fn lagrange(size: usize, tau: &Fr) -> Zeroizing<Vec<Fr>> {
    let root = Fr::get_root_of_unity(size as u64).expect("the domain's size was checked");
    let roots = std::iter::successors(Some(Fr::one()), |power| Some(*power * root));
    let vanishing = Zeroizing::new(tau.pow([size as u64]) - Fr::one());
    let factor = Zeroizing::new(*vanishing / Fr::from(size as u64));
    let mut values = Zeroizing::new(Vec::with_capacity(size));
    values.extend(roots.clone().take(size).map(|root| *tau - root));
    batch_inversion(&mut values);
    for (value, root) in values.iter_mut().zip(roots) {
        *value *= root * *factor;
    }
    values
}

#[cfg(test)]
mod tests {
    use ark_bn254::{Bn254, G1Affine, G1Projective, G2Affine, G2Projective};
    use ark_ec::pairing::Pairing;
    use ark_ec::{AffineRepr, VariableBaseMSM};
    use ark_ff::Zero;
    use ark_poly::{EvaluationDomain, GeneralEvaluationDomain};
    use ark_std::rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    use super::*;
    use crate::key::Side;
    use crate::r1cs::{Term, evaluate};

    /// `x * x = y; y * x + 5 = out`, with `out` public.
    fn cubic() -> R1cs {
        let term = |wire, number: i32| Term {
            wire,
            coefficient: Fr::from(number),
        };
        let mut r1cs = R1cs {
            wires: 4,
            public_inputs: 1,
            ..R1cs::default()
        };
        r1cs.a.push_row([term(2, 1)]);
        r1cs.b.push_row([term(2, 1)]);
        r1cs.c.push_row([term(3, 1)]);
        r1cs.a.push_row([term(3, 1)]);
        r1cs.b.push_row([term(2, 1)]);
        r1cs.c.push_row([term(0, -5), term(1, 1)]);
        r1cs
    }

    /// A proof that hides nothing, by the definition: A and B at tau, and the quotient from its values at the odd roots.
    fn prove(key: &ProvingKey, r1cs: &R1cs, wires: &[Fr]) -> (G1Affine, G2Affine, G1Affine) {
        let size = key.domain_size as usize;
        let mut values = [
            vec![Fr::zero(); size],
            vec![Fr::zero(); size],
            vec![Fr::zero(); size],
        ];
        for c in &key.coefficients {
            let side = usize::from(c.side == Side::B);
            values[side][c.constraint as usize] += c.value * wires[c.wire as usize];
        }
        for (row, value) in r1cs.c.rows().zip(&mut values[2]) {
            *value = evaluate(row, wires);
        }
        let domain = GeneralEvaluationDomain::<Fr>::new(size).unwrap();
        let double = GeneralEvaluationDomain::<Fr>::new(2 * size).unwrap();
        let [a, b, c] = values.map(|values| double.fft(&domain.ifft(&values)));
        let odd: Vec<Fr> = (0..size)
            .map(|i| 2 * i + 1)
            .map(|i| a[i] * b[i] - c[i])
            .collect();
        let private = &wires[key.public() + 1..];
        let g1 = |points: &[G1Affine], scalars: &[Fr]| G1Projective::msm(points, scalars).unwrap();
        let a = g1(&key.a_g1, wires) + key.verifying.alpha_g1;
        let b = G2Projective::msm(&key.b_g2, wires).unwrap() + key.verifying.beta_g2;
        let c = g1(&key.l_g1, private) + g1(&key.h_g1, &odd);
        (a.into(), b.into(), c.into())
    }

    fn accepts(key: &ProvingKey, public: &[Fr], proof: (G1Affine, G2Affine, G1Affine)) -> bool {
        let ic = &key.verifying.ic;
        let input = G1Projective::msm(&ic[1..], public).unwrap() + ic[0];
        let left = Bn254::pairing(proof.0, proof.1);
        let right = Bn254::multi_pairing(
            [key.verifying.alpha_g1, input.into(), proof.2],
            [
                key.verifying.beta_g2,
                key.verifying.gamma_g2,
                key.verifying.delta_g2,
            ],
        );
        left == right
    }

    #[test]
    fn a_local_key_proves_what_is_true_and_nothing_else() {
        let r1cs = cubic();
        let key = local(&r1cs, &mut ChaCha20Rng::seed_from_u64(1)).unwrap();
        let wires = [1, 32, 3, 9].map(Fr::from);
        assert_eq!(r1cs.first_unsatisfied(&wires), None);
        let proof = prove(&key, &r1cs, &wires);
        assert!(accepts(&key, &wires[1..2], proof));
        assert!(!accepts(&key, &[Fr::from(33)], proof));
        let wrong = [1, 33, 3, 9].map(Fr::from);
        assert!(!accepts(&key, &wrong[1..2], prove(&key, &r1cs, &wrong)));
    }

    #[test]
    fn a_local_key_has_one_contribution_and_delta_is_not_gamma() {
        let key = local(&cubic(), &mut ChaCha20Rng::seed_from_u64(2)).unwrap();
        assert_eq!(key.ceremony.contributions.len(), 1);
        assert_ne!(key.verifying.delta_g2, key.verifying.gamma_g2);
        assert_eq!(key.verifying.gamma_g2, G2Affine::generator());
        assert_eq!(
            Bn254::pairing(key.delta_g1, G2Affine::generator()),
            Bn254::pairing(G1Affine::generator(), key.verifying.delta_g2)
        );
    }

    #[test]
    fn two_local_keys_have_no_secret_in_common() {
        let mut random = ChaCha20Rng::seed_from_u64(3);
        let [one, two] = [(); 2].map(|()| local(&cubic(), &mut random).unwrap());
        assert_ne!(one.verifying.alpha_g1, two.verifying.alpha_g1);
        assert_ne!(one.beta_g1, two.beta_g1);
        assert_ne!(one.delta_g1, two.delta_g1);
        assert_ne!(one.h_g1, two.h_g1);
    }
}
