//! `cargo xtask sol`: compiles the contracts by npm's solc, the only step that needs Node.
//!
//! `smart-contracts/compile.mjs` does the work. `--check` compiles into a temporary folder and compares, byte by byte.

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
    if !arguments.check {
        return compile(&out);
    }
    let scratch = tempfile::tempdir().map_err(|source| Error::File {
        what: "create a temporary folder beside",
        path: out.clone(),
        source,
    })?;
    compile(scratch.path())?;
    let findings = differences(&files(&out)?, &files(scratch.path())?);
    match findings.is_empty() {
        true => Ok(()),
        false => Err(Error::Findings(findings)),
    }
}

fn compile(into: &Path) -> Result<(), Error> {
    run(
        "node",
        &["smart-contracts/compile.mjs", &into.to_string_lossy()],
    )
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
