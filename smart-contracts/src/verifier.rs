//! Verifiers for keys that were made a moment ago, without a compiler.
//!
//! The template that [`proof::solidity::export`] writes a key's source by was compiled once for each number of inputs, with words in
//! place of the key's that occur nowhere else. Here they are replaced in the code. The result is what solc makes of the exported
//! source, unless a coordinate begins with a zero byte: solc then pushes fewer bytes, to the same effect. A test compiles exported
//! sources and compares.

use proof::key::{Origin, VerifyingKey};
use proof::solidity::{ExportError, Word, sentinels, words};

use crate::contracts;

/// Most public inputs of a compiled template. Verifiers for more are exported as source.
pub const MOST_INPUTS: usize = 4;

/// How often the code names each word of a key: in `verify` and in `keyHash`.
const USES_OF_KEY: usize = 2;

/// No contract can be made for a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifierError {
    /// The key is not to be trusted.
    #[error(transparent)]
    Key(#[from] ExportError),
    /// More inputs than were compiled for, or none.
    #[error(
        "{0} public inputs: contracts are compiled for 1 to {MOST_INPUTS}; export the source instead"
    )]
    Inputs(usize),
}

/// The code that creates the verifier of a key.
///
/// # Errors
///
/// [`VerifierError`].
///
/// # Panics
///
/// If the compiled template does not hold its words as often as its source: the build is broken, and a test says so before.
pub fn creation_code(key: &VerifyingKey, origin: Origin) -> Result<Vec<u8>, VerifierError> {
    let inputs = key.ic.len().saturating_sub(1);
    let artifact = match inputs {
        1 => contracts::VERIFIER_1,
        2 => contracts::VERIFIER_2,
        3 => contracts::VERIFIER_3,
        4 => contracts::VERIFIER_4,
        other => return Err(VerifierError::Inputs(other)),
    };
    let words = words(key, origin)?;
    let mut code = artifact.creation_code();
    let last = words.len() - 1;
    for (index, (sentinel, word)) in sentinels(inputs).iter().zip(&words).enumerate() {
        let uses = if index == last { 1 } else { USES_OF_KEY };
        assert_eq!(
            replace(&mut code, sentinel, word),
            uses,
            "uses of word {index}"
        );
    }
    Ok(code)
}

/// Replaces a word wherever it stands in code, and says how often.
fn replace(code: &mut [u8], old: &Word, new: &Word) -> usize {
    let mut found = 0;
    let mut at = 0;
    while at + old.len() <= code.len() {
        if code[at..at + old.len()] == *old {
            code[at..at + old.len()].copy_from_slice(new);
            found += 1;
            at += old.len();
        } else {
            at += 1;
        }
    }
    found
}
