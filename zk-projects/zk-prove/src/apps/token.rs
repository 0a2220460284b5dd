//! `token`: private notes backed by a token.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use alloy_primitives::{Address, Bytes, U256};
use alloy_sol_types::SolValue;
use ark_std::rand::rngs::OsRng;
use gadgets::context::keccak;
use proof::private_file;
use serde::Serialize;
use smart_contracts::abi::{DemoToken, ShieldedToken as contract};
use smart_contracts::contracts::{DEMO_TOKEN, SHIELDED_TOKEN};
use smart_contracts::words::{number, proof_argument, word};
use storage::kvs::LogEngine;
use token_transfer::{Address as Receiver, Event, Keys, Order, Prepared, Transfer, Wallet};
use zk_store::{decode_text, encode_text};

use super::{Gas, Shown, milliseconds, read_secret_text};
use crate::failure::Failure;
use crate::ready::{Ready, Timed};
use crate::world::{OPERATOR, World};

const SEED_PREFIX: &str = "keyproof-wallet-1-";

/// One wallet at the shielding contract of a world.
pub(crate) struct Account<'w> {
    world: &'w mut World,
    ready: Ready<Transfer>,
    /// How long making the key took, if it was not there.
    setup: Option<Duration>,
    token: Address,
    address: Address,
    wallet: Wallet<LogEngine>,
}

/// A transfer that the contract took.
#[derive(Debug, Serialize)]
pub(crate) struct Moved {
    what: String,
    balance: String,
    gas: u64,
    witness_ms: f64,
    proving_ms: f64,
}

impl fmt::Display for Moved {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, gas, proving) = (&self.what, self.gas, self.proving_ms);
        writeln!(
            out,
            "{what}, {gas} gas; proved in {proving} ms; balance {}",
            self.balance
        )
    }
}

/// What a wallet holds.
#[derive(Debug, Serialize)]
pub(crate) struct Balance {
    address: String,
    balance: String,
    notes: usize,
    scanned: u64,
    history: Vec<Line>,
}

/// One line of a wallet's history.
#[derive(Debug, Serialize)]
struct Line {
    transfer: u64,
    received: String,
    spent: String,
}

impl fmt::Display for Balance {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "address {}", self.address)?;
        writeln!(
            out,
            "balance {} in {} notes, after {} transfers of everybody",
            self.balance, self.notes, self.scanned
        )?;
        for line in &self.history {
            writeln!(
                out,
                "  transfer {}: received {}, spent {}",
                line.transfer, line.received, line.spent
            )?;
        }
        Ok(())
    }
}

/// Where to send.
pub(crate) enum To {
    /// A wallet; nobody sees how much.
    Private(Receiver),
    /// An account of the chain; everybody sees how much.
    Public(Address),
}

impl<'w> Account<'w> {
    /// The wallet of a seed file, which is made if `create` says so; key and contracts are made if they are not there.
    pub(crate) fn open(
        world: &'w mut World,
        seed_file: &Path,
        create: bool,
    ) -> Result<Self, Failure> {
        let keys = read_keys(seed_file, create)?;
        let (ready, setup) = world.ready()?;
        let verifier = world.verifier(&ready)?;
        let token = world.contract("token", || Ok((DEMO_TOKEN.creation_code(), Vec::new())))?;
        let address = world.contract("shielded-token", || {
            Ok((
                SHIELDED_TOKEN.creation_code(),
                (verifier, token).abi_encode(),
            ))
        })?;
        // The address is no secret: its owner's number names the directory.
        let owner = keys.address().owner.to_string();
        let name = format!("wallet-{}", &owner[..owner.len().min(16)]);
        let wallet = Wallet::open(world.private_store(&name)?, keys)?;
        let mut account = Self {
            world,
            ready,
            setup,
            token,
            address,
            wallet,
        };
        account.scan()?;
        Ok(account)
    }

    /// Takes up the contract's events that the wallet has not seen. How many.
    pub(crate) fn scan(&mut self) -> Result<u64, Failure> {
        let known = self.wallet.scanned()?;
        let events = self.events();
        let new = events
            .iter()
            .skip(usize::try_from(known).unwrap_or(usize::MAX));
        let mut count = 0;
        for event in new {
            self.wallet.scan(event)?;
            count += 1;
        }
        Ok(count)
    }

    /// Forgets which notes are ours and looks at all events again.
    pub(crate) fn rescan(&mut self) -> Result<(), Failure> {
        Ok(self.wallet.rescan()?)
    }

    /// All transfers, in the contract's order.
    fn events(&self) -> Vec<Event> {
        let chain = self.world.chain();
        let made = chain.events_of::<contract::Made>(self.address);
        let moved = chain.events_of::<contract::Moved>(self.address);
        let spent: Vec<_> = chain.events_of::<contract::Spent>(self.address).collect();
        let transfers = made.zip(moved).zip(spent.chunks(2));
        transfers
            .map(|((made, moved), spent)| Event {
                pair: made.index.saturating_to(),
                commitments: made.commitments.map(number),
                ciphertexts: made.ciphertexts.map(|bytes| bytes.to_vec()),
                nullifiers: [0, 1].map(|at| number(spent[at].nullifier)),
                amount_in: moved.amountIn.saturating_to(),
                amount_out: moved.amountOut.saturating_to(),
            })
            .collect()
    }

    fn order(&self) -> Order {
        Order {
            chain_id: self.world.chain().chain_id(),
            contract: self.address.into_array(),
            token: self.token.into_array(),
            pay: None,
            amount_in: 0,
            amount_out: 0,
            recipient: [0; 20],
            relayer: [0; 20],
            fee: 0,
        }
    }

    fn prove(&self, order: &Order) -> Result<(Timed, Prepared), Failure> {
        let prepared = self.wallet.prepare(order, &mut OsRng)?;
        let timed = self.ready.prove(&prepared.public, &prepared.private)?;
        Ok((timed, prepared))
    }

    /// Sends a transfer. Gas.
    fn send(&mut self, (timed, prepared): &(Timed, Prepared)) -> Result<u64, Failure> {
        let (call, event) = (&prepared.call, &prepared.event);
        let ciphertexts = call
            .ciphertexts
            .each_ref()
            .map(|bytes| Bytes::copy_from_slice(bytes));
        let call = contract::transactCall {
            proof: proof_argument(&timed.proof),
            t: contract::Transaction {
                root: word(prepared.public.root),
                nullifiers: event.nullifiers.map(word),
                commitments: event.commitments.map(word),
                amountIn: U256::from(event.amount_in),
                amountOut: U256::from(event.amount_out),
                recipient: call.recipient.into(),
                relayer: call.relayer.into(),
                fee: U256::from(call.fee),
                ciphertexts,
            },
        };
        let receipt = self.world.call(OPERATOR, self.address, U256::ZERO, &call)?;
        self.scan()?;
        Ok(receipt.gas)
    }

    fn moved(&mut self, what: String, proved: &(Timed, Prepared)) -> Result<Moved, Failure> {
        let gas = self.send(proved)?;
        Ok(Moved {
            what,
            balance: self.wallet.balance()?.to_string(),
            gas,
            witness_ms: milliseconds(proved.0.witness),
            proving_ms: milliseconds(proved.0.proving),
        })
    }

    /// Mints tokens of the demo token and takes them into the wallet.
    pub(crate) fn mint(&mut self, amount: u128) -> Result<Moved, Failure> {
        let mint = DemoToken::mintCall {
            to: OPERATOR,
            amount: U256::from(amount),
        };
        self.world.call(OPERATOR, self.token, U256::ZERO, &mint)?;
        let approve = DemoToken::approveCall {
            spender: self.address,
            amount: U256::from(amount),
        };
        self.world
            .call(OPERATOR, self.token, U256::ZERO, &approve)?;
        let order = Order {
            amount_in: amount,
            ..self.order()
        };
        let proved = self.prove(&order)?;
        self.moved(format!("{amount} minted and taken in"), &proved)
    }

    /// Sends to a wallet or to an account.
    pub(crate) fn transfer(&mut self, to: &To, amount: u128) -> Result<Moved, Failure> {
        let order = match to {
            To::Private(receiver) => Order {
                pay: Some((*receiver, amount)),
                ..self.order()
            },
            To::Public(account) => Order {
                amount_out: amount,
                recipient: account.into_array(),
                ..self.order()
            },
        };
        let proved = self.prove(&order)?;
        let what = match to {
            To::Private(_) => {
                format!("{amount} sent to a wallet; the chain does not show how much")
            }
            To::Public(account) => format!("{amount} paid out to {account}"),
        };
        self.moved(what, &proved)
    }

    pub(crate) fn balance(&self) -> Result<Balance, Failure> {
        let lines = self.wallet.history()?;
        Ok(Balance {
            address: self.wallet.keys().address().to_string(),
            balance: self.wallet.balance()?.to_string(),
            notes: self.wallet.notes()?.len(),
            scanned: self.wallet.scanned()?,
            history: lines
                .iter()
                .map(|entry| Line {
                    transfer: entry.pair,
                    received: entry.received.to_string(),
                    spent: entry.spent.to_string(),
                })
                .collect(),
        })
    }
}

/// The keys of a seed file of mode 0600.
fn read_keys(path: &Path, create: bool) -> Result<Keys, Failure> {
    if create && !path.exists() {
        let seed = Keys::random_seed(&mut OsRng);
        private_file::write_new(path, encode_text(SEED_PREFIX, &*seed).as_bytes())?;
    }
    let text = read_secret_text(path)?;
    let seed = decode_text::<32>(SEED_PREFIX, &text).map_err(Failure::text(path))?;
    Ok(Keys::from_seed(&seed))
}

/// One wallet takes tokens in, pays another, which pays out; a proof with another ciphertext, and once more, is refused.
pub(crate) fn demo(world: &mut World, directory: &Path) -> Result<Shown, Failure> {
    let (receiver, setup) = {
        let bob = Account::open(world, &directory.join("bob"), true)?;
        (bob.wallet.keys().address(), bob.setup)
    };
    let mut alice = Account::open(world, &directory.join("alice"), true)?;
    alice.setup = setup;
    let minted = alice.mint(1000)?;
    let order = Order {
        pay: Some((receiver, 300)),
        ..alice.order()
    };
    let mut proved = alice.prove(&order)?;
    let mut shown = Shown::new(&alice.ready, alice.setup, &proved.0)?;
    let forged = keccak(b"not the note").to_vec();
    let honest = std::mem::replace(&mut proved.1.call.ciphertexts[0], forged);
    let tampered = alice.send(&proved);
    proved.1.call.ciphertexts[0] = honest;
    let gas = alice.send(&proved)?;
    let again = alice.send(&proved);
    let alice_has = alice.wallet.balance()?;
    drop(alice);
    let mut bob = Account::open(world, &directory.join("bob"), false)?;
    let bob_had = bob.wallet.balance()?;
    let paid = bob.transfer(&To::Public(Address::repeat_byte(0xb0)), 100)?;
    let balances = (alice_has, bob_had, bob.wallet.balance()?);
    shown.accepted = tampered.is_err() && again.is_err() && balances == (700, 300, 200);
    shown.gas = vec![
        Gas {
            call: "in",
            gas: minted.gas,
        },
        Gas {
            call: "transfer",
            gas,
        },
        Gas {
            call: "out",
            gas: paid.gas,
        },
    ];
    Ok(shown)
}
