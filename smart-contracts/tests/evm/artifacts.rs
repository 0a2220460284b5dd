//! What is checked in under `out/` is what solc made of the sources, and what the Rust declarations say.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proof::digest::Digest;
use serde_json::Value;
use smart_contracts::contracts;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sha256(path: &Path) -> String {
    Digest::of(&fs::read(path).unwrap()).to_string()
}

fn files(directory: &Path, extension: &str) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|found| found == extension) {
            found.insert(path);
        }
    }
    found
}

fn hashes(of: impl IntoIterator<Item = PathBuf>, relative_to: &Path) -> BTreeMap<String, String> {
    of.into_iter()
        .map(|path| {
            let name = path.strip_prefix(relative_to).unwrap().to_str().unwrap();
            (name.to_owned(), sha256(&path))
        })
        .collect()
}

#[test]
fn sources_and_outputs_have_the_hashes_of_the_manifest() {
    let manifest: Value =
        serde_json::from_slice(&fs::read(root().join("out/manifest.json")).unwrap()).unwrap();
    let recorded = |field: &str| -> BTreeMap<String, String> {
        serde_json::from_value(manifest[field].clone()).unwrap()
    };
    let mut sources = hashes(files(&root().join("contracts"), "sol"), &root());
    sources.extend(hashes([root().join("compile.mjs")], &root()));
    assert_eq!(
        recorded("sources"),
        sources,
        "sources changed: cargo xtask sol"
    );
    let out = root().join("out");
    let mut outputs = files(&out, "json");
    outputs.remove(&out.join("manifest.json"));
    assert_eq!(
        recorded("outputs"),
        hashes(outputs, &out),
        "outputs changed: cargo xtask sol"
    );
    let here: BTreeSet<String> = contracts::ALL
        .iter()
        .map(|(name, _)| format!("{name}.json"))
        .collect();
    assert_eq!(here, recorded("outputs").into_keys().collect());
}

/// `name(types)` of each function, error or event in an interface.
fn signatures(abi: &Value, kind: &str) -> BTreeSet<String> {
    fn type_of(parameter: &Value) -> String {
        let name = parameter["type"].as_str().unwrap();
        let Some(rest) = name.strip_prefix("tuple") else {
            return name.to_owned();
        };
        format!("({}){rest}", types(&parameter["components"]))
    }
    fn types(parameters: &Value) -> String {
        let each = parameters.as_array().unwrap().iter().map(type_of);
        each.collect::<Vec<_>>().join(",")
    }
    let items = abi
        .as_array()
        .unwrap()
        .iter()
        .filter(|item| item["type"] == kind);
    items
        .map(|item| {
            format!(
                "{}({})",
                item["name"].as_str().unwrap(),
                types(&item["inputs"])
            )
        })
        .collect()
}

#[test]
fn declarations_in_rust_are_those_of_the_sources() {
    use smart_contracts::abi::*;
    let set = |list: &[&str]| -> BTreeSet<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    };
    let abi = |artifact: contracts::Artifact| -> Value {
        serde_json::from_str::<Value>(artifact.json()).unwrap()["abi"].clone()
    };
    let mixer = abi(contracts::MIXER);
    assert_eq!(
        set(Mixer::MixerCalls::SIGNATURES),
        signatures(&mixer, "function")
    );
    assert_eq!(
        set(Mixer::MixerErrors::SIGNATURES),
        signatures(&mixer, "error")
    );
    assert_eq!(
        set(Mixer::MixerEvents::SIGNATURES),
        signatures(&mixer, "event")
    );
    let token = abi(contracts::SHIELDED_TOKEN);
    assert_eq!(
        set(ShieldedToken::ShieldedTokenCalls::SIGNATURES),
        signatures(&token, "function")
    );
    assert_eq!(
        set(ShieldedToken::ShieldedTokenErrors::SIGNATURES),
        signatures(&token, "error")
    );
    assert_eq!(
        set(ShieldedToken::ShieldedTokenEvents::SIGNATURES),
        signatures(&token, "event")
    );
    let registry = abi(contracts::REGISTRY);
    assert_eq!(
        set(Registry::RegistryCalls::SIGNATURES),
        signatures(&registry, "function")
    );
    assert_eq!(
        set(Registry::RegistryErrors::SIGNATURES),
        signatures(&registry, "error")
    );
    assert_eq!(
        set(Registry::RegistryEvents::SIGNATURES),
        signatures(&registry, "event")
    );
    let membership = abi(contracts::MEMBERSHIP);
    assert_eq!(
        set(Membership::MembershipCalls::SIGNATURES),
        signatures(&membership, "function")
    );
    assert_eq!(
        set(Membership::MembershipErrors::SIGNATURES),
        signatures(&membership, "error")
    );
    assert_eq!(
        set(Membership::MembershipEvents::SIGNATURES),
        signatures(&membership, "event")
    );
    for artifact in [contracts::VERIFIER_1, contracts::VERIFIER_4] {
        let verifier = abi(artifact);
        assert_eq!(
            set(Verifier::VerifierErrors::SIGNATURES),
            signatures(&verifier, "error")
        );
        let mut functions = signatures(&verifier, "function");
        functions.retain(|signature| !signature.starts_with("verify("));
        assert_eq!(set(Verifier::VerifierCalls::SIGNATURES), functions);
    }
    let demo = abi(contracts::DEMO_TOKEN);
    assert_eq!(
        set(DemoToken::DemoTokenCalls::SIGNATURES),
        signatures(&demo, "function")
    );
    assert_eq!(
        set(DemoToken::DemoTokenErrors::SIGNATURES),
        signatures(&demo, "error")
    );
    assert_eq!(
        set(DemoToken::DemoTokenEvents::SIGNATURES),
        signatures(&demo, "event")
    );
}
