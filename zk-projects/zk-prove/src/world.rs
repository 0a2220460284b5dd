//! A directory with a local EVM, the contracts deployed in it, and the keys of their verifiers.
//!
//! ```text
//! DIR/chain.json        the chain
//! DIR/contracts.json    name -> address
//! DIR/keys/mixer/...    demo keys, made when they are first needed
//! DIR/mixer/...         what an application keeps, in the storage engine
//! ```
//!
//! Verbs read it, do one thing, and write it back; a verb that fails leaves the chain as it was.

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use alloy_primitives::{Address, U256, address};
use ark_bn254::Fr;
use ark_ff::PrimeField;
use ark_std::rand::rngs::OsRng;
use proof::key::{KeyFolder, Origin, Remembered};
use proof::prove::Prover;
use proof::r1cs::R1cs;
use proof::setup;
use proof::solidity::proof_words;
use proof::statement::{Statement, constraints, witness};
use proof::verify::Proof;
use smart_contracts::chain::{Block, Chain};
use smart_contracts::verifier;
use storage::kvs::{LogEngine, Options};
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::paths;

/// The account that deploys contracts and sends transactions where a verb names no other. Nobody has its key: the chain asks for none.
pub(crate) const OPERATOR: Address = address!("0x00000000000000000000000000000000000a11ce");
/// The id of local chains, as other tools have it.
const CHAIN_ID: u64 = 31_337;
const CONTRACTS: &str = "contracts.json";

/// See the [module](self).
pub(crate) struct World {
    directory: PathBuf,
    pub(crate) chain: Chain,
    contracts: BTreeMap<String, Address>,
    remembered: Remembered,
}

/// A statement, ready to be proved.
pub(crate) struct Ready {
    pub(crate) r1cs: R1cs,
    pub(crate) prover: Prover,
    /// How long making the key took, if it was not there.
    pub(crate) setup: Option<Duration>,
}

/// A proof, and how long it took.
pub(crate) struct Timed {
    pub(crate) proof: Proof,
    pub(crate) witness: Duration,
    pub(crate) proving: Duration,
    pub(crate) verifying: Duration,
}

impl World {
    /// Opens the world in a directory, which is made if it is absent.
    pub(crate) fn open(directory: &Path, remembered: Remembered) -> Result<Self, Failure> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(Failure::io("create", directory))?;
        let mut chain = match Chain::exists(directory) {
            true => Chain::load(directory)?,
            false => new_chain(),
        };
        let next = Block {
            number: chain.block().number + 1,
            timestamp: now().max(chain.block().timestamp),
        };
        chain.set_block(next);
        let path = directory.join(CONTRACTS);
        let contracts = match path.exists() {
            true => serde_json::from_slice(&paths::read(&path)?)
                .map_err(|_| Failure::Contracts(path.clone()))?,
            false => BTreeMap::new(),
        };
        Ok(Self {
            directory: directory.to_owned(),
            chain,
            contracts,
            remembered,
        })
    }

    /// Writes the chain and the addresses.
    pub(crate) fn save(&self) -> Result<(), Failure> {
        self.chain.save(&self.directory)?;
        let text =
            serde_json::to_vec_pretty(&self.contracts).expect("names and addresses are texts");
        paths::write(&self.directory.join(CONTRACTS), &text)
    }

    /// Where a wallet or a tree keeps its data.
    pub(crate) fn engine(&self, name: &str) -> Result<LogEngine, Failure> {
        Ok(LogEngine::open(
            &self.directory.join(name),
            Options::default(),
        )?)
    }

    /// The statement `S` with its key, which is made if it is not there.
    pub(crate) fn ready<S: Statement>(&self) -> Result<Ready, Failure> {
        let folder = KeyFolder::new(self.directory.join("keys").join(S::NAME));
        let (public, private) = S::sample(&mut OsRng);
        let r1cs = constraints::<S>(&public, &private).map_err(Failure::Synthesis)?;
        let setup = if folder.manifest_path().exists() {
            None
        } else {
            let began = Instant::now();
            let key = setup::local(&r1cs, &mut OsRng)?;
            folder.write::<S>(&key, &r1cs, Origin::Demo)?;
            Some(began.elapsed())
        };
        let (key, _) = folder.load_proving::<S>(&r1cs, &self.remembered)?;
        Ok(Ready {
            r1cs,
            prover: Prover::with_subgroup_checked(key)?,
            setup,
        })
    }

    /// The verifier contract of a key, deployed if it is not there.
    pub(crate) fn verifier<S: Statement>(&mut self, ready: &Ready) -> Result<Address, Failure> {
        let name = format!("{}-verifier", S::NAME);
        let key = &ready.prover.key().verifying;
        self.contract(&name, || {
            Ok((verifier::creation_code(key, Origin::Demo)?, Vec::new()))
        })
    }

    /// The contract of a name, deployed if it is not there: `code` gives its creation code and constructor's arguments.
    pub(crate) fn contract(
        &mut self,
        name: &str,
        code: impl FnOnce() -> Result<(Vec<u8>, Vec<u8>), Failure>,
    ) -> Result<Address, Failure> {
        if let Some(address) = self.contracts.get(name) {
            return Ok(*address);
        }
        let (creation, arguments) = code()?;
        let receipt = self.chain.deploy(OPERATOR, &creation, &arguments)?;
        self.contracts.insert(name.to_owned(), receipt.created);
        Ok(receipt.created)
    }
}

impl Ready {
    /// Proves an input and takes the times.
    pub(crate) fn prove<S: Statement>(
        &self,
        public: &S::Public,
        private: &S::Private,
    ) -> Result<Timed, Failure> {
        S::check(public, private)?;
        let began = Instant::now();
        let wires = Zeroizing::new(witness::<S>(public, private).map_err(Failure::Synthesis)?);
        let calculated = Instant::now();
        let proof = self
            .prover
            .prove_constraints(&self.r1cs, &wires, &mut OsRng)?;
        let proved = Instant::now();
        self.prover
            .verifier()
            .verify(self.prover.public(&wires), &proof)?;
        Ok(Timed {
            proof,
            witness: calculated - began,
            proving: proved - calculated,
            verifying: proved.elapsed(),
        })
    }
}

fn new_chain() -> Chain {
    let genesis = Block {
        number: 0,
        timestamp: now(),
    };
    let mut chain = Chain::new(CHAIN_ID, genesis);
    chain.fund(OPERATOR, U256::from(1_000_000_000_000_000_000_000_000_u128));
    chain
}

/// Seconds since 1970; a clock before that counts as 1970.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// A number of the field as a word of the EVM.
pub(crate) fn word(number: Fr) -> U256 {
    U256::from_limbs(number.into_bigint().0)
}

/// A word of the EVM that a contract keeps below r as a number of the field.
pub(crate) fn number(word: U256) -> Fr {
    Fr::from_le_bytes_mod_order(&word.to_le_bytes::<32>())
}

/// A proof as the contracts take it.
pub(crate) fn proof_argument(proof: &Proof) -> [U256; 8] {
    proof_words(proof).map(U256::from_be_bytes)
}
