//! Running snarkjs, if it is there.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// snarkjs' program, or a line that says why there is none.
pub(crate) fn snarkjs() -> Option<PathBuf> {
    let modules = std::env::var_os("KEYPROOF_NODE_MODULES")
        .map_or_else(|| PathBuf::from("../node_modules"), PathBuf::from);
    let program = modules.join("snarkjs/build/cli.cjs");
    let node = Command::new("node").arg("--version").output();
    let missing = match (node, program.is_file()) {
        (Ok(output), true) if output.status.success() => return fs::canonicalize(program).ok(),
        (Ok(_), false) => "snarkjs is not installed (npm ci in zk-projects)",
        _ => "node is not installed",
    };
    // Past the capture of tests that pass: it must be seen.
    let line = format!("SKIPPED: {missing}: exchange of files with snarkjs\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    None
}

/// Runs snarkjs in a folder.
pub(crate) fn run(program: &Path, folder: &Path, arguments: &[&str]) -> Output {
    Command::new("node")
        .arg(program)
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

/// Runs snarkjs in a folder, where it must succeed. Returns what it printed.
pub(crate) fn succeeds(program: &Path, folder: &Path, arguments: &[&str]) -> String {
    let output = run(program, folder, arguments);
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{arguments:?}: {said}");
    said
}
