//! Keys of an owner, and the address others pay to.
//!
//! ```text
//! seed (32 random bytes) -> secret_key = keccak256("keyproof spend" | seed) mod r      spends
//!                        -> view_key   = keccak256("keyproof view" | seed)             reads
//! address = P1(secret_key), X25519 point of view_key
//! ```
//!
//! As text an address is `keyproof-token-1-<owner, 32 bytes><view, 32><checksum, 4>` in hexadecimal digits ([`zk_store::encode_text`]).

use std::fmt;
use std::str::FromStr;

use ark_bn254::Fr;
use ark_ff::PrimeField;
use ark_std::rand::{CryptoRng, RngCore};
use gadgets::context::keccak;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::{Zeroize, Zeroizing};
use zk_store::{TextError, decode_text, encode_text, number_bytes, read_number};

use crate::statement::public_key;

const PREFIX: &str = "keyproof-token-1-";

/// What an owner must keep. Wiped when dropped, never printed.
pub struct Keys {
    secret_key: Fr,
    view_key: StaticSecret,
    address: Address,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(..)")
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.secret_key.zeroize();
    }
}

impl Keys {
    /// A new seed.
    pub fn random_seed<R: RngCore + CryptoRng>(random: &mut R) -> Zeroizing<[u8; 32]> {
        let mut seed = Zeroizing::new([0; 32]);
        random.fill_bytes(&mut *seed);
        seed
    }

    /// The keys of a seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let derive = |purpose: &[u8]| {
            let input = Zeroizing::new([purpose, seed].concat());
            Zeroizing::new(keccak(&input))
        };
        let secret_key = Fr::from_be_bytes_mod_order(&*derive(b"keyproof spend"));
        let view_key = StaticSecret::from(*derive(b"keyproof view"));
        let address = Address {
            owner: public_key(secret_key),
            view: PublicKey::from(&view_key).to_bytes(),
        };
        Self {
            secret_key,
            view_key,
            address,
        }
    }

    /// What others pay to.
    #[must_use]
    pub fn address(&self) -> Address {
        self.address
    }

    pub(crate) fn secret_key(&self) -> Fr {
        self.secret_key
    }

    pub(crate) fn view_key(&self) -> &StaticSecret {
        &self.view_key
    }
}

/// Where notes are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// The public key of the notes.
    pub owner: Fr,
    /// The X25519 point that notes are encrypted to.
    pub view: [u8; 32],
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let content = [number_bytes(self.owner), self.view];
        f.write_str(&encode_text(PREFIX, content.as_flattened()))
    }
}

impl FromStr for Address {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        let content = decode_text::<64>(PREFIX, text)?;
        let (owner, view) = content.split_at(32);
        Ok(Self {
            owner: read_number(owner).ok_or(TextError::Malformed)?,
            view: view.try_into().map_err(|_| TextError::Malformed)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_from_its_text_and_no_other() {
        let address = Keys::from_seed(&[7; 32]).address();
        assert_eq!(address.to_string().parse(), Ok(address));
        let foreign = "keyproof-mixer-1-00".parse::<Address>();
        assert_eq!(foreign, Err(TextError::Prefix(PREFIX)));
        // An owner that is not below r.
        let content = [[0xff; 32], address.view];
        let large = encode_text(PREFIX, content.as_flattened());
        assert_eq!(large.parse::<Address>(), Err(TextError::Malformed));
    }

    #[test]
    fn keys_are_not_printed() {
        assert_eq!(format!("{:?}", Keys::from_seed(&[7; 32])), "Keys(..)");
    }
}
