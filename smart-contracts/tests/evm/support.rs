//! Chains, people, and a prover that can prove any public inputs.
//!
//! The contracts' rules do not depend on what a circuit says, only on a proof being bound to its public inputs. So the tests here
//! use a circuit that constrains nothing but uses every input; the applications' own tests use theirs.

use std::sync::OnceLock;

use alloy_primitives::{Address, B256, U256, address};
use alloy_sol_types::{SolCall, SolValue};
use ark_bn254::{Bn254, Fr};
use ark_ff::{BigInteger, PrimeField};
use ark_groth16::Groth16;
use ark_relations::gr1cs::{
    ConstraintSynthesizer, ConstraintSystemRef, LinearCombination, SynthesisError, Variable,
};
use ark_std::rand::SeedableRng;
use proof::key::{Origin, VerifyingKey};
use proof::verify::Proof;
use rand_chacha::ChaCha20Rng;
use smart_contracts::abi::Batch;
pub(crate) use smart_contracts::chain::refusal;
use smart_contracts::chain::{Block, CallError, Chain};
use smart_contracts::contracts::Artifact;
use smart_contracts::verifier;
pub(crate) use smart_contracts::words::{number, proof_argument, word};

pub(crate) const ALICE: Address = address!("a11ce00000000000000000000000000000000001");
pub(crate) const BOB: Address = address!("b0b0000000000000000000000000000000000002");
pub(crate) const CAROL: Address = address!("ca40100000000000000000000000000000000003");
pub(crate) const CHAIN_ID: u64 = 31337;

pub(crate) fn ether(amount: u64) -> U256 {
    U256::from(amount) * U256::from(10).pow(U256::from(18))
}

pub(crate) fn new_chain() -> Chain {
    let block = Block {
        number: 7,
        timestamp: 1_700_000_000,
    };
    let mut chain = Chain::new(CHAIN_ID, block);
    for person in [ALICE, BOB, CAROL] {
        chain.fund(person, ether(1000));
    }
    chain
}

pub(crate) fn deploy(chain: &mut Chain, artifact: Artifact, arguments: &impl SolValue) -> Address {
    let code = artifact.creation_code();
    let receipt = chain.deploy(ALICE, &code, &arguments.abi_encode());
    receipt.unwrap().created
}

/// r.
pub(crate) fn order() -> U256 {
    U256::from_be_slice(&Fr::MODULUS.to_bytes_be())
}

/// `uint256(keccak256(encoded)) % r`.
pub(crate) fn context(encoded: &[u8]) -> U256 {
    let hash: B256 = alloy_primitives::keccak256(encoded);
    U256::from_be_bytes(hash.0) % order()
}

/// For each public input x a constraint `x * a = b` with a and b free.
struct Anything {
    inputs: Vec<Fr>,
}

impl ConstraintSynthesizer<Fr> for Anything {
    fn generate_constraints(self, system: ConstraintSystemRef<Fr>) -> Result<(), SynthesisError> {
        let of = |variable: Variable| LinearCombination::from(variable);
        for input in self.inputs {
            let x = system.new_input_variable(|| Ok(input))?;
            let a = system.new_witness_variable(|| Ok(Fr::from(3)))?;
            let b = system.new_witness_variable(|| Ok(input * Fr::from(3)))?;
            system.enforce_r1cs_constraint(|| of(x), || of(a), || of(b))?;
        }
        Ok(())
    }
}

/// A prover for any values of `inputs` public inputs.
pub(crate) struct Prover {
    key: ark_groth16::ProvingKey<Bn254>,
}

impl Prover {
    /// The same key for each number of inputs, made once.
    pub(crate) fn of(inputs: usize) -> &'static Self {
        static ALL: [OnceLock<Prover>; 13] = [const { OnceLock::new() }; 13];
        ALL[inputs].get_or_init(|| Self::with_seed(inputs, 1))
    }

    pub(crate) fn with_seed(inputs: usize, seed: u64) -> Self {
        let mut random = ChaCha20Rng::seed_from_u64(seed);
        let circuit = Anything {
            inputs: vec![Fr::from(0); inputs],
        };
        let key = Groth16::<Bn254>::generate_random_parameters_with_reduction(circuit, &mut random);
        Self { key: key.unwrap() }
    }

    pub(crate) fn verifying_key(&self) -> VerifyingKey {
        let key = &self.key.vk;
        VerifyingKey {
            alpha_g1: key.alpha_g1,
            beta_g2: key.beta_g2,
            gamma_g2: key.gamma_g2,
            delta_g2: key.delta_g2,
            ic: key.gamma_abc_g1.clone(),
        }
    }

    pub(crate) fn prove(&self, inputs: &[U256]) -> Proof {
        let mut random = ChaCha20Rng::seed_from_u64(2);
        let circuit = Anything {
            inputs: inputs.iter().copied().map(number).collect(),
        };
        let proof =
            Groth16::<Bn254>::create_random_proof_with_reduction(circuit, &self.key, &mut random);
        let proof = proof.unwrap();
        Proof {
            a: proof.a,
            b: proof.b,
            c: proof.c,
        }
    }

    /// Another proof of the same inputs, made without the witness.
    pub(crate) fn rerandomize(&self, proof: &Proof) -> Proof {
        let mut random = ChaCha20Rng::seed_from_u64(3);
        let proof = ark_groth16::Proof {
            a: proof.a,
            b: proof.b,
            c: proof.c,
        };
        let proof = Groth16::<Bn254>::rerandomize_proof(&self.key.vk, &proof, &mut random);
        Proof {
            a: proof.a,
            b: proof.b,
            c: proof.c,
        }
    }

    pub(crate) fn prove_words(&self, inputs: &[U256]) -> [U256; 8] {
        proof_argument(&self.prove(inputs))
    }

    pub(crate) fn deploy(&self, chain: &mut Chain) -> Address {
        let code = verifier::creation_code(&self.verifying_key(), Origin::Demo).unwrap();
        chain.deploy(ALICE, &code, &[]).unwrap().created
    }
}

/// Alice calls a contract several times in one transaction, through another contract.
pub(crate) fn through_a_contract(
    chain: &mut Chain,
    batch: Address,
    target: Address,
    calls: &[&impl SolCall],
) -> Result<(), CallError> {
    let calls = calls.iter().map(|call| call.abi_encode().into()).collect();
    let run = Batch::runCall { target, calls };
    chain.call(ALICE, batch, U256::ZERO, &run).map(drop)
}

/// A number nobody else uses, below r.
pub(crate) fn arbitrary(seed: u64) -> U256 {
    context(&seed.to_be_bytes())
}
