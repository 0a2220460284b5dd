//! `cargo xtask fix`: formatting, and the fixes that clippy is sure of.

use crate::run::{Error, run};

/// Changes the working tree; works with uncommitted changes.
pub(crate) fn fix() -> Result<(), Error> {
    run(
        "cargo",
        &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--fix",
            "--allow-dirty",
            "--allow-staged",
        ],
    )?;
    run("cargo", &["fmt", "--all"])
}
