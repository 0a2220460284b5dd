//! What can go wrong, each with what to do about it.

use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{0}")]
    Storage(#[from] storage::Error),
    #[error("{error}; `kvs-admin repair {}` salvages what is intact", dir.display())]
    Damaged { dir: PathBuf, error: storage::Error },
    #[error(
        "{} is damaged ({findings} findings), so nothing was copied: see `kvs-admin verify`, then repair it or use another copy",
        from.display()
    )]
    DamagedSource { from: PathBuf, findings: usize },
    #[error("{} exists and is not empty: choose another directory, or move it away", .0.display())]
    NotEmpty(PathBuf),
    #[error(
        "{} is there from a copy that was interrupted, or is under way: delete it if no other kvs-admin runs",
        .0.display()
    )]
    Interrupted(PathBuf),
    #[error("cannot {op} {}: {source}", path.display())]
    Io {
        op: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
    #[error("{0} keys are no RESP strings and were left out: use `--raw` to see them")]
    ForeignKeys(u64),
    #[error("{0}")]
    Cluster(#[from] kvstore_raft::AdminError),
    #[error("{0}")]
    Token(#[from] kvstore_raft::TokenError),
    #[error("{0}")]
    Tls(#[from] kvstore_raft::TlsError),
    #[error("{0}")]
    Node(#[from] kvstore_raft::RunError),
    #[error("{} is not a backup of a replicated store: {why}", file.display())]
    NoBackup { file: PathBuf, why: String },
    #[error("{} exists: choose another name, or move it away", .0.display())]
    Exists(PathBuf),
    #[error("the backup broke off ({0}); nothing was kept, try again")]
    BrokenOff(String),
    #[error("{0}; use `--raw` to see the bytes")]
    Undecodable(#[from] commands::Error),
}

impl Failure {
    pub(crate) fn io(op: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            op,
            path: path.to_owned(),
            source,
        }
    }

    /// Whoever read the output has seen enough; no failure.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// The files named on the command line cannot be used, so nothing was tried.
    pub(crate) fn is_misuse(&self) -> bool {
        matches!(self, Self::Token(_) | Self::Tls(_))
    }

    /// Adds to corruption what can be done about it.
    pub(crate) fn of(dir: &Path) -> impl Fn(storage::Error) -> Self {
        move |error| match error {
            storage::Error::Corrupt { .. } => Self::Damaged {
                dir: dir.to_owned(),
                error,
            },
            error => Self::Storage(error),
        }
    }
}
