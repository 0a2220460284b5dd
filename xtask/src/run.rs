//! Running other programs from the root of the workspace, and what can go wrong.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

/// Why a verb failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Rules that do not hold, one line each.
    #[error("{} rule(s) do not hold", .0.len())]
    Findings(Vec<String>),
    /// A program could not be started.
    #[error("cannot run `{program}`: {source}")]
    Start { program: String, source: io::Error },
    /// A program failed; its own output says why.
    #[error("`{program}` failed: {status}")]
    Failed { program: String, status: ExitStatus },
    /// A file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// A file could not be made to be as wanted.
    #[error("cannot {what} {}: {source}", path.display())]
    File {
        what: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// A program said something unexpected.
    #[error("cannot understand the output of `{program}`: {source}")]
    Output {
        program: String,
        source: serde_json::Error,
    },
    /// A file could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    /// A measurement failed.
    #[error(transparent)]
    Bench(#[from] crate::bench::Error),
    /// Nodes could not be run.
    #[error(transparent)]
    Cluster(#[from] crate::cluster::Error),
}

/// The folder of the workspace's `Cargo.toml`.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies in a folder of the workspace")
}

/// The whole check. The list of its steps lives in the script alone, so that there is one.
pub(crate) fn check() -> Result<(), Error> {
    run(".ci/run", &[])
}

/// Runs a program in the root, with its output going where ours goes.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<(), Error> {
    let status = command(program, arguments)
        .status()
        .map_err(|source| start_error(program, source))?;
    succeeded(program, status)
}

/// Runs a program in the root and returns what it prints.
pub(crate) fn output(program: &str, arguments: &[&str]) -> Result<Vec<u8>, Error> {
    let output = command(program, arguments)
        .stderr(std::process::Stdio::inherit())
        .output()
        .map_err(|source| start_error(program, source))?;
    succeeded(program, output.status)?;
    Ok(output.stdout)
}

/// Reads a file of the workspace as text.
pub(crate) fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(root().join(path)).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })
}

/// Fails with `findings` if there are any.
pub(crate) fn report(findings: Vec<String>) -> Result<(), Error> {
    if findings.is_empty() {
        Ok(())
    } else {
        Err(Error::Findings(findings))
    }
}

fn command(program: &str, arguments: &[&str]) -> Command {
    // A path is meant from the root; a bare name is looked up as usual.
    let mut command = if program.contains('/') {
        Command::new(root().join(program))
    } else {
        Command::new(program)
    };
    command.args(arguments).current_dir(root());
    command
}

fn succeeded(program: &str, status: ExitStatus) -> Result<(), Error> {
    if status.success() {
        return Ok(());
    }
    Err(Error::Failed {
        program: program.to_owned(),
        status,
    })
}

fn start_error(program: &str, source: io::Error) -> Error {
    Error::Start {
        program: program.to_owned(),
        source,
    }
}
