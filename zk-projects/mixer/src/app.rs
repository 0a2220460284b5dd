//! The prover's side of a mixer: its tree, as far as the contract's events are known.
//!
//! What it guarantees. Deposits enter in the contract's order, each once; a withdrawal is prepared only for a note that is in the tree,
//! is of this contract, and was not seen spent.
//!
//! What it does not. It trusts whoever tells it the events; a wrong one leads to a root that the contract refuses. It keeps no notes.

use ark_bn254::Fr;
use storage::Engine;
use zk_store::{Batch, NumberSet, StoreError, TreeStore};

use crate::note::Note;
use crate::statement::{Call, Private, Public, TREE};

const DEPOSITS: TreeStore<3> = TreeStore::new("mixer/deposits", TREE);

/// Why a mixer's directory refused something.
#[derive(Debug, thiserror::Error)]
pub enum MixerError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An event is not the next one.
    #[error(
        "the next deposit is number {expected}, not {found}: read the contract's events from there"
    )]
    OutOfOrder {
        /// The next one.
        expected: u64,
        /// The one given.
        found: u64,
    },
    /// The commitment is not in the tree.
    #[error(
        "the note's deposit is not among the {known} that are known: read the contract's events first"
    )]
    NotDeposited {
        /// How many are.
        known: u64,
    },
    /// Its nullifier was published.
    #[error("the note was withdrawn already")]
    Spent,
    /// The note is for another mixer.
    #[error("the note is for another chain or contract")]
    ForeignNote,
    /// Ether would go to the zero address, which nobody can spend from. The contract would pay it.
    #[error("the {payee} would be the zero address, where ether is lost: name another")]
    Lost {
        /// `recipient`, or `relayer` where there is a fee.
        payee: &'static str,
    },
}

/// The tree of one mixer in an engine.
#[derive(Debug)]
pub struct Mixer<E> {
    engine: E,
    spent: NumberSet,
}

impl<E: Engine> Mixer<E> {
    /// The mixer whose events are kept in `engine`.
    pub fn new(engine: E) -> Self {
        Self {
            engine,
            spent: NumberSet::new("mixer/spent"),
        }
    }

    /// How many deposits are known: the number of the next event to read.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub fn deposits(&self) -> Result<u64, MixerError> {
        Ok(DEPOSITS.leaves(&self.engine)?)
    }

    /// The root after all known deposits.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub fn root(&self) -> Result<Fr, MixerError> {
        Ok(DEPOSITS.root(&self.engine)?)
    }

    /// Takes up the deposits that the contract numbered from `first` on; returns the root after them.
    ///
    /// # Errors
    ///
    /// [`MixerError::OutOfOrder`]; those of the store.
    pub fn deposited(&mut self, first: u64, commitments: &[Fr]) -> Result<Fr, MixerError> {
        let expected = self.deposits()?;
        if first != expected {
            return Err(MixerError::OutOfOrder {
                expected,
                found: first,
            });
        }
        let mut batch = Batch::new();
        let (_, root) = DEPOSITS.append(&self.engine, commitments, &mut batch)?;
        self.engine.write(&batch).map_err(StoreError::from)?;
        Ok(root)
    }

    /// Takes up a withdrawal.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub fn withdrawn(&mut self, nullifier_hash: Fr) -> Result<(), MixerError> {
        let mut batch = Batch::new();
        self.spent.insert(&mut batch, nullifier_hash);
        Ok(self.engine.write(&batch).map_err(StoreError::from)?)
    }

    /// What to prove for withdrawing `note` by `call`.
    ///
    /// # Errors
    ///
    /// [`MixerError`].
    pub fn withdrawal(&self, note: &Note, call: &Call) -> Result<(Public, Private), MixerError> {
        if (note.chain_id, note.contract) != (call.chain_id, call.contract) {
            return Err(MixerError::ForeignNote);
        }
        if call.recipient == [0; 20] {
            return Err(MixerError::Lost { payee: "recipient" });
        }
        if call.relayer == [0; 20] && call.fee > 0 {
            return Err(MixerError::Lost { payee: "relayer" });
        }
        if self.spent.contains(&self.engine, note.nullifier_hash())? {
            return Err(MixerError::Spent);
        }
        let position = DEPOSITS.position(&self.engine, note.commitment())?;
        let position = position.ok_or(MixerError::NotDeposited {
            known: self.deposits()?,
        })?;
        let path = DEPOSITS.path(&self.engine, position)?;
        Ok((note.public(self.root()?, call), note.private(path)))
    }
}
