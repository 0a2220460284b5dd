//! Nodes of the replicated store as processes, and the way to ask them: shared by `faults` and `bench raft`.

pub(crate) mod node;
pub(crate) mod resp;

use std::io;
use std::path::PathBuf;
use std::process::Command;

/// Why nodes cannot be run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A file, a socket or a process.
    #[error("cannot {action}: {source}")]
    Io { action: String, source: io::Error },
    /// A program failed or did not do its part.
    #[error("`{program}`: {reason}")]
    Program { program: String, reason: String },
}

pub(crate) type Result<T> = std::result::Result<T, Error>;

/// For `map_err`: says what was being done.
pub(crate) fn doing(action: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
    let action = action.into();
    move |source| Error::Io { action, source }
}

/// Builds a program of the workspace, optimised, and says where it is.
pub(crate) fn build(program: &str) -> Result<PathBuf> {
    build_target("--bin", program, program)
}

/// As [`build`] for an example.
pub(crate) fn build_example(example: &str) -> Result<PathBuf> {
    build_target("--example", example, &format!("examples/{example}"))
}

fn build_target(kind: &str, program: &str, place: &str) -> Result<PathBuf> {
    let failed = |reason: &str| Error::Program {
        program: program.into(),
        reason: reason.into(),
    };
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let status = Command::new(cargo)
        // Of the whole workspace, so that all programs share what they are built from.
        .args(["build", "--release", "--quiet", "--workspace"])
        .args([kind, program])
        .current_dir(crate::run::root())
        .status()
        .map_err(doing("run cargo"))?;
    if !status.success() {
        return Err(failed("it could not be built"));
    }
    // This program lies in `debug` or `release` of the build folder.
    let own = std::env::current_exe().map_err(doing("find this program"))?;
    let path = own
        .parent()
        .and_then(|profile| profile.parent())
        .map(|build| build.join("release").join(place));
    match path {
        Some(path) if path.exists() => Ok(path),
        _ => Err(failed("it is not where it should be after building it")),
    }
}
