//! A directory with a local EVM, the contracts deployed in it, and the keys of their verifiers.
//!
//! ```text
//! DIR/LOCK              held by the verb that is at work
//! DIR/chain.json        the chain
//! DIR/contracts.json    name -> address
//! DIR/keys/mixer/...    demo keys, made when they are first needed
//! DIR/mixer/...         what an application keeps, in the storage engine; or elsewhere, see `stores`
//! DIR/wallet-.../...    a wallet's notes, which are secret and stay here
//! ```
//!
//! A transaction is written before an application takes up its events, so that a tree or wallet never knows of one that the chain has
//! forgotten. The other way round is made good when the application opens: it takes up what it has not seen.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, TryLockError};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use alloy_primitives::{Address, U256, address};
use alloy_sol_types::SolCall;
use proof::key::{KeyFolder, Remembered};
use proof::statement::Statement;
use smart_contracts::chain::{Block, Chain, Receipt};
use smart_contracts::verifier;
use storage::kvs::{LogEngine, Options};
use storage::{Engine, Location};

use crate::failure::Failure;
use crate::paths;
use crate::ready::{Ready, constraints_of, make_key};
use crate::stores::Stores;

/// The account that deploys contracts and sends transactions where a verb names no other. Nobody has its key: the chain asks for none.
pub(crate) const OPERATOR: Address = address!("0x00000000000000000000000000000000000a11ce");
/// The id of local chains, as other tools have it.
const CHAIN_ID: u64 = 31_337;
const CONTRACTS: &str = "contracts.json";

/// See the [module](self).
pub(crate) struct World {
    directory: PathBuf,
    chain: Chain,
    contracts: BTreeMap<String, Address>,
    remembered: Remembered,
    stores: Stores,
    /// Held until the end; a second verb would overwrite the chain of the first.
    _lock: File,
}

impl World {
    /// Opens the world in a directory, which is made if it is absent. `store` is where its applications' stores are to be, if the user
    /// said so.
    pub(crate) fn open(
        directory: &Path,
        remembered: Remembered,
        store: Option<Location>,
    ) -> Result<Self, Failure> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(Failure::io("create", directory))?;
        let lock = lock(directory)?;
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
            stores: Stores::new(directory, store),
            _lock: lock,
        })
    }

    /// The chain, to look at.
    pub(crate) fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Sends a transaction, and writes the chain.
    pub(crate) fn call<C: SolCall>(
        &mut self,
        from: Address,
        to: Address,
        value: U256,
        call: &C,
    ) -> Result<Receipt<C::Return>, Failure> {
        let receipt = self.chain.call(from, to, value, call)?;
        self.save()?;
        Ok(receipt)
    }

    /// Writes the chain and the addresses.
    fn save(&self) -> Result<(), Failure> {
        self.chain.save(&self.directory)?;
        let text =
            serde_json::to_vec_pretty(&self.contracts).expect("names and addresses are texts");
        paths::write(&self.directory.join(CONTRACTS), &text)
    }

    /// Where an application keeps what everybody may know: here, or wherever the user wants it.
    pub(crate) fn shared_store(&self, name: &str) -> Result<Box<dyn Engine>, Failure> {
        self.stores.open(name)
    }

    /// Where a wallet keeps its data, which is secret: always here.
    pub(crate) fn private_store(&self, name: &str) -> Result<LogEngine, Failure> {
        Ok(LogEngine::open(
            &self.directory.join(name),
            Options::default(),
        )?)
    }

    /// The statement `S` with its key, which is made if it is not there; then also how long that took.
    pub(crate) fn ready<S: Statement>(&self) -> Result<(Ready<S>, Option<Duration>), Failure> {
        let folder = KeyFolder::new(self.directory.join("keys").join(S::NAME));
        let r1cs = constraints_of::<S>()?;
        let setup = if folder.manifest_path().exists() {
            None
        } else {
            let began = Instant::now();
            make_key::<S>(&folder, &r1cs)?;
            Some(began.elapsed())
        };
        Ok((Ready::load(&folder, r1cs, &self.remembered)?, setup))
    }

    /// The verifier contract of a key, deployed if it is not there.
    pub(crate) fn verifier<S: Statement>(&mut self, ready: &Ready<S>) -> Result<Address, Failure> {
        let name = format!("{}-verifier", S::NAME);
        let key = &ready.prover.key().verifying;
        self.contract(&name, || {
            Ok((verifier::creation_code(key, ready.origin)?, Vec::new()))
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
        self.save()?;
        Ok(receipt.created)
    }
}

fn lock(directory: &Path) -> Result<File, Failure> {
    let path = directory.join("LOCK");
    let file = File::create(&path).map_err(Failure::io("create", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Failure::InUse(directory.to_owned())),
        Err(TryLockError::Error(error)) => Err(Failure::io("lock", &path)(error)),
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
