//! `cargo xtask tidy`: sizes of files and functions, unique names, links in Markdown, planted bugs that still apply.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::metadata::Metadata;
use crate::run::{Error, output, read, report, root};
use crate::{links, names, planted, sizes};

/// Checks every file that git tracks or would track.
pub(crate) fn run() -> Result<(), Error> {
    let metadata = Metadata::read()?;
    let mut findings = names::findings(&metadata);
    findings.extend(planted::findings(&metadata)?);
    for file in files()? {
        match file.extension().and_then(OsStr::to_str) {
            Some("rs") => findings.extend(sizes::findings(&file, &read(&file)?)),
            Some("md") => findings.extend(links::findings(&file, &read(&file)?, content)),
            _ => {}
        }
    }
    report(findings)
}

/// Files of the working tree, ignored ones aside, from the root.
pub(crate) fn files() -> Result<Vec<PathBuf>, Error> {
    let listing = output(
        "git",
        &[
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ],
    )?;
    Ok(String::from_utf8_lossy(&listing)
        .split_terminator('\0')
        .map(PathBuf::from)
        // A deletion that is not committed yet leaves a name without a file.
        .filter(|file| root().join(file).exists())
        .collect())
}

fn content(path: &Path) -> Option<String> {
    let path = root().join(path);
    path.exists()
        .then(|| std::fs::read_to_string(path).unwrap_or_default())
}
