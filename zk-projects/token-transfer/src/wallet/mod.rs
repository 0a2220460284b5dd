//! A wallet: the contract's events, the notes among them that are ours, and transfers of them.
//!
//! # What it is
//!
//! [`Wallet::scan`] takes up the contract's events in order, keeps the tree, tries to open each new note, and marks notes as spent whose
//! nullifiers appear. [`Wallet::prepare`] chooses notes and makes what is to be proved and sent.
//!
//! # What it guarantees
//!
//! An event is taken up whole or not at all. A note counts only if its commitment, computed again, is the one in the tree, and until its
//! nullifier appears. Which of the two outputs is the payment and which the change is drawn at random.
//!
//! # What it does not
//!
//! It trusts whoever tells it the events. Other commitments than the contract's can show notes that are not there, under a root that
//! the contract refuses; other nullifiers and amounts make balance and history wrong. Keys are not in the directory, but values and
//! blindings of notes are: who reads it learns the history and can spend nothing. A transfer spends at most two notes; more small ones are
//! merged first by transfers to oneself.
//!
//! # How it works
//!
//! ```text
//! token/pairs/...              the tree
//! token/event/PAIR             the event that inserted the pair, for rescans
//! wallet/note/POSITION         value, blinding, other commitment of the pair
//! wallet/nullifier/NUMBER      position of the note whose nullifier it is
//! wallet/spent/POSITION        (empty) the note is spent
//! wallet/history/PAIR          received, spent, amount in, amount out, of an event that concerned us
//! wallet/owner                 public key that the notes were opened for
//! wallet/rescan                (empty) a rescan began and did not end
//! ```

mod event;
mod order;

use ark_bn254::Fr;
use gadgets::merkle::MerkleError;
use gadgets::nullifier;
use gadgets::poseidon::hash;
use storage::{Batch, Direction, Engine, KeyRange};
use zk_store::{StoreError, TreeStore, number_bytes, read_number};

pub use event::Event;
pub use order::{Order, Prepared};

use crate::keys::Keys;
use crate::note::{Note, SealError, open};
use crate::statement::TREE;

const RESCAN: &[u8] = b"wallet/rescan";

const PAIRS: TreeStore<3> = TreeStore::new("token/pairs", TREE);

/// Why a wallet refused something.
#[derive(Debug, thiserror::Error)]
pub enum WalletError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An event is not the next one.
    #[error(
        "the next event inserts pair {expected}, not {found}: read the contract's events from there"
    )]
    OutOfOrder {
        /// The next one.
        expected: u64,
        /// The one given.
        found: u64,
    },
    /// The directory was used with other keys.
    #[error("the wallet's directory belongs to other keys")]
    ForeignKeys,
    /// There is not enough.
    #[error("{needed} are needed, the balance is {balance}")]
    Insufficient {
        /// What the transfer needs.
        needed: u128,
        /// What there is.
        balance: u128,
    },
    /// There is enough, but not in two notes.
    #[error(
        "{needed} are needed, the two largest notes hold {largest}: merge notes first by a transfer to yourself"
    )]
    Scattered {
        /// What the transfer needs.
        needed: u128,
        /// What two notes hold.
        largest: u128,
    },
    /// The amounts are too large to be added.
    #[error("the amounts exceed 2^128")]
    TooLarge,
    /// The fee is more than goes out.
    #[error("the fee is a part of what goes out, and is more")]
    Fee,
    /// The recipient cannot be paid.
    #[error(transparent)]
    Address(#[from] SealError),
    /// Tokens would go out to where nobody could use them. Most tokens refuse the zero address, and the contract with them; with others
    /// the tokens would be lost.
    #[error("the {payee} would be {account}, where tokens are lost: name another")]
    Lost {
        /// `recipient` or `relayer`.
        payee: &'static str,
        /// Which account it is.
        account: &'static str,
    },
}

impl From<storage::Error> for WalletError {
    fn from(error: storage::Error) -> Self {
        Self::Store(error.into())
    }
}

/// A note of ours that was not spent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnNote {
    /// Twice the position of its pair, plus one for the second.
    pub position: u64,
    /// The other commitment of the pair.
    pub other: Fr,
    /// What it is.
    pub note: Note,
}

/// What an event meant to us, in the token's smallest unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Position of the pair that the event inserted.
    pub pair: u64,
    /// Sum of new notes of ours.
    pub received: u128,
    /// Sum of notes of ours that were spent.
    pub spent: u128,
    /// What the contract took in.
    pub amount_in: u128,
    /// What the contract paid out.
    pub amount_out: u128,
}

/// The wallet of some keys in an engine.
#[derive(Debug)]
pub struct Wallet<E> {
    engine: E,
    keys: Keys,
}

impl<E: Engine> Wallet<E> {
    /// The wallet in `engine`, which is new or was used with the same keys. A rescan that was cut short is done again.
    ///
    /// # Errors
    ///
    /// [`WalletError::ForeignKeys`]; those of the store.
    pub fn open(engine: E, keys: Keys) -> Result<Self, WalletError> {
        let owner = number_bytes(keys.address().owner);
        match engine.get(b"wallet/owner")? {
            Some(found) if found[..] != owner => return Err(WalletError::ForeignKeys),
            Some(_) => {}
            None => engine.put(b"wallet/owner", &owner)?,
        }
        let mut wallet = Self { engine, keys };
        if wallet.engine.contains(RESCAN)? {
            wallet.rescan()?;
        }
        Ok(wallet)
    }

    /// The keys.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The number of the next event to scan: how many pairs are known.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub fn scanned(&self) -> Result<u64, WalletError> {
        Ok(PAIRS.leaves(&self.engine)?)
    }

    /// The root after all known events.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub fn root(&self) -> Result<Fr, WalletError> {
        Ok(PAIRS.root(&self.engine)?)
    }

    /// Takes up the next event. One that was taken up already must not be given again.
    ///
    /// # Errors
    ///
    /// [`WalletError::OutOfOrder`]; those of the store.
    pub fn scan(&mut self, event: &Event) -> Result<(), WalletError> {
        let expected = self.scanned()?;
        if event.pair != expected {
            return Err(WalletError::OutOfOrder {
                expected,
                found: event.pair,
            });
        }
        let mut batch = Batch::new();
        PAIRS.append(&self.engine, &[hash(&event.commitments)], &mut batch)?;
        batch.put(event_key(event.pair), event.to_bytes());
        self.take_up(event, &mut batch)?;
        Ok(self.engine.write(&batch)?)
    }

    /// Forgets which notes are ours and looks at all kept events again: after a damage, or when in doubt. If an event cannot be read,
    /// nothing is forgotten. If the store fails later, notes are missing until a rescan succeeds; [`Self::open`] tries one.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub fn rescan(&mut self) -> Result<(), WalletError> {
        let events = self.scanned()?;
        // Before anything is deleted, and not kept: there may be a million of them.
        for pair in 0..events {
            self.event(pair)?;
        }
        let mut batch = Batch::new();
        for kind in ["note", "nullifier", "spent", "history"] {
            batch.delete_range(KeyRange::prefix(format!("wallet/{kind}/").as_bytes()));
        }
        batch.put(RESCAN, Vec::new());
        self.engine.write(&batch)?;
        for pair in 0..events {
            let mut batch = Batch::new();
            self.take_up(&self.event(pair)?, &mut batch)?;
            self.engine.write(&batch)?;
        }
        let mut batch = Batch::new();
        batch.delete(RESCAN);
        Ok(self.engine.write(&batch)?)
    }

    /// A kept event.
    fn event(&self, pair: u64) -> Result<Event, WalletError> {
        let key = event_key(pair);
        let missing = MerkleError::Missing {
            level: 0,
            position: pair,
        };
        let bytes = self.engine.get(&key)?.ok_or(StoreError::Tree(missing))?;
        let event = Event::from_bytes(pair, &bytes).ok_or_else(|| StoreError::damaged(&key))?;
        Ok(event)
    }

    /// Notes that the event spends and makes.
    fn take_up(&self, event: &Event, batch: &mut Batch) -> Result<(), WalletError> {
        let mut entry = Entry {
            pair: event.pair,
            received: 0,
            spent: 0,
            amount_in: event.amount_in,
            amount_out: event.amount_out,
        };
        let mut concerns_us = false;
        for spent in event.nullifiers {
            let key = nullifier_key(spent);
            let Some(position) = self.engine.get(&key)? else {
                continue;
            };
            let note = self
                .note(&position)?
                .ok_or_else(|| StoreError::damaged(&key))?;
            entry.spent = entry.spent.saturating_add(note.note.value);
            batch.put(spent_key(note.position), Vec::new());
            concerns_us = true;
        }
        for side in 0..2 {
            let commitment = event.commitments[side];
            let Some(note) = open(&self.keys, commitment, &event.ciphertexts[side]) else {
                continue;
            };
            let position = 2 * event.pair + side as u64;
            entry.received = entry.received.saturating_add(note.value);
            concerns_us |= note.value > 0;
            let nullifier = nullifier::of_note(self.keys.secret_key(), commitment, position);
            let own = OwnNote {
                position,
                other: event.commitments[1 - side],
                note,
            };
            batch.put(note_key(&position.to_be_bytes()), own.to_bytes());
            batch.put(nullifier_key(nullifier), position.to_be_bytes().to_vec());
        }
        if concerns_us {
            batch.put(history_key(event.pair), entry.to_bytes());
        }
        Ok(())
    }

    /// Notes that are ours and not spent, none of value 0, in the order of the tree.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub fn notes(&self) -> Result<Vec<OwnNote>, WalletError> {
        let prefix = note_key(&[]);
        let mut notes = Vec::new();
        for entry in self
            .engine
            .scan(&KeyRange::prefix(&prefix), Direction::Forward)
        {
            let (key, value) = entry?;
            let owner = self.keys.address().owner;
            let note = OwnNote::from_bytes(&key[prefix.len()..], &value, owner);
            let note = note.ok_or_else(|| StoreError::damaged(&key))?;
            if note.note.value > 0 && !self.engine.contains(&spent_key(note.position))? {
                notes.push(note);
            }
        }
        Ok(notes)
    }

    /// The sum of [`Self::notes`].
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub fn balance(&self) -> Result<u128, WalletError> {
        let notes = self.notes()?;
        let values = notes.iter().map(|note| note.note.value);
        Ok(values.fold(0, u128::saturating_add))
    }

    /// What concerned us, in the contract's order.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub fn history(&self) -> Result<Vec<Entry>, WalletError> {
        let prefix = b"wallet/history/";
        let entries = self
            .engine
            .scan(&KeyRange::prefix(prefix), Direction::Forward);
        let read = entries.map(|entry| {
            let (key, value) = entry?;
            let entry = Entry::from_bytes(&key[prefix.len()..], &value);
            entry.ok_or_else(|| StoreError::damaged(&key).into())
        });
        read.collect()
    }

    fn note(&self, position: &[u8]) -> Result<Option<OwnNote>, WalletError> {
        let key = note_key(position);
        let Some(value) = self.engine.get(&key)? else {
            return Ok(None);
        };
        let note = OwnNote::from_bytes(position, &value, self.keys.address().owner);
        Ok(Some(note.ok_or_else(|| StoreError::damaged(&key))?))
    }
}

fn event_key(pair: u64) -> Vec<u8> {
    [b"token/event/", &pair.to_be_bytes()[..]].concat()
}

fn note_key(position: &[u8]) -> Vec<u8> {
    [b"wallet/note/", position].concat()
}

fn nullifier_key(nullifier: Fr) -> Vec<u8> {
    [b"wallet/nullifier/", &number_bytes(nullifier)[..]].concat()
}

fn spent_key(position: u64) -> Vec<u8> {
    [b"wallet/spent/", &position.to_be_bytes()[..]].concat()
}

fn history_key(pair: u64) -> Vec<u8> {
    [b"wallet/history/", &pair.to_be_bytes()[..]].concat()
}

impl OwnNote {
    fn to_bytes(&self) -> Vec<u8> {
        [
            &self.note.value.to_be_bytes()[..],
            &number_bytes(self.note.blinding),
            &number_bytes(self.other),
        ]
        .concat()
    }

    fn from_bytes(position: &[u8], bytes: &[u8], owner: Fr) -> Option<Self> {
        let (value, rest) = bytes.split_first_chunk::<16>()?;
        let (blinding, other) = rest.split_first_chunk::<32>()?;
        Some(Self {
            position: u64::from_be_bytes(position.try_into().ok()?),
            other: read_number(other)?,
            note: Note {
                value: u128::from_be_bytes(*value),
                owner,
                blinding: read_number(blinding)?,
            },
        })
    }
}

impl Entry {
    fn to_bytes(self) -> Vec<u8> {
        let amounts = [self.received, self.spent, self.amount_in, self.amount_out];
        amounts.map(u128::to_be_bytes).concat()
    }

    fn from_bytes(pair: &[u8], bytes: &[u8]) -> Option<Self> {
        let (amounts, []) = bytes.as_chunks::<16>() else {
            return None;
        };
        let [received, spent, amount_in, amount_out] = amounts.try_into().ok()?;
        Some(Self {
            pair: u64::from_be_bytes(pair.try_into().ok()?),
            received: u128::from_be_bytes(received),
            spent: u128::from_be_bytes(spent),
            amount_in: u128::from_be_bytes(amount_in),
            amount_out: u128::from_be_bytes(amount_out),
        })
    }
}
