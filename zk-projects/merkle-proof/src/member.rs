//! A member's secret.

use std::str::FromStr;

use ark_bn254::Fr;
use ark_ff::{PrimeField, UniformRand};
use ark_std::rand::{CryptoRng, RngCore};
use gadgets::context::{self, Word, address_word, keccak, number_word};
use zeroize::{Zeroize, Zeroizing};
use zk_store::{TextError, decode_text, encode_text, number_bytes, read_number};

use crate::statement::leaf_of;

const PREFIX: &str = "keyproof-member-1-";

/// A member's secret. Wiped when dropped, never printed. As text it is `keyproof-member-1-<secret, 32 bytes><checksum, 4>`.
#[derive(Clone, PartialEq, Eq)]
pub struct Member {
    secret: Fr,
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Member(..)")
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl Member {
    /// A new secret.
    pub fn random<R: RngCore + CryptoRng>(random: &mut R) -> Self {
        Self {
            secret: Fr::rand(random),
        }
    }

    /// The leaf by which the member joins a tree.
    #[must_use]
    pub fn leaf(&self) -> Fr {
        leaf_of(self.secret)
    }

    pub(crate) fn secret(&self) -> Fr {
        self.secret
    }

    /// The secret as text.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        encode_text(PREFIX, &*Zeroizing::new(number_bytes(self.secret)))
    }
}

impl FromStr for Member {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        let content = decode_text::<32>(PREFIX, text)?;
        let secret = read_number(&*content).ok_or(TextError::Malformed)?;
        Ok(Self { secret })
    }
}

/// A message as a signal, or a topic as a scope where there is one verifier only: `keccak256(message) % r`.
#[must_use]
pub fn number_of(message: &[u8]) -> Fr {
    Fr::from_be_bytes_mod_order(&keccak(message))
}

/// The scope of a topic at a contract: `uint256(keccak256(abi.encode(block.chainid, address(this), topic))) % r`.
#[must_use]
pub fn scope_of(chain_id: u64, contract: [u8; 20], topic: Word) -> Fr {
    context::hash(&[number_word(chain_id.into()), address_word(contract), topic])
}
