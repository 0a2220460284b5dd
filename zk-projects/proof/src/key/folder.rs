//! The keys of a statement on disk.
//!
//! A folder holds three files, written once and never overwritten:
//!
//! | file | for whom |
//! |---|---|
//! | `NAME.zkey` | whoever proves; snarkjs reads it too |
//! | `verification_key.json` | whoever verifies, with this program or with snarkjs |
//! | `manifest.json` | both: what the other two files are |
//!
//! The manifest names the statement, its public inputs with their ranges, and digests: of both files, and of the circuit's constraints
//! ([`R1cs::digest`]). Loading compares all of it with the statement as the program has it now, so that a key from before the circuit
//! was changed, or of another statement, is refused with what differs. A and B of the key are compared with those of the circuit
//! too; C is not in a key, for it the manifest must be believed, or the ceremony verified.
//!
//! The manifest also says whether the key is a demonstration: made by one machine that may know how to forge.

use std::fmt::Display;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{KeyError, ProvingKey, Remembered, Side, VerifyingKey};
use crate::digest::Digest;
use crate::files::binary::FormatError;
use crate::files::json::{self, JsonError};
use crate::files::zkey;
use crate::prove::Prover;
use crate::r1cs::{R1cs, Term, canonical};
use crate::statement::{Range, Statement};

/// The version of the manifest.
const FORMAT: u32 = 1;
const MANIFEST: &str = "manifest.json";
const VERIFICATION_KEY: &str = "verification_key.json";

/// How a key came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// On one machine, which could keep the secrets: for demonstrations and tests only.
    Demo,
    /// From powers of tau and contributions of several.
    Ceremony,
}

/// What the files of a folder are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the manifest.
    pub format: u32,
    /// Name of the statement.
    pub statement: String,
    /// How the key came about.
    pub origin: Origin,
    /// How many contributions to delta it records.
    pub contributions: usize,
    /// The public inputs in order.
    pub public_inputs: Vec<ManifestInput>,
    /// Digest of the circuit's constraints.
    pub circuit: Digest,
    /// Digest of the file `NAME.zkey`.
    pub zkey: Digest,
    /// Digest of the file `verification_key.json`.
    pub verification_key: Digest,
}

/// A public input in a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestInput {
    /// Its name.
    pub name: String,
    /// Which values it may have.
    pub range: Range,
}

/// A folder of keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The operating system says no.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
    /// No keys are there, or not all of them.
    #[error("there are no keys in {}: make some first (`setup`), or name another directory", .0.display())]
    NoKeys(PathBuf),
    /// Something is there already.
    #[error("{path} is there already and is not overwritten: proofs and contracts may depend on it", path = .0.display())]
    Exists(PathBuf),
    /// A JSON file is malformed.
    #[error("{}: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: JsonError,
    },
    /// The `.zkey` is malformed.
    #[error("{}: {source}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: FormatError,
    },
    /// The key must not be used.
    #[error("{}: {source}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        source: KeyError,
    },
    /// The key is stale, or of something else.
    #[error("{}: {what}: {found}, but this program has {expected}: the key is from before a change, or of something else", path.display())]
    Differs {
        /// The file.
        path: PathBuf,
        /// What differs.
        what: &'static str,
        /// What the file has.
        found: String,
        /// What it should have.
        expected: String,
    },
}

/// A folder that holds the keys of one statement.
#[derive(Debug, Clone)]
pub struct KeyFolder {
    folder: PathBuf,
}

impl KeyFolder {
    /// Names a folder; nothing is read yet.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    /// Where the proving key of the statement `S` is.
    #[must_use]
    pub fn zkey_path<S: Statement>(&self) -> PathBuf {
        self.folder.join(S::NAME).with_extension("zkey")
    }

    /// Where the verification key is.
    #[must_use]
    pub fn verification_key_path(&self) -> PathBuf {
        self.folder.join(VERIFICATION_KEY)
    }

    /// Where the manifest is.
    #[must_use]
    pub fn manifest_path(&self) -> PathBuf {
        self.folder.join(MANIFEST)
    }

    /// Writes the key of a statement whose constraints are `r1cs`. The manifest comes last: a folder without one is unfinished.
    ///
    /// # Errors
    ///
    /// [`FolderError`]; nothing is overwritten.
    pub fn write<S: Statement>(
        &self,
        key: &ProvingKey,
        r1cs: &R1cs,
        origin: Origin,
    ) -> Result<Manifest, FolderError> {
        let path = self.zkey_path::<S>();
        let unusable = |source| FolderError::Key {
            path: path.clone(),
            source,
        };
        key.check().map_err(unusable)?;
        check_fits(key, r1cs, &path)?;
        fs::create_dir_all(&self.folder).map_err(|source| failed(&self.folder, source))?;
        let mut bytes = Vec::new();
        zkey::write(key, &mut bytes).map_err(|source| failed(&path, source))?;
        let text = json::write_verifying_key(&key.verifying).map_err(unusable)?;
        let manifest = Manifest {
            origin,
            contributions: key.ceremony.contributions.len(),
            zkey: Digest::of(&bytes),
            verification_key: Digest::of(text.as_bytes()),
            ..expected::<S>(r1cs)
        };
        write_new(&path, &bytes)?;
        write_new(&self.verification_key_path(), text.as_bytes())?;
        let mut text =
            serde_json::to_string_pretty(&manifest).expect("a manifest is texts and numbers");
        text.push('\n');
        write_new(&self.manifest_path(), text.as_bytes())?;
        Ok(manifest)
    }

    /// Loads a key to prove with. The points' subgroup is checked unless `remembered` knows the file.
    ///
    /// # Errors
    ///
    /// [`FolderError`].
    pub fn load_prover<S: Statement>(
        &self,
        r1cs: &R1cs,
        remembered: &Remembered,
    ) -> Result<(Prover, Manifest), FolderError> {
        let manifest = self.load_manifest::<S>(r1cs)?;
        let path = self.zkey_path::<S>();
        let bytes = fs::read(&path).map_err(|source| failed(&path, source))?;
        same(
            &path,
            "digest of the file",
            &Digest::of(&bytes),
            &manifest.zkey,
        )?;
        let key = zkey::read(&bytes).map_err(|source| FolderError::Format {
            path: path.clone(),
            source,
        })?;
        same(
            &path,
            "contributions",
            &key.ceremony.contributions.len(),
            &manifest.contributions,
        )?;
        let unusable = |source| FolderError::Key {
            path: path.clone(),
            source,
        };
        let prover = Prover::with_subgroup_checked(key).map_err(unusable)?;
        let key = prover.key();
        check_fits(key, r1cs, &path)?;
        if !remembered.holds(&manifest.zkey) {
            key.check_subgroup().map_err(unusable)?;
            remembered.add(&manifest.zkey);
        }
        Ok((prover, manifest))
    }

    /// Loads what a verifier needs; the `.zkey` need not be there.
    ///
    /// # Errors
    ///
    /// [`FolderError`].
    pub fn load_verifying<S: Statement>(
        &self,
        r1cs: &R1cs,
    ) -> Result<(VerifyingKey, Manifest), FolderError> {
        let manifest = self.load_manifest::<S>(r1cs)?;
        let path = self.verification_key_path();
        let bytes = fs::read(&path).map_err(|source| failed(&path, source))?;
        same(
            &path,
            "digest of the file",
            &Digest::of(&bytes),
            &manifest.verification_key,
        )?;
        let key = json::read_verifying_key(&bytes).map_err(|source| FolderError::Json {
            path: path.clone(),
            source,
        })?;
        same(
            &path,
            "public inputs",
            &key.public(),
            &S::PUBLIC_INPUTS.len(),
        )?;
        key.check()
            .map_err(|source| FolderError::Key { path, source })?;
        Ok((key, manifest))
    }

    fn load_manifest<S: Statement>(&self, r1cs: &R1cs) -> Result<Manifest, FolderError> {
        let path = self.manifest_path();
        let bytes = fs::read(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => FolderError::NoKeys(self.folder.clone()),
            _ => failed(&path, source),
        })?;
        let manifest: Manifest =
            json::read_document("manifest", &bytes).map_err(|source| FolderError::Json {
                path: path.clone(),
                source,
            })?;
        let expected = expected::<S>(r1cs);
        same(&path, "format", &manifest.format, &expected.format)?;
        same(&path, "statement", &manifest.statement, &expected.statement)?;
        same(
            &path,
            "public inputs",
            &list(&manifest.public_inputs),
            &list(&expected.public_inputs),
        )?;
        same(&path, "circuit", &manifest.circuit, &expected.circuit)?;
        Ok(manifest)
    }
}

/// The manifest of `S` as it is now; what depends on a key is left open.
fn expected<S: Statement>(r1cs: &R1cs) -> Manifest {
    let input = |input: &crate::statement::PublicInput| ManifestInput {
        name: input.name.to_owned(),
        range: input.range,
    };
    Manifest {
        format: FORMAT,
        statement: S::NAME.to_owned(),
        origin: Origin::Demo,
        contributions: 0,
        public_inputs: S::PUBLIC_INPUTS.iter().map(input).collect(),
        circuit: r1cs.digest(),
        zkey: Digest::of(&[]),
        verification_key: Digest::of(&[]),
    }
}

fn list(inputs: &[ManifestInput]) -> String {
    let inputs: Vec<_> = inputs
        .iter()
        .map(|input| format!("{} ({})", input.name, input.range))
        .collect();
    inputs.join(", ")
}

/// Whether A and B of a checked key are those of the constraints.
fn check_fits(key: &ProvingKey, r1cs: &R1cs, path: &Path) -> Result<(), FolderError> {
    same(path, "wires", &key.wires, &r1cs.wires)?;
    same(
        path,
        "public inputs",
        &key.public(),
        &(r1cs.public() as usize),
    )?;
    same(path, "constraints", &key.constraints(), &r1cs.constraints())?;
    let mut rows = vec![[Vec::new(), Vec::new()]; key.domain_size as usize];
    for term in &key.coefficients {
        let [a, b] = &mut rows[term.constraint as usize];
        let row = match term.side {
            Side::A => a,
            Side::B => b,
        };
        row.push(Term {
            wire: term.wire,
            coefficient: term.value,
        });
    }
    let of_circuit = r1cs.a.rows().zip(r1cs.b.rows());
    let differs = rows
        .iter()
        .zip(of_circuit)
        .position(|([key_a, key_b], (a, b))| {
            canonical(key_a) != canonical(a) || canonical(key_b) != canonical(b)
        });
    match differs {
        None => Ok(()),
        Some(row) => Err(FolderError::Differs {
            path: path.to_owned(),
            what: "constraints",
            found: format!("another constraint {row}"),
            expected: "its own".to_owned(),
        }),
    }
}

fn same<T: PartialEq + Display>(
    path: &Path,
    what: &'static str,
    found: &T,
    expected: &T,
) -> Result<(), FolderError> {
    if found == expected {
        return Ok(());
    }
    Err(FolderError::Differs {
        path: path.to_owned(),
        what,
        found: found.to_string(),
        expected: expected.to_string(),
    })
}

fn failed(path: &Path, source: io::Error) -> FolderError {
    match source.kind() {
        io::ErrorKind::AlreadyExists => FolderError::Exists(path.to_owned()),
        _ => FolderError::Io {
            path: path.to_owned(),
            source,
        },
    }
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<(), FolderError> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|source| failed(path, source))
}
