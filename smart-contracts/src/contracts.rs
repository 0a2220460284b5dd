//! The compiled contracts, as they are checked in under `out/`, and their interfaces.
//!
//! `cargo xtask sol` rebuilds them from `contracts/`; a test without Node compares the hashes of sources and outputs with
//! `out/manifest.json`.

use alloy_primitives::hex;
use serde::Deserialize;

/// A contract compiled by solc.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Artifact {
    json: &'static str,
}

#[derive(Deserialize)]
struct Compiled {
    creation: String,
}

impl Artifact {
    const fn new(json: &'static str) -> Self {
        Self { json }
    }

    /// The whole output: `contract`, `abi`, `creation`.
    #[must_use]
    pub fn json(&self) -> &'static str {
        self.json
    }

    /// The code that creates the contract, without the constructor's arguments.
    ///
    /// # Panics
    ///
    /// Never: the outputs are part of this crate, and a test reads each.
    #[must_use]
    pub fn creation_code(&self) -> Vec<u8> {
        let compiled: Compiled =
            serde_json::from_str(self.json).expect("solc's output is checked in");
        hex::decode(compiled.creation).expect("solc writes hexadecimal digits")
    }
}

macro_rules! artifacts {
    ($($name:ident = $file:literal: $what:literal;)*) => {
        $(
            #[doc = $what]
            pub const $name: Artifact = Artifact::new(include_str!(concat!("../out/", $file, ".json")));
        )*
        /// Every contract.
        pub const ALL: &[(&str, Artifact)] = &[$(($file, $name)),*];
    };
}

artifacts! {
    MIXER = "Mixer": "A pool of equal deposits.";
    SHIELDED_TOKEN = "ShieldedToken": "Private notes backed by a token.";
    REGISTRY = "Registry": "Users and logins.";
    MEMBERSHIP = "Membership": "Signals of members.";
    VERIFIER_1 = "Verifier1": "The template of a verifier of one input.";
    VERIFIER_2 = "Verifier2": "The template of a verifier of two inputs.";
    VERIFIER_3 = "Verifier3": "The template of a verifier of three inputs.";
    VERIFIER_4 = "Verifier4": "The template of a verifier of four inputs.";
    DEMO_TOKEN = "DemoToken": "A token that anyone can mint, for demonstrations.";
    HOSTILE_TOKEN = "HostileToken": "A token that misbehaves as told, for tests.";
    HOSTILE_RECIPIENT = "HostileRecipient": "A receiver of ether that misbehaves as told, for tests.";
    BATCH = "Batch": "A contract between a person and another contract, for tests.";
    HASHES = "Hashes": "The hash libraries behind functions, for tests.";
    TREE = "Tree": "The tree alone, for tests.";
}
