//! What can go wrong, each with what to do about it.

use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("there is no statement `{0}`: `zk-prove list` shows those there are")]
    UnknownStatement(String),
    #[error("cannot {op} {}: {source}", path.display())]
    Io {
        op: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("{} is not text", .0.display())]
    NotText(PathBuf),
    #[error("{} exists: choose another name, or move it away", .0.display())]
    Exists(PathBuf),
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
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

    /// What was asked for cannot be, so nothing was tried.
    pub(crate) fn is_misuse(&self) -> bool {
        matches!(self, Self::UnknownStatement(_))
    }
}
