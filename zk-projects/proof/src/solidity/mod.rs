//! Solidity source of a verifier for one key, and calls of it as data.
//!
//! # What it is
//!
//! [`export`] writes a contract with the key's numbers as constants and one function `verify(proof, ...)` that takes the public inputs
//! by name. Its design is our own, from the specifications of the precompiles: [EIP-196] (addition and multiplication in G1), [EIP-197] (pairing),
//! [EIP-1108] (their gas). [`calldata`] writes a call of it.
//!
//! # What it guarantees
//!
//! The contract checks `e(-A, B) e(alpha, beta) e(sum, gamma) e(C, delta) = 1` and
//!
//! - refuses an input that is not below r, before anything else: otherwise one nullifier had several encodings;
//! - looks at the result of every call to a precompile, and at the length of what the pairing returned: on a chain that lacks the
//!   precompile the call of an empty account succeeds;
//! - returns nothing: it reverts unless the proof is valid, so that no caller can forget to look.
//!
//! The precompiles check that coordinates are below q and points on the curve and, in G2, in the subgroup. A key with gamma = delta
//! or with a point at infinity is not exported, because anyone could forge proofs for it.
//!
//! # What it does not
//!
//! It does not know who made the key. A key of a local setup is for demonstrations: the contract says so ([`Origin`]). A proof can be
//! changed into another proof of the same inputs, so callers identify by a nullifier, never by the proof.
//!
//! # How it works
//!
//! ```text
//! words(key)   alpha 2, beta 4, gamma 4, delta 4, one point of 2 for the constant and each input, then the setup's name
//!     |
//! render       the one template, with names for the inputs       ->  export: the source of a key
//!     |
//! sentinels    the same template with words that nobody's key has ->  compiled once, then the words are replaced in the bytes:
//!                                                                     a key made on the spot is deployed without a compiler
//! ```
//!
//! Points are in the uncompressed form of [`curve`](crate::curve), which is EIP-197's: in G2 the imaginary part comes first, infinity is zeros.
//!
//! [EIP-196]: https://eips.ethereum.org/EIPS/eip-196
//! [EIP-197]: https://eips.ethereum.org/EIPS/eip-197
//! [EIP-1108]: https://eips.ethereum.org/EIPS/eip-1108

mod source;

use ark_bn254::Fr;
use ark_ff::{BigInteger, PrimeField};
use sha3::{Digest, Keccak256};

use crate::curve::Point;
use crate::key::{KeyError, Origin, VerifyingKey};
use crate::verify::Proof;

/// 32 bytes, big-endian: a word of the EVM.
pub type Word = [u8; 32];

/// Words of a key besides those of its inputs: alpha, beta, gamma, delta and the commitment of the constant one.
const FIXED_WORDS: usize = 16;

/// More public inputs than these are taken as one array, because the EVM reaches only 16 values of its stack.
const MOST_NAMED: usize = 8;

/// How a key came about, as its contract tells whoever asks (`setup()`): a `bytes32` of ASCII.
#[must_use]
pub fn origin_word(origin: Origin) -> Word {
    let name: &[u8] = match origin {
        Origin::Demo => b"local setup, for demonstrations",
        Origin::Ceremony => b"ceremony with contributions",
    };
    let mut word = [0; 32];
    word[..name.len()].copy_from_slice(name);
    word
}

/// A key or its names cannot become a contract.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// The key must not be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Not one name for each public input.
    #[error("{names} names for {inputs} public inputs")]
    Names {
        /// Names given.
        names: usize,
        /// Public inputs of the key.
        inputs: usize,
    },
    /// A name that Solidity would not take, or that is there twice.
    #[error("{0:?} cannot be a name in Solidity here")]
    Name(String),
}

/// The words of a key in the order of the contract, the setup's name last.
///
/// # Errors
///
/// [`ExportError::Key`].
pub fn words(key: &VerifyingKey, origin: Origin) -> Result<Vec<Word>, ExportError> {
    key.check()?;
    let mut bytes = Vec::new();
    key.alpha_g1.write_uncompressed(&mut bytes);
    for point in [key.beta_g2, key.gamma_g2, key.delta_g2] {
        point.write_uncompressed(&mut bytes);
    }
    for point in &key.ic {
        point.write_uncompressed(&mut bytes);
    }
    bytes.extend(origin_word(origin));
    Ok(to_words(&bytes))
}

/// The hash by which a contract names its key (`keyHash()`): Keccak-256 over the key's words, without the setup's name.
///
/// # Errors
///
/// Those of [`words`].
pub fn key_hash(key: &VerifyingKey) -> Result<Word, ExportError> {
    let words = words(key, Origin::Ceremony)?;
    Ok(Keccak256::digest(words[..words.len() - 1].concat()).into())
}

/// The source of a verifier: `contract` is its name, `inputs` are the names of the public inputs in order. `snake_case` becomes `camelCase`.
///
/// # Errors
///
/// [`ExportError`].
pub fn export(
    key: &VerifyingKey,
    origin: Origin,
    contract: &str,
    inputs: &[&str],
) -> Result<String, ExportError> {
    let count = key.public();
    if inputs.len() != count {
        return Err(ExportError::Names {
            names: inputs.len(),
            inputs: count,
        });
    }
    source::render(&words(key, origin)?, contract, inputs)
}

/// The source that is compiled once for `inputs` public inputs; [`sentinels`] stand where a key's words go.
///
/// # Panics
///
/// Never: the names are ours.
#[must_use]
pub fn template(inputs: usize) -> String {
    let names: Vec<String> = (0..inputs).map(|index| format!("input{index}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    source::render(&sentinels(inputs), &format!("Verifier{inputs}"), &names)
        .expect("the names are identifiers and different")
}

/// Words that stand for those of a key with `inputs` public inputs, and for the setup's name. Hashes, so that they are found in code
/// only where they were put.
#[must_use]
pub fn sentinels(inputs: usize) -> Vec<Word> {
    (0..=FIXED_WORDS + 2 * inputs)
        .map(|index| {
            let text = format!("keyproof: word {index} of a verifying key");
            Keccak256::digest(text).into()
        })
        .collect()
}

/// A proof as the contract takes it: A, B, C, in G2 the imaginary parts first.
#[must_use]
pub fn proof_words(proof: &Proof) -> [Word; 8] {
    let mut bytes = Vec::with_capacity(8 * 32);
    proof.a.write_uncompressed(&mut bytes);
    proof.b.write_uncompressed(&mut bytes);
    proof.c.write_uncompressed(&mut bytes);
    let words = to_words(&bytes);
    words.try_into().expect("two, four and two words")
}

/// A call of `verify` with a proof and its public inputs: the selector and 8 + n words.
#[must_use]
pub fn calldata(proof: &Proof, inputs: &[Fr]) -> Vec<u8> {
    let signature = match inputs.len() {
        count if count > MOST_NAMED => format!("verify(uint256[8],uint256[{count}])"),
        count => format!("verify(uint256[8]{})", ",uint256".repeat(count)),
    };
    let mut data = Keccak256::digest(signature)[..4].to_vec();
    data.extend(proof_words(proof).concat());
    for input in inputs {
        data.extend(input.into_bigint().to_bytes_be());
    }
    data
}

fn to_words(bytes: &[u8]) -> Vec<Word> {
    let words = bytes.chunks_exact(32);
    words
        .map(|word| word.try_into().expect("chunks of 32 bytes"))
        .collect()
}
