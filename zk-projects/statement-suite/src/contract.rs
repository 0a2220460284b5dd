//! A statement's proofs before its contract, in the local EVM.
//!
//! # What it is
//!
//! A [`Stage`] has a demo key of one statement, the verifier of that key deployed on a chain, and a prover. A test puts the statement's
//! contract onto a copy of the chain and sends it what the prover made. The contracts' own tests prove with a circuit that admits any
//! public inputs; here statement, circuit, key, verifier and contract meet.
//!
//! # What it does not
//!
//! Making the key is what takes time (seconds for the largest statement): a test program makes one, and all its tests share it.
//!
//! # How it works
//!
//! ```text
//! static STAGE: LazyLock<Stage<Login>> = LazyLock::new(Stage::new);
//!
//! let mut chain = STAGE.chain();
//! let registry = create(&mut chain, contracts::REGISTRY, &STAGE.verifier());
//! let proof = STAGE.prove(&public, &private);
//! chain.call(ALICE, registry, U256::ZERO, &loginCall { proof, .. })
//! ```

use std::marker::PhantomData;

use alloy_primitives::{Address, U256};
use alloy_sol_types::SolValue;
use proof::key::Origin;
use proof::prove::Prover;
use proof::statement::Statement;
use smart_contracts::abi::Verifier::VerifierErrors;
use smart_contracts::chain::{Block, CallError, Chain, refusal};
use smart_contracts::contracts::Artifact;
use smart_contracts::verifier;
use smart_contracts::words::proof_argument;

/// Who deploys contracts, and calls them where nothing else is said.
pub const ALICE: Address = Address::repeat_byte(0xa1);
/// Somebody else.
pub const BOB: Address = Address::repeat_byte(0xb2);
/// Gets fees.
pub const RELAYER: Address = Address::repeat_byte(0xc3);
/// The id of the stage's chain.
pub const CHAIN_ID: u64 = 31_337;
/// The time of the stage's block in seconds.
pub const NOW_S: u64 = 1_700_000_000;
/// What Alice and Bob have in wei.
pub const WEI: u64 = 1_000_000_000;

/// See the [module](self).
pub struct Stage<S> {
    chain: Chain,
    verifier: Address,
    prover: Prover,
    statement: PhantomData<fn() -> S>,
}

impl<S: Statement> Stage<S> {
    /// Makes a key and deploys its verifier.
    ///
    /// # Panics
    ///
    /// If it cannot.
    #[must_use]
    pub fn new() -> Self {
        let prover = crate::prover::<S>();
        let block = Block {
            number: 1,
            timestamp: NOW_S,
        };
        let mut chain = Chain::new(CHAIN_ID, block);
        for person in [ALICE, BOB] {
            chain.fund(person, U256::from(WEI));
        }
        let code = verifier::creation_code(&prover.key().verifying, Origin::Demo);
        let code = code.expect("the key is sound and has few inputs");
        let receipt = chain.deploy(ALICE, &code, &[]);
        Self {
            verifier: receipt.expect("the verifier is deployed").created,
            chain,
            prover,
            statement: PhantomData,
        }
    }

    /// A chain that has the verifier, and nothing else.
    #[must_use]
    pub fn chain(&self) -> Chain {
        self.chain.clone()
    }

    /// The verifier's address.
    #[must_use]
    pub fn verifier(&self) -> Address {
        self.verifier
    }

    /// A proof of an input, as the contract takes it.
    ///
    /// # Panics
    ///
    /// If the input is refused.
    #[must_use]
    pub fn prove(&self, public: &S::Public, private: &S::Private) -> [U256; 8] {
        proof_argument(&crate::prove::<S>(&self.prover, public, private))
    }
}

impl<S: Statement> Default for Stage<S> {
    fn default() -> Self {
        Self::new()
    }
}

/// Deploys a contract with the arguments of its constructor.
///
/// # Panics
///
/// If it is refused.
pub fn create(chain: &mut Chain, artifact: Artifact, arguments: &impl SolValue) -> Address {
    let receipt = chain.deploy(ALICE, &artifact.creation_code(), &arguments.abi_encode());
    receipt.expect("the contract is deployed").created
}

/// Whether the verifier rejected the proof, as one of other public inputs.
///
/// # Panics
///
/// If the transaction took effect, or failed otherwise than in the verifier.
pub fn is_rejected<T>(outcome: Result<T, CallError>) -> bool {
    matches!(refusal(outcome), VerifierErrors::ProofRejected(_))
}
