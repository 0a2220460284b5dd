//! What `cargo metadata` says of the workspace, as far as the rules need it.

use std::path::PathBuf;

use serde::Deserialize;

use crate::run::{Error, output};

/// The crates of the workspace.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
}

/// One crate.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Its `Cargo.toml`.
    pub(crate) manifest_path: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) targets: Vec<Target>,
}

/// One dependency of a crate, of the workspace or not.
#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `dev`, `build`, or nothing for an ordinary one.
    pub(crate) kind: Option<String>,
    /// Where it lies, for those of the workspace.
    pub(crate) path: Option<String>,
}

/// A library, program, example, test or benchmark.
#[derive(Debug, Deserialize)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) kind: Vec<String>,
}

impl Metadata {
    /// Asks cargo, without the network: dependencies of dependencies are left out.
    pub(crate) fn read() -> Result<Self, Error> {
        let json = output("cargo", &["metadata", "--format-version=1", "--no-deps"])?;
        serde_json::from_slice(&json).map_err(|source| Error::Output {
            program: "cargo metadata".to_owned(),
            source,
        })
    }
}
