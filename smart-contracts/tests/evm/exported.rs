//! The exported source, compiled by solc, is the contract that is deployed without a compiler. Needs Node and `npm ci` here, and says
//! so where they are missing.

use std::path::{Path, PathBuf};
use std::process::Command;

use alloy_primitives::{U256, hex};
use alloy_sol_types::SolCall;
use proof::key::{Origin, VerifyingKey};
use proof::solidity::{self, ExportError};
use smart_contracts::abi::Verifier;
use smart_contracts::chain::CallError;
use smart_contracts::verifier::{MOST_INPUTS, creation_code};

use crate::support::{ALICE, Prover, arbitrary, new_chain, number};

const NAMES: [&str; 12] = [
    "root",
    "nullifier_hash",
    "context",
    "signal",
    "e",
    "f",
    "g",
    "h",
    "i",
    "j",
    "k",
    "l",
];

/// The directory of solc, or a word to the reader of the test's output.
fn modules() -> Option<PathBuf> {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("node_modules");
    let modules = std::env::var_os("KEYPROOF_NODE_MODULES").map_or(here, PathBuf::from);
    let node = Command::new("node").arg("--version").output().is_ok();
    if node && modules.join("solc").exists() {
        return Some(modules);
    }
    eprintln!("SKIPPED: needs node, and solc in {}", modules.display());
    None
}

fn compile(modules: &Path, sources: &[String]) -> Vec<Vec<u8>> {
    let directory = tempfile::tempdir().unwrap();
    let contracts = directory.path().join("contracts");
    std::fs::create_dir(&contracts).unwrap();
    for (index, source) in sources.iter().enumerate() {
        std::fs::write(contracts.join(format!("V{index}.sol")), source).unwrap();
    }
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("compile.mjs");
    std::fs::copy(script, directory.path().join("compile.mjs")).unwrap();
    let out = directory.path().join("out");
    let ran = Command::new("node")
        .arg(directory.path().join("compile.mjs"))
        .arg(&out)
        .env("KEYPROOF_NODE_MODULES", modules)
        .output()
        .unwrap();
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    (0..sources.len())
        .map(|index| {
            let json = std::fs::read(out.join(format!("V{index}.json"))).unwrap();
            let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
            hex::decode(json["creation"].as_str().unwrap()).unwrap()
        })
        .collect()
}

fn exported(keys: &[VerifyingKey], origin: Origin) -> Vec<String> {
    keys.iter()
        .enumerate()
        .map(|(index, key)| {
            let names = &NAMES[..key.ic.len() - 1];
            solidity::export(key, origin, &format!("V{index}"), names).unwrap()
        })
        .collect()
}

/// A key without a coordinate that begins with a zero byte, for which solc pushes fewer bytes.
fn without_short_words(inputs: usize) -> VerifyingKey {
    let keys = (1..).map(|seed| Prover::with_seed(inputs, seed).verifying_key());
    let mut full = keys.filter(|key| {
        let words = solidity::words(key, Origin::Demo).unwrap();
        words.iter().all(|word| word[0] != 0)
    });
    full.next().unwrap()
}

#[test]
fn solc_makes_of_an_exported_source_the_bytes_that_are_deployed_without_it() {
    let Some(modules) = modules() else { return };
    let keys: Vec<_> = (1..=MOST_INPUTS).map(without_short_words).collect();
    let sources = exported(&keys, Origin::Demo);
    for (code, key) in compile(&modules, &sources).iter().zip(&keys) {
        assert!(*code == creation_code(key, Origin::Demo).unwrap());
    }
}

#[test]
fn an_exported_verifier_does_what_the_one_deployed_without_solc_does() {
    let Some(modules) = modules() else { return };
    let keys: Vec<_> = (1..=MOST_INPUTS)
        .map(|n| Prover::of(n).verifying_key())
        .collect();
    let sources = exported(&keys, Origin::Ceremony);
    for (code, key) in compile(&modules, &sources).iter().zip(&keys) {
        let mut chain = new_chain();
        let exported = chain.deploy(ALICE, code, &[]).unwrap().created;
        let patched = creation_code(key, Origin::Ceremony).unwrap();
        let patched = chain.deploy(ALICE, &patched, &[]).unwrap().created;
        let count = key.ic.len() - 1;
        let inputs: Vec<U256> = (0..count as u64).map(arbitrary).collect();
        let proof = Prover::of(count).prove(&inputs);
        let numbers: Vec<_> = inputs.iter().copied().map(number).collect();
        let good = solidity::calldata(&proof, &numbers);
        let mut calls = vec![good.clone(), good[..good.len() - 1].to_vec()];
        calls.push(Verifier::keyHashCall {}.abi_encode());
        calls.push(Verifier::setupCall {}.abi_encode());
        // Each byte of proof and inputs that makes a different kind of wrong.
        for at in (4..good.len()).step_by(32) {
            for (byte, value) in [(at, 0xff), (at + 31, good[at + 31] ^ 1)] {
                let mut bad = good.clone();
                bad[byte] = value;
                calls.push(bad);
            }
        }
        for data in calls {
            let outcomes = [exported, patched].map(|to| {
                let outcome = chain.send(ALICE, to, U256::ZERO, data.clone().into());
                outcome
                    .map(|receipt| receipt.returned)
                    .map_err(|error| match error {
                        CallError::Reverted { data, .. } => data,
                        other => panic!("{other}"),
                    })
            });
            assert_eq!(outcomes[0], outcomes[1]);
        }
    }
}

#[test]
fn a_verifier_of_many_inputs_and_one_of_none_are_exported_and_work() {
    let Some(modules) = modules() else { return };
    let counts = [0, 8, 9, 12];
    let keys = counts.map(|count| Prover::of(count).verifying_key());
    let sources = exported(&keys, Origin::Ceremony);
    for (code, count) in compile(&modules, &sources).iter().zip(counts) {
        let mut chain = new_chain();
        let verifier = chain.deploy(ALICE, code, &[]).unwrap().created;
        let inputs: Vec<U256> = (0..count as u64).map(arbitrary).collect();
        let proof = Prover::of(count).prove(&inputs);
        let numbers: Vec<_> = inputs.iter().copied().map(number).collect();
        let data = solidity::calldata(&proof, &numbers);
        let receipt = chain
            .send(ALICE, verifier, U256::ZERO, data.into())
            .unwrap();
        let n = count as u64;
        assert!(
            receipt.execution_gas <= 181_100 + 6_350 * n + 900 + 90 * n,
            "{n}: {}",
            receipt.execution_gas
        );
        if let Some(last) = count.checked_sub(1) {
            let mut numbers = numbers;
            numbers[last] += number(U256::ONE);
            let data = solidity::calldata(&proof, &numbers);
            chain
                .send(ALICE, verifier, U256::ZERO, data.into())
                .unwrap_err();
        }
    }
}

#[test]
fn names_that_solidity_would_not_take_are_refused() {
    let key = Prover::of(2).verifying_key();
    let export =
        |contract, names: &[&str]| solidity::export(&key, Origin::Ceremony, contract, names);
    for name in [
        "", "1st", "a-b", "a b", "uint", "uint256", "proof", "ok", "address", "mload", "Q",
        "ALPHA_X", "a;b", "\u{e9}", "setup",
    ] {
        let refused = export("V", &["root", name]).unwrap_err();
        assert_eq!(refused, ExportError::Name(name.to_owned()));
    }
    assert_eq!(
        export("V", &["a_b", "aB"]).unwrap_err(),
        ExportError::Name("aB".to_owned())
    );
    assert_eq!(
        export("v{}", &["a", "b"]).unwrap_err(),
        ExportError::Name("v{}".to_owned())
    );
    assert_eq!(
        export("V", &["a"]).unwrap_err(),
        ExportError::Names {
            names: 1,
            inputs: 2
        }
    );
    assert!(
        export("V", &["root", "nullifier_hash"])
            .unwrap()
            .contains("uint256 root, uint256 nullifierHash)")
    );
}
