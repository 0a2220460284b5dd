//! Notes: what a depositor must keep.
//!
//! As text, one word that survives copying and can be checked:
//!
//! ```text
//! keyproof-mixer-1-<chain id>-<contract>-<nullifier><secret><checksum>
//! ```
//!
//! Contract, numbers (big-endian) and checksum are hexadecimal digits: 40, 64, 64 and 8 of them. The checksum is the first four bytes
//! of keccak256 over everything before it, so that a note with a typing error is refused instead of never found in the tree.

use std::fmt::Write;
use std::str::FromStr;

use ark_bn254::Fr;
use ark_ff::UniformRand;
use ark_std::rand::{CryptoRng, RngCore};
use gadgets::context::keccak;
use gadgets::merkle::Path;
use gadgets::poseidon::hash;
use zeroize::{Zeroize, Zeroizing};
use zk_store::{number_bytes, read_number};

use crate::statement::{Call, Private, Public};

const PREFIX: &str = "keyproof-mixer-1";
/// Hexadecimal digits of two numbers and the checksum.
const DIGITS: usize = 2 * (32 + 32 + CHECKSUM_BYTES);
const CHECKSUM_BYTES: usize = 4;

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

/// Why a text is no note. Never repeats it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// It does not begin as one.
    #[error("a note begins with `{PREFIX}-`")]
    Prefix,
    /// Parts are missing, too long, or hold other characters.
    #[error(
        "the note is incomplete or has characters that do not belong: copy all of it, on one line"
    )]
    Malformed,
    /// The checksum is that of another note.
    #[error("the note's checksum is wrong: a character was changed")]
    Checksum,
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
        let mut text = Zeroizing::new(String::with_capacity(256));
        let _ = write!(text, "{PREFIX}-{}-", self.chain_id);
        push_hex(&mut text, &self.contract);
        text.push('-');
        push_hex(&mut text, &number_bytes(self.nullifier));
        push_hex(&mut text, &number_bytes(self.secret));
        let checksum = checksum(&text);
        push_hex(&mut text, &checksum);
        text
    }
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
}

fn checksum(text: &str) -> [u8; CHECKSUM_BYTES] {
    let mut sum = [0; CHECKSUM_BYTES];
    sum.copy_from_slice(&keccak(text.as_bytes())[..CHECKSUM_BYTES]);
    sum
}

/// Lower-case digits only: a note has one text.
fn read_hex<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if digits.len() != 2 * N || !digits.bytes().all(is_digit) {
        return None;
    }
    let mut bytes = [0; N];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(bytes)
}

impl FromStr for Note {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let text = text.trim();
        let rest = text
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.strip_prefix('-'));
        let mut parts = rest.ok_or(NoteError::Prefix)?.split('-');
        let (Some(chain_id), Some(contract), Some(digits), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(NoteError::Malformed);
        };
        if digits.len() != DIGITS || !digits.is_ascii() {
            return Err(NoteError::Malformed);
        }
        let (summed, sum) = text.split_at(text.len() - 2 * CHECKSUM_BYTES);
        if read_hex(sum).ok_or(NoteError::Malformed)? != checksum(summed) {
            return Err(NoteError::Checksum);
        }
        let number = |digits| read_number(&*Zeroizing::new(read_hex::<32>(digits)?));
        let read = || {
            Some(Self {
                chain_id: chain_id.parse().ok()?,
                contract: read_hex(contract)?,
                nullifier: number(&digits[..64])?,
                secret: number(&digits[64..128])?,
            })
        };
        read().ok_or(NoteError::Malformed)
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
        assert!(
            format!("  {}\n", *text).parse::<Note>() == Ok(note()),
            "as pasted"
        );
    }

    #[test]
    fn a_note_with_any_character_changed_or_missing_is_refused() {
        let text = note().to_text();
        for at in 0..text.len() {
            let other = if &text[at..=at] == "0" { "1" } else { "0" };
            let changed = [&text[..at], other, &text[at + 1..]].concat();
            assert!(changed.parse::<Note>().is_err(), "character {at}");
            let missing = [&text[..at], &text[at + 1..]].concat();
            assert!(missing.parse::<Note>().is_err(), "character {at}");
        }
        for (wrong, error) in [
            ("", NoteError::Prefix),
            ("tornado-eth-1-1-0x00", NoteError::Prefix),
            ("keyproof-mixer-1-5", NoteError::Malformed),
            (&format!("{}-", *text), NoteError::Malformed),
        ] {
            assert_eq!(wrong.parse::<Note>().unwrap_err(), error);
        }
    }

    /// r + 1 in place of 1, with a checksum that fits.
    #[test]
    fn a_number_that_is_not_below_r_is_refused() {
        let mut note = note();
        note.nullifier = Fr::from(1);
        let text = note.to_text();
        let r_plus_1 = "30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000002";
        let one = format!("{:064x}", 1);
        let body = text[..text.len() - 8].replace(&one, r_plus_1);
        assert_ne!(body, text[..text.len() - 8]);
        let mut forged = body.clone();
        push_hex(&mut forged, &checksum(&body));
        assert_eq!(forged.parse::<Note>().unwrap_err(), NoteError::Malformed);
    }

    #[test]
    fn a_note_is_not_printed() {
        assert_eq!(format!("{:?}", note()), "Note(..)");
    }
}
