//! Notes as they are sent: encrypted to the view key of their owner.
//!
//! ```text
//! ephemeral point   32 bytes      X25519, drawn for this note
//! content           48 bytes      value (16, big-endian), blinding (32, big-endian); encrypted
//! tag               16 bytes      ChaCha20-Poly1305; the commitment is authenticated with it
//! ```
//!
//! The key is `keccak256("keyproof note" | shared point | ephemeral point | view point)`, used once, with nonce 0.
//!
//! What it guarantees. A note that [`open`] returns has the commitment that the contract put into the tree under the reader's own key:
//! it is computed again. No sender can make a wallet believe in money that is not there.
//!
//! What it does not. There is no forward secrecy: who gets a view key can read all notes that were sent to it.

use ark_bn254::Fr;
use ark_ff::UniformRand;
use ark_std::rand::{CryptoRng, RngCore};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit, Nonce};
use gadgets::context::keccak;
use x25519_dalek::{PublicKey, SharedSecret, StaticSecret};
use zeroize::{Zeroize, Zeroizing};
use zk_store::{number_bytes, read_number};

use crate::keys::{Address, Keys};
use crate::statement::{Output, commitment};

const VALUE_BYTES: usize = 16;
const CONTENT_BYTES: usize = VALUE_BYTES + 32;
const POINT_BYTES: usize = 32;
/// Bytes of an encrypted note.
pub const CIPHERTEXT_BYTES: usize = POINT_BYTES + CONTENT_BYTES + 16;

/// An amount that belongs to somebody.
#[derive(Clone, PartialEq, Eq)]
pub struct Note {
    /// In the token's smallest unit.
    pub value: u128,
    /// Whose it is.
    pub owner: Fr,
    /// What hides the value in the commitment.
    pub blinding: Fr,
}

impl std::fmt::Debug for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Note(..)")
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        self.value.zeroize();
        self.blinding.zeroize();
    }
}

/// An amount as a number of the field.
#[must_use]
pub fn amount(value: u128) -> Fr {
    Fr::from(value)
}

impl Note {
    /// A new note for an owner.
    pub fn random<R: RngCore + CryptoRng>(value: u128, owner: Fr, random: &mut R) -> Self {
        Self {
            value,
            owner,
            blinding: Fr::rand(random),
        }
    }

    /// What the tree holds of it.
    #[must_use]
    pub fn commitment(&self) -> Fr {
        commitment(amount(self.value), self.owner, self.blinding)
    }

    /// The note as an output of the statement.
    #[must_use]
    pub fn output(&self) -> Output {
        Output {
            value: amount(self.value),
            owner: self.owner,
            blinding: self.blinding,
        }
    }
}

/// Encrypts a note to an address, whose owner it should have.
///
/// # Errors
///
/// [`SealError`].
pub fn seal<R: RngCore + CryptoRng>(
    note: &Note,
    to: &Address,
    random: &mut R,
) -> Result<Vec<u8>, SealError> {
    let mut bytes = Zeroizing::new([0; 32]);
    random.fill_bytes(&mut *bytes);
    let ephemeral = StaticSecret::from(*bytes);
    let point = PublicKey::from(&ephemeral).to_bytes();
    let shared = ephemeral.diffie_hellman(&PublicKey::from(to.view));
    let cipher = cipher(&shared, &point, &to.view).ok_or(SealError)?;
    let mut content = Zeroizing::new([0; CONTENT_BYTES]);
    content[..VALUE_BYTES].copy_from_slice(&note.value.to_be_bytes());
    content[VALUE_BYTES..].copy_from_slice(&number_bytes(note.blinding));
    let payload = Payload {
        msg: &*content,
        aad: &number_bytes(note.commitment()),
    };
    let encrypted = cipher
        .encrypt(&Nonce::default(), payload)
        .map_err(|_| SealError)?;
    Ok([&point[..], &encrypted].concat())
}

/// A note cannot be encrypted to an address: its view key is a point of small order, which everybody could read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the address has a view key that everybody could read")]
pub struct SealError;

/// The note that `ciphertext` brings to the owner of `keys`, if it is for them and is what was committed to.
#[must_use]
pub fn open(keys: &Keys, commitment: Fr, ciphertext: &[u8]) -> Option<Note> {
    if ciphertext.len() != CIPHERTEXT_BYTES {
        return None;
    }
    let (point, encrypted) = ciphertext.split_first_chunk::<POINT_BYTES>()?;
    let shared = keys.view_key().diffie_hellman(&PublicKey::from(*point));
    let payload = Payload {
        msg: encrypted,
        aad: &number_bytes(commitment),
    };
    let cipher = cipher(&shared, point, &keys.address().view)?;
    let content = Zeroizing::new(cipher.decrypt(&Nonce::default(), payload).ok()?);
    let (value, blinding) = content.split_first_chunk::<VALUE_BYTES>()?;
    let note = Note {
        value: u128::from_be_bytes(*value),
        owner: keys.address().owner,
        blinding: read_number(blinding)?,
    };
    // The sender could have written any value.
    (note.commitment() == commitment).then_some(note)
}

fn cipher(shared: &SharedSecret, point: &[u8; 32], view: &[u8; 32]) -> Option<ChaCha20Poly1305> {
    if !shared.was_contributory() {
        return None;
    }
    let input = Zeroizing::new([b"keyproof note", &shared.as_bytes()[..], point, view].concat());
    let key = Zeroizing::new(keccak(&input));
    ChaCha20Poly1305::new_from_slice(&*key).ok()
}

#[cfg(test)]
mod tests {
    use ark_std::rand::SeedableRng;
    use ark_std::rand::rngs::StdRng;

    use super::*;

    fn keys(seed: u8) -> Keys {
        Keys::from_seed(&[seed; 32])
    }

    #[test]
    fn the_owner_opens_a_note_and_nobody_else() {
        let mut random = StdRng::seed_from_u64(1);
        let to = keys(1).address();
        for value in [0, 1, u128::MAX] {
            let note = Note::random(value, to.owner, &mut random);
            let sealed = seal(&note, &to, &mut random).unwrap();
            assert_eq!(sealed.len(), CIPHERTEXT_BYTES);
            assert!(open(&keys(1), note.commitment(), &sealed) == Some(note.clone()));
            assert!(open(&keys(2), note.commitment(), &sealed).is_none());
            for at in 0..sealed.len() {
                let mut changed = sealed.clone();
                changed[at] ^= 1;
                assert!(
                    open(&keys(1), note.commitment(), &changed).is_none(),
                    "byte {at}"
                );
                assert!(open(&keys(1), note.commitment(), &sealed[..at]).is_none());
            }
        }
    }

    /// The sender encrypts a larger value than was committed to.
    #[test]
    fn a_note_that_is_not_what_was_committed_to_is_not_believed() {
        let mut random = StdRng::seed_from_u64(2);
        let to = keys(1).address();
        let committed = Note::random(1, to.owner, &mut random);
        let mut claimed = committed.clone();
        claimed.value = 1_000_000;
        // Sealed with the authentication of the commitment that is in the tree.
        let sealed = seal_as(&claimed, committed.commitment(), &to, &mut random);
        assert!(open(&keys(1), committed.commitment(), &sealed).is_none());
        let honest = seal_as(&committed, committed.commitment(), &to, &mut random);
        assert!(open(&keys(1), committed.commitment(), &honest) == Some(committed));
    }

    fn seal_as(note: &Note, commitment: Fr, to: &Address, random: &mut StdRng) -> Vec<u8> {
        let mut bytes = [0; 32];
        random.fill_bytes(&mut bytes);
        let ephemeral = StaticSecret::from(bytes);
        let point = PublicKey::from(&ephemeral).to_bytes();
        let shared = ephemeral.diffie_hellman(&PublicKey::from(to.view));
        let content = [&note.value.to_be_bytes()[..], &number_bytes(note.blinding)].concat();
        let payload = Payload {
            msg: &content,
            aad: &number_bytes(commitment),
        };
        let cipher = cipher(&shared, &point, &to.view).unwrap();
        [
            &point[..],
            &cipher.encrypt(&Nonce::default(), payload).unwrap(),
        ]
        .concat()
    }

    #[test]
    fn a_view_key_of_small_order_is_refused() {
        let mut to = keys(1).address();
        to.view = [0; 32];
        let mut random = StdRng::seed_from_u64(3);
        let note = Note::random(1, to.owner, &mut random);
        assert_eq!(seal(&note, &to, &mut random), Err(SealError));
    }
}
