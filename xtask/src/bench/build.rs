//! Building the programs that are measured as processes.

use std::path::PathBuf;
use std::process::Command;

use super::error::{Error, Result, doing};

/// Builds `program` with the profile of this program and says where it is. The features of dependencies are those that all of
/// `packages` need together.
pub(crate) fn build(packages: &[&str], program: &str) -> Result<PathBuf> {
    let failed = |reason: &str| Error::Program {
        program: program.into(),
        reason: reason.into(),
    };
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--bin", program]);
    for package in packages {
        command.args(["--package", package]);
    }
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let status = command.current_dir(crate::run::root()).status();
    if !status.map_err(doing("run cargo"))?.success() {
        return Err(failed("it could not be built"));
    }
    let own = std::env::current_exe().map_err(doing("find this program"))?;
    let program = own.with_file_name(program);
    match program.exists() {
        true => Ok(program),
        false => Err(failed("it is not beside this program after building it")),
    }
}
