//! The local EVM itself.

use std::fs;

use alloy_primitives::{Address, Bytes, U256};
use smart_contracts::abi::{DemoToken, Mixer};
use smart_contracts::chain::{Block, CallError, Chain, ChainFileError};
use smart_contracts::contracts;

use crate::mixer::{NOBODY, scene};
use crate::support::{ALICE, BOB, CHAIN_ID, arbitrary, deploy, ether, new_chain};

#[test]
fn a_chain_goes_on_from_its_directory() {
    let directory = tempfile::tempdir().unwrap();
    assert!(!Chain::exists(directory.path()));
    let mut before = scene();
    let call = before.withdrawal(arbitrary(2), BOB, NOBODY, U256::ZERO);
    before.chain.save(directory.path()).unwrap();
    assert!(Chain::exists(directory.path()));
    let first = fs::read(directory.path().join("chain.json")).unwrap();
    let mut chain = Chain::load(directory.path()).unwrap();
    assert_eq!(chain.chain_id(), CHAIN_ID);
    assert_eq!(chain.block(), before.chain.block());
    assert_eq!(chain.events(), before.chain.events());
    assert_eq!(chain.code(before.mixer), before.chain.code(before.mixer));
    chain.save(directory.path()).unwrap();
    assert_eq!(
        fs::read(directory.path().join("chain.json")).unwrap(),
        first
    );
    // Nonce, storage and balances: the same calls do the same on both.
    let there = before
        .chain
        .call(ALICE, before.mixer, U256::ZERO, &call)
        .unwrap();
    let here = chain.call(ALICE, before.mixer, U256::ZERO, &call).unwrap();
    assert_eq!((here.gas, here.events), (there.gas, there.events));
    assert_eq!(
        deploy(&mut chain, contracts::DEMO_TOKEN, &()),
        deploy(&mut before.chain, contracts::DEMO_TOKEN, &())
    );
    assert_eq!(chain.balance(BOB), ether(1001));
}

#[test]
fn a_damaged_file_is_refused_with_what_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("chain.json");
    assert!(matches!(
        Chain::load(directory.path()),
        Err(ChainFileError::Io { .. })
    ));
    scene().chain.save(directory.path()).unwrap();
    let good = fs::read_to_string(&path).unwrap();
    let damages = [
        (good[..good.len() / 2].to_owned(), "chain.json"),
        (
            good.replacen("\"version\":1", "\"version\":2", 1),
            "version: 2",
        ),
        (
            good.replacen("\"balance\":\"0x", "\"balance\":\"0xzz", 1),
            "balance",
        ),
        (good.replacen("\"block\"", "\"blok\"", 1), "blok"),
        (
            good.replacen("\"topics\":[", "\"topics\":[\"0x12\",", 1),
            "events.0",
        ),
    ];
    for (damaged, named) in damages {
        assert_ne!(damaged, good, "{named}");
        fs::write(&path, damaged).unwrap();
        let error = Chain::load(directory.path()).unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
    }
}

#[test]
fn blocks_and_values_are_what_the_caller_says() {
    // TIMESTAMP NUMBER CHAINID CALLVALUE, each stored and all returned.
    let code = [
        0x42, 0x5f, 0x52, 0x43, 0x60, 0x20, 0x52, 0x46, 0x60, 0x40, 0x52, 0x34, 0x60, 0x60, 0x52,
        0x60, 0x80, 0x5f, 0xf3,
    ];
    let mut chain = new_chain();
    let contract = Address::repeat_byte(0x55);
    chain.put_code(contract, Bytes::from(code.to_vec()));
    chain.set_block(Block {
        number: 99,
        timestamp: 1234,
    });
    let returned = chain
        .send(ALICE, contract, U256::from(5), Bytes::new())
        .unwrap()
        .returned;
    let words: Vec<U256> = returned.chunks(32).map(U256::from_be_slice).collect();
    assert_eq!(words, [1234, 99, CHAIN_ID, 5].map(U256::from));
    assert_eq!(chain.balance(contract), U256::from(5));
}

#[test]
fn what_fails_leaves_no_trace_but_the_nonce() {
    let mut chain = new_chain();
    let mixer = deploy(
        &mut chain,
        contracts::MIXER,
        &(Address::repeat_byte(9), ether(1)),
    );
    let deposit = Mixer::depositCall {
        commitment: arbitrary(1),
    };
    assert!(matches!(
        chain.call(ALICE, mixer, ether(2), &deposit),
        Err(CallError::Reverted { .. })
    ));
    assert!(matches!(
        chain.call(ALICE, mixer, ether(5000), &deposit),
        Err(CallError::Refused { .. })
    ));
    assert!(chain.events().is_empty());
    assert_eq!(chain.balance(ALICE), ether(1000));
    // An account without code returns nothing, which is no answer.
    let nothing = chain.view(ALICE, BOB, &Mixer::leafCountCall {});
    assert!(matches!(nothing, Err(CallError::Undeclared { .. })));
    // PUSH0 JUMP: an invalid destination.
    chain.put_code(BOB, Bytes::from_static(&[0x5f, 0x56]));
    assert!(matches!(
        chain.send(ALICE, BOB, U256::ZERO, Bytes::new()),
        Err(CallError::Halted { .. })
    ));
    // A deployment and two transactions that failed counted; what was refused did not.
    let token = deploy(&mut chain, contracts::DEMO_TOKEN, &());
    assert_eq!(token, ALICE.create(3));
}

#[test]
fn a_view_changes_nothing() {
    let mut chain = new_chain();
    let token = deploy(&mut chain, contracts::DEMO_TOKEN, &());
    let mint = DemoToken::mintCall {
        to: BOB,
        amount: U256::from(5),
    };
    let balance = DemoToken::balanceOfCall { account: BOB };
    chain.view(ALICE, token, &mint).unwrap();
    assert_eq!(chain.view(ALICE, token, &balance).unwrap(), U256::ZERO);
    assert!(chain.events().is_empty());
    // The same call as a transaction does.
    chain.call(ALICE, token, U256::ZERO, &mint).unwrap();
    assert_eq!(chain.view(ALICE, token, &balance).unwrap(), U256::from(5));
}
