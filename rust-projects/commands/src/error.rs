//! What can go wrong besides what a command itself refuses.

use wire::Reply;

/// The result of deciding a command.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a command could not be decided.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The engine could not read.
    #[error(transparent)]
    Storage(#[from] storage::Error),
    /// A stored value has a form this version does not know. Use the version that wrote it.
    #[error(
        "the value of key {key:?} has unknown flags {flags:#04x}: a newer version wrote it, use that one"
    )]
    UnknownFlags {
        /// The user key, lossily as text.
        key: String,
        /// The flags byte found.
        flags: u8,
    },
    /// A stored value is shorter than its own header.
    #[error(
        "the value of key {key:?} is {len} bytes long, shorter than its header; run `kvs-admin verify`"
    )]
    TruncatedValue {
        /// The user key, lossily as text.
        key: String,
        /// Length of what is stored, in bytes.
        len: usize,
    },
    /// A key of the expiry column is shorter than a time.
    #[error("an entry of the expiry column is {len} bytes long; run `kvs-admin verify`")]
    TruncatedExpiry {
        /// Length of the entry's key in bytes.
        len: usize,
    },
}

impl Error {
    /// What to tell a client.
    pub fn to_reply(&self) -> Reply {
        Reply::error(format!("ERR {self}"))
    }
}

/// Why a command stops early: with a reply that refuses it, or because it cannot be decided.
pub(crate) enum Stop {
    Refuse(Reply),
    Fail(Error),
}

/// The outcome of one command.
pub(crate) type Outcome<T = Reply> = std::result::Result<T, Stop>;

/// A refusal is a reply too.
pub(crate) fn settle(outcome: Outcome) -> Result<Reply> {
    match outcome {
        Ok(reply) | Err(Stop::Refuse(reply)) => Ok(reply),
        Err(Stop::Fail(error)) => Err(error),
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Fail(error)
    }
}

impl From<storage::Error> for Stop {
    fn from(error: storage::Error) -> Self {
        Self::Fail(error.into())
    }
}

/// Refuses a command with `message`, which begins with its code.
pub(crate) fn refuse<T>(message: &'static str) -> Outcome<T> {
    Err(Stop::Refuse(Reply::error(message)))
}

pub(crate) const SYNTAX: &str = "ERR syntax error";
pub(crate) const NOT_AN_INTEGER: &str = "ERR value is not an integer or out of range";
pub(crate) const STRING_TOO_LONG: &str =
    "ERR string exceeds maximum allowed size (proto-max-bulk-len)";
