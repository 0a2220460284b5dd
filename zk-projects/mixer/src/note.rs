//! Notes: what a depositor must keep.
//!
//! As text a note is one word with a checksum ([`zk_store::encode_text`]):
//!
//! ```text
//! keyproof-mixer-1-<chain id, 8 bytes><contract, 20><nullifier, 32><secret, 32><checksum, 4>      in hexadecimal digits
//! ```
//!
//! A note with a typing error is thus refused, instead of never being found in the tree.

use std::str::FromStr;

use ark_bn254::Fr;
use ark_ff::UniformRand;
use ark_std::rand::{CryptoRng, RngCore};
use gadgets::merkle::Path;
use gadgets::poseidon::hash;
use zeroize::{Zeroize, Zeroizing};
use zk_store::{TextError, decode_text, encode_text, number_bytes, read_number};

use crate::statement::{Call, Private, Public};

const PREFIX: &str = "keyproof-mixer-1-";
const CONTENT_BYTES: usize = 8 + 20 + 32 + 32;

/// A deposit's secret, and where it was deposited. Wiped when dropped, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Note {
    /// The chain of the mixer.
    pub chain_id: u64,
    /// The mixer's address.
    pub contract: [u8; 20],
    nullifier: Fr,
    secret: Fr,
}

impl std::fmt::Debug for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Note(..)")
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        self.nullifier.zeroize();
        self.secret.zeroize();
    }
}

impl Note {
    /// A new note.
    pub fn random<R: RngCore + CryptoRng>(
        chain_id: u64,
        contract: [u8; 20],
        random: &mut R,
    ) -> Self {
        Self {
            chain_id,
            contract,
            nullifier: Fr::rand(random),
            secret: Fr::rand(random),
        }
    }

    /// What is deposited: `P2(nullifier, secret)`.
    #[must_use]
    pub fn commitment(&self) -> Fr {
        hash(&[self.nullifier, self.secret])
    }

    /// What is published when the note is spent: `P1(nullifier)`.
    #[must_use]
    pub fn nullifier_hash(&self) -> Fr {
        hash(&[self.nullifier])
    }

    /// The public inputs of its withdrawal.
    #[must_use]
    pub fn public(&self, root: Fr, call: &Call) -> Public {
        Public {
            root,
            nullifier_hash: self.nullifier_hash(),
            context: call.context(),
        }
    }

    /// The private inputs of its withdrawal.
    #[must_use]
    pub fn private(&self, path: Path<3>) -> Private {
        Private {
            nullifier: self.nullifier,
            secret: self.secret,
            position: path.position,
            path: path.siblings,
        }
    }

    /// The note as text. Whoever reads it can withdraw.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut content = Zeroizing::new([0; CONTENT_BYTES]);
        content[..8].copy_from_slice(&self.chain_id.to_be_bytes());
        content[8..28].copy_from_slice(&self.contract);
        content[28..60].copy_from_slice(&number_bytes(self.nullifier));
        content[60..].copy_from_slice(&number_bytes(self.secret));
        encode_text(PREFIX, &*content)
    }

    fn from_content(content: &[u8; CONTENT_BYTES]) -> Option<Self> {
        Some(Self {
            chain_id: u64::from_be_bytes(*content.first_chunk()?),
            contract: *content[8..].first_chunk()?,
            nullifier: read_number(&content[28..60])?,
            secret: read_number(&content[60..])?,
        })
    }
}

impl FromStr for Note {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        let content = decode_text(PREFIX, text)?;
        Self::from_content(&content).ok_or(TextError::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use ark_std::rand::SeedableRng;
    use ark_std::rand::rngs::StdRng;

    use super::*;

    fn note() -> Note {
        Note::random(31_337, [0xab; 20], &mut StdRng::seed_from_u64(1))
    }

    #[test]
    fn a_note_is_restored_from_its_text() {
        let text = note().to_text();
        assert!(text.parse::<Note>() == Ok(note()));
        let mut changed = text.to_string();
        changed.replace_range(40..41, if &text[40..41] == "0" { "1" } else { "0" });
        assert_eq!(changed.parse::<Note>().unwrap_err(), TextError::Checksum);
    }

    /// r + 1 in place of 1 would be a second text of the note.
    #[test]
    fn a_number_that_is_not_below_r_is_refused() {
        let mut note = note();
        note.nullifier = Fr::from(1);
        let mut content = decode_text::<CONTENT_BYTES>(PREFIX, &note.to_text()).unwrap();
        assert!(Note::from_content(&content) == Some(note));
        let mut r_plus_1 = number_bytes(-Fr::from(1));
        r_plus_1[31] += 2;
        content[28..60].copy_from_slice(&r_plus_1);
        let forged = encode_text(PREFIX, &*content);
        assert_eq!(forged.parse::<Note>().unwrap_err(), TextError::Malformed);
    }

    #[test]
    fn a_note_is_not_printed() {
        assert_eq!(format!("{:?}", note()), "Note(..)");
    }
}
