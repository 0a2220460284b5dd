//! The file `chain.json` in which a chain is kept: accounts with code and storage, and every event.
//!
//! Numbers are written as hexadecimal text with `0x`, maps in order, so that two equal chains have equal files.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use alloy_primitives::{Address, B256, Bytes, Log, U256};
use revm::bytecode::Bytecode;
use revm::database::{CacheDB, EmptyDB};
use revm::state::AccountInfo;
use serde::{Deserialize, Serialize};

use super::{Block, Chain, Event};

const NAME: &str = "chain.json";
const TEMPORARY: &str = "chain.json.new";
const VERSION: u32 = 1;

/// A chain could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ChainFileError {
    /// The file system refused.
    #[error("{}: {error}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What it said.
        error: std::io::Error,
    },
    /// The file is not JSON of the expected shape.
    #[error("{}: {error}", path.display())]
    Json {
        /// Which file.
        path: PathBuf,
        /// Where and what.
        error: serde_json::Error,
    },
    /// A field has a value that it cannot have.
    #[error("{}: {field}: {problem}", path.display())]
    Field {
        /// Which file.
        path: PathBuf,
        /// Which field.
        field: String,
        /// What is wrong.
        problem: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    version: u32,
    chain_id: u64,
    block: u64,
    timestamp: u64,
    accounts: BTreeMap<String, SavedAccount>,
    events: Vec<SavedEvent>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedAccount {
    balance: String,
    nonce: u64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    code: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    storage: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedEvent {
    block: u64,
    address: String,
    topics: Vec<String>,
    data: String,
}

impl Chain {
    /// Whether a chain is kept in the directory.
    #[must_use]
    pub fn exists(directory: &Path) -> bool {
        directory.join(NAME).exists()
    }

    /// Writes the chain into the directory, which must be there, in place of the one that is there.
    ///
    /// # Errors
    ///
    /// [`ChainFileError::Io`]. The earlier file is then still there.
    pub fn save(&self, directory: &Path) -> Result<(), ChainFileError> {
        let path = directory.join(NAME);
        let temporary = directory.join(TEMPORARY);
        let json = serde_json::to_vec(&self.to_saved()).map_err(|error| ChainFileError::Json {
            path: path.clone(),
            error,
        })?;
        let write = || {
            let mut file = File::create(&temporary)?;
            file.write_all(&json)?;
            file.sync_all()?;
            fs::rename(&temporary, &path)?;
            File::open(directory)?.sync_all()
        };
        write().map_err(|error| ChainFileError::Io { path, error })
    }

    /// Reads the chain that is kept in the directory.
    ///
    /// # Errors
    ///
    /// [`ChainFileError`].
    pub fn load(directory: &Path) -> Result<Self, ChainFileError> {
        let path = directory.join(NAME);
        let json = match fs::read(&path) {
            Ok(json) => json,
            Err(error) => return Err(ChainFileError::Io { path, error }),
        };
        let saved: Saved = match serde_json::from_slice(&json) {
            Ok(saved) => saved,
            Err(error) => return Err(ChainFileError::Json { path, error }),
        };
        saved
            .into_chain()
            .map_err(|(field, problem)| ChainFileError::Field {
                path,
                field,
                problem,
            })
    }

    fn to_saved(&self) -> Saved {
        let accounts = &self.state.cache.accounts;
        Saved {
            version: VERSION,
            chain_id: self.chain_id,
            block: self.block.number,
            timestamp: self.block.timestamp,
            accounts: accounts
                .iter()
                .map(|(address, account)| {
                    let code = self.code(*address);
                    let storage = account.storage.iter().filter(|(_, value)| !value.is_zero());
                    let saved = SavedAccount {
                        balance: number(account.info.balance),
                        nonce: account.info.nonce,
                        code: if code.is_empty() {
                            String::new()
                        } else {
                            code.to_string()
                        },
                        storage: storage
                            .map(|(slot, value)| (number(*slot), number(*value)))
                            .collect(),
                    };
                    (address.to_string(), saved)
                })
                .collect(),
            events: self.events.iter().map(SavedEvent::of).collect(),
        }
    }
}

/// A field and what is wrong with it.
type Problem = (String, String);

impl Saved {
    fn into_chain(self) -> Result<Chain, Problem> {
        if self.version != VERSION {
            let problem = format!("{}, where {VERSION} is known", self.version);
            return Err(("version".to_owned(), problem));
        }
        let mut state = CacheDB::<EmptyDB>::default();
        for (address, account) in self.accounts {
            let field = format!("accounts.{address}");
            let address: Address = parse(&field, &address)?;
            let code: Bytes = parse(&format!("{field}.code"), &account.code)?;
            let balance = parse(&format!("{field}.balance"), &account.balance)?;
            let info = AccountInfo::default()
                .with_balance(balance)
                .with_nonce(account.nonce)
                .with_code(Bytecode::new_legacy(code));
            state.insert_account_info(address, info);
            for (slot, value) in account.storage {
                let field = format!("{field}.storage.{slot}");
                let slot: U256 = parse(&field, &slot)?;
                let Ok(()) = state.insert_account_storage(address, slot, parse(&field, &value)?);
            }
        }
        let mut events = Vec::with_capacity(self.events.len());
        for (index, event) in self.events.into_iter().enumerate() {
            events.push(event.into_event(&format!("events.{index}"))?);
        }
        Ok(Chain {
            state,
            chain_id: self.chain_id,
            block: Block {
                number: self.block,
                timestamp: self.timestamp,
            },
            events,
        })
    }
}

impl SavedEvent {
    fn of(event: &Event) -> Self {
        Self {
            block: event.block,
            address: event.log.address.to_string(),
            topics: event.log.topics().iter().map(B256::to_string).collect(),
            data: event.log.data.data.to_string(),
        }
    }

    fn into_event(self, field: &str) -> Result<Event, Problem> {
        let topics = self.topics.iter().map(|topic| parse(field, topic));
        let topics = topics.collect::<Result<Vec<B256>, Problem>>()?;
        let log = Log::new(
            parse(field, &self.address)?,
            topics,
            parse(field, &self.data)?,
        )
        .ok_or_else(|| (field.to_owned(), "more than four topics".to_owned()))?;
        Ok(Event {
            block: self.block,
            log,
        })
    }
}

fn number(value: U256) -> String {
    format!("{value:#x}")
}

fn parse<T: FromStr<Err: std::fmt::Display>>(field: &str, text: &str) -> Result<T, Problem> {
    text.parse()
        .map_err(|error: T::Err| (field.to_owned(), error.to_string()))
}
