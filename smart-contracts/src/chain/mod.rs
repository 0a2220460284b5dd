//! A local EVM: one chain in memory, which can be kept in a directory.
//!
//! # What it is
//!
//! [`Chain`] runs contracts on revm with the rules of one pinned hard fork ([`HARD_FORK`]). It serves the tests of the contracts and
//! the command line, whose verbs keep their chain in a directory between calls ([`Chain::save`], [`Chain::load`]).
//!
//! # What it guarantees
//!
//! Execution and gas are mainnet's. Nothing depends on a clock or on chance: chain id, block number and timestamp are arguments, so
//! the same calls give the same addresses, events and state. A saved chain is replaced whole or not at all.
//!
//! # What it does not
//!
//! There are no signatures, no mempool and no consensus: whoever calls says who sends. Gas costs nothing, so that balances in tests
//! are exact; the gas used is reported. A chain is no secret, and its file is as readable as the directory.
//!
//! # How it works
//!
//! ```text
//! let mut chain = Chain::new(31337, Block { number: 1, timestamp: 1_700_000_000 });
//! chain.fund(alice, ether);
//! let mixer = chain.deploy(alice, creation_code, &constructor_arguments)?.created;
//! let receipt = chain.call(alice, mixer, value, &depositCall { commitment })?;    // one transaction, events in the receipt
//! let root = chain.view(alice, mixer, &rootCall {})?;                            // changes nothing
//! ```

mod file;

pub use file::ChainFileError;

use alloy_primitives::{Address, Bytes, Log, TxKind, U256};
use alloy_sol_types::{SolCall, SolEvent, SolInterface};
use revm::context::result::{ExecutionResult, Output, ResultAndState};
use revm::context::{BlockEnv, Context, TxEnv};
use revm::database::{CacheDB, EmptyDB};
use revm::interpreter::gas::calculate_initial_tx_gas;
use revm::primitives::hardfork::SpecId;
use revm::state::AccountInfo;
use revm::{DatabaseCommit, DatabaseRef, ExecuteEvm, MainBuilder, MainContext};

/// The rules that the chain follows.
pub const HARD_FORK: SpecId = SpecId::OSAKA;

/// Gas that a transaction may use: the cap of EIP-7825.
pub const GAS_LIMIT: u64 = 1 << 24;

/// What a contract can learn about its block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// `block.number`.
    pub number: u64,
    /// `block.timestamp`, in seconds.
    pub timestamp: u64,
}

/// An event that a contract emitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The block of its transaction.
    pub block: u64,
    /// Who emitted it, topics and data.
    pub log: Log,
}

/// A transaction that took effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt<T = Bytes> {
    /// What the call returned.
    pub returned: T,
    /// Gas that the sender would pay for, after refunds.
    pub gas: u64,
    /// Gas of execution alone: without refunds and without what every transaction pays for itself and its data.
    pub execution_gas: u64,
    /// Events in order.
    pub events: Vec<Event>,
    /// The contract that was created; the zero address for a call.
    pub created: Address,
}

/// A transaction that took no effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The contract refused. [`CallError::custom`] reads why.
    #[error("reverted with 0x{}", alloy_primitives::hex::encode(.data))]
    Reverted {
        /// The encoded error.
        data: Bytes,
        /// Gas of the transaction.
        gas: u64,
    },
    /// Execution ended abnormally: out of gas, an invalid instruction.
    #[error("halted: {reason}")]
    Halted {
        /// The EVM's name for it.
        reason: String,
        /// Gas of the transaction.
        gas: u64,
    },
    /// The transaction could not begin: the sender cannot pay the value, the code is too large.
    #[error("transaction refused: {reason}")]
    Refused {
        /// The EVM's name for it.
        reason: String,
    },
    /// The call succeeded, but did not return what its declaration says: there is no such contract, or it is another one.
    #[error("returned 0x{}, which is not what the call declares", alloy_primitives::hex::encode(.data))]
    Undeclared {
        /// What was returned.
        data: Bytes,
    },
}

impl CallError {
    /// The custom error of a contract that declares the errors `E`, if this is one of them.
    #[must_use]
    pub fn custom<E: SolInterface>(&self) -> Option<E> {
        match self {
            Self::Reverted { data, .. } => E::abi_decode(data).ok(),
            _ => None,
        }
    }
}

/// The custom error by which a contract refused, for tests.
///
/// # Panics
///
/// If the transaction took effect, or failed otherwise than by one of the errors `E`.
pub fn refusal<T, E: SolInterface>(outcome: Result<T, CallError>) -> E {
    match outcome {
        Ok(_) => panic!("was accepted"),
        Err(error) => error.custom().unwrap_or_else(|| panic!("{error}")),
    }
}

/// A chain of one block at a time.
#[derive(Debug, Clone)]
pub struct Chain {
    state: CacheDB<EmptyDB>,
    chain_id: u64,
    block: Block,
    events: Vec<Event>,
}

impl Chain {
    /// An empty chain.
    #[must_use]
    pub fn new(chain_id: u64, block: Block) -> Self {
        Self {
            state: CacheDB::default(),
            chain_id,
            block,
            events: Vec::new(),
        }
    }

    /// `block.chainid`.
    #[must_use]
    pub fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// The block that the next transaction will be in.
    #[must_use]
    pub fn block(&self) -> Block {
        self.block
    }

    /// Continues in another block.
    pub fn set_block(&mut self, block: Block) {
        self.block = block;
    }

    /// Every event since the beginning, in order.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The events of kind `E` that `contract` emitted, decoded, in order.
    pub fn events_of<E: SolEvent>(&self, contract: Address) -> impl Iterator<Item = E> + '_ {
        self.events
            .iter()
            .filter(move |event| event.log.address == contract)
            .filter_map(|event| E::decode_log(&event.log).ok().map(|decoded| decoded.data))
    }

    /// An account's balance in wei.
    #[must_use]
    pub fn balance(&self, account: Address) -> U256 {
        self.info(account).balance
    }

    /// Gives wei to an account, from nowhere.
    pub fn fund(&mut self, account: Address, wei: U256) {
        let mut info = self.info(account);
        info.balance += wei;
        self.state.insert_account_info(account, info);
    }

    /// Puts runtime code at an address, as a test's stand-in for what no constructor would put there.
    pub fn put_code(&mut self, account: Address, code: Bytes) {
        let code = revm::bytecode::Bytecode::new_raw(code);
        let info = self.info(account).with_code(code);
        self.state.insert_account_info(account, info);
    }

    /// Writes a slot of a contract's storage, as a test's way to a state that many transactions would lead to.
    pub fn set_storage(&mut self, account: Address, slot: U256, value: U256) {
        let Ok(()) = self.state.insert_account_storage(account, slot, value);
    }

    /// The same state under another chain id, as after a fork.
    #[must_use]
    pub fn with_chain_id(self, chain_id: u64) -> Self {
        Self { chain_id, ..self }
    }

    /// The runtime code at an address.
    #[must_use]
    pub fn code(&self, account: Address) -> Bytes {
        let Ok(code) = self.state.code_by_hash_ref(self.info(account).code_hash);
        code.original_bytes()
    }

    /// Creates a contract. The receipt names its address.
    ///
    /// # Errors
    ///
    /// [`CallError`], except [`CallError::Undeclared`].
    pub fn deploy(
        &mut self,
        from: Address,
        creation_code: &[u8],
        constructor_arguments: &[u8],
    ) -> Result<Receipt, CallError> {
        let code = [creation_code, constructor_arguments].concat();
        self.transact(from, TxKind::Create, U256::ZERO, code.into(), GAS_LIMIT)
    }

    /// Sends a transaction that calls `to` with `value` wei.
    ///
    /// # Errors
    ///
    /// [`CallError`]; the state is then as before, but for the sender's nonce.
    pub fn call<C: SolCall>(
        &mut self,
        from: Address,
        to: Address,
        value: U256,
        call: &C,
    ) -> Result<Receipt<C::Return>, CallError> {
        let receipt = self.send(from, to, value, call.abi_encode().into())?;
        let returned = decode::<C>(&receipt.returned)?;
        Ok(Receipt {
            returned,
            gas: receipt.gas,
            execution_gas: receipt.execution_gas,
            events: receipt.events,
            created: receipt.created,
        })
    }

    /// Sends a transaction with raw data.
    ///
    /// # Errors
    ///
    /// [`CallError`], except [`CallError::Undeclared`].
    pub fn send(
        &mut self,
        from: Address,
        to: Address,
        value: U256,
        data: Bytes,
    ) -> Result<Receipt, CallError> {
        self.send_with_gas(from, to, value, data, GAS_LIMIT)
    }

    /// Sends a transaction with raw data and a limit of gas.
    ///
    /// # Errors
    ///
    /// [`CallError`], except [`CallError::Undeclared`].
    pub fn send_with_gas(
        &mut self,
        from: Address,
        to: Address,
        value: U256,
        data: Bytes,
        gas_limit: u64,
    ) -> Result<Receipt, CallError> {
        self.transact(from, TxKind::Call(to), value, data, gas_limit)
    }

    /// Calls `to` and discards every effect.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub fn view<C: SolCall>(
        &self,
        from: Address,
        to: Address,
        call: &C,
    ) -> Result<C::Return, CallError> {
        let data = call.abi_encode().into();
        let transaction = self.transaction(from, TxKind::Call(to), U256::ZERO, data, GAS_LIMIT)?;
        let receipt = self.receipt(self.execute(transaction)?.result, 0)?;
        decode::<C>(&receipt.returned)
    }

    fn info(&self, account: Address) -> AccountInfo {
        let Ok(info) = self.state.basic_ref(account);
        info.unwrap_or_default()
    }

    fn transact(
        &mut self,
        from: Address,
        kind: TxKind,
        value: U256,
        data: Bytes,
        gas_limit: u64,
    ) -> Result<Receipt, CallError> {
        let intrinsic = calculate_initial_tx_gas(HARD_FORK, &data, kind.is_create(), 0, 0, 0, None);
        let transaction = self.transaction(from, kind, value, data, gas_limit)?;
        let outcome = self.execute(transaction)?;
        self.state.commit(outcome.state);
        let receipt = self.receipt(outcome.result, intrinsic.initial_total_gas())?;
        self.events.extend(receipt.events.iter().cloned());
        Ok(receipt)
    }

    fn transaction(
        &self,
        from: Address,
        kind: TxKind,
        value: U256,
        data: Bytes,
        gas_limit: u64,
    ) -> Result<TxEnv, CallError> {
        TxEnv::builder()
            .caller(from)
            .kind(kind)
            .value(value)
            .data(data)
            .nonce(self.info(from).nonce)
            .gas_limit(gas_limit)
            .chain_id(Some(self.chain_id))
            .build()
            .map_err(|error| CallError::Refused {
                reason: format!("{error:?}"),
            })
    }

    /// What a transaction would do. The state is read through a cache of its own and does not change.
    fn execute(&self, transaction: TxEnv) -> Result<ResultAndState, CallError> {
        let block = BlockEnv {
            number: U256::from(self.block.number),
            timestamp: U256::from(self.block.timestamp),
            gas_limit: u64::MAX,
            ..BlockEnv::default()
        };
        let mut evm = Context::mainnet()
            .with_db(CacheDB::new(&self.state))
            .with_block(block)
            .modify_cfg_chained(|cfg| {
                cfg.set_spec_and_mainnet_gas_params(HARD_FORK);
                cfg.chain_id = self.chain_id;
            })
            .build_mainnet();
        evm.transact(transaction)
            .map_err(|error| CallError::Refused {
                reason: error.to_string(),
            })
    }

    fn receipt(&self, result: ExecutionResult, intrinsic: u64) -> Result<Receipt, CallError> {
        let gas = result.tx_gas_used();
        match result {
            ExecutionResult::Success {
                gas: spent,
                logs,
                output,
                ..
            } => {
                let block = self.block.number;
                let events = logs.into_iter().map(|log| Event { block, log });
                let created = match &output {
                    Output::Create(_, address) => address.unwrap_or_default(),
                    Output::Call(_) => Address::ZERO,
                };
                Ok(Receipt {
                    returned: output.into_data(),
                    gas,
                    execution_gas: spent.total_gas_spent() - intrinsic,
                    events: events.collect(),
                    created,
                })
            }
            ExecutionResult::Revert { output, .. } => {
                Err(CallError::Reverted { data: output, gas })
            }
            ExecutionResult::Halt { reason, .. } => Err(CallError::Halted {
                reason: format!("{reason:?}"),
                gas,
            }),
        }
    }
}

fn decode<C: SolCall>(returned: &Bytes) -> Result<C::Return, CallError> {
    C::abi_decode_returns(returned).map_err(|_| CallError::Undeclared {
        data: returned.clone(),
    })
}
