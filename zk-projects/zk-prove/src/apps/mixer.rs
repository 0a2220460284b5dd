//! `mixer`: deposits into a pool, and withdrawals that show no link to them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use alloy_primitives::{Address, U256};
use alloy_sol_types::SolValue;
use ark_std::rand::rngs::OsRng;
use mixer::{Call, Mixer, Note, Withdraw};
use proof::private_file;
use proof::verify::Proof;
use serde::Serialize;
use smart_contracts::abi::Mixer as contract;
use smart_contracts::contracts::MIXER;
use smart_contracts::words::{number, proof_argument, word};
use storage::Engine;

use super::{Gas, Shown, milliseconds, read_secret_text};
use crate::failure::Failure;
use crate::ready::{Ready, Timed};
use crate::world::{OPERATOR, World};

/// What every deposit is: one ether, in wei.
const DENOMINATION: u128 = 1_000_000_000_000_000_000;

/// Deposits that are taken up by one batch: within the limits of every engine.
const PIECE: usize = 1 << 12;

/// A mixer in a world.
pub(crate) struct Pool<'w> {
    world: &'w mut World,
    ready: Ready<Withdraw>,
    /// How long making the key took, if it was not there.
    setup: Option<Duration>,
    address: Address,
    tree: Mixer<Box<dyn Engine>>,
}

/// A deposit that was made.
#[derive(Debug, Serialize)]
pub(crate) struct Deposited {
    note: PathBuf,
    index: u64,
    pub(crate) gas: u64,
}

impl fmt::Display for Deposited {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (index, gas, note) = (self.index, self.gas, self.note.display());
        writeln!(
            out,
            "deposit {index} of 1 ether is in, {gas} gas; the note is in {note}"
        )?;
        writeln!(
            out,
            "Whoever reads the note can withdraw, and nobody can without it: keep a copy where only you can read it."
        )
    }
}

/// A withdrawal that was made.
#[derive(Debug, Serialize)]
pub(crate) struct Withdrawn {
    recipient: Address,
    wei: String,
    relayer: Option<Address>,
    fee_wei: String,
    pub(crate) gas: u64,
    deposits: u64,
    witness_ms: f64,
    proving_ms: f64,
}

impl fmt::Display for Withdrawn {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (recipient, wei, gas) = (self.recipient, &self.wei, self.gas);
        writeln!(
            out,
            "{recipient} was paid {wei} wei, {gas} gas; proved in {} ms",
            self.proving_ms
        )?;
        if let Some(relayer) = self.relayer {
            writeln!(out, "{relayer} kept {} wei for sending it", self.fee_wei)?;
        }
        writeln!(
            out,
            "The chain shows that one of {} deposits was withdrawn, not which.",
            self.deposits
        )
    }
}

/// Whom a withdrawal pays.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Payment {
    pub(crate) recipient: Address,
    pub(crate) relayer: Address,
    pub(crate) fee: u128,
}

impl<'w> Pool<'w> {
    /// The mixer of a world: key, contracts and tree are made if they are not there.
    pub(crate) fn open(world: &'w mut World) -> Result<Self, Failure> {
        let (ready, setup) = world.ready()?;
        let verifier = world.verifier(&ready)?;
        let address = world.contract("mixer", || {
            let arguments = (verifier, U256::from(DENOMINATION)).abi_encode();
            Ok((MIXER.creation_code(), arguments))
        })?;
        let mut pool = Self {
            tree: Mixer::new(world.shared_store("mixer")?),
            world,
            ready,
            setup,
            address,
        };
        pool.follow()?;
        Ok(pool)
    }

    /// Takes up the contract's events that the tree has not seen.
    fn follow(&mut self) -> Result<(), Failure> {
        let known = self.tree.deposits()?;
        let events = self
            .world
            .chain()
            .events_of::<contract::Deposited>(self.address);
        let new: Vec<_> = events
            .skip(usize::try_from(known).unwrap_or(usize::MAX))
            .map(|event| number(event.commitment))
            .collect();
        for (piece, from) in new.chunks(PIECE).zip((known..).step_by(PIECE)) {
            self.tree.deposited(from, piece)?;
        }
        for event in self
            .world
            .chain()
            .events_of::<contract::Withdrawn>(self.address)
        {
            self.tree.withdrawn(number(event.nullifierHash))?;
        }
        Ok(())
    }

    /// Makes a note, writes it into a new file of mode 0600, and deposits. In this order: money is never there without its note.
    pub(crate) fn deposit(&mut self, note_file: &Path) -> Result<Deposited, Failure> {
        let chain_id = self.world.chain().chain_id();
        let note = Note::random(chain_id, self.address.into_array(), &mut OsRng);
        private_file::write_new(note_file, note.to_text().as_bytes())?;
        let call = contract::depositCall {
            commitment: word(note.commitment()),
        };
        let value = U256::from(DENOMINATION);
        let receipt = self.world.call(OPERATOR, self.address, value, &call)?;
        self.follow()?;
        Ok(Deposited {
            note: note_file.to_owned(),
            index: self.tree.deposits()? - 1,
            gas: receipt.gas,
        })
    }

    /// Proves a withdrawal of a note by a payment.
    pub(crate) fn prove(&self, note: &Note, payment: &Payment) -> Result<Timed, Failure> {
        let call = Call {
            chain_id: self.world.chain().chain_id(),
            contract: self.address.into_array(),
            recipient: payment.recipient.into_array(),
            relayer: payment.relayer.into_array(),
            fee: payment.fee,
        };
        let (public, private) = self.tree.withdrawal(note, &call)?;
        self.ready.prove(&public, &private)
    }

    /// Sends a withdrawal. Gas.
    pub(crate) fn send(
        &mut self,
        note: &Note,
        payment: &Payment,
        proof: &Proof,
    ) -> Result<u64, Failure> {
        let call = contract::withdrawCall {
            proof: proof_argument(proof),
            root: word(self.tree.root()?),
            nullifierHash: word(note.nullifier_hash()),
            recipient: payment.recipient,
            relayer: payment.relayer,
            fee: U256::from(payment.fee),
        };
        let sender = match payment.relayer {
            Address::ZERO => OPERATOR,
            relayer => relayer,
        };
        let receipt = self.world.call(sender, self.address, U256::ZERO, &call)?;
        self.follow()?;
        Ok(receipt.gas)
    }

    /// Proves and sends.
    pub(crate) fn withdraw(
        &mut self,
        note: &Note,
        payment: &Payment,
    ) -> Result<Withdrawn, Failure> {
        let timed = self.prove(note, payment)?;
        let gas = self.send(note, payment, &timed.proof)?;
        Ok(Withdrawn {
            recipient: payment.recipient,
            wei: (DENOMINATION - payment.fee).to_string(),
            relayer: (!payment.relayer.is_zero()).then_some(payment.relayer),
            fee_wei: payment.fee.to_string(),
            gas,
            deposits: self.tree.deposits()?,
            witness_ms: milliseconds(timed.witness),
            proving_ms: milliseconds(timed.proving),
        })
    }
}

/// Reads the note that is in a file of its owner's.
pub(crate) fn read_note(path: &Path) -> Result<Note, Failure> {
    read_secret_text(path)?.parse().map_err(Failure::text(path))
}

/// Three deposits, one withdrawal through a relayer; the same proof for another recipient, and once more, is refused.
pub(crate) fn demo(world: &mut World, directory: &Path) -> Result<Shown, Failure> {
    let mut pool = Pool::open(world)?;
    let mut deposit_gas = 0;
    for name in ["mixer-note-1", "mixer-note-2", "mixer-note-3"] {
        deposit_gas = pool.deposit(&directory.join(name))?.gas;
    }
    let note = read_note(&directory.join("mixer-note-2"))?;
    let payment = Payment {
        recipient: Address::repeat_byte(0xbe),
        relayer: Address::repeat_byte(0x7e),
        fee: DENOMINATION / 100,
    };
    let timed = pool.prove(&note, &payment)?;
    let mut shown = Shown::new(&pool.ready, pool.setup, &timed)?;
    let thief = Payment {
        recipient: Address::repeat_byte(0xee),
        ..payment
    };
    let stolen = pool.send(&note, &thief, &timed.proof);
    let gas = pool.send(&note, &payment, &timed.proof)?;
    let again = pool.send(&note, &payment, &timed.proof);
    shown.accepted = stolen.is_err() && again.is_err();
    shown.gas = vec![
        Gas {
            call: "deposit",
            gas: deposit_gas,
        },
        Gas {
            call: "withdraw",
            gas,
        },
    ];
    Ok(shown)
}
