//! Why a measurement failed.

use std::io;
use std::path::PathBuf;

/// Why a measurement failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The command line asks for what cannot be measured.
    #[error("{0}")]
    Misuse(String),
    /// A file or a process.
    #[error("cannot {action}: {source}")]
    Io { action: String, source: io::Error },
    /// Our engine.
    #[error("kvs: {0}")]
    Kvs(#[from] storage::Error),
    /// sled.
    #[error("sled: {0}")]
    Sled(#[from] sled::Error),
    /// fjall.
    #[error("fjall: {0}")]
    Fjall(#[from] fjall::Error),
    /// redb.
    #[error("redb: {0}")]
    Redb(#[from] Box<redb::Error>),
    /// A program failed or did not do its part.
    #[error("`{program}`: {reason}")]
    Program { program: String, reason: String },
    /// Nodes could not be run.
    #[error(transparent)]
    Cluster(#[from] crate::cluster::Error),
    /// Keys, witnesses or proofs.
    #[error("cannot {action}: {reason}")]
    Zk { action: String, reason: String },
    /// JSON of ours that cannot be read.
    #[error("cannot understand {what}: {source}")]
    Json {
        what: String,
        source: serde_json::Error,
    },
    /// A plot could not be drawn.
    #[error("cannot draw {}: {reason}", path.display())]
    Plot { path: PathBuf, reason: String },
    /// An engine answered wrongly: its speed is of no interest.
    #[error("{0}: the figure would be worthless")]
    Wrong(String),
}

/// Result of a measurement.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// For `map_err`: says what was being done.
pub(crate) fn doing(action: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
    let action = action.into();
    move |source| Error::Io { action, source }
}

/// For `map_err`: says what was being done with keys, witnesses or proofs, whose errors are of many types.
pub(crate) fn proving<E: std::fmt::Display>(action: impl Into<String>) -> impl FnOnce(E) -> Error {
    let action = action.into();
    move |error| Error::Zk {
        action,
        reason: error.to_string(),
    }
}

/// For `map_err`: redb has one error type per call.
pub(crate) fn redb(error: impl Into<redb::Error>) -> Error {
    Error::Redb(Box::new(error.into()))
}
