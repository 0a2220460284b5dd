//! What can go wrong, each with what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use ark_relations::gr1cs::SynthesisError;
use mixer::{MixerError, TextError};
use proof::audit::AuditError;
use proof::files::binary::FormatError;
use proof::files::json::JsonError;
use proof::key::{FolderError, KeyError};
use proof::private_file::PrivateFileError;
use proof::prove::ProveError;
use proof::setup::SetupError;
use proof::setup::powers::PrepareError;
use proof::statement::InputError;
use proof::verify::{VerifierError, VerifyError};
use smart_contracts::chain::{CallError, ChainFileError};

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
    #[error("{} exists: choose another name, or move it away", .0.display())]
    Exists(PathBuf),
    #[error("{} is no file that this program knows: .r1cs, .wtns, .zkey, .ptau, or a proof, public inputs or a verification key in JSON", .0.display())]
    UnknownFile(PathBuf),
    #[error("{}: {source}", path.display())]
    Format { path: PathBuf, source: FormatError },
    #[error("{}: {source}", path.display())]
    Json { path: PathBuf, source: JsonError },
    #[error("input: {0}")]
    Input(#[from] InputError),
    #[error(transparent)]
    Private(#[from] PrivateFileError),
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error("the key must not be used: {0}")]
    Key(#[from] KeyError),
    #[error(transparent)]
    Verifier(#[from] VerifierError),
    #[error("nothing was proved: {0}")]
    Prove(#[from] ProveError),
    #[error("the circuit cannot be built: {0}")]
    Synthesis(SynthesisError),
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error("{} is not text", .0.display())]
    NotText(PathBuf),
    #[error("{}: {source}", path.display())]
    Note { path: PathBuf, source: TextError },
    #[error(transparent)]
    Mixer(#[from] MixerError),
    #[error("{} does not hold names and addresses of contracts: move the directory away to begin anew", .0.display())]
    Contracts(PathBuf),
    #[error(transparent)]
    Chain(#[from] ChainFileError),
    #[error("the contract did not take it: {0}")]
    Call(#[from] CallError),
    #[error(transparent)]
    Contract(#[from] smart_contracts::verifier::VerifierError),
    #[error(transparent)]
    Storage(#[from] storage::Error),
    #[error("the proof that was just made is refused: {0}")]
    Verify(#[from] VerifyError),
    #[error("the beacon's value is not an even number of hexadecimal digits")]
    BeaconValue,
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

    pub(crate) fn format(path: &Path) -> impl FnOnce(FormatError) -> Self {
        move |source| Self::Format {
            path: path.to_owned(),
            source,
        }
    }

    pub(crate) fn json(path: &Path) -> impl FnOnce(JsonError) -> Self {
        move |source| Self::Json {
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
        matches!(self, Self::UnknownStatement(_) | Self::BeaconValue)
    }
}
