//! The JSON document with which a statement is proved: its public and its private inputs.
//!
//! ```json
//! {
//!   "statement": "mixer",
//!   "throwaway": true,
//!   "public": { "root": "123", "...": "..." },
//!   "private": { "secret": "456", "...": "..." }
//! }
//! ```
//!
//! `throwaway` marks samples, whose secrets are nobody's, and may be missing. Reading names the field that is wrong, `private.path[3]`, and
//! never its value. Such a document holds secrets: [`crate::private_file`].

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::files::json::{JsonError, read_document};
use crate::statement::{InputError, Statement};

/// What a document holds.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input<Public, Private> {
    /// Name of the statement.
    pub statement: String,
    /// Whether the secrets are nobody's.
    #[serde(default)]
    pub throwaway: bool,
    /// The public inputs.
    pub public: Public,
    /// What only the prover knows.
    pub private: Private,
}

impl<Public, Private> fmt::Debug for Input<Public, Private> {
    /// Shows nothing of the inputs.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Input");
        shown.field("statement", &self.statement);
        shown
            .field("throwaway", &self.throwaway)
            .finish_non_exhaustive()
    }
}

/// The name of the statement that a document is for, and nothing else of it.
#[derive(Deserialize)]
struct Name {
    statement: String,
}

impl From<JsonError> for InputError {
    fn from(error: JsonError) -> Self {
        Self {
            field: error.field,
            problem: error.problem,
        }
    }
}

/// Reads and checks a document for the statement `S`.
///
/// # Errors
///
/// [`InputError`] with the field: it is for another statement, a field is missing, unknown or malformed, or the statement's own check
/// ([`Statement::check`]) refuses it.
pub fn read<S: Statement>(bytes: &[u8]) -> Result<Input<S::Public, S::Private>, InputError> {
    let Name { statement } = read_document("input", bytes)?;
    if statement != S::NAME {
        let problem = format!("the input is for another statement, not for {}", S::NAME);
        return Err(InputError::new("statement", problem));
    }
    let input: Input<S::Public, S::Private> = read_document("input", bytes)?;
    S::check(&input.public, &input.private)?;
    Ok(input)
}

/// Writes a document.
#[must_use]
pub fn write<S: Statement>(
    public: &S::Public,
    private: &S::Private,
    throwaway: bool,
) -> Zeroizing<String> {
    let input = Input {
        statement: S::NAME.to_owned(),
        throwaway,
        public,
        private,
    };
    let text =
        serde_json::to_string_pretty(&input).expect("inputs are texts, numbers and lists of them");
    Zeroizing::new(text)
}
