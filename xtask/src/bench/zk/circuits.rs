//! The circuits that are proved.
//!
//! All sides prove the same: key and witness are files that are made once from these.

use ark_bn254::Fr;
use ark_ff::UniformRand;
use ark_relations::gr1cs::{ConstraintSystemRef, SynthesisError};
use ark_std::rand::RngCore;
use ark_std::rand::rngs::OsRng;
use gadgets::poseidon;
use gadgets::sha256::{self, Word};
use gadgets::wire::{self, Wire};
use mixer::Withdraw;
use proof::r1cs::{R1cs, Term};
use proof::statement::{self, PrivateInputs, Statement};
use serde::{Deserialize, Serialize};

use crate::bench::error::{Result, proving};

/// What is proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Circuit {
    /// A withdrawal from the mixer.
    Mixer,
    /// Knowledge of 64 bytes with a given SHA-256 hash.
    Sha256,
    /// Products of sums whose wires are all random, so many that a domain of 2^k is full.
    Synthetic {
        /// k.
        domain_log2: u32,
    },
    /// Knowledge of two numbers with a given Poseidon hash.
    Poseidon,
}

impl Circuit {
    /// Within names of files and figures.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Mixer => "mixer",
            Self::Sha256 => "sha256",
            Self::Synthetic { .. } => "synthetic",
            Self::Poseidon => "poseidon",
        }
    }

    /// As it stands in the tables.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Mixer => "mixer",
            Self::Sha256 => "SHA-256 of 64 bytes",
            Self::Synthetic { .. } => "synthetic",
            Self::Poseidon => "Poseidon of 2 numbers",
        }
    }

    /// The constraints. They do not depend on values.
    pub(crate) fn constraints(self) -> Result<R1cs> {
        match self {
            Self::Mixer => {
                let (public, private) = Withdraw::sample(&mut OsRng);
                statement::constraints::<Withdraw>(&public, &private)
            }
            Self::Sha256 => statement::constraints_of(|system| sha256_preimage(system, &[0; 16])),
            Self::Synthetic { domain_log2 } => {
                Ok(synthetic_constraints(synthetic_rows(domain_log2)))
            }
            Self::Poseidon => {
                statement::constraints_of(|system| poseidon_preimage(system, [Fr::from(0); 2]))
            }
        }
        .map_err(proving("make the constraints"))
    }

    /// A random input, and with it what computes the witness: whoever measures does not count the first.
    pub(crate) fn random_witness(self) -> Box<dyn Fn() -> Result<Vec<Fr>>> {
        let failed = || proving("make the witness");
        match self {
            Self::Mixer => {
                let (public, private) = Withdraw::sample(&mut OsRng);
                Box::new(move || {
                    statement::witness::<Withdraw>(&public, &private).map_err(failed())
                })
            }
            Self::Sha256 => {
                let message: [u32; 16] = std::array::from_fn(|_| OsRng.next_u32());
                Box::new(move || {
                    statement::witness_of(|system| sha256_preimage(system, &message))
                        .map_err(failed())
                })
            }
            Self::Synthetic { domain_log2 } => {
                let first = [Fr::rand(&mut OsRng), Fr::rand(&mut OsRng)];
                let rows = synthetic_rows(domain_log2);
                Box::new(move || Ok(synthetic_witness(rows, first)))
            }
            Self::Poseidon => {
                let numbers = [Fr::rand(&mut OsRng), Fr::rand(&mut OsRng)];
                Box::new(move || {
                    statement::witness_of(|system| poseidon_preimage(system, numbers))
                        .map_err(failed())
                })
            }
        }
    }
}

/// An input of the mixer, as circom's programs take it: public and private fields side by side.
pub(crate) fn circom_input() -> Result<serde_json::Value> {
    let (public, private) = Withdraw::sample(&mut OsRng);
    let failed = || proving("write the mixer's input");
    let mut document = serde_json::to_value(public).map_err(failed())?;
    let private = serde_json::to_value(private).map_err(failed())?;
    if let (Some(fields), serde_json::Value::Object(more)) = (document.as_object_mut(), private) {
        fields.extend(more);
    }
    Ok(document)
}

/// ```text
/// public   the hash, in two numbers of 128 bits
/// private  64 bytes
/// ```
fn sha256_preimage(
    system: &ConstraintSystemRef<Fr>,
    message: &[u32; 16],
) -> std::result::Result<PrivateInputs, SynthesisError> {
    let circuit = wire::Circuit::new(system);
    let bytes: Vec<u8> = message.iter().flat_map(|word| word.to_be_bytes()).collect();
    let digest = sha256::digest(&bytes);
    let halves = [0, 16].map(|at| {
        let half: [u8; 16] = std::array::from_fn(|byte| digest[at + byte]);
        circuit.public(Fr::from(u128::from_be_bytes(half)))
    });
    let words: std::result::Result<Vec<_>, _> = message
        .iter()
        .map(|word| Word::private(&circuit, *word))
        .collect();
    let inputs = PrivateInputs::allocated(system);
    let hash = sha256::hash_wires(&circuit, &words?)?;
    for (half, words) in halves.into_iter().zip(hash.chunks_exact(4)) {
        let shift = Fr::from(1_u64 << 32);
        let joined = words
            .iter()
            .fold(Wire::constant(Fr::from(0)), |joined, word| {
                joined.times(shift).plus(word.number())
            });
        circuit.enforce_equal(&joined, &half?)?;
    }
    Ok(inputs)
}

/// ```text
/// public   the hash
/// private  two numbers
/// ```
fn poseidon_preimage(
    system: &ConstraintSystemRef<Fr>,
    numbers: [Fr; 2],
) -> std::result::Result<PrivateInputs, SynthesisError> {
    let circuit = wire::Circuit::new(system);
    let public = circuit.public(poseidon::hash(&numbers))?;
    let [one, two] = numbers.map(|number| circuit.private(number));
    let inputs = PrivateInputs::allocated(system);
    let hash = poseidon::hash_wires(&circuit, &[one?, two?])?;
    circuit.enforce_equal(&hash, &public)?;
    Ok(inputs)
}

/// As many as fit into the domain beside the rows of the constant and the public input.
fn synthetic_rows(domain_log2: u32) -> u32 {
    (1 << domain_log2) - 2
}

/// Row i says `(x_i + 3 x_(i+1)) * (x_i + 5 x_(i+1) + 7) = x_(i+2)`; the last result is the public input.
///
/// The wires are the constant one, the public input, x_0, x_1, ...
fn synthetic_constraints(rows: u32) -> R1cs {
    let term = |wire: u32, number: u64| Term {
        wire,
        coefficient: Fr::from(number),
    };
    let mut r1cs = R1cs {
        wires: rows + 3,
        public_inputs: 1,
        private_inputs: 2,
        ..R1cs::default()
    };
    for row in 0..rows {
        let (one, next) = (2 + row, 3 + row);
        let result = if row + 1 == rows { 1 } else { 4 + row };
        r1cs.a.push_row([term(one, 1), term(next, 3)]);
        r1cs.b.push_row([term(0, 7), term(one, 1), term(next, 5)]);
        r1cs.c.push_row([term(result, 1)]);
    }
    r1cs
}

fn synthetic_witness(rows: u32, first: [Fr; 2]) -> Vec<Fr> {
    let [mut one, mut next] = first;
    let mut wires = vec![Fr::from(1), Fr::from(0), one, next];
    wires.reserve_exact(rows as usize);
    for _ in 0..rows {
        let result = (one + next * Fr::from(3)) * (one + next * Fr::from(5) + Fr::from(7));
        (one, next) = (next, result);
        wires.push(result);
    }
    wires[1] = wires.pop().expect("there are rows");
    wires
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_witnesses_satisfy_the_constraints() {
        for circuit in [
            Circuit::Mixer,
            Circuit::Sha256,
            Circuit::Synthetic { domain_log2: 6 },
            Circuit::Poseidon,
        ] {
            let constraints = circuit.constraints().unwrap();
            let [one, other] = [(); 2].map(|()| circuit.random_witness()().unwrap());
            assert_eq!(constraints.first_unsatisfied(&one), None, "{circuit:?}");
            assert_eq!(constraints.first_unsatisfied(&other), None, "{circuit:?}");
            let public = 1..=constraints.public() as usize;
            assert_ne!(one[public.clone()], other[public], "{circuit:?}");
        }
    }

    /// One more row would double the domain.
    #[test]
    fn the_synthetic_circuit_fills_its_domain() {
        let constraints = Circuit::Synthetic { domain_log2: 6 }.constraints().unwrap();
        let rows = constraints.constraints() + constraints.public() as usize + 1;
        assert_eq!(rows, 1 << 6);
    }
}
