//! One error type for the crate. Each variant says what the caller can do about it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::{EngineKind, Owner};

/// The result of a storage operation.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, in terms of what the caller should do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The key is longer than the engine takes. Nothing was written; shorten the key.
    #[error("the key is {len} bytes long, the limit is {max}")]
    KeyTooLarge {
        /// Length of the refused key in bytes.
        len: usize,
        /// Longest key accepted, in bytes.
        max: usize,
    },
    /// The value is longer than the engine takes. Nothing was written; split the value.
    #[error("the value is {len} bytes long, the limit is {max}")]
    ValueTooLarge {
        /// Length of the refused value in bytes.
        len: usize,
        /// Longest value accepted, in bytes.
        max: usize,
    },
    /// The batch as a whole is larger than one frame of the log. Nothing was written; split the batch.
    #[error("the batch takes {len} bytes, the limit is {max}")]
    BatchTooLarge {
        /// Encoded length of the refused batch in bytes.
        len: usize,
        /// Largest batch accepted, in bytes.
        max: usize,
    },
    /// The disk is full. Reads and deletes go on; free space or enlarge the disk, then write again.
    #[error("no space left on the device of {path}: free some space, deletes and reads still work")]
    DiskFull {
        /// File or directory being written.
        path: PathBuf,
    },
    /// A file operation failed.
    #[error("cannot {op} {path}: {source}")]
    Io {
        /// What was attempted, as a verb.
        op: &'static str,
        /// File or directory concerned.
        path: PathBuf,
        /// What the operating system said.
        source: Arc<io::Error>,
    },
    /// A file holds what no crash can explain. Run `kvs-admin verify`, then restore a backup or `repair`.
    #[error(
        "{path} is corrupt at offset {offset}: {what}; run `kvs-admin verify` on the directory"
    )]
    Corrupt {
        /// File concerned.
        path: PathBuf,
        /// Offset in bytes of the first damaged structure.
        offset: u64,
        /// What does not hold.
        what: String,
    },
    /// The directory was made by another engine. Choose that engine or another directory.
    #[error(
        "{dir} holds data of engine `{found}`, not `{wanted}`: pass `--engine {found}` or another directory"
    )]
    WrongEngine {
        /// The data directory.
        dir: PathBuf,
        /// Engine that owns the data.
        found: EngineKind,
        /// Engine that was asked for.
        wanted: EngineKind,
    },
    /// The directory holds no engine's data. Choose another directory.
    #[error("{dir} holds the data of {found}, which is no engine: pass another directory")]
    NoEngine {
        /// The data directory.
        dir: PathBuf,
        /// Who owns it.
        found: Owner,
    },
    /// The directory holds no Raft log. Choose another directory.
    #[error("{dir} holds the data of {found}, not a Raft log: choose another directory")]
    NotRaftLog {
        /// The directory.
        dir: PathBuf,
        /// Who owns it.
        found: Owner,
    },
    /// The directory was written by a newer version. Use that version.
    #[error(
        "{dir} has format {found} of {owner}, this version reads up to {supported}: use a newer version"
    )]
    NewerFormat {
        /// The data directory.
        dir: PathBuf,
        /// Whose data it is.
        owner: Owner,
        /// Format found.
        found: u32,
        /// Newest format this version reads.
        supported: u32,
    },
    /// Another process has the directory open. Stop it first.
    #[error("{dir} is in use by another process: stop it first or choose another directory")]
    Locked {
        /// The data directory.
        dir: PathBuf,
    },
    /// An earlier write or sync failed, so what is on disk is unknown. Reopen the engine; never retry.
    #[error(
        "the engine stopped writing after a failure ({cause}); restart to recover from the log"
    )]
    Poisoned {
        /// The failure that poisoned it.
        cause: String,
    },
    /// The engine keeps nothing in a directory. Give its address where the program takes one.
    #[error(
        "engine `{engine}` is in no directory: programs that offer it take its address, as in `--store tikv://127.0.0.1:2379`"
    )]
    NoDirectory {
        /// The engine.
        engine: EngineKind,
    },
    /// The program was built without the engine. Build it with the feature, or choose a directory.
    #[error(
        "{address}: this program was built without engine `tikv`: build it with `--features tikv`, or pass a directory"
    )]
    WithoutTikv {
        /// What was asked for.
        address: String,
    },
    /// The cluster does not answer. Nothing was written. Start it, or correct the address; then try again.
    #[error(
        "no answer from {address} ({cause}): is the cluster up? `kvs-node dev` starts one for development"
    )]
    Unreachable {
        /// Whom we asked.
        address: String,
        /// What the last attempt met.
        cause: String,
    },
    /// The connection failed while a batch was committed. It is there as a whole or not at all: read what it wrote once the
    /// cluster answers again, and write it anew if it is not there.
    #[error(
        "{address} did not say whether the batch is written ({cause}): read what it wrote once the cluster answers, and write it again if it is not there"
    )]
    Undetermined {
        /// Whom we asked.
        address: String,
        /// What the last attempt met.
        cause: String,
    },
    /// Others kept writing the same keys. Nothing was written; try again, or have fewer writers.
    #[error(
        "others wrote the same keys at {address} all the time, {attempts} attempts failed: nothing was written, try again"
    )]
    Contended {
        /// Whom we asked.
        address: String,
        /// How often the batch was tried.
        attempts: u32,
    },
    /// The batch changes, or its range deletions find, more keys than the engine takes. Nothing was written; split the batch,
    /// or delete parts of the range one after the other.
    #[error("the batch concerns more than {max} keys: split it, or delete the range in parts")]
    TooManyKeys {
        /// Most keys accepted.
        max: usize,
    },
    /// A failure inside an engine that is not ours (sled, fjall or tikv).
    #[error("engine `{engine}`: {message}")]
    Backend {
        /// The engine.
        engine: EngineKind,
        /// Its own words.
        message: String,
    },
}

impl Error {
    /// Wraps an I/O error; a full disk (ENOSPC, EDQUOT) becomes [`Error::DiskFull`].
    pub fn io(op: &'static str, path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull {
                path: path.to_owned(),
            },
            _ => Self::Io {
                op,
                path: path.to_owned(),
                source: Arc::new(source),
            },
        }
    }

    /// A damaged structure at `offset` of `path`.
    pub fn corrupt(path: &Path, offset: u64, what: impl Into<String>) -> Self {
        Self::Corrupt {
            path: path.to_owned(),
            offset,
            what: what.into(),
        }
    }
}
