use commands::plain;

/// The result of an operation on a store.
pub type Result<T> = std::result::Result<T, KvsError>;

/// What can go wrong with a store.
#[derive(Debug, thiserror::Error)]
pub enum KvsError {
    /// The key to remove is not there. Nothing was changed.
    #[error("Key not found")]
    KeyNotFound,
    /// The directory could not be read or written; the message says what to do.
    #[error(transparent)]
    Store(#[from] plain::Error),
}

impl From<storage::Error> for KvsError {
    fn from(error: storage::Error) -> Self {
        Self::Store(error.into())
    }
}
