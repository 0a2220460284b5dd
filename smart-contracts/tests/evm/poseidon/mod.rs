//! The Poseidon libraries in Solidity: generated from the constants of `gadgets`, and checked against its hash in the EVM.
//!
//! `BLESS=1 cargo test -p smart-contracts --test evm` writes the sources anew; `cargo xtask sol` then compiles them.

mod recurrence;
mod solidity;

use std::path::PathBuf;

use ark_bn254::Fr;
use ark_ff::UniformRand;
use ark_std::rand::SeedableRng;
use gadgets::poseidon;
use rand_chacha::ChaCha20Rng;

use smart_contracts::abi::Hashes;
use smart_contracts::contracts;

use self::recurrence::Recurrence;
use crate::support::{ALICE, deploy, new_chain, number, word};

#[test]
fn the_recurrence_is_the_hash() {
    let mut random = ChaCha20Rng::seed_from_u64(1);
    for inputs in 2..=5 {
        let recurrence = Recurrence::of(poseidon::parameters(inputs));
        for _ in 0..20 {
            let numbers: Vec<Fr> = (0..inputs).map(|_| Fr::rand(&mut random)).collect();
            assert_eq!(recurrence.hash(&numbers), poseidon::hash(&numbers));
        }
    }
}

#[test]
fn the_sources_are_what_the_constants_of_gadgets_give() {
    for inputs in [2, 4] {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join(format!("contracts/generated/Poseidon{inputs}.sol"));
        let source = solidity::source(inputs);
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, &source).unwrap();
        }
        assert!(
            std::fs::read_to_string(&path).unwrap() == source,
            "{} is not what its generator writes; see the head of this file",
            path.display()
        );
    }
}

#[test]
fn the_contract_hashes_as_gadgets_do() {
    let mut chain = new_chain();
    let hashes = deploy(&mut chain, contracts::HASHES, &());
    let mut random = ChaCha20Rng::seed_from_u64(2);
    let largest = -Fr::from(1);
    let zero = Fr::from(0);
    let mut cases = vec![[zero; 4], [largest; 4], [zero, largest, zero, largest]];
    cases.extend((0..20).map(|_| [(); 4].map(|()| Fr::rand(&mut random))));
    for case in cases {
        let [a, b, c, d] = case.map(word);
        let two = chain
            .view(ALICE, hashes, &Hashes::hash2Call { a, b })
            .unwrap();
        assert_eq!(number(two), poseidon::hash(&case[..2]));
        let four = chain
            .view(ALICE, hashes, &Hashes::hash4Call { a, b, c, d })
            .unwrap();
        assert_eq!(number(four), poseidon::hash(&case));
    }
}
