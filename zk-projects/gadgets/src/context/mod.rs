//! What a call says besides the statement, as one public input.
//!
//! # What it is
//!
//! A proof that a payment may be made does not say to whom. So the contract hashes whatever else the call says (chain, its own
//! address, recipient, fee) into one number, and the proof is made for this number: [`hash`] computes it as Solidity does,
//! `uint256(keccak256(abi.encode(...))) % r`. [`bind`] makes the circuit use the input.
//!
//! # What it guarantees
//!
//! A proof for one context is refused with another. keccak256 modulo r keeps more than 253 bits, so that nobody finds two calls with
//! one context.
//!
//! # What it does not
//!
//! The circuit does not know what is in the hash. The verifier must compute it from the call; one that takes it from the caller has
//! bound nothing.

use ark_bn254::Fr;
use ark_ff::PrimeField;
use ark_relations::gr1cs::SynthesisError;
use sha3::{Digest, Keccak256};

use crate::wire::{Circuit, Wire};

/// 32 bytes of an ABI encoding.
pub type Word = [u8; 32];

/// A number as the ABI encodes it: big-endian.
#[must_use]
pub fn number_word(number: u128) -> Word {
    let mut word = [0; 32];
    word[16..].copy_from_slice(&number.to_be_bytes());
    word
}

/// An address as the ABI encodes it: 12 zeros before it.
#[must_use]
pub fn address_word(address: [u8; 20]) -> Word {
    let mut word = [0; 32];
    word[12..].copy_from_slice(&address);
    word
}

/// keccak256 of bytes.
#[must_use]
pub fn keccak(bytes: &[u8]) -> Word {
    Keccak256::digest(bytes).into()
}

/// `uint256(keccak256(abi.encode(words))) % r`.
#[must_use]
pub fn hash(words: &[Word]) -> Fr {
    Fr::from_be_bytes_mod_order(&keccak(words.as_flattened()))
}

/// One constraint that uses the context, so that a witness for one context is none for another. Keys of this project have a row of their
/// own for each public input, which does the same; this one does not rely on who makes the key.
///
/// # Errors
///
/// Those of arkworks.
pub fn bind(circuit: &Circuit, context: &Wire) -> Result<(), SynthesisError> {
    circuit.product(context, context).map(drop)
}
