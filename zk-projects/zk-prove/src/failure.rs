//! What can go wrong, each with what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use ark_relations::gr1cs::SynthesisError;
use merkle_proof::{GroupError, LeavesError};
use mixer::{MixerError, TextError};
use password_verifier::{ClientError, LoginError};
use proof::audit::AuditError;
use proof::circom::CircomError;
use proof::decimal::NumberError;
use proof::files::binary::FormatError;
use proof::files::json::JsonError;
use proof::key::{FolderError, KeyError};
use proof::private_file::PrivateFileError;
use proof::prove::ProveError;
use proof::setup::SetupError;
use proof::setup::powers::PrepareError;
use proof::setup::verify::InvalidKey;
use proof::solidity::ExportError;
use proof::statement::InputError;
use proof::verify::{VerifierError, VerifyError};
use smart_contracts::chain::{CallError, ChainFileError};
use token_transfer::WalletError;

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
    #[error("{} is in use by another zk-prove: try again when it is done", .0.display())]
    InUse(PathBuf),
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
    #[error("{}: {source}", path.display())]
    Ceremony { path: PathBuf, source: InvalidKey },
    #[error("{}: {source}", path.display())]
    Circom { path: PathBuf, source: CircomError },
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error("{} is not text", .0.display())]
    NotText(PathBuf),
    #[error("{}: {source}", path.display())]
    Text { path: PathBuf, source: TextError },
    #[error("{}: {source}", path.display())]
    Leaves { path: PathBuf, source: LeavesError },
    #[error("the password or the key file is wrong; nothing was sent")]
    WrongPassword,
    #[error("no password was given: type it at the prompt, or name a file with --password-file")]
    NoPassword,
    #[error("the prompt cannot be used: {0}; name a file with --password-file")]
    Prompt(io::Error),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Login(#[from] LoginError),
    #[error(transparent)]
    Group(#[from] GroupError),
    #[error(transparent)]
    Wallet(#[from] WalletError),
    #[error(
        "{0} is neither a wallet's address nor an account of the chain (0x and 40 hexadecimal digits)"
    )]
    Receiver(String),
    #[error("{0}: not a number of the field: {1}")]
    Number(String, NumberError),
    #[error(transparent)]
    Solidity(#[from] ExportError),
    #[error(transparent)]
    Mixer(#[from] MixerError),
    #[error("{} does not hold names and addresses of contracts: move the directory away to begin anew", .0.display())]
    Contracts(PathBuf),
    #[error("{} does not say where stores are: restore it from a backup", .0.display())]
    Stores(PathBuf),
    #[error("--store: {0}")]
    Store(#[from] storage::tikv::AddressError),
    #[error("--store: {store} has data of its own already, of another directory or an older copy of this one's. {} keeps it in {current}: name that, or a place where nothing is", directory.display())]
    StoreTaken {
        store: storage::Location,
        current: storage::Location,
        directory: PathBuf,
    },
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

    pub(crate) fn text(path: &Path) -> impl FnOnce(TextError) -> Self {
        move |source| Self::Text {
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
        matches!(
            self,
            Self::UnknownStatement(_) | Self::BeaconValue | Self::Receiver(_) | Self::Number(..)
        )
    }
}
