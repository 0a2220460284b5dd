//! From what an owner wants to what is proved and sent.

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, UniformRand};
use ark_std::rand::{CryptoRng, Rng, RngCore};
use gadgets::merkle::Path;
use storage::Engine;

use super::{Event, OwnNote, PAIRS, Wallet, WalletError};
use crate::keys::Address;
use crate::note::{Note, amount, seal};
use crate::statement::{Call, Input, Private, Public, TREE};

/// What an owner wants. Everything is optional: entering is `amount_in` alone, leaving is `amount_out`, a payment is `pay`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Of the chain.
    pub chain_id: u64,
    /// The shielding contract.
    pub contract: [u8; 20],
    /// The token.
    pub token: [u8; 20],
    /// Whom to pay within the contract, and how much.
    pub pay: Option<(Address, u128)>,
    /// What the contract takes from the sender of the transaction.
    pub amount_in: u128,
    /// What the contract pays out, the fee included.
    pub amount_out: u128,
    /// Who gets what is paid out less the fee; zeros for nobody, where that is 0.
    pub recipient: [u8; 20],
    /// Who gets the fee; zeros for nobody, where that is 0.
    pub relayer: [u8; 20],
    /// The fee.
    pub fee: u128,
}

/// What is proved, and what is sent with the proof.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The public inputs.
    pub public: Public,
    /// The private inputs.
    pub private: Private,
    /// What the context is made of.
    pub call: Call,
    /// What the contract will say, if this transfer is the next.
    pub event: Event,
}

impl<E: Engine> Wallet<E> {
    /// Chooses notes, makes a payment and a change, and what is to be proved. Nothing is written: notes are spent when their nullifiers
    /// appear in an event.
    ///
    /// # Errors
    ///
    /// [`WalletError`].
    pub fn prepare<R: RngCore + CryptoRng>(
        &self,
        order: &Order,
        random: &mut R,
    ) -> Result<Prepared, WalletError> {
        check_payees(order)?;
        let paid = order.pay.map_or(0, |(_, value)| value);
        let needed = paid
            .checked_add(order.amount_out)
            .ok_or(WalletError::TooLarge)?;
        let chosen = choose(self.notes()?, needed.saturating_sub(order.amount_in))?;
        let spent = chosen.iter().try_fold(order.amount_in, |sum, note| {
            sum.checked_add(note.note.value)
        });
        let change = spent.and_then(|spent| spent.checked_sub(needed));
        let change = change.ok_or(WalletError::TooLarge)?;
        let own = self.keys.address();
        let mut outputs = [order.pay.unwrap_or((own, 0)), (own, change)];
        // Or everybody knew that the second is the sender's.
        if random.r#gen() {
            outputs.swap(0, 1);
        }
        let notes = outputs.map(|(to, value)| (to, Note::random(value, to.owner, random)));
        let [first, second] = &notes;
        let ciphertexts = [
            seal(&first.1, &first.0, random)?,
            seal(&second.1, &second.0, random)?,
        ];
        let private = Private {
            secret_key: self.keys.secret_key(),
            inputs: self.inputs(&chosen, random)?,
            outputs: [first.1.output(), second.1.output()],
            amount_in: amount(order.amount_in),
            amount_out: amount(order.amount_out),
        };
        self.prepared(order, private, ciphertexts)
    }

    fn prepared(
        &self,
        order: &Order,
        private: Private,
        ciphertexts: [Vec<u8>; 2],
    ) -> Result<Prepared, WalletError> {
        let call = Call {
            chain_id: order.chain_id,
            contract: order.contract,
            token: order.token,
            recipient: order.recipient,
            relayer: order.relayer,
            fee: order.fee,
            ciphertexts,
        };
        let event = Event {
            pair: self.scanned()?,
            commitments: private.commitments(),
            ciphertexts: call.ciphertexts.clone(),
            nullifiers: private.nullifiers(),
            amount_in: order.amount_in,
            amount_out: order.amount_out,
        };
        Ok(Prepared {
            public: private.public(self.root()?, &call),
            private,
            call,
            event,
        })
    }

    /// The chosen notes with their paths, and dummies to make two, in random order.
    fn inputs<R: RngCore + CryptoRng>(
        &self,
        chosen: &[OwnNote],
        random: &mut R,
    ) -> Result<[Input; 2], WalletError> {
        let mut inputs = [dummy(random), dummy(random)];
        for (input, own) in inputs.iter_mut().zip(chosen) {
            let Path { siblings, .. } = PAIRS.path(&self.engine, own.position >> 1)?;
            *input = Input {
                value: amount(own.note.value),
                blinding: own.note.blinding,
                other: own.other,
                position: own.position,
                path: siblings,
            };
        }
        if random.r#gen() {
            inputs.swap(0, 1);
        }
        Ok(inputs)
    }
}

/// Whether what goes out arrives where somebody can use it.
fn check_payees(order: &Order) -> Result<(), WalletError> {
    let rest = order.amount_out.checked_sub(order.fee);
    let rest = rest.ok_or(WalletError::Fee)?;
    for (payee, account, amount) in [
        ("recipient", order.recipient, rest),
        ("relayer", order.relayer, order.fee),
    ] {
        let black_holes = [
            ("the zero address", [0; 20]),
            ("the shielding contract", order.contract),
            ("the token", order.token),
        ];
        for (name, lost) in black_holes {
            if amount > 0 && account == lost {
                let account = name;
                return Err(WalletError::Lost { payee, account });
            }
        }
    }
    Ok(())
}

/// An input of value 0 that is nowhere in the tree. Its nullifier looks like any other, because the blinding is random.
fn dummy<R: RngCore + CryptoRng>(random: &mut R) -> Input {
    Input {
        value: Fr::ZERO,
        blinding: Fr::rand(random),
        other: Fr::rand(random),
        position: 0,
        path: vec![[Fr::ZERO; 3]; TREE.depth() as usize],
    }
}

/// At most two notes that hold `needed`: the smallest single one that does, or else the two largest.
fn choose(mut notes: Vec<OwnNote>, needed: u128) -> Result<Vec<OwnNote>, WalletError> {
    if needed == 0 {
        return Ok(Vec::new());
    }
    let sum = |notes: &[OwnNote]| {
        let values = notes.iter().map(|note| note.note.value);
        values.fold(0, u128::saturating_add)
    };
    let balance = sum(&notes);
    if balance < needed {
        return Err(WalletError::Insufficient { needed, balance });
    }
    notes.sort_by_key(|note| note.note.value);
    if let Some(single) = notes.iter().position(|note| note.note.value >= needed) {
        return Ok(vec![notes.swap_remove(single)]);
    }
    let largest_two = notes.split_off(notes.len().saturating_sub(2));
    let largest = sum(&largest_two);
    if largest < needed {
        return Err(WalletError::Scattered { needed, largest });
    }
    Ok(largest_two)
}
