//! `cargo xtask sol`: compiles the contracts by npm's solc, the only step that needs Node.
//!
//! `smart-contracts/compile.mjs` does the work, in a temporary folder. Then `smart-contracts/out` is made to be the same, or, with
//! `--check`, compared byte by byte. In both, a file that comes from no source any more is noticed.

use std::collections::BTreeMap;
use std::path::Path;

use crate::run::{Error, root, run};

/// Arguments of the verb.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Change nothing; fail if `smart-contracts/out` is not what its sources compile to
    #[arg(long)]
    check: bool,
}

/// Compiles, or compares.
pub(crate) fn run_verb(arguments: &Arguments) -> Result<(), Error> {
    let out = root().join("smart-contracts/out");
    let scratch = tempfile::tempdir().map_err(|source| Error::File {
        what: "create a temporary folder beside",
        path: out.clone(),
        source,
    })?;
    let compiler = "smart-contracts/compile.mjs";
    run("node", &[compiler, &scratch.path().to_string_lossy()])?;
    let compiled = files(scratch.path())?;
    if !arguments.check {
        return replace(&out, &compiled);
    }
    let findings = differences(&files(&out)?, &compiled);
    match findings.is_empty() {
        true => Ok(()),
        false => Err(Error::Findings(findings)),
    }
}

/// Makes a folder hold these files and no others.
fn replace(folder: &Path, wanted: &BTreeMap<String, Vec<u8>>) -> Result<(), Error> {
    for name in files(folder)?.keys() {
        if !wanted.contains_key(name) {
            let path = folder.join(name);
            std::fs::remove_file(&path).map_err(|source| Error::File {
                what: "delete",
                path,
                source,
            })?;
        }
    }
    for (name, bytes) in wanted {
        let path = folder.join(name);
        std::fs::write(&path, bytes).map_err(|source| Error::Write { path, source })?;
    }
    Ok(())
}

fn files(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>, Error> {
    let cannot = |source| Error::Read {
        path: folder.to_owned(),
        source,
    };
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        files.insert(name, std::fs::read(entry.path()).map_err(cannot)?);
    }
    Ok(files)
}

fn differences(
    checked_in: &BTreeMap<String, Vec<u8>>,
    compiled: &BTreeMap<String, Vec<u8>>,
) -> Vec<String> {
    let mut findings = Vec::new();
    for (name, bytes) in compiled {
        match checked_in.get(name) {
            None => findings.push(format!("smart-contracts/out/{name} is missing")),
            Some(found) if found != bytes => {
                findings.push(format!(
                    "smart-contracts/out/{name} is not what its sources compile to"
                ));
            }
            Some(_) => {}
        }
    }
    let extra = checked_in
        .keys()
        .filter(|name| !compiled.contains_key(*name));
    findings.extend(extra.map(|name| format!("smart-contracts/out/{name} comes from no source")));
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_holds_what_was_compiled_and_nothing_that_was_left_over() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["Changed", "Gone"] {
            std::fs::write(folder.path().join(name), "old").unwrap();
        }
        let wanted = BTreeMap::from([
            ("Changed".to_owned(), b"new".to_vec()),
            ("New".to_owned(), Vec::new()),
        ]);
        replace(folder.path(), &wanted).unwrap();
        assert_eq!(files(folder.path()).unwrap(), wanted);
    }

    #[test]
    fn what_is_missing_changed_or_left_over_is_named() {
        let of = |pairs: &[(&str, &str)]| -> BTreeMap<String, Vec<u8>> {
            let pairs = pairs.iter();
            pairs
                .map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec()))
                .collect()
        };
        let compiled = of(&[("A", "1"), ("B", "2"), ("C", "3")]);
        assert!(differences(&compiled, &compiled).is_empty());
        let findings = differences(&of(&[("A", "1"), ("B", "x"), ("D", "4")]), &compiled);
        assert_eq!(findings.len(), 3);
        for (finding, name) in findings.iter().zip(["out/B ", "out/C ", "out/D "]) {
            assert!(finding.contains(name), "{finding}");
        }
    }
}
